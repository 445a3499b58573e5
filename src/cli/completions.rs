//! `completions`: for bash, zsh, fish, elvish and PowerShell.

use clap::{Args, CommandFactory};

use super::exit::{Exit, Failure};
use super::{Cli, Shared};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(super) fn run(command: &Completions, shared: &Shared) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "subledger", &mut script);
    shared.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
