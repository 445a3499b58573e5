//! Whole streams of some Postgres parts, read by COPY: the server sorts, and no row becomes an object of the driver.
//!
//! Events lie on the server's pages in the order they came in, so a page holds events of many parts. A pass for one part
//! fetches nearly a page an event; one pass for several parts fetches each page once.

use std::sync::OnceLock;

use aggregates::recorded::LedgerEvent;
use aggregates::subscription::AGGREGATE_TYPE;
use futures::{Stream, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::{Executor, Postgres};

use super::read;
use crate::db::{Db, DbError, Pool, at_from_micros, part_to_sql, position_from_sql, position_to_sql};
use crate::projection::{FoldError, LogEvent};
use crate::table::sink::{COPY_HEADER, POSTGRES_EPOCH_MICROS};

/// What the server may use to sort in memory, about 150,000 events; more are sorted on its disk.
const SORT_MEMORY: &str = "set work_mem = '128MB'";
/// Columns of [`Row`].
const COLUMNS: &str =
    "part, aggregate_id, sequence, position, event_type, event_version, payload, occurred_at, recorded_at";
const WIDTH: usize = 9;
/// Streams of up to so many events leave their memory to the next one.
const EVENTS_KEPT: usize = 1_024;

/// A connection for one COPY. It is closed afterwards: one that was left in the middle cannot be used again.
pub(super) async fn connect(db: &Db, part: u32) -> Result<PoolConnection<Postgres>, DbError> {
    let Pool::Postgres(pool) = db.bulk_pool_for(part) else {
        return Err(DbError::bug("COPY is a statement of Postgres"));
    };
    let mut connection = pool.acquire().await?;
    connection.close_on_drop();
    connection.execute(SORT_MEMORY).await?;
    Ok(connection)
}

/// The accounts of parts of one database, with their events up to each part's head.
pub(super) async fn streams(
    connection: &mut PoolConnection<Postgres>,
    heads: &[(u32, u64)],
) -> Result<Streams<impl Stream<Item = Result<impl AsRef<[u8]>, sqlx::Error>> + Unpin>, DbError> {
    // COPY takes no parameters; these are numbers.
    let mut parts = Vec::with_capacity(heads.len());
    for (part, head) in heads {
        let (part, head) = (part_to_sql(*part)?, position_to_sql(*head)?);
        parts.push(format!("(part = {part} and position > 0 and position <= {head})"));
    }
    let sql = format!(
        "copy (select {COLUMNS} from events where ({}) and aggregate_type = '{AGGREGATE_TYPE}' \
         order by part, aggregate_id, sequence) to stdout (format binary)",
        parts.join(" or ")
    );
    Ok(Streams {
        chunks: connection.copy_out_raw(&sql).await?,
        rows: Rows::default(),
        events: Vec::new(),
        next: None,
    })
}

/// Streams one after another.
pub(super) struct Streams<S> {
    chunks: S,
    rows: Rows,
    events: Vec<LogEvent>,
    /// First event of the stream that comes next.
    next: Option<LogEvent>,
}

impl<S: Stream<Item = Result<B, sqlx::Error>> + Unpin, B: AsRef<[u8]>> Streams<S> {
    /// All events of the next stream, in order.
    pub(super) async fn next(&mut self) -> Result<Option<&[LogEvent]>, DbError> {
        self.events.clear();
        self.events.shrink_to(EVENTS_KEPT);
        self.events.extend(self.next.take());
        while let Some(event) = self.event().await? {
            if self.events.first().is_some_and(|first| first.stream != event.stream) {
                self.next = Some(event);
                break;
            }
            self.events.push(event);
        }
        Ok(Some(self.events.as_slice()).filter(|events| !events.is_empty()))
    }

    async fn event(&mut self) -> Result<Option<LogEvent>, DbError> {
        loop {
            if let Some(row) = self.rows.next()? {
                return row.event().map(Some);
            }
            match self.chunks.try_next().await? {
                Some(chunk) => self.rows.push(chunk.as_ref()),
                None if self.rows.is_ended => return Ok(None),
                None => return Err(DbError::bug("COPY ended in the middle of a row")),
            }
        }
    }
}

/// Cuts the bytes of a COPY into rows (postgresql.org/docs/current/sql-copy.html, "Binary Format"). The server sends a
/// row a message, and does not promise to.
#[derive(Default)]
struct Rows {
    bytes: Vec<u8>,
    /// Where the next row begins.
    at: usize,
    is_begun: bool,
    is_ended: bool,
}

impl Rows {
    fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(chunk);
    }

    /// The next row, if all of it has come.
    fn next(&mut self) -> Result<Option<Row<'_>>, DbError> {
        if !self.is_begun {
            let Some(header) = self.bytes.get(..COPY_HEADER.len()) else {
                return Ok(None);
            };
            if header != COPY_HEADER {
                return Err(DbError::bug("COPY does not begin as its binary form does"));
            }
            self.is_begun = true;
            self.at = COPY_HEADER.len();
        }
        let mut rest = Bytes(self.bytes.get(self.at..).unwrap_or_default());
        let before = rest.0.len();
        let Some(count) = rest.array().map(i16::from_be_bytes) else {
            return Ok(None);
        };
        if count == -1 {
            self.is_ended = true;
            return Ok(None);
        }
        if usize::try_from(count) != Ok(WIDTH) {
            return Err(DbError::bug("COPY has other columns than were asked for"));
        }
        let mut fields = [&[][..]; WIDTH];
        for field in &mut fields {
            let Some(length) = rest.array().map(i32::from_be_bytes) else {
                return Ok(None);
            };
            let length = usize::try_from(length).map_err(|_| DbError::bug("a column of an event is null"))?;
            let Some(bytes) = rest.take(length) else {
                return Ok(None);
            };
            *field = bytes;
        }
        self.at += before - rest.0.len();
        Ok(Some(Row(fields)))
    }
}

