//! One history in one order under ids of its own: an account that shares its ledger with hundreds of others.

use std::ops::Range;

use super::histories::{History, MARK};

/// A small generator of repeatable numbers (splitmix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        usize::try_from(mixed % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// In which order the events of a history are delivered, by their place in it.
pub(super) type Order = Vec<usize>;

/// As told, once each.
pub(super) fn as_told(events: usize) -> Order {
    (0..events).collect()
}

/// Any order, every fifth event or so more than once.
pub(super) fn disordered(events: usize, seed: u64) -> Order {
    let mut dice = Dice::new(seed);
    let mut order = Order::new();
    for event in 0..events {
        order.push(event);
        while dice.below(5) == 0 {
            order.push(event);
        }
    }
    dice.shuffle(&mut order);
    order
}

/// The n-th of all orders, in their alphabetical order.
pub(super) fn permutation(events: usize, mut nth: usize) -> Order {
    let mut left = as_told(events);
    let mut order = Order::with_capacity(events);
    for chosen_of in (1..=events).rev() {
        let with_one_first: usize = (1..chosen_of).product();
        order.push(left.remove(nth / with_one_first % chosen_of));
        nth %= with_one_first;
    }
    order
}

/// A history in an order, as one account.
pub(super) struct World<'a> {
    pub(super) history: &'a History,
    pub(super) order: Order,
    /// What stands in its ids in place of the mark.
    name: String,
}

impl<'a> World<'a> {
    pub(super) fn new(history: &'a History, number: usize, order: Order) -> Self {
        let name = format!("acct{number:05}");
        assert_eq!(name.len(), MARK.len(), "world {number}");
        Self { history, order, name }
    }

    /// What all of its ids hold.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn customer(&self) -> String {
        format!("cus_{}", self.name)
    }

    pub(super) fn tenant(&self) -> String {
        format!("tenant-{}", self.name)
    }

    /// The bytes of its n-th delivery. A copy says as Stripe's do that fewer deliveries are pending.
    pub(super) fn body(&self, nth: usize) -> Vec<u8> {
        let told = self.order[nth];
        let mut body = self.history.told[told].body.clone();
        if self.order[..nth].contains(&told) {
            put(&mut body, b"\"pending_webhooks\":1", b"\"pending_webhooks\":0");
        }
        put(&mut body, MARK.as_bytes(), self.name.as_bytes());
        body
    }

    /// What is delivered before a person is asked for the tenant, and what after it. Of a history that needs a person
    /// one event at least comes before: nobody can be asked about an account that nobody has heard of.
    pub(super) fn parts(&self, seed: u64) -> [Range<usize>; 2] {
        let all = self.order.len();
        let cut = if self.history.assigned {
            1 + Dice::new(seed).below(all)
        } else {
            0
        };
        [0..cut, cut..all]
    }

    /// For a failing test: which account, which history, which order.
    pub(super) fn told(&self) -> String {
        let ids: Vec<&str> = self.order.iter().map(|nth| &*self.history.told[*nth].id).collect();
        format!("{} ({}), delivered as {}", self.name, self.history.name, ids.join(" "))
    }
}

/// Puts one text everywhere in place of another one of its length.
fn put(body: &mut [u8], old: &[u8], new: &[u8]) {
    let mut at = 0;
    while at + old.len() <= body.len() {
        if body[at..].starts_with(old) {
            body[at..at + old.len()].copy_from_slice(new);
            at += old.len();
        } else {
            at += 1;
        }
    }
}

#[test]
fn all_orders_of_four_are_twenty_four() {
    let mut all: Vec<Order> = (0..24).map(|nth| permutation(4, nth)).collect();
    assert_eq!(all[0], as_told(4));
    assert!(all.is_sorted());
    all.dedup();
    assert_eq!(all.len(), 24);
    for order in &mut all {
        order.sort_unstable();
        assert_eq!(*order, as_told(4));
    }
}
