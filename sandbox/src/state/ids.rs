//! Ids from the seed: the same calls in the same order get the same ids.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A counter per prefix.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ids {
    seed: u64,
    counters: BTreeMap<String, u64>,
    #[serde(skip)]
    before: BTreeMap<String, u64>,
}

impl Ids {
    /// Ids of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next id with this prefix.
    pub fn next(&mut self, prefix: &str, random: usize) -> String {
        let counter = self.counters.entry(prefix.to_owned()).or_default();
        self.before.entry(prefix.to_owned()).or_insert(*counter);
        *counter += 1;
        let text = letters(self.seed, &format!("{prefix}{counter}"), random);
        format!("{prefix}{text}")
    }

    pub(crate) fn begin(&mut self) {
        self.before.clear();
    }

    /// A step that failed uses no ids.
    pub(crate) fn rollback(&mut self) {
        self.counters.append(&mut self.before);
    }
}

/// Letters and digits that follow from seed and name; at most 64.
#[must_use]
pub fn letters(seed: u64, name: &str, count: usize) -> String {
    let bytes = [0_u8, 1].iter().flat_map(|half| {
        let text = format!("{seed}/{half}/{name}");
        digest(&SHA256, text.as_bytes()).as_ref().to_vec()
    });
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
    bytes.take(count).map(letter).collect()
}

/// A number that follows from seed and name.
#[must_use]
pub fn number(seed: u64, name: &str) -> u64 {
    let hash = digest(&SHA256, format!("{seed}#{name}").as_bytes());
    let bytes = hash.as_ref().iter().take(8);
    bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[test]
fn ids_follow_from_the_seed_and_a_failed_step_uses_none() {
    let (mut a, mut b, mut c) = (Ids::new(1), Ids::new(1), Ids::new(2));
    let first = a.next("cus_", 14);
    assert_eq!(first.len(), 18);
    assert_eq!(first, b.next("cus_", 14));
    assert_ne!(first, c.next("cus_", 14));
    a.begin();
    let second = a.next("cus_", 14);
    a.rollback();
    assert_eq!(second, a.next("cus_", 14));
    assert_ne!(first, second);
}
