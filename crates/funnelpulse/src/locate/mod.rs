//! Where it happened: from counted events to the attribute combinations that explain a change.

mod incidents;
mod measure;
mod past;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use funnelpulse_analytics::{
    Attribution, Decomposition, FunnelTotals, History, Leaves, Localization, LocalizeConfig, LocalizeError, Localizer,
    Period, decompose_funnel, moment,
};
use funnelpulse_core::{SeriesKey, Timestamp};
use funnelpulse_features::{Counts, Cube};
use serde::Serialize;

pub use incidents::windows_of_incidents;
pub use measure::{Measure, UnknownMeasure};
use past::Past;
pub use past::windows_to_locate;

use crate::error::{hint, nearest};

/// Most values of one dimension that are told apart, those with the most events; all others are one.
const MAX_VALUES: usize = 1000;
/// The name of all others.
const OTHERS: &str = "(others)";
/// Most combinations of values that are searched.
const MAX_LEAVES: usize = 200_000;

/// Days before a period that are compared with it unless others are asked for.
pub const HISTORY_DAYS: u32 = 28;

/// What is to be explained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question<'a> {
    /// When it was.
    pub period: Period,
    /// The series it was in; by default all of them, which are then attributes themselves.
    pub series: Option<&'a str>,
    /// What changed; by default what the stage of the funnel depends on that changed most.
    pub measure: Option<Measure>,
    /// The dimensions to look at; by default all that the cube has.
    pub dimensions: &'a [String],
    /// How many days before the period count as ordinary, 1 or more.
    pub history_days: u32,
}

impl Question<'_> {
    /// What happened in `period`, compared with the four weeks before.
    pub fn new(period: Period) -> Self {
        Self { period, series: None, measure: None, dimensions: &[], history_days: HISTORY_DAYS }
    }
}

/// Where a change happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// When it was.
    pub period: Period,
    /// The earlier periods that it is compared with, the latest first.
    pub compared_with: Vec<Period>,
    /// What changed.
    pub measure: Measure,
    /// The dimensions that were looked at.
    pub dimensions: Vec<Arc<str>>,
    /// Number of combinations of their values.
    pub leaves: usize,
    /// Views, carts, purchases and revenue in the period.
    pub observed: [f64; 4],
    /// The same as it usually is.
    pub expected: [f64; 4],
    /// The change of revenue by stages of the funnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Decomposition>,
    /// The causes, of which observed and expected are those of the measure; of a ratio they are its
    /// numerator.
    pub found: Localization,
}

/// `device = mobile: 0 instead of 180, 98 % of the change (purchases given carts)`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.found, self.measure.in_words())
    }
}

/// What can't be located.
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
        /// How many.
        leaves: usize,
    },
    /// A setting out of range.
    #[error(transparent)]
    Config(#[from] LocalizeError),
}

fn ends(range: Option<(Timestamp, Timestamp)>) -> String {
    range.map_or_else(String::new, |(a, b)| format!(" (events run from {} to {})", moment(a), moment(b)))
}

/// Finds the smallest set of attribute combinations that explains why a period was unlike those before.
///
/// Expected is what the same hours of the week had before, on average over the calm ones of up to
/// [`history_days`](Question::history_days); where fewer than two weeks are known, the same hours of
/// every day; where not even one is, the stretches of the same length just before. Earlier periods of which the feed delivered less than half don't count, those with
/// gaps are scaled up. A ratio is explained given its denominator: a change in the mix of traffic
/// is no cause of a lower conversion.
///
/// ```
/// use funnelpulse::{Question, locate, analytics::{LocalizeConfig, Period}};
/// use funnelpulse::core::Timestamp;
/// use funnelpulse::features::{CubeBuilder, Event, EventSpec};
///
/// let spec = EventSpec { dimensions: vec!["device".into()], ..EventSpec::default() };
/// let mut cube = CubeBuilder::new(&spec, 3600)?;
/// // Forty views an hour of each device for nine days; in the last hour none from mobiles.
/// for hour in 0..216 {
///     for i in 0..80 {
///         let device = if i % 2 == 0 { "mobile" } else { "desktop" };
///         if hour == 215 && device == "mobile" {
///             continue;
///         }
///         let user = i.to_string();
///         let event = Event {
///             time: Timestamp::from_seconds(3600 * hour + i),
///             event_type: "view",
///             keys: &[Some("runail")],
///             product: None,
///             user: Some(&user),
///             session: None,
///             price: None,
///         };
///         cube.push(&event, &[Some(device)]);
///     }
/// }
/// let start = Timestamp::from_seconds(3600 * 215);
/// let question = Question::new(Period::new(start, start.offset(Timestamp::HOUR))?);
/// let place = locate(&cube.finish(), &question, &LocalizeConfig::default())?;
/// assert_eq!(place.to_string(), "device = mobile: 0 instead of 40, 100 % of the change (views)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn locate(cube: &Cube, question: &Question<'_>, config: &LocalizeConfig) -> Result<Place, LocateError> {
    locate_scaled(cube, question, config, None)
}

