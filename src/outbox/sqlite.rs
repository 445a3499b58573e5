//! The outbox's SQL on SQLite.

use aggregates::time::Timestamp;
use projections::db::{DbError, at_from_micros, position_from_sql, position_to_sql};
use projections::failpoint;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{Effect, Settlement, State};

const CLAIM: &str = "update outbox set state = 'sending', fence = ?2, attempts = attempts + 1, next_at = ?5 \
     where part = ?1 and outbox_id in (select i.outbox_id from outbox i where i.part = ?1 \
       and i.kind in (select value from json_each(?3)) and i.state in ('due', 'sending', 'unknown') \
       and i.next_at <= ?4 order by i.next_at, i.outbox_id limit ?6) \
     and (fence is null or fence <= ?2) \
     returning part, outbox_id, kind, body, cause_event_id, position, state, attempts, next_at, fence, result";

const TAKE_OVER: &str = "update outbox set state = 'due', next_at = ?4 \
     where part = ?1 and kind = ?2 and fence < ?3 and state = 'sending'";

const SETTLE: &str = "update outbox set state = ?4, result = ?5, next_at = ?6, \
     done_at = case when ?4 in ('done', 'failed') then ?7 end \
     where part = ?1 and outbox_id = ?2 and fence = ?3 and state = 'sending'";

const SETTLE_UNFENCED: &str = "update outbox set state = ?4, result = ?5, next_at = ?6, \
     done_at = case when ?4 in ('done', 'failed') then ?7 end \
     where part = ?1 and outbox_id = ?2 and ?3 > 0";

const LIST_OPEN: &str = "select part, outbox_id, kind, body, cause_event_id, position, state, attempts, next_at, \
     fence, result from outbox where part = ?1 and state in ('due', 'sending', 'unknown') \
     order by next_at, outbox_id limit ?2";

const EARLIER: &str = "select next_at from outbox where part = ?1 and kind = ?2 and state in ('due', 'sending', 'unknown') \
     and position < ?4 and body ->> 'stream' = ?3 order by position limit 1";

fn effect(row: &SqliteRow) -> Result<Effect, DbError> {
    Ok(Effect {
        part: row.try_get(0)?,
        outbox_id: row.try_get::<uuid::fmt::Hyphenated, _>(1)?.into_uuid(),
        kind: row.try_get(2)?,
        body: row.try_get(3)?,
        cause_event_id: row.try_get::<uuid::fmt::Hyphenated, _>(4)?.into_uuid(),
        position: position_from_sql(row.try_get(5)?)?,
        state: State::parse(row.try_get(6)?)?,
        attempts: row.try_get(7)?,
        next_at: at_from_micros(row.try_get(8)?)?,
        fence: row.try_get::<Option<i64>, _>(9)?.map(position_from_sql).transpose()?,
        result: row.try_get(10)?,
    })
}

pub(super) async fn claim(
    conn: &mut SqliteConnection,
    part: u32,
    fence: u64,
    kinds: &[String],
    now: Timestamp,
    retry_at: Timestamp,
    limit: u32,
) -> Result<Vec<Effect>, DbError> {
    let kinds = serde_json::to_string(kinds).map_err(|error| DbError::bug(error.to_string()))?;
    let query = sqlx::query(CLAIM).bind(part).bind(position_to_sql(fence)?).bind(kinds);
    let query = query.bind(now.micros()).bind(retry_at.micros()).bind(limit);
    query.fetch_all(conn).await?.iter().map(effect).collect()
}

pub(super) async fn take_over(
    conn: &mut SqliteConnection,
    part: u32,
    kind: &str,
    fence: u64,
    now: Timestamp,
) -> Result<u64, DbError> {
    let query = sqlx::query(TAKE_OVER).bind(part).bind(kind);
    let query = query.bind(position_to_sql(fence)?).bind(now.micros());
    Ok(query.execute(conn).await?.rows_affected())
}

pub(super) async fn settle(
    conn: &mut SqliteConnection,
    part: u32,
    outbox_id: Uuid,
    fence: u64,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<bool, DbError> {
    let unfenced = failpoint::mutant("stale-fence-accepted");
    let done = sqlx::query(if unfenced { SETTLE_UNFENCED } else { SETTLE })
        .bind(part)
        .bind(outbox_id.hyphenated())
        .bind(position_to_sql(fence)?)
        .bind(settlement.state.as_str())
        .bind(&settlement.result)
        .bind(settlement.next_at.micros())
        .bind(now.micros())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn list_open(conn: &mut SqliteConnection, part: u32, limit: u32) -> Result<Vec<Effect>, DbError> {
    let query = sqlx::query(LIST_OPEN).bind(part).bind(limit);
    query.fetch_all(conn).await?.iter().map(effect).collect()
}

pub(super) async fn earlier(
    conn: &mut SqliteConnection,
    part: u32,
    kind: &str,
    stream: &str,
    position: u64,
) -> Result<Option<Timestamp>, DbError> {
    let query = sqlx::query(EARLIER).bind(part).bind(kind).bind(stream);
    let row = query.bind(position_to_sql(position)?).fetch_optional(conn).await?;
    row.map(|row| at_from_micros(row.try_get(0)?)).transpose()
}
