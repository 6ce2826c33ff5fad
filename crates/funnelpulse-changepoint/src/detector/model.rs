//! The fitted changepoint detector.
use std::sync::Arc;

use funnelpulse_core::{Columns, Context, Detection, Error, FittedDetector, FrameView, PersistentModel, Timestamp};
use ndarray::{Array1, Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::{
    ChangepointConfig, KIND, ProfileSeason,
    evidence::{Evidence, History, Strongest, Weigh},
    profile::Profile,
    sorted::SortedColumn,
};

/// Half-width of the reported interval, standard deviations.
const INTERVAL: f64 = 3.0;
/// The quantile of the history that standardises evidence, and that of a standard normal
/// distribution's absolute value: high enough to see heavy tails, low enough that some breaks in
/// the history don't matter.
const CALIBRATION: (f64, f64) = (0.95, 1.96);

/// A fitted [`Changepoint`](super::Changepoint) detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ChangepointModel {
    columns: Columns,
    config: ChangepointConfig,
    profiles: Vec<Profile>,
    /// Per column, what evidence of the last 1, 2, ... rows is divided by; at least one.
    scales: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Unchecked {
    columns: Columns,
    config: ChangepointConfig,
    profiles: Vec<Profile>,
    scales: Vec<Vec<f64>>,
}

impl TryFrom<Unchecked> for ChangepointModel {
    type Error = String;

    fn try_from(u: Unchecked) -> Result<Self, String> {
        u.config.validate().map_err(|e| e.to_string())?;
        let (n, season) = (u.columns.len(), u.config.season);
        if n == 0 || u.profiles.len() != n || u.scales.len() != n || season == ProfileSeason::Auto {
            return Err("a changepoint model has a season, and a profile and scales per column".to_owned());
        }
        let scales =
            u.scales.iter().all(|s| s.len() == u.config.horizon && s.iter().all(|v| v.is_finite() && *v >= 1.0));
        if !scales || !u.profiles.iter().all(|p| p.is_valid(season)) {
            return Err("levels are finite, spreads positive, scales at least one".to_owned());
        }
        Ok(Self { columns: u.columns, config: u.config, profiles: u.profiles, scales: u.scales })
    }
}

impl ChangepointModel {
    /// Learns the profile of every column from its sorted values, and the variation of the
    /// evidence from its rows.
    pub(super) fn learn(config: &ChangepointConfig, history: FrameView<'_>, sorted: &[SortedColumn]) -> Self {
        let profiles = profiles(config, sorted);
        let mut evidence = vec![Vec::with_capacity(history.nrows()); config.horizon];
        let mut scales = Vec::with_capacity(history.ncols());
        for (values, profile) in history.values().columns().into_iter().zip(&profiles) {
            let terms = Evidence::new(profile, config, terms(profile, config.season, history.time(), values));
            evidence.iter_mut().for_each(Vec::clear);
            let history = History { evidence: &terms, rows: values.len(), out: &mut evidence };
            pulp::Arch::new().dispatch(history);
            scales.push(evidence.iter_mut().map(|evidence| scale(evidence)).collect());
        }
        Self { columns: history.columns().clone(), config: config.clone(), profiles, scales }
    }

    /// The same with other profiles.
    pub(super) fn with_profiles(&self, sorted: &[SortedColumn]) -> Self {
        Self { profiles: profiles(&self.config, sorted), ..self.clone() }
    }

    /// The season it found, never [`ProfileSeason::Auto`].
    pub fn season(&self) -> ProfileSeason {
        self.config.season
    }

    /// The evidence of a column in the rows from `first` on, NaN where its value is not `known`.
    fn scores_of_column(&self, column: usize, evidence: &Evidence<'_>, first: usize, known: &[bool], out: &mut [f64]) {
        let weigh = Weigh { scales: &self.scales[column], min_magnitude: self.config.min_magnitude };
        pulp::Arch::new().dispatch(Strongest { evidence, weigh, first, out: &mut *out });
        out.iter_mut().zip(known).filter(|(_, known)| !**known).for_each(|(out, _)| *out = f64::NAN);
    }

    /// The raw score of every row.
    pub(super) fn scores(&self, frame: FrameView<'_>) -> Result<Array1<f64>, Error> {
        let values = frame.aligned(&self.columns)?;
        let mut scores = Array1::from_elem(frame.nrows(), f64::NAN);
        let mut own = vec![0.0; frame.nrows()];
        for (column, profile) in self.profiles.iter().enumerate() {
            let values = values.column(column);
            let known: Vec<bool> = values.iter().map(|v| !v.is_nan()).collect();
            let terms = terms(profile, self.config.season, frame.time(), values);
            self.scores_of_column(column, &Evidence::new(profile, &self.config, terms), 0, &known, &mut own);
            scores.iter_mut().zip(&own).for_each(|(score, own)| *score = own.max(*score));
        }
        Ok(scores)
    }
}

/// The variation of the evidence in the history, relative to its nominal one.
fn scale(evidence: &mut [f64]) -> f64 {
    let at = (CALIBRATION.0 * (evidence.len() - 1) as f64).round() as usize;
    let (_, quantile, _) = evidence.select_nth_unstable_by(at, f64::total_cmp);
    (*quantile / CALIBRATION.1).max(1.0)
}

fn profiles(config: &ChangepointConfig, sorted: &[SortedColumn]) -> Vec<Profile> {
    sorted.iter().map(|column| Profile::learn(config.scale, column)).collect()
}

fn terms<'a>(
    profile: &'a Profile,
    season: ProfileSeason,
    time: &'a [Timestamp],
    values: ArrayView1<'a, f64>,
) -> impl ExactSizeIterator<Item = Option<(f64, f64)>> + 'a {
    let term = move |(row, time): (usize, &Timestamp)| {
        let value = values[row];
        (!value.is_nan()).then(|| profile.terms(season.bin(*time), value))
    };
    time.iter().enumerate().map(term)
}

