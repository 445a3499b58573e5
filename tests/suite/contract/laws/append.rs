//! The laws of append, each on a stream of its own so that they run on any open ledger.

use aggregates::ids::TenantId;
use projections::db::{Db, StoreKind};
use projections::log::{load_streams, read_event, read_page, read_stream};
use subledger::ledger::{
    self, ApiClaim, EVENTS_MAX, ITEMS_MAX, Item, LedgerError, OutboxRow, Outcome, SideRow, content_hash,
};
use subledger::outbox;
use uuid::Uuid;

use super::*;
use crate::support;

/// All laws, on whatever store `db` is.
pub(super) async fn laws(db: &Db) {
    what_was_appended_is_read_back_byte_for_byte(db).await;
    an_acknowledged_append_is_durable(db).await;
    the_same_key_is_answered_with_the_first_receipt(db).await;
    a_key_used_for_another_request_is_refused(db).await;
    a_taken_sequence_is_a_conflict_and_leaves_nothing(db).await;
    a_batch_over_streams_of_one_part_is_one_transaction(db).await;
    one_done_item_undoes_the_rest_of_its_batch(db).await;
    a_key_twice_in_one_batch_is_cut(db).await;
    nothing_to_record_is_remembered_too(db).await;
    effects_know_the_position_of_their_cause(db).await;
    side_rows_never_go_back(db).await;
    an_answer_is_kept_for_its_key(db).await;
    limits_and_foreign_parts_are_refused(db).await;
    whole(db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold_on_every_store() {
    for store in support::stores().await {
        let db = open(&store).await;
        laws(&db).await;
        db.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold_over_two_databases() {
    let (Some(even), Some(odd)) = (TestStore::postgres().await, TestStore::postgres().await) else {
        return;
    };
    let mut config = config(&even);
    config.urls.push(odd.url().unwrap().to_owned());
    let db = Db::open(&config).await.unwrap();
    laws(&db).await;
    for part in 0..8 {
        assert_eq!(
            count(&db, part, "select count(*) from events where part % 2 = 1").await > 0,
            part % 2 == 1,
            "odd parts live in the second database only"
        );
    }
    db.close().await;
}

async fn one(db: &Db, item: Item) -> Result<Outcome, LedgerError> {
    let part = item.appends.first().map_or(0, |append| part(db, &append.stream));
    let mut outcomes = ledger::append(db, part, vec![item], now()).await?;
    assert_eq!(outcomes.len(), 1);
    Ok(outcomes.remove(0))
}

fn appended(outcome: Outcome) -> (u64, u64) {
    match outcome {
        Outcome::Appended {
            first_position,
            last_position,
            ..
        } => (first_position, last_position),
        other => panic!("not appended: {other:?}"),
    }
}

async fn what_was_appended_is_read_back_byte_for_byte(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    let sent = item(stream.as_str(), &stream, 0, 45);
    let (first, last) = appended(one(db, sent.clone()).await.unwrap());
    assert_eq!(last - first, 44);
    let read = read_stream(db, part, TYPE, stream.as_str(), 0, 100).await.unwrap();
    assert_eq!(read.len(), 45);
    for ((event, sent), n) in read.iter().zip(&sent.appends[0].events).zip(1..) {
        assert_eq!((event.sequence, event.position), (n, first + n - 1));
        assert_eq!((&event.payload, &event.metadata), (&sent.payload, &sent.metadata));
        assert_eq!((event.event_id, event.occurred_at), (sent.event_id, sent.occurred_at));
        assert_eq!((event.recorded_at, event.tenant.as_deref()), (now(), Some("acme")));
        assert_eq!(
            event.content_hash,
            content_hash::of_stored(event),
            "the hash is over what is stored"
        );
    }
    assert_eq!(
        load_streams(db, part, &[(TYPE, stream.as_str()), (TYPE, stream.as_str())])
            .await
            .unwrap(),
        read
    );
    assert_eq!(read_page(db, part, first - 1, 45).await.unwrap(), read);
    assert_eq!(read_event(db, part, last).await.unwrap().as_ref(), read.last());
    assert_eq!(read_event(db, part, last + 1).await.unwrap(), None);
    assert_eq!(db.heads().known(part), last, "whoever waits in this process was told");
}

async fn an_acknowledged_append_is_durable(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    for n in 0..100 {
        let key = format!("durable-{stream}-{n}");
        let (_, last) = appended(one(db, item(&key, &stream, n, 1)).await.unwrap());
        let seen = read_event(db, part, last).await.unwrap();
        assert!(seen.is_some(), "acknowledged but not there: {key}");
    }
}

async fn the_same_key_is_answered_with_the_first_receipt(db: &Db) {
    let stream = fresh_stream();
    let sent = item(stream.as_str(), &stream, 0, 2);
    let positions = appended(one(db, sent.clone()).await.unwrap());
    for _ in 0..2 {
        let Outcome::Replayed(stored) = one(db, sent.clone()).await.unwrap() else {
            panic!("not replayed");
        };
        assert_eq!(stored.positions, Some(positions));
    }
    let part = part(db, &stream);
    assert_eq!(
        read_stream(db, part, TYPE, stream.as_str(), 0, 9).await.unwrap().len(),
        2
    );
    let found = ledger::find_mark(db, part, "acct_1", stream.as_str()).await.unwrap();
    assert_eq!(found.unwrap().positions, Some(positions));
}

async fn a_key_used_for_another_request_is_refused(db: &Db) {
    let stream = fresh_stream();
    let mut sent = item(stream.as_str(), &stream, 0, 1);
    sent.mark.request_hash = Some([1; 32]);
    one(db, sent.clone()).await.unwrap();
    assert!(matches!(one(db, sent.clone()).await.unwrap(), Outcome::Replayed(_)));
    sent.mark.request_hash = Some([2; 32]);
    assert_eq!(one(db, sent).await.unwrap(), Outcome::KeyReused);
}

async fn a_taken_sequence_is_a_conflict_and_leaves_nothing(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    appended(one(db, item(stream.as_str(), &stream, 0, 3)).await.unwrap());
    let head = db.refresh_heads().await.unwrap();
    let key = format!("late-{stream}");
    let refused = one(db, item(&key, &stream, 2, 2)).await;
    assert!(matches!(refused, Err(LedgerError::Conflict)), "{refused:?}");
    assert_eq!(db.refresh_heads().await.unwrap(), head, "no position was used up");
    assert_eq!(ledger::find_mark(db, part, "acct_1", &key).await.unwrap(), None);
    appended(one(db, item(&key, &stream, 3, 2)).await.unwrap());
}

async fn a_batch_over_streams_of_one_part_is_one_transaction(db: &Db) {
    let stream = fresh_stream();
    let (usage, other) = (beside(&stream, "usage#tokens"), beside(&stream, "other"));
    let part = part(db, &stream);
    let mut second = item(&format!("{stream}-2"), &usage, 0, 2);
    // A later item of the batch sees the events of an earlier one.
    second.appends.push(append_to(&stream, 1, 1));
    let batch = vec![
        item(&format!("{stream}-1"), &stream, 0, 1),
        second,
        Item::new(mark(&format!("{stream}-3"))),
        item(&format!("{stream}-4"), &other, 0, 1),
    ];
    let outcomes = ledger::append(db, part, batch.clone(), now()).await.unwrap();
    let base = appended(outcomes[0].clone()).0;
    let Outcome::Appended {
        first_position,
        last_position,
        sequences,
    } = &outcomes[1]
    else {
        panic!("{outcomes:?}");
    };
    assert_eq!(
        (*first_position, *last_position, sequences.as_slice()),
        (base + 1, base + 3, &[2, 2][..])
    );
    assert_eq!(outcomes[2], Outcome::NoChange);
    assert_eq!(appended(outcomes[3].clone()), (base + 4, base + 4));
    let again = ledger::append(db, part, batch, now()).await.unwrap();
    let positions: Vec<_> = again
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Replayed(stored) => stored.positions,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        positions,
        [
            Some((base, base)),
            Some((base + 1, base + 3)),
            None,
            Some((base + 4, base + 4))
        ]
    );
}

async fn one_done_item_undoes_the_rest_of_its_batch(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    appended(one(db, item(&format!("{stream}-done"), &stream, 0, 1)).await.unwrap());
    let batch = vec![
        item(&format!("{stream}-new"), &beside(&stream, "a"), 0, 1),
        item(&format!("{stream}-done"), &stream, 1, 1),
    ];
    let outcomes = ledger::append(db, part, batch.clone(), now()).await.unwrap();
    assert_eq!(outcomes[0], Outcome::Undone);
    assert!(matches!(outcomes[1], Outcome::Replayed(_)));
    assert_eq!(
        ledger::find_mark(db, part, "acct_1", &format!("{stream}-new"))
            .await
            .unwrap(),
        None
    );
    appended(one(db, batch[0].clone()).await.unwrap());
}

async fn a_key_twice_in_one_batch_is_cut(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    let first = item(stream.as_str(), &stream, 0, 1);
    let batch = vec![first.clone(), first, item(&format!("{stream}-2"), &stream, 1, 1)];
    let outcomes = ledger::append(db, part, batch, now()).await.unwrap();
    appended(outcomes[0].clone());
    assert_eq!(outcomes[1..], [Outcome::Undone, Outcome::Undone]);
}

async fn nothing_to_record_is_remembered_too(db: &Db) {
    let key = Uuid::now_v7().to_string();
    assert_eq!(one(db, Item::new(mark(&key))).await.unwrap(), Outcome::NoChange);
    let Outcome::Replayed(stored) = one(db, Item::new(mark(&key))).await.unwrap() else {
        panic!("not replayed");
    };
    assert_eq!(stored.positions, None);
}

fn effect(cause: Uuid, position: u64) -> OutboxRow {
    OutboxRow {
        outbox_id: Uuid::now_v7(),
        kind: "fetch".to_owned(),
        body: "{\"b\": 1}".to_owned(),
        cause_event_id: cause,
        cause_position: position,
        next_at: now(),
    }
}

async fn effects_know_the_position_of_their_cause(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    let mut sent = item(stream.as_str(), &stream, 0, 3);
    let inside = effect(sent.appends[0].events[1].event_id, 0);
    let outside = effect(Uuid::now_v7(), 7);
    sent.outbox = vec![inside.clone(), outside.clone()];
    let (first, _) = appended(one(db, sent).await.unwrap());
    let mut silent = item(&format!("{stream}-silent"), &stream, 3, 0);
    let alone = effect(Uuid::now_v7(), 9);
    silent.outbox = vec![alone.clone()];
    assert_eq!(one(db, silent).await.unwrap(), Outcome::NoChange);
    let open = outbox::list_open(db, part, 500).await.unwrap();
    let position = |row: &OutboxRow| open.iter().find(|e| e.outbox_id == row.outbox_id).unwrap().position;
    assert_eq!(
        (position(&inside), position(&outside), position(&alone)),
        (first + 1, 7, 9)
    );
}

fn person(stream: &StreamId, value: &str, seconds: i64) -> SideRow {
    SideRow::Person {
        stream: stream.clone(),
        field: "email".to_owned(),
        value: Some(value.to_owned()),
        as_of: now().plus_seconds(seconds),
    }
}

async fn side_rows_never_go_back(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    let mut sent = item(stream.as_str(), &stream, 0, 1);
    sent.sides = vec![
        person(&stream, "new@x.test", 5),
        person(&stream, "old@x.test", 1),
        SideRow::TenantProfile {
            tenant: TenantId::parse("acme").unwrap(),
            stream: stream.clone(),
            name: Some("Acme".to_owned()),
            email: None,
            currency: Some("eur".to_owned()),
            metadata: "{}".to_owned(),
        },
    ];
    appended(one(db, sent).await.unwrap());
    let mut late = item(&format!("{stream}-late"), &stream, 1, 1);
    late.sides = vec![person(&stream, "older@x.test", 2)];
    appended(one(db, late).await.unwrap());
    let sql = match db.kind() {
        StoreKind::Sqlite => "select value from person where part = ?1 and stream_id = ?2",
        StoreKind::Postgres => "select value from person where part = $1 and stream_id = $2",
    };
    let values: Vec<String> = match db.pool_for(part) {
        Pool::Sqlite(pool) => sqlx::query_scalar(sql)
            .bind(part)
            .bind(stream.as_str())
            .fetch_all(pool)
            .await
            .unwrap(),
        Pool::Postgres(pool) => {
            let query = sqlx::query_scalar(sql)
                .bind(i32::try_from(part).unwrap())
                .bind(stream.as_str());
            query.fetch_all(pool).await.unwrap()
        }
    };
    assert_eq!(values, ["new@x.test"]);
}

async fn an_answer_is_kept_for_its_key(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    let mut sent = item(stream.as_str(), &stream, 0, 1);
    sent.api = Some(ApiClaim {
        scope: "key:1 PUT /v1/tenants/acme".to_owned(),
        key: stream.to_string(),
        request_hash: [3; 32],
        command_id: Uuid::now_v7(),
        expires_at: now().plus_seconds(10),
    });
    let claim = sent.api.clone().unwrap();
    appended(one(db, sent).await.unwrap());
    let find = |at| ledger::find_answer(db, part, &claim.scope, &claim.key, at);
    let running = find(now()).await.unwrap().expect("a claim");
    assert_eq!((running.status, running.request_hash), (None, vec![3; 32]));
    let body = Some("{\"id\": \"acme\"}".to_owned());
    ledger::settle_answer(db, part, &claim.scope, &claim.key, 201, body.clone())
        .await
        .unwrap();
    let done = find(now()).await.unwrap().expect("an answer");
    assert_eq!((done.status, done.body), (Some(201), body));
    assert_eq!(find(now().plus_seconds(11)).await.unwrap(), None);
    assert!(ledger::forget_expired(db, part, now().plus_seconds(11)).await.unwrap() >= 1);
}

async fn limits_and_foreign_parts_are_refused(db: &Db) {
    let stream = fresh_stream();
    let part = part(db, &stream);
    let many: Vec<Item> = (0..=ITEMS_MAX)
        .map(|n| Item::new(mark(&format!("{stream}-{n}"))))
        .collect();
    assert!(matches!(
        ledger::append(db, part, many, now()).await,
        Err(LedgerError::Refused(_))
    ));
    let long = item(stream.as_str(), &stream, 0, EVENTS_MAX + 1);
    assert!(matches!(one(db, long).await, Err(LedgerError::Refused(_))));
    if db.parts() > 1 {
        let elsewhere = (part + 1) % db.parts();
        let sent = vec![item(stream.as_str(), &stream, 0, 1)];
        let refused = ledger::append(db, elsewhere, sent, now()).await;
        assert!(matches!(refused, Err(LedgerError::Refused(_))));
    }
    let full = item(stream.as_str(), &stream, 0, EVENTS_MAX);
    appended(one(db, full).await.unwrap());
}
