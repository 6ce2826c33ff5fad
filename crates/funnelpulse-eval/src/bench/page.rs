//! The leaderboard as one HTML page that opens offline.

use std::{fmt::Write, path::Path};

use minijinja::{AutoEscape, Environment, Value, context};

use super::{Leaderboard, Run, RunStatus, Standing, leaderboard::short_p};
use crate::EvalError;

/// Width of the pictures.
const WIDTH: f64 = 860.0;
/// Space for names on either side of the diagram of critical differences.
const MARGIN: f64 = 190.0;
/// Height of a line.
const LINE: f64 = 20.0;
/// Runs without scores that are listed.
const LISTED: usize = 200;

/// The page: table, diagram of critical differences, quality beside time, means per data set, pairs, and what
/// failed. It needs no network.
///
/// ```
/// use funnelpulse_eval::bench::{BenchMetric, Leaderboard, leaderboard_page};
///
/// let board = Leaderboard::new(&[], BenchMetric::VusPr);
/// assert!(leaderboard_page(&board, &[], "TSB-AD")?.contains("<title>TSB-AD"));
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
///
/// # Errors
/// Never: the template is part of the crate.
pub fn leaderboard_page(board: &Leaderboard, runs: &[Run], title: &str) -> Result<String, EvalError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let ended = |run: &&Run| !matches!(run.status, RunStatus::Ok | RunStatus::NoLabels);
    let count = |(name, count): (&String, &usize)| context! { name => name, count => count };
    let all = context! {
        title => title,
        metric => board.metric.title(),
        series => board.series,
        standings => board.standings.iter().map(|s| line(board, s)).collect::<Vec<_>>(),
        collections => board.collections.iter().map(count).collect::<Vec<_>>(),
        friedman => board.friedman.map(short_p),
        critical_difference => board.critical_difference.map(|d| format!("{d:.2}")),
        diagram => Value::from_safe_string(diagram(board)),
        scatter => Value::from_safe_string(scatter(board)),
        pairs => pairs(board),
        failures => runs.iter().filter(ended).take(LISTED).map(failure).collect::<Vec<_>>(),
        failed => runs.iter().filter(ended).count(),
        left_out => &board.left_out,
    };
    let page = environment.render_str(include_str!("page.html"), all);
    page.map_err(|error| EvalError::suite(Path::new("page"), error))
}

/// The cells of one detector.
fn line(board: &Leaderboard, standing: &Standing) -> Value {
    let cell = |collection: &String| {
        standing.by_collection.get(collection).map_or("-".to_owned(), |mean| format!("{mean:.3}"))
    };
    context! {
        detector => &standing.detector,
        mean => format!("{:.3}", standing.mean),
        median => format!("{:.3}", standing.median),
        mean_rank => format!("{:.2}", standing.mean_rank),
        wins => standing.wins,
        failed => standing.failed,
        seconds => format!("{:.2}", standing.seconds),
        peak => standing.peak_bytes.map_or("-".to_owned(), |bytes| (bytes >> 20).to_string()),
        cells => board.collections.keys().map(cell).collect::<Vec<_>>(),
    }
}

fn failure(run: &Run) -> Value {
    let status = run.status.as_str();
    context! { detector => &run.detector, series => &run.series, status => status, message => &run.message }
}

