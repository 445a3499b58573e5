//! Which snapshot of a Stripe object is current, whatever the order of arrival.
//!
//! The winner is a function of the **set** of snapshots recorded, never of their order: highest finality, then latest
//! `as_of`, then highest rank. Among those still tied, one that another names as its past (`before`) loses to it; what
//! is tied even then is decided by the status ladder, at last by the fingerprint of the content, and Stripe is asked.
//! `docs/decisions/0002-snapshot-registers.md` has the reasons.
//!
//! A field that an API version leaves out is *unknown*: its effective value is that of the best snapshot which has it.
//! For each such field the register keeps, below the winner, no more than is needed to answer that.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::snapshot::{Entry, Fact, Fingerprint, Placement, Rank, Seen, Snapshot};
use crate::time::Timestamp;

/// Most snapshots of one object kept as tied with the winner. Stripe makes a handful of events a second for one
/// object; beyond this the lowest fingerprints are dropped, which every order drops alike.
pub const TIED_MAX: usize = 64;

/// The snapshots of one object that matter for what is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register<T> {
    /// All of the highest (finality, as_of, rank), sorted by content so that equal sets are equal bytes.
    tied: Vec<Entry<T>>,
    /// Fields that at least one of them has.
    #[serde(default, skip_serializing_if = "is_none_known")]
    known: u8,
    /// For each field that none of them has: the highest group below that has it, sorted alike.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    fallback: BTreeMap<u8, Vec<Entry<T>>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_none_known(fields: &u8) -> bool {
    *fields == 0
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self {
            tied: Vec::new(),
            known: 0,
            fallback: BTreeMap::new(),
        }
    }
}

impl<T: Snapshot> Register<T> {
    /// The winner as it was recorded.
    #[must_use]
    pub fn current(&self) -> Option<&Entry<T>> {
        winner(&self.top()).map(|(entry, _)| entry)
    }

    /// The winner with its unknown fields filled from the best snapshots that have them.
    #[must_use]
    pub fn effective(&self) -> Option<Cow<'_, T>> {
        let current = &self.current()?.snapshot;
        let missing = (self.known | self.fallback.keys().fold(0, |all, field| all | field)) & !current.knows();
        if missing == 0 {
            return Some(Cow::Borrowed(current));
        }
        let mut filled = current.clone();
        for field in bits(missing) {
            let having: Vec<&Entry<T>> = match self.fallback.get(&field) {
                Some(below) => below.iter().collect(),
                None => self.tied.iter().filter(|e| e.snapshot.knows() & field != 0).collect(),
            };
            if let Some((best, _)) = winner(&having) {
                filled.take(field, &best.snapshot);
            }
        }
        Some(Cow::Owned(filled))
    }

    /// Whether the winner rests on nothing but the fingerprint, so that Stripe should be asked.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        winner(&self.top()).is_some_and(|(_, undecided)| undecided)
    }

    /// What `entry` would be, were it recorded now.
    #[must_use]
    pub fn place(&self, entry: &Entry<T>) -> Placement {
        let Some(current) = self.current() else {
            return Placement::Wins {
                changed: true,
                undecided: false,
            };
        };
        match group(entry).cmp(&group(current)) {
            Ordering::Less => Placement::Late { undecided: false },
            Ordering::Greater => Placement::Wins {
                changed: entry.snapshot != current.snapshot,
                undecided: false,
            },
            Ordering::Equal if self.tied.contains(entry) => Placement::Twin,
            Ordering::Equal => {
                let mut after = self.clone();
                after.record(entry.clone());
                let undecided = after.is_undecided();
                if after.current() == Some(entry) {
                    let changed = entry.snapshot != current.snapshot;
                    Placement::Wins { changed, undecided }
                } else {
                    Placement::Late { undecided }
                }
            }
        }
    }

    /// Takes a recorded snapshot; total, and the same for every order.
    pub fn record(&mut self, entry: Entry<T>) {
        let fields = entry.snapshot.knows();
        match self.tied.first().map(|top| group(&entry).cmp(&group(top))) {
            Some(Ordering::Less) => return self.record_below(&entry, fields & !self.known),
            Some(Ordering::Greater) => self.step_down(),
            Some(Ordering::Equal) | None => {}
        }
        self.known |= fields;
        self.fallback.retain(|field, _| fields & field == 0);
        insert(&mut self.tied, entry);
    }

    /// The winning group moves below a new one: what it has is kept for fields the new one may lack.
    fn step_down(&mut self) {
        let tied = std::mem::take(&mut self.tied);
        for field in bits(std::mem::take(&mut self.known)) {
            let having = tied
                .iter()
                .filter(|e| e.snapshot.knows() & field != 0)
                .cloned()
                .collect();
            self.fallback.insert(field, having);
        }
    }

    fn record_below(&mut self, entry: &Entry<T>, wanted: u8) {
        for field in bits(wanted) {
            let best = self.fallback.entry(field).or_default();
            match best.first().map(|top| group(entry).cmp(&group(top))) {
                Some(Ordering::Less) => continue,
                Some(Ordering::Greater) => best.clear(),
                Some(Ordering::Equal) | None => {}
            }
            insert(best, entry.clone());
        }
    }

    fn top(&self) -> Vec<&Entry<T>> {
        self.tied.iter().collect()
    }
}

