//! What people and programs get to see.

use std::{
    ffi::OsStr,
    fmt::{self, Display},
    io::ErrorKind,
    path::Path,
    sync::Mutex,
    time::Duration,
};

use anyhow::Context;
use arrow::array::RecordBatch;
use funnelpulse::{
    Findings, LeftOut, Phase, Progress, SeriesFailure,
    analytics::{Summary, short},
    core::Absence,
    features::{IngestReport, PanelSpec},
    io::{Companion, StagedFile, csv_bytes, panel_to_batch, parquet_bytes, write_file, write_results},
    report::Report,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{Outcome, alerting, args::Results, context, input::Input, outputs};

mod findings;

pub(crate) use findings::print_findings;

/// A line, or several, of what was asked for, on the standard output. A reader that goes away, as
/// `head` does, is no error: what goes to files is still wanted.
pub(crate) fn say(text: impl Display) -> anyhow::Result<()> {
    match context::write_out(&text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output"),
    }
}

/// Prints a result as text or JSON, and writes the JSON where a file is named.
pub(crate) fn tell<T: Serialize>(
    json: bool,
    file: Option<&Path>,
    found: &T,
    text: impl FnOnce() -> Result<String, fmt::Error>,
) -> anyhow::Result<()> {
    let document = serde_json::to_string_pretty(found)?;
    if let Some(path) = file {
        write_bytes(path, format!("{document}\n"))?;
    }
    if json { say(document) } else { say(text()?.trim_end()) }
}

/// A number, or a dash where there is none.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { short(value) }
}

/// With a sign.
pub(crate) fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

/// A change in per cent.
pub(crate) fn per_cent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |p| if p.abs() < 1000.0 { format!("{p:+.1} %") } else { format!("{p:+.0} %") })
}

/// A remark beside the results, on the error stream; none with `--quiet`.
pub(crate) fn note(text: impl Display) {
    if !context::is_quiet() {
        warn(text);
    }
}

/// A warning or an error, on the error stream.
pub(crate) fn warn(text: impl Display) {
    // Nobody is left to hear of it when this fails.
    let _ = context::write_err(&text);
}

/// Writes a table to a file, or as CSV to the standard output where the name is `-`, and says `done` where that
/// does not get into the table.
pub(crate) fn write_table(path: &Path, batch: &RecordBatch, done: impl Display) -> anyhow::Result<()> {
    if path.as_os_str() != "-" {
        write_file(path, batch)?;
        return say(done);
    }
    say(String::from_utf8_lossy(&csv_bytes(batch)?).trim_end())?;
    note(done);
    Ok(())
}

/// An error and its causes in one line. Most errors name their cause in their own text already.
pub(crate) fn in_words(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text {
        text if text.is_empty() => cause,
        text if text.ends_with(&cause) => text,
        text => format!("{text}: {cause}"),
    })
}

/// A callback that draws a bar per phase on a terminal.
pub(crate) fn progress() -> impl Fn(Progress<'_>) + Send + Sync + 'static {
    let current: Mutex<Option<(Phase, ProgressBar)>> = Mutex::new(None);
    move |progress| {
        if context::is_quiet() {
            return;
        }
        let Ok(mut current) = current.lock() else { return };
        if current.as_ref().is_none_or(|(phase, _)| *phase != progress.phase) {
            let name = match progress.phase {
                Phase::Prepare => "preparing",
                Phase::Fit => "training",
                Phase::Detect => "scoring",
            };
            *current = Some((progress.phase, bar(name, progress.total)));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_position(progress.done as u64);
            if progress.done == progress.total {
                bar.finish_and_clear();
            }
        }
    }
}

/// A bar on the error stream; invisible where that is no terminal.
pub(crate) fn bar(name: &'static str, total: usize) -> ProgressBar {
    let bar = if context::is_quiet() { ProgressBar::hidden() } else { ProgressBar::new(total as u64) };
    let style = ProgressStyle::with_template("{msg:>10} [{bar:40}] {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_message(name);
    bar
}

/// A spinner for something of unknown length.
pub(crate) fn spinner(name: &'static str) -> ProgressBar {
    let spinner = if context::is_quiet() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    spinner.set_message(name);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// What a run comes to, for programs.
#[derive(Serialize)]
struct Digest<'a> {
    rows_read: usize,
    rows_scored: usize,
    series_scored: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<&'a IngestReport>,
    /// Rows that went into another row of the same window.
    #[serde(skip_serializing_if = "is_zero")]
    duplicates: usize,
    /// Rows far from all others, which are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    strays: Vec<String>,
    /// Detectors that did not run, or not on every series.
    #[serde(skip_serializing_if = "<[Omission]>::is_empty")]
    omissions: &'a [Omission],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    summary: &'a Summary,
    failures: &'a [SeriesFailure],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field so")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// A detector that did not run, or not on every series.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Omission {
    pub(crate) detector: String,
    /// How many series it has no model for; `None` where it did not run at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) series: Option<usize>,
    pub(crate) reason: String,
}

impl Omission {
    /// Detectors with nothing to look at, and models that could not be trained: one entry per detector
    /// with the first reason.
    pub(crate) fn collect(left_out: &[LeftOut], absences: &[(String, Absence)]) -> Vec<Self> {
        let none =
            left_out.iter().map(|l| Self { detector: l.detector.clone(), series: None, reason: l.reason.clone() });
        let mut omissions: Vec<Self> = none.collect();
        for (detector, absence) in absences {
            let counted = usize::from(absence.series.is_some());
            match omissions.iter_mut().find(|o| o.detector == *detector && o.series.is_some()) {
                Some(omission) => omission.series = omission.series.map(|n| n + counted),
                None => omissions.push(Self {
                    detector: detector.clone(),
                    series: absence.series.as_ref().map(|_| 1),
                    reason: absence.reason.clone(),
                }),
            }
        }
        omissions
    }
}

impl Display for Omission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.series {
            None => write!(f, "detector `{}` does not run: {}", self.detector, self.reason),
            Some(n) => {
                write!(f, "detector `{}` has no model of {n} series, for example: {}", self.detector, self.reason)
            }
        }
    }
}

