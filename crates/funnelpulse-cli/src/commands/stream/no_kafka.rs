//! In the place of Kafka in a build without it.

use std::{path::Path, sync::atomic::AtomicBool};

use anyhow::bail;
use funnelpulse::{Config, core::Timestamp, features::EventSpec, io::ReadOptions};
use funnelpulse_streaming::{EngineConfig, MemorySink, MemorySource, Metrics, Status, StreamError};

use super::sites::Site;

/// What follows `kafka://`.
pub(in crate::commands) fn address(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("kafka://")
}

/// An error: there is no such source.
pub(super) fn source(_: &Site, address: &str, _: &EventSpec, _: &ReadOptions) -> anyhow::Result<MemorySource> {
    refuse(address)
}

/// There are no stages.
pub(super) struct NoStage;

impl NoStage {
    pub(super) fn with_status(self, _: Status) -> Self {
        self
    }

    #[expect(clippy::unused_self, reason = "as with Kafka")]
    pub(super) fn run(&mut self, _: &AtomicBool, _: impl FnMut() -> Timestamp) -> Result<Metrics, StreamError> {
        Err(StreamError::Kafka { action: "stages".into(), reason: "this build has no Kafka".into() })
    }
}

/// There are no stages.
#[expect(clippy::unnecessary_wraps, reason = "as with Kafka")]
pub(super) fn windows(_: &Site, _: &Config, _: &ReadOptions, _: EngineConfig) -> anyhow::Result<Option<NoStage>> {
    Ok(None)
}

/// An error: there is no such sink.
pub(super) fn sink(_: &Site, address: &str, _: &Config) -> anyhow::Result<MemorySink> {
    refuse(address)
}

/// Writes nothing: there is no such topic.
pub(in crate::commands) enum Messages {}

impl Messages {
    pub(in crate::commands) fn send(&mut self, _: &str, _: &[u8]) -> anyhow::Result<()> {
        match *self {}
    }

    pub(in crate::commands) fn flush(&mut self) -> anyhow::Result<()> {
        match *self {}
    }
}

/// An error: there is no such topic.
pub(in crate::commands) fn messages(address: &str) -> anyhow::Result<Messages> {
    refuse(address)
}

fn refuse<T>(address: &str) -> anyhow::Result<T> {
    bail!(
        "kafka://{address}: this build has no Kafka; in a checkout, build it with \
         `cargo install --path crates/funnelpulse-cli --features kafka`"
    )
}
