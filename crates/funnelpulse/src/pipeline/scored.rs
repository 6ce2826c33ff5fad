//! One series, scored: what is decided, and why.

use funnelpulse_analytics::{Alert, Deviation, Impact, top_factors};
use funnelpulse_config::Config;
use funnelpulse_core::{AnomalyType, Detection, SeriesKey, Severity, Timestamp};
use funnelpulse_ensemble::{Ensemble, Verdict, Vote, ZScoreModel};
use funnelpulse_features::MetricKind;
use funnelpulse_incidents::{Evidence, IncidentKind};
use ndarray::Array2;

use super::{matrix::Metrics, series::Plan};
use crate::{
    PipelineError,
    findings::{Anomaly, ModelScores, SeriesFindings},
    incident,
};

/// A series with the scores of all detectors, before anything is decided.
#[derive(Debug)]
pub(super) struct Scored {
    pub(super) series: SeriesKey,
    pub(super) time: Vec<Timestamp>,
    pub(super) models: Vec<ModelScores>,
    /// Per detector that has them, a value per row and metric.
    pub(super) contributions: Vec<Array2<f64>>,
    pub(super) evidence: Option<Evidence>,
    /// Logarithms of the odds that each row is part of an incident.
    pub(super) log_odds: Option<Vec<f64>>,
    pub(super) expectation: Expectation,
}

impl Scored {
    pub(super) fn votes(&self) -> Vec<Vote> {
        self.models.iter().map(|m| Vote::new(&m.detector, m.scores.clone())).collect()
    }

    /// Decides and explains.
    pub(super) fn conclude(self, plan: &Plan, ensemble: &Ensemble) -> Result<SeriesFindings, PipelineError> {
        let verdicts = ensemble.combine(&self.time, &self.votes())?;
        let flags: Vec<bool> = verdicts.iter().map(|v| v.is_anomaly).collect();
        let raw = self.evidence.as_ref().map(|e| e.incidents_of(&flags)).unwrap_or_default();
        // Kinds of the rows that are more likely part of an incident than not.
        let kinds: Vec<Option<IncidentKind>> = self.evidence.as_ref().map_or_else(Vec::new, |e| {
            e.kinds().zip(e.log_odds()).map(|(kind, log_odds)| (log_odds > 0.0).then_some(kind)).collect()
        });
        let anomalies = verdicts
            .iter()
            .enumerate()
            .filter_map(|(row, verdict)| {
                let severity = verdict.severity?;
                let why: Vec<Vec<f64>> = self.contributions.iter().map(|c| c.row(row).to_vec()).collect();
                let (key, time) = (&self.series, self.time[row]);
                let kind = kinds.get(row).copied().flatten();
                Some(explain(plan, key, time, row, verdict, severity, kind, &self.models, &self.expectation, &why))
            })
            .collect();
        let Expectation { observed, expected, lower, upper, z, .. } = self.expectation;
        let (series, time, models) = (self.series, self.time, self.models);
        let incidents = Vec::new();
        let mut found = SeriesFindings {
            series,
            time,
            observed,
            expected,
            lower,
            upper,
            z,
            models,
            verdicts,
            anomalies,
            incidents,
        };
        found.incidents = incident::explain(&plan.config, &found, &raw);
        Ok(found)
    }
}

/// What the baseline expects of every metric.
#[derive(Debug)]
pub(super) struct Expectation {
    names: funnelpulse_core::Columns,
    observed: Array2<f64>,
    expected: Array2<f64>,
    lower: Array2<f64>,
    upper: Array2<f64>,
    z: Array2<f64>,
}

impl Expectation {
    pub(super) fn new(
        model: &ZScoreModel,
        metrics: &Metrics,
        detection: &Detection,
    ) -> Result<Self, funnelpulse_core::Error> {
        let expected = detection.expected().expect("the z-score has expected values").to_owned();
        let (lower, upper) = detection.interval().expect("the z-score has an interval");
        Ok(Self {
            names: metrics.observed.columns().clone(),
            observed: metrics.observed.values().to_owned(),
            lower: lower.to_owned(),
            upper: upper.to_owned(),
            z: model.residuals(metrics.usable.view())?,
            expected,
        })
    }

