//! Localisation of incidents.

use std::collections::BTreeSet;

use crate::{LocalizeConfig, Period};
use funnelpulse_core::Timestamp;
use funnelpulse_core::{GROUP, SITE};
use funnelpulse_features::Cube;

use super::{Measure, Question, locate_scaled, windows_to_locate};
use crate::{Findings, Incident};

/// The windows of events that have to be counted to locate `incidents`.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/found.rs"));
/// # use found::{episode, verdict};
/// # fn main() {
/// use funnelpulse_analytics::{AlertConfig, Incident, RowClock, windows_of_incidents};
///
/// let verdicts = [verdict(0.1, 0.5), verdict(0.9, 0.5), verdict(0.9, 0.5)];
/// let incidents = Incident::explain((&AlertConfig::default(), &RowClock::default()), None, &verdicts, &[episode()]);
/// let windows = windows_of_incidents(&incidents, 3600, 28);
/// assert!(windows.contains(&incidents[0].start));
/// # }
/// ```
pub fn windows_of_incidents<'a>(
    incidents: impl IntoIterator<Item = &'a Incident>,
    step_seconds: u64,
    history_days: u32,
) -> BTreeSet<Timestamp> {
    let periods = incidents.into_iter().filter_map(|i| Period::new(i.start, i.end).ok());
    windows_to_locate(periods, step_seconds, history_days)
}

impl Findings {
    /// Locates the incidents that `chosen` accepts in the events behind the panel, and sets
    /// [`Incident::place`]. It stays `None` where there is too little history, for example.
    ///
    /// The cube needs the windows of [`windows_of_incidents`]. An incident is looked for in the
    /// measure of the stage that broke; in one series, sums are compared with the expectation of
    /// its own model.
    pub fn locate_incidents(
        &mut self,
        cube: &Cube,
        history_days: u32,
        config: &LocalizeConfig,
        chosen: impl Fn(&Incident) -> bool,
    ) {
        for incident in self.incidents_mut().filter(|i| chosen(i)) {
            let Ok(period) = Period::new(incident.start, incident.end) else { continue };
            let series = incident.series.as_str();
            let of_series = (series != SITE && series != GROUP).then_some(series);
            let question = Question {
                series: of_series,
                measure: Some(incident.stage.as_deref().map_or(Measure::Revenue, Measure::of_stage)),
                history_days,
                ..Question::new(period)
            };
            incident.place = locate_scaled(cube, &question, config, of_series.map(|_| incident.expected)).ok();
        }
    }
}
