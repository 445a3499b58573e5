//! Server-sent events: what is recorded, told to whoever listens, as it is recorded.
//!
//! 1. A [`hub`] follows the log for all streams of a kind at once. It goes no further than the views have come, so who
//!    reads on receipt never finds older data than what he was told.
//! 2. Each stream has a buffer of its own. Who is too slow for it gets one `reset` and then what is new.
//! 3. Who comes back with the id of the last event gets what he missed from the log, then what is new: nothing is left
//!    out and nothing comes twice.
//! 4. A [`connection`] turns it into text, says every 15 s that it lives, and ends after an hour, with its credential,
//!    or when the process stops.

pub mod connection;
pub mod frame;
pub mod hub;
pub mod wanted;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use projections::db::Db;
use projections::runner::Progress;
use projections::views::View;

use self::hub::Hub;
use super::metrics::HttpMetrics;
use super::problem::{Answer, Problem, ProblemKind};

/// Streams of one tenant, and of one caller over all tenants, in this process: a few people with a few pages each.
pub const STREAMS_PER_TENANT_MAX: usize = 20;
/// Streams of the process: with full buffers of common events they take some 150 MB.
pub const STREAMS_MAX: usize = 1_000;
/// Seconds after which a caller with too many may try again: a closed page's stream is found closed by then.
const RETRY_SECONDS: u32 = 15;

/// Views that an account's events concern.
const OF_ACCOUNTS: &[View] = &[
    View::Status,
    View::Entitlements,
    View::Quota,
    View::Invoices,
    View::Money,
];
/// The view that lists every event.
const OF_AUDIT: &[View] = &[View::Audit];

/// All streams of this process.
pub struct Streams {
    /// Of one account each.
    pub accounts: Hub,
    /// Over the whole log.
    pub audit: Hub,
    seats: Arc<Seats>,
}

struct Seats {
    open: Mutex<HashMap<String, usize>>,
    metrics: Arc<HttpMetrics>,
}

/// The right to hold one stream open, given back when dropped.
pub struct Seat {
    seats: Arc<Seats>,
    holder: String,
}

impl Streams {
    /// Of a ledger whose views come as far as `progress` says.
    #[must_use]
    pub fn new(db: &Db, progress: &Progress, metrics: &Arc<HttpMetrics>) -> Self {
        let hub = |reads, views| Hub::new(db.clone(), progress.clone(), (reads, views), Arc::clone(metrics));
        Self {
            accounts: hub(hub::Reads::Accounts, OF_ACCOUNTS),
            audit: hub(hub::Reads::Index, OF_AUDIT),
            seats: Arc::new(Seats {
                open: Mutex::default(),
                metrics: Arc::clone(metrics),
            }),
        }
    }

    /// A seat for one more stream of `holder`.
    pub fn seat(&self, holder: String) -> Answer<Seat> {
        let mut open = self.seats.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&holder).copied().unwrap_or_default();
        if own >= STREAMS_PER_TENANT_MAX || all >= STREAMS_MAX {
            let detail = format!("{own} streams are open already; close one, or share one between your pages");
            return Err(Problem::new(ProblemKind::RateLimited, detail).retry_after(RETRY_SECONDS));
        }
        open.insert(holder.clone(), own + 1);
        self.seats.metrics.streams_open(all + 1);
        Ok(Seat {
            seats: Arc::clone(&self.seats),
            holder,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.seats.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.holder);
            }
        }
        self.seats.metrics.streams_open(open.values().sum());
    }
}
