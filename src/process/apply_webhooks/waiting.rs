//! Receipts parked for something by name, so that they are tried again the moment it appears.
//!
//! Only a shortcut: what is forgotten here (a restart, another process, too many names) is found by the sweep.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::inbox::ReceiptKey;
use crate::stripe::translate::Target;

/// Receipts remembered; more only wait for the sweep.
const RECEIPTS_MAX: usize = 10_000;

#[derive(Default)]
struct Inner {
    by_name: HashMap<Target, Vec<ReceiptKey>>,
    count: usize,
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Inner>);

impl Waiting {
    /// The receipt waits for this name.
    pub(super) fn add(&self, name: Target, key: ReceiptKey) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.count >= RECEIPTS_MAX {
            return;
        }
        let waiting = inner.by_name.entry(name).or_default();
        if !waiting.contains(&key) {
            waiting.push(key);
            inner.count += 1;
        }
    }

    /// Those who waited for names that are known now.
    pub(super) fn take(&self, names: &[Target]) -> Vec<ReceiptKey> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut woken = Vec::new();
        if inner.count > 0 {
            for name in names {
                woken.extend(inner.by_name.remove(name).unwrap_or_default());
            }
            inner.count -= woken.len();
        }
        woken
    }
}
