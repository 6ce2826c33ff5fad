//! Logs of every command.

use std::{env, io};

use anyhow::Context;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// The variable that says what is logged.
const VARIABLE: &str = "RUST_LOG";

/// Writes what `RUST_LOG` asks for to the error stream: a level (`info`), or levels of targets
/// (`funnelpulse_streaming=debug`), comma separated. Without it `-v` shows the steps of a command, `-vv` their
/// details.
pub(crate) fn start(verbose: u8) -> anyhow::Result<()> {
    let wanted = env::var(VARIABLE).ok().filter(|wanted| !wanted.is_empty());
    let targets: Targets = match (wanted, verbose) {
        (Some(wanted), _) => wanted.parse().with_context(|| format!("{VARIABLE}={wanted}"))?,
        (None, 0) => return Ok(()),
        (None, 1) => Targets::new().with_default(LevelFilter::INFO),
        (None, _) => Targets::new().with_default(LevelFilter::DEBUG),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_filter(targets);
    // A second command in one process keeps the log of the first.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}
