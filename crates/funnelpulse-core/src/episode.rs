//! Results of a detector of the whole site besides scores: episodes and posterior odds.

use std::{fmt::Debug, sync::Arc};

use ndarray::Array2;
use serde::Serialize;

use crate::{IncidentKind, SeriesKey, Timestamp};

/// The metrics that are the steps of a funnel; `None` where a table has no such step.
///
/// ```
/// use funnelpulse_core::Funnel;
///
/// let funnel = Funnel { traffic: Some("views".into()), ..Funnel::default() };
/// assert_eq!(funnel.steps(), [Some("views"), None, None, None]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Funnel {
    /// Visits, a count.
    pub traffic: Option<String>,
    /// Carts, a count.
    pub carts: Option<String>,
    /// Purchases, a count.
    pub purchases: Option<String>,
    /// Revenue, an amount.
    pub revenue: Option<String>,
}

impl Funnel {
    /// The steps in order: traffic, carts, purchases, revenue.
    pub fn steps(&self) -> [Option<&str>; 4] {
        [&self.traffic, &self.carts, &self.purchases, &self.revenue].map(|step| step.as_deref())
    }
}

/// The name of what all series of a site show together.
pub const SITE: &str = "(site)";

/// The name of what several series of a site show together.
pub const GROUP: &str = "(group)";

/// Consecutive anomalous rows with one cause, as a detector estimates them.
///
/// Numbers of four are those of traffic, carts, purchases and revenue.
///
/// ```
/// use funnelpulse_core::{Episode, IncidentKind, Timestamp};
///
/// /// Money lost per hour, for rows of one hour.
/// fn hourly_loss(episode: &Episode) -> f64 {
///     episode.revenue_loss / (episode.rows.1 - episode.rows.0 + 1) as f64
/// }
///
/// let episode = Episode {
///     series: "shop-a".into(),
///     kind: IncidentKind::CheckoutOutage,
///     kind_probability: 0.9,
///     start: Timestamp::from_seconds(0),
///     last: Timestamp::from_seconds(3600),
///     end: Timestamp::from_seconds(7200),
///     rows: (0, 1),
///     log_odds: 4.0,
///     probability: 0.98,
///     observed: [200.0, 40.0, 2.0, 100.0],
///     expected: [200.0, 40.0, 10.0, 500.0],
///     purchase_factor: 0.2,
///     revenue_loss: 400.0,
///     revenue_loss_interval: (300.0, 500.0),
/// };
/// assert_eq!(hourly_loss(&episode), 200.0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// The series, or [`SITE`] for what all series share.
    pub series: SeriesKey,
    /// The most probable cause.
    pub kind: IncidentKind,
    /// Probability of that kind, given that it is an incident.
    pub kind_probability: f64,
    /// Time of the row in which it most likely began; by default its first row.
    pub start: Timestamp,
    /// Time of its last row.
    pub last: Timestamp,
    /// The end of its last row or hour, no longer part of it.
    pub end: Timestamp,
    /// Its rows within the series, first and last.
    pub rows: (usize, usize),
    /// Natural logarithm of the odds of an incident in its clearest row.
    pub log_odds: f64,
    /// Probability that it is an incident, with incidents as frequent as they were in the history.
    pub probability: f64,
    /// The observed sums, NaN where there is no such step.
    pub observed: [f64; 4],
    /// The expected sums.
    pub expected: [f64; 4],
    /// Observed over expected purchases, on average over the noise of the hours; 1 is as expected.
    pub purchase_factor: f64,
    /// Expected minus observed revenue, in the currency of the data, on average over the noise of
    /// the hours; negative for a gain.
    pub revenue_loss: f64,
    /// The range that holds the revenue loss with a probability of 90 %.
    pub revenue_loss_interval: (f64, f64),
}

/// Puts flagged rows of one series together to episodes.
pub trait Episodes: Debug + Send + Sync {
    /// The episodes that the flagged rows are part of, in order of time; one flag per row. Flagged
    /// rows that the whole site explains are part of none.
    fn of_flagged(&self, flags: &[bool]) -> Vec<Episode>;
}

/// Posterior of one series under a detector of the whole site, one entry per row.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Natural logarithm of the odds that the row is part of an incident, with incidents as
    /// frequent as they were in the history.
    pub log_odds: Vec<f64>,
    /// The part of these log odds that no row changes: how much more frequent incidents were in the
    /// history than the settings say.
    pub prior_log_odds: f64,
    /// True where the whole site explains the row.
    pub is_shared: Vec<bool>,
    /// The most probable kind, if the row is part of an incident.
    pub kinds: Vec<IncidentKind>,
    /// Expected traffic, carts, purchases and revenue: `n x 4`, NaN where there is no such step.
    pub expected: Array2<f64>,
    /// Puts rows together.
    pub episodes: Arc<dyn Episodes>,
}
