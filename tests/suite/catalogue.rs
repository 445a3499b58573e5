//! The tables themselves: every table that grows carries its partition, and nothing orders events but the head row.
//!
//! Read from the database's own catalogue after all migrations, so that a migration cannot say one thing and do
//! another. A copy with planted faults shows that each rule can see.

use projections::db::{Db, DbConfig};
use sqlx::{Connection, Executor, PgConnection};
use subledger::clock::Clock;

use crate::support::TestStore;

/// Small tables without a part: one row a ledger, a view, a key or a version of the catalogue.
const SMALL: &str = "'ledger_meta', 'projection_active', 'api_key', 'catalogue_version', '_sqlx_migrations'";

/// What is wrong, one query a rule: each answers the names of the offenders.
fn rules() -> Vec<(&'static str, String)> {
    let tables = format!(
        "select c.oid, c.relname from pg_class c where c.relnamespace = 'public'::regnamespace \
         and c.relkind in ('r', 'p') and not c.relispartition and c.relname not in ({SMALL})"
    );
    vec![
        (
            "`part` missing, null or generated",
            format!(
                "select t.relname::text from ({tables}) t where not exists (select from pg_attribute a \
                 where a.attrelid = t.oid and a.attname = 'part' and a.attnotnull and a.attgenerated = '' \
                 and not a.attisdropped)"
            ),
        ),
        (
            "no primary key",
            format!(
                "select t.relname::text from ({tables}) t \
                 where not exists (select from pg_index i where i.indrelid = t.oid and i.indisprimary)"
            ),
        ),
        (
            "unique index without `part`",
            format!(
                "select i.indexrelid::regclass::text from ({tables}) t join pg_index i on i.indrelid = t.oid \
                 where i.indisunique and not exists (select from pg_attribute a where a.attrelid = t.oid \
                 and a.attname = 'part' and a.attnum = any(i.indkey))"
            ),
        ),
        (
            "trigger",
            format!(
                "select g.tgname::text from ({tables}) t join pg_trigger g on g.tgrelid = t.oid where not g.tgisinternal"
            ),
        ),
        (
            "identity or sequence",
            format!(
                "select t.relname::text || '.' || a.attname from ({tables}) t join pg_attribute a on a.attrelid = t.oid \
                 left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum \
                 where a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) like 'nextval(%'"
            ),
        ),
        (
            "transaction number as a column",
            format!(
                "select t.relname::text || '.' || a.attname from ({tables}) t join pg_attribute a on a.attrelid = t.oid \
                 where a.attnum > 0 and a.atttypid in ('xid'::regtype, 'xid8'::regtype, 'pg_snapshot'::regtype)"
            ),
        ),
        (
            "foreign key to a table that grows",
            format!(
                "select k.conname::text from ({tables}) t join pg_constraint k on k.conrelid = t.oid \
                 join pg_class f on f.oid = k.confrelid where k.contype = 'f' and f.relname not in ({SMALL})"
            ),
        ),
    ]
}

async fn faults(connection: &mut PgConnection) -> Vec<String> {
    let mut faults = Vec::new();
    for (rule, sql) in rules() {
        let offenders: Vec<String> = sqlx::query_scalar(&sql).fetch_all(&mut *connection).await.expect(rule);
        faults.extend(offenders.into_iter().map(|name| format!("{rule}: {name}")));
    }
    faults
}

#[tokio::test]
async fn every_table_that_grows_carries_its_part_and_planted_faults_are_found() {
    let Some(store) = TestStore::postgres().await else {
        return;
    };
    let url = store.url().expect("a URL");
    let config = DbConfig {
        accept_unsafe_server: true,
        ..DbConfig::new(url, Clock::system().now())
    };
    Db::open(&config).await.expect("a ledger").close().await;
    let mut connection = PgConnection::connect(url).await.expect("the ledger");
    assert_eq!(faults(&mut connection).await, Vec::<String>::new());

    let planted = "
        create table planted_without_part (id int primary key);
        create table planted_without_key (part int not null);
        create table planted_unique (part int not null, id int not null unique, primary key (part, id));
        create function planted() returns trigger language plpgsql as 'begin return new; end';
        create trigger planted_trigger before insert on planted_unique for each row execute function planted();
        create table planted_identity (part int not null, id bigint generated always as identity, primary key (part, id));
        create table planted_xid (part int not null, id int, tx xid8, primary key (part, id));
        create table planted_foreign (part int not null, id int, primary key (part, id),
          foreign key (part, id) references planted_identity (part, id));";
    connection.execute(planted).await.expect("planted faults");
    let found = faults(&mut connection).await;
    for (rule, _) in rules() {
        assert!(
            found.iter().any(|fault| fault.starts_with(rule)),
            "[{rule}] is blind: {found:?}"
        );
    }
}