/// The columns of [`COLUMNS`] as sent.
struct Row<'b>([&'b [u8]; WIDTH]);

impl Row<'_> {
    fn event(&self) -> Result<LogEvent, DbError> {
        let [
            part,
            stream,
            sequence,
            position,
            event_type,
            version,
            payload,
            occurred_at,
            recorded_at,
        ] = self.0;
        let version = text(version)?.parse().unwrap_or(u32::MAX);
        // Decoded from what was received, so that payloads are not copied.
        let typed = LedgerEvent::decode(AGGREGATE_TYPE, text(event_type)?, version, text(payload)?);
        let part = part.try_into().map(u32::from_be_bytes);
        let part = part.map_err(|_| DbError::bug("a part is not 4 bytes"))?;
        let mut event = read::empty(part, AGGREGATE_TYPE);
        text(stream)?.clone_into(&mut event.stream);
        event.sequence = position_from_sql(number(sequence)?)?;
        event.position = position_from_sql(number(position)?)?;
        event.occurred_at = at_from_micros(number(occurred_at)?.saturating_add(POSTGRES_EPOCH_MICROS))?;
        event.recorded_at = at_from_micros(number(recorded_at)?.saturating_add(POSTGRES_EPOCH_MICROS))?;
        event.typed = OnceLock::from(typed.map_err(FoldError::new));
        Ok(event)
    }
}

fn text(bytes: &[u8]) -> Result<&str, DbError> {
    std::str::from_utf8(bytes).map_err(|_| DbError::bug("a text of an event is not UTF-8"))
}

fn number(bytes: &[u8]) -> Result<i64, DbError> {
    let bytes = bytes.try_into().map_err(|_| DbError::bug("a number is not 8 bytes"))?;
    Ok(i64::from_be_bytes(bytes))
}

/// Bytes that are read from the front.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::RowSink;
    use crate::table::sink::CopyBytes;

    fn sent(rows: u8) -> Vec<u8> {
        let mut bytes = CopyBytes::default();
        for row in 0..rows {
            bytes.row(u32::from(row), WIDTH - 1);
            for _ in 1..WIDTH {
                bytes.text(Some("x".repeat(usize::from(row)).as_str()));
            }
        }
        bytes.finish();
        bytes.bytes
    }

    #[test]
    fn rows_are_cut_alike_wherever_the_messages_end() {
        let sent = sent(7);
        for size in 1..=sent.len() {
            let mut rows = Rows::default();
            let mut found = Vec::new();
            for chunk in sent.chunks(size) {
                rows.push(chunk);
                while let Some(Row(fields)) = rows.next().unwrap() {
                    found.push((fields[0].to_vec(), fields[WIDTH - 1].len()));
                }
            }
            let wanted: Vec<_> = (0..7_u8).map(|row| (vec![0, 0, 0, row], usize::from(row))).collect();
            assert_eq!(found, wanted, "in messages of {size} bytes");
            assert!(rows.is_ended);
        }
    }

    #[test]
    fn what_is_not_the_binary_form_is_refused() {
        let mut rows = Rows::default();
        rows.push(b"stream,1,1,account_opened\n");
        assert!(rows.next().is_err());
        let mut rows = Rows::default();
        rows.push(COPY_HEADER);
        rows.push(&3_i16.to_be_bytes());
        assert!(rows.next().is_err());
    }
}