/// The p-values of all pairs, row by row.
fn pairs(board: &Leaderboard) -> Vec<Vec<String>> {
    let count = board.standings.len();
    let p = |row: usize, column: usize| {
        board.wilcoxon.get(&(row.min(column), row.max(column))).map_or(String::new(), |p| short_p(*p))
    };
    (0..count).map(|row| (0..count).map(|column| p(row, column)).collect()).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Mean ranks on a line, the best on the left; bars join detectors whose ranks do not differ significantly.
fn diagram(board: &Leaderboard) -> String {
    let count = board.standings.len();
    let Some(difference) = board.critical_difference.filter(|_| board.series > 0) else { return String::new() };
    let groups = board.cliques();
    let place = |rank: f64| MARGIN + (rank - 1.0) / (count as f64 - 1.0).max(1.0) * (WIDTH - 2.0 * MARGIN);
    let (axis, first) = (56.0, 72.0 + 10.0 * groups.len() as f64);
    let height = first + LINE * (count as f64 / 2.0).ceil() + 10.0;
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Critical differences">"#);
    // Formatting into a string can't fail.
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64, class: &str| {
        let _ = write!(svg, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#);
    };
    line(place(1.0), axis, place(count as f64), axis, "axis");
    line(place(1.0), 20.0, place(1.0 + difference).min(WIDTH), 20.0, "bar");
    for rank in 1..=count {
        line(place(rank as f64), axis - 5.0, place(rank as f64), axis, "axis");
    }
    for (i, (start, end)) in groups.iter().enumerate() {
        let y = axis + 8.0 + 10.0 * i as f64;
        line(place(board.standings[*start].mean_rank) - 4.0, y, place(board.standings[*end].mean_rank) + 4.0, y, "bar");
    }
    for (i, standing) in board.standings.iter().enumerate() {
        let (x, y, left) = (place(standing.mean_rank), label_height(i, count, first), i < count.div_ceil(2));
        line(x, axis, x, y, "thin");
        line(x, y, if left { MARGIN - 8.0 } else { WIDTH - MARGIN + 8.0 }, y, "thin");
    }
    for rank in 1..=count {
        let _ =
            write!(svg, r#"<text x="{:.1}" y="{}" text-anchor="middle">{rank}</text>"#, place(rank as f64), axis - 9.0);
    }
    let _ = write!(svg, r#"<text x="{:.1}" y="14">critical difference {difference:.2}</text>"#, place(1.0));
    for (i, standing) in board.standings.iter().enumerate() {
        let left = i < count.div_ceil(2);
        let (x, anchor) = if left { (MARGIN - 12.0, "end") } else { (WIDTH - MARGIN + 12.0, "start") };
        let (y, name, rank) = (label_height(i, count, first) + 4.0, escaped(&standing.detector), standing.mean_rank);
        let _ = write!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{name} {rank:.2}</text>"#);
    }
    svg + "</svg>"
}

/// Names of the better half go down the left side, of the others up the right one, so that no lines cross.
fn label_height(position: usize, count: usize, first: f64) -> f64 {
    let half = count.div_ceil(2);
    let line = if position < half { position } else { count - 1 - position };
    first + LINE * line as f64
}

/// Mean of the metric beside the mean seconds of a run.
fn scatter(board: &Leaderboard) -> String {
    let points: Vec<(&str, f64, f64)> = board
        .standings
        .iter()
        .filter(|s| s.seconds > 0.0)
        .map(|s| (s.detector.as_str(), s.seconds.log10(), s.mean))
        .collect();
    if points.len() < 2 {
        return String::new();
    }
    let (height, bottom) = (280.0, 40.0);
    let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min).floor();
    let high = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max).ceil().max(low + 1.0);
    let top = points.iter().map(|p| p.2).fold(0.0_f64, f64::max).max(0.1) * 1.15;
    let x = |v: f64| 60.0 + (v - low) / (high - low) * (WIDTH - 200.0);
    let y = |v: f64| (height - bottom) * (1.0 - v / top);
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Quality beside time">"#);
    // Formatting into a string can't fail.
    for exponent in low as i32..=high as i32 {
        let at = x(f64::from(exponent));
        let _ = write!(svg, r#"<line x1="{at:.1}" y1="0" x2="{at:.1}" y2="{:.1}" class="grid"/>"#, height - bottom);
        let seconds = 10f64.powi(exponent);
        let _ = write!(
            svg,
            r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{seconds} s</text>"#,
            height - bottom + 16.0
        );
    }
    for fifth in 0..=4 {
        let value = top * f64::from(fifth) / 5.0;
        let at = y(value);
        let _ = write!(svg, r#"<line x1="60" y1="{at:.1}" x2="{:.1}" y2="{at:.1}" class="grid"/>"#, WIDTH - 140.0);
        let _ = write!(svg, r#"<text x="52" y="{:.1}" text-anchor="end">{value:.2}</text>"#, at + 4.0);
    }
    for (name, seconds, mean) in points {
        let (cx, cy) = (x(seconds), y(mean));
        let _ = write!(
            svg,
            r#"<circle cx="{cx:.1}" cy="{cy:.1}" r="4"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            cx + 7.0,
            cy + 4.0,
            escaped(name)
        );
    }
    svg + "</svg>"
}
