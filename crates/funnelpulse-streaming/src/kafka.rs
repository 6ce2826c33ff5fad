//! What source and sink on Kafka share. The client's types stay within the crate.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use funnelpulse_alerts::Secret;
use rdkafka::{
    ClientConfig,
    client::{Client, ClientContext},
    config::RDKafkaLogLevel as Level,
    consumer::ConsumerContext,
    error::KafkaError,
    message::DeliveryResult,
    producer::ProducerContext,
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
/// let text = r#"{"servers": "b:9093", "topic": "events", "properties": {"sasl.password": {"env": "KAFKA_PASSWORD"}}}"#;
/// assert!(serde_json::from_str::<KafkaConfig>(text)?.validate().is_ok());
/// assert!(KafkaConfig { topic: String::new(), ..config }.validate().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
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
    /// Further settings of the client, by their names in librdkafka, for example `security.protocol`; passwords better
    /// as the names of environment variables, `{ env = "NAME" }`. Settings that exactly-once depends on can't be changed.
    #[serde(default)]
    pub properties: BTreeMap<String, Secret>,
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

    /// The settings that source and sink share. An error where a variable of the environment is not set.
    pub(crate) fn client(&self) -> Result<ClientConfig, StreamError> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.servers).set("client.id", "funnelpulse").set_log_level(Level::Info);
        for (name, value) in &self.properties {
            let value = value.reveal().map_err(|error| StreamError::Kafka {
                action: format!("setting `{name}`"),
                reason: error.to_string(),
            })?;
            client.set(name, value);
        }
        Ok(client)
    }

    /// The partitions of the topic. An error that says which of broker and topic is missing; `poll` lets the client report
    /// why.
    pub(crate) fn partitions<C: ClientContext>(
        &self,
        client: &Client<C>,
        log: &Log,
        poll: impl Fn(),
    ) -> Result<Vec<i32>, StreamError> {
        let action = || format!("looking for topic `{}` at {}", self.topic, self.servers);
        let metadata = client.fetch_metadata(Some(&self.topic), PATIENCE).map_err(|error| {
            (0..REPORTS).for_each(|_| poll());
            let why = log.problem().unwrap_or_else(|| error.to_string());
            let reason = format!("no broker answered within {} s ({why})", PATIENCE.as_secs());
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

/// Messages of the client that are looked at after an error.
const REPORTS: usize = 100;

/// What the clients report: it goes where the log of the stream goes, and the last problem is kept, since the errors of
/// calls do not tell a wrong password from a broker that is away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Option<String>>>);

impl Log {
    /// The last problem.
    pub(crate) fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Log {
    fn log(&self, level: Level, _: &str, text: &str) {
        // `[thrd:NAME]: ` is of no use to anyone but the authors of the client.
        let text = text.split_once("]: ").map_or(text, |(_, text)| text);
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                tracing::warn!(client = "librdkafka", "{text}");
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
            }
            _ => tracing::debug!(client = "librdkafka", "{text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(client = "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Log {}

impl ProducerContext for Log {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
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
