//! All metrics at once.

use std::fmt;

use funnelpulse_core::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{affiliation, auc, events, f1, nab, range_f1, ranking::Ranking, vus};
use crate::EvalError;

/// Options of [`evaluate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationOptions {
    /// Widest tolerance zone of VUS in rows; customary is [`acf_period`](super::acf_period) of the series.
    pub window: usize,
    /// Rows that make a day, for the false alarms per day.
    pub rows_per_day: f64,
    /// Rows that score at least this much are alarms, for the event figures; without it the
    /// threshold of the best F1.
    pub threshold: Option<f64>,
    /// The false positive rate at which event recall is also given.
    pub false_positive_rate: f64,
}

/// A day of 24 rows, a window of a day, a false positive rate of 1 %.
impl Default for EvaluationOptions {
    fn default() -> Self {
        Self { window: 24, rows_per_day: 24.0, threshold: None, false_positive_rate: 0.01 }
    }
}

/// Every metric for one series, or their means over several ([`mean`]). `Display` is a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of series.
    pub series: usize,
    /// Number of rows, of all series together.
    pub rows: usize,
    /// Labelled rows, of all series together.
    pub anomalous_rows: usize,
    /// Labelled events, of all series together.
    pub events: usize,
    /// [`vus`](super::vus), precision-recall.
    pub vus_pr: f64,
    /// [`vus`](super::vus), ROC.
    pub vus_roc: f64,
    /// [`auc_pr`](super::auc_pr).
    pub auc_pr: f64,
    /// [`auc_roc`](super::auc_roc).
    pub auc_roc: f64,
    /// [`best_f1`](super::best_f1).
    pub best_f1: f64,
    /// [`range_f1`](super::range_f1).
    pub range_f1: f64,
    /// [`best_affiliation`](super::best_affiliation).
    pub affiliation_f1: f64,
    /// [`nab_score`](super::nab_score) of the series alone, standard profile, its labelled events as windows.
    pub nab: f64,
    /// The threshold of the next four figures; `None` in a mean, since scores of different series
    /// need not share a scale.
    pub threshold: Option<f64>,
    /// [`event_recall`](super::event_recall).
    pub event_recall: f64,
    /// [`event_precision`](super::event_precision).
    pub event_precision: f64,
    /// Mean of [`detection_delays`](super::detection_delays) in rows over the events that were
    /// found; `None` when none was.
    pub detection_delay: Option<f64>,
    /// [`false_alarms_per_day`](super::false_alarms_per_day).
    pub false_alarms_per_day: f64,
    /// [`event_recall_at_fpr`](super::event_recall_at_fpr).
    pub event_recall_at_fpr: f64,
}

/// Computes every metric for one series.
///
/// ```
/// use funnelpulse_eval::{EvaluationOptions, evaluate};
///
/// let mut labels = vec![false; 240];
/// labels[100..110].fill(true);
/// let scores: Vec<f64> = (0..240).map(|row| if (101..110).contains(&row) { 5.0 } else { f64::from(row % 7) / 7.0 }).collect();
/// let evaluation = evaluate(&labels, &scores, &EvaluationOptions::default())?;
/// assert!(evaluation.vus_pr > 0.8);
/// assert_eq!((evaluation.event_recall, evaluation.detection_delay), (1.0, Some(1.0)));
/// println!("{evaluation}");
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn evaluate(labels: &[bool], scores: &[f64], options: &EvaluationOptions) -> Result<Evaluation, EvalError> {
    let ranking = Ranking::new(labels, scores)?;
    let vus = vus::volume(&ranking, options.window);
    let best_f1 = f1::best(&ranking);
    let nab_series = nab::NabSeries { scores: &ranking.scores, windows: ranking.events.clone() };
    let threshold = options.threshold.unwrap_or(best_f1.threshold);
    let flags = events::flags_above(scores, threshold);
    let delays: Vec<usize> = events::detection_delays(labels, &flags)?.into_iter().flatten().collect();
    Ok(Evaluation {
        series: 1,
        rows: ranking.rows(),
        anomalous_rows: ranking.positives,
        events: ranking.events.len(),
        vus_pr: vus.pr,
        vus_roc: vus.roc,
        auc_pr: auc::average_precision(&ranking),
        auc_roc: auc::roc(&ranking),
        best_f1: best_f1.f1,
        range_f1: range_f1::best(&ranking).f1,
        affiliation_f1: affiliation::best(&ranking).0.f1,
        nab: nab::nab_score(&[nab_series], nab::NabProfile::STANDARD)?.score,
        threshold: Some(threshold),
        event_recall: events::event_recall(labels, &flags)?,
        event_precision: events::event_precision(labels, &flags)?,
        detection_delay: average(delays.iter().map(|&rows| rows as f64)),
        false_alarms_per_day: events::false_alarms_per_day(labels, &flags, options.rows_per_day)?,
        event_recall_at_fpr: events::recall_at_fpr(&ranking, options.false_positive_rate)?,
    })
}

