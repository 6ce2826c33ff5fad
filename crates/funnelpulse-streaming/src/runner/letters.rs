//! Dead letters: records that did not count, and why.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use funnelpulse_features::Event;

use crate::StreamError;

/// The dead letters of one epoch, up to a number and a size.
#[derive(Debug)]
pub(super) struct DeadLetters {
    most: usize,
    most_bytes: usize,
    letters: Vec<Letter>,
    /// Letters of this epoch.
    taken: usize,
    /// Those beyond the limit, in all epochs.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Letter {
    partition: String,
    reason: String,
    micros: Option<i64>,
    value: String,
}

impl DeadLetters {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, letters: Vec::new(), taken: 0, dropped: 0 }
    }

    /// Room for one more; counts it as dropped if there is none.
    fn has_room(&mut self) -> bool {
        let room = self.taken < self.most;
        if room {
            self.taken += 1;
        } else {
            self.dropped += 1;
        }
        room
    }

    pub(super) fn broken(&mut self, partition: &str, reason: &str, value: &[u8]) {
        if self.has_room() {
            let value = String::from_utf8_lossy(&value[..value.len().min(self.most_bytes)]).into_owned();
            let (partition, reason) = (partition.to_owned(), reason.to_owned());
            self.letters.push(Letter { partition, reason, micros: None, value });
        }
    }

    pub(super) fn event(&mut self, partition: &str, reason: &str, event: &Event<'_>) {
        if !self.has_room() {
            return;
        }
        let mut value = serde_json::json!({
            "time": event.time.to_string(),
            "type": event.event_type,
            "keys": event.keys,
            "product": event.product,
            "user": event.user,
            "session": event.session,
            "price": event.price,
        })
        .to_string();
        let end = (0..=self.most_bytes.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
        value.truncate(end.unwrap_or(0));
        let (partition, reason) = (partition.to_owned(), reason.to_owned());
        self.letters.push(Letter { partition, reason, micros: Some(event.time.as_micros()), value });
    }

    /// A new epoch begins.
    pub(super) fn next_epoch(&mut self) {
        self.taken = self.letters.len();
    }

    /// The letters since the last call as rows: `partition`, `reason`, `event_time_micros`, `value`.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, StreamError> {
        let letters = std::mem::take(&mut self.letters);
        if letters.is_empty() {
            return Ok(None);
        }
        let text =
            |get: fn(&Letter) -> &str| Arc::new(StringArray::from_iter_values(letters.iter().map(get))) as ArrayRef;
        let fields = vec![
            Field::new("partition", DataType::Utf8, false),
            Field::new("reason", DataType::Utf8, false),
            Field::new("event_time_micros", DataType::Int64, true),
            Field::new("value", DataType::Utf8, false),
        ];
        let times: Int64Array = letters.iter().map(|l| l.micros).collect();
        let arrays = vec![text(|l| &l.partition), text(|l| &l.reason), Arc::new(times), text(|l| &l.value)];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
        batch.map(Some).map_err(|e| StreamError::Rows { sink: "dead letters", reason: e.to_string() })
    }
}
