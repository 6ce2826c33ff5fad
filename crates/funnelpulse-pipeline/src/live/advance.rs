//! Results of one step of a live pipeline.

use std::fmt;

use funnelpulse_analytics::{Findings, Incident};
use funnelpulse_core::{SeriesKey, Timestamp};

/// Everything that the rows of one window changed.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::{pipeline, shop};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut live = pipeline()?.fit(&shop(96))?.live();
/// let mut later = funnelpulse_core::Panel::new(shop(1).columns().clone());
/// for (key, frame) in shop(101).iter() {
///     later.insert(key.clone(), frame.view().rows(96..101).to_frame())?;
/// }
/// let advance = live.advance(&later)?;
/// // Two brands, five hours; the z-score of a row never changes.
/// assert_eq!(advance.rows.len(), 10);
/// assert!(advance.rows.iter().all(|row| row.is_final && row.revision == 0));
/// let series = &advance.findings.series()[1];
/// assert_eq!((series.series.as_str(), series.anomalies.len()), ("runail", 1));
/// assert_eq!(advance.incidents[0].change.to_string(), "opened");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Advance {
    /// Time of the newest row of all series so far.
    pub now: Timestamp,
    /// The rows that the pipeline keeps of every series, as they are judged now: a few days more
    /// than can still change. Ranks are those among these rows.
    pub findings: Findings,
    /// The rows whose verdict is new: of the window, revised, or final.
    pub rows: Vec<LiveRow>,
    /// Incidents that opened, changed or ended.
    pub incidents: Vec<LiveIncident>,
    /// Series with rows that nothing can score yet, and why.
    pub waiting: Vec<(SeriesKey, String)>,
}

/// A row whose verdict is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveRow {
    /// Position of the series in [`Findings::series`].
    pub series: usize,
    /// The row within the series.
    pub row: usize,
    /// 0 for the first verdict on the row; one more with each later one.
    pub revision: u32,
    /// True if the verdict will not change any more.
    pub is_final: bool,
}

/// An incident that opened, changed or ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveIncident {
    /// Its name for as long as it is followed, even if its first hour or its kind is revised.
    pub id: String,
    /// What happened to it.
    pub change: IncidentChange,
    /// The incident as it is seen now; as it was last seen where it is withdrawn.
    pub incident: Incident,
}

/// A step in the life of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IncidentChange {
    /// First seen, or found again under the same name after it was withdrawn. It may already be over.
    Opened,
    /// Its kind, severity or priority is another, or it goes on after it had ended.
    Changed,
    /// It ended.
    Ended,
    /// Later rows show that there was none.
    Withdrawn,
}

impl IncidentChange {
    /// The word in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Changed => "changed",
            Self::Ended => "ended",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for IncidentChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
