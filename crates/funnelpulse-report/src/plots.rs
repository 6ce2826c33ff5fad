//! The pictures, as plotly draws them.

use std::{collections::BTreeMap, ops::Range};

use funnelpulse_core::{Severity, Timestamp};
use plotly::{
    Bar, Configuration, Layout, Plot, Scatter,
    common::{DashType, Fill, HoverInfo, Line, Marker, MarkerSymbol, Mode, Orientation},
    configuration::{DisplayModeBar, ModeBarButtonName},
    layout::{Axis, AxisType, BarMode, HoverMode, Margin, ModeBar, RangeMode},
};
use serde::Serialize;

use super::{ReportError, number::Rounded};
use funnelpulse_analytics::{Anomaly, Findings, SeriesFindings};

/// Points of a timeline: two for each pixel of a wide screen are not seen.
const MAX_POINTS: usize = 2_400;
/// Points that a timeline has at least, where there are as many rows.
const MIN_POINTS: usize = 300;
/// Points of all timelines together, each with four numbers: a page of three megabytes.
const ALL_POINTS: usize = 20_000;
/// Series with more than one metric to choose.
const DETAILED: usize = 6;
/// Bars in the picture of the series.
pub(super) const MAX_BARS: usize = 20;
/// A line is broken where rows are missing for this many times the usual step. Not at every
/// missing row: a point with a break on both sides would not be seen.
const BREAK: i64 = 6;
const METRICS_PER_SERIES: usize = 2;
const LABEL_CHARS: usize = 28;
const OBSERVED: &str = "#3b7dc4";
const EXPECTED: &str = "#8b95a5";
const BAND: &str = "rgba(125,145,175,0.25)";

pub(super) fn color(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "#4b6584",
        Severity::Medium => "#8a6a00",
        Severity::High => "#c2570c",
        Severity::Critical => "#b3261e",
    }
}

/// Shapes too, for those who can't tell the colours apart.
fn symbol(severity: Severity) -> MarkerSymbol {
    match severity {
        Severity::Low => MarkerSymbol::Circle,
        Severity::Medium => MarkerSymbol::TriangleUp,
        Severity::High => MarkerSymbol::Square,
        Severity::Critical => MarkerSymbol::Diamond,
    }
}

/// All data of the pictures. Traces that belong to a severity carry its name as legend group:
/// the page's filter goes by it.
#[derive(Serialize)]
pub(super) struct Pictures {
    pub(super) by_hour: Plot,
    pub(super) by_series: Plot,
    pub(super) timelines: Vec<Timeline>,
}

/// A series over time. Traces without points in time of their own share those of the timeline:
/// `start + unit * offset` in milliseconds since the Unix epoch.
#[derive(Serialize)]
pub(super) struct Timeline {
    start: i64,
    unit: i64,
    offsets: Vec<i64>,
    /// One per metric that the reader can choose.
    plots: Vec<Plot>,
    /// The highest score of each point, and the threshold.
    score: Vec<Rounded>,
    threshold: Rounded,
    /// First and last millisecond and severity of each incident.
    bands: Vec<(i64, i64, &'static str)>,
    /// Columns of the metrics.
    #[serde(skip)]
    pub(super) metrics: Vec<usize>,
    /// Rows that a point is the mean of.
    #[serde(skip)]
    pub(super) rows_per_point: usize,
}

/// What plotly takes for a time, UTC.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000)
}

