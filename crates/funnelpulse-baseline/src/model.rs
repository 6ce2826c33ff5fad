//! The fitted z-score.

use std::sync::Arc;

use funnelpulse_core::{
    Columns, Detection, Error, FittedDetector, FrameView, OnlineDetector, PersistentModel, Timestamp,
};
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::{
    KIND, Scale, Season, ZScoreConfig,
    clock::Clock,
    scale::Unit,
    sorted::{SortedColumn, nth_of_ascending},
    spread::{Prediction, Spread},
};

/// Fewer observations than this don't make a season's own mean.
const MIN_PER_BIN: u64 = 3;
/// Half-width of the reported interval, standard deviations.
const INTERVAL: f64 = 3.0;
/// The share of the history beyond which a side of a column counts as its tail, and where that
/// tail starts in a normal distribution, in standard deviations.
const TAIL: (f64, f64) = (0.01, 2.326);

/// A fitted [`ZScore`](crate::ZScore).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ZScoreModel {
    columns: Columns,
    clock: Clock,
    robust: bool,
    updates_like_refit: bool,
    /// The scale of each column.
    units: Vec<Unit>,
    /// Per column, what a z-score below and above zero counts for: less than one where that side of
    /// the history has a heavier tail than a normal distribution.
    tempers: Vec<[f64; 2]>,
    /// Per column: one per bin, then one of all rows.
    spreads: Vec<Spread>,
    /// Per column, the deviation that all bins have in common.
    #[serde(skip_serializing)]
    commons: Vec<f64>,
}

#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    clock: Clock,
    robust: bool,
    updates_like_refit: bool,
    units: Vec<Unit>,
    tempers: Vec<[f64; 2]>,
    spreads: Vec<Spread>,
}

impl TryFrom<Unchecked> for ZScoreModel {
    type Error = &'static str;

    fn try_from(u: Unchecked) -> Result<Self, Self::Error> {
        let n = u.columns.len();
        if u.units.len() != n || u.tempers.len() != n || u.spreads.len() != n * (u.clock.bins() + 1) {
            return Err("a z-score model has a scale per column and a mean per column and bin");
        }
        if !u.spreads.iter().all(Spread::is_valid) || !u.units.iter().all(Unit::is_valid) {
            return Err("means are finite, deviations finite and not negative, units positive");
        }
        if !u.tempers.iter().flatten().all(|t| *t > 0.0 && *t <= 1.0) {
            return Err("z-scores count for something, and at most in full");
        }
        let mut model = Self {
            columns: u.columns,
            clock: u.clock,
            robust: u.robust,
            updates_like_refit: u.updates_like_refit,
            units: u.units,
            tempers: u.tempers,
            spreads: u.spreads,
            commons: Vec::new(),
        };
        model.set_commons();
        Ok(model)
    }
}

/// The rows of a frame.
pub(crate) type Part<'a> = (&'a [Timestamp], ArrayView2<'a, f64>);

/// The columns of a history in ascending order.
#[derive(Debug)]
pub(crate) struct SortedHistory {
    clock: Clock,
    columns: Vec<SortedColumn>,
}

impl SortedHistory {
    /// Sorts the rows of some frames; `part` says which part of the history a row belongs to.
    pub(crate) fn new(clock: Clock, frames: &[Part<'_>], part: impl Fn(usize) -> u32) -> Self {
        let bins: Vec<Vec<usize>> = frames.iter().map(|(time, _)| clock.bins_of(time)).collect();
        let column = |column: usize| {
            let rows = bins.iter().zip(frames).map(|(bins, (_, values))| (bins.as_slice(), values.column(column)));
            SortedColumn::new(clock.bins(), rows, &part)
        };
        let width = frames.first().map_or(0, |(_, values)| values.ncols());
        let columns = (0..width).map(column).collect();
        Self { clock, columns }
    }

    /// The same without the rows of a part.
    pub(crate) fn without(&self, part: u32) -> Self {
        Self { clock: self.clock.clone(), columns: self.columns.iter().map(|c| c.without(part)).collect() }
    }
}

impl ZScoreModel {
    fn empty(config: &ZScoreConfig, clock: Clock, columns: Columns, units: Vec<Unit>) -> Self {
        Self {
            robust: config.robust,
            updates_like_refit: config.season != Season::Auto && config.scale != Scale::Log,
            units,
            tempers: vec![[1.0; 2]; columns.len()],
            spreads: Vec::with_capacity(columns.len() * (clock.bins() + 1)),
            commons: Vec::new(),
            columns,
            clock,
        }
    }

