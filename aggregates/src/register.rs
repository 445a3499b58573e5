//! Which snapshot of a Stripe object is current, whatever the order of arrival.
//!
//! The winner is a function of the **set** of snapshots recorded, never of their order: highest finality, then latest
//! `as_of`, then highest rank. Those still tied are changes within one second: each that says what the object was
//! `before` is a step from there to its content, and the winner is where the steps end. Where they end in several
//! places, the status ladder decides, then the fingerprint of the content. Where they go in a circle, the object came
//! back to what it was before that second. What only ladder-mates' fingerprints or a circle decide is asked of Stripe.
//! `docs/decisions/0002-snapshot-registers.md` has the reasons.
//!
//! A field that an API version leaves out is *unknown*: its effective value is that of the best snapshot which has it.
//! For each such field the register keeps, below the winner, no more than is needed to answer that.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::mutant::{self, Mutant};
use crate::snapshot::{Entry, Fact, Fingerprint, Placement, Rank, Seen, Snapshot};
use crate::time::Timestamp;

/// Most snapshots of one object kept as tied with the winner. Stripe makes a handful of events a second for one
/// object; beyond this the lowest fingerprints are dropped, which every order drops alike.
pub const TIED_MAX: usize = 64;

/// A snapshot that is kept, with its fingerprint when it stands beside others: readers compare, they do not hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept<T> {
    entry: Entry<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    print: Option<Fingerprint>,
}

impl<T: Snapshot> Kept<T> {
    fn print(&self) -> Fingerprint {
        self.print.unwrap_or_else(|| self.entry.snapshot.fingerprint())
    }
}

/// The snapshots of one object that matter for what is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Register<T> {
    /// All of the highest (finality, as_of, rank), sorted by content so that equal sets are equal bytes.
    #[serde(deserialize_with = "exact")]
    tied: Vec<Kept<T>>,
    /// Fields that at least one of them has.
    #[serde(default, skip_serializing_if = "is_none_known")]
    known: u8,
    /// The group next below, for objects whose content can return to what it was.
    #[serde(
        default = "Vec::new",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "exact"
    )]
    below: Vec<Kept<T>>,
    /// For each field that none of the winning group has: the highest group that has it, sorted alike.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    fallback: BTreeMap<u8, Vec<Kept<T>>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_none_known(fields: &u8) -> bool {
    *fields == 0
}

/// A list without room for more: nearly all have one entry, and a reader that does not know the length makes room for
/// four.
fn exact<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let mut list = Vec::deserialize(deserializer)?;
    list.shrink_to_fit();
    Ok(list)
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self {
            tied: Vec::new(),
            known: 0,
            below: Vec::new(),
            fallback: BTreeMap::new(),
        }
    }
}

impl<T: Snapshot> Register<T> {
    /// The winner as it was recorded.
    #[must_use]
    pub fn current(&self) -> Option<&Entry<T>> {
        self.winner().map(|(entry, _)| entry)
    }

    /// The winner with its unknown fields filled from the best snapshots that have them.
    #[must_use]
    pub fn effective(&self) -> Option<Cow<'_, T>> {
        let current = &self.current()?.snapshot;
        if mutant::is(Mutant::UnknownErases) {
            return Some(Cow::Borrowed(current));
        }
        let missing = (self.known | self.fallback.keys().fold(0, |all, field| all | field)) & !current.knows();
        if missing == 0 {
            return Some(Cow::Borrowed(current));
        }
        let mut filled = current.clone();
        for field in bits(missing) {
            let having: Vec<&Kept<T>> = match self.fallback.get(&field) {
                Some(below) => below.iter().collect(),
                None => having(&self.tied, field).collect(),
            };
            if let Some((best, _)) = winner(&having, || None) {
                filled.take(field, &best.snapshot);
            }
        }
        Some(Cow::Owned(filled))
    }

    /// Whether neither time, rank nor the object's own word decides, so that Stripe should be asked.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.winner().is_some_and(|(_, undecided)| undecided)
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
            Ordering::Equal if self.tied.iter().any(|known| known.entry == *entry) => Placement::Twin,
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
        match self.tied.first().map(|top| group(&entry).cmp(&group(&top.entry))) {
            Some(Ordering::Less) => return self.record_below(entry, fields & !self.known),
            Some(Ordering::Greater) => self.step_down(fields),
            Some(Ordering::Equal) | None => {}
        }
        if mutant::is(Mutant::LastArrivalWinsTies) {
            self.tied.clear();
        }
        self.known |= fields;
        self.fallback.retain(|field, _| fields & field == 0);
        insert(&mut self.tied, entry);
    }

    /// The winning group moves below a new one that has `fields`: what it has is kept for those the new one lacks.
    fn step_down(&mut self, fields: u8) {
        let tied = std::mem::take(&mut self.tied);
        for field in bits(std::mem::take(&mut self.known) & !fields) {
            let mut kept: Vec<Kept<T>> = having(&tied, field).cloned().collect();
            settle(&mut kept);
            self.fallback.insert(field, kept);
        }
        if T::CAN_RETURN {
            self.below = tied;
        }
    }

    fn record_below(&mut self, entry: Entry<T>, wanted: u8) {
        for field in bits(wanted) {
            raise(self.fallback.entry(field).or_default(), entry.clone());
        }
        if T::CAN_RETURN {
            raise(&mut self.below, entry);
        }
    }

    fn winner(&self) -> Option<(&Entry<T>, bool)> {
        let prior = || {
            let below: Vec<&Kept<T>> = self.below.iter().collect();
            winner(&below, || None).map(|(entry, _)| entry.snapshot.fingerprint())
        };
        winner(&self.tied.iter().collect::<Vec<_>>(), prior)
    }
}

