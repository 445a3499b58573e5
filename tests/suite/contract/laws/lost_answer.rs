//! The answer to COMMIT is lost on the wire: nobody knows what happened, until the same key is sent again.

use projections::log::read_stream;
use subledger::ledger::{self, Outcome};

use super::*;
use crate::support::proxy::Proxy;

/// 1. The append reaches the server, which commits; the proxy cuts the line before the answer comes back.
/// 2. The append is sent again by itself, with the same bytes, through the inbox mark.
/// 3. The mark is there: the answer is the stored receipt, and the effect happened once.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_commit_was_not_answered_is_done_once() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let proxy = Proxy::before(store.url().unwrap()).await;
    let mut config = config(&store);
    config.urls = vec![proxy.through(store.url().unwrap())];
    let db = Db::open(&config).await.unwrap();
    for (round, events) in [(1, 3), (2, 1), (3, 0)] {
        let stream = fresh_stream();
        let part = part(&db, &stream);
        proxy.lose_next_commit();
        let sent = vec![item(stream.as_str(), &stream, 0, events)];
        let outcomes = ledger::append(&db, part, sent, now()).await.unwrap();
        assert_eq!(proxy.lost(), round, "an answer was lost");
        let Outcome::Replayed(stored) = &outcomes[0] else {
            panic!("not the stored receipt: {outcomes:?}");
        };
        assert_eq!(stored.positions.is_some(), events > 0);
        assert_eq!(
            read_stream(&db, part, TYPE, stream.as_str(), 0, 9).await.unwrap().len(),
            events
        );
    }
    whole(&db).await;
    db.close().await;
}

/// Without the ledger's mark to ask, the class of the failure is told, so that a caller sends again and does not look.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_commit_is_told_from_a_lost_statement() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let proxy = Proxy::before(store.url().unwrap()).await;
    let mut config = config(&store);
    config.urls = vec![proxy.through(store.url().unwrap())];
    let db = Db::open(&config).await.unwrap();
    proxy.lose_next_commit();
    let lost = db
        .write(0, |_| Box::pin(async { Ok::<(), projections::db::DbError>(()) }))
        .await;
    assert_eq!(lost.unwrap_err().class, projections::db::Class::OutcomeUnknown);
    proxy.down();
    let refused = db
        .write(0, |_| Box::pin(async { Ok::<(), projections::db::DbError>(()) }))
        .await;
    assert_eq!(refused.unwrap_err().class, projections::db::Class::Connection);
    proxy.up();
}
