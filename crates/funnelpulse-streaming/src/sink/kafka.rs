//! Rows into a Kafka topic, in transactions.

use std::time::{Duration, Instant};

use arrow::{array::RecordBatch, json::LineDelimitedWriter};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{Channel, Commit, Sink, keys::Keys, rows_error};
use crate::{
    KafkaConfig, StreamError,
    kafka::{Log, PATIENCE, failed},
};

/// How long the steps of a transaction may take, a restart of the broker included.
const TRANSACTION: Duration = Duration::from_secs(60);
/// How long the broker keeps a transaction of a process that died.
const TRANSACTION_MILLISECONDS: &str = "90000";
/// How long to wait for room in the queue of the client.
const FULL: Duration = Duration::from_millis(50);

/// Rows as JSON objects, one message per row, with a key of the values of some columns, so that a compacted topic holds the
/// newest revision of each row.
///
/// Each epoch is one transaction: rows, the positions of the source on behalf of its consumer group, and the name of the
/// checkpoint, as the metadata of an offset of the group `GROUP-checkpoint`. A consumer with
/// `isolation.level=read_committed` sees every row once. The transactional id is the group: of two processes with the
/// same one, the older fails.
pub struct KafkaSink {
    config: KafkaConfig,
    dead_letters: Option<String>,
    key_columns: Vec<String>,
    producer: BaseProducer<Log>,
    /// Never reads: the group that holds the name of the checkpoint.
    marker: BaseConsumer<Log>,
    open: bool,
    committed: u64,
    aborted: u64,
}

impl std::fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink").field("config", &self.config).finish_non_exhaustive()
    }
}

impl KafkaSink {
    /// Connects. Keys are made of `key_columns`; dead letters go to a topic of their own, or are only counted.
    pub fn new(
        config: &KafkaConfig,
        key_columns: Vec<String>,
        dead_letters: Option<String>,
    ) -> Result<Self, StreamError> {
        config.validate()?;
        let mut client = config.client()?;
        client
            .set("transactional.id", &config.group)
            .set("enable.idempotence", "true")
            .set("transaction.timeout.ms", TRANSACTION_MILLISECONDS);
        for (name, value) in [("linger.ms", "5"), ("compression.type", "lz4")] {
            if !config.properties.contains_key(name) {
                client.set(name, value);
            }
        }
        let log = Log::default();
        let created = client.create_with_context(log.clone());
        let producer: BaseProducer<Log> = created.map_err(failed("settings of the producer"))?;
        let poll = || {
            producer.poll(Duration::ZERO);
        };
        config.partitions(producer.client(), &log, poll)?;
        if let Some(topic) = &dead_letters {
            KafkaConfig { topic: topic.clone(), ..config.clone() }.partitions(producer.client(), &log, poll)?;
        }
        let mut client = config.client()?;
        client
            .set("group.id", format!("{}-checkpoint", config.group))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed");
        let marker: BaseConsumer<Log> = client.create_with_context(log).map_err(failed("settings of the consumer"))?;
        Ok(Self {
            config: config.clone(),
            dead_letters,
            key_columns,
            producer,
            marker,
            open: false,
            committed: 0,
            aborted: 0,
        })
    }

    fn begin(&mut self) -> Result<(), StreamError> {
        if !self.open {
            self.producer.begin_transaction().map_err(failed("beginning a transaction"))?;
            self.open = true;
        }
        Ok(())
    }

    /// The partition whose offset carries the name of the checkpoint.
    fn marker_list(&self, offset: Offset, name: &str) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.config.topic, 0);
        element.set_offset(offset)?;
        element.set_metadata(name);
        Ok(list)
    }

    /// Ends a transaction that can't be committed.
    fn abort(&mut self, action: &str, error: &KafkaError) -> StreamError {
        self.open = false;
        self.aborted += 1;
        let aborted = self.producer.abort_transaction(TRANSACTION).is_ok();
        let fate = if aborted { "the transaction was aborted" } else { "the transaction will time out" };
        StreamError::Kafka { action: action.to_owned(), reason: format!("{error}; {fate}") }
    }

    /// Repeats a step of a transaction as long as the client says that it can be repeated.
    fn insist(
        &mut self,
        action: &str,
        step: impl Fn(&BaseProducer<Log>) -> KafkaResult<()>,
    ) -> Result<(), StreamError> {
        let started = Instant::now();
        loop {
            match step(&self.producer) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && started.elapsed() < TRANSACTION => {
                    self.producer.poll(FULL);
                }
                Err(error) => return Err(self.abort(action, &error)),
            }
        }
    }

    fn send_offsets(&mut self, list: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<(), StreamError> {
        self.insist("sending offsets", |producer| producer.send_offsets_to_transaction(list, group, TRANSACTION))
    }

    fn send(&mut self, topic: &str, key: &[u8], value: &[u8]) -> Result<(), StreamError> {
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        let started = Instant::now();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if started.elapsed() < TRANSACTION =>
                {
                    self.producer.poll(FULL);
                    record = back;
                }
                Err((error, _)) => return Err(self.abort(&format!("writing to topic `{topic}`"), &error)),
            }
        }
    }
}

