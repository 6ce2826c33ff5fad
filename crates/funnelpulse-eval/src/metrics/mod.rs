//! Metrics for anomaly detection in time series: the agreement of scores with labels.
//!
//! Every function takes `labels` (true = inside a labelled anomaly) and `scores` (larger = more
//! anomalous), one of each per row. A NaN score counts as the lowest score of the series: without
//! a score there is no alarm. Infinite scores are refused. Series without
//! any anomaly, or of nothing else, are refused too, since none of these metrics is defined there.
//!
//! | metric | measures |
//! |---|---|
//! | [`auc_roc`], [`auc_pr`] | the ranking of anomalous *rows* above normal ones |
//! | [`vus`] | the same with tolerance around the borders of anomalies, for all tolerances at once |
//! | [`best_f1`] | rows, at the best threshold |
//! | [`range_f1`], [`best_affiliation`] | ranges, at the best threshold |
//! | [`nab_score`] | detection, early detection counts more |
//! | [`event_recall`] and its neighbours | operational figures: events found, delay, false alarms |
//! | [`evaluate_breaks`], [`cover`], [`breaks_f1`] | found changepoints: Hausdorff distance, Rand index, covering, precision and recall with a margin |
//! | [`alarm_delay`] | hours from the onset of an event to its first alarm, with what a detector waited for |
//!
//! [`evaluate`] computes all of them for one series, [`mean`] averages over series.
//!
//! Area and F1 figures follow the definitions of the TSB-AD benchmark (Liu and Paparrizos 2024)
//! and NAB scores those of the Numenta benchmark, so that they compare with published tables.

mod acf;
mod affiliation;
mod auc;
mod breaks;
mod delay;
mod evaluation;
mod events;
mod f1;
mod nab;
mod range_f1;
mod ranking;
mod vus;

#[cfg(test)]
mod tests;

pub use acf::acf_period;
pub use affiliation::{Affiliation, affiliation, best_affiliation};
pub use auc::{auc_pr, auc_roc};
pub use breaks::{BreakEvaluation, breaks_f1, cover, evaluate_breaks};
pub use delay::{RaisedFlag, alarm_delay, median_delay};
pub use evaluation::{Evaluation, EvaluationOptions, evaluate, mean};
pub use events::{
    KindRecall, detection_delays, detection_delays_in_time, event_precision, event_recall, event_recall_at_fpr,
    event_recall_by_kind, false_alarms_per_day, flags_above, threshold_at_fpr,
};
pub use f1::{BestF1, best_f1};
pub use nab::{NabProfile, NabScore, NabSeries, nab_score};
pub use range_f1::{RangeF1, range_f1};
pub use ranking::runs;
pub use vus::{Vus, vus};
