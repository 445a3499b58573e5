//! A large ledger: one account's story goes through the front door, and its events are copied for all accounts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use aggregates::ids::StreamId;
use aggregates::partition::{part_of, part_of_key};
use sqlx::{Connection, PgConnection, QueryBuilder, Sqlite, SqliteConnection};
use subledger::demo::story::{Era, Price, Story};

use crate::load::{BASE, tenant};
use crate::support::TestStore;
use crate::support::ledger::{Tables, database_file};
use crate::support::server::Launch;
use crate::{Plan, report};

/// Number of the account whose story is copied; six digits nothing else contains.
const MODEL: &str = "777777";

/// Events in one COPY or one SQLite transaction.
const CHUNK: usize = 20_000;

/// Rows of one SQLite statement (16 values each, below its limit of 32,766).
const ROWS: usize = 500;

const COLUMNS: [&str; 16] = [
    "aggregate_type",
    "aggregate_id",
    "sequence",
    "event_type",
    "event_version",
    "payload",
    "metadata",
    "part",
    "position",
    "tenant",
    "event_id",
    "causation_id",
    "correlation_id",
    "occurred_at",
    "recorded_at",
    "content_hash",
];

type Row = [String; 16];

/// Fills an empty store with `plan.events` events over about `plan.accounts` accounts.
pub(crate) async fn fill(plan: &Plan, store: &TestStore) {
    let begin = Instant::now();
    tell(store).await;
    let mut tables = Tables::open(store.url(), store.data_dir()).await;
    let selected: Vec<String> = COLUMNS.iter().map(|column| text_of(store, column)).collect();
    let sql = format!("select {} from events order by sequence", selected.join(", "));
    let model: Vec<Row> = tables.rows(&sql).await.into_iter().map(model_row).collect();
    let model: Vec<Row> = model.into_iter().filter(|row| row[1].contains(MODEL)).collect();
    assert!(!model.is_empty(), "the story left no events");
    let partitions = tables.number("select partitions from ledger_meta").await;
    let partitions = u32::try_from(partitions).expect("partitions");
    let directory = tables.rows("select kind, key, stream_id from directory").await;

    let accounts = plan.events / u32::try_from(model.len()).expect("a short story");
    let mut heads: BTreeMap<u32, u64> = BTreeMap::new();
    for head in tables
        .rows("select cast(part as text), cast(position as text) from log_head")
        .await
    {
        let number = |column: usize| head[column].as_deref().expect("a number").to_owned();
        heads.insert(
            number(0).parse().expect("a part"),
            number(1).parse().expect("a position"),
        );
    }
    drop(tables);
    let mut writer = Writer::open(store).await;
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut written = 0_u64;
    for step in &model {
        for account in 0..accounts {
            chunk.push(copy(step, account, partitions, &mut heads, written));
            written += 1;
            if chunk.len() == CHUNK {
                writer.events(&chunk).await;
                chunk.clear();
            }
        }
    }
    writer.events(&chunk).await;
    for entry in &directory {
        let field = |column: usize| entry[column].as_deref().unwrap_or_default();
        if field(1).contains(MODEL) {
            writer
                .directory(field(0), field(1), field(2), accounts, partitions)
                .await;
        }
    }
    writer.heads(&heads).await;
    let seconds = begin.elapsed().as_secs();
    report(
        "large ledger",
        format!("{written} events of {accounts} accounts, filled in {seconds} s"),
        None,
    );
}

/// The account's number in the story, in the form its ids have.
fn numbered(text: &str, account: u32) -> String {
    text.replace(MODEL, &format!("{account:06}"))
}

async fn tell(store: &TestStore) {
    let price = Price {
        id: "price_pro_monthly",
        product: "prod_pro",
        unit_minor: 4_900,
        interval: "month",
    };
    let model: u32 = MODEL.parse().expect("a number");
    let mut story = Story::new(MODEL, Some(&tenant(model)), BASE - 200 * 86_400);
    story.add_card().subscribe(price, 3, 0).days(30).renew();
    story.set_quantity(5).days(30).renew();
    let server = Launch::new(store).start().await;
    for delivery in story.deliveries(Era::Clover) {
        assert_eq!(server.deliver(&delivery.body).await.status, 200);
    }
    server.settled().await;
}

fn text_of(store: &TestStore, column: &str) -> String {
    match (store.url(), column) {
        (None, "content_hash") => "hex(content_hash)".to_owned(),
        (Some(_), "content_hash") => "encode(content_hash, 'hex')".to_owned(),
        _ => format!("cast({column} as text)"),
    }
}

