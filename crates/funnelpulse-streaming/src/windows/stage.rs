//! Stage one: events of the partitions that this process owns to windows, which go to a topic.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use funnelpulse_core::Timestamp;
use funnelpulse_features::EventSpec;
use funnelpulse_io::{ReadOptions, TimeReader};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{
    message::encode,
    owned::Owned,
    rebalance::{Decision, Decisions},
};
use crate::{
    Account, EngineConfig, KafkaConfig, Metrics, PartitionStatus, Status, StreamError,
    decode::JsonDecoder,
    kafka::{Log, PATIENCE, failed, is_passing},
};

/// Most messages per round.
const MOST: usize = 4_096;
/// How long a poll waits.
const POLL: Duration = Duration::from_millis(100);
/// How long the steps of a transaction may take.
const TRANSACTION: Duration = Duration::from_secs(30);
/// How long the broker keeps a transaction of a process that died: readers wait for it. It is open only while a
/// checkpoint is written.
const TRANSACTION_MILLISECONDS: &str = "30000";
/// The group notices a process that died after this time, unless set otherwise.
const SESSION: (&str, &str) = ("session.timeout.ms", "10000");
/// The wait before the clients are made anew after an error that passes.
const AGAIN: Duration = Duration::from_secs(1);
/// So many failures in a row are one too many.
const MOST_FAILURES: u32 = 10;

/// Settings of a [`WindowStage`].
#[derive(Clone, Debug)]
pub struct WindowStageConfig {
    /// Windows and lateness. Slides are not handed on.
    pub engine: EngineConfig,
    /// Where states are kept, the same for all processes: a folder that all of them see, `s3://` or `gs://`.
    pub checkpoints: String,
    /// Seconds between two checkpoints: windows are handed on with them.
    pub checkpoint_seconds: f64,
    /// The key of the messages: windows of one site stay in order.
    pub site: String,
    /// Close all windows and end when all that is there was read.
    pub bounded: bool,
}

/// The first of two stages: events to windows, in any number of processes.
///
/// The processes share a consumer group, which gives each some partitions of the topic of events. Every partition has
/// open windows, a watermark and checkpoints of its own, so that it can move to another process: windows, positions and the
/// name of the state are one transaction, on behalf of the group (KIP-447), and a process that no longer owns a
/// partition can't commit it. Windows of several partitions add up in the
/// [second stage](crate::KafkaSource::windows), which scores them. Repeats of an event are found within a partition, so
/// producers choose it by user, session or series.
///
/// The page on streams of the book shows both stages; they need a Kafka cluster.
pub struct WindowStage {
    input: KafkaConfig,
    output: KafkaConfig,
    spec: EventSpec,
    config: WindowStageConfig,
    decoder: JsonDecoder,
    account: Account,
    metrics: Metrics,
    status: Option<Status>,
}

impl std::fmt::Debug for WindowStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowStage").field("input", &self.input).field("output", &self.output).finish_non_exhaustive()
    }
}

/// The clients of one membership in the group.
struct Session {
    consumer: BaseConsumer<Decisions>,
    producer: BaseProducer<Log>,
    decisions: Decisions,
    /// Partitions of the topic.
    partitions: u32,
    owned: BTreeMap<i32, Owned>,
    checkpoint_at: Instant,
}

/// Why a session ended.
enum Ended {
    /// It was to stop, or all was read.
    Done,
    /// An error that passes: the clients are made anew, and go on from what is committed.
    Again(StreamError),
}

impl WindowStage {
    /// Events of one topic to windows in another. Both must exist.
    pub fn new(
        input: &KafkaConfig,
        output: &KafkaConfig,
        spec: &EventSpec,
        options: &ReadOptions,
        config: WindowStageConfig,
    ) -> Result<Self, StreamError> {
        input.validate()?;
        output.validate()?;
        config.engine.validate()?;
        if !(0.01..=TRANSACTION.as_secs_f64()).contains(&config.checkpoint_seconds) {
            return Err(StreamError::setting("checkpoint_seconds", config.checkpoint_seconds, "0.01 to 30"));
        }
        let times = TimeReader::new(options).map_err(|e| StreamError::contents("Kafka", e))?;
        Ok(Self {
            decoder: JsonDecoder::new(spec, times),
            input: input.clone(),
            output: output.clone(),
            spec: spec.clone(),
            config,
            account: Account::default(),
            metrics: Metrics::default(),
            status: None,
        })
    }

