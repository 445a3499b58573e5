//! `worker`: applies webhooks and runs the views beside other processes, on Postgres.

use clap::Args;

use super::Shared;
use super::exit::{Exit, Failure};
use super::serve::stop_signal;
use crate::app::App;
use crate::clock::Clock;

#[derive(Debug, Args)]
pub(super) struct Worker {}

pub(super) async fn run(_command: Worker, shared: &Shared) -> Result<Exit, Failure> {
    let config = shared.config(vec![("worker.enabled".to_owned(), "true".to_owned())])?;
    if config.store.url.is_none() {
        let message = "a worker beside a server needs Postgres, because SQLite belongs to one process: set DATABASE_URL, or use `serve`, which runs the workers itself";
        return Err(Failure::new(Exit::Config, message));
    }
    let stop = stop_signal()?;
    App::start_worker(&config, Clock::system()).await?.run(stop).await?;
    Ok(Exit::Done)
}
