//! Kafka as the input and the output of `stream`.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use funnelpulse::{Config, features::EventSpec, io::ReadOptions};
pub(in crate::commands) use funnelpulse_streaming::KafkaMessages as Messages;
use funnelpulse_streaming::{KafkaConfig, KafkaSink, KafkaSource};

use crate::args::StreamArgs;

/// What follows `kafka://`.
pub(in crate::commands) fn address(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("kafka://")
}

/// The topic as a source.
pub(super) fn source(
    args: &StreamArgs,
    address: &str,
    events: &EventSpec,
    options: &ReadOptions,
) -> anyhow::Result<KafkaSource> {
    let source = KafkaSource::new(&settings(args, address)?, events, options)?;
    Ok(if args.follow { source } else { source.bounded() })
}

/// The topic as a sink, with a key of window and series.
pub(super) fn sink(args: &StreamArgs, address: &str, config: &Config) -> anyhow::Result<KafkaSink> {
    // Several key columns are one column in the results.
    let series = match config.input.keys.as_slice() {
        [only] => only.clone(),
        _ => "series".to_owned(),
    };
    let key = vec![series, "window_start".to_owned()];
    Ok(KafkaSink::new(&settings(args, address)?, key, args.dead_letters.clone())?)
}

/// The topic as it is written to by `generate`.
pub(in crate::commands) fn messages(address: &str) -> anyhow::Result<Messages> {
    let (servers, topic) = parts(address)?;
    Ok(Messages::new(&KafkaConfig::new(servers, topic))?)
}

fn settings(args: &StreamArgs, address: &str) -> anyhow::Result<KafkaConfig> {
    let (servers, topic) = parts(address)?;
    let pair = |text: &String| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let wrong = || "--kafka-property: expected NAME=VALUE";
    let properties = args.kafka_property.iter().map(pair).collect::<Option<BTreeMap<_, _>>>().with_context(wrong)?;
    Ok(KafkaConfig { group: args.group.clone(), properties, ..KafkaConfig::new(servers, topic) })
}

/// Servers and topic.
fn parts(address: &str) -> anyhow::Result<(&str, &str)> {
    address
        .split_once('/')
        .filter(|(servers, topic)| !servers.is_empty() && !topic.is_empty() && !topic.contains('/'))
        .with_context(|| format!("kafka://{address}: expected kafka://HOST:PORT/TOPIC"))
}
