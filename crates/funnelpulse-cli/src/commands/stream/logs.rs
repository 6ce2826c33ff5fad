//! Logs of `stream`.

use std::{env, io};

use anyhow::Context;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// The variable that says what is logged.
const VARIABLE: &str = "RUST_LOG";

/// Writes what `RUST_LOG` asks for to the error stream: a level (`info`), or levels of targets
/// (`funnelpulse_streaming=debug`), comma separated. Without it there is no log.
pub(super) fn start() -> anyhow::Result<()> {
    let Some(wanted) = env::var(VARIABLE).ok().filter(|wanted| !wanted.is_empty()) else { return Ok(()) };
    let targets: Targets = wanted.parse().with_context(|| format!("{VARIABLE}={wanted}"))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_filter(targets);
    // A second command in one process keeps the log of the first.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}
