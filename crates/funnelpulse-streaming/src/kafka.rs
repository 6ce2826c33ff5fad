//! What source and sink on Kafka share. The client's types stay within the crate.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig,
    client::{Client, ClientContext},
    error::KafkaError,
    types::RDKafkaRespErr,
};
use serde::{Deserialize, Serialize};

use crate::StreamError;

/// How long a broker may take to answer at the start.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A topic on a cluster.
///
/// ```
/// use funnelpulse_streaming::KafkaConfig;
///
/// let config = KafkaConfig::new("localhost:9092", "events");
/// config.validate()?;
/// assert!(KafkaConfig { topic: String::new(), ..config }.validate().is_err());
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// The brokers to ask first: `host:port`, comma separated.
    pub servers: String,
    /// The topic.
    pub topic: String,
    /// The name of the consumer group of a source, and the transactional id of a sink. No two running streams share one.
    #[serde(default = "funnelpulse")]
    pub group: String,
    /// Further settings of the client, by their names in librdkafka, for example `security.protocol`. Settings that
    /// exactly-once depends on can't be changed.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

fn funnelpulse() -> String {
    "funnelpulse".into()
}

/// Settings that are fixed: exactly-once depends on them.
const FIXED: [&str; 9] = [
    "bootstrap.servers",
    "group.id",
    "transactional.id",
    "isolation.level",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "auto.offset.reset",
];

impl KafkaConfig {
    /// A topic, with the group `funnelpulse`.
    pub fn new(servers: impl Into<String>, topic: impl Into<String>) -> Self {
        let (servers, topic) = (servers.into(), topic.into());
        Self { servers, topic, group: funnelpulse(), properties: BTreeMap::new() }
    }

    /// Checks every field.
    pub fn validate(&self) -> Result<(), StreamError> {
        for (field, value) in [("servers", &self.servers), ("topic", &self.topic), ("group", &self.group)] {
            if value.trim().is_empty() {
                return Err(StreamError::setting(field, "``", "a name that is not empty"));
            }
        }
        if let Some(name) = self.properties.keys().find(|name| FIXED.contains(&name.as_str())) {
            let allowed = "any setting but those that exactly-once depends on";
            return Err(StreamError::setting("properties", format!("`{name}`"), allowed));
        }
        Ok(())
    }

    /// The settings that source and sink share.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.servers).set("client.id", "funnelpulse");
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        client
    }

    /// The partitions of the topic. An error that says which of broker and topic is missing.
    pub(crate) fn partitions<C: ClientContext>(&self, client: &Client<C>) -> Result<Vec<i32>, StreamError> {
        let action = || format!("looking for topic `{}` at {}", self.topic, self.servers);
        let metadata = client.fetch_metadata(Some(&self.topic), PATIENCE).map_err(|error| {
            let reason = format!("no broker answered within {} s ({error})", PATIENCE.as_secs());
            StreamError::Kafka { action: action(), reason }
        })?;
        let topic = metadata.topics().iter().find(|t| t.name() == self.topic);
        let missing = |reason: String| Err(StreamError::Kafka { action: action(), reason });
        match topic.map(|t| (t.error(), t.partitions())) {
            Some((None, partitions)) if !partitions.is_empty() => {
                let mut ids: Vec<i32> = partitions.iter().map(rdkafka::metadata::MetadataPartition::id).collect();
                ids.sort_unstable();
                Ok(ids)
            }
            Some((Some(error), _)) if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                missing(format!("{error:?}"))
            }
            _ => missing("the topic does not exist; create it first".into()),
        }
    }
}

pub(crate) fn failed(action: impl Into<String>) -> impl FnOnce(KafkaError) -> StreamError {
    let action = action.into();
    move |error| StreamError::Kafka { action, reason: error.to_string() }
}

/// Whether the client retries by itself.
pub(crate) fn is_passing(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    let passing = [
        Code::BrokerTransportFailure,
        Code::AllBrokersDown,
        Code::Resolve,
        Code::OperationTimedOut,
        Code::RequestTimedOut,
        Code::LeaderNotAvailable,
        Code::NotLeaderForPartition,
        Code::NetworkException,
        Code::BrokerNotAvailable,
    ];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}
