//! Localisation of a change: from counted events to the attribute combinations that explain it.

mod error;
mod incidents;
mod leaves;
mod measure;
mod past;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use crate::{
    Attribution, Decomposition, FunnelTotals, Localization, LocalizeConfig, Localizer, Period, decompose_funnel,
};
use funnelpulse_core::Timestamp;
use funnelpulse_features::Cube;
use serde::Serialize;

pub use error::LocateError;
pub use incidents::windows_of_incidents;
use leaves::{check_series, chosen_dimensions, counted_leaves, group};
pub use measure::{Measure, UnknownMeasure};
use past::Past;
pub use past::windows_to_locate;

/// Days before a period that are compared with it unless others are asked for.
pub const HISTORY_DAYS: u32 = 28;

/// The change that is to be explained.
///
/// ```
/// use funnelpulse_analytics::{HISTORY_DAYS, Measure, Question};
///
/// let day = "2019-11-01..2019-11-02".parse()?;
/// let question = Question { measure: Some(Measure::Views), ..Question::new(day) };
/// assert_eq!((question.series, question.history_days), (None, HISTORY_DAYS));
/// # Ok::<(), funnelpulse_analytics::PeriodError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question<'a> {
    /// The period of the change.
    pub period: Period,
    /// The series it was in; by default all of them, which are then attributes themselves.
    pub series: Option<&'a str>,
    /// The measure that changed; by default that of the stage of the funnel that changed most.
    pub measure: Option<Measure>,
    /// The dimensions to look at; by default all that the cube has.
    pub dimensions: &'a [String],
    /// Days before the period that it is compared with, 1 or more.
    pub history_days: u32,
}

impl Question<'_> {
    /// The change in `period`, compared with the four weeks before.
    pub fn new(period: Period) -> Self {
        Self { period, series: None, measure: None, dimensions: &[], history_days: HISTORY_DAYS }
    }
}

/// The place of a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// When it was.
    pub period: Period,
    /// The earlier periods that it is compared with, the latest first.
    pub compared_with: Vec<Period>,
    /// The measure that changed.
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

/// Finds the smallest set of attribute combinations that explains why a period was unlike those
/// before.
///
/// Expected is what the same hours of the week had before, on average over the calm ones of up to
/// [`history_days`](Question::history_days); where fewer than two weeks are known, the same hours
/// of every day; where not even one is, the stretches of the same length just before. Earlier
/// periods of which the feed delivered less than half don't count, those with gaps are scaled up. A
/// ratio is explained given its denominator: a change in the mix of traffic is no cause of a lower
/// conversion.
///
/// ```
/// use funnelpulse_analytics::{LocalizeConfig, Period, Question, locate};
/// use funnelpulse_core::Timestamp;
/// use funnelpulse_features::{CubeBuilder, Event, EventSpec};
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

/// The same where the sums of views, carts, purchases and revenue that were expected are known
/// better.
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
    // No revenue on either side is a table without prices or sales.
    let without_revenue = question.measure.is_none() && observed[3] == 0.0 && expected[3] == 0.0;
    let measure = if without_revenue { Measure::Views } else { measure };

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
