//! An event that cannot be folded stops what needs it, where it stands, and nothing else.

use aggregates::operation::OperationEvent;
use aggregates::partition::part_of;
use aggregates::recorded::{Actor, LedgerEvent};
use projections::checkpoint::{read_all, skip};
use projections::rebuild::{RebuildError, rebuild, stream_of as acts_on};
use projections::views::View;

use super::follow::{WAIT, caught_up, rebuild_and_compare, runner};
use super::told::{Pen, events_of, new_event, now, open, stream_of, year};
use crate::support::stores;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_fold_stops_its_view_in_its_part_until_an_operator_skips() {
    for store in stores().await {
        let db = open(&store).await;
        let runner = runner(&db).await;
        let mut pen = Pen::default();
        let (bad, good) = (stream_of("bad", Some("bad")), stream_of("good", Some("good-tenant")));
        let told = events_of(&year("bad", Some("bad")), Some("bad"));
        pen.write(&db, &bad, Some("bad"), &told[..5]).await;
        let event = LedgerEvent::Subscription(told[5].event.clone());
        let mut newer = new_event(&event, now(), Actor::Operator, None);
        newer.event_version = 99;
        let (part, refused) = pen.put(&db, "subscription", &bad, Some("bad"), vec![newer]).await;
        let (_, last) = pen.write(&db, &bad, Some("bad"), &told[6..10]).await;
        let others = events_of(&year("good", Some("good-tenant")), Some("good-tenant"));
        let (other_part, other_last) = pen.write(&db, &good, Some("good-tenant"), &others).await;

        // The index needs no payload and goes on; so do other parts.
        let progress = runner.progress().clone();
        assert!(progress.wait_for(View::Audit, part, last, WAIT).await);
        if other_part != part {
            assert!(progress.wait_for(View::Status, other_part, other_last, WAIT).await);
        }
        assert!(progress.wait_for(View::Status, part, refused - 1, WAIT).await);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(progress.freshness(View::Status, part).position, refused - 1);
        assert!(progress.lag(View::Status) > 0 && progress.freshness(View::Status, part).age_micros > 0);
        let stopped = read_all(&db).await.unwrap();
        let stopped = stopped
            .iter()
            .find(|c| c.view == View::Status && c.part == part)
            .unwrap();
        let reason = stopped.stopped_reason.as_deref().unwrap();
        assert!(
            reason.contains(&format!("position {refused}")) && reason.contains("99"),
            "{reason}"
        );

        // A rebuild stops there as well: it never skips by itself.
        let failed = rebuild(&db, &progress, &[View::Quota], std::sync::Arc::default()).await;
        assert!(
            matches!(failed, Err(RebuildError::Fold { position, .. }) if position == refused),
            "{failed:?}"
        );

        // An operator skips, which is recorded, and a rebuild goes past the same event.
        for view in View::ALL.into_iter().filter(|view| view.accounts_only()) {
            let act = OperationEvent::ProjectionSkipped {
                projection: view.name().into(),
                part,
                position: refused,
                reason: "test".into(),
            };
            let event = new_event(&LedgerEvent::Operation(act), now(), Actor::Operator, None);
            pen.put(&db, "operation", &acts_on(view).unwrap(), None, vec![event])
                .await;
            assert!(skip(&db, view, part, refused).await.unwrap());
            assert!(!skip(&db, view, part, refused).await.unwrap(), "skipped twice");
        }
        runner.look_again();
        caught_up(&db, &runner).await;
        assert_eq!(part, part_of(&bad, db.parts()));
        let row = runner.cache().status(part, bad.as_str()).await.unwrap().value.unwrap();
        assert_eq!(row.sequence, 10);
        rebuild_and_compare(&db, &runner, &View::ALL).await;
        runner.stop().await;
        db.close().await;
    }
}
