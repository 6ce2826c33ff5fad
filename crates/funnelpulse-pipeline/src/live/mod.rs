//! A trained pipeline that follows a site window by window.
//!
//! It has neither input nor output nor a clock: time is that of the rows. Verdicts equal those of the
//! batch. The verdict on the newest row is that of [`FittedPipeline::detect`] on all rows so far; a final
//! verdict is that of `detect` on the whole table.

mod advance;
mod early;
mod incidents;
mod kept;
mod packed;
mod scoring;
mod series;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use funnelpulse_analytics::{Findings, SeriesFailure, SeriesFindings};
use funnelpulse_core::{
    AnomalyType, Context, Funnel, Memory, ModelSource, Panel, SeriesKey, Severity, Timestamp, counted,
};

pub use self::advance::{Advance, IncidentChange, LiveIncident, LiveRow};
use self::{
    incidents::Incidents,
    series::{Emitted, LiveSeries},
    state::ModelId,
};
use crate::{FittedPipeline, PipelineError, pipeline::context_of};

/// Rows are kept for this long after they are final, so that incidents are seen whole: few last
/// longer than five days.
const MEMORY: i64 = 5 * Timestamp::DAY;
/// Rows of a series that is longer than any detector looks back: a year of hours.
const LONGEST: usize = 8784;
/// Bytes per row that the incident detector keeps of what it found, for both of its looks.
const BYTES_PER_FOUND: usize = 64;
/// A series without rows for this long is forgotten: four weeks.
const EXPIRE_AFTER: i64 = 28 * Timestamp::DAY;

/// A [`FittedPipeline`] that follows a site: closed windows of all series in, verdicts out.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
/// # use shop::{pipeline, shop};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use funnelpulse_core::Panel;
///
/// let model = pipeline()?.fit(&shop(96))?;
/// let mut live = model.live();
/// for hour in 96..120 {
///     let mut window = Panel::new(shop(1).columns().clone());
///     for (key, frame) in shop(120).iter() {
///         window.insert(key.clone(), frame.view().rows(hour..hour + 1).to_frame())?;
///     }
///     for opened in live.advance(&window)?.incidents {
///         println!("{}", opened.incident.summary);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LivePipeline {
    model: Arc<FittedPipeline>,
    reach: Reach,
    expire_after: i64,
    /// Rows are kept for at least this long, microseconds.
    history: i64,
    series: BTreeMap<SeriesKey, LiveSeries>,
    incidents: Incidents,
    /// What each member keeps from one window to the next.
    memories: Vec<Memory>,
    now: Option<Timestamp>,
    /// That of the model, once it was asked for: a model takes a moment to write.
    id: OnceLock<ModelId>,
}

/// How far the members of a pipeline look.
#[derive(Clone, Copy, Debug)]
struct Reach {
    /// Rows after a row that may revise it.
    horizon: Context,
    /// Rows before a row that any member looks back to.
    context: Context,
    /// Those that members without a horizon look back to.
    narrow: Context,
    /// Those of which they see residuals or engineered columns.
    derived: Context,
}

impl Reach {
    fn of(model: &FittedPipeline) -> Self {
        let plan = &*model.plan;
        let members = plan.members.iter().zip(&model.models);
        let models = members.filter_map(|(member, model)| Some((member, model.as_ref()?)));
        let (mut horizon, mut derived) = (Context::NONE, Context::NONE);
        let mut narrow = plan.matrix.context(Context::NONE, plan.matrix.metric_names());
        for (member, model) in models {
            horizon = horizon.union(model.horizon());
            if model.horizon().is_none() {
                let context = plan.matrix.context(model.context(), &member.columns);
                narrow = narrow.union(context);
                if member.columns.iter().any(|column| plan.matrix.is_derived(column)) {
                    derived = derived.union(context);
                }
            }
        }
        // Flags are compared with those of the rows around them.
        let horizon = horizon.with_rows(plan.config.ensemble.peak_rows);
        Self { horizon, context: context_of(plan, &model.models).union(narrow), narrow, derived }
    }
}