fn having<T: Snapshot>(kept: &[Kept<T>], field: u8) -> impl Iterator<Item = &Kept<T>> {
    kept.iter().filter(move |it| it.entry.snapshot.knows() & field != 0)
}

fn bits(fields: u8) -> impl Iterator<Item = u8> {
    (0..8).map(|shift| 1 << shift).filter(move |bit| fields & bit != 0)
}

fn group<T: Snapshot>(entry: &Entry<T>) -> (u8, Timestamp, Rank) {
    let finality = if mutant::is(Mutant::TerminalRevived) {
        0
    } else {
        entry.snapshot.finality()
    };
    (finality, entry.seen.as_of, entry.seen.rank)
}

/// Keeps the highest group of what is given.
fn raise<T: Snapshot>(best: &mut Vec<Kept<T>>, entry: Entry<T>) {
    match best.first().map(|top| group(&entry).cmp(&group(&top.entry))) {
        Some(Ordering::Less) => return,
        Some(Ordering::Greater) => best.clear(),
        Some(Ordering::Equal) | None => {}
    }
    insert(best, entry);
}

/// Into a group, sorted by content; the lowest go when there are too many.
fn insert<T: Snapshot>(group: &mut Vec<Kept<T>>, entry: Entry<T>) {
    if group.iter().any(|known| known.entry == entry) {
        return;
    }
    // Nearly always the only one of its group: room for more would be most of what a ledger keeps in memory.
    group.reserve_exact(1);
    group.push(Kept { entry, print: None });
    settle(group);
    if group.len() > TIED_MAX {
        group.remove(0);
    }
}

/// Sorted by content, each with its fingerprint; one alone needs none.
fn settle<T: Snapshot>(group: &mut [Kept<T>]) {
    if let [only] = group {
        only.print = None;
        return;
    }
    for kept in group.iter_mut() {
        kept.print = Some(kept.print());
    }
    group.sort_by(|a, b| (a.print, &a.entry.seen).cmp(&(b.print, &b.entry.seen)));
}

/// The winner of one group, and whether Stripe should be asked; `prior` is what the object was before.
fn winner<'a, T: Snapshot>(
    group: &[&'a Kept<T>],
    prior: impl FnOnce() -> Option<Fingerprint>,
) -> Option<(&'a Entry<T>, bool)> {
    if let [only] = group {
        return Some((&only.entry, false));
    }
    let all: Vec<Placed<'a, T>> = group
        .iter()
        .map(|kept| (kept.entry.snapshot.ladder(), kept.print(), &kept.entry))
        .collect();
    let (ends, is_circle) = ends(&all, prior);
    let open: Vec<_> = all.iter().filter(|(_, print, _)| ends.contains(print)).collect();
    let (ladder, print, entry) = open
        .iter()
        .max_by_key(|(ladder, print, e)| (*ladder, *print, &e.seen))?;
    let is_tied = open.iter().any(|(l, p, _)| l == ladder && p != print);
    Some((entry, is_circle || is_tied))
}

type Placed<'a, T> = (u8, Fingerprint, &'a Entry<T>);

/// Contents in which the steps of one second end, and whether they only go in a circle.
fn ends<T>(all: &[Placed<'_, T>], prior: impl FnOnce() -> Option<Fingerprint>) -> (BTreeSet<Fingerprint>, bool) {
    let steps: BTreeSet<(Fingerprint, Fingerprint)> = all
        .iter()
        .filter_map(|(_, to, e)| Some((e.seen.before?, *to)))
        .filter(|(from, to)| from != to && !mutant::is(Mutant::PastIgnored))
        .collect();
    let contents: BTreeSet<Fingerprint> = all.iter().map(|(_, print, _)| *print).collect();
    let comes = |print: Fingerprint| steps.iter().filter(|(_, to)| *to == print).count();
    let goes = |print: Fingerprint| steps.iter().filter(|(from, _)| *from == print).count();
    let is_end = |print: &Fingerprint| comes(*print) > goes(*print) || (comes(*print) == 0 && goes(*print) == 0);
    let ends: BTreeSet<Fingerprint> = contents.iter().copied().filter(is_end).collect();
    if !ends.is_empty() {
        return (ends, false);
    }
    match prior().filter(|prior| contents.contains(prior)) {
        Some(prior) => (BTreeSet::from([prior]), true),
        None => (contents, true),
    }
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
