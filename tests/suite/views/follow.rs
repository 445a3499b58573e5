//! Live: a view holds what folding the log gives, after every batch, restart and race.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aggregates::subscription::AccountState;
use projections::db::Db;
use projections::rebuild::{rebuild, swap::swap};
use projections::runner::{Role, Runner};
use projections::views::View;

use super::told::{Pen, events_of, now, open, stream_of, year};
use crate::support::stores;

/// Longest wait for views: a loaded machine folds a few events in milliseconds.
pub(super) const WAIT: Duration = Duration::from_secs(20);

pub(super) async fn runner(db: &Db) -> Runner {
    Runner::start(db, Role::Fold, Arc::new(now)).await.expect("a runner")
}

pub(super) async fn caught_up(db: &Db, runner: &Runner) {
    let heads = db.refresh_heads().await.expect("heads");
    for (part, head) in (0_u32..).zip(heads) {
        for view in View::ALL {
            assert!(
                runner.progress().wait_for(view, part, head, WAIT).await,
                "{} waits in part {part}",
                view.name()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_follow_the_log_and_a_rebuild_gives_the_same_rows() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        let mut pen = Pen::default();
        for n in 0..6 {
            let (name, tenant) = (format!("v{n}"), format!("tenant-{n}"));
            let tenant = (n % 3 != 2).then_some(tenant.as_str());
            let told = events_of(&year(&name, tenant), tenant);
            assert!(told.len() > 15, "{} events", told.len());
            let stream = stream_of(&name, tenant);
            for some in told.chunks(4) {
                pen.write(&db, &stream, tenant, some).await;
            }
            caught_up(&db, &runner).await;
            let part = aggregates::partition::part_of(&stream, db.parts());
            let row = runner
                .cache()
                .status(part, stream.as_str())
                .await
                .expect("a row")
                .value
                .expect("an account");
            let truth = AccountState::of(told.iter().map(|it| &it.event));
            assert_eq!((&row.book.account, &row.book.life), (&truth.account, &truth.life));
            assert_eq!(row.sequence, told.len() as u64);
            let row = runner
                .cache()
                .entitlements(part, stream.as_str())
                .await
                .expect("a row")
                .value
                .expect("an account");
            assert_eq!(row.holdings.life.subscriptions, truth.life.subscriptions);
        }
        rebuild(&db, runner.progress(), &View::ALL, Arc::new(AtomicU64::new(0)))
            .await
            .expect("a rebuild");
        runner.look_again();
        for view in View::ALL {
            let swapped = swap(&db, runner.progress(), view, true).await.expect("equal slots");
            assert_eq!((swapped.slot, swapped.compared), (1, db.parts()));
        }
        runner.look_again();
        runner.stop().await;
        db.close().await;
    }
}
