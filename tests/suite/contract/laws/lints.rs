//! Rules for tables and statements, checked on the real catalogue and the real sources, and on planted faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use projections::db::Pool;
use sqlx::{Executor, PgPool, SqlitePool};

use super::*;
use crate::support;

/// Small tables that every database of a ledger would hold whole.
const WITHOUT_PART: [&str; 4] = [
    "_sqlx_migrations",
    "ledger_meta",
    "projection_active",
    "catalogue_version",
];

/// Name, and the query that finds faults, one row each. `%` stands for the tables without a part.
const CATALOGUE_RULES: &[(&str, &str)] = &[
    (
        "no part",
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> all($1) \
         and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'part')",
    ),
    (
        "part may be null or is generated",
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'part' \
         where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> all($1) \
         and (not a.attnotnull or a.attgenerated <> '')",
    ),
    (
        "no primary key",
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> all($1) \
         and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)",
    ),
    (
        "unique without part",
        "select c.relname::text || '.' || x.relname from pg_index i join pg_class c on c.oid = i.indrelid \
         join pg_class x on x.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = 'public' and i.indisunique and c.relname <> all($1) \
         and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'part' \
           and a.attnum = any(i.indkey))",
    ),
    (
        "trigger",
        "select c.relname::text || '.' || t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid \
         where not t.tgisinternal and c.relname <> all($1)",
    ),
    (
        "identity or sequence",
        "select c.relname::text || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid \
         join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> all($1) and (a.attidentity <> '' or \
           exists (select from pg_attrdef d where d.adrelid = c.oid and d.adnum = a.attnum \
             and pg_get_expr(d.adbin, d.adrelid) like '%nextval%'))",
    ),
    (
        "xid column",
        "select c.relname::text || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid \
         join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = 'public' and c.relkind in ('r', 'p') and a.attnum > 0 and c.relname <> all($1) \
         and a.atttypid in ('xid'::regtype, 'xid8'::regtype)",
    ),
    (
        "foreign key to a table with a part",
        "select c.conrelid::regclass::text from pg_constraint c join pg_class f on f.oid = c.confrelid \
         where c.contype = 'f' and f.relname <> all($1)",
    ),
];

async fn catalogue_faults(pool: &PgPool) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for (rule, sql) in CATALOGUE_RULES {
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .bind(&WITHOUT_PART[..])
            .fetch_all(pool)
            .await
            .unwrap();
        if !rows.is_empty() {
            eprintln!("{rule}: {rows:?}");
            found.insert(*rule);
        }
    }
    found
}

#[tokio::test]
async fn tables_can_be_spread_by_part() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let db = open(&store).await;
    let Pool::Postgres(pool) = db.pool_for(0) else { panic!() };
    assert_eq!(catalogue_faults(pool).await, BTreeSet::new());
    let planted = [
        ("no part", "create table planted (id int primary key)"),
        (
            "part may be null or is generated",
            "create table planted (id int primary key, part int)",
        ),
        (
            "part may be null or is generated",
            "create table planted (id int, part int not null generated always as (id % 64) stored, primary key (id, part))",
        ),
        ("no primary key", "create table planted (part int not null)"),
        (
            "unique without part",
            "create table planted (part int primary key, id int unique)",
        ),
        (
            "trigger",
            "create function planted() returns trigger language plpgsql as 'begin return new; end'; \
             create trigger planted before insert on events for each row execute function planted()",
        ),
        (
            "identity or sequence",
            "create table planted (part int primary key, n bigint generated always as identity)",
        ),
        (
            "identity or sequence",
            "create table planted (part int primary key, n bigserial)",
        ),
        ("xid column", "create table planted (part int primary key, tx xid8)"),
        (
            "foreign key to a table with a part",
            "create table planted (part int primary key, foreign key (part) references log_head (part))",
        ),
    ];
    for (rule, sql) in planted {
        pool.execute(sqlx::raw_sql(sql)).await.unwrap();
        assert!(catalogue_faults(pool).await.contains(rule), "not found: {sql}");
        let clean = "drop table if exists planted; drop trigger if exists planted on events; \
            drop function if exists planted()";
        pool.execute(sqlx::raw_sql(clean)).await.unwrap();
    }
    assert_eq!(catalogue_faults(pool).await, BTreeSet::new());
    db.close().await;
}

/// Table -> what both stores must share: columns with their kind, the primary key in order, index names.
type Shape = BTreeMap<String, BTreeSet<String>>;

async fn shape_of_sqlite(pool: &SqlitePool) -> Shape {
    let columns = "select m.name, p.name || ' ' || p.type || case when p.\"notnull\" or p.pk > 0 then '' else ' null' end \
         from sqlite_master m join pragma_table_info(m.name) p where m.type = 'table'";
    let keys = "select m.name, 'key ' || p.pk || ' ' || p.name from sqlite_master m join pragma_table_info(m.name) p \
         where m.type = 'table' and p.pk > 0";
    let indexes = "select tbl_name, 'index ' || name from sqlite_master where type = 'index' \
         and name not like 'sqlite_autoindex_%'";
    let mut shape = Shape::new();
    for sql in [columns, keys, indexes] {
        let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
        add(&mut shape, rows);
    }
    shape
}

