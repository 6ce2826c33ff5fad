//! The page: what stands where.

use std::cmp::Ordering;

use funnelpulse_analytics::{Deviation, Summary};
use funnelpulse_core::{Severity, Timestamp};
use minijinja::{
    AutoEscape, Environment,
    syntax::SyntaxConfig,
    value::{Serde, Value},
};
use serde::Serialize;

use super::{
    Report, ReportError,
    incidents::{self, Card},
    number::{NONE, grouped, signed},
    plots::{self, Pictures, Timeline},
    units::Unit,
};
use funnelpulse_analytics::{Anomaly, Findings, SeriesFindings};

/// Rows of the ranked table; the full table is the pipeline's output, not a web page.
pub(super) const MAX_TABLE_ROWS: usize = 500;
const MAX_FAILURES: usize = 200;

#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    version: &'static str,
    period: Option<(String, String)>,
    tiles: Vec<Tile>,
    severities: Vec<Level>,
    notes: &'a [String],
    site: Vec<Card>,
    incidents: Vec<Card>,
    n_incidents: usize,
    quality: &'a [(String, String)],
    anomalies: usize,
    rows: Vec<Row>,
    primary: &'a str,
    unit: &'static str,
    units: &'static str,
    unit_title: String,
    has_revenue: bool,
    timelines: Vec<Chart>,
    affected: usize,
    bars: usize,
    failures: Vec<(&'a str, &'a str)>,
    n_failures: usize,
    style: Value,
    script: Value,
    library: Value,
    data: Value,
}

#[derive(Serialize)]
struct Tile {
    label: String,
    value: String,
    hint: String,
}

#[derive(Serialize)]
struct Level {
    name: &'static str,
    color: &'static str,
    count: String,
    starts_at: &'static str,
}

