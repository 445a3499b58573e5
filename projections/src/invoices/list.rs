//! Invoices of one account.

use aggregates::time::Timestamp;

use super::{InvoiceRow, Invoices};
use crate::db::Db;
use crate::projection::Projection;
use crate::query::{Answer, Bind, QueryError, Statement, row};
use crate::runner::Progress;
use crate::table::{Key, RowSource};
use crate::views::View;

/// Which invoices are asked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvoiceFilter {
    /// Stripe's word for the status.
    pub status: Option<String>,
    /// Stripe's words for what is left out.
    pub without: &'static [&'static str],
    /// Made at or after.
    pub from: Option<Timestamp>,
    /// Made before.
    pub to: Option<Timestamp>,
}

/// Invoices of an account by their Stripe id, newest first, after (made, id) of the last one seen. An invoice of
/// which only a payment is known is not among them.
pub async fn list(
    db: &Db,
    progress: &Progress,
    (part, stream): (u32, &str),
    filter: &InvoiceFilter,
    after: Option<(Timestamp, &str)>,
    limit: u32,
) -> Result<Answer<Vec<(String, InvoiceRow)>>, QueryError> {
    let freshness = progress.freshness(View::Invoices, part);
    let mut sql = of_account(progress, Invoices::TABLE.names(""), (part, stream));
    narrow(&mut sql, filter);
    if let Some((created_at, invoice)) = after {
        sql.push(" and (created_at, invoice_id) < (")
            .bind(Bind::Time(created_at))
            .push(", ");
        sql.bind(Bind::Text(invoice.to_owned())).push(")");
    }
    sql.push(" order by created_at desc, invoice_id desc limit ")
        .bind(Bind::Int(i64::from(limit)));
    let read = |_, source: &mut crate::query::AnySource<'_>| {
        let (key, row) = Invoices::read(source)?;
        Ok((key.item.into(), row))
    };
    let value = sql.fetch(db.pool_for(part), read).await?;
    Ok(Answer { value, freshness })
}

/// Number of invoices, counted no further than `most`.
pub async fn count(
    db: &Db,
    progress: &Progress,
    account: (u32, &str),
    filter: &InvoiceFilter,
    most: u32,
) -> Result<u64, QueryError> {
    let mut sql = of_account(progress, "1".to_owned(), account);
    narrow(&mut sql, filter);
    sql.push(" limit ").bind(Bind::Int(i64::from(most)));
    sql.sql = format!("select 0, count(*) from ({}) n", sql.sql);
    let counted = sql.fetch(db.pool_for(account.0), |_, row| row.must_count()).await?;
    Ok(counted.iter().sum())
}

fn of_account(progress: &Progress, columns: String, (part, stream): (u32, &str)) -> Statement {
    let slot = Invoices::TABLE.slot(progress.slot(View::Invoices));
    let mut sql = Statement::new(format!("select {columns} from {slot} where part = "));
    sql.bind(Bind::Int(i64::from(part)))
        .push(" and stream_id = ")
        .bind(Bind::Text(stream.to_owned()))
        .push(" and created_at is not null");
    sql
}

fn narrow(sql: &mut Statement, filter: &InvoiceFilter) {
    if let Some(status) = &filter.status {
        sql.push(" and status = ").bind(Bind::Text(status.clone()));
    }
    for word in filter.without {
        sql.push(" and status <> ").bind(Bind::Text((*word).to_owned()));
    }
    if let Some(from) = filter.from {
        sql.push(" and created_at >= ").bind(Bind::Time(from));
    }
    if let Some(to) = filter.to {
        sql.push(" and created_at < ").bind(Bind::Time(to));
    }
}

/// One invoice of an account.
pub async fn get(
    db: &Db,
    progress: &Progress,
    (part, stream): (u32, &str),
    invoice: &str,
) -> Result<Answer<Option<InvoiceRow>>, QueryError> {
    row::<Invoices>(db, progress, View::Invoices, part, &Key::item(stream, invoice)).await
}
