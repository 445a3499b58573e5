//! The log: text on a terminal, JSON otherwise, to stderr. Never bodies, tokens or secrets.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{LogConfig, LogFormat};

/// Starts the log of this process, in colours on a terminal if they are wanted. A second call changes nothing.
pub fn start(config: &LogConfig, colours: bool) {
    let is_terminal = std::io::stderr().is_terminal();
    let format = config
        .format
        .unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that cannot be written (full disk) must not end the request that wanted to write it.
        .log_internal_errors(false)
        .with_span_events(FmtSpan::NONE);
    // The first subscriber stays: a test binary may start several servers.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(is_terminal && colours).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
