//! Charges, refunds and credit notes of one account, and which of them belong together.

use aggregates::time::Timestamp;

use super::{Money, MoneyKind, MoneyRow};
use crate::db::{Db, Pool};
use crate::projection::Projection;
use crate::query::{Answer, AnySource, Bind, QueryError, Statement};
use crate::runner::Progress;
use crate::table::RowSource;
use crate::views::View;

/// Rows that belong to those of one page, at most: a page has 200, and a payment is refunded a few times.
const RELATED_MAX: i64 = 2_000;

/// Which rows are asked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoneyFilter {
    /// Stripe's word for the status.
    pub status: Option<String>,
    /// Made at or after.
    pub from: Option<Timestamp>,
    /// Made before.
    pub to: Option<Timestamp>,
}

/// By what rows belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They name the same payment intent or charge.
    Payment,
    /// They name the same invoice.
    Invoice,
}

impl Relation {
    const fn column(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Invoice => "invoice",
        }
    }
}

/// Rows of one kind of an account by their Stripe id, newest first, after (made, id) of the last one seen.
pub async fn list(
    db: &Db,
    progress: &Progress,
    (part, stream): (u32, &str),
    (kind, filter): (MoneyKind, &MoneyFilter),
    after: Option<(Timestamp, &str)>,
    limit: u32,
) -> Result<Answer<Vec<(String, MoneyRow)>>, QueryError> {
    let freshness = progress.freshness(View::Money, part);
    let mut sql = of_kind(progress, Money::TABLE.names(""), (part, stream), kind);
    narrow(&mut sql, filter);
    if let Some((created_at, id)) = after {
        sql.push(" and (created_at, object_id) < (")
            .bind(Bind::Time(created_at))
            .push(", ");
        sql.bind(Bind::Text(id.to_owned())).push(")");
    }
    sql.push(" order by created_at desc, object_id desc limit ")
        .bind(Bind::Int(i64::from(limit)));
    let value = sql.fetch(db.pool_for(part), read).await?;
    Ok(Answer { value, freshness })
}

/// Number of rows of one kind, counted no further than `most`.
pub async fn count(
    db: &Db,
    progress: &Progress,
    account: (u32, &str),
    (kind, filter): (MoneyKind, &MoneyFilter),
    most: u32,
) -> Result<u64, QueryError> {
    let mut sql = of_kind(progress, "1".to_owned(), account, kind);
    narrow(&mut sql, filter);
    sql.push(" limit ").bind(Bind::Int(i64::from(most)));
    sql.sql = format!("select 0, count(*) from ({}) n", sql.sql);
    let counted = sql.fetch(db.pool_for(account.0), |_, row| row.must_count()).await?;
    Ok(counted.iter().sum())
}

/// Rows of one kind that belong to any of `ids`, oldest first.
pub async fn related(
    db: &Db,
    progress: &Progress,
    (part, stream): (u32, &str),
    (kind, relation): (MoneyKind, Relation),
    ids: Vec<String>,
) -> Result<Vec<(String, MoneyRow)>, QueryError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let pool = db.pool_for(part);
    let mut sql = of_kind(progress, Money::TABLE.names(""), (part, stream), kind);
    sql.push(" and ").push(relation.column());
    match pool {
        Pool::Postgres(_) => sql.push(" = any(").bind(Bind::Texts(ids)).push("::text[])"),
        Pool::Sqlite(_) => sql
            .push(" in (select value from json_each(")
            .bind(Bind::Texts(ids))
            .push("))"),
    };
    sql.push(" order by created_at, object_id limit ")
        .bind(Bind::Int(RELATED_MAX));
    sql.fetch(pool, read).await
}

fn of_kind(progress: &Progress, columns: String, (part, stream): (u32, &str), kind: MoneyKind) -> Statement {
    let slot = Money::TABLE.slot(progress.slot(View::Money));
    let mut sql = Statement::new(format!("select {columns} from {slot} where part = "));
    sql.bind(Bind::Int(i64::from(part)))
        .push(" and stream_id = ")
        .bind(Bind::Text(stream.to_owned()))
        .push(" and kind = ")
        .bind(Bind::Text(kind.as_str().to_owned()));
    sql
}

fn narrow(sql: &mut Statement, filter: &MoneyFilter) {
    if let Some(status) = &filter.status {
        sql.push(" and status = ").bind(Bind::Text(status.clone()));
    }
    if let Some(from) = filter.from {
        sql.push(" and created_at >= ").bind(Bind::Time(from));
    }
    if let Some(to) = filter.to {
        sql.push(" and created_at < ").bind(Bind::Time(to));
    }
}

fn read(_: u32, source: &mut AnySource<'_>) -> Result<(String, MoneyRow), crate::table::RowError> {
    let (key, row) = Money::read(source)?;
    Ok((key.item.into(), row))
}