    /// Shows how it is doing.
    pub fn with_status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Runs until `stop` is set, or a bounded input is at its end; `now` is the wall clock. The account is that of this
    /// process since its start.
    pub fn run(&mut self, stop: &AtomicBool, mut now: impl FnMut() -> Timestamp) -> Result<Metrics, StreamError> {
        let mut failures = 0;
        loop {
            let before = self.metrics.checkpoints;
            let ended = match self.session(stop, &mut now) {
                // A broker that is away for longer.
                Err(error) if failures > 0 => Ended::Again(error),
                ended => ended?,
            };
            match ended {
                Ended::Done => return Ok(self.metrics.clone()),
                Ended::Again(error) => {
                    failures = if self.metrics.checkpoints > before { 1 } else { failures + 1 };
                    if failures >= MOST_FAILURES {
                        return Err(error);
                    }
                    tracing::warn!(%error, "going on from what is committed");
                    if let Some(status) = &self.status {
                        status.alive(Some(error.to_string()));
                    }
                    std::thread::sleep(AGAIN);
                }
            }
        }
    }

    fn session(&mut self, stop: &AtomicBool, now: &mut dyn FnMut() -> Timestamp) -> Result<Ended, StreamError> {
        let mut session = self.open()?;
        loop {
            let time = now();
            if let Err(error) = session.read(self, time) {
                return Ok(Ended::Again(error));
            }
            let is_done = self.config.bounded && session.is_at_end();
            if is_done {
                session.owned.values_mut().for_each(|owned| owned.engine.flush());
            }
            session.owned.values_mut().for_each(Owned::collect);
            let is_stopped = is_done || stop.load(Ordering::Relaxed);
            let due = session.checkpoint_at.elapsed().as_secs_f64() >= self.config.checkpoint_seconds;
            if (due || is_stopped)
                && let Err(error) = session.commit(self)
            {
                return Ok(Ended::Again(error));
            }
            self.show(&session);
            if is_stopped {
                return Ok(Ended::Done);
            }
        }
    }

