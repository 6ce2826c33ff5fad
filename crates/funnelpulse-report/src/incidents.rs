//! Incidents, each with its picture, its causes and its price.

use std::{cmp::Ordering, fmt::Write as _};

use funnelpulse_core::Timestamp;
use serde::Serialize;

use crate::{
    number::{NONE, grouped, signed},
    plots,
    units::Unit,
    view::clock,
};
use funnelpulse_analytics::{Findings, Incident, SeriesFindings};

/// Incidents that are shown; the others are in the table of incidents.
const SHOWN: usize = 60;
/// Size of a picture, pixels.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 96.0;
/// Hours before and after an incident that its picture shows at least.
const MARGIN_HOURS: i64 = 12;
/// Rows beyond which a picture skips some.
const MAX_POINTS: usize = 400;

/// One incident on the page.
#[derive(Serialize)]
pub(super) struct Card {
    kind: String,
    series: String,
    severity: &'static str,
    priority: String,
    period: String,
    probability: String,
    revenue: Option<String>,
    interval: Option<String>,
    summary: String,
    place: Option<String>,
    /// Position of the timeline of its series, and the time to show in it.
    timeline: Option<usize>,
    millis: i64,
    /// First time, and the one after the last, for the table of feedback; the series that it is of.
    start: String,
    end: String,
    members: Vec<String>,
    /// The same as a list in JSON.
    names: String,
    /// For sorting: the change of revenue, 0 without one.
    change: f64,
    /// What the picture shows.
    metric: Option<String>,
    /// The series of the picture, where the incident is of several; and the position of its timeline.
    pictured: Option<(String, Option<usize>)>,
    /// Points of the lines, as SVG has them; the incident's left edge and width.
    observed: String,
    expected: String,
    mark: (String, String),
    causes: Vec<Cause>,
}

/// A stage of the funnel and its part in the change.
#[derive(Serialize)]
struct Cause {
    name: String,
    part: String,
    /// Length of its bar, per cent.
    width: f64,
    lost: bool,
}

/// The cards of the whole site and of series, each the most urgent first, and how many incidents of series there are.
pub(super) fn cards(
    findings: &Findings,
    timeline_of: &dyn Fn(&SeriesFindings) -> Option<usize>,
) -> (Vec<Card>, Vec<Card>, usize) {
    let unit = Unit::of(findings);
    let card = |incident: &&Incident| card(findings, incident, unit, timeline_of);
    let mut site: Vec<&Incident> = findings.site_incidents().iter().collect();
    let mut all = findings.incidents();
    site.sort_by(|a, b| by_urgency(a, b));
    all.sort_by(|a, b| by_urgency(a, b));
    (site.iter().map(card).collect(), all.iter().take(SHOWN).map(card).collect(), all.len())
}

/// Losses and broken stages before gains, then by priority, then the largest loss first.
fn by_urgency(a: &Incident, b: &Incident) -> Ordering {
    let gains = a.is_opportunity().cmp(&b.is_opportunity());
    gains.then(a.priority.cmp(&b.priority)).then(change(a).total_cmp(&change(b)))
}

/// The change of revenue, 0 without one.
fn change(incident: &Incident) -> f64 {
    incident.impact.revenue.filter(|revenue| revenue.is_finite()).unwrap_or(0.0)
}

/// The series whose picture stands for the incident: its own, or of several the one whose revenue changed most.
fn pictured<'a>(findings: &'a Findings, incident: &Incident) -> Option<&'a SeriesFindings> {
    if incident.members.is_empty() {
        return findings.series().iter().find(|series| series.series == incident.series);
    }
    let part = |series: &&SeriesFindings| {
        let of_group = series.incidents.iter().filter(|i| i.group.as_ref() == Some(&incident.id));
        of_group.map(|i| change(i).abs()).max_by(f64::total_cmp)
    };
    let parts = findings.series().iter().filter_map(|series| Some((series, part(&series)?)));
    // Of equal ones the first by name.
    parts.rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(series, _)| series)
}

