//! How fast views are rebuilt from zero, and how fast the loop follows, without the service around them.
//!
//! `cargo bench -p projections --bench rebuild -- <store url> [events] [accounts]` fills an empty ledger with copies of
//! one account's life, step by step over all accounts, so that neighbours on the log are strangers; a second call on
//! the same ledger measures. `tests/bench` measures the same through the real binary.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "a measuring program: it prints rates, and a failed measurement ends it"
)]

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use aggregates::ids::StreamId;
use aggregates::partition::part_of;
use aggregates::recorded::{Actor, LedgerEvent, Metadata};
use aggregates::subscription::SubscriptionEvent;
use aggregates::time::Timestamp;
use projections::db::{Conn, Db, DbConfig, DbError};
use projections::rebuild::rebuild;
use projections::runner::{POLL, Role, Runner};
use projections::views::View;
use serde_json::{Value, json};
use sqlx::{QueryBuilder, Sqlite};

/// Stands for an account's number in the model.
const MODEL: &str = "777777";
const START: i64 = 1_735_689_600;
const CHUNK: usize = 10_000;

fn now() -> Timestamp {
    Timestamp::from_chrono(chrono::Utc::now())
}

fn at(day: i64) -> String {
    Timestamp::from_seconds(START + day * 86_400)
        .expect("a time")
        .to_string()
}

fn subscription(day: i64, name: &str, quantity: u64, status: &str) -> Value {
    let period = json!({ "start": at(day / 30 * 30), "end": at(day / 30 * 30 + 30) });
    json!({ name: {
        "subscription": format!("sub_1PmKxT2eZvKYlo2C{MODEL}"),
        "seen": { "as_of": at(day), "rank": if day == 0 { "created" } else { "updated" } },
        "plans": { "price_1PmKxT2eZvKYpro": { "code": "pro", "version": 1 } },
        "snapshot": {
            "customer": format!("cus_{MODEL}"), "status": status,
            "items": [{ "item": format!("si_QdZ{MODEL}"), "price": "price_1PmKxT2eZvKYpro", "product": "prod_QdZabcdefgh",
                "quantity": quantity, "unit_amount_minor": 4900, "currency": "USD", "interval": "month",
                "interval_count": 1, "period": period }],
            "period": period, "discounts": [], "currency": "USD", "started_at": at(0), "anchor_at": at(0),
            "collection_method": "charge_automatically", "latest_invoice": format!("in_1Pm{}{MODEL}", day / 30),
            "payment_method": format!("pm_1PmKxT{MODEL}"), "billing_mode": "classic",
        },
    }})
}

fn invoice(day: i64, month: i64, name: &str, status: &str) -> Value {
    json!({ name: {
        "invoice": format!("in_1Pm{month}{MODEL}"),
        "seen": { "as_of": at(day), "rank": "updated" },
        "snapshot": {
            "customer": format!("cus_{MODEL}"), "subscription": format!("sub_1PmKxT2eZvKYlo2C{MODEL}"),
            "status": status, "number": format!("A1B2C3-{month:04}"), "billing_reason": "subscription_cycle",
            "collection_method": "charge_automatically", "currency": "USD", "subtotal_minor": 9800, "tax_minor": 0,
            "total_minor": 9800, "amount_due_minor": 9800,
            "amount_paid_minor": if status == "paid" { 9800 } else { 0 },
            "amount_remaining_minor": if status == "paid" { 0 } else { 9800 },
            "attempt_count": 1, "created_at": at(day), "finalized_at": at(day), "auto_advance": false,
            "period": { "start": at(month * 30), "end": at(month * 30 + 30) },
            "payment_intent": format!("pi_3Pm{month}{MODEL}"), "charge": format!("ch_3Pm{month}{MODEL}"),
            "lines": [{ "line": format!("il_1Pm{month}{MODEL}"), "kind": "subscription", "amount_minor": 9800,
                "price": "price_1PmKxT2eZvKYpro", "quantity": 2,
                "subscription": format!("sub_1PmKxT2eZvKYlo2C{MODEL}"), "item": format!("si_QdZ{MODEL}"),
                "period": { "start": at(month * 30), "end": at(month * 30 + 30) } }],
        },
    }})
}