async fn shape_of_postgres(pool: &PgPool) -> Shape {
    let columns = "select table_name::text, column_name || ' ' || case data_type \
           when 'bytea' then 'BLOB' when 'text' then 'TEXT' when 'json' then 'TEXT' when 'uuid' then 'TEXT' \
           when 'ARRAY' then 'ARRAY' else 'INTEGER' end || case is_nullable when 'YES' then ' null' else '' end \
         from information_schema.columns where table_schema = 'public'";
    let keys = "select c.relname::text, 'key ' || k.ord || ' ' || a.attname from pg_index i \
         join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace \
         cross join unnest(i.indkey) with ordinality k (num, ord) \
         join pg_attribute a on a.attrelid = c.oid and a.attnum = k.num where n.nspname = 'public' and i.indisprimary";
    let indexes = "select i.tablename::text, 'index ' || i.indexname from pg_indexes i where i.schemaname = 'public' \
         and not exists (select from pg_constraint c where c.conname = i.indexname)";
    let mut shape = Shape::new();
    for sql in [columns, keys, indexes] {
        let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
        add(&mut shape, rows);
    }
    shape
}

fn add(shape: &mut Shape, rows: Vec<(String, String)>) {
    for (table, fact) in rows {
        if !table.starts_with("_sqlx") && !table.starts_with("sqlite_") {
            shape.entry(table).or_default().insert(fact.to_uppercase());
        }
    }
}

#[tokio::test]
async fn both_stores_have_the_same_tables() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let (postgres, file) = (open(&store).await, TestStore::sqlite());
    let sqlite = open(&file).await;
    let (Pool::Postgres(server), Pool::Sqlite(file)) = (postgres.pool_for(0), sqlite.pool_for(0)) else {
        panic!("the wrong stores");
    };
    let wanted = shape_of_postgres(server).await;
    let found = shape_of_sqlite(file).await;
    assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (table, facts) in &wanted {
        let other = &found[table];
        let lonely: Vec<_> = facts.symmetric_difference(other).collect();
        assert!(lonely.is_empty(), "{table}: only one store has {lonely:?}");
    }
    // The comparison sees a planted difference.
    server
        .execute("alter table person add column planted text")
        .await
        .unwrap();
    assert_ne!(shape_of_postgres(server).await["person"], found["person"]);
    postgres.close().await;
}

/// Tables that carry a part and are read or written on a hot way.
const HOT_TABLES: [&str; 8] = [
    "events",
    "log_head",
    "inbox",
    "outbox",
    "webhook_receipts",
    "directory",
    "person",
    "tenant_profile",
];

const FORBIDDEN: [(&str, &str); 9] = [
    ("nextval", "order comes from log_head, never from a sequence"),
    ("pg_snapshot", "transaction ids do not order events"),
    ("xmin", "transaction ids do not order events"),
    ("pg_advisory", "advisory locks are per server"),
    ("or replace", "it deletes without firing the triggers"),
    (
        "or ignore",
        "it also swallows broken constraints; use on conflict do nothing",
    ),
    (
        "clock_timestamp",
        "volatile in an update is refused on a distributed server; use now()",
    ),
    ("random()", "volatile in an update is refused on a distributed server"),
    ("gen_random_uuid", "ids are arguments"),
];

/// The text literals of Rust code, without comments and tests.
fn literals(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n").replace("'\"'", "");
    let (mut found, mut rest) = (Vec::new(), code.as_str());
    while let Some(start) = rest.find('"') {
        let mut end = start + 1;
        let bytes = rest.as_bytes();
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        found.push(rest[start + 1..end.min(rest.len())].to_lowercase());
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    found
}

fn statement_faults(code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if code.contains(".constraint()") {
        faults.push(".constraint(): names of constraints differ between servers; decide on codes".to_owned());
    }
    for literal in literals(code) {
        let sql = ["select ", "insert ", "update ", "delete from", " where ", " join "];
        if !sql.iter().any(|word| literal.contains(word)) {
            continue;
        }
        for (word, why) in FORBIDDEN {
            let volatile = why.starts_with("volatile");
            if literal.contains(word) && (!volatile || literal.contains("update ")) {
                faults.push(format!("{word}: {why}"));
            }
        }
        let words: Vec<&str> = literal
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|w| !w.is_empty())
            .collect();
        let hot = words
            .windows(2)
            .any(|two| ["from", "into", "update", "join"].contains(&two[0]) && HOT_TABLES.contains(&two[1]));
        // SQLite, told by its placeholders, has one part.
        if hot && !words.contains(&"part") && !literal.contains('?') {
            faults.push(format!(
                "a statement on a table of many parts does not name the part: {literal}"
            ));
        }
    }
    faults
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn statements_name_their_part_and_keep_to_portable_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("projections/src"), &mut files);
    assert!(files.len() > 20);
    let mut faults = Vec::new();
    for (path, code) in &files {
        // Opening reads all heads on purpose; the demo, the readers and errors speak in prose.
        faults.extend(
            statement_faults(code)
                .into_iter()
                .map(|fault| format!("{path}: {fault}")),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for planted in [
        "const A: &str = \"select nextval('x')\";",
        "const A: &str = \"select part from events where xmin > $1\";",
        "const A: &str = \"select pg_advisory_lock(part)\";",
        "const A: &str = \"insert or replace into inbox (part) values (1)\";",
        "const A: &str = \"insert or ignore into inbox (part) values (1)\";",
        "const A: &str = \"update lease set at = clock_timestamp() where part = $1\";",
        "const A: &str = \"select payload \\\n from events \\\n where position > $1\";",
        "if error.constraint() == Some(\"x\") {}",
    ] {
        assert_ne!(statement_faults(planted).len(), 0, "{planted}");
    }
    support::figure("statement lint: 8 of 8 planted faults found; catalogue lint: 10 of 10");
}
