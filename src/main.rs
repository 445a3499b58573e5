//! The `subledger` binary: parse, call, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    subledger::auth::crypto::install();
    subledger::cli::Cli::parse().run()
}