fn charge(day: i64, month: i64) -> Value {
    json!({ "charge_succeeded": {
        "charge": format!("ch_3Pm{month}{MODEL}"), "seen": { "as_of": at(day), "rank": "updated" },
        "snapshot": {
            "customer": format!("cus_{MODEL}"), "status": "succeeded", "amount_minor": 9800, "currency": "USD",
            "created_at": at(day), "payment_intent": format!("pi_3Pm{month}{MODEL}"), "captured": true, "paid": true,
        },
    }})
}

/// Twenty events of one account: opened, subscribed, four months paid, seats changed.
fn model() -> Vec<(SubscriptionEvent, i64)> {
    let mut told = vec![
        (json!({ "account_opened": { "tenant": format!("tenant-{MODEL}") } }), 0),
        (json!({ "customer_linked": { "customer": format!("cus_{MODEL}") } }), 0),
        (subscription(0, "subscription_started", 1, "active"), 0),
    ];
    for month in 0..4 {
        let day = month * 30;
        told.push((invoice(day, month, "invoice_finalized", "open"), day));
        told.push((charge(day, month), day));
        told.push((invoice(day + 1, month, "invoice_paid", "paid"), day + 1));
        told.push((subscription(day + 2, "period_advanced", 2, "active"), day + 2));
    }
    told.push((subscription(121, "quantity_changed", 5, "active"), 121));
    let read = |(value, day): (Value, i64)| {
        let text = value.to_string();
        let event = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (event, START + day * 86_400)
    };
    told.into_iter().map(read).collect()
}

struct Row {
    stream: String,
    tenant: String,
    sequence: i64,
    event_type: String,
    payload: String,
    metadata: String,
    part: u32,
    position: i64,
    at: i64,
}

async fn fill(db: &Db, events: usize, accounts: usize) {
    let begin = Instant::now();
    let model = model();
    let steps = events / accounts;
    let mut heads = vec![0_i64; usize::try_from(db.parts()).expect("parts")];
    let mut rows = Vec::with_capacity(CHUNK);
    for step in 0..steps {
        let (event, seconds) = &model[step % model.len()];
        let event = LedgerEvent::Subscription(event.clone());
        let (payload, kind) = (event.encode().expect("a payload"), event.event_type());
        let metadata = Metadata {
            actor: Actor::Stripe {
                event: format!("evt_1Pm{step}{MODEL}").into(),
            },
            receipt: Some(format!("default/evt_1Pm{step}{MODEL}").into()),
            api_version: Some("2025-03-31.basil".into()),
            request_key: None,
        };
        let metadata = serde_json::to_string(&metadata).expect("metadata");
        for account in 0..accounts {
            let number = format!("{account:06}");
            let tenant = format!("tenant-{number}");
            let stream = format!("tenant:{tenant}");
            let part = part_of(&StreamId::parse(&stream).expect("a stream"), db.parts());
            let head = &mut heads[usize::try_from(part).expect("a part")];
            *head += 1;
            rows.push(Row {
                stream,
                tenant,
                sequence: i64::try_from(step).expect("few") + 1,
                event_type: kind.clone(),
                payload: payload.replace(MODEL, &number),
                metadata: metadata.replace(MODEL, &number),
                part,
                position: *head,
                at: seconds * 1_000_000,
            });
            if rows.len() == CHUNK {
                write(db, std::mem::take(&mut rows)).await;
            }
        }
    }
    write(db, rows).await;
    db.write(0, move |conn| {
        Box::pin(async move {
            const SQL: &str = "update log_head set position = $1 where part = $2";
            match conn {
                Conn::Sqlite(c) => {
                    for (part, head) in (0_i32..).zip(heads) {
                        sqlx::query(SQL).bind(head).bind(part).execute(&mut *c).await?;
                    }
                }
                Conn::Postgres(c) => {
                    for (part, head) in (0_i32..).zip(heads) {
                        sqlx::query(SQL).bind(head).bind(part).execute(&mut *c).await?;
                    }
                    sqlx::query("analyze events").execute(&mut *c).await?;
                }
            }
            Ok::<_, DbError>(())
        })
    })
    .await
    .expect("heads");
    println!("filled in {} s", begin.elapsed().as_secs());
}