/// Writes tables, summary and report; prints the same in short.
pub(crate) fn deliver(
    mut findings: Findings,
    input: Input,
    spec: &PanelSpec,
    omissions: &[Omission],
    results: &Results,
    title: &str,
) -> anyhow::Result<Outcome> {
    findings.add_failures(input.failures);
    for (stage, time) in findings.timings() {
        tracing::info!(stage, seconds = time.as_secs_f64(), "finished");
    }
    let summary = findings.summary();
    let digest = Digest {
        rows_read: input.rows,
        rows_scored: findings.rows(),
        series_scored: findings.series().len(),
        events: input.ingest.as_ref(),
        duplicates: input.duplicates,
        strays: input.strays.iter().map(ToString::to_string).collect(),
        omissions,
        warnings: findings.warnings(),
        summary: &summary,
        failures: findings.failures(),
    };
    let json = serde_json::to_string_pretty(&digest)?;
    let hourly = input.ingest.as_ref().map(|_| parquet_bytes(&panel_to_batch(&input.panel, spec)?)).transpose()?;
    let (incidents, alerts) =
        (lines(findings.site_incidents().iter().chain(findings.incidents()))?, lines(alerts(&findings))?);
    let mut files = vec![
        Companion::new("summary.json", json.as_bytes()),
        Companion::new("incidents.jsonl", incidents.as_bytes()),
        Companion::new("alerts.jsonl", alerts.as_bytes()),
    ];
    files.extend(hourly.as_ref().map(|contents| Companion::new("hourly.parquet", contents)));
    // Everything at once: after a crash there is the old result or the new one.
    create_folder(&results.output)?;
    let page = results.report.as_ref().map(|_| page(&findings, input.ingest.as_ref(), title)).transpose()?;
    let report = results.report.as_deref().zip(page.as_deref());
    let place = report.map(|(path, page)| Place::of(path, page, &results.output)).transpose()?;
    if let Some(Place::Beside(report)) = &place {
        files.push(*report);
    }
    write_results(&results.output.join("anomalies"), &findings.to_batch(results.all_rows), "window_date", &files)?;
    if let Some(Place::Elsewhere(report)) = place {
        report.commit()?;
    }
    if results.json {
        say(json)?;
    } else {
        print_findings(&findings, &summary, results.top)?;
        say(format_args!("\nResults in {}", results.output.display()))?;
        if let Some(path) = &results.report {
            say(format_args!("Report in {}", path.display()))?;
        }
    }
    if results.timings {
        print_timings(&findings);
    }
    let waiting = results.alerts.as_ref().map_or(Ok(false), |path| alerting::deliver(path, &findings))?;
    for omission in omissions {
        note(format_args!("note: {omission}"));
    }
    for warning in findings.warnings() {
        warn(format_args!("warning: {warning}"));
    }
    print_failures(findings.failures(), " (all in summary.json)");
    if findings.series().is_empty() {
        warn("error: no series could be scored");
    }
    let unscored = findings.series().is_empty() || results.strict && !findings.failures().is_empty();
    Ok(if unscored {
        Outcome::Unscored
    } else if waiting {
        Outcome::Waiting
    } else {
        Outcome::Done
    })
}

