//! Live: a view holds what folding the log gives, after every batch, restart and race.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aggregates::subscription::AccountState;
use projections::db::{Conn, Db, DbError};
use projections::rebuild::rebuild;
use projections::rebuild::swap::{SwapError, swap};
use projections::runner::{POLL, Role, Runner};
use projections::views::View;

use super::told::{Pen, events_of, now, open, stream_of, year};
use crate::support::stores;

/// Longest wait for views: a loaded machine folds a few events in milliseconds.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

pub(crate) async fn runner(db: &Db) -> Runner {
    Runner::start(db, Role::Fold, POLL, Arc::new(now))
        .await
        .expect("a runner")
}

pub(crate) async fn caught_up(db: &Db, runner: &Runner) {
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

/// Rebuilds views and swaps, which refuses rows that differ from the live ones by a byte; readers go on.
pub(crate) async fn rebuild_and_compare(db: &Db, runner: &Runner, views: &[View]) {
    let progress = runner.progress();
    rebuild(db, progress, views, Arc::new(AtomicU64::new(0)))
        .await
        .expect("a rebuild");
    runner.look_again();
    for view in views {
        let to = 1 - progress.slot(*view);
        let swapped = swap(db, progress, *view, true).await.expect("equal slots");
        assert_eq!((swapped.slot, swapped.compared), (to, db.parts()));
    }
    runner.look_again();
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
        rebuild_and_compare(&db, &runner, &View::ALL).await;
        runner.stop().await;
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_swap_only_to_a_slot_that_is_whole_and_says_the_same_and_can_go_back() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        let (mut pen, stream) = (Pen::default(), stream_of("s", Some("swap")));
        let told = events_of(&year("s", Some("swap")), Some("swap"));
        let (part, _) = pen.write(&db, &stream, Some("swap"), &told[..12]).await;
        caught_up(&db, &runner).await;
        let progress = runner.progress();
        let refused = swap(&db, progress, View::Status, true)
            .await
            .expect_err("nothing was filled");
        assert!(matches!(refused, SwapError::NotFilled { .. }), "{refused}");

        rebuild(&db, progress, &[View::Status], Arc::new(AtomicU64::new(0)))
            .await
            .expect("a rebuild");
        runner.look_again();
        change(&db, part, "update status_1 set plan = 'gold'").await;
        let refused = swap(&db, progress, View::Status, true)
            .await
            .expect_err("the slots differ");
        assert!(
            matches!(refused, SwapError::Differs { part: at, .. } if at == part),
            "{refused}"
        );
        change(
            &db,
            part,
            "update projection_checkpoint set version = 77 where slot = 1 and name = 'status'",
        )
        .await;
        let refused = swap(&db, progress, View::Status, true)
            .await
            .expect_err("another version");
        assert!(
            matches!(refused, SwapError::OtherVersion { found: 77, .. }),
            "{refused}"
        );
        change(
            &db,
            part,
            "delete from projection_checkpoint where slot = 1 and name = 'status'",
        )
        .await;

        // Only the part that lost its checkpoint is filled again; then both slots follow, and readers go and return.
        let done = Arc::new(AtomicU64::new(0));
        rebuild(&db, progress, &[View::Status], Arc::clone(&done))
            .await
            .expect("the rest of the rebuild");
        assert_eq!(done.load(std::sync::atomic::Ordering::Relaxed), 12);
        runner.look_again();
        for (slot, some) in [(1, &told[12..15]), (0, &told[15..18])] {
            assert_eq!(
                swap(&db, progress, View::Status, true).await.expect("equal slots").slot,
                slot
            );
            runner.look_again();
            let (_, last) = pen.write(&db, &stream, Some("swap"), some).await;
            assert!(progress.wait_for(View::Status, part, last, WAIT).await);
            let row = runner
                .cache()
                .status(part, stream.as_str())
                .await
                .expect("a row")
                .value
                .expect("an account");
            assert_eq!(row.position, last);
        }
        runner.stop().await;
        db.close().await;
    }
}

/// Runs SQL that both stores read alike, as another process or an operator would.
pub(super) async fn change(db: &Db, part: u32, sql: &'static str) {
    db.write(part, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(c) => sqlx::query(sql).execute(c).await.map(|_| ())?,
                Conn::Postgres(c) => sqlx::query(sql).execute(c).await.map(|_| ())?,
            }
            Ok::<_, DbError>(())
        })
    })
    .await
    .expect("a change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_catches_up_without_a_new_event_and_a_follower_sees_it() {
    for store in stores().await {
        let db = open(&store).await;
        let follower = Runner::start(&db, Role::Follow, POLL, Arc::new(now))
            .await
            .expect("a follower");
        let (mut pen, stream) = (Pen::default(), stream_of("f", Some("follow")));
        let told = events_of(&year("f", Some("follow")), Some("follow"));
        let (part, last) = pen.write(&db, &stream, Some("follow"), &told).await;
        assert!(
            !follower
                .progress()
                .wait_for(View::Status, part, last, Duration::from_millis(300))
                .await
        );
        assert!(
            follower
                .cache()
                .status(part, stream.as_str())
                .await
                .expect("an answer")
                .value
                .is_none()
        );
        let folding = runner(&db).await;
        assert!(folding.progress().wait_for(View::Status, part, last, WAIT).await);
        assert!(follower.progress().wait_for(View::Status, part, last, WAIT).await);
        let seen = follower.cache().status(part, stream.as_str()).await.expect("an answer");
        assert_eq!(
            (seen.value.expect("an account").position, seen.freshness.position),
            (last, last)
        );
        folding.stop().await;
        follower.stop().await;
        db.close().await;
    }
}

/// `worker.poll_ms`: a process that folds nothing itself learns of others' work by looking, as often as it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_looks_as_often_as_it_is_told() {
    for store in stores().await {
        let db = open(&store).await;
        let start = |poll| Runner::start(&db, Role::Follow, poll, Arc::new(now));
        let lazy = start(Duration::from_secs(3_600)).await.expect("a follower");
        let eager = start(Duration::from_millis(10)).await.expect("a follower");
        let folding = runner(&db).await;
        let (mut pen, stream) = (Pen::default(), stream_of("p", Some("poll")));
        let told = events_of(&year("p", Some("poll")), Some("poll"));
        let (part, last) = pen.write(&db, &stream, Some("poll"), &told[..4]).await;
        caught_up(&db, &folding).await;
        assert!(eager.progress().wait_for(View::Status, part, last, WAIT).await);
        assert!(
            lazy.progress().freshness(View::Status, part).position < last,
            "an hour has not passed"
        );
        for runner in [lazy, eager, folding] {
            runner.stop().await;
        }
        db.close().await;
    }
}
