//! Errors.

use crate::{LocalizeError, Period, moment};
use funnelpulse_core::Timestamp;

use super::leaves::MAX_LEAVES;
use funnelpulse_core::hint;

/// Errors of locating a change.
///
/// ```
/// use funnelpulse_analytics::{LocalizeConfig, Question, locate};
/// use funnelpulse_features::{CubeBuilder, EventSpec};
///
/// let empty = CubeBuilder::new(&EventSpec::default(), 3600)?.finish();
/// let question = Question::new("2019-11-01..2019-11-02".parse()?);
/// let error = locate(&empty, &question, &LocalizeConfig::default()).unwrap_err();
/// assert_eq!(error.to_string(), "no event lies in 2019-11-01..2019-11-02");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum LocateError {
    /// A series that is not there.
    #[error("there is no series `{series}`{}", hint(suggestion.as_deref()))]
    UnknownSeries {
        /// Its name.
        series: String,
        /// The nearest one there is.
        suggestion: Option<String>,
    },
    /// A dimension that was not counted.
    #[error("there is no dimension `{dimension}` (there are: {known})")]
    UnknownDimension {
        /// Its name.
        dimension: String,
        /// Those there are.
        known: String,
    },
    /// Nothing to look at.
    #[error("no dimension is named: at least one is needed")]
    NoDimension,
    /// The feed delivered nothing.
    #[error("no event lies in {period}{}", ends(*range))]
    NoEvents {
        /// The period.
        period: Period,
        /// The first and last window with events.
        range: Option<(Timestamp, Timestamp)>,
    },
    /// Nothing to compare with.
    #[error("nothing is known of the time before {period}{}", ends(*range))]
    NoHistory {
        /// The period.
        period: Period,
        /// The first and last window with events.
        range: Option<(Timestamp, Timestamp)>,
    },
    /// Too many combinations.
    #[error("the dimensions have {leaves} combinations (at most {MAX_LEAVES}): name fewer of them")]
    TooFine {
        /// The number.
        leaves: usize,
    },
    /// A setting out of range.
    #[error(transparent)]
    Config(#[from] LocalizeError),
}

fn ends(range: Option<(Timestamp, Timestamp)>) -> String {
    range.map_or_else(String::new, |(a, b)| format!(" (events run from {} to {})", moment(a), moment(b)))
}