impl FittedDetector for ChangepointModel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    fn context(&self) -> Context {
        Context::rows(self.config.context())
    }

    fn detect(&self, frame: FrameView<'_>) -> Result<Detection, Error> {
        self.detect_after(frame, 0)
    }

    fn detect_after(&self, frame: FrameView<'_>, skip: usize) -> Result<Detection, Error> {
        let values = frame.aligned(&self.columns)?;
        let rows = skip.min(frame.nrows())..frame.nrows();
        let shape = (rows.len(), values.ncols());
        let [mut contributions, mut expected, mut lower, mut upper] = [0; 4].map(|_| Array2::zeros(shape));
        let mut score = Array1::from_elem(shape.0, f64::NAN);
        let season = self.config.season;
        let mut own = vec![0.0; shape.0];
        for (column, (profile, scales)) in self.profiles.iter().zip(&self.scales).enumerate() {
            let values = values.column(column);
            let known: Vec<bool> = rows.clone().map(|row| !values[row].is_nan()).collect();
            let evidence = Evidence::new(profile, &self.config, terms(profile, season, frame.time(), values));
            for (at, row) in rows.clone().enumerate() {
                let bin = season.bin(frame.time()[row]);
                let level = evidence.level(row);
                let center =
                    if profile.multiplicative { profile.level[bin] * level } else { profile.level[bin] + level };
                let variance = profile.dispersion[bin] * if profile.multiplicative { center.max(0.0) } else { 1.0 };
                let width = INTERVAL * scales[0] * variance.sqrt();
                let finite = |v: f64| v.clamp(-f64::MAX, f64::MAX);
                expected[[at, column]] = finite(center);
                let floor = if profile.multiplicative { 0.0 } else { -f64::MAX };
                lower[[at, column]] = finite(center - width).max(floor).min(finite(center));
                upper[[at, column]] = finite(center + width);
            }
            self.scores_of_column(column, &evidence, rows.start, &known, &mut own);
            for (row, strongest) in own.iter().enumerate().filter(|(_, s)| !s.is_nan()) {
                contributions[[row, column]] = *strongest;
                score[row] = strongest.max(score[row]);
            }
        }
        Ok(Detection::new(score).with_expected(expected).with_interval(lower, upper).with_contributions(contributions))
    }

    fn clone_box(&self) -> Box<dyn FittedDetector> {
        Box::new(self.clone())
    }
}

impl PersistentModel for ChangepointModel {
    const KIND: &'static str = KIND;
}
