//! Records of a Kafka topic.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use funnelpulse_features::EventSpec;
use funnelpulse_io::{ReadOptions, TimeReader};
use rdkafka::{
    ClientContext, Message, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

use super::{Group, Input, Polled, Position, Positions, Source};
use crate::{
    KafkaConfig, StreamError,
    decode::{Broken, JsonDecoder},
    kafka::{Log, PATIENCE, failed, is_passing},
    windows,
};

/// Most messages handed out per poll, unless set otherwise.
const MOST: usize = 4_096;
/// How often the client says where the partitions end.
const STATISTICS: &str = "statistics.interval.ms";
const STATISTICS_MILLISECONDS: &str = "2000";

/// The events of a topic as JSON objects, all partitions in one process. Only committed records are read.
///
/// Positions are those of the stream's own checkpoints: the next offset after the last record that was handed out. A
/// partition without a position starts at its beginning.
#[derive(Debug)]
pub struct KafkaSource {
    config: KafkaConfig,
    consumer: Consumed,
    ends: Ends,
    decoder: Decoder,
    partitions: Vec<Partition>,
    /// Read up to what is there, then end.
    bounded: bool,
    batch: usize,
    started: bool,
    /// The last error after which the client tries again by itself, until a record comes.
    trouble: Option<String>,
}

struct Consumed(BaseConsumer<Ends>);

/// Where the partitions of the topic end, as the client learns it, and what it reports.
#[derive(Clone, Debug, Default)]
struct Ends {
    ends: Arc<Mutex<BTreeMap<i32, i64>>>,
    log: Log,
}

impl Ends {
    fn known(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Ends {
    fn stats(&self, statistics: Statistics) {
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        // Consumers of committed records read to the last stable offset.
        let ends = partitions.filter(|p| p.partition >= 0 && p.ls_offset >= 0).map(|p| (p.partition, p.ls_offset));
        self.known().extend(ends);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.log.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

impl ConsumerContext for Ends {}

impl std::fmt::Debug for Consumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BaseConsumer")
    }
}

#[derive(Debug)]
struct Partition {
    id: i32,
    /// Topic and number.
    name: String,
    /// The offset of the next record.
    next: Option<i64>,
    /// All that was there at the start was read.
    at_end: bool,
    /// All that is there was read; the end of a topic may be a mark of a transaction.
    caught_up: bool,
}

impl KafkaSource {
    /// Connects. Errors where no broker answers or the topic does not exist.
    pub fn new(config: &KafkaConfig, spec: &EventSpec, options: &ReadOptions) -> Result<Self, StreamError> {
        config.validate()?;
        spec.validate()?;
        let times = TimeReader::new(options).map_err(|e| StreamError::contents("Kafka", e))?;
        let mut client = config.client()?;
        client
            .set("group.id", &config.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true");
        if !config.properties.contains_key(STATISTICS) {
            client.set(STATISTICS, STATISTICS_MILLISECONDS);
        }
        let ends = Ends::default();
        let created = client.create_with_context(ends.clone());
        let consumer: BaseConsumer<Ends> = created.map_err(failed("settings of the consumer"))?;
        let named = |id: i32| Partition {
            id,
            name: format!("{}/{id}", config.topic),
            next: None,
            at_end: false,
            caught_up: false,
        };
        let found = config.partitions(consumer.client(), &ends.log, || drop(consumer.poll(Duration::ZERO)))?;
        let partitions = found.into_iter().map(named).collect();
        let (decoder, consumer) = (Decoder::Json(Box::new(JsonDecoder::new(spec, times))), Consumed(consumer));
        Ok(Self {
            config: config.clone(),
            consumer,
            ends,
            decoder,
            partitions,
            bounded: false,
            batch: MOST,
            started: false,
            trouble: None,
        })
    }

    /// Ends where the topic ends now, instead of waiting for more.
    pub fn bounded(self) -> Self {
        Self { bounded: true, ..self }
    }

    /// The records are not events but the windows that a [`WindowStage`](crate::WindowStage) writes. They count once all
    /// partitions of the events are past them.
    pub fn windows(self) -> Self {
        Self { decoder: Decoder::Windows(BTreeMap::new()), ..self }
    }

    /// The records are not JSON but Avro in the wire format of Confluent, with their schemas in this registry,
    /// `http://HOST:PORT`.
    #[cfg(feature = "avro")]
    pub fn avro(self, registry: &str, spec: &EventSpec, options: &ReadOptions) -> Result<Self, StreamError> {
        let times = TimeReader::new(options).map_err(|e| StreamError::contents("Kafka", e))?;
        let decoder = crate::decode::AvroDecoder::new(spec, times, registry)?;
        Ok(Self { decoder: Decoder::Avro(Box::new(decoder)), ..self })
    }

    /// At most so many messages per poll: how closely [`RunnerConfig::checkpoint_records`](crate::RunnerConfig) is kept.
    pub fn with_batch(self, messages: usize) -> Self {
        Self { batch: messages.max(1), ..self }
    }

    fn start(&mut self, take: &mut dyn FnMut(Input<'_>)) -> Result<(), StreamError> {
        let mut list = TopicPartitionList::new();
        for (place, partition) in self.partitions.iter().enumerate() {
            let offset = partition.next.map_or(Offset::Beginning, Offset::Offset);
            let added = list.add_partition_offset(&self.config.topic, partition.id, offset);
            added.map_err(failed("assigning partitions"))?;
            take(Input::Assigned { partition: place as u32, name: &partition.name, not_before: None });
            if matches!(self.decoder, Decoder::Windows(_)) {
                // The partitions of the events hold windows open, not this one.
                take(Input::Finished { partition: place as u32 });
            }
        }
        self.consumer.0.assign(&list).map_err(failed("assigning partitions"))?;
        self.started = true;
        Ok(())
    }

    fn place(&self, id: i32) -> Option<usize> {
        self.partitions.iter().position(|p| p.id == id)
    }

    /// One message; false if none came.
    fn take_one(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<bool, StreamError> {
        let message = match self.consumer.0.poll(wait) {
            None => return Ok(false),
            Some(Ok(message)) => message,
            Some(Err(KafkaError::PartitionEOF(id))) => {
                self.trouble = None;
                let Some(place) = self.place(id) else { return Ok(true) };
                self.partitions[place].caught_up = true;
                if self.bounded {
                    self.partitions[place].at_end = true;
                    take(Input::Finished { partition: place as u32 });
                }
                return Ok(true);
            }
            // The client goes on by itself after errors of the connection.
            Some(Err(error)) if is_passing(&error) => {
                tracing::warn!(topic = self.config.topic, %error, "the client tries again");
                self.trouble = Some(format!("Kafka at {}: {error}", self.config.servers));
                return Ok(false);
            }
            Some(Err(error)) => return Err(failed(format!("reading topic `{}`", self.config.topic))(error)),
        };
        let Some(place) = self.partitions.iter().position(|p| p.id == message.partition()) else { return Ok(true) };
        let partition = place as u32;
        let value = message.payload().unwrap_or_default();
        let first = self.partitions.len() as u32;
        hand_out(&mut self.decoder, first, partition, value, take)?;
        self.partitions[place].next = Some(message.offset() + 1);
        self.partitions[place].caught_up = false;
        self.trouble = None;
        Ok(true)
    }
}

/// What the records are.
#[derive(Debug)]
enum Decoder {
    Json(Box<JsonDecoder>),
    #[cfg(feature = "avro")]
    Avro(Box<crate::decode::AvroDecoder>),
    /// Windows, with the numbers of the partitions of the events that are known.
    Windows(BTreeMap<String, u32>),
}

/// Hands out what a record holds. Numbers of partitions from `first` on are free.
#[cfg_attr(not(feature = "avro"), expect(clippy::unnecessary_wraps, reason = "only a schema registry can fail"))]
fn hand_out(
    decoder: &mut Decoder,
    first: u32,
    partition: u32,
    value: &[u8],
    take: &mut dyn FnMut(Input<'_>),
) -> Result<(), StreamError> {
    let read = match decoder {
        Decoder::Json(json) => json.decode(value, |event| take(Input::Event { partition, event, identity: None })),
        #[cfg(feature = "avro")]
        Decoder::Avro(avro) => avro.decode(value, |event| take(Input::Event { partition, event, identity: None }))?,
        Decoder::Windows(known) => take_window(known, first, value, take).map_err(Broken::new),
    };
    if let Err(broken) = read {
        take(Input::Broken { partition, reason: broken.0, value });
    }
    Ok(())
}

/// Hands out a window of a partition of the events; all of them are assigned with the first.
fn take_window(
    known: &mut BTreeMap<String, u32>,
    first: u32,
    value: &[u8],
    take: &mut dyn FnMut(Input<'_>),
) -> Result<(), String> {
    let decoded = windows::decode(value)?;
    let name = |partition: u32| format!("{}/{partition}", decoded.topic);
    for partition in 0..decoded.partitions {
        let next = first + known.len() as u32;
        if let std::collections::btree_map::Entry::Vacant(place) = known.entry(name(partition)) {
            take(Input::Assigned { partition: next, name: place.key(), not_before: None });
            place.insert(next);
        }
    }
    let partition = known[&name(decoded.partition)];
    take(Input::Window { partition, window: &decoded.window, last: decoded.last });
    Ok(())
}

impl Source for KafkaSource {
    fn poll(&mut self, wait: Duration, take: &mut dyn FnMut(Input<'_>)) -> Result<Polled, StreamError> {
        if !self.started {
            self.start(take)?;
        }
        if self.bounded && self.partitions.iter().all(|p| p.at_end) {
            return Ok(Polled::End);
        }
        if !self.take_one(wait, take)? {
            return Ok(Polled::Nothing);
        }
        for _ in 1..self.batch {
            if !self.take_one(Duration::ZERO, take)? {
                break;
            }
        }
        Ok(Polled::Records)
    }

    fn positions(&self) -> Positions {
        let position = |p: &Partition| Some((p.name.clone(), Position { next: p.next? as u64, done: false }));
        self.partitions.iter().filter_map(position).collect()
    }

    fn seek(&mut self, positions: &Positions) -> Result<(), StreamError> {
        for partition in &mut self.partitions {
            let Some(position) = positions.get(&partition.name) else { continue };
            let next = i64::try_from(position.next).unwrap_or(i64::MAX);
            let marks = self.consumer.0.fetch_watermarks(&self.config.topic, partition.id, PATIENCE);
            let (low, high) = marks.map_err(failed(format!("looking at `{}`", partition.name)))?;
            if !(low..=high).contains(&next) {
                return Err(StreamError::Kafka {
                    action: format!("going on in `{}`", partition.name),
                    reason: format!(
                        "the checkpoint is at offset {next}, the topic holds {low} to {high}: records were deleted \
                         before they were read, or the topic was made anew; start with new checkpoints"
                    ),
                });
            }
            partition.next = Some(next);
        }
        Ok(())
    }

    fn behind(&self) -> BTreeMap<String, u64> {
        let ends = self.ends.known();
        let behind = |p: &Partition| {
            let left = ends.get(&p.id)?.saturating_sub(p.next.unwrap_or(0));
            let left = if p.caught_up { 0 } else { u64::try_from(left).unwrap_or(0) };
            Some((p.name.clone(), left))
        };
        self.partitions.iter().filter_map(behind).collect()
    }

    fn waiting(&self) -> Option<String> {
        self.trouble.clone()
    }

    fn group(&self) -> Option<Group> {
        let offsets = self.partitions.iter().filter_map(|p| Some((p.id, p.next?))).collect();
        let metadata = Arc::new(self.consumer.0.group_metadata()?);
        Some(Group { metadata, topic: self.config.topic.clone(), offsets })
    }
}
