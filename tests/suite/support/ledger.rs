//! Looking at a ledger's tables from outside the service: what the log holds, and whether it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, PgConnection, Row, SqliteConnection};

/// Longest wait for slots to read the last events.
const SLOTS_WAIT: Duration = Duration::from_secs(30);

/// Events that some slot of some view has not read, summed.
const SLOTS_BEHIND: &str = "select coalesce(sum(h.position - c.position), 0) from projection_checkpoint c \
    join log_head h on h.part = c.part";

/// A connection of our own to the tables of a ledger.
pub(crate) enum Tables {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Tables {
    /// Opens the ledger behind a `postgres://` URL, or the SQLite file in a data directory.
    pub(crate) async fn open(url: Option<&str>, data_dir: &Path) -> Self {
        if let Some(url) = url {
            return Self::Postgres(PgConnection::connect(url).await.expect("the ledger"));
        }
        let options = SqliteConnectOptions::new()
            .filename(database_file(data_dir))
            .busy_timeout(Duration::from_secs(10));
        Self::Sqlite(SqliteConnection::connect_with(&options).await.expect("the ledger"))
    }

    /// The rows of a query; every column must be cast to text (`cast(x as text)` is understood by both stores).
    pub(crate) async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query(sql).fetch_all(connection).await;
                let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
                rows.iter()
                    .map(|row| (0..row.len()).map(|column| row.get(column)).collect())
                    .collect()
            }
            Self::Postgres(connection) => {
                let rows = sqlx::query(sql).fetch_all(connection).await;
                let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
                rows.iter()
                    .map(|row| (0..row.len()).map(|column| row.get(column)).collect())
                    .collect()
            }
        }
    }

    /// The one number a query answers (null counts as 0).
    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        let rows = self.rows(&format!("select cast(({sql}) as text)")).await;
        rows[0][0].as_deref().map_or(0, |text| text.parse().expect("a number"))
    }

    /// The names of all tables.
    pub(crate) async fn names(&mut self) -> Vec<String> {
        let sql = match self {
            Self::Sqlite(_) => "select name from sqlite_master where type = 'table' order by 1",
            Self::Postgres(_) => "select cast(tablename as text) from pg_tables where schemaname = 'public' order by 1",
        };
        self.rows(sql)
            .await
            .into_iter()
            .map(|row| row[0].clone().expect("a name"))
            .collect()
    }

    /// All rows of a table as text, sorted, without the named columns.
    pub(crate) async fn content(&mut self, table: &str, without: &[&str]) -> Vec<Vec<Option<String>>> {
        let columns = match self {
            Self::Sqlite(_) => format!("select name from pragma_table_info('{table}')"),
            Self::Postgres(_) => format!(
                "select cast(column_name as text) from information_schema.columns \
                 where table_schema = 'public' and table_name = '{table}' order by ordinal_position"
            ),
        };
        let columns: Vec<String> = self
            .rows(&columns)
            .await
            .into_iter()
            .map(|row| row[0].clone().expect("a name"))
            .filter(|name| !without.contains(&name.as_str()))
            .map(|name| match self {
                Self::Sqlite(_) => {
                    format!("case typeof({name}) when 'blob' then hex({name}) else cast({name} as text) end")
                }
                Self::Postgres(_) => format!("cast({name} as text)"),
            })
            .collect();
        let mut rows = self.rows(&format!("select {} from {table}", columns.join(", "))).await;
        rows.sort();
        rows
    }
}

/// The SQLite file of a data directory.
pub(crate) fn database_file(data_dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(data_dir).expect("a data directory");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let magic = b"SQLite format 3\0";
    files
        .into_iter()
        .filter(|path| path.is_file())
        .find(|path| {
            use std::io::Read;
            let mut head = [0_u8; 16];
            let mut file = std::fs::File::open(path).expect("a file");
            file.read_exact(&mut head).is_ok() && &head == magic
        })
        .expect("a SQLite file in the data directory")
}

/// What is wrong with a ledger, given the ids of all deliveries that were answered 200; empty when nothing is.
///
/// Checked: every acknowledged delivery has a settled receipt and (when it was applied) exactly one inbox mark;
/// no delivery was applied at two places of the log; positions are dense and end at the head; sequences are
/// dense in every stream; every mark's positions exist.
pub(crate) async fn faults(tables: &mut Tables, acknowledged: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    receipts(tables, acknowledged, &mut faults).await;
    faults.extend(out_of_order(tables).await);
    faults
}

/// What of it holds at any moment, settled or not: positions, sequences, marks.
pub(crate) async fn out_of_order(tables: &mut Tables) -> Vec<String> {
    let mut faults = Vec::new();
    positions(tables, &mut faults).await;
    effects(tables, &mut faults).await;
    faults
}

