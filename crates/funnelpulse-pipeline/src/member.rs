//! One detector of the pipeline.

use std::sync::Arc;

use funnelpulse_core::{AnomalyType, AnyDetector, Columns, DynPanelDetector, PerSeries, Pooled, nearest_name};

use crate::{
    Built, Catalog, Config, PipelineError, Scope,
    matrix::{Matrix, RESIDUAL},
};

/// A detector that a pipeline runs, and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name in weights and results.
    pub(crate) name: String,
    /// The columns that it sees.
    pub(crate) columns: Columns,
    pub(crate) detector: Arc<dyn DynPanelDetector>,
    /// Whether it looks at all series together.
    pub(crate) is_of_panel: bool,
    /// The type of the anomalies in which its score is the highest.
    pub(crate) finds: Option<AnomalyType>,
}

/// A detector that was asked for and has nothing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The detector.
    pub detector: String,
    /// The reason in words.
    pub reason: String,
}

/// The detectors that a configuration names, and those of them that are left out.
pub(crate) fn members(
    config: &Config,
    catalog: &Catalog,
    matrix: &Matrix,
) -> Result<(Vec<Member>, Vec<LeftOut>), PipelineError> {
    let names = matrix.names();
    let (mut members, mut left_out): (Vec<Member>, Vec<LeftOut>) = (Vec::new(), Vec::new());
    for name in &config.pipeline.detectors {
        let unknown = || PipelineError::Detector { detector: name.clone(), reason: "is not in the catalog" };
        let entry = catalog.get(name).ok_or_else(unknown)?;
        if members.iter().any(|m| m.name == *name) {
            return Err(PipelineError::Detector { detector: name.clone(), reason: "is in the pipeline twice" });
        }
        if !config.ensemble.weights.contains_key(name) {
            return Err(PipelineError::Detector { detector: name.clone(), reason: "has no weight in [ensemble]" });
        }
        let columns = match config.pipeline.columns.get(name) {
            Some(named) => named.iter().flat_map(|column| names.resolve(column)).collect(),
            None => entry.default_columns(config, &names),
        };
        check_columns(name, &columns, &names.all())?;
        let columns = Columns::new(columns)?;
        let detector = match entry.build(config)? {
            Built::Detector(detector) => detector,
            Built::NotApplicable(reason) => {
                left_out.push(LeftOut { detector: name.clone(), reason });
                continue;
            }
        };
        let scope = config.pipeline.scope.get(name).copied().unwrap_or(entry.default_scope());
        members.push(Member {
            name: name.clone(),
            is_of_panel: matches!(detector, AnyDetector::Panel(_)),
            detector: of_panel(detector, scope, &columns, config),
            columns,
            finds: entry.finds(),
        });
    }
    Ok((members, left_out))
}

/// A detector of either kind as one of all series.
fn of_panel(detector: AnyDetector, scope: Scope, columns: &Columns, config: &Config) -> Arc<dyn DynPanelDetector> {
    let training = config.pipeline.training(config.input.step_seconds);
    match (detector, scope) {
        (AnyDetector::Panel(detector), _) => detector,
        (AnyDetector::Series(detector), Scope::Pooled) => {
            Arc::new(Pooled::from(detector).with_columns(columns.clone()).with_training(training))
        }
        (AnyDetector::Series(detector), Scope::PerSeries) => {
            // Values of different series are on different scales; only models that see residuals
            // alone can stand in for one another.
            let comparable = columns.iter().all(|c| c.contains(RESIDUAL));
            let adaptor = PerSeries::from(detector).with_columns(columns.clone()).with_training(training);
            Arc::new(adaptor.with_stand_in(comparable))
        }
    }
}

fn check_columns(detector: &str, columns: &[String], available: &[String]) -> Result<(), PipelineError> {
    match columns.iter().find(|c| !available.contains(c)) {
        None => Ok(()),
        Some(column) => Err(PipelineError::UnknownColumn {
            detector: detector.to_owned(),
            column: column.clone(),
            suggestion: nearest_name(available.iter().map(String::as_str), column).map(str::to_owned),
        }),
    }
}