fn bits(fields: u8) -> impl Iterator<Item = u8> {
    (0..8).map(|shift| 1 << shift).filter(move |bit| fields & bit != 0)
}

fn group<T: Snapshot>(entry: &Entry<T>) -> (u8, Timestamp, Rank) {
    (entry.snapshot.finality(), entry.seen.as_of, entry.seen.rank)
}

/// Into a group, sorted by content; the lowest go when there are too many.
fn insert<T: Snapshot>(entries: &mut Vec<Entry<T>>, entry: Entry<T>) {
    if entries.is_empty() {
        return entries.push(entry);
    }
    if entries.contains(&entry) {
        return;
    }
    let print = entry.snapshot.fingerprint();
    let at = entries.partition_point(|known| (known.snapshot.fingerprint(), &known.seen) < (print, &entry.seen));
    entries.insert(at, entry);
    if entries.len() > TIED_MAX {
        entries.remove(0);
    }
}

/// The winner among entries of one group, and whether only its fingerprint made it so.
fn winner<'a, T: Snapshot>(entries: &[&'a Entry<T>]) -> Option<(&'a Entry<T>, bool)> {
    if let [only] = entries {
        return Some((only, false));
    }
    let all: Vec<(u8, Fingerprint, &Entry<T>)> = entries
        .iter()
        .map(|e| (e.snapshot.ladder(), e.snapshot.fingerprint(), *e))
        .collect();
    let is_past = |print: Fingerprint| {
        all.iter()
            .any(|(_, own, e)| e.seen.before == Some(print) && *own != print)
    };
    let last: Vec<_> = all.iter().filter(|(_, print, _)| !is_past(*print)).copied().collect();
    // Every snapshot is named as some other's past (a change and its undoing): content decides.
    let open = if last.is_empty() { all } else { last };
    let (ladder, print, entry) = *open
        .iter()
        .max_by_key(|(ladder, print, e)| (*ladder, *print, &e.seen))?;
    let undecided = open.iter().any(|(l, p, _)| *l == ladder && *p != print);
    Some((entry, undecided))
}

/// What is kept of one object: which snapshot is current, and what its snapshots said that stays true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book<T> {
    /// Which snapshot is current.
    pub register: Register<T>,
    /// Union of the facts of all its snapshots.
    #[serde(default = "BTreeSet::new", skip_serializing_if = "BTreeSet::is_empty")]
    pub facts: BTreeSet<Fact>,
}

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self {
            register: Register::default(),
            facts: BTreeSet::new(),
        }
    }
}

impl<T: Snapshot> Book<T> {
    /// Takes a recorded snapshot; total, and the same for every order.
    pub fn apply(&mut self, seen: &Seen, snapshot: &T) {
        self.facts.extend(snapshot.facts(seen));
        self.register.record(Entry {
            seen: seen.clone(),
            snapshot: snapshot.clone(),
        });
    }

    /// The current terms, unknown fields filled where another snapshot knows them.
    #[must_use]
    pub fn terms(&self) -> Option<Cow<'_, T>> {
        self.register.effective()
    }

    /// When the current snapshot was true.
    #[must_use]
    pub fn as_of(&self) -> Option<Timestamp> {
        self.register.current().map(|entry| entry.seen.as_of)
    }
}