const COLUMNS: &str = "aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, part, \
     position, tenant, event_id, causation_id, correlation_id, occurred_at, recorded_at, content_hash";

async fn write(db: &Db, rows: Vec<Row>) {
    db.write_bulk(0, move |conn| {
        Box::pin(async move {
            match conn {
                Conn::Sqlite(c) => {
                    for rows in rows.chunks(500) {
                        let mut query: QueryBuilder<'_, Sqlite> = QueryBuilder::new(format!("insert into events ({COLUMNS}) "));
                        query.push_values(rows, |mut values, row| {
                            values.push_bind("subscription").push_bind(&row.stream).push_bind(row.sequence);
                            values.push_bind(&row.event_type).push_bind("1").push_bind(&row.payload);
                            values.push_bind(&row.metadata).push_bind(row.part).push_bind(row.position);
                            values.push_bind(&row.tenant).push_bind(uuid::Uuid::now_v7().hyphenated());
                            values.push_bind("evt_1").push_bind("evt_1").push_bind(row.at).push_bind(row.at);
                            values.push_bind(vec![7_u8; 32]);
                        });
                        query.build().execute(&mut *c).await?;
                    }
                }
                Conn::Postgres(c) => {
                    let mut text = String::new();
                    for row in &rows {
                        let time = Timestamp::from_micros(row.at).expect("a time");
                        let hash = "07".repeat(32);
                        writeln!(
                            text,
                            "subscription\t{}\t{}\t{}\t1\t{}\t{}\t{}\t{}\t{}\t{}\tevt_1\tevt_1\t{time}\t{time}\t\\\\x{hash}",
                            row.stream, row.sequence, row.event_type, row.payload, row.metadata, row.part,
                            row.position, row.tenant, uuid::Uuid::now_v7()
                        )
                        .expect("memory");
                    }
                    let mut copy = c.copy_in_raw(&format!("copy events ({COLUMNS}) from stdin")).await?;
                    copy.send(text.into_bytes()).await?;
                    copy.finish().await?;
                }
            }
            Ok::<_, DbError>(())
        })
    })
    .await
    .expect("events");
}

fn memory_mb(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find(|text| text.starts_with(line));
    found
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |kb| kb / 1024)
}

async fn measure(db: &Db, live: bool) {
    let heads = db.refresh_heads().await.expect("heads");
    let events: u64 = heads.iter().sum();
    let rate = |began: Instant| events as f64 / began.elapsed().as_secs_f64();
    let runner = Runner::start(db, if live { Role::Fold } else { Role::Follow }, POLL, Arc::new(now))
        .await
        .expect("a runner");
    if live {
        let began = Instant::now();
        for (part, head) in (0_u32..).zip(&heads) {
            for view in View::ALL {
                assert!(
                    runner
                        .progress()
                        .wait_for(view, part, *head, Duration::from_secs(600))
                        .await
                );
            }
        }
        println!(
            "live loop, all views: {:.0} events/s, peak {} MB",
            rate(began),
            memory_mb("VmHWM")
        );
    }
    for (what, views) in [("all but audit", &View::ALL[..5]), ("audit", &View::ALL[5..])] {
        let began = Instant::now();
        rebuild(db, runner.progress(), views, Arc::new(AtomicU64::new(0)))
            .await
            .expect("a rebuild");
        println!(
            "rebuild of {what}: {:.0} events/s, peak {} MB",
            rate(began),
            memory_mb("VmHWM")
        );
    }
    runner.stop().await;
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let Some(url) = arguments.first() else {
        println!(
            "no store given: cargo bench -p projections --bench rebuild -- <store url> [events] [accounts] [live]"
        );
        return;
    };
    let number = |at: usize, or: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(or);
    let db = Db::open(&DbConfig::new(url, now())).await.expect("a ledger");
    if db.heads().watch_any().borrow().to_owned() == 0 {
        fill(&db, number(1, 1_000_000), number(2, 50_000)).await;
    } else {
        measure(&db, arguments.iter().any(|word| word == "live")).await;
    }
    db.close().await;
}