impl FittedPipeline {
    /// The pipeline as it follows its site from the end of its training on.
    pub fn live(&self) -> LivePipeline {
        LivePipeline::new(Arc::new(self.clone()))
    }

    /// The funnel that a detector looks at.
    pub(crate) fn funnel(&self) -> Option<&Funnel> {
        self.models.iter().flatten().find_map(|model| model.funnel())
    }
}

impl LivePipeline {
    /// Follows a site by `model`.
    pub fn new(model: Arc<FittedPipeline>) -> Self {
        Self {
            reach: Reach::of(&model),
            memories: vec![Memory::default(); model.models.len()],
            model,
            expire_after: EXPIRE_AFTER,
            history: 0,
            series: BTreeMap::new(),
            incidents: Incidents::default(),
            now: None,
            id: OnceLock::new(),
        }
    }

    /// Forgets a series that had no rows for this long, microseconds; by default four weeks. When
    /// it comes back, it starts from its training.
    pub fn with_expiry(mut self, micros: i64) -> Self {
        self.expire_after = micros.max(Timestamp::HOUR);
        self
    }

    /// Keeps the rows of each series for at least this long, microseconds, so that a new model can be trained on
    /// [`history`](Self::history). By default as long as a detector looks back.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use funnelpulse_core::{Panel, Timestamp};
    ///
    /// let mut live = pipeline()?.fit(&shop(96))?.live().with_history(30 * Timestamp::DAY);
    /// let mut later = Panel::new(shop(1).columns().clone());
    /// for (key, frame) in shop(196).iter() {
    ///     later.insert(key.clone(), frame.view().rows(96..196).to_frame())?;
    /// }
    /// live.advance(&later)?;
    /// let newer = pipeline()?.fit(&live.history())?;
    /// assert!(newer.series().all(|series| series.rows >= 100));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_history(mut self, micros: i64) -> Self {
        self.history = micros.max(0);
        self
    }

    /// The rows that are kept: those since the start, before them as many of the training as detectors look back to,
    /// and of all these no more than the longer of [`with_history`](Self::with_history) and what a detector looks
    /// back.
    pub fn history(&self) -> Panel {
        let mut panel = Panel::new(self.model.plan.matrix.inputs().clone());
        for (key, series) in &self.series {
            panel.insert(key.clone(), series.inputs.clone()).expect("each series once, with the input columns");
        }
        panel
    }

    /// The model that scores.
    pub fn model(&self) -> &FittedPipeline {
        &self.model
    }

    /// Time of the newest row; `None` before the first.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The series that are followed.
    pub fn series(&self) -> impl ExactSizeIterator<Item = &SeriesKey> {
        self.series.keys()
    }

    /// Bytes of memory that one series takes once it is followed for as long as its detectors look back: rows of the
    /// look-back, scores of the rows that are kept, and windows of the incident detector. An estimate, by the sizes of
    /// what is held.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let live = pipeline()?.fit(&shop(96))?.live();
    /// assert!((1_000..1_000_000).contains(&live.bytes_per_series()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn bytes_per_series(&self) -> usize {
        // As many hourly rows as a look back from the end of a long series holds.
        let step = self.model.plan.config.input.step_seconds as i64 * Timestamp::SECOND;
        let time: Vec<Timestamp> = (0..LONGEST).map(|row| Timestamp::from_micros(row as i64 * step)).collect();
        let looked_back = LONGEST - self.kept_before().first_row(&time, LONGEST - 1);
        let kept = LONGEST - self.reach.horizon.settled(&time, time[LONGEST - 1].offset(-MEMORY));
        let (inputs, metrics) = (self.model.plan.matrix.inputs().len(), self.model.plan.matrix.metric_names().len());
        let members = self.model.plan.members.len();
        let number = size_of::<f64>();
        let row = number * (inputs + 1);
        // Scores, expected values and contributions of each detector; five values per metric of the baseline.
        let scored = number * (members * (2 + metrics) + 5 * metrics + 2) + size_of::<Emitted>();
        (looked_back + kept) * (row + BYTES_PER_FOUND) + kept * scored
    }

    /// Scores the rows of all series that follow those seen so far: one window or several. Series
    /// without a row in it may be missing.
    ///
    /// An error, and nothing is changed, if the panel lacks a stored metric or a series has rows
    /// that are not later than its last one. A series that can't be scored is reported in
    /// [`Findings::failures`]; the others go on.
    pub fn advance(&mut self, window: &Panel) -> Result<Advance, PipelineError> {
        // All of it in the thread pool: a window has hundreds of small parallel loops, and each would switch threads to
        // enter the pool.
        rayon::scope(|_| self.advance_here(window))
    }

    fn advance_here(&mut self, window: &Panel) -> Result<Advance, PipelineError> {
        self.check(window)?;
        let mut failures = Vec::new();
        let mut waiting = Vec::new();
        let new = self.take(window, &mut failures, &mut waiting);
        self.score_new(new, &mut failures);
        let newest = window.iter().filter_map(|(_, frame)| frame.time().last()).max().copied();
        self.now = self.now.max(newest);
        let now = self.now.unwrap_or_default();
        self.expire(now);
        let (series, site) = self.conclude(&mut failures);
        Ok(self.report(now, series, &site, failures, waiting))
    }

    /// Goes on with another model, between two windows. Rows that can still change are judged by
    /// the new one from the next window on; series that it does not know are scored by their
    /// baseline.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/shop.rs"));
    /// # use shop::{pipeline, shop};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut live = pipeline()?.fit(&shop(60))?.live();
    /// live.swap(pipeline()?.fit(&shop(96))?)?;
    /// assert_eq!(live.model().series().next().unwrap().rows, 96);
    /// # Ok(())
    /// # }
    /// ```
    pub fn swap(&mut self, model: impl Into<Arc<FittedPipeline>>) -> Result<(), PipelineError> {
        let model = model.into();
        let inputs = model.plan.matrix.inputs();
        if inputs != self.model.plan.matrix.inputs() {
            let (has, needs) = (self.model.plan.matrix.inputs().joined(), inputs.joined());
            return Err(PipelineError::OtherInputs { has, needs });
        }
        let states = self.series.iter().map(|(key, series)| state::SavedSeries::of(key, series)).collect::<Vec<_>>();
        let names = self.incidents.names();
        let fresh = Self::new(model).with_expiry(self.expire_after).with_history(self.history);
        *self = fresh.resumed(self.now, states, &names, true)?;
        Ok(())
    }

    fn check(&self, window: &Panel) -> Result<(), PipelineError> {
        for column in self.model.plan.matrix.inputs().iter() {
            window.columns().require(column)?;
        }
        for (key, frame) in window {
            let last =
                self.series.get(key).filter(|s| !s.kept.time.is_empty() || !s.is_known).and_then(LiveSeries::last);
            if let (Some(last), Some(first)) = (last, frame.time().first().copied())
                && first <= last
            {
                return Err(PipelineError::NotLater { series: key.clone(), first, last });
            }
        }
        Ok(())
    }

    /// Takes the rows of a window. Returns the number of rows to be scored per series.
    fn take(
        &mut self,
        window: &Panel,
        failures: &mut Vec<SeriesFailure>,
        waiting: &mut Vec<(SeriesKey, String)>,
    ) -> Vec<(SeriesKey, usize)> {
        let model = &self.model;
        let plan = &*model.plan;
        let kept_before = self.kept_before();
        let mut new = Vec::new();
        for (key, frame) in window.iter().filter(|(_, frame)| frame.nrows() > 0) {
            let fresh = || LiveSeries::new(model, key, model.series.get(key));
            let series = self.series.entry(key.clone()).or_insert_with(fresh);
            let before = series.rows;
            let taken = frame.view().select(plan.matrix.inputs()).map_err(PipelineError::from);
            let learnt = taken.and_then(|rows| series.take(rows.view())).and_then(|()| series.learn(plan, before));
            match learnt {
                Ok(true) => new.push((key.clone(), frame.nrows())),
                Ok(false) => {
                    let (has, needs) = (counted(series.rows, "row", "rows"), plan.config.pipeline.min_fallback_rows);
                    waiting.push((key.clone(), format!("a new series: {has} with data, {needs} are needed")));
                }
                Err(error) => failures.push(SeriesFailure { series: key.clone(), message: error.to_string() }),
            }
            if series.baseline.is_none() {
                let first = kept_before.first_row(series.inputs.time(), series.inputs.nrows());
                series.inputs = series.inputs.view().rows(first..series.inputs.nrows()).to_frame();
            }
        }
        new
    }

    /// The rows before the kept ones that are not forgotten.
    fn kept_before(&self) -> Context {
        self.reach.context.union(Context::span(self.history))
    }

    fn expire(&mut self, now: Timestamp) {
        let since = now.offset(-self.expire_after);
        self.series.retain(|_, series| series.last().is_some_and(|last| last >= since));
    }

    fn findings(
        &self,
        series: Vec<SeriesFindings>,
        site: &[funnelpulse_core::Episode],
        failures: Vec<SeriesFailure>,
    ) -> Findings {
        let model = &*self.model;
        let fell_back = series.iter().flat_map(|s| &s.models).any(|m| m.source == ModelSource::Fallback);
        let layout = model.plan.layout(model.funnel().cloned(), fell_back, model.threshold());
        Findings::new(layout, series, site, failures)
    }

    /// Says what is new, and forgets what is final and old.
    fn report(
        &mut self,
        now: Timestamp,
        series: Vec<SeriesFindings>,
        site: &[funnelpulse_core::Episode],
        failures: Vec<SeriesFailure>,
        waiting: Vec<(SeriesKey, String)>,
    ) -> Advance {
        let findings = self.findings(series, site, failures);
        let mut rows = Vec::new();
        for (index, found) in findings.series().iter().enumerate() {
            let Some(series) = self.series.get_mut(&found.series) else { continue };
            let settled = self.reach.horizon.settled(&found.time, now);
            rows.extend(news(index, found, settled, &mut series.emitted));
        }
        let kept_since = self.series.values().filter_map(|s| s.kept.time.first()).min().copied().unwrap_or(now);
        let incidents = self.incidents.update(&findings, kept_since);
        let (cutoff, kept_before) = (now.offset(-MEMORY), self.kept_before());
        for found in findings.series() {
            let Some(series) = self.series.get_mut(&found.series) else { continue };
            let old = self.reach.horizon.settled(&found.time, cutoff).min(found.time.partition_point(|t| *t <= cutoff));
            let old = old.saturating_sub(self.model.plan.config.ensemble.peak_rows);
            series.trim(found, old, kept_before);
        }
        Advance { now, findings, rows, incidents, waiting }
    }
}

/// The rows of a series whose verdict is new.
fn news(index: usize, found: &SeriesFindings, settled: usize, emitted: &mut [Emitted]) -> Vec<LiveRow> {
    let mut flags: Vec<Option<(Severity, AnomalyType)>> = vec![None; found.time.len()];
    for anomaly in &found.anomalies {
        flags[anomaly.row] = Some((anomaly.severity, anomaly.anomaly_type));
    }
    let mut rows = Vec::new();
    for (row, (emitted, flag)) in emitted.iter_mut().zip(flags).enumerate() {
        let is_final = row < settled;
        let is_new = emitted.times == 0 || !emitted.is_final && (emitted.flag != flag || is_final);
        if is_new {
            rows.push(LiveRow { series: index, row, revision: emitted.times, is_final });
            *emitted = Emitted { times: emitted.times + 1, is_final, flag };
        }
    }
    rows
}