impl Sink for KafkaSink {
    /// Takes over the transactional id: an older process can no longer commit, and what it left open is aborted.
    fn start(&mut self) -> Result<(), StreamError> {
        let started = Instant::now();
        loop {
            match self.producer.init_transactions(PATIENCE) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && started.elapsed() < TRANSACTION => {}
                Err(error) => return Err(failed("taking over the transactional id")(error)),
            }
        }
    }

    fn committed(&mut self) -> Result<Option<String>, StreamError> {
        let action = "reading the name of the checkpoint";
        let list = self.marker_list(Offset::Invalid, "").map_err(failed(action))?;
        let started = Instant::now();
        loop {
            match self.marker.committed_offsets(list.clone(), PATIENCE) {
                Ok(found) => {
                    let elements = found.elements();
                    let element = elements.first().filter(|e| matches!(e.offset(), Offset::Offset(_)));
                    return Ok(element.map(|e| e.metadata().to_owned()).filter(|name| !name.is_empty()));
                }
                // Right after a start the broker may still load the groups.
                Err(_) if started.elapsed() < TRANSACTION => std::thread::sleep(FULL),
                Err(error) => return Err(failed(action)(error)),
            }
        }
    }

    fn transactions(&self) -> [u64; 2] {
        [self.committed, self.aborted]
    }

    fn commits_checkpoint(&self) -> bool {
        true
    }

    fn longest_epoch(&self) -> Option<Duration> {
        Some(TRANSACTION / 2)
    }

    fn recover(&mut self, _: &[String]) -> Result<(), StreamError> {
        Ok(())
    }

    fn write(&mut self, channel: Channel, rows: &RecordBatch) -> Result<(), StreamError> {
        let (topic, keys) = match channel {
            Channel::Rows => (self.config.topic.clone(), Keys::new(&self.key_columns, rows)?),
            Channel::DeadLetters => match &self.dead_letters {
                Some(topic) => (topic.clone(), Keys::new(&["partition".to_owned()], rows)?),
                None => return Ok(()),
            },
        };
        self.begin()?;
        let mut text = Vec::new();
        let mut json = LineDelimitedWriter::new(&mut text);
        json.write(rows).and_then(|()| json.finish()).map_err(rows_error("Kafka"))?;
        let mut key = Vec::new();
        for (row, value) in (0..rows.num_rows()).zip(text.split(|b| *b == b'\n')) {
            keys.write(row, &mut key);
            self.send(&topic, &key, value)?;
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Vec<String>, StreamError> {
        self.begin()?;
        self.insist("writing rows", |producer| producer.flush(TRANSACTION))?;
        Ok(Vec::new())
    }

    fn commit(&mut self, commit: &Commit<'_>) -> Result<(), StreamError> {
        if let Some(group) = commit.group {
            let mut list = TopicPartitionList::new();
            for (partition, next) in &group.offsets {
                let added = list.add_partition_offset(&group.topic, *partition, Offset::Offset(*next));
                added.map_err(failed("naming positions"))?;
            }
            self.send_offsets(&list, &group.metadata)?;
        }
        let epoch = i64::try_from(commit.epoch).unwrap_or(i64::MAX);
        let list = self.marker_list(Offset::Offset(epoch), commit.state).map_err(failed("naming the checkpoint"))?;
        let marker = self.marker.group_metadata().ok_or_else(|| StreamError::Kafka {
            action: "naming the checkpoint".into(),
            reason: "the client has no consumer group".into(),
        })?;
        self.send_offsets(&list, &marker)?;
        self.insist("committing a transaction", |producer| producer.commit_transaction(TRANSACTION))?;
        self.open = false;
        self.committed += 1;
        Ok(())
    }
}

impl Drop for KafkaSink {
    /// A clean stop leaves no transaction open.
    fn drop(&mut self) {
        if self.open {
            let _ = self.producer.abort_transaction(FULL * 20);
        }
    }
}
