//! Sixteen writers and a reader: the reader passes no position it has not seen, whatever commits or rolls back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use projections::db::Db;
use projections::log::{StoredEvent, read_page};
use subledger::ledger::{Item, LedgerError, Outcome, append};

use super::{assert_dense, events, item, log_of, mark, now, stream_in};

const WRITERS: usize = 16;
const APPENDS: usize = 40;

/// Appends batches of one to four streams; every fifth fails on purpose, so that its transaction rolls back.
async fn write(db: Db, writer: usize, parts: u32, written: Arc<AtomicU64>) {
    let mut sequences: BTreeMap<String, u64> = BTreeMap::new();
    for turn in 0..APPENDS {
        let part = u32::try_from((writer * 7 + turn * 3) % parts as usize).expect("a part");
        let mut parcel = Item::new(mark(&format!("{writer}-{turn}")));
        for number in 0..1 + (writer + turn) % 4 {
            let stream = stream_in(part, parts, writer * 10 + number);
            let sequence = sequences.entry(stream.to_string()).or_insert(0);
            let wrong = turn % 5 == 4 && number == 0;
            let expected = if wrong && *sequence > 0 {
                *sequence - 1
            } else {
                *sequence
            };
            parcel.appends.push(events(&stream, expected, 1 + turn % 3));
        }
        tokio::time::sleep(Duration::from_micros(((writer * 37 + turn * 91) % 3_000) as u64)).await;
        match append(&db, part, vec![parcel.clone()], now()).await {
            Ok(outcomes) => {
                let Outcome::Appended {
                    first_position,
                    last_position,
                    ..
                } = outcomes[0]
                else {
                    panic!("{outcomes:?}")
                };
                written.fetch_add(last_position - first_position + 1, Ordering::SeqCst);
                for stream in &parcel.appends {
                    *sequences.get_mut(stream.stream.as_str()).expect("known") += stream.events.len() as u64;
                }
            }
            Err(LedgerError::Conflict) => {
                assert_eq!(turn % 5, 4, "a conflict nobody asked for");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Follows one part until the writers have ended and nothing is left; answers all it saw, in the order it saw it.
async fn follow(db: Db, part: u32, running: Arc<AtomicUsize>) -> Vec<StoredEvent> {
    let mut seen: Vec<StoredEvent> = Vec::new();
    loop {
        let ended = running.load(Ordering::SeqCst) == 0;
        let after = seen.last().map_or(0, |event| event.position);
        let page = read_page(&db, part, after, 50).await.expect("a page");
        if page.is_empty() && ended {
            return seen;
        }
        seen.extend(page);
        tokio::task::yield_now().await;
    }
}

async fn race(db: Db, parts: u32) {
    let running = Arc::new(AtomicUsize::new(WRITERS));
    let written = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..parts)
        .map(|part| tokio::spawn(follow(db.clone(), part, Arc::clone(&running))))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (db, written, running) = (db.clone(), Arc::clone(&written), Arc::clone(&running));
            tokio::spawn(async move {
                write(db, writer, parts, written).await;
                running.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let mut total = 0;
    for (part, reader) in readers.into_iter().enumerate() {
        let seen = reader.await.expect("a reader");
        assert_dense(&seen);
        let part = u32::try_from(part).expect("a part");
        assert_eq!(
            seen,
            log_of(&db, part).await,
            "the reader saw something else than the log holds"
        );
        total += seen.len() as u64;
    }
    assert_eq!(
        total,
        written.load(Ordering::SeqCst),
        "acknowledged events and events in the log"
    );
    let heads: u64 = db.refresh_heads().await.expect("heads").into_iter().sum();
    assert_eq!(heads, total, "heads and events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_beside_sixteen_writers_sees_every_position_once() {
    for parts in [1, 16, 64] {
        for (_store, db) in super::ledgers(parts).await {
            let parts = db.parts();
            race(db.clone(), parts).await;
            db.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_writers_on_one_account_lose_no_update() {
    for (_store, db) in super::ledgers(16).await {
        let parts = db.parts();
        let stream = stream_in(0, parts, 1);
        let writers: Vec<_> = (0..64)
            .map(|writer| {
                let (db, stream) = (db.clone(), stream.clone());
                tokio::spawn(async move {
                    // Load, decide, append, and again on a conflict, as a lane does.
                    loop {
                        let name = [("subscription", stream.as_str())];
                        let known = projections::log::load_streams(&db, 0, &name)
                            .await
                            .expect("a stream")
                            .len();
                        let one = item(&format!("w{writer}"), events(&stream, known as u64, 1));
                        match append(&db, 0, vec![one], now()).await {
                            Ok(outcomes) => return assert!(matches!(outcomes[0], Outcome::Appended { .. })),
                            Err(LedgerError::Conflict) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("a writer");
        }
        let log = log_of(&db, 0).await;
        assert_eq!(log.len(), 64);
        assert_dense(&log);
        db.close().await;
    }
}
