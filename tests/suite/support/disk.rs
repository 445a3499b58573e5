//! What a disk may hold after a power cut: everything that was synced, and of the rest any part, in any order.
//!
//! The model is harder than most file systems. A write that was not synced may be there, missing or torn at any
//! sector; a name that was taken away may be back, and a new one gone, until its file or folder was synced. What was
//! pending when a sync failed counts as done for the system: no later sync covers it, unless it is written again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::dice::Dice;
use super::strace::Step;

/// Bytes a disk writes at once; smaller than real ones, which is harder.
const SECTOR: usize = 512;

/// What is left of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// Nothing.
    None,
    /// All of them.
    All,
    /// The first ones, and a torn one.
    Prefix,
    /// Each or not.
    Some,
    /// Of each, each sector or not.
    Sectors,
    /// All but one.
    AllButOne,
}

impl Leftovers {
    pub(crate) const ALL: [Self; 6] = [
        Self::None,
        Self::All,
        Self::Prefix,
        Self::Some,
        Self::Sectors,
        Self::AllButOne,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Synced,
    /// The next sync that succeeds covers it.
    Pending,
    /// A sync failed on it: no later one covers it.
    Adrift,
}

#[derive(Clone, Debug)]
enum Change {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

/// One file from its creation to its removal.
#[derive(Clone, Debug, Default)]
struct Content {
    synced: Vec<u8>,
    changes: Vec<(Kept, Change)>,
    /// Changes a running sync covers.
    covered: usize,
}

/// A name in the folder: what it is now, and what it may still be on the disk.
#[derive(Clone, Debug, Default)]
struct Name {
    now: Option<Content>,
    before: Vec<Option<Content>>,
}

/// The folder of a ledger as the system and the disk have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    names: BTreeMap<String, Name>,
}

impl Disk {
    /// With files that were all synced.
    pub(crate) fn with(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let synced = |synced| Name {
            now: Some(Content {
                synced,
                ..Content::default()
            }),
            before: Vec::new(),
        };
        Self {
            names: files.into_iter().map(|(name, bytes)| (name, synced(bytes))).collect(),
        }
    }

    /// Does one step; steps on files elsewhere change nothing.
    pub(crate) fn take(&mut self, step: &Step, folder: &Path) {
        match step {
            Step::Write { file, offset, bytes } => {
                self.change(file, folder, Change::Bytes(*offset, bytes.clone()));
            }
            Step::Truncate { file, length } => self.change(file, folder, Change::Length(*length)),
            Step::SyncBegun { file } => {
                if let Some(content) = self.content(file, folder) {
                    content.covered = content.changes.len();
                }
            }
            Step::SyncEnded { file, succeeded: true } if file == folder => {
                for name in self.names.values_mut() {
                    name.before.clear();
                }
            }
            Step::SyncEnded { file, succeeded } => {
                if let Some(content) = self.content(file, folder) {
                    content.end_sync(*succeeded);
                }
                if let (true, Some(name)) = (*succeeded, self.name(file, folder)) {
                    // A synced file has its name, and what had the name before is gone.
                    name.before.clear();
                }
            }
            Step::Removed { file } => {
                if let Some(name) = self.name(file, folder) {
                    let was = name.now.take();
                    name.before.push(was);
                }
            }
            Step::Accepted { .. } => {}
        }
    }

    fn name(&mut self, file: &Path, folder: &Path) -> Option<&mut Name> {
        let name = file.strip_prefix(folder).ok()?.to_str()?;
        // The shared memory of SQLite is no part of the data, and is made anew by whoever opens the file first.
        if !name.starts_with("ledger.db") || name.ends_with("-shm") || name.ends_with(".lock") {
            return None;
        }
        Some(self.names.entry(name.to_owned()).or_default())
    }

    fn content(&mut self, file: &Path, folder: &Path) -> Option<&mut Content> {
        self.name(file, folder)?.now.as_mut()
    }

    fn change(&mut self, file: &Path, folder: &Path, change: Change) {
        let Some(name) = self.name(file, folder) else { return };
        if name.now.is_none() {
            name.before.push(None);
        }
        name.now.get_or_insert_default().changes.push((Kept::Pending, change));
    }

    /// Are there changes of this file that were not synced?
    pub(crate) fn is_pending(&self, file: &str) -> bool {
        let content = self.names.get(file).and_then(|name| name.now.as_ref());
        content.is_some_and(|content| !content.changes.is_empty())
    }

    /// The files of one disk that may be there after a power cut at this moment.
    pub(crate) fn image(&self, leftovers: Leftovers, dice: &mut Dice) -> BTreeMap<String, Vec<u8>> {
        let mut image = BTreeMap::new();
        for (file, name) in &self.names {
            let may_be: Vec<Option<&Content>> = name
                .before
                .iter()
                .map(Option::as_ref)
                .chain([name.now.as_ref()])
                .collect();
            if let Some(content) = may_be[dice.index(may_be.len())] {
                image.insert(file.clone(), content.after_cut(leftovers, dice));
            }
        }
        image
    }
}

impl Content {
    fn end_sync(&mut self, succeeded: bool) {
        for (kept, _) in self.changes.iter_mut().take(self.covered) {
            *kept = match (*kept, succeeded) {
                (Kept::Pending, true) => Kept::Synced,
                (Kept::Pending, false) => Kept::Adrift,
                (other, _) => other,
            };
        }
        self.covered = 0;
        let synced = self.changes.iter().take_while(|(kept, _)| *kept == Kept::Synced);
        let synced = synced.count();
        for (_, change) in self.changes.drain(..synced) {
            apply(&mut self.synced, &change, None);
        }
    }