fn model_row(row: Vec<Option<String>>) -> Row {
    let values: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
    values.try_into().expect("sixteen columns")
}

fn copy(model: &Row, account: u32, partitions: u32, heads: &mut BTreeMap<u32, u64>, number: u64) -> Row {
    let mut row = model.clone();
    for column in [1, 5, 6, 9, 11, 12] {
        row[column] = numbered(&model[column], account);
    }
    let stream = StreamId::parse(&row[1]).expect("a stream");
    let part = part_of(&stream, partitions);
    let head = heads.entry(part).or_insert(0);
    *head += 1;
    row[7] = part.to_string();
    row[8] = head.to_string();
    row[10] =
        uuid::Uuid::from_u64_pair(0x0199_0000_0000_7000 | (number >> 48), 0x8000_0000_0000_0000 | number).to_string();
    row
}

enum Writer {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Writer {
    async fn open(store: &TestStore) -> Self {
        match store.url() {
            Some(url) => Self::Postgres(PgConnection::connect(url).await.expect("the ledger")),
            None => {
                let file = database_file(store.data_dir());
                let url = format!("sqlite://{}", file.display());
                Self::Sqlite(SqliteConnection::connect(&url).await.expect("the ledger"))
            }
        }
    }

    async fn events(&mut self, rows: &[Row]) {
        match self {
            Self::Postgres(connection) => {
                let lines: String = rows.iter().map(copy_line).collect();
                let statement = format!("copy events ({}) from stdin", COLUMNS.join(", "));
                let mut copy = connection.copy_in_raw(&statement).await.expect("COPY");
                copy.send(lines.into_bytes()).await.expect("COPY");
                copy.finish().await.expect("COPY");
            }
            Self::Sqlite(connection) => {
                let mut transaction = connection.begin().await.expect("a transaction");
                for rows in rows.chunks(ROWS) {
                    let insert = format!("insert into events ({}) ", COLUMNS.join(", "));
                    let mut query: QueryBuilder<'_, Sqlite> = QueryBuilder::new(insert);
                    query.push_values(rows, |mut values, row| {
                        for (column, value) in row.iter().enumerate() {
                            match column {
                                2 | 7 | 8 | 13 | 14 => values.push_bind(value.parse::<i64>().expect("a number")),
                                9 => values.push_bind((!value.is_empty()).then_some(value.as_str())),
                                15 => values.push_bind(hex::decode(value).expect("a hash")),
                                _ => values.push_bind(value.as_str()),
                            };
                        }
                    });
                    query.build().execute(&mut *transaction).await.expect("events");
                }
                transaction.commit().await.expect("a commit");
            }
        }
    }

    async fn directory(&mut self, kind: &str, key: &str, stream: &str, accounts: u32, partitions: u32) {
        let now = match self {
            Self::Sqlite(_) => "1790000000000000",
            Self::Postgres(_) => "now()",
        };
        for first in (0..accounts).step_by(1_000) {
            let mut sql = "insert into directory (part, kind, key, stream_id, version, updated_at) values ".to_owned();
            for account in first..accounts.min(first + 1_000) {
                let (key, stream) = (numbered(key, account), numbered(stream, account));
                let part = part_of_key(&format!("{kind}:{key}"), partitions);
                let comma = if account == first { "" } else { "," };
                write!(sql, "{comma}({part},'{kind}','{key}','{stream}',1,{now})").expect("memory");
            }
            self.execute(&format!("{sql} on conflict do nothing")).await;
        }
    }

    async fn heads(&mut self, heads: &BTreeMap<u32, u64>) {
        for (part, position) in heads {
            self.execute(&format!(
                "update log_head set position = {position} where part = {part}"
            ))
            .await;
        }
        if let Self::Postgres(_) = self {
            self.execute("analyze").await;
        }
    }

    async fn execute(&mut self, sql: &str) {
        match self {
            Self::Sqlite(connection) => sqlx::query(sql).execute(connection).await.map(|_| ()),
            Self::Postgres(connection) => sqlx::query(sql).execute(connection).await.map(|_| ()),
        }
        .expect("a statement");
    }
}

fn copy_line(row: &Row) -> String {
    let mut line = String::with_capacity(1_000);
    for (column, value) in row.iter().enumerate() {
        if column > 0 {
            line.push('\t');
        }
        match (column, value.as_str()) {
            (9, "") => line.push_str("\\N"),
            (15, hash) => write!(line, "\\\\x{hash}").expect("memory"),
            _ => line.push_str(&value.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")),
        }
    }
    line.push('\n');
    line
}
