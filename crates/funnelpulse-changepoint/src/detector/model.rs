//! The fitted changepoint detector.

use std::sync::Arc;

use funnelpulse_core::{Columns, Context, Detection, Error, FittedDetector, FrameView, PersistentModel, Timestamp};
use ndarray::{Array1, Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::{
    ChangepointConfig, KIND, ProfileSeason,
    evidence::{Comparison, Window},
    profile::Profile,
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
    pub(super) fn learn(config: &ChangepointConfig, history: FrameView<'_>) -> Self {
        let season = config.season.resolve(history.time());
        let config = ChangepointConfig { season, ..config.clone() };
        let mut profiles = Vec::with_capacity(history.ncols());
        let mut scales = Vec::with_capacity(history.ncols());
        for values in history.values().columns() {
            let profile = Profile::learn(config.scale, season, history.time(), values);
            let terms = terms(&profile, season, history.time(), values);
            let mut window = Window::new(&profile, &config);
            let mut evidence = vec![Vec::with_capacity(values.len()); config.horizon];
            for row in 0..values.len() {
                window.move_to(&terms, row);
                for (m, evidence) in evidence.iter_mut().enumerate() {
                    evidence.push(window.compare(m + 1).z.abs());
                }
            }
            scales.push(evidence.into_iter().map(scale).collect());
            profiles.push(profile);
        }
        Self { columns: history.columns().clone(), config, profiles, scales }
    }

    /// The season it found, never [`ProfileSeason::Auto`].
    pub fn season(&self) -> ProfileSeason {
        self.config.season
    }

    /// The highest evidence of the last 1, 2, ... rows. If an older break explains them better, they
    /// have to differ from what came after it too.
    fn strongest(&self, window: &Window<'_>, scales: &[f64]) -> f64 {
        let breaks: Vec<Comparison> = (1..=scales.len()).map(|m| window.compare(m)).collect();
        let highest = breaks.iter().map(|b| b.z.abs()).fold(0.0, f64::max);
        let older = window.older(highest);
        let evidence = breaks.iter().zip(scales).enumerate().map(|(i, (found, scale))| {
            let weaker = older.map(|since| window.compare_since(i + 1, since)).filter(|b| b.z.abs() < found.z.abs());
            let found = weaker.unwrap_or(*found);
            found.z.abs() / scale * self.counts(found.magnitude)
        });
        evidence.fold(0.0, f64::max)
    }

    /// The weight of evidence when the level changes this much.
    fn counts(&self, magnitude: f64) -> f64 {
        if magnitude < self.config.min_magnitude { magnitude / self.config.min_magnitude } else { 1.0 }
    }
}

/// The variation of the evidence in the history, relative to its nominal one.
fn scale(mut evidence: Vec<f64>) -> f64 {
    let at = (CALIBRATION.0 * (evidence.len() - 1) as f64).round() as usize;
    let (_, quantile, _) = evidence.select_nth_unstable_by(at, f64::total_cmp);
    (*quantile / CALIBRATION.1).max(1.0)
}

fn terms(
    profile: &Profile,
    season: ProfileSeason,
    time: &[Timestamp],
    values: ArrayView1<'_, f64>,
) -> Vec<Option<(f64, f64)>> {
    let term = |(&time, &value): (&Timestamp, &f64)| (!value.is_nan()).then(|| profile.terms(season.bin(time), value));
    time.iter().zip(values).map(term).collect()
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
        let values = frame.aligned(&self.columns)?;
        let shape = values.dim();
        let [mut contributions, mut expected, mut lower, mut upper] = [0; 4].map(|_| Array2::zeros(shape));
        let mut score = Array1::from_elem(shape.0, f64::NAN);
        let season = self.config.season;
        for (column, (profile, scales)) in self.profiles.iter().zip(&self.scales).enumerate() {
            let terms = terms(profile, season, frame.time(), values.column(column));
            let mut window = Window::new(profile, &self.config);
            for row in 0..shape.0 {
                window.move_to(&terms, row);
                let bin = season.bin(frame.time()[row]);
                let level = window.level();
                let center =
                    if profile.multiplicative { profile.level[bin] * level } else { profile.level[bin] + level };
                let variance = profile.dispersion[bin] * if profile.multiplicative { center.max(0.0) } else { 1.0 };
                let width = INTERVAL * scales[0] * variance.sqrt();
                let finite = |v: f64| v.clamp(-f64::MAX, f64::MAX);
                expected[[row, column]] = finite(center);
                let floor = if profile.multiplicative { 0.0 } else { -f64::MAX };
                lower[[row, column]] = finite(center - width).max(floor).min(finite(center));
                upper[[row, column]] = finite(center + width);
                if terms[row].is_none() {
                    continue;
                }
                let strongest = self.strongest(&window, scales);
                contributions[[row, column]] = strongest;
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