    /// Medians and median absolute deviations.
    pub(crate) fn learn_robust(config: &ZScoreConfig, columns: Columns, history: &SortedHistory) -> Self {
        let units = history.columns.iter().map(|c| Unit::choose(config, c.all())).collect();
        let mut model = Self::empty(config, history.clock.clone(), columns, units);
        for (column, unit) in history.columns.iter().zip(&model.units) {
            model.spreads.extend(column.bins().map(|bin| Spread::robust(bin, *unit)));
            model.spreads.push(Spread::robust(column.all(), *unit));
        }
        model.set_commons();
        model.temper(history);
        model
    }

    /// Means and standard deviations.
    pub(crate) fn learn_plain(config: &ZScoreConfig, clock: Clock, columns: Columns, parts: &[Part<'_>]) -> Self {
        let unit = |column| {
            let values = parts.iter().flat_map(|(_, part)| part.column(column)).copied();
            let mut known: Vec<f64> = values.filter(|v| !v.is_nan()).collect();
            known.sort_unstable_by(f64::total_cmp);
            Unit::choose(config, &known)
        };
        let units = (0..columns.len()).map(unit).collect();
        let mut model = Self::empty(config, clock, columns, units);
        model.spreads.resize(model.columns.len() * (model.clock.bins() + 1), Spread::default());
        for (time, part) in parts {
            model.learn(time, *part);
        }
        model.set_commons();
        model
    }

    /// The season it found, never [`Season::Auto`].
    pub fn season(&self) -> Season {
        self.clock.season()
    }

    /// Signed z-scores, a row per row of `frame` and a column per column of the model; NaN where
    /// the value is missing.
    pub fn residuals(&self, frame: FrameView<'_>) -> Result<Array2<f64>, Error> {
        Ok(self.standardize(frame.time(), frame.aligned(&self.columns)?.into_owned()))
    }

    fn standardize(&self, time: &[Timestamp], mut values: Array2<f64>) -> Array2<f64> {
        let bins = self.clock.bins_of(time);
        for (column, predictions) in self.predictions_in(&bins).enumerate() {
            let unit = self.units[column];
            for (value, &bin) in values.column_mut(column).iter_mut().zip(&bins) {
                let prediction = predictions[bin].as_ref();
                *value = prediction.map_or(f64::NAN, |p| p.z(unit.transform(*value)));
            }
        }
        values
    }

    /// Weighs the sides of each column by their tails in the history, so that a column that bursts
    /// now and then does not drown the one that never did.
    fn temper(&mut self, history: &SortedHistory) {
        let tempers: Vec<[f64; 2]> = self
            .predictions()
            .zip(&history.columns)
            .zip(&self.units)
            .map(|((predictions, column), unit)| {
                let Some(last) = column.all().len().checked_sub(1) else { return [1.0; 2] };
                // A z-score rises with the value within a bin.
                let bins: Vec<&[f64]> = column.bins().collect();
                let z = |bin: usize, place: usize| predictions[bin].z(unit.transform(bins[bin][place]));
                let len = |bin: usize| bins[bin].len();
                let tail = (TAIL.0 * last as f64).round() as usize;
                let below = nth_of_ascending(bins.len(), tail, len, z).map(|z| -z);
                let above = nth_of_ascending(bins.len(), tail, len, |bin, i| -z(bin, len(bin) - 1 - i)).map(|z| -z);
                let weight = |start: f64| (TAIL.1 / start.max(TAIL.1)).max(f64::MIN_POSITIVE);
                [below, above].map(|start| start.map_or(1.0, weight))
            })
            .collect();
        self.tempers = tempers;
    }

    /// Per column, what each bin expects.
    fn predictions(&self) -> impl Iterator<Item = Vec<Prediction>> + '_ {
        self.predictors().map(|predict| (0..self.clock.bins()).map(predict).collect())
    }

    /// What all bins of each column have in common, after their spreads have changed.
    fn set_commons(&mut self) {
        let bins = self.clock.bins();
        let common = |spreads: &[Spread]| {
            let known = || spreads[..bins].iter().filter(|s| s.count() >= MIN_PER_BIN);
            let observations: u64 = known().map(Spread::count).sum();
            let share = |s: &Spread| s.deviation() * (s.count() as f64 / observations as f64).sqrt();
            known().fold(0.0, |sum: f64, s| sum.hypot(share(s)))
        };
        self.commons = self.spreads.chunks_exact(bins + 1).map(common).collect();
    }

