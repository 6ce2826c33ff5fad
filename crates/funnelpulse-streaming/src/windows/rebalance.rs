//! Which partitions belong to this process, as the consumer group decides.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaRespErr,
};

use crate::kafka::{Log, PATIENCE};

/// A partition that this process reads from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) partition: i32,
    /// The next record, and the name of the state as of it; `None` where nobody has read the partition yet.
    pub(super) committed: Option<(i64, String)>,
}

/// What the group decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Given(Vec<Given>),
    Taken(Vec<i32>),
    /// Positions could not be had.
    Failed(String),
}

/// Notes what the group decides; each partition goes on at its committed position.
#[derive(Clone, Debug, Default)]
pub(super) struct Decisions {
    all: Arc<Mutex<VecDeque<Decision>>>,
    pub(super) log: Log,
}

impl Decisions {
    pub(super) fn next(&self) -> Option<Decision> {
        self.all().pop_front()
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Decision>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Decisions {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.log.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

impl ConsumerContext for Decisions {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let decision = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            assign(consumer, list).unwrap_or_else(|error| Decision::Failed(error.to_string()))
        } else {
            let taken = list.elements().iter().map(TopicPartitionListElem::partition).collect();
            match consumer.unassign() {
                Ok(()) => Decision::Taken(taken),
                Err(error) => Decision::Failed(error.to_string()),
            }
        };
        self.all().push_back(decision);
    }
}

/// Reads the committed positions, which waits for transactions that are on their way, and goes on there.
fn assign(consumer: &BaseConsumer<Decisions>, list: &TopicPartitionList) -> KafkaResult<Decision> {
    let committed = consumer.committed_offsets(list.clone(), PATIENCE)?;
    let mut from = TopicPartitionList::new();
    let mut given = Vec::new();
    for element in committed.elements() {
        element.error()?;
        let committed = match element.offset() {
            Offset::Offset(next) => Some((next, element.metadata().to_owned())),
            _ => None,
        };
        let offset = committed.as_ref().map_or(Offset::Beginning, |(next, _)| Offset::Offset(*next));
        from.add_partition_offset(element.topic(), element.partition(), offset)?;
        given.push(Given { partition: element.partition(), committed });
    }
    consumer.assign(&from)?;
    Ok(Decision::Given(given))
}
