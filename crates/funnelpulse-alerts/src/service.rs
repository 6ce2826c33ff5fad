//! From a file of settings to delivered alerts.

mod check;
mod document;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use funnelpulse_core::counted;
use serde::{Deserialize, Serialize};

pub use check::CheckReport;

use crate::{
    AlertState, AlertsError, DispatchConfig, DispatchReport, Dispatcher, NotifierConfig, Observation, Sink, SinkConfig,
};

/// Longest wait for the spool to be on disk: more than any disk that works takes.
const DISK_PATIENCE: Duration = Duration::from_secs(60);

/// The file of settings: where to remember what was announced, who is notified of what, how fast.
///
/// ```toml
/// state = "state.json"
///
/// [[sinks]]
/// kind = "webhook"
/// url = { env = "SLACK_WEBHOOK" }
/// format = "slack"
///
/// [notifier]
/// min_severity = "high"
///
/// [dispatch]
/// patience_seconds = 60
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertsConfig {
    /// The file that remembers what was announced, from one run to the next.
    pub state: PathBuf,
    /// Who is notified.
    pub sinks: Vec<SinkConfig>,
    /// Which messages are due.
    #[serde(default)]
    pub notifier: NotifierConfig,
    /// How fast they are sent and where they wait. Without a spool it is the file beside the state
    /// that ends in `.spool`.
    #[serde(default)]
    pub dispatch: DispatchConfig,
}

impl AlertsConfig {
    /// Reads a file of settings and checks everything that can be checked before there is anything
    /// to send: each setting and its range, secrets in the environment, certificates, that no two
    /// files are the same one, that folders exist and that the state can be read. No error repeats
    /// a secret or a line of the file.
    ///
    /// ```
    /// use funnelpulse_alerts::AlertsConfig;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("alerts.toml");
    /// std::fs::write(&path, "state = 'state.json'\n[[sinks]]\nkind = 'smtp'\npassword = 1234\n")?;
    /// let error = AlertsConfig::load(&path).unwrap_err().to_string();
    /// # #[cfg(feature = "smtp")]
    /// assert!(error.ends_with(
    ///     "alerts.toml: sinks[0].password: a secret is a text in quotes or { env = \"NAME\" }, found a number; \
    ///      put it in quotes"
    /// ));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn load(path: &Path) -> Result<AlertService, AlertsError> {
        let text = std::fs::read_to_string(path).map_err(|e| AlertsError::file(path, e))?;
        Self::parse(path, &text)?.checked(path)
    }

    /// Reads settings from a text; `path` is what errors call it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, AlertsError> {
        document::parse(path, text)
    }

    /// Checks everything that can be checked now; `path` is what errors call the settings.
    pub fn checked(mut self, path: &Path) -> Result<AlertService, AlertsError> {
        self.dispatch.spool.get_or_insert_with(|| self.state.with_extension("spool"));
        check::check(path, &self)?;
        Ok(AlertService { source: path.to_owned(), config: self })
    }
}

/// Checked settings, ready to deliver. See [`AlertsConfig::load`].
///
/// ```
/// use funnelpulse_alerts::{AlertCandidate, AlertsConfig, Observation};
/// use funnelpulse_core::{Severity, Timestamp};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("alerts.toml");
/// let lines = folder.path().join("alerts.jsonl");
/// std::fs::write(
///     &path,
///     format!(
///         "state = '{}'\n[[sinks]]\nkind = 'json_lines'\npath = '{}'\n",
///         folder.path().join("state.json").display(),
///         lines.display(),
///     ),
/// )?;
/// // First, before the work.
/// let alerts = AlertsConfig::load(&path)?;
/// // Afterwards, with what was found.
/// let at = |hour: i64| Timestamp::from_seconds(hour * 3600);
/// let mut outage = AlertCandidate::new("runail/checkout", "runail", Severity::High, at(5), at(8));
/// outage.ongoing = true;
/// let delivery = alerts.deliver(&Observation::new(at(8), vec![outage.clone()]))?;
/// assert_eq!((delivery.due, delivery.waiting()), (1, 0));
/// // The same again is no news.
/// assert_eq!(alerts.deliver(&Observation::new(at(8), vec![outage]))?.due, 0);
/// assert_eq!(std::fs::read_to_string(&lines)?.lines().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AlertService {
    source: PathBuf,
    config: AlertsConfig,
}

