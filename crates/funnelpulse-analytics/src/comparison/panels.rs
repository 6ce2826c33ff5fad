//! Rows against rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use funnelpulse_core::{Frame, Funnel, Panel, SeriesKey, Timestamp};
use funnelpulse_features::{MetricKind, PanelSpec};
use serde::Serialize;

use super::{CompareError, Selection, check_series, range};
use crate::{Change, Decomposition, Period, compare, incident::RATES};

/// Two groups of rows of one panel side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PanelComparison {
    /// The rows that are compared.
    pub after: Group,
    /// The rows they are compared with.
    pub before: Group,
    /// Sums of the stored metrics, in their order. Missing values don't count.
    pub totals: Vec<Change>,
    /// The rates, of these sums.
    pub rates: Vec<Change>,
    /// The change of the last step of the funnel, revenue in a shop, by its stages, which add up to
    /// it; `None` where there is no funnel or a sum is negative.
    pub stages: Option<Decomposition>,
    /// The metric that `contributions` are of: the last step of the funnel, else the first metric.
    pub measure: Arc<str>,
    /// The part of each series in the change of `measure`, the largest first; they add up to it.
    /// Empty where two series are compared.
    pub contributions: Vec<Contribution>,
}

/// One side of a comparison.
///
/// ```
/// use funnelpulse_analytics::{Gap, Group};
///
/// let day = Group {
///     name: "shop-a".into(),
///     period: "2019-11-01..2019-11-02".parse()?,
///     series: 1,
///     rows: 21,
///     windows: 21,
///     missing: vec![Gap { period: "2019-11-01..2019-11-01 03:00".parse()?, windows: 3 }],
/// };
/// assert_eq!(day.missing_windows(), 3);
/// # Ok::<(), funnelpulse_analytics::PeriodError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Series and period in words.
    pub name: String,
    /// The period asked for, or else from the first to the last row of the panel.
    pub period: Period,
    /// Number of series with data.
    pub series: usize,
    /// Number of rows with data.
    pub rows: usize,
    /// Number of windows (hours) in which any series has data.
    pub windows: usize,
    /// Stretches without data in any series, in order of time.
    pub missing: Vec<Gap>,
}

impl Group {
    /// Number of windows (hours) without data in any series.
    pub fn missing_windows(&self) -> u64 {
        self.missing.iter().map(|gap| gap.windows).sum()
    }
}

/// A stretch without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// From its first window to the end of its last.
    #[serde(flatten)]
    pub period: Period,
    /// Number of windows (hours).
    pub windows: u64,
}

/// The part of a series in a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contribution {
    /// The series.
    pub series: SeriesKey,
    /// Its change; `metric` is the measure.
    #[serde(flatten)]
    pub change: Change,
    /// The stage of the funnel that changed most in it, beyond its noise.
    pub stage: Option<Arc<str>>,
}

impl PanelComparison {
    /// The change of the mean per window (hour) with data, per cent: for sides of unequal length.
    ///
    /// ```
    /// use funnelpulse_analytics::{Selection, compare_panel};
    /// use funnelpulse_core::{Frame, Funnel, Panel, Timestamp};
    /// use funnelpulse_features::{MetricSpec, PanelSpec};
    /// use ndarray::Array2;
    ///
    /// let spec = PanelSpec { metrics: vec![MetricSpec::count("views")], ..PanelSpec::funnel() };
    /// let time: Vec<_> = (0..3).map(|hour| Timestamp::from_seconds(3600 * hour)).collect();
    /// let frame = Frame::new(time, spec.columns(), Array2::from_elem((3, 1), 10.0))?;
    /// let mut panel = Panel::new(spec.columns());
    /// panel.insert("shop-a", frame)?;
    /// let hours = |text: &str| -> Result<_, funnelpulse_analytics::PeriodError> {
    ///     Ok(Selection { period: Some(text.parse()?), ..Selection::default() })
    /// };
    /// let (one, two) =
    ///     (hours("1970-01-01..1970-01-01 01:00")?, hours("1970-01-01 01:00..1970-01-01 03:00")?);
    /// let found = compare_panel(&panel, &spec, &Funnel::default(), two, one)?;
    /// // Twice as many hours with as many views each.
    /// assert_eq!(found.totals[0].percentage(), Some(100.0));
    /// assert_eq!(found.percentage_per_window(&found.totals[0]), Some(0.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn percentage_per_window(&self, change: &Change) -> Option<f64> {
        let (before, after) = (change.before / self.before.windows as f64, change.after / self.after.windows as f64);
        Change { metric: change.metric.clone(), before, after }.percentage()
    }
}

