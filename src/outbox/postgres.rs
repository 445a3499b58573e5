//! The outbox's SQL on Postgres.

use aggregates::time::Timestamp;
use projections::db::{DbError, at_from_chrono, part_to_sql, position_from_sql, position_to_sql};
use projections::failpoint;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{Effect, Settlement, State};

// The part is named in the inner select too: on a distributed server both go to one shard. No SKIP LOCKED: the lease
// keeps claimers apart, and the fence keeps a late one from settling.
pub(crate) const CLAIM: &str = "update outbox o set state = 'sending', fence = $2, attempts = o.attempts + 1, next_at = $5 \
     where o.part = $1 and o.outbox_id in (select i.outbox_id from outbox i where i.part = $1 and i.kind = any($3) \
       and i.state in ('due', 'sending', 'unknown') and i.next_at <= $4 order by i.next_at, i.outbox_id limit $6) \
     and o.state in ('due', 'sending', 'unknown') and o.next_at <= $4 and (o.fence is null or o.fence <= $2) \
     returning o.part, o.outbox_id, o.kind, o.body::text, o.cause_event_id, o.position, o.state, o.attempts, \
     o.next_at, o.fence, o.result::text";

const TAKE_OVER: &str = "update outbox set state = 'due', next_at = $4 \
     where part = $1 and kind = $2 and fence < $3 and state = 'sending'";

pub(crate) const SETTLE: &str = "update outbox set state = $4, result = $5::json, next_at = $6, \
     done_at = case when $4 in ('done', 'failed') then $7::timestamptz end \
     where part = $1 and outbox_id = $2 and fence = $3 and state = 'sending'";

const SETTLE_UNFENCED: &str = "update outbox set state = $4, result = $5::json, next_at = $6, \
     done_at = case when $4 in ('done', 'failed') then $7::timestamptz end \
     where part = $1 and outbox_id = $2 and $3 > 0";

const LIST_OPEN: &str = "select part, outbox_id, kind, body::text, cause_event_id, position, state, attempts, next_at, \
     fence, result::text from outbox where part = $1 and state in ('due', 'sending', 'unknown') \
     order by next_at, outbox_id limit $2";

const EARLIER: &str = "select next_at from outbox where part = $1 and kind = $2 and state in ('due', 'sending', 'unknown') \
     and position < $4 and body ->> 'stream' = $3 order by position limit 1";

fn effect(row: &PgRow) -> Result<Effect, DbError> {
    Ok(Effect {
        part: u32::try_from(row.try_get::<i32, _>(0)?).map_err(|_| DbError::bug("a part is negative"))?,
        outbox_id: row.try_get(1)?,
        kind: row.try_get(2)?,
        body: row.try_get(3)?,
        cause_event_id: row.try_get(4)?,
        position: position_from_sql(row.try_get(5)?)?,
        state: State::parse(row.try_get(6)?)?,
        attempts: u32::try_from(row.try_get::<i32, _>(7)?).unwrap_or(0),
        next_at: at_from_chrono(row.try_get(8)?)?,
        fence: row.try_get::<Option<i64>, _>(9)?.map(position_from_sql).transpose()?,
        result: row.try_get(10)?,
    })
}

pub(super) async fn claim(
    conn: &mut PgConnection,
    part: u32,
    fence: u64,
    kinds: &[String],
    now: Timestamp,
    retry_at: Timestamp,
    limit: u32,
) -> Result<Vec<Effect>, DbError> {
    let query = sqlx::query(CLAIM)
        .bind(part_to_sql(part)?)
        .bind(position_to_sql(fence)?)
        .bind(kinds);
    let query = query
        .bind(now.to_chrono())
        .bind(retry_at.to_chrono())
        .bind(i64::from(limit));
    query.fetch_all(conn).await?.iter().map(effect).collect()
}

pub(super) async fn take_over(
    conn: &mut PgConnection,
    part: u32,
    kind: &str,
    fence: u64,
    now: Timestamp,
) -> Result<u64, DbError> {
    let query = sqlx::query(TAKE_OVER).bind(part_to_sql(part)?).bind(kind);
    let query = query.bind(position_to_sql(fence)?).bind(now.to_chrono());
    Ok(query.execute(conn).await?.rows_affected())
}

pub(super) async fn settle(
    conn: &mut PgConnection,
    part: u32,
    outbox_id: Uuid,
    fence: u64,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<bool, DbError> {
    let unfenced = failpoint::mutant("stale-fence-accepted");
    let done = sqlx::query(if unfenced { SETTLE_UNFENCED } else { SETTLE })
        .bind(part_to_sql(part)?)
        .bind(outbox_id)
        .bind(position_to_sql(fence)?)
        .bind(settlement.state.as_str())
        .bind(&settlement.result)
        .bind(settlement.next_at.to_chrono())
        .bind(now.to_chrono())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn list_open(conn: &mut PgConnection, part: u32, limit: u32) -> Result<Vec<Effect>, DbError> {
    let query = sqlx::query(LIST_OPEN).bind(part_to_sql(part)?).bind(i64::from(limit));
    query.fetch_all(conn).await?.iter().map(effect).collect()
}

pub(super) async fn earlier(
    conn: &mut PgConnection,
    part: u32,
    kind: &str,
    stream: &str,
    position: u64,
) -> Result<Option<Timestamp>, DbError> {
    let query = sqlx::query(EARLIER).bind(part_to_sql(part)?).bind(kind).bind(stream);
    let row = query.bind(position_to_sql(position)?).fetch_optional(conn).await?;
    row.map(|row| at_from_chrono(row.try_get(0)?)).transpose()
}
