//! The stage that sees all series at once.

use std::collections::BTreeMap;

use funnelpulse_core::{Columns, Frame, Panel, SeriesKey, score_of_evidence};
use funnelpulse_incidents::{Evidence, Incident, IncidentConfig, IncidentDetector, IncidentError, IncidentModel};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

/// The name of the stage in weights and results.
pub(super) const NAME: &str = "incidents";
/// Log odds from which on what all series share is an incident of the site.
const SITE_LIMIT: f64 = 3.0;

/// The trained stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FittedIncidents(IncidentModel);

/// What a panel shows.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) series: BTreeMap<SeriesKey, Evidence>,
    /// What all series share.
    pub(super) site: Vec<Incident>,
}

impl FittedIncidents {
    /// Learns a panel that may contain incidents.
    pub(super) fn fit(detector: &IncidentDetector, panel: &Panel) -> Result<Self, IncidentError> {
        detector.fit(panel).map(Self)
    }

    /// The calibrated score of each row.
    pub(super) fn scores(&self, evidence: &Evidence) -> Array1<f64> {
        evidence.log_odds().map(|l| score_of_evidence(self.0.evidence(l))).collect()
    }

    /// Logarithms of the odds that each row is part of an incident, where incidents are as frequent as
    /// they were in the history.
    pub(super) fn log_odds(&self, evidence: &Evidence) -> Vec<f64> {
        evidence.log_odds().map(|l| l + self.0.prior_log_odds()).collect()
    }

    /// Whether it was trained with these settings.
    pub(super) fn has_config(&self, config: &IncidentConfig) -> bool {
        self.0.config() == config
    }

    /// Judges frames, each of which begins with a number of rows that are there to be looked back
    /// to. All series of a site belong together here.
    pub(super) fn scan<'a>(&self, frames: impl IntoIterator<Item = (&'a SeriesKey, &'a Frame, usize)>) -> Seen {
        let frames: Vec<_> = frames.into_iter().collect();
        let Some(columns) = frames.first().map(|(_, f, _)| f.columns().clone()) else { return Seen::default() };
        // Frames of one pipeline have the same columns and each its own name, and a span of hours
        // that the context does not stretch: nothing is left that could fail.
        let Ok(panel) = collect(columns, &frames) else { return Seen::default() };
        let Ok(scan) = self.0.scan(&panel) else { return Seen::default() };
        let first = frames.iter().filter_map(|(_, f, skip)| f.time().get(*skip)).min().copied();
        let skips: BTreeMap<&SeriesKey, usize> = frames.iter().map(|(key, _, skip)| (*key, *skip)).collect();
        let site = scan.site.map(|s| s.incidents(SITE_LIMIT)).unwrap_or_default();
        Seen {
            series: scan
                .series
                .into_iter()
                .map(|e| (e.series.clone(), e))
                .map(|(k, e)| {
                    let skip = skips.get(&k).copied().unwrap_or(0);
                    (k, e.skip(skip))
                })
                .collect(),
            site: site.into_iter().filter(|i| first.is_some_and(|first| i.last >= first)).collect(),
        }
    }
}

fn collect(columns: Columns, frames: &[(&SeriesKey, &Frame, usize)]) -> Result<Panel, funnelpulse_core::FrameError> {
    let mut panel = Panel::new(columns);
    for (key, frame, _) in frames {
        panel.insert((*key).clone(), (*frame).clone())?;
    }
    Ok(panel)
}