/// Compares the rows of `after` with those of `before`: period against period, series against
/// series, or both at once. `spec` describes the columns, `funnel` names those that are its steps.
/// An error for a series that is not in the panel, for a side without rows, and for two equal
/// sides.
///
/// ```
/// use funnelpulse_analytics::{Selection, compare_panel};
/// use funnelpulse_core::Funnel;
/// use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
/// use funnelpulse_features::PanelSpec;
///
/// let config = GeneratorConfig { brands: 3, days: 14, ..Default::default() };
/// let shop = GeneratedFunnel::generate(&config)?;
/// let (first, last) = ("2019-10-01..2019-10-08".parse()?, "2019-10-08..2019-10-15".parse()?);
/// let side = |period| Selection { period: Some(period), ..Selection::default() };
/// let name = |name: &str| Some(name.to_owned());
/// let funnel = Funnel {
///     traffic: name("views"),
///     carts: name("carts"),
///     purchases: name("purchases"),
///     revenue: name("revenue"),
/// };
/// let spec = PanelSpec::funnel();
/// let weeks = compare_panel(shop.panel(), &spec, &funnel, side(last), side(first))?;
///
/// let revenue = weeks.totals.last().unwrap();
/// let parts: f64 = weeks.contributions.iter().map(|c| c.change.difference()).sum();
/// assert!((parts - revenue.difference()).abs() < 1e-6);
/// let stages: f64 = weeks.stages.unwrap().stages.iter().map(|s| s.contribution).sum();
/// assert!((stages - revenue.difference()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compare_panel(
    panel: &Panel,
    spec: &PanelSpec,
    funnel: &Funnel,
    after: Selection<'_>,
    before: Selection<'_>,
) -> Result<PanelComparison, CompareError> {
    if after == before {
        return Err(CompareError::Same { selection: after.in_words() });
    }
    for side in [&after, &before] {
        check_series(side.series, panel.keys())?;
    }
    let step = spec.step_seconds as i64 * Timestamp::SECOND;
    let (after_group, now) = collect(panel, &after, step)?;
    let (before_group, then) = collect(panel, &before, step)?;
    let columns = panel.columns();
    let nothing = vec![0.0; columns.len()];
    let (total_now, total_then) = (total(&now, columns.len()), total(&then, columns.len()));

    let change = |column: usize, then: &[f64], now: &[f64]| Change {
        metric: columns[column].clone(),
        before: then[column],
        after: now[column],
    };
    let totals = (0..columns.len()).map(|c| change(c, &total_then, &total_now)).collect();
    let rates = spec.metrics.iter().filter_map(|metric| {
        let MetricKind::Rate { numerator, denominator } = &metric.kind else { return None };
        let (above, below) = (columns.position(numerator)?, columns.position(denominator)?);
        let (before, after) = (total_then[above] / total_then[below], total_now[above] / total_now[below]);
        Some(Change { metric: metric.name.as_str().into(), before, after })
    });
    let funnel = steps(funnel, panel);
    let stages = |then: &[f64], now: &[f64]| -> Option<Decomposition> {
        let level = |(column, rate): &(usize, &'static str)| (&*columns[*column], *rate, then[*column], now[*column]);
        compare(&funnel.iter().map(level).collect::<Vec<_>>()).ok().map(|c| c.stages)
    };
    let measure = funnel.last().map_or(0, |(column, _)| *column);
    let names: BTreeSet<&SeriesKey> =
        if after.series == before.series { now.keys().chain(then.keys()).copied().collect() } else { BTreeSet::new() };
    let mut contributions: Vec<Contribution> = names
        .into_iter()
        .map(|series| {
            let (then, now) = (then.get(series).unwrap_or(&nothing), now.get(series).unwrap_or(&nothing));
            let stage = stages(then, now).and_then(|d| d.broken_stage().map(|s| s.name.clone()));
            Contribution { series: series.clone(), change: change(measure, then, now), stage }
        })
        .collect();
    // Stable: equal ones stay in order of their names.
    contributions.sort_by(|a, b| b.change.difference().abs().total_cmp(&a.change.difference().abs()));
    Ok(PanelComparison {
        after: after_group,
        before: before_group,
        totals,
        rates: rates.collect(),
        stages: stages(&total_then, &total_now),
        measure: columns[measure].clone(),
        contributions,
    })
}

/// Sums per series and column.
type Sums<'a> = BTreeMap<&'a SeriesKey, Vec<f64>>;

fn total(sums: &Sums<'_>, columns: usize) -> Vec<f64> {
    let mut total = vec![0.0; columns];
    for sums in sums.values() {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// The columns of the funnel and the rates to the step before.
fn steps(funnel: &Funnel, panel: &Panel) -> Vec<(usize, &'static str)> {
    let steps = funnel.steps().into_iter().zip(RATES);
    steps.filter_map(|(name, rate)| Some((panel.columns().position(name?)?, rate))).collect()
}

fn collect<'a>(panel: &'a Panel, side: &Selection<'_>, step: i64) -> Result<(Group, Sums<'a>), CompareError> {
    let range = range(panel);
    let none = || CompareError::NoRows { selection: side.in_words(), range };
    let (first, last) = range.ok_or_else(none)?;
    let period = side.period.map_or_else(|| Period::new(first, last.offset(step)), Ok).map_err(|_| none())?;
    let mut windows = BTreeSet::new();
    let mut sums = Sums::new();
    let mut rows = 0;
    for (key, frame) in panel.iter().filter(|(key, _)| side.has(key)) {
        let (sum, used) = sum_of(frame, &period, &mut windows);
        if used > 0 {
            rows += used;
            sums.insert(key, sum);
        }
    }
    if rows == 0 {
        return Err(none());
    }
    let missing = gaps(&period, &windows, step);
    let group = Group { name: side.in_words(), period, series: sums.len(), rows, windows: windows.len(), missing };
    Ok((group, sums))
}

/// The sums of the rows of a period, and how many of them have data.
fn sum_of(frame: &Frame, period: &Period, windows: &mut BTreeSet<Timestamp>) -> (Vec<f64>, usize) {
    let first = frame.time().partition_point(|t| *t < period.start());
    let last = frame.time().partition_point(|t| *t < period.end());
    let mut sums = vec![0.0; frame.ncols()];
    let mut used = 0;
    for row in first..last {
        let values = frame.values();
        let values = values.row(row);
        if values.iter().all(|v| v.is_nan()) {
            continue;
        }
        used += 1;
        windows.insert(frame.time()[row]);
        sums.iter_mut().zip(values).filter(|(_, v)| !v.is_nan()).for_each(|(sum, v)| *sum += v);
    }
    (sums, used)
}

/// Stretches of a period without any of `windows`, of which there is at least one. Windows lie on
/// the grid that their first one is on.
fn gaps(period: &Period, windows: &BTreeSet<Timestamp>, step: i64) -> Vec<Gap> {
    let Some(first) = windows.first().copied() else { return Vec::new() };
    // The first window of the grid that starts in the period.
    let lead = (first.as_micros().saturating_sub(period.start().as_micros())) / step;
    let mut next = first.offset(-(lead.saturating_mul(step)));
    let mut gaps = Vec::new();
    let mut add = |from: Timestamp, to: Timestamp| {
        let length = to.as_micros().saturating_sub(from.as_micros());
        let windows = u64::try_from(length / step + i64::from(length % step > 0)).unwrap_or(0);
        if let Ok(period) = Period::new(from, from.offset((windows as i64).saturating_mul(step))) {
            gaps.push(Gap { period, windows });
        }
    };
    for window in windows {
        if *window > next {
            add(next, *window);
        }
        next = window.offset(step);
    }
    if next < period.end() {
        add(next, period.end());
    }
    gaps
}