/// What became of the alerts of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Delivery {
    /// Messages that became due in this run.
    pub due: usize,
    /// Whether the data end before those of an earlier run: then nothing was due.
    pub outdated: bool,
    /// Alerts that did not fit into the spool; the state keeps them for the next run.
    pub unsent: usize,
    /// Per sink.
    pub report: DispatchReport,
}

impl Delivery {
    /// Deliveries that are left for the next run. A program that ends with some should say so, and
    /// end with a status of its own.
    pub fn waiting(&self) -> u64 {
        self.report.waiting() + self.unsent as u64
    }

    /// Whether every message was acknowledged.
    pub fn is_complete(&self) -> bool {
        self.waiting() == 0 && self.report.rejected() == 0 && self.report.spool_error.is_none()
    }
}

/// A line of what was due and one per sink.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} due", counted(self.due, "alert", "alerts"))?;
        if self.outdated {
            f.write_str(": the data end before those of an earlier run")?;
        }
        for (name, sink) in &self.report.sinks {
            write!(f, "\n  {name}: {} delivered", sink.delivered)?;
            if sink.rejected > 0 {
                write!(f, ", {} refused for good (kept in the file ending .rejected)", sink.rejected)?;
            }
            if sink.pending > 0 {
                write!(f, ", {} waiting for the next run", sink.pending)?;
            }
            if let Some(error) = &sink.last_error {
                write!(f, ", last error: {error}")?;
            }
        }
        if self.report.orphaned > 0 {
            let alerts = counted(self.report.orphaned, "alert", "alerts");
            write!(f, "\n  {alerts} for sinks that are not configured any more, kept in .rejected")?;
        }
        if self.report.damaged_lines > 0 {
            let lines = counted(self.report.damaged_lines, "damaged line", "damaged lines");
            write!(f, "\n  {lines} in the spool, kept in .damaged")?;
        }
        if let Some(error) = &self.report.spool_error {
            write!(f, "\n  the spool could not be written: {error}")?;
        }
        Ok(())
    }
}

impl AlertService {
    /// A dispatcher with the sinks of the settings, for alerts that a program makes as it goes.
    ///
    /// ```
    /// use std::{path::Path, time::Duration};
    /// use funnelpulse_alerts::{Alert, AlertsConfig};
    /// use funnelpulse_core::{Severity, Timestamp};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("alerts.toml");
    /// let text = format!(
    ///     "state = '{}'\n[[sinks]]\nkind = 'json_lines'\npath = '{}'\n",
    ///     folder.path().join("state.json").display(),
    ///     folder.path().join("inbox.jsonl").display(),
    /// );
    /// std::fs::write(&path, text)?;
    /// let dispatcher = AlertsConfig::load(&path)?.start()?;
    /// let alert = Alert::new("runail/dip", Severity::High, Timestamp::from_seconds(0));
    /// dispatcher.send_once(alert).expect("there is room");
    /// let report = dispatcher.shutdown(Duration::from_secs(10));
    /// assert_eq!(report.waiting(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(&self) -> Result<Dispatcher, AlertsError> {
        Dispatcher::new(self.config.dispatch.clone(), sinks(&self.config)?)
    }

    /// The settings.
    pub fn config(&self) -> &AlertsConfig {
        &self.config
    }

    /// Checks again, and says what would happen: for a command that checks the settings.
    pub fn check(&self) -> Result<CheckReport, AlertsError> {
        check::check(&self.source, &self.config)
    }

    /// Sends what is news in an observation, and what earlier runs left behind, and waits for the
    /// receivers up to [`patience_seconds`](DispatchConfig::patience_seconds).
    ///
    /// Nothing is lost and nothing that was acknowledged is sent again, whenever the process is
    /// killed: what is due is first saved with the state, then moved to the spool, then delivered, and
    /// each acknowledgement is saved before the next message is sent. A message comes twice only when
    /// the process dies between the acknowledgement and its record, with the same
    /// [key](crate::Alert::idempotency_key).
    ///
    /// Where the spool can't be written, on a full disk for example, the alerts are delivered from
    /// memory, the state keeps those that were not acknowledged, and the report has the reason.
    pub fn deliver(&self, observation: &Observation) -> Result<Delivery, AlertsError> {
        // First, because it holds off other processes: the state is ours from here on.
        let dispatcher = Dispatcher::new(self.config.dispatch.clone(), sinks(&self.config)?)?;
        let path = &self.config.state;
        let mut state = AlertState::load(path, self.config.notifier.clone())?;
        let news = state.update(observation);
        state.save(path)?;
        let sent = state.outbox().iter().take_while(|alert| dispatcher.send_once((*alert).clone()).is_ok()).count();
        let unsent: Vec<String> = state.outbox()[sent..].iter().map(|a| a.id.clone()).collect();

        let patience = self.config.dispatch.patience();
        let persisted = dispatcher.persist(DISK_PATIENCE).is_ok();
        if persisted {
            state.retain_outbox(|alert| unsent.contains(&alert.id));
            state.save(path)?;
        }
        dispatcher.flush(patience);
        if !persisted {
            state.retain_outbox(|alert| unsent.contains(&alert.id) || dispatcher.lacks(&alert.id));
            state.save(path)?;
        }
        let report = dispatcher.shutdown(Duration::ZERO);
        Ok(Delivery { due: news.alerts.len(), outdated: news.outdated, unsent: unsent.len(), report })
    }
}

