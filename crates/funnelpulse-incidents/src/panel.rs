//! The detector of incidents by the contract of panel detectors.

use std::{collections::BTreeMap, sync::Arc};

use funnelpulse_core::{
    Absence, Columns, Context, Detection, Episode, Episodes, Error, FittedPanelDetector, FrameError, Funnel, Memory,
    ModelError, ModelSource, PanelDetector, PanelView, PersistentModel, Posterior, Purpose, SeriesDetection, SeriesKey,
    SeriesView, Survey, Timestamp, Writer, score_of_evidence, write_payload,
};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::{
    IncidentConfig, IncidentDetector, IncidentEpisode, IncidentError, IncidentModel, RowEvidence, fit::MIN_HOURS,
};

/// The name of the detector in models and results.
pub const KIND: &str = "incidents";

/// Log odds from which on what all series share is reported as an incident of the site.
const SITE_LOG_ODDS: f64 = 3.0;

impl PanelDetector for IncidentDetector {
    type Fitted = FittedIncidents;
    type Error = Error;

    fn kind(&self) -> &'static str {
        KIND
    }

    fn fit(&self, history: &PanelView<'_>) -> Result<FittedIncidents, Error> {
        PanelDetector::fit_for(self, history, Purpose::Any, &mut Memory::default())
    }

    fn fit_for(
        &self,
        history: &PanelView<'_>,
        purpose: Purpose,
        memory: &mut Memory,
    ) -> Result<FittedIncidents, Error> {
        let columns = columns_of(self.config());
        let panel = history.select(&columns)?;
        if panel.is_empty() {
            return Err(Error::TooFewRows { detector: KIND, rows: 0, needed: 1 });
        }
        let (model, kept) = Self::fit_for(self, &panel, purpose).map_err(core_error)?;
        memory.set(kept);
        history.series().iter().for_each(|series| history.report(series.key));
        let left_out = history.series().iter().filter(|series| !model.knows(series.key));
        let absences = left_out.map(|series| absence(series.key)).collect();
        Ok(FittedIncidents { absences, ..FittedIncidents::from(model) })
    }
}

/// Why there is no model of a series.
fn absence(series: &SeriesKey) -> Absence {
    let reason = format!("fewer than {MIN_HOURS} hours with visits, or rows that are mostly more than an hour apart");
    Absence { series: Some(series.clone()), reason, is_expected: true }
}

/// What the contract has a name for keeps it.
fn core_error(error: IncidentError) -> Error {
    match error {
        IncidentError::Frame(error) => Error::Frame(error),
        IncidentError::TooShort { needed, longest } => Error::TooFewRows { detector: KIND, rows: longest, needed },
        IncidentError::TooCoarse { .. } => Error::Unsupported { detector: KIND, what: "steps above an hour" },
        other => Error::detector(KIND, other),
    }
}

fn columns_of(config: &IncidentConfig) -> Columns {
    let names = [&config.traffic, &config.carts, &config.purchases, &config.revenue];
    Columns::new(names.into_iter().flatten().map(String::as_str)).expect("the settings are checked for twins")
}

/// A trained [`IncidentModel`] as a pipeline holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "IncidentModel", into = "IncidentModel")]
pub struct FittedIncidents {
    model: IncidentModel,
    columns: Columns,
    funnel: Funnel,
    /// Series of the history that it has no model of. Not saved.
    absences: Vec<Absence>,
}

impl FittedIncidents {
    /// The model.
    pub fn model(&self) -> &IncidentModel {
        &self.model
    }
}

impl From<IncidentModel> for FittedIncidents {
    fn from(model: IncidentModel) -> Self {
        let IncidentConfig { traffic, carts, purchases, revenue, .. } = model.config().clone();
        let columns = columns_of(model.config());
        Self { columns, funnel: Funnel { traffic, carts, purchases, revenue }, model, absences: Vec::new() }
    }
}

impl From<FittedIncidents> for IncidentModel {
    fn from(fitted: FittedIncidents) -> Self {
        fitted.model
    }
}

impl PersistentModel for FittedIncidents {
    const KIND: &'static str = KIND;
    /// Version 1 was a hidden Markov model, which nothing here can make use of.
    const VERSION: u16 = 5;
}

impl FittedPanelDetector for FittedIncidents {
    fn kind(&self) -> &str {
        KIND
    }

    fn columns(&self) -> &Columns {
        &self.columns
    }

