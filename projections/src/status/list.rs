//! Lists of accounts: those of tenants, and those nobody owns.

use aggregates::time::Timestamp;

use super::{Status, StatusRow};
use crate::db::{Db, Pool};
use crate::projection::Projection;
use crate::query::{Bind, QueryError, Statement, anywhere};
use crate::runner::Progress;
use crate::table::RowSource;
use crate::views::View;

/// Which tenants are asked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Found in the tenant's id, its Stripe customer, or the name or mail address it gave.
    pub q: Option<String>,
    /// Word of the status.
    pub status: Option<String>,
    /// Code of the plan.
    pub plan: Option<String>,
}

/// One account in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Part of its stream.
    pub part: u32,
    /// Its stream.
    pub stream: String,
    /// Where it stands.
    pub row: StatusRow,
    /// The name the tenant gave.
    pub name: Option<String>,
    /// The mail address the tenant gave.
    pub email: Option<String>,
}

fn head(progress: &Progress) -> Statement {
    let table = Status::TABLE;
    let slot = table.slot(progress.slot(View::Status));
    Statement::new(format!(
        "select {}, p.name, p.email from {slot} s left join tenant_profile p on p.part = s.part and p.tenant = s.tenant",
        table.names("s.")
    ))
}

fn narrow(sql: &mut Statement, filter: &TenantFilter) {
    sql.push(" where s.tenant is not null");
    for (condition, value) in [(" and s.status = ", &filter.status), (" and s.plan = ", &filter.plan)] {
        if let Some(value) = value {
            sql.push(condition).bind(Bind::Text(value.clone()));
        }
    }
    if let Some(q) = &filter.q {
        // As written too: SQLite, and Postgres with the C locale, make only ASCII letters small.
        let (written, small) = (anywhere(q), anywhere(&q.to_lowercase()));
        sql.push(" and (");
        for (n, column) in ["s.tenant", "s.customer", "p.name", "p.email"].iter().enumerate() {
            sql.push(if n == 0 { "" } else { " or " })
                .push(column)
                .push(" like ")
                .bind(Bind::Text(written.clone()))
                .push(" escape '\\' or lower(")
                .push(column)
                .push(") like ")
                .bind(Bind::Text(small.clone()))
                .push(" escape '\\'");
        }
        sql.push(")");
    }
}

fn listed(part: u32, source: &mut impl RowSource) -> Result<Listed, crate::table::RowError> {
    let (key, row) = Status::read(source)?;
    Ok(Listed {
        part,
        stream: key.stream.into(),
        row,
        name: source.text()?,
        email: source.text()?,
    })
}

/// Tenants in the order of their ids, after (tenant, stream) of the last one seen.
pub async fn tenants(
    db: &Db,
    progress: &Progress,
    filter: &TenantFilter,
    after: Option<(&str, &str)>,
    limit: u32,
) -> Result<Vec<Listed>, QueryError> {
    let mut sql = head(progress);
    narrow(&mut sql, filter);
    if let Some((tenant, stream)) = after {
        sql.push(" and (s.tenant, s.stream_id) > (")
            .bind(Bind::Text(tenant.to_owned()))
            .push(", ");
        sql.bind(Bind::Text(stream.to_owned())).push(")");
    }
    sql.push(" order by s.tenant, s.stream_id limit ")
        .bind(Bind::Int(i64::from(limit)));
    let mut found = Vec::new();
    for pool in db.pools() {
        found.extend(sql.fetch(pool, |part, row| listed(part, row)).await?);
    }
    if db.pools().len() > 1 {
        found.sort_by(|a, b| (&a.row.book.account.tenant, &a.stream).cmp(&(&b.row.book.account.tenant, &b.stream)));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Ok(found)
}

/// Number of tenants, counted no further than `most`.
pub async fn count_tenants(db: &Db, progress: &Progress, filter: &TenantFilter, most: u32) -> Result<u64, QueryError> {
    let table = Status::TABLE.slot(progress.slot(View::Status));
    let mut sql = Statement::new(format!(
        "select 0, count(*) from (select distinct s.tenant from {table} s \
         left join tenant_profile p on p.part = s.part and p.tenant = s.tenant"
    ));
    narrow(&mut sql, filter);
    sql.push(" limit ").bind(Bind::Int(i64::from(most))).push(") n");
    sql.fetch_sum(db).await
}

/// Number of accounts without a tenant, counted no further than `most`.
pub async fn count_unassigned(db: &Db, progress: &Progress, most: u32) -> Result<u64, QueryError> {
    let table = Status::TABLE.slot(progress.slot(View::Status));
    let mut sql = Statement::new(format!(
        "select 0, count(*) from (select 1 from {table} s where s.tenant is null limit "
    ));
    sql.bind(Bind::Int(i64::from(most))).push(") n");
    sql.fetch_sum(db).await
}

/// What an account was asked to pay, in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Involved {
    /// Currency.
    pub currency: String,
    /// Invoices of that currency.
    pub invoices: u64,
    /// Paid so far, in minor units.
    pub paid_minor: i64,
    /// Asked for in all, in minor units.
    pub due_minor: i64,
}

/// An account nobody owns yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unassigned {
    /// The account.
    pub account: Listed,
    /// Money on its invoices.
    pub money: Vec<Involved>,
}

/// Accounts without a tenant, oldest first, after (first seen, stream) of the last one seen.
pub async fn unassigned(
    db: &Db,
    progress: &Progress,
    after: Option<(Timestamp, &str)>,
    limit: u32,
) -> Result<Vec<Unassigned>, QueryError> {
    let mut sql = head(progress);
    sql.push(" where s.tenant is null");
    if let Some((first_seen_at, stream)) = after {
        sql.push(" and (s.first_seen_at, s.stream_id) > (")
            .bind(Bind::Time(first_seen_at))
            .push(", ");
        sql.bind(Bind::Text(stream.to_owned())).push(")");
    }
    sql.push(" order by s.first_seen_at, s.stream_id limit ")
        .bind(Bind::Int(i64::from(limit)));
    let mut found = Vec::new();
    for pool in db.pools() {
        found.extend(sql.fetch(pool, |part, row| listed(part, row)).await?);
    }
    found.sort_by(|a, b| (a.row.first_seen_at, &a.stream).cmp(&(b.row.first_seen_at, &b.stream)));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut answer = Vec::with_capacity(found.len());
    for account in found {
        let money = involved(db.pool_for(account.part), progress, &account).await?;
        answer.push(Unassigned { account, money });
    }
    Ok(answer)
}

async fn involved(pool: Pool<'_>, progress: &Progress, account: &Listed) -> Result<Vec<Involved>, QueryError> {
    let table = View::Invoices.table().slot(progress.slot(View::Invoices));
    let mut sql = Statement::new(format!(
        "select part, currency, count(*), cast(sum(amount_paid_minor) as bigint), \
         cast(sum(amount_due_minor) as bigint) from {table} where part = "
    ));
    sql.bind(Bind::Int(i64::from(account.part))).push(" and stream_id = ");
    sql.bind(Bind::Text(account.stream.clone()));
    // A preview is no claim.
    sql.push(" and currency is not null and status <> 'upcoming' group by part, currency order by currency");
    sql.fetch(pool, |_, row| {
        Ok(Involved {
            currency: row.must_text()?,
            invoices: row.must_count()?,
            paid_minor: row.int()?.unwrap_or(0),
            due_minor: row.int()?.unwrap_or(0),
        })
    })
    .await
}
