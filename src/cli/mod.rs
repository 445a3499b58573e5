//! The command line: one file per command. Data goes to stdout, words and the log to stderr.
//!
//! Commands that read or change the ledger speak to its API and to nothing else: over HTTP when a server of this data
//! directory runs (`serve.json`), else to the same routes inside this process, on the store opened here (`api`).

mod api;
mod completions;
mod config;
mod demo;
mod doctor;
mod events;
mod exit;
mod heap;
mod inbox;
mod init;
mod keys;
mod manual;
mod migrate;
mod openapi;
mod output;
mod plans;
mod projections;
mod sandbox;
mod serve;
mod tenants;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use self::api::Api;
use self::exit::{Exit, Failure};
use self::output::{Form, Voice};
use crate::config::{Config, Sources};

/// How long calls into the system that cannot be cancelled may hold up the end.
const LEFTOVERS_WAIT: Duration = Duration::from_secs(1);

/// The program.
#[derive(Debug, Parser)]
#[command(name = "subledger", version, about, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Settings come from defaults, a file, the environment and flags, in this order; \
`subledger config print` shows all of them. Exit codes: 0 done, 1 failed, 2 usage, 3 configuration, 4 store, 5 schema, \
6 found something, 8 partly done, 130 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Configuration file [default: subledger.toml here, else in the system's configuration directory]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of the data on stdout
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Form,
    /// Only data and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// No colours [also: NO_COLOR]
    #[arg(long, global = true)]
    no_color: bool,
    /// More of the log; twice for everything
    #[arg(short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and run the workers
    Serve(serve::Serve),
    /// Run the workers alone (Postgres)
    Worker(worker::Worker),
    /// Serve a fresh ledger with the histories of some tenants, to look around
    Demo(demo::Demo),
    /// Answer like Stripe, to rehearse and to test against
    Sandbox(sandbox::Sandbox),
    /// Write a configuration file and an env file, make the ledger and its first key
    Init(init::Init),
    /// Bring the tables up to date
    Migrate(migrate::Migrate),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Check the store, the clock, Stripe's settings and the catalogue
    Doctor(doctor::Doctor),
    /// Webhooks that were received
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Views and how far they are
    #[command(subcommand)]
    Projections(projections::Command),
    /// The plan catalogue
    #[command(subcommand)]
    Plans(plans::Command),
    /// Tenants
    #[command(subcommand)]
    Tenants(tenants::Command),
    /// API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// The event log
    #[command(subcommand)]
    Events(events::Command),
    /// Print the API's document (OpenAPI 3.1)
    Openapi(openapi::Openapi),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Print the manual page
    Man(manual::Man),
}

/// What every command has.
struct Shared {
    voice: Voice,
    file: Option<PathBuf>,
    verbose: u8,
    no_color: bool,
}

impl std::ops::Deref for Shared {
    type Target = Voice;
    fn deref(&self) -> &Voice {
        &self.voice
    }
}

impl Shared {
    /// File and environment, with what flags of this command override.
    fn sources(&self, mut flags: Vec<(String, String)>) -> Sources {
        match self.verbose {
            0 => {}
            1 => flags.push(("log.level".to_owned(), "info,subledger=debug".to_owned())),
            _ => flags.push(("log.level".to_owned(), "debug,subledger=trace".to_owned())),
        }
        Sources::of_process(self.file.clone(), flags)
    }

    /// The checked configuration; starts the log.
    fn config(&self, flags: Vec<(String, String)>) -> Result<Config, Failure> {
        let config = Config::load(&self.sources(flags))?;
        crate::telemetry::start(&config.log, !self.no_color);
        Ok(config)
    }

    /// The same for a command that is no server: only warnings are logged unless `-v` asks for more.
    fn quiet_config(&self) -> Result<Config, Failure> {
        self.quiet_config_with(Vec::new())
    }

    fn quiet_config_with(&self, mut flags: Vec<(String, String)>) -> Result<Config, Failure> {
        if self.verbose == 0 {
            flags.push(("log.level".to_owned(), "error".to_owned()));
        }
        self.config(flags)
    }

    /// The ledger's API.
    async fn api(&self) -> Result<Api, Failure> {
        Api::open(&self.quiet_config()?).await
    }
}

/// What every list takes.
#[derive(Debug, Args)]
struct Paging {
    /// Most rows, 1 to 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Where the last page ended
    #[arg(long)]
    cursor: Option<String>,
}

/// What every change takes.
#[derive(Clone, Copy, Debug, Args)]
struct Change {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Cli {
    /// Does what was asked and answers how it ended.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let shared = Shared {
            voice: Voice {
                form: self.global.output,
                quiet: self.global.quiet,
            },
            file: self.global.config,
            verbose: self.global.verbose,
            no_color: self.global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        };
        if matches!(self.command, Command::Serve(_) | Command::Worker(_) | Command::Demo(_)) {
            heap::limit();
        }
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                shared.error(&format!("no threads can be started: {error}"));
                return Exit::Failed.into();
            }
        };
        let outcome = runtime.block_on(dispatch(self.command, &shared));
        // What is still running may log; how the command ended is the last line.
        runtime.shutdown_timeout(LEFTOVERS_WAIT);
        exit::report(&shared, outcome).into()
    }
}

async fn dispatch(command: Command, shared: &Shared) -> Result<Exit, Failure> {
    match command {
        Command::Serve(command) => serve::run(command, shared).await,
        Command::Worker(command) => worker::run(command, shared).await,
        Command::Demo(command) => demo::run(command, shared).await,
        Command::Sandbox(command) => sandbox::run(command, shared).await,
        Command::Init(command) => init::run(command, shared).await,
        Command::Migrate(command) => migrate::run(command, shared).await,
        Command::Config(command) => config::run(command, shared),
        Command::Doctor(command) => doctor::run(command, shared).await,
        Command::Inbox(command) => inbox::run(command, shared).await,
        Command::Projections(command) => projections::run(command, shared).await,
        Command::Plans(command) => plans::run(command, shared).await,
        Command::Tenants(command) => tenants::run(command, shared).await,
        Command::Keys(command) => keys::run(command, shared).await,
        Command::Events(command) => events::run(command, shared).await,
        Command::Openapi(command) => openapi::run(&command, shared),
        Command::Completions(command) => completions::run(&command, shared),
        Command::Man(command) => manual::run(&command, shared),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_design_is_there() {
        let command = Cli::command();
        let mut names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        names.sort();
        let wanted = "completions config demo doctor events inbox init keys man migrate openapi plans projections sandbox serve tenants worker";
        assert_eq!(names.join(" "), wanted);
    }
}
