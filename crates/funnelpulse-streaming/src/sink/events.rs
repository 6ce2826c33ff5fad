//! Messages into a Kafka topic, without transactions: for what feeds a stream.

use std::time::{Duration, Instant};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    KafkaConfig, StreamError,
    kafka::{Log, PATIENCE, failed},
};

/// How long to wait for room in the queue of the client.
const FULL: Duration = Duration::from_millis(20);

/// Writes messages to a topic, each at least once and in order per key.
///
/// ```no_run
/// use funnelpulse_streaming::{KafkaConfig, KafkaMessages};
///
/// let mut messages = KafkaMessages::new(&KafkaConfig::new("localhost:9092", "events"))?;
/// messages.send("runail", br#"{"event_type": "view", "brand": "runail"}"#)?;
/// messages.flush()?;
/// # Ok::<(), funnelpulse_streaming::StreamError>(())
/// ```
pub struct KafkaMessages {
    topic: String,
    producer: BaseProducer<Log>,
}

impl std::fmt::Debug for KafkaMessages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaMessages").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl KafkaMessages {
    /// Connects. Errors where no broker answers or the topic does not exist.
    pub fn new(config: &KafkaConfig) -> Result<Self, StreamError> {
        config.validate()?;
        let mut client = config.client()?;
        client.set("enable.idempotence", "true");
        for (name, value) in [("linger.ms", "5"), ("compression.type", "lz4")] {
            if !config.properties.contains_key(name) {
                client.set(name, value);
            }
        }
        let log = Log::default();
        let created = client.create_with_context(log.clone());
        let producer: BaseProducer<Log> = created.map_err(failed("settings of the producer"))?;
        config.partitions(producer.client(), &log, || {
            producer.poll(Duration::ZERO);
        })?;
        Ok(Self { topic: config.topic.clone(), producer })
    }

    /// Queues a message; waits while the queue is full.
    pub fn send(&mut self, key: &str, payload: &[u8]) -> Result<(), StreamError> {
        let waiting = Instant::now();
        let mut record = BaseRecord::to(&self.topic).key(key).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((error, _)) if !is_full(&error) || waiting.elapsed() > PATIENCE => {
                    return Err(failed(format!("writing to topic `{}`", self.topic))(error));
                }
                Err((_, again)) => {
                    record = again;
                    self.producer.poll(FULL);
                }
            }
        }
    }

    /// Waits until the broker has everything.
    pub fn flush(&mut self) -> Result<(), StreamError> {
        self.producer.flush(PATIENCE).map_err(failed(format!("writing to topic `{}`", self.topic)))
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}
