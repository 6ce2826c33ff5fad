//! Windows of one partition as messages.

use funnelpulse_core::Timestamp;
use funnelpulse_features::Counts;
use serde::{Deserialize, Serialize};

use crate::{ClosedWindow, StreamError, WindowKind, WindowRow};

/// Rows of one message: some 100 KiB, well below what brokers accept.
const MOST_ROWS: usize = 1_000;

/// A window, or a part of its rows, of one partition of the events.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    /// The topic of the events, and which of how many partitions it is.
    topic: String,
    partition: u32,
    partitions: u32,
    /// Microseconds since 1970, UTC.
    start: i64,
    end: i64,
    /// No more rows of this window follow.
    last: bool,
    rows: Vec<Row>,
}

/// A series with its views, carts and purchases, and its revenue in millionths.
#[derive(Debug, Serialize, Deserialize)]
struct Row(String, u64, u64, u64, i64);

/// A window as messages.
pub(super) fn encode(
    topic: &str,
    (partition, partitions): (u32, u32),
    window: &ClosedWindow,
) -> Result<Vec<String>, StreamError> {
    let row = |row: &WindowRow| {
        let Counts { views, carts, purchases, micro_revenue } = row.counts;
        // Nine trillion of any currency in an hour.
        let revenue = i64::try_from(micro_revenue).unwrap_or(i64::MAX);
        Row(row.series.as_str().to_owned(), views, carts, purchases, revenue)
    };
    // That a series had no event is known without a message.
    let rows: Vec<&WindowRow> = window.rows.iter().filter(|row| row.counts != Counts::default()).collect();
    let parts = rows.len().div_ceil(MOST_ROWS).max(1);
    let message = |part: usize| {
        let rows = rows.iter().skip(part * MOST_ROWS).take(MOST_ROWS);
        let message = Message {
            topic: topic.to_owned(),
            partition,
            partitions,
            start: window.start.as_micros(),
            end: window.end.as_micros(),
            last: part + 1 == parts,
            rows: rows.map(|r| row(r)).collect(),
        };
        serde_json::to_string(&message).map_err(|e| StreamError::contents("windows", e))
    };
    (0..parts).map(message).collect()
}

/// What a message holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The partitions of the events, all of them, and which of them this is.
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) partitions: u32,
    pub(crate) last: bool,
    pub(crate) window: ClosedWindow,
}

/// The window of a message, or the reason why it has none.
pub(crate) fn decode(value: &[u8]) -> Result<Decoded, String> {
    let message: Message = serde_json::from_slice(value).map_err(|e| format!("not a window: {e}"))?;
    if message.partition >= message.partitions || message.start >= message.end {
        return Err("not a window: its partition or its times are impossible".to_owned());
    }
    let row = |Row(series, views, carts, purchases, revenue): Row| WindowRow {
        series: series.as_str().into(),
        counts: Counts { views, carts, purchases, micro_revenue: revenue.into() },
    };
    let window = ClosedWindow {
        start: Timestamp::from_micros(message.start),
        end: Timestamp::from_micros(message.end),
        kind: WindowKind::Final,
        rows: message.rows.into_iter().map(row).collect(),
    };
    let Message { topic, partition, partitions, last, .. } = message;
    Ok(Decoded { topic, partition, partitions, last, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(series: usize) -> ClosedWindow {
        let start = Timestamp::from_seconds(1_569_888_000);
        let counts = Counts { views: 3, carts: 2, purchases: 1, micro_revenue: 7_250_000 };
        let row = |i: usize| WindowRow { series: format!("s{i:05}").as_str().into(), counts };
        let rows = (0..series).map(row).collect();
        ClosedWindow { start, end: start.offset(Timestamp::HOUR), kind: WindowKind::Final, rows }
    }

    #[test]
    fn what_is_written_is_read() {
        let whole = window(2 * MOST_ROWS + 1);
        let messages = encode("events", (1, 3), &whole).unwrap();
        let parts: Vec<Decoded> = messages.iter().map(|m| decode(m.as_bytes()).unwrap()).collect();
        assert_eq!(parts.iter().map(|part| part.last).collect::<Vec<_>>(), [false, false, true]);
        assert!(parts.iter().all(|part| part.topic == "events" && (part.partition, part.partitions) == (1, 3)));
        let rows: Vec<WindowRow> = parts.into_iter().flat_map(|part| part.window.rows).collect();
        assert_eq!(rows, whole.rows);
        assert_eq!(encode("events", (0, 1), &window(0)).unwrap().len(), 1, "the end of a window is news");
    }

    #[test]
    fn what_is_no_window_is_an_error() {
        let good = encode("events", (0, 1), &window(1)).unwrap().remove(0);
        for bad in ["", "{}", "[]", &good.replace("\"partitions\":1", "\"partitions\":0"), &good[..good.len() - 1]] {
            assert!(decode(bad.as_bytes()).unwrap_err().starts_with("not a window"), "{bad}");
        }
        assert!(decode(b"\xff").is_err());
    }
}