/// The mean of every metric, each evaluation counting the same; counts are added up. The delay
/// is averaged where there is one. `None` without any evaluation.
pub fn mean(evaluations: &[Evaluation]) -> Option<Evaluation> {
    let of = |metric: fn(&Evaluation) -> f64| average(evaluations.iter().map(metric));
    let sum = |count: fn(&Evaluation) -> usize| evaluations.iter().map(count).sum();
    Some(Evaluation {
        series: sum(|e| e.series),
        rows: sum(|e| e.rows),
        anomalous_rows: sum(|e| e.anomalous_rows),
        events: sum(|e| e.events),
        vus_pr: of(|e| e.vus_pr)?,
        vus_roc: of(|e| e.vus_roc)?,
        auc_pr: of(|e| e.auc_pr)?,
        auc_roc: of(|e| e.auc_roc)?,
        best_f1: of(|e| e.best_f1)?,
        range_f1: of(|e| e.range_f1)?,
        affiliation_f1: of(|e| e.affiliation_f1)?,
        nab: of(|e| e.nab)?,
        threshold: None,
        event_recall: of(|e| e.event_recall)?,
        event_precision: of(|e| e.event_precision)?,
        detection_delay: average(evaluations.iter().filter_map(|e| e.detection_delay)),
        false_alarms_per_day: of(|e| e.false_alarms_per_day)?,
        event_recall_at_fpr: of(|e| e.event_recall_at_fpr)?,
    })
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, rows, anomalous_rows, events, .. } = self;
        let (rows, events) = (counted(*rows, "row", "rows"), counted(*events, "event", "events"));
        writeln!(f, "{series} series, {rows}, {anomalous_rows} anomalous in {events}")?;
        let figures = [
            ("VUS-PR", Some(self.vus_pr)),
            ("VUS-ROC", Some(self.vus_roc)),
            ("AUC-PR", Some(self.auc_pr)),
            ("AUC-ROC", Some(self.auc_roc)),
            ("best F1", Some(self.best_f1)),
            ("range F1", Some(self.range_f1)),
            ("affiliation F1", Some(self.affiliation_f1)),
            ("NAB score", Some(self.nab)),
            ("event recall", Some(self.event_recall)),
            ("event precision", Some(self.event_precision)),
            ("event recall at fixed FPR", Some(self.event_recall_at_fpr)),
            ("detection delay (rows)", self.detection_delay),
            ("false alarms per day", Some(self.false_alarms_per_day)),
        ];
        for (i, (name, figure)) in figures.into_iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            match figure {
                Some(value) => write!(f, "{end}{name:<26}{value:>9.4}")?,
                None => write!(f, "{end}{name:<26}{:>9}", "-")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_weigh_series_alike_and_add_counts() {
        let labels = [false, true, false, false];
        let good = evaluate(&labels, &[0.0, 3.0, 1.0, 0.5], &EvaluationOptions::default()).unwrap();
        let options = EvaluationOptions { threshold: Some(9.0), ..EvaluationOptions::default() };
        let blind = evaluate(&labels, &[0.0, 0.0, 1.0, 0.5], &options).unwrap();
        assert_eq!((blind.detection_delay, blind.event_recall), (None, 0.0));
        let both = mean(&[good.clone(), blind.clone()]).unwrap();
        assert_eq!((both.series, both.rows, both.events), (2, 8, 2));
        assert_eq!(both.auc_pr, f64::midpoint(good.auc_pr, blind.auc_pr));
        assert_eq!(both.detection_delay, Some(0.0));
        assert_eq!(mean(&[]), None);
        assert!(blind.to_string().contains("detection delay (rows)            -"));
    }

    #[test]
    fn options_refuse_nonsense() {
        let options = EvaluationOptions { rows_per_day: 0.0, ..EvaluationOptions::default() };
        let error = evaluate(&[true, false], &[1.0, 0.0], &options).unwrap_err();
        assert_eq!(error.to_string(), "`rows_per_day` is 0, allowed: above 0 and finite");
    }
}
