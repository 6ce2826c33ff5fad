//! From scores to findings: verdicts and explanations.

use funnelpulse_analytics::{Anomaly, Impact, Incident, ModelScores, Notice, SeriesFindings, top_factors};
use funnelpulse_core::{AnomalyType, Funnel, IncidentKind, Severity, Verdict};
use funnelpulse_ensemble::{AdaptiveThreshold, Ensemble};

use crate::{
    PipelineError,
    plan::Plan,
    prepared::Expectation,
    runs,
    scored::{Contributions, Scored},
};

impl Scored {
    /// Decides and explains.
    pub(crate) fn conclude(
        self,
        plan: &Plan,
        ensemble: &Ensemble,
        funnel: Option<&Funnel>,
    ) -> Result<SeriesFindings, PipelineError> {
        self.conclude_after(&mut ensemble.adaptive_threshold(), plan, ensemble, funnel)
    }

    /// The same for rows that follow others: `threshold` knows the scores of those.
    pub(crate) fn conclude_after(
        self,
        threshold: &mut AdaptiveThreshold,
        plan: &Plan,
        ensemble: &Ensemble,
        funnel: Option<&Funnel>,
    ) -> Result<SeriesFindings, PipelineError> {
        let verdicts = ensemble.combine_after(threshold, &self.time, &self.votes())?;
        let anomalies: Vec<Anomaly> = verdicts
            .iter()
            .enumerate()
            .filter_map(|(row, verdict)| Some(self.explain(plan, row, verdict, verdict.severity?)))
            .collect();
        let flags: Vec<bool> = verdicts.iter().map(|v| v.is_anomaly).collect();
        let episodes = match &self.posterior {
            Some(posterior) => posterior.episodes.of_flagged(&flags),
            None => runs::episodes(&self.series, &self.time, plan.config.input.step_seconds, &anomalies),
        };
        let incidents = Incident::explain((&plan.config.alerts, &plan.clock), funnel, &verdicts, &episodes);
        let Expectation { observed, expected, lower, upper, z, .. } = self.expectation;
        let (series, time, models) = (self.series, self.time, self.models);
        Ok(SeriesFindings { series, time, observed, expected, lower, upper, z, models, verdicts, anomalies, incidents })
    }

    fn explain(&self, plan: &Plan, row: usize, verdict: &Verdict, severity: Severity) -> Anomaly {
        let deviations = self.expectation.deviations(plan, row);
        let of_row = |c: &Contributions| c.values.row(row).mapv(f64::from).to_vec();
        let why: Vec<Vec<f64>> = self.contributions.iter().map(of_row).collect();
        let why: Vec<&[f64]> = why.iter().map(Vec::as_slice).collect();
        let factors = top_factors(&deviations, &why, plan.config.alerts.max_factors);
        let strongest = deviations.iter().map(|d| d.z).filter(|z| !z.is_nan());
        let strongest = strongest.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::NAN);
        let by_value = || AnomalyType::classify(strongest, false);
        let by_detector = || self.highest_finds(plan, row).unwrap_or_else(by_value);
        let anomaly_type = self.kind(row).and_then(type_of).unwrap_or_else(by_detector);
        let impact = Impact::assess(&plan.config.impact, &deviations);
        let (key, time) = (self.series.clone(), self.time[row]);
        let notice = Notice::new(&plan.config.alerts, key, time, severity, anomaly_type, impact, &factors);
        Anomaly { row, score: verdict.score, severity, anomaly_type, factors, impact, notice, rank: 0 }
    }

    /// The kind of incident of a row that is more likely part of one than not.
    fn kind(&self, row: usize) -> Option<IncidentKind> {
        let posterior = self.posterior.as_ref().filter(|p| p.log_odds[row] > 0.0)?;
        posterior.kinds.get(row).copied()
    }

    /// The type of anomaly that the detector with the highest score finds.
    fn highest_finds(&self, plan: &Plan, row: usize) -> Option<AnomalyType> {
        let score = |m: &&ModelScores| m.scores[row];
        let scored = self.models.iter().filter(|m| !score(m).is_nan());
        let highest = scored.max_by(|a, b| score(a).total_cmp(&score(b)))?;
        plan.members.iter().find(|m| m.name == highest.detector)?.finds
    }
}

/// The type that goes with a kind of incident, if one does.
fn type_of(kind: IncidentKind) -> Option<AnomalyType> {
    use IncidentKind as K;
    match kind {
        K::CheckoutOutage | K::TrackingOutage | K::CartBreak | K::Dip | K::GradualDegradation => {
            Some(AnomalyType::Drop)
        }
        K::BotTraffic | K::Promotion | K::Spike => Some(AnomalyType::Spike),
        K::LevelShift => Some(AnomalyType::Changepoint),
        // A wrong price drives values either way; the rest follows from the value.
        _ => None,
    }
}
