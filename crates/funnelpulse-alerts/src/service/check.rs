//! What can be checked before there is anything to send.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use funnelpulse_core::{Timestamp, counted};
use serde::Serialize;

use super::AlertsConfig;
use crate::{
    AlertState, AlertsError, NotifierConfig, SinkConfig, spool,
    state::{FRESH, folder_of},
};

/// What a check of the settings found; everything is well where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The names of the sinks, in order.
    pub sinks: Vec<String>,
    /// Where each of them sends to, without secrets: of a webhook's address only the host.
    pub destinations: Vec<String>,
    /// Which messages are sent.
    pub notifier: NotifierConfig,
    /// The file of the state.
    pub state: PathBuf,
    /// The end of the data at the last run; `None` before the first.
    pub until: Option<Timestamp>,
    /// Incidents that were announced and are not over.
    pub open: usize,
    /// The file in which messages wait.
    pub spool: PathBuf,
    /// Messages in it that wait for a receiver.
    pub waiting: usize,
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotifierConfig { min_severity, resolved, .. } = &self.notifier;
        let end = if *resolved { ", and end" } else { "; not when they end" };
        writeln!(f, "messages: incidents of severity {min_severity} and above, when they begin, become worse{end}")?;
        for (name, destination) in self.sinks.iter().zip(&self.destinations) {
            writeln!(f, "sink `{name}`: {destination}")?;
        }
        match self.until {
            None => writeln!(f, "state: {}, no run yet", self.state.display())?,
            Some(until) => {
                let open = counted(self.open, "incident", "incidents");
                writeln!(f, "state: {}, data until {until}, {open} open", self.state.display())?;
            }
        }
        write!(f, "spool: {}, {} waiting", self.spool.display(), counted(self.waiting, "message", "messages"))
    }
}

pub(super) fn check(path: &Path, config: &AlertsConfig) -> Result<CheckReport, AlertsError> {
    let wrong = |section: &str| {
        let (path, section) = (path.to_owned(), section.to_owned());
        move |error| in_section(&path, &section, error)
    };
    config.dispatch.validate().map_err(wrong("dispatch"))?;
    let spool = config.dispatch.spool.clone().unwrap_or_default();
    check_files(path, config, &spool)?;
    // Before the sinks, which make files.
    for (field, file) in [("state", &config.state), ("dispatch.spool", &spool)] {
        if !folder_of(file).is_dir() {
            let reason = format!("the folder of {} does not exist", file.display());
            return Err(AlertsError::Config { path: path.to_owned(), field: field.to_owned(), reason });
        }
    }
    let (mut names, mut destinations) = (Vec::new(), Vec::new());
    for (index, sink) in config.sinks.iter().enumerate() {
        let section = format!("sinks[{index}]");
        let name = sink.build().map_err(wrong(&section))?.name().to_owned();
        destinations.push(sink.destination().map_err(wrong(&section))?);
        if names.contains(&name) {
            let (path, field) = (path.to_owned(), format!("{section}.name"));
            let reason = format!("`{name}` is the name of another sink too; give each a name of its own");
            return Err(AlertsError::Config { path, field, reason });
        }
        names.push(name);
    }
    let state = AlertState::load(&config.state, config.notifier.clone()).map_err(wrong("notifier"))?;
    let waiting = spool::peek(&spool).map_err(|e| AlertsError::file(&spool, e))?;
    let (until, open) = (state.until(), state.open().count());
    let (state, notifier) = (config.state.clone(), config.notifier.clone());
    Ok(CheckReport { sinks: names, destinations, notifier, state, until, open, spool, waiting })
}

/// Puts the section in front of a field.
fn in_section(path: &Path, section: &str, error: AlertsError) -> AlertsError {
    let path = path.to_owned();
    match error {
        AlertsError::Field { name, value, allowed } => {
            let reason = format!("{value} is out of range ({allowed})");
            AlertsError::Config { path, field: format!("{section}.{name}"), reason }
        }
        error @ AlertsError::Environment { .. } => {
            AlertsError::Config { path, field: section.to_owned(), reason: error.to_string() }
        }
        other => other,
    }
}

/// Refuses settings under which two things would be written to the same file.
fn check_files(path: &Path, config: &AlertsConfig, spool: &Path) -> Result<(), AlertsError> {
    let mut files: Vec<(String, PathBuf)> =
        vec![("the settings".into(), path.to_owned()), ("state".into(), config.state.clone())];
    files.push(("the spool".into(), spool.to_owned()));
    files.push((format!("the state's file .{FRESH}"), spool::beside(&config.state, FRESH)));
    for ending in spool::ENDINGS {
        files.push((format!("the spool's file .{ending}"), spool::beside(spool, ending)));
    }
    for (index, sink) in config.sinks.iter().enumerate() {
        if let SinkConfig::JsonLines(crate::JsonLinesConfig { path: Some(file), .. }) = sink {
            files.push((format!("sinks[{index}].path"), file.clone()));
        }
    }
    let mut seen: BTreeMap<PathBuf, String> = BTreeMap::new();
    for (what, file) in files {
        if let Some(first) = seen.insert(real(&file), what.clone()) {
            return Err(AlertsError::SameFile { path: file, first, second: what });
        }
    }
    Ok(())
}

/// A path that is the same for the same file, there or not.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = folder_of(path);
        folder.canonicalize().unwrap_or(folder).join(path.file_name().unwrap_or_default())
    })
}
