//! `migrate`: brings the tables up to date. The first run fixes the ledger's id and its number of partitions.

use clap::Args;
use projections::db::{Db, migrations};
use serde_json::json;

use super::Shared;
use super::exit::{Exit, Failure};
use crate::app;
use crate::clock::Clock;

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Only list the migrations and which are done
    #[arg(long)]
    dry_run: bool,
    /// Partitions of a new ledger; fixed from then on
    #[arg(long)]
    partitions: Option<u32>,
    /// Postgres role that may serve, but never change what was recorded
    #[arg(long)]
    grant: Option<String>,
}

pub(super) async fn run(command: Migrate, shared: &Shared) -> Result<Exit, Failure> {
    let flags = command
        .partitions
        .map(|n| ("store.partitions".to_owned(), n.to_string()));
    let config = shared.config(flags.into_iter().collect())?;
    let db_config = app::database_config(&config, &Clock::system());
    if command.dry_run {
        let list = migrations(&db_config).await?;
        let rows: Vec<_> = list
            .iter()
            .map(|m| json!({ "version": m.version, "description": m.description, "applied": m.applied }))
            .collect();
        let columns = [
            ("version", "/version"),
            ("description", "/description"),
            ("applied", "/applied"),
        ];
        shared.rows(&json!(rows), &rows, &columns)?;
        return Ok(Exit::Done);
    }
    app::prepare_data_dir(&config.store.data_dir)?;
    let db = Db::open(&db_config).await?;
    if let Some(role) = &command.grant {
        db.grant_application(role).await?;
    }
    let meta = db.meta().clone();
    let store = db.store_version().await;
    db.close().await;
    shared.object(&json!({
        "ledger": meta.ledger_id, "mode": meta.mode, "partitions": meta.parts, "store": store?,
        "created_at": meta.created_at,
    }))?;
    Ok(Exit::Done)
}