/// Checks before the work that the results can be written.
pub(crate) fn check_paths(results: &Results) -> anyhow::Result<()> {
    outputs::folder("--output", &results.output)?;
    outputs::report("--report", results.report.as_deref())
}

/// The report as it is to be written.
fn page(findings: &Findings, ingest: Option<&IngestReport>, title: &str) -> anyhow::Result<String> {
    let notes = ingest.map(ToString::to_string).unwrap_or_default();
    Ok(Report::new(findings).title(title).notes(notes.lines().map(str::to_owned).collect()).to_html()?)
}

/// Where a report goes.
enum Place<'a> {
    /// Into the folder of the results: it appears in the same moment as they do.
    Beside(Companion<'a>),
    /// Anywhere else: it is on the disk before the results appear, and gets its name right after.
    Elsewhere(StagedFile),
}

impl<'a> Place<'a> {
    fn of(path: &'a Path, page: &'a str, output: &Path) -> anyhow::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        create_folder(folder)?;
        let beside = folder.canonicalize().ok() == output.canonicalize().ok();
        // Names of that kind belong to what is inside the table.
        let name = path.file_name().and_then(OsStr::to_str).filter(|name| !name.starts_with(['.', '_']));
        match name.filter(|_| beside) {
            Some(name) => Ok(Self::Beside(Companion::kept(name, page.as_bytes()))),
            None => Ok(Self::Elsewhere(StagedFile::write(path, page.as_bytes())?)),
        }
    }
}

/// A line of JSON per value.
fn lines<T: Serialize>(values: impl IntoIterator<Item = T>) -> serde_json::Result<String> {
    values.into_iter().map(|value| Ok(serde_json::to_string(&value)? + "\n")).collect()
}

/// One alert per incident.
fn alerts(findings: &Findings) -> Vec<serde_json::Value> {
    let site = findings.site_incidents().iter().filter(|i| i.is_alarm());
    site.chain(findings.incidents()).map(alerting::as_json).collect()
}

/// What `run` writes, for findings that come from no file.
pub(crate) fn write_tables(findings: &Findings, output: &Path, rows: usize) -> anyhow::Result<()> {
    create_folder(output)?;
    let summary = findings.summary();
    let digest = Digest {
        rows_read: rows,
        rows_scored: findings.rows(),
        series_scored: findings.series().len(),
        events: None,
        duplicates: 0,
        strays: Vec::new(),
        omissions: &[],
        warnings: findings.warnings(),
        summary: &summary,
        failures: findings.failures(),
    };
    let json = serde_json::to_string_pretty(&digest)?;
    let incidents = lines(findings.site_incidents().iter().chain(findings.incidents()))?;
    let alerts = lines(alerts(findings))?;
    let files = [
        Companion::new("summary.json", json.as_bytes()),
        Companion::new("incidents.jsonl", incidents.as_bytes()),
        Companion::new("alerts.jsonl", alerts.as_bytes()),
    ];
    write_results(&output.join("anomalies"), &findings.to_batch(false), "window_date", &files)?;
    Ok(())
}

/// Makes a folder, and those above it.
pub(crate) fn create_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path).with_context(|| path.display().to_string())
}

/// Writes a file.
pub(crate) fn write_bytes(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| path.display().to_string())
}

/// Series that could not be used, a few by name. `rest` says where the others are.
pub(crate) fn print_failures(failures: &[SeriesFailure], rest: &str) {
    const SHOWN: usize = 5;
    if failures.is_empty() {
        return;
    }
    let count = failures.len();
    warn(format_args!("warning: {count} {} left out:", if count == 1 { "series is" } else { "series are" }));
    for failure in failures.iter().take(SHOWN) {
        warn(format_args!("  {}: {}", failure.series, failure.message));
    }
    if count > SHOWN {
        warn(format_args!("  ... and {} more{rest}", count - SHOWN));
    }
}

/// The time that each stage took, and its share.
fn print_timings(findings: &Findings) {
    let total: Duration = findings.timings().iter().map(|(_, time)| *time).sum();
    warn(format_args!("{:<14}{:>10}{:>8}", "stage", "seconds", "share"));
    for (stage, time) in findings.timings() {
        let share = 100.0 * time.as_secs_f64() / total.as_secs_f64().max(1e-9);
        warn(format_args!("{stage:<14}{:>10.3}{share:>6.1} %", time.as_secs_f64()));
    }
    warn(format_args!("{:<14}{:>10.3}", "all threads", total.as_secs_f64()));
}