/// The same where the sums of views, carts, purchases and revenue that were expected are known better.
fn locate_scaled(
    cube: &Cube,
    question: &Question<'_>,
    config: &LocalizeConfig,
    known: Option<[f64; 4]>,
) -> Result<Place, LocateError> {
    check_series(cube, question.series)?;
    let chosen = chosen_dimensions(cube, question)?;
    let past = Past::find(cube, &question.period, question.history_days)?;
    let leaves = group(cube, &chosen, question.series, &past)?;

    let observed = totals(cube, question, &past.now, 1.0);
    let usual = usual(cube, question, &past);
    let expected = known.map_or(usual, |known| {
        std::array::from_fn(|i| if known[i].is_finite() && known[i] >= 0.0 { known[i] } else { usual[i] })
    });
    let stages = decompose_funnel(funnel(observed), funnel(expected), Attribution::Lmdi).ok();
    let broken = || stages.as_ref().and_then(Decomposition::broken_stage).map(|s| Measure::of_stage(&s.name));
    let measure = question.measure.or_else(broken).unwrap_or(Measure::Revenue);
    // Revenue of zero on both sides is a table without prices or sales.
    let measure = if question.measure.is_none() && observed[3] == 0.0 && expected[3] == 0.0 { Measure::Views } else { measure };

    let dimensions: Vec<Arc<str>> = chosen.iter().map(|d| cube.dimensions()[*d].clone()).collect();
    let mut counted = counted_leaves(cube, &dimensions, &leaves, &past, measure)?;
    if let (Some(_), Some(component)) = (known, measure.component()) {
        let factor = expected[component] / counted.totals().1;
        if factor.is_finite() && factor > 0.0 {
            counted.scale_expected(factor);
        }
    }
    let price = (observed[3] + expected[3]) / (observed[2] + expected[2]);
    let unit = Some(price).filter(|p| measure.is_money() && p.is_finite() && *p > 0.0);
    let localizer = Localizer::new(LocalizeConfig { unit: config.unit.or(unit), ..config.clone() })?;
    let found = localizer.localize(&counted);
    Ok(Place {
        period: question.period,
        compared_with: past.periods(&question.period),
        measure,
        dimensions,
        leaves: counted.len(),
        observed,
        expected,
        stages,
        found,
    })
}

fn check_series(cube: &Cube, series: Option<&str>) -> Result<(), LocateError> {
    let Some(series) = series else { return Ok(()) };
    let known: BTreeSet<&str> = cube.leaves().iter().map(|l| l.series.as_str()).collect();
    if known.contains(series) {
        return Ok(());
    }
    let suggestion = nearest(known, series).map(str::to_owned);
    Err(LocateError::UnknownSeries { series: series.to_owned(), suggestion })
}

/// Positions of the dimensions to look at. The keys of one series tell nothing apart.
fn chosen_dimensions(cube: &Cube, question: &Question<'_>) -> Result<Vec<usize>, LocateError> {
    let all = cube.dimensions();
    let mut chosen: Vec<usize> = if question.dimensions.is_empty() {
        (0..all.len()).collect()
    } else {
        let position = |name: &String| {
            let known = || all.iter().map(|d| &**d).collect::<Vec<_>>().join(", ");
            let unknown = || LocateError::UnknownDimension { dimension: name.clone(), known: known() };
            all.iter().position(|d| **d == **name).ok_or_else(unknown)
        };
        question.dimensions.iter().map(position).collect::<Result<_, _>>()?
    };
    if question.series.is_some() {
        chosen.retain(|d| *d >= cube.keys());
    }
    chosen.sort_unstable();
    chosen.dedup();
    if chosen.is_empty() { Err(LocateError::NoDimension) } else { Ok(chosen) }
}

/// Per leaf of the cube the values that it is searched under; `None` for those of other series, and
/// for those without an event in the time that counts.
type Groups = Vec<Option<Vec<Option<Arc<str>>>>>;

