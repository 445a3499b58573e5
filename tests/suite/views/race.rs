//! Two workers on one ledger: whoever finds a checkpoint moved writes nothing.

use std::sync::Arc;

use aggregates::recorded::{Actor, LedgerEvent};
use aggregates::subscription::SubscriptionEvent;
use aggregates::subscription::seen::AccountOpened;
use projections::db::{Conn, Db, DbError};
use projections::projection::Projection;
use projections::query::row_of;
use projections::runner::Stepper;
use projections::status::Status;
use projections::table::Key;
use projections::views::View;

use super::follow::{caught_up, runner};
use super::told::{Pen, events_of, new_event, now, open, stream_of, year};
use crate::support::stores;

/// More than one page of one part.
const EVENTS: usize = 1_500;

async fn without_audit(db: &Db) {
    for part in 0..db.parts() {
        db.write(part, |conn| {
            Box::pin(async move {
                let sql = "delete from projection_checkpoint where name = 'audit'";
                match conn {
                    Conn::Sqlite(c) => sqlx::query(sql).execute(c).await.map(|_| ())?,
                    Conn::Postgres(c) => sqlx::query(sql).execute(c).await.map(|_| ())?,
                }
                Ok::<_, DbError>(())
            })
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_overtaken_writes_nothing() {
    for store in stores().await {
        let db = open(&store).await;
        drop(Stepper::new(&db, Arc::new(now)).await.unwrap());
        // The index of events would refuse a second row for one event by its key; the other views must not need that.
        without_audit(&db).await;
        // 1. Two workers look at the same checkpoints.
        let mut first = Stepper::new(&db, Arc::new(now)).await.unwrap();
        let mut second = Stepper::new(&db, Arc::new(now)).await.unwrap();
        let stream = stream_of("race", Some("race"));
        let mut pen = Pen::default();
        let opened = LedgerEvent::Subscription(SubscriptionEvent::AccountOpened(AccountOpened {
            tenant: None,
            currency: None,
        }));
        let mut place = (0, 0);
        for _ in 0..EVENTS / 500 {
            let events = (0..500)
                .map(|_| new_event(&opened, now(), Actor::Operator, None))
                .collect();
            place = pen.put(&db, "subscription", &stream, Some("race"), events).await;
        }
        // 2. The first goes to the end of the log.
        while first.round().await.unwrap() {}
        // 3. The second, which knows nothing of it, folds one page from where it stood.
        second.round().await.unwrap();
        // 4. The row is what the first wrote: the whole log, not the second's page.
        let key = Key::stream(stream.as_str());
        let row = row_of::<Status>(&db, 0, place.0, &key).await.unwrap().unwrap();
        assert_eq!(
            (row.sequence, row.position),
            (EVENTS as u64, place.1),
            "{} was written over",
            Status::NAME
        );
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_loops_that_race_end_with_what_the_log_says() {
    for store in stores().await {
        let db = open(&store).await;
        let (one, two) = (runner(&db).await, runner(&db).await);
        let mut pen = Pen::default();
        for n in 0..4 {
            let (name, tenant) = (format!("r{n}"), format!("racer-{n}"));
            let told = events_of(&year(&name, Some(&tenant)), Some(&tenant));
            for some in told.chunks(2) {
                pen.write(&db, &stream_of(&name, Some(&tenant)), Some(&tenant), some)
                    .await;
            }
        }
        caught_up(&db, &one).await;
        caught_up(&db, &two).await;
        two.stop().await;
        super::follow::rebuild_and_compare(&db, &one, &View::ALL).await;
        one.stop().await;
        db.close().await;
    }
}
