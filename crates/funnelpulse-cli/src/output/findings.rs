//! Findings as text for a terminal.

use std::{
    fmt::{self, Write as _},
    io::{self, IsTerminal},
};

use funnelpulse::{
    Findings, Incident,
    analytics::{Summary, short},
    core::counted,
};

use super::say;

/// The worst anomalies with their explanations, and the totals.
pub(crate) fn print_findings(findings: &Findings, summary: &Summary, top: usize) -> anyhow::Result<()> {
    let mut text = String::new();
    let ranked = findings.ranked();
    writeln!(
        text,
        "{} in {} of {} series",
        counted(summary.total.anomalies, "anomaly", "anomalies"),
        counted(findings.rows(), "row", "rows"),
        findings.series().len()
    )?;
    let severities: Vec<String> =
        summary.by_severity.iter().rev().map(|(severity, tally)| format!("{} {severity}", tally.anomalies)).collect();
    if !severities.is_empty() {
        writeln!(
            text,
            "{}; revenue below expectation by {}, above by {}",
            severities.join(", "),
            short(summary.total.revenue_lost),
            short(summary.total.revenue_gained)
        )?;
    }
    if let Some(trend) = &summary.trend {
        let (last, before) = (trend.last_week, trend.week_before);
        let rows = findings.clock().rows();
        writeln!(text, "{last} anomalous {rows} in the last week, {before} in the week before")?;
    }
    let site = findings.site_incidents();
    if top > 0 && !site.is_empty() {
        writeln!(text, "\nShared by all series:")?;
    }
    for incident in site.iter().take(top) {
        writeln!(text, "{}", indented(&incident.summary))?;
        if let Some(place) = &incident.place {
            writeln!(text, "{}", indented(&format!("Where: {place}")))?;
        }
    }
    let incidents = findings.incidents();
    let (gains, others): (Vec<&Incident>, Vec<&Incident>) = incidents.iter().copied().partition(|i| i.is_opportunity());
    if top > 0 && !others.is_empty() {
        writeln!(text, "\n{}, the most urgent first:", counted(others.len(), "incident", "incidents"))?;
    }
    others.iter().take(top).try_for_each(|incident| write_incident(&mut text, incident))?;
    if top > 0 && !gains.is_empty() {
        let gains = counted(gains.len(), "opportunity", "opportunities");
        writeln!(text, "\n{gains}, revenue above expectation:")?;
    }
    gains.iter().take(top).try_for_each(|incident| write_incident(&mut text, incident))?;
    if top > 0 && incidents.is_empty() && !ranked.is_empty() {
        writeln!(text, "\nBy impact:")?;
        for (_, anomaly) in ranked.into_iter().take(top) {
            writeln!(text, "{:>4}  {}  (score {:.2})", anomaly.rank, anomaly.notice.title, anomaly.score)?;
            writeln!(text, "{}", indented(&anomaly.notice.message))?;
        }
    }
    say(text.trim_end())
}

fn write_incident(text: &mut String, incident: &Incident) -> fmt::Result {
    let probability = match incident.probability {
        p if p.is_nan() => String::new(),
        p => format!(" (probability {p:.2})"),
    };
    writeln!(text, "  {}  {}{probability}", incident.priority, incident.severity)?;
    writeln!(text, "{}", indented(&incident.summary))?;
    match &incident.place {
        Some(place) => writeln!(text, "{}", indented(&format!("Where: {place}"))),
        None => Ok(()),
    }
}

/// Spaces before the text of an incident.
const INDENT: &str = "      ";

/// A text below a title; on a terminal in lines that fit.
fn indented(text: &str) -> String {
    if !io::stdout().is_terminal() {
        return format!("{INDENT}{text}");
    }
    let options = textwrap::Options::with_termwidth().initial_indent(INDENT).subsequent_indent(INDENT);
    textwrap::fill(text, options)
}