    fn open(&self) -> Result<Session, StreamError> {
        let mut client = self.input.client()?;
        client
            .set("group.id", &self.input.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true");
        if !self.input.properties.contains_key(SESSION.0) {
            client.set(SESSION.0, SESSION.1);
        }
        let decisions = Decisions::default();
        let created = client.create_with_context(decisions.clone());
        let consumer: BaseConsumer<Decisions> = created.map_err(failed("settings of the consumer"))?;
        let log = decisions.log.clone();
        let found = self.input.partitions(consumer.client(), &log, || drop(consumer.poll(Duration::ZERO)))?;
        let partitions = found.len() as u32;
        let mut client = self.output.client()?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        // The group decides who may commit what, so this id only has to be one of its own.
        let id = format!("{}-{}-{}", self.input.group, std::process::id(), since.as_nanos());
        client
            .set("transactional.id", id)
            .set("enable.idempotence", "true")
            .set("transaction.timeout.ms", TRANSACTION_MILLISECONDS);
        let created = client.create_with_context(log.clone());
        let producer: BaseProducer<Log> = created.map_err(failed("settings of the producer"))?;
        self.output.partitions(producer.client(), &log, || {
            producer.poll(Duration::ZERO);
        })?;
        producer.init_transactions(TRANSACTION).map_err(failed("beginning transactions"))?;
        consumer.subscribe(&[&self.input.topic]).map_err(failed("joining the group"))?;
        let (owned, checkpoint_at) = (BTreeMap::new(), Instant::now());
        Ok(Session { consumer, producer, decisions, partitions, owned, checkpoint_at })
    }

    fn show(&mut self, session: &Session) {
        let all = session.owned.values();
        self.metrics.account = self.account.clone();
        self.metrics.newest = all.clone().filter_map(|owned| owned.engine.newest()).max();
        self.metrics.watermark = all.clone().filter_map(|owned| owned.engine.watermark()).min();
        let status = |(name, newest, idle): (&str, Option<Timestamp>, bool)| PartitionStatus {
            name: name.to_owned(),
            newest,
            idle,
            behind: None,
        };
        let partitions = all.flat_map(|owned| owned.engine.partitions().map(status).collect::<Vec<_>>());
        self.metrics.partitions = partitions.collect();
        if let Some(status) = &self.status {
            let waiting = session.owned.is_empty().then(|| "the group has given it no partition yet".to_owned());
            status.alive(waiting);
            status.publish(self.metrics.clone());
        }
    }
}

impl Session {
    /// One round: what the group decided, and some records.
    fn read(&mut self, stage: &mut WindowStage, now: Timestamp) -> Result<(), StreamError> {
        self.owned.values_mut().for_each(|owned| owned.tick(now));
        let mut wait = POLL;
        for _ in 0..MOST {
            let came = self.read_one(stage, wait)?;
            self.obey(stage)?;
            if !came {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// Takes partitions up and gives them away, with what was not committed: the next owner reads it again.
    fn obey(&mut self, stage: &WindowStage) -> Result<(), StreamError> {
        while let Some(decision) = self.decisions.next() {
            match decision {
                Decision::Taken(partitions) => {
                    tracing::info!(?partitions, "partitions go to other processes");
                    self.owned.retain(|partition, _| !partitions.contains(partition));
                }
                Decision::Given(all) => {
                    for given in all {
                        let owned = Owned::take(&stage.input.topic, &given, &stage.spec, &stage.config)?;
                        self.owned.insert(given.partition, owned);
                    }
                }
                Decision::Failed(reason) => {
                    return Err(StreamError::Kafka { action: "reading committed positions".to_owned(), reason });
                }
            }
        }
        Ok(())
    }

    fn read_one(&mut self, stage: &mut WindowStage, wait: Duration) -> Result<bool, StreamError> {
        let message = match self.consumer.poll(wait) {
            None => return Ok(false),
            Some(Ok(message)) => message,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                if let Some(owned) = self.owned.get_mut(&partition) {
                    owned.at_end = true;
                }
                return Ok(true);
            }
            Some(Err(error)) if is_passing(&error) => {
                tracing::warn!(%error, "the client tries again");
                return Ok(false);
            }
            Some(Err(error)) => return Err(failed(format!("reading topic `{}`", stage.input.topic))(error)),
        };
        let Some(owned) = self.owned.get_mut(&message.partition()) else { return Ok(true) };
        let (engine, index) = (&mut owned.engine, owned.index);
        let read = stage.decoder.decode(message.payload().unwrap_or_default(), |event| engine.push(index, event));
        match read {
            Ok(fate) => stage.account.record(fate),
            Err(broken) => {
                tracing::debug!(reason = %broken.0, partition = message.partition(), "a record can't be read");
                owned.engine.dead_letter(owned.index);
                stage.account.dead_letter();
            }
        }
        owned.next = message.offset() + 1;
        owned.at_end = false;
        owned.is_changed = true;
        Ok(true)
    }

    fn is_at_end(&self) -> bool {
        !self.owned.is_empty() && self.owned.values().all(|owned| owned.at_end)
    }

    /// Windows, positions and states in one transaction.
    fn commit(&mut self, stage: &mut WindowStage) -> Result<(), StreamError> {
        self.checkpoint_at = Instant::now();
        if self.owned.values().all(|owned| !owned.is_changed) {
            return Ok(());
        }
        let mut positions = TopicPartitionList::new();
        for (partition, owned) in self.owned.iter_mut().filter(|(_, owned)| owned.is_changed) {
            let state = owned.save()?;
            let mut element = positions.add_partition(&stage.input.topic, *partition);
            element.set_offset(Offset::Offset(owned.next)).map_err(failed("naming positions"))?;
            element.set_metadata(state);
        }
        self.producer.begin_transaction().map_err(failed("beginning a transaction"))?;
        let sent = self.send(stage, &positions);
        if let Err(error) = sent {
            stage.metrics.transactions_aborted += 1;
            // Where it can't be aborted it times out.
            let _ = self.producer.abort_transaction(TRANSACTION);
            return Err(error);
        }
        for owned in self.owned.values_mut().filter(|owned| owned.is_changed) {
            stage.metrics.windows += owned.closed.len() as u64;
            owned.committed()?;
        }
        stage.metrics.transactions += 1;
        stage.metrics.checkpoints += 1;
        Ok(())
    }

    fn send(&self, stage: &mut WindowStage, positions: &TopicPartitionList) -> Result<(), StreamError> {
        let WindowStage { output, config, input, metrics, .. } = stage;
        for (partition, owned) in self.owned.iter().filter(|(_, owned)| owned.is_changed) {
            for window in &owned.closed {
                let place = (u32::try_from(*partition).unwrap_or(0), self.partitions);
                for message in encode(&input.topic, place, window)? {
                    metrics.rows += 1;
                    self.send_one(&output.topic, &config.site, &message)?;
                }
            }
        }
        let action = "committing a transaction";
        let insist = |step: &dyn Fn() -> KafkaResult<()>| {
            let started = Instant::now();
            loop {
                match step() {
                    Err(KafkaError::Transaction(error)) if error.is_retriable() && started.elapsed() < TRANSACTION => {}
                    result => return result.map_err(failed(action)),
                }
            }
        };
        insist(&|| self.producer.flush(TRANSACTION))?;
        let group = self.consumer.group_metadata().ok_or_else(|| StreamError::Kafka {
            action: action.to_owned(),
            reason: "the consumer is in no group".to_owned(),
        })?;
        insist(&|| self.producer.send_offsets_to_transaction(positions, &group, PATIENCE))?;
        insist(&|| self.producer.commit_transaction(TRANSACTION))
    }

    fn send_one(&self, topic: &str, key: &str, value: &str) -> Result<(), StreamError> {
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        let started = Instant::now();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if is_full(&error) && started.elapsed() < TRANSACTION => {
                    self.producer.poll(POLL);
                    record = back;
                }
                Err((error, _)) => return Err(failed(format!("writing to topic `{topic}`"))(error)),
            }
        }
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull)
}
