//! Scores against labels: `funnelpulse.metrics`.

use funnelpulse::eval::{EvaluationOptions, evaluate as evaluate_series, metrics};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::{
    config::from_json,
    error::{Failure, heavy},
};

type Scores<'py> = PyReadonlyArray1<'py, f64>;
type Labels<'py> = PyReadonlyArray1<'py, bool>;

fn own<T: numpy::Element + Copy>(array: &PyReadonlyArray1<'_, T>) -> Vec<T> {
    array.as_array().to_vec()
}

/// A function of labels and scores.
macro_rules! of_scores {
    ($($(#[doc = $doc:literal])* $name:ident => $work:expr, $out:ty;)*) => {$(
        $(#[doc = $doc])*
        #[pyfunction]
        fn $name(py: Python<'_>, labels: Labels<'_>, scores: Scores<'_>) -> PyResult<$out> {
            let (labels, scores) = (own(&labels), own(&scores));
            heavy(py, || { let work: fn(&[bool], &[f64]) -> Result<$out, Failure> = $work; work(&labels, &scores) })
        }
    )*};
}

of_scores! {
    /// Area under the ROC curve.
    auc_roc => |l, s| Ok(metrics::auc_roc(l, s)?), f64;
    /// Area under the precision-recall curve: average precision.
    auc_pr => |l, s| Ok(metrics::auc_pr(l, s)?), f64;
    /// Best F1 over all thresholds: F1, precision, recall, threshold.
    best_f1 => |l, s| metrics::best_f1(l, s).map(|f| (f.f1, f.precision, f.recall, f.threshold)).map_err(Into::into),
        (f64, f64, f64, f64);
    /// Best range-based F1 over all thresholds: F1 and threshold.
    range_f1 => |l, s| metrics::range_f1(l, s).map(|f| (f.f1, f.threshold)).map_err(Into::into), (f64, f64);
    /// Best affiliation F1 over all thresholds: F1, precision, recall, threshold.
    best_affiliation => |l, s| metrics::best_affiliation(l, s)
        .map(|(a, threshold)| (a.f1, a.precision, a.recall, threshold)).map_err(Into::into), (f64, f64, f64, f64);
    /// NAB score of one series under the standard profile, 0 to 100, each run of labels a window.
    nab => |l, s| metrics::nab_score(
        &[metrics::NabSeries { scores: s, windows: metrics::runs(l) }], metrics::NabProfile::STANDARD,
    ).map(|n| n.score).map_err(Into::into), f64;
}

/// Volume under the surfaces of ROC and precision-recall curves, for tolerances up to `window` rows:
/// VUS-ROC and VUS-PR.
#[pyfunction]
fn vus(py: Python<'_>, labels: Labels<'_>, scores: Scores<'_>, window: usize) -> PyResult<(f64, f64)> {
    let (labels, scores) = (own(&labels), own(&scores));
    heavy(py, || Ok(metrics::vus(&labels, &scores, window).map(|v| (v.roc, v.pr))?))
}

/// Affiliation precision, recall and F1 of flags.
#[pyfunction]
fn affiliation(py: Python<'_>, labels: Labels<'_>, flags: Labels<'_>) -> PyResult<(f64, f64, f64)> {
    let (labels, flags) = (own(&labels), own(&flags));
    heavy(py, || Ok(metrics::affiliation(&labels, &flags).map(|a| (a.precision, a.recall, a.f1))?))
}

/// All metrics of one series, a dictionary.
#[pyfunction]
#[pyo3(signature = (labels, scores, window=None, *, rows_per_day=24.0, threshold=None))]
fn evaluate<'py>(
    py: Python<'py>,
    labels: Labels<'py>,
    scores: Scores<'py>,
    window: Option<usize>,
    rows_per_day: f64,
    threshold: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let (labels, scores) = (own(&labels), own(&scores));
    let defaults = EvaluationOptions::default();
    let options = EvaluationOptions { window: window.unwrap_or(defaults.window), rows_per_day, threshold, ..defaults };
    let json = heavy(py, || {
        let evaluation = evaluate_series(&labels, &scores, &options)?;
        serde_json::to_string(&evaluation).map_err(|error| Failure::Internal(error.to_string()))
    })?;
    from_json(py, &json)
}

/// Adds the functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(auc_roc, module)?)?;
    module.add_function(wrap_pyfunction!(auc_pr, module)?)?;
    module.add_function(wrap_pyfunction!(best_f1, module)?)?;
    module.add_function(wrap_pyfunction!(range_f1, module)?)?;
    module.add_function(wrap_pyfunction!(best_affiliation, module)?)?;
    module.add_function(wrap_pyfunction!(nab, module)?)?;
    module.add_function(wrap_pyfunction!(vus, module)?)?;
    module.add_function(wrap_pyfunction!(affiliation, module)?)?;
    module.add_function(wrap_pyfunction!(evaluate, module)?)
}
