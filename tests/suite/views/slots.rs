//! Readers move between slots: what they get is never older than what it says, and never pulled away under them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use projections::db::Db;
use projections::query::row;
use projections::rebuild::rebuild;
use projections::rebuild::swap::swap;
use projections::runner::Progress;
use projections::status::Status;
use projections::table::Key;
use projections::views::View;

use super::follow::{caught_up, change, runner};
use super::told::{Pen, events_of, open, stream_of, year};
use crate::support::stores;

/// Times readers are moved to and fro.
const MOVES: usize = 12;

/// Reads the one account of a part until told to stop; gives the first answer older than it says, and the number read.
async fn read_on(
    db: Db,
    progress: Progress,
    part: u32,
    stream: String,
    stop: Arc<AtomicBool>,
) -> (Option<(u64, u64)>, u64) {
    let (key, mut count) = (Key::stream(&stream), 0);
    while !stop.load(Ordering::Relaxed) {
        let answer = row::<Status>(&db, &progress, View::Status, part, &key).await;
        let answer = answer.expect("an answer");
        let found = answer.value.map_or(0, |row| row.position);
        if found < answer.freshness.position {
            return (Some((found, answer.freshness.position)), count);
        }
        count += 1;
    }
    (None, count)
}

/// The slot readers come from holds the whole log, the one they go to stands still in the middle: at no moment may an
/// answer bear the position of the one and the row of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_never_older_than_its_position_while_readers_move() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        let (mut pen, stream) = (Pen::default(), stream_of("m", Some("mover")));
        let told = events_of(&year("m", Some("mover")), Some("mover"));
        let (part, _) = pen.write(&db, &stream, Some("mover"), &told[..8]).await;
        caught_up(&db, &runner).await;
        let progress = runner.progress();
        rebuild(&db, progress, &[View::Status], Arc::new(AtomicU64::new(0)))
            .await
            .expect("a rebuild");
        // Before the loop may take it up: the other slot stands still.
        let stand = "update projection_checkpoint set stopped_reason = 'a test' where name = 'status' and slot = 1";
        for each in 0..db.parts() {
            change(&db, each, stand).await;
        }
        runner.look_again();
        pen.write(&db, &stream, Some("mover"), &told[8..16]).await;
        caught_up(&db, &runner).await;

        let stop = Arc::new(AtomicBool::new(false));
        let reader = tokio::spawn(read_on(
            db.clone(),
            progress.clone(),
            part,
            stream.to_string(),
            Arc::clone(&stop),
        ));
        for nth in 0..MOVES {
            let to = 1 - nth % 2;
            let sql = [
                "update projection_active set slot = 0 where name = 'status'",
                "update projection_active set slot = 1 where name = 'status'",
            ][to];
            change(&db, 0, sql).await;
            runner.look_again();
            for _ in 0..200 {
                if usize::from(progress.slot(View::Status)) == to {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(usize::from(progress.slot(View::Status)), to, "readers did not move");
        }
        stop.store(true, Ordering::Relaxed);
        let (older, count) = reader.await.expect("the reader");
        assert_eq!(older, None, "a row older than its position, after {count} answers");
        assert!(count > 0);
        runner.stop().await;
        db.close().await;
    }
}

/// An operator swaps, and asks for the next rebuild before this process has looked at the slots again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_right_after_a_swap_leaves_the_slot_of_the_readers_alone() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        let (mut pen, stream) = (Pen::default(), stream_of("n", Some("next")));
        let told = events_of(&year("n", Some("next")), Some("next"));
        let (part, _) = pen.write(&db, &stream, Some("next"), &told).await;
        caught_up(&db, &runner).await;
        let progress = runner.progress();
        let fill = || rebuild(&db, progress, &[View::Status], Arc::new(AtomicU64::new(0)));
        fill().await.expect("a rebuild");
        let swapped = swap(&db, progress, View::Status, true).await.expect("equal slots");
        assert_eq!(swapped.slot, 1);
        change(&db, part, "update status_1 set plan = 'as the readers have it'").await;
        fill().await.expect("the next rebuild");
        let sql = "select count(*) from status_1 where plan = 'as the readers have it'";
        let kept: i64 = match db.pool_for(part) {
            projections::db::Pool::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            projections::db::Pool::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
        };
        assert_eq!(kept, 1, "the slot of the readers was emptied and filled again");
        runner.stop().await;
        db.close().await;
    }
}
