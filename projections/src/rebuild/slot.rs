//! What a rebuild writes: empties, rows and checkpoints of the slot nobody reads.

use std::collections::BTreeMap;

use super::fill::{Filled, Rows};
use super::{Plan, RebuildError};
use crate::checkpoint::read_all;
use crate::db::{Conn, DbError, Load, StoreKind, part_to_sql, position_to_sql};
use crate::table::{Slot, postgres, sqlite};
use crate::views::View;

const FORGET: &str = "delete from projection_checkpoint where part = $1 and name = $2 and slot = $3";
const FINISH: &str = "insert into projection_checkpoint (part, name, slot, version, position, updated_at) \
     values ($1, $2, $3, $4, $5, $6) on conflict do nothing";
/// Books of more than 2 kB are compressed by the server; lz4 takes a fifth of the time that its old way takes, where the
/// server was built with it.
const QUICK_COMPRESSION: &str = "select set_config('default_toast_compression', 'lz4', true) from pg_settings \
     where name = 'default_toast_compression' and 'lz4' = any(enumvals)";

/// Which views are to be filled in which part. A slot that is complete is begun anew; one that was left half filled
/// goes on with the parts that are missing.
pub(super) async fn begin(plan: &Plan) -> Result<Vec<(u32, Vec<(View, Slot)>)>, DbError> {
    plan.db.refresh_heads().await?;
    let known = read_all(&plan.db).await?;
    let mut work: BTreeMap<u32, Vec<(View, Slot)>> = BTreeMap::new();
    for (view, slot) in plan.views.iter().copied() {
        let filled = |part: u32| {
            let mut rows = known.iter();
            rows.any(|c| c.view == view && c.slot == slot && c.part == part && c.version == view.version())
        };
        let complete = (0..plan.db.parts()).all(filled);
        for part in 0..plan.db.parts() {
            if complete || !filled(part) {
                work.entry(part).or_default().push((view, slot));
            }
        }
    }
    for (part, views) in &work {
        let (part, views) = (*part, views.clone());
        let part_sql = part_to_sql(part)?;
        plan.db
            .write(part, move |conn| {
                Box::pin(async move {
                    match conn {
                        Conn::Sqlite(c) => {
                            for (view, slot) in views {
                                let query = sqlx::query(FORGET).bind(part_sql).bind(view.name());
                                query.bind(i32::from(slot)).execute(&mut *c).await?;
                            }
                        }
                        Conn::Postgres(c) => {
                            for (view, slot) in views {
                                let query = sqlx::query(FORGET).bind(part_sql).bind(view.name());
                                query.bind(i32::from(slot)).execute(&mut *c).await?;
                            }
                        }
                    }
                    Ok::<_, DbError>(())
                })
            })
            .await?;
    }
    Ok(work.into_iter().collect())
}

/// Removes the part's rows, if there are any.
pub(super) async fn empty(plan: &Plan, part: u32) -> Result<(), RebuildError> {
    let views: Vec<(View, Slot)> = plan.views.to_vec();
    let part_sql = part_to_sql(part)?;
    plan.db
        .write_bulk(part, move |conn| {
            Box::pin(async move {
                match conn {
                    Conn::Sqlite(c) => {
                        for (view, slot) in views {
                            // One part, so all rows: without a condition SQLite drops whole pages.
                            let sql = format!("delete from {}", view.table().slot(slot));
                            sqlx::query(&sql).execute(&mut *c).await?;
                        }
                    }
                    Conn::Postgres(c) => {
                        for (view, slot) in views {
                            let sql = format!("delete from {} where part = $1", view.table().slot(slot));
                            sqlx::query(&sql).bind(part_sql).execute(&mut *c).await?;
                        }
                    }
                }
                Ok::<_, DbError>(())
            })
        })
        .await?;
    Ok(())
}

/// Adds rows of several views in one transaction.
pub(super) async fn add(plan: &Plan, part: u32, rows: Vec<Filled>) -> Result<(), RebuildError> {
    if rows.is_empty() {
        return Ok(());
    }
    match plan.db.kind() {
        StoreKind::Postgres => {
            let write = plan.db.write_bulk(part, move |conn| Box::pin(put(conn, rows)));
            write.await?;
        }
        StoreKind::Sqlite => {
            let load = Load::bytes(rows.iter().map(|filled| filled.rows.bytes()).sum());
            let write = plan.db.write_sized(part, load, move |conn| Box::pin(put(conn, rows)));
            write.await?;
        }
    }
    Ok(())
}

async fn put(conn: Conn<'_>, rows: Vec<Filled>) -> Result<(), DbError> {
    match conn {
        Conn::Sqlite(c) => {
            for Filled { table, slot, rows } in rows {
                match rows {
                    Rows::Cells(cells) => sqlite::upsert(c, &table, slot, cells).await?,
                    Rows::Copy(_) => return Err(DbError::bug("COPY is a statement of Postgres")),
                }
            }
        }
        Conn::Postgres(c) => {
            // The checkpoint comes last and is durable: rows without it are emptied by the next rebuild.
            sqlx::query("set local synchronous_commit = off")
                .execute(&mut *c)
                .await?;
            sqlx::query(QUICK_COMPRESSION).execute(&mut *c).await?;
            for Filled { table, slot, rows } in rows {
                match rows {
                    Rows::Cells(cells) => postgres::upsert(c, &table, slot, cells).await?,
                    Rows::Copy(bytes) => postgres::copy(c, &table, slot, bytes).await?,
                }
            }
        }
    }
    Ok(())
}

/// Sets the checkpoints: from now on the loop keeps the part.
pub(super) async fn finish(plan: &Plan, part: u32, head: u64) -> Result<(), RebuildError> {
    let views: Vec<(View, Slot)> = plan.views.to_vec();
    let (part_sql, head) = (part_to_sql(part)?, position_to_sql(head)?);
    let now = plan.progress.now();
    plan.db
        .write(part, move |conn| {
            Box::pin(async move {
                match conn {
                    Conn::Sqlite(c) => {
                        for (view, slot) in views {
                            let query = sqlx::query(FINISH)
                                .bind(part_sql)
                                .bind(view.name())
                                .bind(i32::from(slot));
                            let query = query.bind(part_to_sql(view.version())?).bind(head).bind(now.micros());
                            query.execute(&mut *c).await?;
                        }
                    }
                    Conn::Postgres(c) => {
                        for (view, slot) in views {
                            let query = sqlx::query(FINISH)
                                .bind(part_sql)
                                .bind(view.name())
                                .bind(i32::from(slot));
                            let query = query
                                .bind(part_to_sql(view.version())?)
                                .bind(head)
                                .bind(now.to_chrono());
                            query.execute(&mut *c).await?;
                        }
                    }
                }
                Ok::<_, DbError>(())
            })
        })
        .await?;
    Ok(())
}