    /// Per column, what a bin expects.
    fn predictors(&self) -> impl Iterator<Item = impl Fn(usize) -> Prediction + '_> + '_ {
        let bins = self.clock.bins();
        self.spreads.chunks_exact(bins + 1).zip(&self.commons).map(move |(spreads, &common)| {
            let (all, own) = (spreads[bins], &spreads[..bins]);
            move |bin: usize| {
                let own = own[bin];
                if own.count() >= MIN_PER_BIN { own.predict(common) } else { all.predict(all.deviation()) }
            }
        })
    }

    /// Per column, what these bins expect; nothing in others.
    fn predictions_in(&self, bins: &[usize]) -> impl Iterator<Item = Vec<Option<Prediction>>> + '_ {
        let mut wanted = vec![false; self.clock.bins()];
        for &bin in bins {
            wanted[bin] = true;
        }
        self.predictors()
            .map(move |predict| wanted.iter().enumerate().map(|(bin, wanted)| wanted.then(|| predict(bin))).collect())
    }

    fn learn(&mut self, time: &[Timestamp], values: ArrayView2<'_, f64>) {
        let bins = self.clock.bins();
        for (bin, row) in self.clock.bins_of(time).into_iter().zip(values.rows()) {
            for (column, &value) in row.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                let transformed = self.units[column].transform(value);
                let spreads = &mut self.spreads[column * (bins + 1)..];
                spreads[bin].push(value, transformed);
                spreads[bins].push(value, transformed);
            }
        }
    }

    /// The weighed z-scores of every row, and the raw score: the highest of them.
    fn weighed(&self, frame: FrameView<'_>) -> Result<(Array2<f64>, Array1<f64>), Error> {
        let mut z = self.residuals(frame)?;
        for (mut column, [below, above]) in z.columns_mut().into_iter().zip(&self.tempers) {
            column.mapv_inplace(|z| if z < 0.0 { -z * below } else { z * above });
        }
        let score = z.rows().into_iter().map(|row| row.iter().copied().fold(f64::NAN, f64::max)).collect();
        Ok((z, score))
    }

    /// The raw score of every row.
    pub(crate) fn scores(&self, frame: FrameView<'_>) -> Result<Array1<f64>, Error> {
        Ok(self.weighed(frame)?.1)
    }
}

impl FittedDetector for ZScoreModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        let (contributions, score) = self.weighed(frame)?;
        let shape = contributions.dim();
        let [mut expected, mut lower, mut upper] = [0; 3].map(|_| Array2::zeros(shape));
        let bins = self.clock.bins_of(frame.time());
        for (column, predictions) in self.predictions_in(&bins).enumerate() {
            let unit = self.units[column];
            let band = |p: &Prediction| {
                let reach = INTERVAL * p.deviation;
                let (low, high) = (unit.invert(p.center - reach), unit.invert(p.center + reach));
                [p.level, low.min(p.level), high.max(p.level)]
            };
            let bands: Vec<Option<[f64; 3]>> = predictions.iter().map(|p| p.as_ref().map(band)).collect();
            for (row, &bin) in bins.iter().enumerate() {
                let at = [row, column];
                [expected[at], lower[at], upper[at]] = bands[bin].unwrap_or([f64::NAN; 3]);
            }
        }
        Ok(Detection::new(score)
            .with_expected(expected)
            .with_interval(lower, upper)
            .with_contributions(contributions.mapv_into(|z| if z.is_nan() { 0.0 } else { z })))
    }

    fn as_online(&mut self) -> Option<&mut dyn OnlineDetector> {
        if self.robust { None } else { Some(self) }
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl OnlineDetector for ZScoreModel {
    fn update(&mut self, rows: FrameView<'_>) -> Result<(), Error> {
        let values = rows.aligned(&self.columns)?;
        self.learn(rows.time(), values.view());
        self.set_commons();
        Ok(())
    }

    /// So it is, but for [`Season::Auto`] and [`Scale::Log`]: season and scale stay what the
    /// first fit found.
    fn update_equals_refit(&self) -> bool {
        self.updates_like_refit
    }
}

impl PersistentModel for ZScoreModel {
    const KIND: &'static str = KIND;
}
