//! Finding events: newest first, over all parts, going on from one position in each part.

use aggregates::time::Timestamp;
use uuid::Uuid;

use super::{Audit, AuditRow};
use crate::db::{Db, Pool};
use crate::projection::Projection;
use crate::query::{Bind, QueryError, Statement};
use crate::runner::{Freshness, Progress};
use crate::table::RowSource;
use crate::views::View;

/// Which events are asked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Parts to look into: those of the account asked for; none = all.
    pub parts: Option<Vec<u32>>,
    /// Recorded under this tenant, or in one of `streams`.
    pub tenant: Option<String>,
    /// In one of these streams (with `tenant`: or under that tenant).
    pub streams: Vec<String>,
    /// In this stream, whatever else is asked for.
    pub stream: Option<String>,
    /// Stored name.
    pub event_type: Option<String>,
    /// Family.
    pub family: Option<String>,
    /// Who caused it, as the index shows it.
    pub actor: Option<String>,
    /// Source of the receipt behind it: a Stripe account or `default`.
    pub source: Option<String>,
    /// Id of the Stripe event behind it.
    pub stripe_event: Option<String>,
    /// Its own id.
    pub event_id: Option<Uuid>,
    /// Recorded at or after.
    pub from: Option<Timestamp>,
    /// Recorded before.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether an event of the index is asked for: what the statements of a list say, of one row.
    #[must_use]
    pub fn matches(&self, part: u32, row: &AuditRow) -> bool {
        let is = |asked: &Option<String>, found: &str| asked.as_deref().is_none_or(|asked| asked == found);
        let of_account = match (&self.tenant, self.streams.as_slice()) {
            (None, []) => true,
            (tenant, streams) => {
                let by_name = tenant.is_some() && tenant.as_deref() == row.tenant.as_deref();
                by_name || streams.iter().any(|stream| **stream == *row.stream)
            }
        };
        let of_source = |source: &String| {
            let receipt = row
                .receipt
                .as_deref()
                .and_then(|receipt| receipt.strip_prefix(source.as_str()));
            receipt.is_some_and(|rest| rest.starts_with('/'))
        };
        let of_stripe = |event: &String| row.actor.strip_prefix("stripe:") == Some(event.as_str());
        self.parts.as_ref().is_none_or(|parts| parts.contains(&part))
            && of_account
            && is(&self.stream, &row.stream)
            && is(&self.event_type, &row.event_type)
            && is(&self.family, &row.family)
            && is(&self.actor, &row.actor)
            && self.source.as_ref().is_none_or(of_source)
            && self.stripe_event.as_ref().is_none_or(of_stripe)
            && self.event_id.is_none_or(|id| id == row.event_id)
            && self.from.is_none_or(|from| row.recorded_at >= from)
            && self.to.is_none_or(|to| row.recorded_at < to)
    }
}

/// Where a listing goes on: in each part, below this position. Made by the first page, which fixes the heads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPlace(pub Vec<u64>);

/// Bits of a byte that carry a number, seven at a time.
const SEVEN: u64 = 0x7f;

impl AuditPlace {
    /// Few bytes: seven bits each, low first, the eighth says that more follow.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 3);
        for position in &self.0 {
            let mut rest = *position;
            while rest > SEVEN {
                bytes.push(u8::try_from(rest & SEVEN).unwrap_or(0) | 0x80);
                rest >>= 7;
            }
            bytes.push(u8::try_from(rest).unwrap_or(0));
        }
        bytes
    }

    /// The reverse; none if the bytes are not such a place.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut places = Vec::new();
        let (mut number, mut shift) = (0_u64, 0_u32);
        for byte in bytes {
            number |= (u64::from(*byte) & SEVEN).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                places.push(number);
                (number, shift) = (0, 0);
            } else {
                shift += 7;
                if shift > 63 {
                    return None;
                }
            }
        }
        (shift == 0).then_some(Self(places))
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// Part and row, newest first.
    pub rows: Vec<(u32, AuditRow)>,
    /// Where the next page begins; none: this was the last.
    pub next: Option<AuditPlace>,
    /// How fresh the index is in each part that was looked into.
    pub freshness: Vec<Freshness>,
}

