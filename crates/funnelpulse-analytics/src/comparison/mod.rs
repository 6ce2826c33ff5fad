//! Side by side: two periods, two series, or what two models found in the same rows.

mod findings;
mod panels;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use funnelpulse_core::{Panel, SeriesKey, Timestamp, hint, nearest_name};

pub use findings::{Kinds, ModelComparison, ModelSide, SeriesDifference, compare_findings};
#[cfg(feature = "eval")]
pub use findings::{Labels, Quality};
pub use panels::{Contribution, Gap, Group, PanelComparison, compare_panel};

use crate::{Period, moment};

/// The rows that are looked at.
///
/// ```
/// use funnelpulse_analytics::Selection;
///
/// let week = "2019-11-01..2019-11-08".parse()?;
/// let one_shop = Selection { series: Some("shop-a"), period: Some(week) };
/// let all = Selection { series: None, ..one_shop };
/// assert_eq!(all, Selection { period: Some(week), ..Selection::default() });
/// # Ok::<(), funnelpulse_analytics::PeriodError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Selection<'a> {
    /// Of one series; by default of all.
    pub series: Option<&'a str>,
    /// Of one period; by default all there are.
    pub period: Option<Period>,
}

impl Selection<'_> {
    fn contains(&self, time: Timestamp) -> bool {
        self.period.is_none_or(|period| period.contains(time))
    }

    fn has(&self, series: &SeriesKey) -> bool {
        self.series.is_none_or(|name| name == series.as_str())
    }

    /// `brand_003 in 2019-11-01..2019-11-08`
    fn in_words(&self) -> String {
        match (self.series, &self.period) {
            (None, None) => "all rows".to_owned(),
            (Some(series), None) => series.to_owned(),
            (None, Some(period)) => period.to_string(),
            (Some(series), Some(period)) => format!("{series} in {period}"),
        }
    }
}

/// Errors of a comparison.
///
/// ```
/// use funnelpulse_analytics::{Selection, compare_panel};
/// use funnelpulse_core::{Funnel, Panel};
/// use funnelpulse_features::PanelSpec;
///
/// let (spec, all) = (PanelSpec::funnel(), Selection::default());
/// let panel = Panel::new(spec.columns());
/// let error = compare_panel(&panel, &spec, &Funnel::default(), all, all).unwrap_err();
/// assert_eq!(error.to_string(), "all rows would be compared with itself");
/// ```
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum CompareError {
    /// A series that is not there.
    #[error("there is no series `{series}`{}", hint(suggestion.as_deref()))]
    UnknownSeries {
        /// Its name.
        series: String,
        /// The nearest one there is.
        suggestion: Option<String>,
    },
    /// No row on one side.
    #[error("no row lies in {selection}{}", rows(*range))]
    NoRows {
        /// The side.
        selection: String,
        /// The first and last row there is.
        range: Option<(Timestamp, Timestamp)>,
    },
    /// Both sides are the same rows.
    #[error("{selection} would be compared with itself")]
    Same {
        /// Either side.
        selection: String,
    },
    /// Labels that say nothing of the rows.
    #[error("none of the {rows} rows has a label")]
    NoLabels {
        /// Rows scored by both models.
        rows: usize,
    },
}

fn rows(range: Option<(Timestamp, Timestamp)>) -> String {
    range.map_or_else(String::new, |(a, b)| format!(" (the rows run from {} to {})", moment(a), moment(b)))
}

/// Refuses a series that is not among `known`.
fn check_series<'a>(name: Option<&str>, known: impl Iterator<Item = &'a SeriesKey>) -> Result<(), CompareError> {
    let Some(name) = name else { return Ok(()) };
    let known: BTreeSet<&str> = known.map(SeriesKey::as_str).collect();
    if known.contains(name) {
        return Ok(());
    }
    let suggestion = nearest_name(known, name).map(str::to_owned);
    Err(CompareError::UnknownSeries { series: name.to_owned(), suggestion })
}

/// The first and last time of a panel.
fn range(panel: &Panel) -> Option<(Timestamp, Timestamp)> {
    let times = || panel.iter().map(|(_, frame)| frame.time());
    let first = times().filter_map(<[_]>::first).min()?;
    let last = times().filter_map(<[_]>::last).max()?;
    Some((*first, *last))
}
