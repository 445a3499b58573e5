//! Holds the leases of a process: takes what is free, renews, gives back at the end.

use std::collections::BTreeMap;

use projections::db::Db;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Lease, RENEW_EVERY, Role, TTL, give_back, renew, take};

/// Parts held, with their fences.
type Held = BTreeMap<u32, u64>;

/// Keeps taking and renewing until stopped.
pub struct Keeper {
    held: watch::Receiver<Held>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Takes what it can of all parts at once, then in the background. `owner` is the stable name of the instance.
    pub async fn start(db: Db, role: Role, owner: String) -> Self {
        let (told, held) = watch::channel(Held::new());
        let (stop, stopped) = oneshot::channel();
        let mut round = Round { db, role, owner, told };
        round.run(&mut Vec::new()).await;
        let task = tokio::spawn(round.until(stopped));
        Self { held, stop, task }
    }

    /// The fence under which this process works on `part`, if it does.
    #[must_use]
    pub fn fence(&self, part: u32) -> Option<u64> {
        self.held.borrow().get(&part).copied()
    }

    /// Follows what is held.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Held> {
        self.held.clone()
    }

    /// Gives everything back and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

struct Round {
    db: Db,
    role: Role,
    owner: String,
    told: watch::Sender<Held>,
}

impl Round {
    async fn until(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut held = self.leases();
        let mut renewed_at = Instant::now();
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            let started = Instant::now();
            if self.run(&mut held).await {
                renewed_at = started;
            } else if renewed_at.elapsed() >= TTL {
                // Nobody answered for a whole term: others may hold them by now.
                held.clear();
                self.tell(&held);
            }
        }
        if let Err(error) = give_back(&self.db, &held, self.role, &self.owner).await {
            tracing::warn!(error = %error, "leases were not given back; others take them when they expire");
        }
        let _ = self.told.send(Held::new());
    }

    fn leases(&self) -> Vec<Lease> {
        self.told
            .borrow()
            .iter()
            .map(|(part, fence)| Lease {
                part: *part,
                fence: *fence,
            })
            .collect()
    }

    /// Renews, then takes what is missing; says whether the store answered.
    async fn run(&mut self, held: &mut Vec<Lease>) -> bool {
        let done = async {
            let mut now = renew(&self.db, held, self.role, &self.owner, TTL).await?;
            let missing: Vec<u32> = (0..self.db.parts())
                .filter(|part| now.iter().all(|lease| lease.part != *part))
                .collect();
            now.extend(take(&self.db, &missing, self.role, &self.owner, TTL).await?);
            Ok::<_, projections::db::DbError>(now)
        };
        match done.await {
            Ok(now) => {
                *held = now;
                self.tell(held);
                true
            }
            Err(error) => {
                tracing::warn!(error = %error, "leases were not renewed");
                false
            }
        }
    }

    fn tell(&self, held: &[Lease]) {
        let held: Held = held.iter().map(|lease| (lease.part, lease.fence)).collect();
        self.told.send_if_modified(|known| {
            let changed = *known != held;
            if changed {
                *known = held;
            }
            changed
        });
    }
}
