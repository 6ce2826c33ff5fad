//! The account of all records: the conservation law.

use std::{collections::BTreeMap, fmt};

use funnelpulse_features::Rejection;
use serde::{Deserialize, Serialize};

/// Where an event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It counts in its window.
    Counted,
    /// It was seen before.
    Duplicate,
    /// It is of a type that is no step of the funnel.
    Ignored,
    /// Its window is closed.
    Late,
    /// It is broken or beyond a limit.
    Rejected(Refusal),
}

/// Reasons for rejecting an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// The event is broken.
    Invalid(Rejection),
    /// It is older than `earliest`.
    TooOld,
    /// It is further ahead of the wall clock than `ahead_seconds`.
    AheadOfClock,
    /// `max_series` are known.
    TooManySeries,
    /// Its series has `max_events_per_series` events in the window.
    TooManyEvents,
    /// `max_remembered` events are remembered for the deduplication.
    TooManyRemembered,
    /// `max_open` windows are open.
    TooManyOpen,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid(rejection) => return rejection.fmt(f),
            Self::TooOld => "the time is before `earliest`",
            Self::AheadOfClock => "the time is more than `ahead_seconds` ahead of the wall clock",
            Self::TooManySeries => "`max_series` series are known",
            Self::TooManyEvents => "the series has `max_events_per_series` events in this window",
            Self::TooManyRemembered => "`max_remembered` events are remembered for the deduplication",
            Self::TooManyOpen => "`max_open` windows are open",
        })
    }
}

/// The account of all records. The parts always sum up to [`read`](Self::read).
///
/// ```
/// use funnelpulse_streaming::{Account, Fate};
///
/// let mut account = Account::default();
/// account.record(Fate::Counted);
/// account.dead_letter();
/// assert_eq!((account.read, account.counted, account.dead_lettered), (2, 1, 1));
/// assert!(account.balances());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Records read.
    pub read: u64,
    /// Events that count in a window.
    pub counted: u64,
    /// Events seen before.
    pub duplicate: u64,
    /// Sound events of other types.
    pub ignored: u64,
    /// Events whose window was closed.
    pub late: u64,
    /// Events that are broken or beyond a limit, by reason.
    pub rejected: BTreeMap<Refusal, u64>,
    /// Records that can't be read as an event.
    pub dead_lettered: u64,
    /// Purchases among the counted events that name no price and so add nothing to the revenue.
    pub purchases_without_price: u64,
}

impl Account {
    /// Counts an event.
    pub fn record(&mut self, fate: Fate) {
        self.read += 1;
        match fate {
            Fate::Counted => self.counted += 1,
            Fate::Duplicate => self.duplicate += 1,
            Fate::Ignored => self.ignored += 1,
            Fate::Late => self.late += 1,
            Fate::Rejected(refusal) => *self.rejected.entry(refusal).or_default() += 1,
        }
    }

    /// Counts a record that can't be read as an event.
    pub fn dead_letter(&mut self) {
        self.read += 1;
        self.dead_lettered += 1;
    }

    /// Events that are broken or beyond a limit.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// True if every record read is accounted for.
    pub fn balances(&self) -> bool {
        let parts = self.counted + self.duplicate + self.ignored + self.late + self.rejected_total();
        self.read == parts + self.dead_lettered
    }

    /// Adds the account of another instance.
    pub fn merge(&mut self, other: &Self) {
        self.read += other.read;
        self.counted += other.counted;
        self.duplicate += other.duplicate;
        self.ignored += other.ignored;
        self.late += other.late;
        self.dead_lettered += other.dead_lettered;
        self.purchases_without_price += other.purchases_without_price;
        for (refusal, count) in &other.rejected {
            *self.rejected.entry(*refusal).or_default() += count;
        }
    }
}
