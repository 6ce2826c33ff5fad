//! From a table to a panel, as the command line does it.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use funnelpulse::{
    Catalog, Config, Findings, SeriesFailure,
    analytics::{HISTORY_DAYS, LocalizeConfig, windows_of_incidents},
    config::Section,
    core::Panel,
    features::Gold,
    io::{InputKind, ReadOptions, Table, read_cube, read_events, read_panel, recognise, set_aside_strays},
};

use crate::error::Failure;

/// The section of the configuration that says how tables are read.
const READ: &str = "read";
/// Incidents of which it is found out where they happened, as on the command line.
const MAX_LOCATED: usize = 200;
/// Series that an error names.
const SHOWN: usize = 5;

/// The detectors, and the section `read` that the command line has too.
pub(crate) fn catalog() -> Catalog {
    let options = Section::new(READ, ReadOptions::default(), |o: &ReadOptions| o.validate().map_err(Into::into));
    Catalog::default().with_section(options)
}

/// A panel and what was left out of it.
#[derive(Debug)]
pub(crate) struct Input {
    /// The series.
    pub(crate) panel: Panel,
    /// Series that could not be read.
    pub(crate) failures: Vec<SeriesFailure>,
    /// Remarks on rows that are not in the panel as they are in the table.
    pub(crate) notes: Vec<String>,
    /// The events, where they have dimensions over which causes can be located.
    events: Option<Table>,
}

impl Input {
    /// Reads events or hourly rows, whichever it is.
    pub(crate) fn read(batches: Vec<RecordBatch>, config: &Config) -> Result<Self, Failure> {
        let options = config.detectors.get::<ReadOptions>(READ).cloned().unwrap_or_default();
        let table = Table::from_batches("table", batches)?.with_options(&options)?;
        match recognise(&table, &config.input, &config.events)? {
            InputKind::Events => {
                let gold = read_events(&table, &config.events, config.input.step_seconds)?;
                let keep = config.events.further_dimensions().next().is_some();
                Self::of_events(gold, keep.then_some(table))
            }
            InputKind::Hourly => Self::of_rows(&table, config),
        }
    }

    fn of_rows(table: &Table, config: &Config) -> Result<Self, Failure> {
        let read = read_panel(table, &config.input)?;
        let failures: Vec<SeriesFailure> =
            read.problems.into_iter().map(|p| SeriesFailure { series: p.series, message: p.message }).collect();
        if read.panel.is_empty() {
            let mut text: Vec<String> =
                failures.iter().take(SHOWN).map(|f| format!("\n  {}: {}", f.series, f.message)).collect();
            if failures.len() > SHOWN {
                text.push(format!("\n  ... and {} more", failures.len() - SHOWN));
            }
            return Err(Failure::data(format!("no series can be used{}", text.concat())));
        }
        let mut notes = Vec::new();
        if read.duplicates > 0 {
            notes.push(format!("rows merged into another of the same window: {}", read.duplicates));
        }
        notes.extend(read.strays.iter().map(|stray| format!("set aside: {stray}")));
        Ok(Self { panel: read.panel, failures, notes, events: None })
    }

    fn of_events(gold: Gold, events: Option<Table>) -> Result<Self, Failure> {
        if gold.panel.is_empty() {
            return Err(Failure::data(format!("not one event could be counted\n{}", gold.report)));
        }
        let (panel, strays) = set_aside_strays(gold.panel)?;
        let mut notes: Vec<String> = gold.report.to_string().lines().map(str::to_owned).collect();
        notes.extend(strays.iter().map(|stray| format!("set aside: {stray}")));
        Ok(Self { panel, failures: Vec::new(), notes, events })
    }

    /// Finds out where incidents happened, if events with dimensions were read.
    pub(crate) fn locate(&self, findings: &mut Findings, config: &Config) -> Result<(), Failure> {
        let Some(table) = &self.events else { return Ok(()) };
        let urgent: Vec<_> = findings.site_incidents().iter().chain(findings.incidents()).take(MAX_LOCATED).collect();
        if urgent.is_empty() {
            return Ok(());
        }
        let windows = windows_of_incidents(urgent.iter().copied(), config.input.step_seconds, HISTORY_DAYS);
        let chosen: BTreeSet<String> = urgent.iter().map(|incident| incident.id.clone()).collect();
        let cube = read_cube(table, &config.events, config.input.step_seconds, Some(windows))?;
        findings.locate_incidents(&cube, HISTORY_DAYS, &LocalizeConfig::default(), |i| chosen.contains(&i.id));
        Ok(())
    }
}