/// Plotly takes `<b>` and its like in labels for markup.
fn label(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LABEL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn plot(traces: Vec<Box<dyn plotly::Trace>>, layout: Layout, tools: DisplayModeBar) -> Plot {
    let mut plot = Plot::new();
    plot.add_traces(traces);
    plot.set_layout(
        layout
            .auto_size(true)
            .show_legend(false)
            .paper_background_color("rgba(0,0,0,0)")
            .plot_background_color("rgba(0,0,0,0)")
            .mode_bar(ModeBar::new().background_color("rgba(0,0,0,0)").color(EXPECTED).active_color(OBSERVED)),
    );
    let clutter = vec![ModeBarButtonName::Select2d, ModeBarButtonName::Lasso2d, ModeBarButtonName::AutoScale2d];
    plot.set_configuration(
        Configuration::new()
            .responsive(true)
            .display_logo(false)
            .display_mode_bar(tools)
            .mode_bar_buttons_to_remove(clutter),
    );
    plot
}

/// From zero, with ticks at whole numbers.
fn counts_axis(highest: usize) -> Axis {
    let axis = Axis::new().range_mode(RangeMode::ToZero).tick_format(",d").fixed_range(true);
    if highest < 5 { axis.dtick(1.0) } else { axis }
}

/// Anomalies per hour of the day, stacked by severity.
pub(super) fn by_hour(ranked: &[(&SeriesFindings, &Anomaly)], height: usize) -> Plot {
    let mut counts = BTreeMap::<Severity, Vec<usize>>::new();
    for (series, anomaly) in ranked {
        let hour = series.time[anomaly.row].as_micros().div_euclid(Timestamp::HOUR).rem_euclid(24);
        counts.entry(anomaly.severity).or_insert_with(|| vec![0; 24])[hour as usize] += 1;
    }
    let highest = (0..24).map(|hour| counts.values().map(|c| c[hour]).sum()).max().unwrap_or(0);
    let traces = counts.into_iter().map(|(severity, counts)| {
        let bar = Bar::new((0..24_usize).collect(), counts).name(severity.as_str());
        styled(bar, severity).hover_template("%{x}:00 UTC: %{y} %{fullData.name}<extra></extra>") as Box<_>
    });
    let layout = Layout::new()
        .height(height)
        .bar_mode(BarMode::Stack)
        .margin(Margin::new().left(44).right(12).top(8).bottom(36))
        .x_axis(Axis::new().range(vec![-0.6, 23.6]).dtick(3.0).tick_suffix(":00").fixed_range(true))
        .y_axis(counts_axis(highest));
    plot(traces.collect(), layout, DisplayModeBar::False)
}

/// Anomalies of the most affected series, stacked by severity.
pub(super) fn by_series(affected: &[&SeriesFindings], height: usize) -> Plot {
    let shown = &affected[..affected.len().min(MAX_BARS)];
    let mut counts = BTreeMap::<Severity, Vec<usize>>::new();
    for (i, series) in shown.iter().enumerate() {
        for anomaly in &series.anomalies {
            counts.entry(anomaly.severity).or_insert_with(|| vec![0; shown.len()])[i] += 1;
        }
    }
    let highest = shown.iter().map(|s| s.anomalies.len()).max().unwrap_or(0);
    let names: Vec<String> = shown.iter().map(|s| label(&shortened(s.series.as_str()))).collect();
    let traces = counts.into_iter().map(|(severity, counts)| {
        // Positions, not names: two names may be shortened to the same.
        let bar = Bar::new(counts, (0..shown.len()).collect::<Vec<usize>>()).name(severity.as_str());
        let bar = bar.orientation(Orientation::Horizontal).hover_text_array(names.clone());
        styled(bar, severity).hover_template("%{hovertext}: %{x} %{fullData.name}<extra></extra>") as Box<_>
    });
    let traces = traces.collect();
    let positions = (0..shown.len()).map(|i| i as f64).collect();
    let layout = Layout::new()
        .height(height)
        .bar_mode(BarMode::Stack)
        .margin(Margin::new().left(60).right(12).top(8).bottom(36))
        .x_axis(counts_axis(highest))
        .y_axis(
            Axis::new()
                .tick_values(positions)
                .tick_text(names)
                .range(vec![shown.len() as f64 - 0.4, -0.6])
                .auto_margin(true)
                .fixed_range(true),
        );
    plot(traces, layout, DisplayModeBar::False)
}

fn styled<X, Y>(bar: Box<Bar<X, Y>>, severity: Severity) -> Box<Bar<X, Y>>
where
    X: Serialize + Clone + 'static,
    Y: Serialize + Clone + 'static,
{
    bar.legend_group(severity.as_str()).marker(Marker::new().color(color(severity)))
}

/// The rows that a point stands for, and its time; no rows where a line should break.
type Point = (i64, Range<usize>);

impl Timeline {
    /// The timelines of these series, the most affected first. The more there are, the coarser they are.
    pub(super) fn of(findings: &Findings, series: &[&SeriesFindings]) -> Vec<Self> {
        let pictures = series.len() + series.len().min(DETAILED) * (METRICS_PER_SERIES - 1);
        let points = (ALL_POINTS / pictures.max(1)).clamp(MIN_POINTS, MAX_POINTS);
        let metrics = |place: usize| if place < DETAILED { METRICS_PER_SERIES } else { 1 };
        series.iter().enumerate().map(|(place, s)| Self::new(findings, s, points, metrics(place))).collect()
    }

    fn new(findings: &Findings, series: &SeriesFindings, points: usize, count: usize) -> Self {
        let time: Vec<i64> = series.time.iter().copied().map(millis).collect();
        let start = time.first().copied().unwrap_or(0);
        let unit = time.iter().fold(0, |unit, t| greatest_common_divisor(unit, t - start)).max(1);
        let rows_per_point = time.len().div_ceil(points).max(1);
        let points = points_with_breaks(&time, rows_per_point);
        let mut metrics = metrics_worth_seeing(findings, series);
        metrics.truncate(count);
        let highest = |(_, rows): &Point| {
            let scores = series.verdicts[rows.clone()].iter().map(|v| v.score).filter(|score| score.is_finite());
            // A score has three digits in the page's texts, too.
            Rounded((scores.fold(f64::NAN, f64::max) * 1e3).round() / 1e3)
        };
        Self {
            start,
            unit,
            offsets: points.iter().map(|(t, _)| (t - start) / unit).collect(),
            plots: metrics.iter().map(|&m| timeline(findings, series, m, &points)).collect(),
            score: points.iter().map(highest).collect(),
            threshold: Rounded(series.verdicts.last().map_or(f64::NAN, |v| v.threshold)),
            bands: series.incidents.iter().map(|i| (millis(i.start), millis(i.end), i.severity.as_str())).collect(),
            metrics,
            rows_per_point,
        }
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn points_with_breaks(time: &[i64], rows_per_point: usize) -> Vec<Point> {
    let mut steps: Vec<i64> = time.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    let limit = steps.get(steps.len() / 2).map_or(i64::MAX, |usual| usual.saturating_mul(BREAK));
    let mut points: Vec<Point> = Vec::with_capacity(time.len() / rows_per_point + 1);
    for (i, &t) in time.iter().enumerate() {
        let gap = i.checked_sub(1).map(|p| time[p]).filter(|p| t - p > limit);
        match points.last_mut() {
            Some((_, rows)) if gap.is_none() && rows.len() < rows_per_point => rows.end = i + 1,
            _ => {
                points.extend(gap.map(|previous| (previous, 0..0)));
                points.push((t, i..i + 1));
            }
        }
    }
    points
}

/// What explains the worst anomaly best among the stored metrics, then the primary metric.
fn metrics_worth_seeing(findings: &Findings, series: &SeriesFindings) -> Vec<usize> {
    let worst = series.anomalies.iter().min_by_key(|a| a.rank);
    let mut factors = worst
        .into_iter()
        .flat_map(|a| &a.factors)
        .filter_map(|f| findings.metrics().position(&f.metric))
        .filter(|&m| m < findings.stored_metrics());
    let mut metrics: Vec<usize> = factors.next().into_iter().collect();
    for metric in std::iter::once(findings.primary_metric()).chain(factors) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    metrics.truncate(METRICS_PER_SERIES);
    metrics
}

fn timeline(findings: &Findings, series: &SeriesFindings, metric: usize, points: &[Point]) -> Plot {
    let observed = |row: usize| series.observed[[row, metric]];
    let expected = |row: usize| series.expected[[row, metric]];
    // What can't be negative is not expected to be.
    let signed = series.observed.column(metric).iter().any(|value| *value < 0.0);
    let lowest = if signed { f64::NEG_INFINITY } else { 0.0 };
    let values = |value: &dyn Fn(usize) -> f64| -> Vec<Rounded> {
        points.iter().map(|(_, rows)| Rounded(mean(rows.clone().map(value)))).collect()
    };
    let line = |value: &dyn Fn(usize) -> f64, style: Line| {
        Scatter::new(Vec::<i64>::new(), values(value)).mode(Mode::Lines).line(style)
    };
    let edge = || Line::new().width(0.0);
    let mut traces: Vec<Box<dyn plotly::Trace>> = vec![
        line(&|row| at_least(series.lower[[row, metric]], lowest), edge())
            .connect_gaps(true)
            .hover_info(HoverInfo::Skip),
        line(&|row| series.upper[[row, metric]], edge())
            .connect_gaps(true)
            .hover_info(HoverInfo::Skip)
            .fill(Fill::ToNextY)
            .fill_color(BAND),
        line(&|row| at_least(expected(row), lowest), Line::new().width(1.0).dash(DashType::Dot).color(EXPECTED))
            .name("expected"),
        line(&observed, Line::new().width(1.3).color(OBSERVED)).name("observed"),
    ];
    for severity in Severity::ALL {
        let points: Vec<(i64, f64, String)> = series
            .anomalies
            .iter()
            .filter(|a| a.severity == severity)
            .filter_map(|a| {
                let t = millis(series.time[a.row]);
                let y = [observed(a.row), expected(a.row)].into_iter().find(|v| v.is_finite())?;
                Some((t, y, hover(a)))
            })
            .collect();
        if points.is_empty() {
            continue;
        }
        let y = points.iter().map(|p| Rounded(p.1)).collect();
        let outline = Line::new().width(1.0).color("#ffffff");
        let marker = Marker::new().size(9).symbol(symbol(severity)).color(color(severity)).line(outline);
        traces.push(
            Scatter::new(points.iter().map(|p| p.0).collect(), y)
                .mode(Mode::Markers)
                .name(severity.as_str())
                .legend_group(severity.as_str())
                .marker(marker)
                .hover_text_array(points.into_iter().map(|p| p.2).collect())
                .hover_template("%{hovertext}<extra></extra>"),
        );
    }
    let whole = (0..findings.stored_metrics()).contains(&metric);
    let layout = Layout::new()
        .height(250)
        .hover_mode(HoverMode::XUnified)
        .margin(Margin::new().left(60).right(12).top(8).bottom(36))
        .x_axis(Axis::new().type_(AxisType::Date).hover_format("%a %Y-%m-%d %H:%M UTC").show_grid(false))
        .y_axis(Axis::new().zero_line(false).hover_format(if whole { ",.4~r" } else { ".4~r" }));
    plot(traces, layout, DisplayModeBar::Hover)
}

/// The mean of the values that are there; NaN without any.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        values.filter(|v| v.is_finite()).fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// `f64::max` would turn a missing value into the limit.
fn at_least(value: f64, limit: f64) -> f64 {
    if value < limit { limit } else { value }
}

fn hover(anomaly: &Anomaly) -> String {
    let mut text = format!("<b>#{} {} {}</b>", anomaly.rank, anomaly.severity, anomaly.anomaly_type);
    for factor in &anomaly.factors {
        text += "<br>";
        text += &label(&shortened_factor(&factor.to_string()));
    }
    text
}

fn shortened_factor(text: &str) -> String {
    match text.char_indices().nth(3 * LABEL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The script that draws the pictures: lines, bars and markers of plotly.js (MIT), the version of the crate `plotly`.
pub(super) fn library() -> &'static str {
    include_str!("plotly-basic.min.js")
}

/// JSON that can stand in a `<script>`: nothing in it can end the element or start a comment.
pub(super) fn json(pictures: &Pictures) -> Result<String, ReportError> {
    let json = serde_json::to_string(pictures)?;
    // Outside of strings JSON has none of these.
    Ok(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}
