//! The way of an event from raw to gold.

use funnelpulse_core::{Columns, Panel};

use super::{
    Event, EventSpec, IngestReport, Rejection,
    gold::Aggregate,
    sieve::{Counted, Sieve},
};
use crate::FeatureError;

/// The table that events add up to, and where every event went.
#[derive(Clone, Debug, PartialEq)]
pub struct Gold {
    /// Per series and window: `views`, `carts`, `purchases` and `revenue`, the sum of the prices
    /// of the purchases.
    pub panel: Panel,
    /// The account.
    pub report: IngestReport,
}

/// Turns raw events into the hourly funnel, one event at a time, in any order.
///
/// Events are **validated** (a time, a type, a price that is not negative), their names
/// **normalised** (trimmed, lower case; a null or empty key is the series
/// [`(none)`](crate::NO_KEY)), **deduplicated** on time, user, session, product and step (an event
/// without user and session is never a duplicate) and **counted** per series
/// and window. The result does not depend on the order of the events, not in one bit, except that
/// of duplicates that disagree in brand or price the first one counts.
///
/// A window in which a series has no event is *known to be empty*, a row of zeros, where the feed
/// worked (any series has an event, of any known or unknown type), from the first event of the
/// series to the last window of the feed. It is *unknown*, no row, where no series has an event.
///
/// Memory grows with what is known, not with what was read: 16 bytes (before the hash table's
/// slack) per distinct event for the deduplication, of the last
/// [`dedup_horizon_hours`](EventSpec::dedup_horizon_hours) where they are set, and about 64 per series
/// and window with events.
///
/// ```
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::{Event, EventSpec, FunnelBuilder};
///
/// let mut funnel = FunnelBuilder::new(&EventSpec::default(), 3600)?;
/// let view = Event {
///     time: Timestamp::from_seconds(1_569_888_123),
///     event_type: "view",
///     keys: &[Some(" Runail")],
///     product: Some("5"),
///     user: Some("ann"),
///     session: Some("s1"),
///     price: Some(2.38),
/// };
/// funnel.push(&view);
/// funnel.push(&Event { event_type: "purchase", ..view });
/// funnel.push(&view); // the same again
/// let gold = funnel.finish()?;
/// assert_eq!(gold.panel.get("runail").unwrap().values(), ndarray::array![[1.0, 0.0, 1.0, 2.38]]);
/// assert_eq!((gold.report.read, gold.report.duplicates), (3, 1));
/// # Ok::<(), funnelpulse_features::FeatureError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FunnelBuilder {
    sieve: Sieve,
    keys: usize,
    aggregate: Aggregate,
}

impl FunnelBuilder {
    /// An empty table with windows of `step_seconds`.
    pub fn new(spec: &EventSpec, step_seconds: u64) -> Result<Self, FeatureError> {
        let sieve = Sieve::new(spec, step_seconds)?;
        Ok(Self { sieve, keys: spec.keys.len(), aggregate: Aggregate::default() })
    }

    /// Adds an event. Keys beyond those of the specification are left out, keys that are not
    /// there count as null.
    pub fn push(&mut self, event: &Event<'_>) {
        self.push_identified(event, event.identity());
    }

    /// The same for a caller that knows the [identity](Event::identity) of the event, for example
    /// from another thread.
    pub fn push_identified(&mut self, event: &Event<'_>, identity: Option<u128>) {
        let Some(Counted { window, step, micro_price }) = self.sieve.sift(event, identity) else { return };
        if let Some(keys) = event.keys.get(..self.keys) {
            self.aggregate.add(keys, window, step, micro_price);
        } else {
            let mut keys = event.keys.to_vec();
            keys.resize(self.keys, None);
            self.aggregate.add(&keys, window, step, micro_price);
        }
    }

    /// Counts a row that could not even be read as an event. `value` is what is wrong with it.
    pub fn reject(&mut self, reason: Rejection, value: &str) {
        self.sieve.reject(reason, value);
    }

    /// The account so far; `series` and `rows` are known at the end.
    pub fn report(&self) -> &IngestReport {
        &self.sieve.report
    }

    /// The table.
    pub fn finish(self) -> Result<Gold, FeatureError> {
        let columns = Columns::new(["views", "carts", "purchases", "revenue"])?;
        let panel = self.aggregate.into_panel(columns, &self.sieve.alive)?;
        let mut report = self.sieve.report;
        report.series = panel.len() as u64;
        report.rows = panel.total_rows() as u64;
        assert!(report.balances(), "an event is counted, a duplicate, ignored or rejected: {report}");
        Ok(Gold { panel, report })
    }
}