/// The deliveries answered 200 of which there is not exactly one receipt.
pub(crate) async fn lost(tables: &mut Tables, acknowledged: &BTreeSet<String>) -> Vec<String> {
    let rows = tables
        .rows("select event_id, cast(count(*) as text) from webhook_receipts group by event_id")
        .await;
    let counts: BTreeMap<String, String> = rows
        .into_iter()
        .map(|row| (row[0].clone().expect("an id"), row[1].clone().expect("a count")))
        .collect();
    let count = |id: &String| counts.get(id).map_or("0", String::as_str);
    let lost = acknowledged.iter().filter(|id| count(id) != "1");
    lost.map(|id| format!("{id} was acknowledged, and there are {} receipts of it", count(id)))
        .collect()
}

async fn receipts(tables: &mut Tables, acknowledged: &BTreeSet<String>, faults: &mut Vec<String>) {
    let rows = tables.rows("select event_id, state from webhook_receipts").await;
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let [Some(id), Some(state)] = &row[..] else {
            panic!("{row:?}")
        };
        states.entry(id.clone()).or_default().push(state.clone());
    }
    let marks = tables
        .rows("select key, cast(count(*) as text) from inbox group by key")
        .await;
    let marks: BTreeMap<String, String> = marks
        .into_iter()
        .map(|row| (row[0].clone().expect("a key"), row[1].clone().expect("a count")))
        .collect();
    for id in acknowledged {
        match states.get(id).map(Vec::as_slice) {
            None => faults.push(format!("{id}: acknowledged, but there is no receipt (lost)")),
            Some([state]) if state == "applied" || state == "superseded" => {
                let count = marks.get(id).map_or("0", String::as_str);
                if count != "1" {
                    faults.push(format!("{id}: {state}, but {count} inbox marks"));
                }
            }
            Some(other) => faults.push(format!("{id}: acknowledged, but its receipts are {other:?}")),
        }
    }
}

async fn positions(tables: &mut Tables, faults: &mut Vec<String>) {
    let sql = "select cast(h.part as text) || ': head ' || cast(h.position as text) || ', last ' \
               || cast(coalesce(max(e.position), 0) as text) || ', first ' || cast(coalesce(min(e.position), 1) as text) \
               || ', events ' || cast(count(e.position) as text) \
               from log_head h left join events e on e.part = h.part group by h.part, h.position \
               having h.position <> coalesce(max(e.position), 0) or count(e.position) <> h.position \
               or coalesce(min(e.position), 1) <> 1";
    let rows = tables.rows(sql).await;
    faults.extend(
        rows.into_iter()
            .map(|row| format!("positions are not dense in part {}", row[0].clone().unwrap_or_default())),
    );
    let sql = "select aggregate_id from events group by aggregate_type, aggregate_id, part \
               having max(sequence) <> count(*) or min(sequence) <> 1";
    let rows = tables.rows(sql).await;
    faults.extend(
        rows.into_iter()
            .map(|row| format!("sequences are not dense in {}", row[0].clone().unwrap_or_default())),
    );
}

async fn effects(tables: &mut Tables, faults: &mut Vec<String>) {
    // All events of one delivery are appended side by side; a second application would lie somewhere else.
    let sql = "select causation_id || ' in part ' || cast(part as text) from events where causation_id like '%evt_%' \
               group by causation_id, part having max(position) - min(position) + 1 <> count(*)";
    let rows = tables.rows(sql).await;
    faults.extend(
        rows.into_iter()
            .map(|row| format!("{} was applied twice", row[0].clone().unwrap_or_default())),
    );
    let sql = "select key from inbox i where outcome = 'recorded' and \
               (select count(*) from events e where e.part = i.part and e.position between i.first_position and i.last_position) \
               <> i.last_position - i.first_position + 1";
    let rows = tables.rows(sql).await;
    faults.extend(rows.into_iter().map(|row| {
        format!(
            "the positions of mark {} do not exist",
            row[0].clone().unwrap_or_default()
        )
    }));
}

/// Views whose two slots differ, of those that were rebuilt into the other slot.
pub(crate) async fn unequal_slots(tables: &mut Tables) -> Vec<String> {
    // The end of a rebuild is an event itself, which both slots of every view have yet to read.
    let begin = Instant::now();
    while tables.number(SLOTS_BEHIND).await != 0 {
        assert!(begin.elapsed() < SLOTS_WAIT, "a slot does not read the log to its end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let names = tables.names().await;
    let views: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix("_0"))
        .filter(|view| names.contains(&format!("{view}_1")))
        .collect();
    assert!(!views.is_empty(), "no view has two slots: {names:?}");
    let mut unequal = Vec::new();
    for view in views {
        let first = tables.content(&format!("{view}_0"), &[]).await;
        let second = tables.content(&format!("{view}_1"), &[]).await;
        if first != second {
            let odd = first.iter().zip(&second).find(|(a, b)| a != b);
            unequal.push(format!(
                "{view}: {} rows against {}, first difference {odd:?}",
                first.len(),
                second.len()
            ));
        }
    }
    unequal
}
