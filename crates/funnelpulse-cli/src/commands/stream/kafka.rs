//! Kafka as the input and the output of `stream`.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, ensure};
use funnelpulse::{Config, features::EventSpec, io::ReadOptions};
use funnelpulse_alerts::Secret;
pub(in crate::commands) use funnelpulse_streaming::KafkaMessages as Messages;
use funnelpulse_streaming::{EngineConfig, KafkaConfig, KafkaSink, KafkaSource, WindowStage, WindowStageConfig};

use super::sites::Site;
use crate::args::Stage;

/// What follows `kafka://`.
pub(in crate::commands) fn address(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("kafka://")
}

/// The topic as a source.
pub(super) fn source(
    site: &Site,
    address: &str,
    events: &EventSpec,
    options: &ReadOptions,
) -> anyhow::Result<KafkaSource> {
    let source = KafkaSource::new(&settings(site, address)?, events, options)?;
    let source = if site.kafka.stage == Some(Stage::Detection) { source.windows() } else { source };
    #[cfg(feature = "avro")]
    let source = match &site.avro_registry {
        Some(registry) => source.avro(registry, events, options)?,
        None => source,
    };
    Ok(if site.follow { source } else { source.bounded() })
}

/// The first of two stages, where this process is one.
pub(super) fn windows(
    site: &Site,
    config: &Config,
    options: &ReadOptions,
    engine: EngineConfig,
) -> anyhow::Result<Option<WindowStage>> {
    let (true, Some(from), Some(to)) =
        (site.kafka.stage == Some(Stage::Windows), address(&site.input), address(&site.output))
    else {
        return Ok(None);
    };
    let stage = WindowStageConfig {
        // A partition that is silent holds up nothing: its windows are closed.
        engine: EngineConfig { silent_seconds: engine.silent_seconds.or(engine.idle_seconds), ..engine },
        checkpoints: site.checkpoints.clone(),
        checkpoint_seconds: site.checkpoint_seconds,
        site: site.name.clone().unwrap_or_else(|| "site".to_owned()),
        bounded: !site.follow,
    };
    let (input, output) = (settings(site, from)?, settings(site, to)?);
    Ok(Some(WindowStage::new(&input, &output, &config.events, options, stage)?))
}

/// The topic as a sink, with a key of window and series.
pub(super) fn sink(site: &Site, address: &str, config: &Config) -> anyhow::Result<KafkaSink> {
    // Several key columns are one column in the results.
    let series = match config.input.keys.as_slice() {
        [only] => only.clone(),
        _ => "series".to_owned(),
    };
    let key = vec![series, "window_start".to_owned()];
    Ok(KafkaSink::new(&settings(site, address)?, key, site.kafka.dead_letters.clone())?)
}

/// The topic as it is written to by `generate`.
pub(in crate::commands) fn messages(address: &str) -> anyhow::Result<Messages> {
    let (servers, topic) = parts(address)?;
    Ok(Messages::new(&KafkaConfig::new(servers, topic))?)
}

fn settings(site: &Site, address: &str) -> anyhow::Result<KafkaConfig> {
    let (servers, topic) = parts(address)?;
    let Options { group, properties, .. } = site.kafka.clone();
    Ok(KafkaConfig { group, properties, ..KafkaConfig::new(servers, topic) })
}

/// How a site talks to Kafka.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Options {
    group: String,
    properties: BTreeMap<String, Secret>,
    dead_letters: Option<String>,
    stage: Option<Stage>,
}

impl Options {
    /// The options, with properties as `NAME=VALUE` and secrets as `NAME=VARIABLE`.
    pub(super) fn new(
        group: Option<String>,
        site: Option<&str>,
        properties: &[String],
        secrets: &[String],
        dead_letters: Option<String>,
        stage: Option<Stage>,
    ) -> anyhow::Result<Self> {
        let mut all = BTreeMap::new();
        for property in properties {
            let (name, value) = property.split_once('=').context("--kafka-property: expected NAME=VALUE")?;
            all.insert(name.to_owned(), Secret::new(value));
        }
        for secret in secrets {
            let (name, variable) = secret.split_once('=').context("--kafka-secret: expected NAME=VARIABLE")?;
            all.insert(name.to_owned(), Secret::from_env(variable));
        }
        // Sites share neither a consumer group nor a transactional id.
        let group = match (group.unwrap_or_else(|| "funnelpulse".to_owned()), site) {
            (group, None) => group,
            (group, Some(site)) => format!("{group}-{site}"),
        };
        Ok(Self { group, properties: all, dead_letters, stage })
    }

    /// Stages need Kafka, and only the second of them detects.
    pub(super) fn check(&self, site: &Site) -> anyhow::Result<()> {
        let Some(stage) = self.stage else { return Ok(()) };
        ensure!(address(&site.input).is_some(), "`stage` needs an input of kafka://HOST:PORT/TOPIC");
        ensure!(site.early.is_none(), "`early` and `stage` don't go together: early results need the events");
        if stage == Stage::Windows {
            ensure!(address(&site.output).is_some(), "`stage` windows needs an output of kafka://HOST:PORT/TOPIC");
            ensure!(
                site.alerts.is_none() && site.retrain.is_none(),
                "`alerts` and `retrain` belong to `stage` detection"
            );
            ensure!(self.dead_letters.is_none(), "`dead_letters` belongs to `stage` detection; this one counts them");
        }
        Ok(())
    }
}

/// Servers and topic.
fn parts(address: &str) -> anyhow::Result<(&str, &str)> {
    address
        .split_once('/')
        .filter(|(servers, topic)| !servers.is_empty() && !topic.is_empty() && !topic.contains('/'))
        .with_context(|| format!("kafka://{address}: expected kafka://HOST:PORT/TOPIC"))
}