/// A page of events, sorted by the time they were recorded, then part; inside a part by position, whatever the clock
/// did.
pub async fn list(
    db: &Db,
    progress: &Progress,
    filter: &AuditFilter,
    place: Option<&AuditPlace>,
    limit: u32,
) -> Result<AuditPage, QueryError> {
    let all: Vec<u32> = (0..db.parts()).collect();
    let parts = filter.parts.clone().unwrap_or(all);
    let freshness: Vec<Freshness> = parts
        .iter()
        .map(|part| progress.freshness(View::Audit, *part))
        .collect();
    let start: Vec<u64> = match place {
        Some(place) if place.0.len() == parts.len() => place.0.clone(),
        Some(_) | None => freshness.iter().map(|it| it.position + 1).collect(),
    };
    let databases = u32::try_from(db.pools().len()).unwrap_or(1).max(1);
    let mut found = Vec::new();
    for (n, pool) in (0_u32..).zip(db.pools()) {
        let here = |part: &&u32| **part % databases == n;
        let own: Vec<u32> = parts.iter().filter(here).copied().collect();
        if own.is_empty() {
            continue;
        }
        let below = parts
            .iter()
            .zip(&start)
            .filter(|(part, _)| here(part))
            .map(|(_, at)| *at)
            .collect();
        let statement = statement(progress, filter, &own, below, limit, matches!(pool, Pool::Postgres(_)));
        found.extend(
            statement
                .fetch(pool, |part, row| Ok((part, Audit::read(row)?.1)))
                .await?,
        );
    }
    let mut page = merge(found, &parts, start, limit);
    page.freshness = freshness;
    Ok(page)
}

/// Number of events, counted no further than `most` in each database.
pub async fn count(db: &Db, progress: &Progress, filter: &AuditFilter, most: u32) -> Result<u64, QueryError> {
    let all: Vec<u32> = (0..db.parts()).collect();
    let parts = filter.parts.clone().unwrap_or(all);
    if parts.is_empty() {
        return Ok(0);
    }
    let table = Audit::TABLE.slot(progress.slot(View::Audit));
    let mut sum = 0;
    for pool in db.pools() {
        let postgres = matches!(pool, Pool::Postgres(_));
        let mut sql = Statement::new(format!("select 0, count(*) from (select 1 from {table} a where a.part"));
        if postgres {
            // Parts of other databases have no rows here.
            sql.push(" = any(").bind(Bind::Parts(parts.clone())).push("::int[])");
        } else {
            sql.push(" = 0");
        }
        narrow(&mut sql, filter, postgres);
        sql.push(" limit ").bind(Bind::Int(i64::from(most))).push(") n");
        sum += sql.fetch(pool, |_, row| row.must_count()).await?.iter().sum::<u64>();
    }
    Ok(sum)
}

fn statement(
    progress: &Progress,
    filter: &AuditFilter,
    parts: &[u32],
    below: Vec<u64>,
    limit: u32,
    postgres: bool,
) -> Statement {
    let table = Audit::TABLE;
    let mut sql = Statement::new(format!("select {} from ", table.names("t.")));
    if postgres {
        sql.push("unnest(")
            .bind(Bind::Parts(parts.to_vec()))
            .push("::int[], ")
            .bind(Bind::Positions(below));
        sql.push("::bigint[]) p (part, below) cross join lateral (select * from ");
        sql.push(&table.slot(progress.slot(View::Audit)))
            .push(" a where a.part = p.part and a.position < p.below");
    } else {
        let below = below.first().copied().unwrap_or(0);
        sql.push("(select * from ")
            .push(&table.slot(progress.slot(View::Audit)))
            .push(" a where a.part = 0");
        sql.push(" and a.position < ")
            .bind(Bind::Int(i64::try_from(below).unwrap_or(i64::MAX)));
    }
    narrow(&mut sql, filter, postgres);
    sql.push(" order by a.position desc limit ")
        .bind(Bind::Int(i64::from(limit) + 1))
        .push(") t");
    sql
}

