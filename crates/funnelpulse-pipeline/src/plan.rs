//! The plan of a pipeline, which all series share and which needs no data.

use funnelpulse_analytics::{DetectorColumns, Layout, RowClock};
use funnelpulse_baseline::{ZScore, ZScoreConfig};
use funnelpulse_config::ConfigError;
use funnelpulse_core::{CalendarError, Calibrator, Columns, Funnel};
use funnelpulse_ensemble::Ensemble;

use crate::{
    Catalog, Config, LeftOut, PipelineError,
    matrix::Matrix,
    member::{Member, members},
};

/// The checked configuration and everything that follows from it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) matrix: Matrix,
    pub(crate) members: Vec<Member>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) ensemble: Ensemble,
    /// Expected values and residuals, and the scores of a series for which no member has a model.
    pub(crate) baseline: ZScore,
    /// Calibrates the baseline's scores.
    pub(crate) baseline_calibrator: Calibrator,
    /// True if any member sees engineered columns.
    pub(crate) engineered: bool,
    /// The clock that texts go by.
    pub(crate) clock: RowClock,
    /// The columns of detectors that stand in the output table whether they run or not.
    always: Vec<DetectorColumns>,
}

impl Plan {
    pub(crate) fn new(config: Config, catalog: &Catalog) -> Result<Self, PipelineError> {
        config.validate(catalog)?;
        let matrix = Matrix::new(&config)?;
        let (members, left_out) = members(&config, catalog, &matrix)?;
        let engineered = members.iter().flat_map(|m| m.columns.iter()).any(|c| matrix.is_engineered(c));
        let ensemble = Ensemble::new(config.ensemble.clone())?;
        let reference = ZScore::reference_scores(matrix.metric_names().len());
        let baseline_calibrator = Calibrator::fit(reference.view()).map_err(PipelineError::series)?;
        let settings = config.detectors.get::<ZScoreConfig>(funnelpulse_baseline::KIND).cloned();
        let baseline = ZScore::new(settings.unwrap_or_default());
        let timezone = config.input.timezone.as_deref().unwrap_or_default();
        let no_zone = |e: CalendarError| ConfigError::Value { key: "input.timezone".into(), reason: e.to_string() };
        let clock = RowClock::new(timezone, config.input.step_seconds).map_err(no_zone)?;
        // In the order of the catalog: the originals, then whatever runs.
        let all = catalog.entries().iter().map(crate::Entry::output);
        let always = all.filter(|c| c.always || members.iter().any(|m| m.name == c.detector)).collect();
        Ok(Self {
            config,
            matrix,
            members,
            left_out,
            ensemble,
            baseline,
            baseline_calibrator,
            engineered,
            clock,
            always,
        })
    }

    /// Names of the stored metrics, then of the rates.
    pub(crate) fn metric_names(&self) -> &Columns {
        self.matrix.metric_names()
    }

    /// The positions of the steps of a funnel among the metrics.
    pub(crate) fn positions(&self, funnel: Option<&Funnel>) -> [Option<usize>; 4] {
        let position = |step: Option<&str>| self.metric_names().position(step?);
        funnel.map_or([None; 4], |funnel| funnel.steps().map(position))
    }

    /// The meaning of rows and columns of findings.
    pub(crate) fn layout(&self, funnel: Option<Funnel>, fell_back: bool, threshold: f64) -> Layout {
        let metrics = self.metric_names().clone();
        let mut detectors = self.always.clone();
        let fallback = funnelpulse_baseline::KIND;
        if fell_back && detectors.iter().all(|c| c.detector != fallback) {
            let (detector, score) = (fallback.to_owned(), format!("{fallback}_anomaly_score"));
            detectors.push(DetectorColumns { detector, score, expected: None, always: false });
        }
        Layout {
            stored: self.config.input.columns().len(),
            keys: self.config.input.keys.clone(),
            primary: metrics.position(self.config.primary_metric()).unwrap_or(0),
            funnel,
            detectors,
            metrics,
            threshold,
            alerts: self.config.alerts.clone(),
            clock: self.clock.clone(),
        }
    }
}