fn group(cube: &Cube, chosen: &[usize], series: Option<&str>, past: &Past) -> Result<Groups, LocateError> {
    let mut events = vec![0u64; cube.leaves().len()];
    for window in past.windows() {
        for (leaf, counts) in cube.window(window) {
            events[*leaf as usize] += counts.views + counts.carts + counts.purchases;
        }
    }
    let of_series = |series_of: &SeriesKey| series.is_none_or(|s| s == series_of.as_str());
    let mut groups: Groups = cube
        .leaves()
        .iter()
        .zip(&events)
        .map(|(leaf, events)| {
            let counts = *events > 0 && of_series(&leaf.series);
            counts.then(|| chosen.iter().map(|d| leaf.values[*d].clone()).collect())
        })
        .collect();
    let others: Arc<str> = OTHERS.into();
    for position in 0..chosen.len() {
        let mut sizes: BTreeMap<Option<Arc<str>>, u64> = BTreeMap::new();
        for (group, events) in groups.iter().zip(&events) {
            if let Some(group) = group {
                *sizes.entry(group[position].clone()).or_default() += events;
            }
        }
        if sizes.len() <= MAX_VALUES {
            continue;
        }
        let mut by_size: Vec<(Option<Arc<str>>, u64)> = sizes.into_iter().collect();
        // Stable: of equals the first by name.
        by_size.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
        let kept: BTreeSet<Option<Arc<str>>> = by_size.into_iter().take(MAX_VALUES).map(|(value, _)| value).collect();
        for group in groups.iter_mut().flatten() {
            if !kept.contains(&group[position]) {
                group[position] = Some(others.clone());
            }
        }
    }
    let leaves = groups.iter().flatten().collect::<BTreeSet<_>>().len();
    if leaves > MAX_LEAVES { Err(LocateError::TooFine { leaves }) } else { Ok(groups) }
}

/// The leaves in the period against their past.
fn counted_leaves(
    cube: &Cube,
    dimensions: &[Arc<str>],
    groups: &Groups,
    past: &Past,
    measure: Measure,
) -> Result<Leaves, LocateError> {
    let dimensions = dimensions.iter().cloned();
    let mut history =
        if measure.is_ratio() { History::ratio(dimensions) } else { History::additive(dimensions) };
    let stretches = past.before.iter().enumerate().map(|(i, lag)| (-1 - i as i64, &lag.windows, lag.scale));
    for (at, windows, scale) in std::iter::once((0, &past.now, 1.0)).chain(stretches) {
        let mut sums: BTreeMap<u32, Counts> = BTreeMap::new();
        for (leaf, counts) in windows.iter().flat_map(|window| cube.window(*window)) {
            let sum = sums.entry(*leaf).or_default();
            sum.views += counts.views;
            sum.carts += counts.carts;
            sum.purchases += counts.purchases;
            sum.micro_revenue += counts.micro_revenue;
        }
        for (leaf, counts) in sums {
            let Some(values) = &groups[leaf as usize] else { continue };
            let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let (value, denominator) = measure.of(&counts);
            history.push(at, &values, scale * value, scale * denominator)?;
        }
    }
    Ok(history.leaves_at(0))
}

/// Views, carts, purchases and revenue of the windows.
fn totals(cube: &Cube, question: &Question<'_>, windows: &[Timestamp], scale: f64) -> [f64; 4] {
    let of_series = |leaf: u32| question.series.is_none_or(|s| s == cube.leaves()[leaf as usize].series.as_str());
    let (mut counts, mut micro_revenue) = ([0u64; 3], 0i128);
    for (leaf, cell) in windows.iter().flat_map(|window| cube.window(*window)) {
        if of_series(*leaf) {
            counts[0] += cell.views;
            counts[1] += cell.carts;
            counts[2] += cell.purchases;
            micro_revenue += cell.micro_revenue;
        }
    }
    let [views, carts, purchases] = counts.map(|c| c as f64);
    [views, carts, purchases, micro_revenue as f64 / 1e6].map(|total| scale * total)
}

/// The medians of the past: a single burst doesn't move them.
fn usual(cube: &Cube, question: &Question<'_>, past: &Past) -> [f64; 4] {
    let all: Vec<[f64; 4]> = past.before.iter().map(|lag| totals(cube, question, &lag.windows, lag.scale)).collect();
    std::array::from_fn(|i| {
        let mut values: Vec<f64> = all.iter().map(|t| t[i]).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
    })
}

fn funnel([views, carts, purchases, revenue]: [f64; 4]) -> FunnelTotals {
    FunnelTotals { views, carts, purchases, revenue }
}
