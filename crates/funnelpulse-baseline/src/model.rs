//! The fitted z-score.

use std::sync::Arc;

use funnelpulse_core::{
    Columns, Detection, Error, FittedDetector, FrameView, ModelError, ModelInfo, OnlineDetector, PersistentModel,
    Timestamp, Writer, decode_payload, writer,
};
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    KIND, Scale, Season, ZScoreConfig,
    calendar::{Calendar, Mark},
    clock::{Clock, Stored},
    effects::{self, Column, Effect},
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
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
    commons: Vec<f64>,
    calendar: Calendar,
    /// Per column, the effect of each name of the calendar.
    effects: Vec<Effect>,
}

/// A model in a file.
#[derive(Serialize)]
struct Saved<'a> {
    columns: &'a Columns,
    clock: Stored,
    robust: bool,
    updates_like_refit: bool,
    units: &'a [Unit],
    tempers: &'a [[f64; 2]],
    spreads: &'a [Spread],
}

impl Serialize for ZScoreModel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let saved = Saved {
            columns: &self.columns,
            clock: Stored::new(&self.clock, &self.calendar, &self.effects),
            robust: self.robust,
            updates_like_refit: self.updates_like_refit,
            units: &self.units,
            tempers: &self.tempers,
            spreads: &self.spreads,
        };
        saved.serialize(serializer)
    }
}

#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    clock: Stored,
    robust: bool,
    updates_like_refit: bool,
    units: Vec<Unit>,
    tempers: Vec<[f64; 2]>,
    spreads: Vec<Spread>,
}

impl TryFrom<Unchecked> for ZScoreModel {
    type Error = String;

    fn try_from(u: Unchecked) -> Result<Self, String> {
        let (clock, calendar, effects) = u.clock.open().map_err(|e| e.to_string())?;
        let n = u.columns.len();
        if u.units.len() != n || u.tempers.len() != n || u.spreads.len() != n * (clock.bins() + 1) {
            return Err("a z-score model has a scale per column and a mean per column and bin".to_owned());
        }
        if effects.len() != n * calendar.names().len() || !effects.iter().all(Effect::is_valid) {
            return Err("a calendar has a finite effect per column and name".to_owned());
        }
        if !u.spreads.iter().all(Spread::is_valid) || !u.units.iter().all(Unit::is_valid) {
            return Err("means are finite, deviations finite and not negative, units positive".to_owned());
        }
        if !u.tempers.iter().flatten().all(|t| *t > 0.0 && *t <= 1.0) {
            return Err("z-scores count for something, and at most in full".to_owned());
        }
        let mut model = Self {
            columns: u.columns,
            clock,
            robust: u.robust,
            updates_like_refit: u.updates_like_refit,
            units: u.units,
            tempers: u.tempers,
            spreads: u.spreads,
            commons: Vec::new(),
            calendar,
            effects,
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
            updates_like_refit: config.season != Season::Auto
                && config.scale != Scale::Log
                && config.calendar.is_empty(),
            units,
            tempers: vec![[1.0; 2]; columns.len()],
            spreads: Vec::with_capacity(columns.len() * (clock.bins() + 1)),
            commons: Vec::new(),
            columns,
            clock,
            calendar: Calendar::default(),
            effects: Vec::new(),
        }
    }