    /// Puts what the incidents' model expects, which follows the level of each series and knows what
    /// all of them share, in place of the baseline's expectations. Ranges move along.
    pub(super) fn refine(&mut self, config: &Config, evidence: &Evidence) {
        let Some(columns) = config.incident_config() else { return };
        let names = [columns.traffic, columns.carts, columns.purchases, columns.revenue];
        let positions = names.map(|name| self.names.position(&name?));
        let rates: Vec<(usize, usize, usize)> = config
            .input
            .metrics
            .iter()
            .filter_map(|m| match &m.kind {
                MetricKind::Rate { numerator, denominator } => Some((
                    self.names.position(&m.name)?,
                    self.names.position(numerator).filter(|p| positions.contains(&Some(*p)))?,
                    self.names.position(denominator).filter(|p| positions.contains(&Some(*p)))?,
                )),
                _ => None,
            })
            .collect();
        for (row, (expected, shared)) in evidence.expected().zip(evidence.shared()).enumerate() {
            // In a broken site the baseline still knows what there should have been.
            if shared {
                continue;
            }
            for (position, value) in positions.iter().zip(expected) {
                if let Some(column) = position {
                    self.replace(row, *column, value);
                }
            }
            for &(rate, numerator, denominator) in &rates {
                let value = self.expected[[row, numerator]] / self.expected[[row, denominator]];
                self.replace(row, rate, value);
            }
        }
    }

    fn replace(&mut self, row: usize, column: usize, value: f64) {
        let at = [row, column];
        let ratio = value / self.expected[at];
        if value.is_finite() && ratio.is_finite() && ratio > 0.0 {
            self.expected[at] = value;
            self.lower[at] *= ratio;
            self.upper[at] *= ratio;
        }
    }

    fn deviations(&self, row: usize) -> Vec<Deviation> {
        let deviation = |(i, name): (usize, &std::sync::Arc<str>)| {
            Deviation::new(name.clone(), self.observed[[row, i]], self.expected[[row, i]], self.z[[row, i]])
        };
        self.names.iter().enumerate().map(deviation).collect()
    }
}

/// The type that goes with a kind of incident; a wrong price drives values either way.
fn type_of(kind: IncidentKind) -> Option<AnomalyType> {
    use IncidentKind as K;
    match kind {
        K::CheckoutOutage | K::TrackingOutage | K::CartBreak | K::Dip | K::GradualDegradation => {
            Some(AnomalyType::Drop)
        }
        K::BotTraffic | K::Promotion | K::Spike => Some(AnomalyType::Spike),
        K::LevelShift => Some(AnomalyType::Changepoint),
        K::Pattern => Some(AnomalyType::Pattern),
        K::PriceError => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "one row seen from every side")]
fn explain(
    plan: &Plan,
    key: &SeriesKey,
    time: Timestamp,
    row: usize,
    verdict: &Verdict,
    severity: Severity,
    kind: Option<IncidentKind>,
    models: &[ModelScores],
    expectation: &Expectation,
    contributions: &[Vec<f64>],
) -> Anomaly {
    let deviations = expectation.deviations(row);
    let contributions: Vec<&[f64]> = contributions.iter().map(Vec::as_slice).collect();
    let factors = top_factors(&deviations, &contributions, plan.config.alerts.max_factors);
    let strongest = deviations.iter().map(|d| d.z).filter(|z| !z.is_nan());
    let strongest = strongest.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::NAN);
    let score_of = |m: &ModelScores| m.scores[row];
    let loudest = models.iter().filter(|m| !score_of(m).is_nan()).max_by(|a, b| score_of(a).total_cmp(&score_of(b)));
    let by_value = AnomalyType::classify(strongest, loudest.is_some_and(|m| m.detector == "changepoint"));
    let anomaly_type = kind.and_then(type_of).unwrap_or(by_value);
    let impact = Impact::assess(&plan.config.impact, &deviations);
    let alert = Alert::new(&plan.config.alerts, key.clone(), time, severity, anomaly_type, impact, &factors);
    Anomaly { row, score: verdict.score, severity, anomaly_type, factors, impact, alert, rank: 0 }
}
