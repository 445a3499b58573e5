//! What readers of an account see: its rows in every view of current state, and its occurred history.

use std::collections::BTreeMap;

use aggregates::recorded::LedgerEvent;
use aggregates::subscription::history::occurred;
use aggregates::subscription::{AGGREGATE_TYPE, SubscriptionEvent};

use crate::support::ledger::Tables;

/// Columns that tell how and when an account was learnt, which is another story in every order. Every other column of
/// every view is compared, so a new one is compared from its first day.
const BOOKKEEPING: &[(&str, &str)] = &[
    (
        "part",
        "the share of the log in which the stream lies: it follows the stream's name",
    ),
    (
        "stream_id",
        "the account's name on the log: its tenant's if that was known at first sight, else its customer's",
    ),
    (
        "sequence",
        "how many events the account has: each order labels and confirms differently",
    ),
    ("position", "where its last event lies on the log"),
    ("first_seen_at", "when the ledger first heard of it"),
    ("changed_at", "when the ledger last heard something new"),
    ("recorded_at", "when its last event was recorded"),
];

/// Views of current state; the audit index lists what was recorded when, which is the order itself.
const VIEWS: [&str; 5] = ["status", "entitlements", "quota", "invoices", "money"];

/// The rows of one account, and what happened to it.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Sight {
    rows: BTreeMap<&'static str, Vec<String>>,
    occurred: String,
}

impl Sight {
    /// The first difference, for people.
    pub(super) fn difference(&self, wanted: &Self) -> String {
        let none = Vec::new();
        for view in VIEWS {
            let ours = self.rows.get(view).unwrap_or(&none);
            let theirs = wanted.rows.get(view).unwrap_or(&none);
            if ours != theirs {
                let (ours, theirs) = (ours.join("\n"), theirs.join("\n"));
                return format!("{view}{}", first_difference(&ours, &theirs));
            }
        }
        format!("occurred{}", first_difference(&self.occurred, &wanted.occurred))
    }
}

/// Two texts from shortly before they part.
pub(super) fn first_difference(got: &str, wanted: &str) -> String {
    const BEFORE: usize = 120;
    const SHOWN: usize = 600;
    let same = got.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| -> String { text.chars().skip(same.saturating_sub(BEFORE)).take(SHOWN).collect() };
    format!(
        " after {same} characters\n got    ..{}\n wanted ..{}",
        part(got),
        part(wanted)
    )
}

/// Every account of a ledger by its customer. Panics where an account has no customer or two rows.
pub(super) async fn sights(tables: &mut Tables) -> BTreeMap<String, Sight> {
    let mut streams: BTreeMap<String, String> = BTreeMap::new();
    let mut sights: BTreeMap<String, Sight> = BTreeMap::new();
    for view in VIEWS {
        let (table, columns) = compared(tables, view).await;
        let values: Vec<&str> = columns.iter().map(|(_, value)| &**value).collect();
        let customer = if view == "status" { "customer" } else { "null" };
        let sql = format!(
            "select stream_id, cast({customer} as text), {} from {table}",
            values.join(", ")
        );
        for mut row in tables.rows(&sql).await {
            let stream = row.remove(0).unwrap();
            let customer = row.remove(0);
            if view == "status" {
                let customer = customer.unwrap_or_else(|| panic!("{stream} has no customer"));
                assert!(
                    sights.insert(customer.clone(), Sight::default()).is_none(),
                    "{customer} has two accounts"
                );
                streams.insert(stream.clone(), customer);
            }
            let customer = streams.get(&stream);
            let customer = customer.unwrap_or_else(|| panic!("{stream} is in {view} and not in status"));
            let sight = sights.get_mut(customer).unwrap();
            let cells = columns.iter().zip(&row).map(|((name, _), cell)| match cell {
                Some(text) => format!("{name} is {text}"),
                None => format!("no {name}"),
            });
            let row = cells.collect::<Vec<_>>().join(", ");
            sight.rows.entry(view).or_default().push(row);
        }
    }
    for sight in sights.values_mut() {
        for rows in sight.rows.values_mut() {
            rows.sort();
        }
    }
    for (stream, events) in events(tables).await {
        let customer = streams.get(&stream);
        let customer = customer.unwrap_or_else(|| panic!("{stream} is on the log and not in status"));
        sights.get_mut(customer).unwrap().occurred = serde_json::to_string(&occurred(&events)).unwrap();
    }
    sights
}

/// The table of a view that readers use, and the columns that must not differ: their names, and their values as text
/// that is alike on both stores.
async fn compared(tables: &mut Tables, view: &str) -> (String, Vec<(String, String)>) {
    let slot = format!("select slot from projection_active where name = '{view}'");
    let table = format!("{view}_{}", tables.number(&slot).await);
    let columns = match tables {
        Tables::Sqlite(_) => format!("select name, type from pragma_table_info('{table}')"),
        Tables::Postgres(_) => format!(
            "select cast(column_name as text), cast(data_type as text) from information_schema.columns \
             where table_schema = 'public' and table_name = '{table}' order by ordinal_position"
        ),
    };
    let columns = tables.rows(&columns).await.into_iter().filter_map(|row| {
        let [Some(name), Some(kind)] = &row[..] else {
            panic!("{row:?}")
        };
        let is_compared = BOOKKEEPING.iter().all(|(bookkeeping, _)| bookkeeping != name);
        is_compared.then(|| {
            let value = match &**kind {
                // SQLite keeps instants as microseconds.
                "timestamp with time zone" => {
                    format!("cast(cast(extract(epoch from {name}) * 1000000 as bigint) as text)")
                }
                _ => format!("cast({name} as text)"),
            };
            (name.clone(), value)
        })
    });
    let columns: Vec<(String, String)> = columns.collect();
    assert!(!columns.is_empty(), "nothing of {view} is compared");
    (table, columns)
}

/// The events of every account by stream, in the order of their log.
async fn events(tables: &mut Tables) -> BTreeMap<String, Vec<SubscriptionEvent>> {
    let sql = format!(
        "select aggregate_id, event_type, cast(event_version as text), cast(payload as text) from events \
         where aggregate_type = '{AGGREGATE_TYPE}' order by part, position"
    );
    let mut streams: BTreeMap<String, Vec<SubscriptionEvent>> = BTreeMap::new();
    for row in tables.rows(&sql).await {
        let [Some(stream), Some(kind), Some(version), Some(payload)] = &row[..] else {
            panic!("{row:?}")
        };
        match LedgerEvent::decode(AGGREGATE_TYPE, kind, version.parse().unwrap(), payload).unwrap() {
            LedgerEvent::Subscription(event) => streams.entry(stream.clone()).or_default().push(event),
            other => panic!("{other:?}"),
        }
    }
    streams
}