#[derive(Serialize)]
struct Row {
    rank: usize,
    time: String,
    iso: String,
    millis: i64,
    series: String,
    /// Position of its timeline.
    timeline: Option<usize>,
    severity: &'static str,
    kind: &'static str,
    /// For sorting: the change of revenue, 0 without one.
    change: f64,
    observed: String,
    expected: String,
    deviation: String,
    revenue: String,
    confidence: String,
    message: String,
    factors: Vec<(String, String)>,
    scores: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Chart {
    series: String,
    metrics: Vec<String>,
    anomalies: String,
    revenue: Option<String>,
    models: String,
    rows: String,
    rows_per_point: Option<String>,
}

pub(super) fn render(report: &Report<'_>) -> Result<String, ReportError> {
    let findings = report.findings;
    let (ranked, summary) = (findings.ranked(), findings.summary());
    let affected = most_affected(findings);
    let shown = &affected[..affected.len().min(report.max_series)];
    // They stand side by side.
    let height = 260.max(60 + 20 * affected.len().min(plots::MAX_BARS));
    let pictures = Pictures {
        by_hour: plots::by_hour(&ranked, height),
        by_series: plots::by_series(&affected, height),
        timelines: Timeline::of(findings, shown),
    };
    let has_revenue = ranked.iter().any(|(_, a)| a.impact.revenue.is_some());
    let timeline_of = |series: &SeriesFindings| shown.iter().position(|s| s.series == series.series);
    let primary = findings.metrics().get(findings.primary_metric());
    let (site, incidents, n_incidents) = incidents::cards(findings, &timeline_of);
    let unit = Unit::of(findings);
    let page = Page {
        title: &report.title,
        version: env!("CARGO_PKG_VERSION"),
        period: period(findings),
        tiles: tiles(findings, &summary, &ranked),
        severities: Severity::ALL.iter().rev().map(|&s| level(s, &summary)).collect(),
        notes: &report.notes,
        site,
        incidents,
        n_incidents,
        quality: &report.quality,
        anomalies: ranked.len(),
        rows: losses_first(&ranked[..ranked.len().min(MAX_TABLE_ROWS)])
            .into_iter()
            .map(|(series, anomaly)| row(findings, series, anomaly, timeline_of(series)))
            .collect(),
        primary: primary.map_or("", |name| name),
        unit: unit.one,
        units: unit.many,
        unit_title: unit.title(),
        has_revenue,
        timelines: shown.iter().zip(&pictures.timelines).map(|(s, t)| chart(findings, s, t)).collect(),
        affected: affected.len(),
        bars: affected.len().min(plots::MAX_BARS),
        failures: findings
            .failures()
            .iter()
            .take(MAX_FAILURES)
            .map(|f| (f.series.as_str(), f.message.as_str()))
            .collect(),
        n_failures: findings.failures().len(),
        style: Value::from_safe_string(include_str!("page.css").to_owned()),
        script: Value::from_safe_string(include_str!("page.js").to_owned()),
        library: Value::from_safe_string(plots::library().to_owned()),
        data: Value::from_safe_string(plots::json(&pictures)?),
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("grouped", grouped);
    Ok(environment.render_str(include_str!("page.html"), Serde(page))?)
}

/// Anomalies by rank, those that gained revenue after the others.
fn losses_first<'a>(ranked: &[(&'a SeriesFindings, &'a Anomaly)]) -> Vec<(&'a SeriesFindings, &'a Anomaly)> {
    let gains = |anomaly: &Anomaly| anomaly.impact.revenue.is_some_and(|revenue| revenue > 0.0);
    let mut rows = ranked.to_vec();
    rows.sort_by_key(|(_, anomaly)| gains(anomaly));
    rows
}

fn money(series: &SeriesFindings) -> f64 {
    series.anomalies.iter().filter_map(|a| a.impact.revenue).map(f64::abs).sum()
}

/// Series with anomalies, by revenue impact either way, then by number, then by name.
fn most_affected(findings: &Findings) -> Vec<&SeriesFindings> {
    let mut affected: Vec<_> = findings.series().iter().filter(|s| !s.anomalies.is_empty()).collect();
    affected.sort_by(|a, b| {
        let by_money = money(b).partial_cmp(&money(a)).unwrap_or(Ordering::Equal);
        by_money.then(b.anomalies.len().cmp(&a.anomalies.len()))
    });
    affected
}

pub(super) fn clock(time: Timestamp) -> String {
    // 2019-10-28T12:00:00Z as 2019-10-28 12:00
    let text = time.to_string();
    match text.strip_suffix(":00Z") {
        Some(minutes) => minutes.replacen('T', " ", 1),
        None => text,
    }
}

fn period(findings: &Findings) -> Option<(String, String)> {
    let first = findings.series().iter().filter_map(|s| s.time.first()).min()?;
    let last = findings.series().iter().filter_map(|s| s.time.last()).max()?;
    Some((clock(*first), clock(*last)))
}

fn tiles(findings: &Findings, summary: &Summary, ranked: &[(&SeriesFindings, &Anomaly)]) -> Vec<Tile> {
    let unit = Unit::of(findings);
    let count = |n: usize| whole(n as f64);
    let (rows, series) = (findings.rows(), findings.series().len());
    let share = 100.0 * ranked.len() as f64 / rows.max(1) as f64;
    let mut tiles = vec![
        Tile {
            label: format!("{}s scored", unit.title()),
            value: count(rows),
            hint: format!("in {} series", count(series)),
        },
        Tile {
            label: "Incidents".to_owned(),
            value: count(findings.incidents().len()),
            hint: match (findings.group_incidents().len(), findings.site_incidents().len()) {
                (0, 0) => "each in one series".to_owned(),
                (0, n) => format!("each in one series; {} more in all series at once", count(n)),
                (groups, 0) => format!("{} of them in several series at once", count(groups)),
                (groups, n) => {
                    format!(
                        "{} of them in several series at once; {} more in all series at once",
                        count(groups),
                        count(n)
                    )
                }
            },
        },
        Tile {
            label: format!("Anomalous {}", unit.many),
            value: count(ranked.len()),
            hint: format!("{} % of the {}", grouped(share), unit.many),
        },
        Tile {
            label: "Series affected".to_owned(),
            value: count(summary.by_series.len()),
            hint: match findings.failures().len() {
                0 => "all series could be scored".to_owned(),
                n => format!("{} could not be scored", count(n)),
            },
        },
    ];
    if ranked.iter().any(|(_, a)| a.impact.revenue.is_some()) {
        let hint = |side: &str| format!("{side} expectation, in the currency of the data");
        let lost =
            Tile { label: "Revenue lost".to_owned(), value: whole(summary.total.revenue_lost), hint: hint("below") };
        let gained = Tile {
            label: "Revenue gained".to_owned(),
            value: whole(summary.total.revenue_gained),
            hint: hint("above"),
        };
        tiles.extend([lost, gained]);
    }
    if ranked.iter().any(|(_, a)| a.impact.lost_conversions.is_some()) {
        let value = whole(summary.total.conversions_lost);
        tiles.push(Tile { label: "Conversions lost".to_owned(), value, hint: "below expectation".to_owned() });
    }
    tiles
}

/// Counts and totals of money, from ten on without decimals.
fn whole(value: f64) -> String {
    grouped(if value.abs() < 10.0 { value } else { value.round() })
}

fn level(severity: Severity, summary: &Summary) -> Level {
    let count = summary.by_severity.get(&severity).map_or(0, |tally| tally.anomalies);
    let starts_at = match severity {
        Severity::Low => "worth a line in a report",
        Severity::Medium => "worth a look today",
        Severity::High => "worth a look now",
        Severity::Critical => "worth waking somebody",
    };
    Level { name: severity.as_str(), color: plots::color(severity), count: grouped(count as f64), starts_at }
}

fn row(findings: &Findings, series: &SeriesFindings, anomaly: &Anomaly, timeline: Option<usize>) -> Row {
    let (at, metric) = (anomaly.row, findings.primary_metric());
    let deviation = match (series.observed.get([at, metric]), series.expected.get([at, metric])) {
        (Some(&observed), Some(&expected)) => Deviation::new("", observed, expected, f64::NAN),
        _ => Deviation::new("", f64::NAN, f64::NAN, f64::NAN),
    };
    let percentage = |p: f64| format!("{} %", signed(p.round()));
    let confidence = series.verdicts.get(at).map_or(f64::NAN, |v| v.confidence);
    Row {
        rank: anomaly.rank,
        time: clock(series.time[at]),
        iso: series.time[at].to_string(),
        millis: plots::millis(series.time[at]),
        series: series.series.to_string(),
        timeline,
        severity: anomaly.severity.as_str(),
        kind: anomaly.anomaly_type.as_str(),
        change: anomaly.impact.revenue.filter(|r| r.is_finite()).unwrap_or(0.0),
        observed: grouped(deviation.observed),
        expected: grouped(deviation.expected),
        deviation: deviation.percentage().map_or_else(|| NONE.to_owned(), percentage),
        revenue: anomaly.impact.revenue.map_or_else(|| NONE.to_owned(), |r| signed(r.round() + 0.0)),
        confidence: if confidence.is_nan() { NONE.to_owned() } else { format!("{:.0} %", 100.0 * confidence) },
        message: anomaly.notice.message.clone(),
        factors: anomaly.factors.iter().map(|f| (f.metric.clone(), format!("{:.0} %", 100.0 * f.share))).collect(),
        scores: series.models.iter().map(|m| (m.detector.clone(), score(m.scores[at]))).collect(),
    }
}

fn score(score: f64) -> String {
    if score.is_nan() { NONE.to_owned() } else { format!("{score:.3}") }
}

fn chart(findings: &Findings, series: &SeriesFindings, timeline: &Timeline) -> Chart {
    let name = |m: usize| findings.metrics().get(m).map(ToString::to_string).unwrap_or_default();
    let revenue = series.anomalies.iter().any(|a| a.impact.revenue.is_some());
    let net: f64 = series.anomalies.iter().filter_map(|a| a.impact.revenue).sum();
    Chart {
        series: series.series.to_string(),
        metrics: timeline.metrics.iter().map(|&m| name(m)).collect(),
        anomalies: grouped(series.anomalies.len() as f64),
        revenue: revenue.then(|| signed(net.round())),
        models: series.models_in_words(),
        rows: grouped(series.time.len() as f64),
        rows_per_point: (timeline.rows_per_point > 1).then(|| grouped(timeline.rows_per_point as f64)),
    }
}