fn narrow(sql: &mut Statement, filter: &AuditFilter, postgres: bool) {
    let in_list = |sql: &mut Statement, list: &[String]| {
        if postgres {
            sql.push("a.stream_id = any(")
                .bind(Bind::Texts(list.to_vec()))
                .push("::text[])");
        } else {
            sql.push("a.stream_id in (select value from json_each(")
                .bind(Bind::Texts(list.to_vec()))
                .push("))");
        }
    };
    match (&filter.tenant, filter.streams.as_slice()) {
        (Some(tenant), []) => {
            sql.push(" and a.tenant = ").bind(Bind::Text(tenant.clone()));
        }
        (Some(tenant), streams) => {
            sql.push(" and (a.tenant = ")
                .bind(Bind::Text(tenant.clone()))
                .push(" or ");
            in_list(sql, streams);
            sql.push(")");
        }
        (None, []) => {}
        (None, streams) => {
            sql.push(" and ");
            in_list(sql, streams);
        }
    }
    let texts = [
        (" and a.stream_id = ", &filter.stream),
        (" and a.event_type = ", &filter.event_type),
        (" and a.family = ", &filter.family),
        (" and a.actor = ", &filter.actor),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            sql.push(condition).bind(Bind::Text(value.clone()));
        }
    }
    if let Some(event) = &filter.stripe_event {
        sql.push(" and a.actor = ").bind(Bind::Text(format!("stripe:{event}")));
    }
    if let Some(source) = &filter.source {
        // The source ends at the last slash: ids of Stripe events have none.
        let length = i64::try_from(source.chars().count()).unwrap_or(i64::MAX) + 1;
        sql.push(" and substr(a.receipt, 1, cast(")
            .bind(Bind::Int(length))
            .push(" as int)) = ");
        sql.bind(Bind::Text(format!("{source}/")));
    }
    if let Some(id) = filter.event_id {
        sql.push(" and a.event_id = ")
            .bind(Bind::Text(id.hyphenated().to_string()));
    }
    let (from, to) = span(filter);
    if let Some(from) = from {
        sql.push(" and a.recorded_at >= ").bind(Bind::Time(from));
    }
    if let Some(to) = to {
        sql.push(" and a.recorded_at < ").bind(Bind::Time(to));
    }
}

/// Ids carry the millisecond they were made in, which is just before the event was recorded.
const ID_SLACK_SECONDS: i64 = 3_600;

/// The span of time to look into: as asked, and around the id's own time, so that the index by time finds it.
fn span(filter: &AuditFilter) -> (Option<Timestamp>, Option<Timestamp>) {
    let made = filter.event_id.and_then(|id| id.get_timestamp()).and_then(|made| {
        let (seconds, _) = made.to_unix();
        Timestamp::from_seconds(i64::try_from(seconds).ok()?).ok()
    });
    let Some(made) = made else {
        return (filter.from, filter.to);
    };
    let (low, high) = (
        made.plus_seconds(-ID_SLACK_SECONDS),
        made.plus_seconds(ID_SLACK_SECONDS),
    );
    (
        Some(filter.from.map_or(low, |from| from.max(low))),
        Some(filter.to.map_or(high, |to| to.min(high))),
    )
}

/// Takes, again and again, the newest of the parts' next rows: inside a part the order of positions is kept.
fn merge(found: Vec<(u32, AuditRow)>, parts: &[u32], start: Vec<u64>, limit: u32) -> AuditPage {
    let mut queues: Vec<Vec<AuditRow>> = vec![Vec::new(); parts.len()];
    for (part, row) in found {
        if let Some(at) = parts.iter().position(|known| *known == part) {
            queues[at].push(row);
        }
    }
    for queue in &mut queues {
        queue.sort_unstable_by_key(|row| row.position);
    }
    let mut rows = Vec::new();
    let mut place = start;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    while rows.len() < wanted {
        let newest = queues
            .iter()
            .enumerate()
            .filter_map(|(at, queue)| Some((queue.last()?.recorded_at, at)));
        let Some((_, at)) = newest.max_by_key(|(recorded_at, at)| (*recorded_at, std::cmp::Reverse(*at))) else {
            break;
        };
        let Some(row) = queues[at].pop() else { break };
        place[at] = row.position;
        rows.push((parts[at], row));
    }
    let more = queues.iter().any(|queue| !queue.is_empty());
    AuditPage {
        rows,
        next: more.then_some(AuditPlace(place)),
        freshness: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_few_bytes_and_comes_back() {
        for place in [
            vec![],
            vec![0],
            vec![127, 128, 300, 1_000_000],
            vec![u64::MAX, 1],
            vec![2_000_000; 64],
        ] {
            let place = AuditPlace(place);
            assert_eq!(AuditPlace::decode(&place.encode()), Some(place));
        }
        assert_eq!(AuditPlace(vec![2_000_000; 64]).encode().len(), 192);
        assert_eq!(AuditPlace::decode(&[0x80]), None);
        assert_eq!(AuditPlace::decode(&[0xff; 12]), None);
    }
}