/// The sinks of a configuration, in order.
fn sinks(config: &AlertsConfig) -> Result<Vec<Box<dyn Sink>>, AlertsError> {
    config.sinks.iter().map(SinkConfig::build).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SinkReport;

    fn delivery(sink: SinkReport, change: impl FnOnce(&mut Delivery)) -> Delivery {
        let sinks = [("pager".to_owned(), sink)].into();
        let report = DispatchReport { sinks, ..DispatchReport::default() };
        let mut delivery = Delivery { due: 2, report, ..Delivery::default() };
        change(&mut delivery);
        delivery
    }

    #[test]
    fn all_is_well_when_nothing_waits_or_failed() {
        let sink = |pending, rejected| SinkReport { pending, rejected, delivered: 2, ..SinkReport::default() };
        assert!(delivery(sink(0, 0), |_| {}).is_complete());
        assert!(!delivery(sink(1, 0), |_| {}).is_complete());
        assert!(!delivery(sink(0, 1), |_| {}).is_complete());
        assert!(!delivery(sink(0, 0), |d| d.unsent = 1).is_complete());
        assert!(!delivery(sink(0, 0), |d| d.report.spool_error = Some("full".into())).is_complete());
        assert_eq!(delivery(sink(3, 0), |d| d.unsent = 4).waiting(), 7);
    }

    #[test]
    fn the_text_names_what_went_wrong_and_nothing_else() {
        let sink = |pending, rejected| SinkReport { pending, rejected, delivered: 2, ..SinkReport::default() };
        assert_eq!(delivery(sink(0, 0), |_| {}).to_string(), "2 alerts due\n  pager: 2 delivered");
        let refused = delivery(sink(0, 1), |d| d.due = 1).to_string();
        assert_eq!(
            refused,
            "1 alert due\n  pager: 2 delivered, 1 refused for good (kept in the file ending .rejected)"
        );
        let waiting = delivery(sink(1, 0), |d| d.report.orphaned = 1).to_string();
        assert!(
            waiting.contains("pager: 2 delivered, 1 waiting for the next run\n  1 alert for sinks that"),
            "{waiting}"
        );
        let damaged = delivery(sink(0, 0), |d| d.report.damaged_lines = 1).to_string();
        assert!(damaged.ends_with("\n  1 damaged line in the spool, kept in .damaged"), "{damaged}");
    }
}