    /// Learns what the entries of a calendar do to the rows of some frames, against what the model expects without
    /// them.
    pub(crate) fn learn_effects(&mut self, calendar: Calendar, parts: &[Part<'_>]) {
        if calendar.is_empty() {
            return;
        }
        let marks: Vec<Vec<Vec<Mark>>> = parts.iter().map(|(time, _)| calendar.marks_of(time)).collect();
        let bins: Vec<Vec<usize>> = parts.iter().map(|(time, _)| self.clock.bins_of(time)).collect();
        let mut learnt = Vec::with_capacity(self.columns.len() * calendar.names().len());
        for (column, predictions) in self.predictions().enumerate() {
            let mut rows = Vec::new();
            for (part, (_, values)) in parts.iter().enumerate() {
                for (row, &value) in values.column(column).iter().enumerate() {
                    let marks = &marks[part][row][..];
                    if !marks.is_empty() && !value.is_nan() {
                        rows.push(effects::Row { marks, value, ordinary: predictions[bins[part][row]] });
                    }
                }
            }
            learnt.extend(effects::learn(self.column(column), calendar.names(), &rows, self.robust));
        }
        (self.calendar, self.effects) = (calendar, learnt);
    }

    fn column(&self, column: usize) -> Column {
        let all = self.spreads[(column + 1) * (self.clock.bins() + 1) - 1];
        Column { unit: self.units[column], deviation: all.deviation() }
    }

    /// What is expected of a row of entries, given what is expected without them.
    fn with_entries(&self, column: usize, marks: &[Mark], ordinary: Prediction) -> Prediction {
        if marks.is_empty() {
            return ordinary;
        }
        let effects = &self.effects[column * self.calendar.names().len()..];
        let effect = marks.iter().map(|mark| effects[mark.name]).reduce(Effect::and);
        effect.map_or(ordinary, |effect| self.column(column).expect(ordinary, effect))
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
        let (bins, marks) = (self.clock.bins_of(time), self.calendar.marks_of(time));
        for (column, predictions) in self.predictions_in(&bins).enumerate() {
            let unit = self.units[column];
            for (row, (value, &bin)) in values.column_mut(column).iter_mut().zip(&bins).enumerate() {
                let marks = marks.get(row).map_or(&[][..], Vec::as_slice);
                let prediction = predictions[bin].map(|ordinary| self.with_entries(column, marks, ordinary));
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

    /// Takes in rows that lie in no entry of the calendar.
    fn learn(&mut self, time: &[Timestamp], values: ArrayView2<'_, f64>) {
        let bins = self.clock.bins();
        let marks = self.calendar.marks_of(time);
        for (row, (bin, values)) in self.clock.bins_of(time).into_iter().zip(values.rows()).enumerate() {
            if marks.get(row).is_some_and(|marks| !marks.is_empty()) {
                continue;
            }
            for (column, &value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
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

    fn writer(&self) -> Writer {
        writer!(Self)
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        let (contributions, score) = self.weighed(frame)?;
        let shape = contributions.dim();
        let [mut expected, mut lower, mut upper] = [0; 3].map(|_| Array2::zeros(shape));
        let (bins, marks) = (self.clock.bins_of(frame.time()), self.calendar.marks_of(frame.time()));
        for (column, predictions) in self.predictions_in(&bins).enumerate() {
            let unit = self.units[column];
            let band = |p: &Prediction| {
                let reach = INTERVAL * p.deviation;
                let (low, high) = (unit.invert(p.center - reach), unit.invert(p.center + reach));
                [p.level, low.min(p.level), high.max(p.level)]
            };
            let bands: Vec<Option<[f64; 3]>> = predictions.iter().map(|p| p.as_ref().map(band)).collect();
            for (row, &bin) in bins.iter().enumerate() {
                let of_entries = match (marks.get(row), predictions[bin]) {
                    (Some(marks), Some(ordinary)) if !marks.is_empty() => {
                        Some(band(&self.with_entries(column, marks, ordinary)))
                    }
                    _ => bands[bin],
                };
                let at = [row, column];
                [expected[at], lower[at], upper[at]] = of_entries.unwrap_or([f64::NAN; 3]);
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

    /// So it is, but for [`Season::Auto`], [`Scale::Log`] and calendars: season, scale and effects of entries stay
    /// what the first fit found, and rows of entries are passed over.
    fn update_equals_refit(&self) -> bool {
        self.updates_like_refit
    }
}

impl PersistentModel for ZScoreModel {
    const KIND: &'static str = KIND;
    /// 2: calendars.
    const VERSION: u16 = 2;

    /// Version 1 is a version 2 without a calendar.
    fn migrate(info: &ModelInfo, payload: &[u8]) -> Result<Self, ModelError> {
        decode_payload(info, payload)
    }
}
