//! The account of all events.

use std::{collections::BTreeMap, fmt};

use funnelpulse_core::counted;
use serde::{Deserialize, Serialize};

/// Examples kept per reason.
const EXAMPLES: usize = 5;
/// Distinct ignored types listed by name; hostile input must not grow the report without bound.
const TYPES: usize = 64;
/// Characters kept of a value that is shown.
const SHOWN: usize = 60;

/// Reasons for rejecting an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rejection {
    /// No time, or none that can be read.
    Time,
    /// No event type.
    EventType,
    /// The price is negative, not finite or can't be read.
    Price,
    /// The row as a whole can't be read.
    Row,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "no readable time",
            Self::EventType => "no event type",
            Self::Price => "price is negative, not finite or not a number",
            Self::Row => "unreadable row",
        })
    }
}

/// The rows rejected for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedRows {
    /// The number.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<RejectedExample>,
}

/// One rejected row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedExample {
    /// Its number, counted from one over all rows read.
    pub row: u64,
    /// The value that is wrong.
    pub value: String,
}

/// The account of all events: counted, duplicate, ignored or rejected. The four sum up to `read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestReport {
    /// Events read.
    pub read: u64,
    /// Events counted as views.
    pub views: u64,
    /// Events counted as carts.
    pub carts: u64,
    /// Events counted as purchases.
    pub purchases: u64,
    /// Purchases among them that name no price and so add nothing to the revenue.
    pub purchases_without_price: u64,
    /// Events seen before.
    pub duplicates: u64,
    /// Events that are no step of the funnel, by type. Rare types beyond the first 64 share the
    /// name `(other)`.
    pub ignored: BTreeMap<String, u64>,
    /// Events that are broken, by reason.
    pub rejected: BTreeMap<Rejection, RejectedRows>,
    /// Series found.
    pub series: u64,
    /// Rows of the table that was made, including those known to be empty.
    pub rows: u64,
}

impl IngestReport {
    /// Events that are part of the table.
    pub fn counted(&self) -> u64 {
        self.views + self.carts + self.purchases
    }

    /// Events of other types.
    pub fn ignored_total(&self) -> u64 {
        self.ignored.values().sum()
    }

    /// Broken events.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().map(|r| r.count).sum()
    }

    /// True if every event read is accounted for.
    pub fn balances(&self) -> bool {
        self.read == self.counted() + self.duplicates + self.ignored_total() + self.rejected_total()
    }

    pub(super) fn ignore(&mut self, event_type: &str) {
        if let Some(count) = self.ignored.get_mut(event_type) {
            *count += 1;
            return;
        }
        let name = if self.ignored.len() < TYPES { shorten(event_type) } else { "(other)".to_owned() };
        *self.ignored.entry(name).or_default() += 1;
    }

    pub(super) fn reject(&mut self, reason: Rejection, value: &str) {
        let row = self.read;
        let rejected = self.rejected.entry(reason).or_default();
        rejected.count += 1;
        if rejected.examples.len() < EXAMPLES {
            rejected.examples.push(RejectedExample { row, value: shorten(value) });
        }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for IngestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} read: {} counted ({}, {}, {}), {}, {} ignored, {} rejected",
            counted(self.read, "event", "events"),
            self.counted(),
            counted(self.views, "view", "views"),
            counted(self.carts, "cart", "carts"),
            counted(self.purchases, "purchase", "purchases"),
            counted(self.duplicates, "duplicate", "duplicates"),
            self.ignored_total(),
            self.rejected_total()
        )?;
        for (event_type, count) in &self.ignored {
            write!(f, "\nignored: {count} of type `{event_type}`")?;
        }
        for (reason, rows) in &self.rejected {
            write!(f, "\nrejected: {} with {reason}", rows.count)?;
            for (i, example) in rows.examples.iter().enumerate() {
                let lead = if i == 0 { ", first" } else { "," };
                write!(f, "{lead} row {} (`{}`)", example.row, example.value)?;
            }
        }
        if self.purchases_without_price > 0 {
            let purchases = counted(self.purchases_without_price, "purchase", "purchases");
            write!(f, "\n{purchases} without a price, which add nothing to the revenue")?;
        }
        Ok(())
    }
}