    fn context(&self) -> Context {
        Context::span(self.model.context())
    }

    fn horizon(&self) -> Context {
        Context::span(self.model.horizon())
    }

    fn source(&self, series: &SeriesKey) -> Option<ModelSource> {
        self.model.knows(series).then_some(ModelSource::Pooled)
    }

    fn funnel(&self) -> Option<&Funnel> {
        Some(&self.funnel)
    }

    fn absences(&self) -> &[Absence] {
        &self.absences
    }

    fn survey<'a>(&'a self, panel: &PanelView<'_>) -> Result<Box<dyn Survey + 'a>, Error> {
        self.survey_next(panel, &mut Memory::default())
    }

    fn survey_next<'a>(&'a self, panel: &PanelView<'_>, memory: &mut Memory) -> Result<Box<dyn Survey + 'a>, Error> {
        let first = panel.series().iter().filter_map(|s| s.frame.time().get(s.skip)).min().copied();
        let since = first.unwrap_or(Timestamp::from_micros(i64::MAX));
        let scan = self.model.scan_next(&panel.select(&self.columns)?, since, memory).map_err(core_error)?;
        let site = scan.site.map(|s| s.incidents(SITE_LOG_ODDS)).unwrap_or_default();
        let site = site.into_iter().filter(|i| first.is_some_and(|first| i.last >= first)).map(Episode::from).collect();
        let series = scan.series.into_iter().map(|evidence| (evidence.series.clone(), evidence)).collect();
        Ok(Box::new(SiteScan { model: &self.model, series, site }))
    }

    fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let writer = Writer { payload_version: Self::VERSION, crate_version: env!("CARGO_PKG_VERSION") };
        write_payload(KIND, writer, &self.model)
    }

    fn clone_box(&self) -> Box<dyn FittedPanelDetector> {
        Box::new(self.clone())
    }
}

/// All series of one panel, decoded together.
#[derive(Debug)]
struct SiteScan<'a> {
    model: &'a IncidentModel,
    series: BTreeMap<SeriesKey, RowEvidence>,
    site: Vec<Episode>,
}

impl Survey for SiteScan<'_> {
    fn detect(&self, series: &SeriesView<'_>) -> Result<Option<SeriesDetection>, Error> {
        let Some(evidence) = self.series.get(series.key) else { return Ok(None) };
        let evidence = evidence.after(series.skip);
        let rows = series.frame.nrows() - series.skip;
        if evidence.time().len() != rows {
            let error = FrameError::Shape { rows, columns: 4, times: evidence.time().len(), names: 4 };
            return Err(error.into());
        }
        let raw: Array1<f64> = evidence.log_odds().collect();
        let scores = raw.iter().map(|l| score_of_evidence(self.model.evidence(*l))).collect();
        let mut expected = Array2::from_elem((rows, 4), f64::NAN);
        for (mut row, values) in expected.rows_mut().into_iter().zip(evidence.expected()) {
            row.iter_mut().zip(values).for_each(|(to, value)| *to = value);
        }
        let posterior = Posterior {
            log_odds: raw.iter().map(|l| l + self.model.prior_log_odds()).collect(),
            prior_log_odds: self.model.prior_log_odds(),
            is_shared: evidence.shared().collect(),
            kinds: evidence.kinds().collect(),
            expected,
            episodes: Arc::new(evidence),
        };
        let detection = Detection::new(raw);
        Ok(Some(SeriesDetection { source: ModelSource::Pooled, detection, scores, posterior: Some(posterior) }))
    }

    fn site_episodes(&self) -> Vec<Episode> {
        self.site.clone()
    }
}

impl Episodes for RowEvidence {
    fn of_flagged(&self, flags: &[bool]) -> Vec<Episode> {
        self.incidents_of(flags).into_iter().map(Episode::from).collect()
    }
}

impl From<IncidentEpisode> for Episode {
    fn from(i: IncidentEpisode) -> Self {
        Self {
            series: i.series,
            kind: i.kind,
            kind_probability: i.kind_probability,
            start: i.start,
            last: i.last,
            end: i.last.floor_to(Timestamp::HOUR).offset(Timestamp::HOUR),
            rows: i.rows,
            log_odds: i.log_odds,
            probability: i.probability,
            observed: i.observed,
            expected: i.expected,
            purchase_factor: i.purchase_factor,
            revenue_loss: i.revenue_loss,
            revenue_loss_interval: i.revenue_loss_interval,
        }
    }
}