    fn after_cut(&self, leftovers: Leftovers, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let loose = self.changes.iter().filter(|(kept, _)| *kept != Kept::Synced).count();
        let odd = dice.index(loose.max(1));
        let mut number = 0;
        for (kept, change) in &self.changes {
            if *kept == Kept::Synced {
                apply(&mut bytes, change, None);
                continue;
            }
            let torn = |dice: &mut Dice| Some(0..dice.index(sectors(change) + 1));
            match leftovers {
                Leftovers::None => {}
                Leftovers::All => apply(&mut bytes, change, None),
                Leftovers::Prefix if number < odd => apply(&mut bytes, change, None),
                Leftovers::Prefix if number == odd => apply(&mut bytes, change, torn(dice)),
                Leftovers::Prefix => {}
                Leftovers::Some if dice.coin() => apply(&mut bytes, change, None),
                Leftovers::Some => {}
                Leftovers::Sectors => {
                    for sector in 0..sectors(change) {
                        if dice.coin() {
                            apply(&mut bytes, change, Some(sector..sector + 1));
                        }
                    }
                }
                Leftovers::AllButOne if number == odd => {}
                Leftovers::AllButOne => apply(&mut bytes, change, None),
            }
            number += 1;
        }
        bytes
    }
}

/// Sectors of the disk a change touches.
fn sectors(change: &Change) -> usize {
    match change {
        Change::Length(_) => 1,
        Change::Bytes(offset, bytes) => {
            let first = usize::try_from(*offset).expect("an offset") / SECTOR;
            let last = (usize::try_from(*offset).expect("an offset") + bytes.len()).div_ceil(SECTOR);
            last - first
        }
    }
}

/// Does a change, or those of its sectors that arrived.
fn apply(file: &mut Vec<u8>, change: &Change, arrived: Option<Range<usize>>) {
    match change {
        Change::Length(length) if arrived.as_ref().is_none_or(|sectors| !sectors.is_empty()) => {
            file.resize(usize::try_from(*length).expect("a length"), 0);
        }
        Change::Length(_) => {}
        Change::Bytes(offset, bytes) => {
            let offset = usize::try_from(*offset).expect("an offset");
            let first = offset / SECTOR;
            let (from, to) = match arrived {
                None => (offset, offset + bytes.len()),
                Some(sectors) if sectors.is_empty() => return,
                Some(sectors) => (
                    ((first + sectors.start) * SECTOR).max(offset),
                    ((first + sectors.end) * SECTOR).min(offset + bytes.len()),
                ),
            };
            if file.len() < to {
                file.resize(to, 0);
            }
            file[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &str, offset: u64, bytes: &[u8]) -> Step {
        Step::Write {
            file: file.into(),
            offset,
            bytes: bytes.to_vec(),
        }
    }

    fn sync(disk: &mut Disk, file: &str, succeeded: bool) {
        let folder = Path::new("/d");
        disk.take(&Step::SyncBegun { file: file.into() }, folder);
        disk.take(
            &Step::SyncEnded {
                file: file.into(),
                succeeded,
            },
            folder,
        );
    }

    #[test]
    fn only_what_was_synced_must_be_there() {
        let (mut disk, mut dice, folder) = (Disk::default(), Dice(1), Path::new("/d"));
        disk.take(&write("/d/ledger.db", 0, b"synced"), folder);
        sync(&mut disk, "/d/ledger.db", true);
        disk.take(&write("/d/ledger.db", 6, b"pending"), folder);
        let of = |image: BTreeMap<String, Vec<u8>>| image.get("ledger.db").cloned();
        assert_eq!(of(disk.image(Leftovers::None, &mut dice)).unwrap(), b"synced");
        assert_eq!(of(disk.image(Leftovers::All, &mut dice)).unwrap(), b"syncedpending");
        sync(&mut disk, "/d/ledger.db", true);
        assert_eq!(of(disk.image(Leftovers::None, &mut dice)).unwrap(), b"syncedpending");
    }

    #[test]
    fn a_failed_sync_loses_what_no_later_sync_brings_back() {
        let (mut disk, mut dice, folder) = (Disk::default(), Dice(1), Path::new("/d"));
        disk.take(&write("/d/ledger.db", 0, b"a"), folder);
        sync(&mut disk, "/d/ledger.db", true);
        disk.take(&write("/d/ledger.db", 1, b"b"), folder);
        sync(&mut disk, "/d/ledger.db", false);
        disk.take(&write("/d/ledger.db", 2, b"c"), folder);
        sync(&mut disk, "/d/ledger.db", true);
        assert_eq!(disk.image(Leftovers::None, &mut dice)["ledger.db"], b"a\0c");
        disk.take(&write("/d/ledger.db", 1, b"b"), folder);
        sync(&mut disk, "/d/ledger.db", true);
        assert_eq!(disk.image(Leftovers::None, &mut dice)["ledger.db"], b"abc");
    }

    #[test]
    fn a_name_may_be_what_it_was_until_its_file_is_synced() {
        let (mut disk, mut dice, folder) = (Disk::default(), Dice(1), Path::new("/d"));
        disk.take(&write("/d/ledger.db-wal", 0, b"old"), folder);
        sync(&mut disk, "/d/ledger.db-wal", true);
        let file = "/d/ledger.db-wal".into();
        disk.take(&Step::Removed { file }, folder);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..50 {
            seen.insert(disk.image(Leftovers::All, &mut dice).contains_key("ledger.db-wal"));
        }
        assert_eq!(seen.len(), 2, "there or gone");
        disk.take(&write("/d/ledger.db-wal", 0, b"new"), folder);
        sync(&mut disk, "/d/ledger.db-wal", true);
        for _ in 0..50 {
            assert_eq!(disk.image(Leftovers::None, &mut dice)["ledger.db-wal"], b"new");
        }
    }
}