fn card(
    findings: &Findings,
    incident: &Incident,
    unit: Unit,
    timeline_of: &dyn Fn(&SeriesFindings) -> Option<usize>,
) -> Card {
    let series = pictured(findings, incident);
    let is_group = !incident.members.is_empty();
    let metric = series.and_then(|s| shown_metric(findings, incident).map(|m| (s, m)));
    let picture = metric.map(|(series, metric)| Picture::new(series, incident, metric)).unwrap_or_default();
    let largest = incident.stages.iter().map(|(_, part)| part.abs()).fold(0.0, f64::max);
    let cause = |(name, part): &(String, f64)| Cause {
        name: name.replace('_', " "),
        part: signed(part.round()),
        width: if largest > 0.0 { (100.0 * part.abs() / largest).round() } else { 0.0 },
        lost: *part < 0.0,
    };
    let members: Vec<String> = match incident.members.len() {
        0 => vec![incident.series.to_string()],
        _ => incident.members.iter().map(ToString::to_string).collect(),
    };
    Card {
        kind: incident.kind.as_str().replace('_', " "),
        series: match incident.members.len() {
            0 => incident.series.to_string(),
            number => format!("{number} series"),
        },
        severity: incident.severity.as_str(),
        priority: incident.priority.to_string(),
        period: period(incident, unit),
        probability: match incident.probability {
            p if p.is_nan() => NONE.to_owned(),
            p => format!("{:.0} %", 100.0 * p),
        },
        revenue: incident.impact.revenue.map(|r| signed(r.round())),
        interval: incident.revenue_interval.map(|(a, b)| format!("{} to {}", signed(a.round()), signed(b.round()))),
        summary: incident.summary.clone(),
        place: incident.place.as_ref().map(ToString::to_string),
        timeline: series.filter(|_| !is_group).and_then(timeline_of),
        millis: plots::millis(incident.start),
        start: incident.start.to_string(),
        end: incident.end.to_string(),
        names: serde_json::to_string(&members).unwrap_or_default(),
        members,
        change: change(incident),
        pictured: series.filter(|_| is_group).map(|s| (s.series.to_string(), timeline_of(s))),
        metric: metric.and_then(|(_, m)| findings.metrics().get(m)).map(ToString::to_string),
        observed: picture.observed,
        expected: picture.expected,
        mark: picture.mark,
        causes: incident.stages.iter().map(cause).collect(),
    }
}

fn period(incident: &Incident, unit: Unit) -> String {
    let (count, unit) = unit.count(incident.end.as_micros() - incident.start.as_micros());
    let rest = if incident.ongoing { ", not over yet" } else { "" };
    format!("{} to {}, {} {unit}{rest}", clock(incident.start), clock(incident.end), grouped(count as f64))
}

/// The metric in which an incident shows: that of the stage that broke.
fn shown_metric(findings: &Findings, incident: &Incident) -> Option<usize> {
    // Positions within the funnel.
    let step = match incident.stage.as_deref() {
        Some("cart_rate") => 1,
        Some("purchase_rate") => 2,
        Some("order_value") => 3,
        _ => 0,
    };
    let name = findings.funnel()?.steps()[step]?;
    findings.metrics().position(name)
}

/// The lines of a picture.
#[derive(Default)]
struct Picture {
    observed: String,
    expected: String,
    mark: (String, String),
}

impl Picture {
    fn new(series: &SeriesFindings, incident: &Incident, metric: usize) -> Self {
        let length = incident.end.as_micros() - incident.start.as_micros();
        let margin = (length / 2).max(MARGIN_HOURS * Timestamp::HOUR);
        let (start, end) = (incident.start.offset(-margin), incident.end.offset(margin));
        let first = series.time.partition_point(|t| *t < start);
        let last = series.time.partition_point(|t| *t < end);
        let step = ((last - first) / MAX_POINTS).max(1);
        let rows: Vec<usize> = (first..last).step_by(step).collect();
        let values = |of: &ndarray::Array2<f64>| rows.iter().map(|&row| of[[row, metric]]).collect::<Vec<_>>();
        let (observed, expected) = (values(&series.observed), values(&series.expected));
        let top = observed.iter().chain(&expected).copied().filter(|v| v.is_finite()).fold(0.0, f64::max).max(1e-9);
        let span = (end.as_micros() - start.as_micros()) as f64;
        let x = |time: Timestamp| WIDTH * (time.as_micros() - start.as_micros()) as f64 / span;
        let line = |values: &[f64]| {
            let mut points = String::new();
            for (&row, value) in rows.iter().zip(values).filter(|(_, v)| v.is_finite()) {
                let y = (HEIGHT - 4.0) * (1.0 - value.clamp(0.0, top) / top) + 2.0;
                // Writing to a string can't fail.
                let _ = write!(points, "{:.1},{y:.1} ", x(series.time[row]));
            }
            points
        };
        let (left, right) = (x(incident.start), x(incident.end));
        Self {
            observed: line(&observed),
            expected: line(&expected),
            mark: (format!("{left:.1}"), format!("{:.1}", right - left)),
        }
    }
}
