//! `man`: the manual page in roff, written from the same definitions as `--help`.

use clap::{Args, Command, CommandFactory};

use super::exit::{Exit, Failure};
use super::{Cli, Shared};

#[derive(Debug, Args)]
pub(super) struct Man {}

pub(super) fn run(_command: &Man, shared: &Shared) -> Result<Exit, Failure> {
    shared.text(&page(&Cli::command()))?;
    Ok(Exit::Done)
}

fn page(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let version = command.get_version().unwrap_or_default();
    let mut text = format!(
        ".TH SUBLEDGER 1 \"\" \"subledger {version}\"\n.SH NAME\nsubledger \\- {}\n",
        roff(&about)
    );
    text.push_str(".SH SYNOPSIS\n.B subledger\n[\\fIoptions\\fR] \\fIcommand\\fR\n.SH OPTIONS\n");
    options(command, &mut text);
    text.push_str(".SH COMMANDS\n");
    for sub in command.get_subcommands() {
        section(sub, "", &mut text);
    }
    if let Some(after) = command.get_after_help() {
        text.push_str(&format!(".SH NOTES\n{}\n", roff(&after.to_string())));
    }
    text
}

fn section(command: &Command, parent: &str, text: &mut String) {
    let name = format!("{parent}{}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    text.push_str(&format!(".SS {}\n{}\n", roff(&name), roff(&about)));
    options(command, text);
    for sub in command.get_subcommands() {
        section(sub, &format!("{name} "), text);
    }
}

fn options(command: &Command, text: &mut String) {
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let mut names = Vec::new();
        names.extend(argument.get_short().map(|short| format!("-{short}")));
        names.extend(argument.get_long().map(|long| format!("--{long}")));
        let value = argument
            .get_value_names()
            .and_then(|names| names.first())
            .map(ToString::to_string);
        let takes_value = argument.get_action().takes_values();
        let title = match (names.is_empty(), value.filter(|_| takes_value)) {
            (true, value) => value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase()),
            (false, Some(value)) => format!("{} {value}", names.join(", ")),
            (false, None) => names.join(", "),
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!(".TP\n.B {}\n{}\n", roff(&title), roff(&help)));
    }
}

/// Text in which nothing is taken for a roff command.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('-', "\\-");
    let line = |line: &str| {
        if line.starts_with(['.', '\'']) {
            format!("\\&{line}")
        } else {
            line.to_owned()
        }
    };
    escaped.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_command_and_escapes_what_roff_would_run() {
        let text = page(&Cli::command());
        for name in [
            ".SS serve",
            ".SS inbox replay",
            ".SS projections roll\\-back",
            ".SS keys create",
        ] {
            assert!(text.contains(name), "{name}");
        }
        assert_eq!(roff(".x\n'y a-b"), "\\&.x\n\\&'y a\\-b");
    }
}
