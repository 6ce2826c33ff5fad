//! `--plot`: series as pictures, in an SVG file or an HTML page.

use std::path::{Path, PathBuf};

use anyhow::bail;
use funnelpulse::core::Timestamp;
use plotters::{coord::Shift, prelude::*};

use crate::output;

/// Width of a picture and height of one of its panels, in pixels.
const SIZE: (u32, u32) = (1200, 260);
/// Pictures on a page.
const MAX_PICTURES: usize = 50;
/// Points of a line; more are not seen in a picture of that width.
const MAX_POINTS: usize = 4_800;
const OBSERVED: RGBColor = RGBColor(59, 125, 196);
const FITTED: RGBColor = RGBColor(194, 87, 12);
const INK: RGBColor = RGBColor(60, 68, 80);
const BREAK: RGBColor = RGBColor(179, 38, 30);

/// Refused now rather than when all the work is done.
pub(crate) fn plot_file(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    match path.extension() {
        Some(end) if end.eq_ignore_ascii_case("svg") || end.eq_ignore_ascii_case("html") => Ok(path),
        _ => Err("the name should end in .svg or .html".to_owned()),
    }
}

/// One series: its panels, one below the other, over the same rows or times.
pub(crate) struct Picture {
    pub(crate) title: String,
    /// The time of each row; without it rows are counted.
    pub(crate) times: Option<Vec<Timestamp>>,
    pub(crate) panels: Vec<Panel>,
}

/// Lines over all rows of a picture. NaN is a gap.
#[derive(Default)]
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Drawn first, in blue.
    pub(crate) observed: Option<Vec<f64>>,
    /// Drawn over it, in orange, with the interval around it.
    pub(crate) fitted: Option<Vec<f64>>,
    pub(crate) interval: Option<(Vec<f64>, Vec<f64>)>,
    /// A horizontal line.
    pub(crate) limit: Option<f64>,
    /// First rows of segments, each with the rows between which the break may lie.
    pub(crate) breaks: Vec<(usize, (usize, usize))>,
}

/// Writes the pictures: all of them into a page, or the first into an SVG file.
pub(crate) fn write(path: &Path, pictures: &[Picture]) -> anyhow::Result<()> {
    let Some(first) = pictures.first() else { bail!("{}: there is no series to draw", path.display()) };
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("svg")) {
        if pictures.len() > 1 {
            let title = &first.title;
            output::note(format_args!("note: an SVG file shows one series, here `{title}`; an HTML page shows all"));
        }
        return output::write_text(path, &svg(first)?);
    }
    let mut body = String::new();
    for picture in pictures.iter().take(MAX_PICTURES) {
        body += &svg(picture)?;
        body.push('\n');
    }
    if pictures.len() > MAX_PICTURES {
        body += &format!("<p>The first {MAX_PICTURES} of {} series.</p>\n", pictures.len());
    }
    let style =
        "body { margin: 1rem auto; max-width: 1200px; font-family: sans-serif; } svg { width: 100%; height: auto; }";
    let head = format!("<meta charset=\"utf-8\"><title>funnelpulse</title><style>{style}</style>");
    output::write_text(
        path,
        &format!("<!DOCTYPE html>\n<html lang=\"en\"><head>{head}</head><body>\n{body}</body></html>\n"),
    )
}

/// The picture as an SVG element.
fn svg(picture: &Picture) -> anyhow::Result<String> {
    let mut text = String::new();
    let size = (SIZE.0, SIZE.1 * picture.panels.len() as u32 + 30);
    draw(picture, &SVGBackend::with_string(&mut text, size).into_drawing_area())
        .map_err(|error| anyhow::anyhow!("the picture of `{}`: {error}", picture.title))?;
    // A picture of its own has no size in pixels, so that it fits any page.
    let sized = format!("width=\"{}\" height=\"{}\" ", size.0, size.1);
    Ok(text.replacen(&sized, "", 1))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(picture: &Picture, root: &Area<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let area = root.titled(&picture.title, ("sans-serif", 20))?;
    let parts = area.split_evenly((picture.panels.len(), 1));
    for (part, panel) in parts.iter().zip(&picture.panels) {
        draw_panel(picture, panel, part)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(picture: &Picture, panel: &Panel, area: &Area<'_>) -> Drawn {
    let rows = panel.rows();
    let x = |row: usize| match &picture.times {
        Some(times) => times.get(row).map_or(f64::NAN, |t| t.as_micros() as f64 / Timestamp::SECOND as f64),
        None => row as f64,
    };
    let (low, high) = panel.range();
    let margin = 0.05 * (high - low).max(1e-9);
    let ends = x(0)..x(rows.saturating_sub(1)).max(x(0) + 1.0);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 15))
        .margin(6)
        .x_label_area_size(26)
        .y_label_area_size(70)
        .build_cartesian_2d(ends.clone(), low - margin..high + margin)?;
    let label = |value: &f64| match picture.times {
        Some(_) => Timestamp::from_seconds(*value as i64).to_string().replacen('T', " ", 1)[..16].to_owned(),
        None => format!("{value:.0}"),
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.5))
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .x_labels(8)
        .x_label_formatter(&label)
        .draw()?;
    if let Some((lower, upper)) = &panel.interval {
        let kept = |values: &[f64]| points(values, &x).collect::<Vec<_>>();
        let outline: Vec<(f64, f64)> = kept(lower).into_iter().chain(kept(upper).into_iter().rev()).collect();
        chart.draw_series([Polygon::new(outline, FITTED.mix(0.18))])?;
    }
    for (values, color) in [(&panel.observed, OBSERVED), (&panel.fitted, FITTED)] {
        for stretch in values.iter().flat_map(|values| stretches(values, &x)) {
            chart.draw_series(LineSeries::new(stretch, color.stroke_width(1)))?;
        }
    }
    for &(row, (first, last)) in &panel.breaks {
        let corners = [(x(first), low - margin), (x(last), high + margin)];
        chart.draw_series([Rectangle::new(corners, BREAK.mix(0.15).filled())])?;
        chart.draw_series([PathElement::new(
            [(x(row), low - margin), (x(row), high + margin)],
            BREAK.stroke_width(2),
        )])?;
    }
    if let Some(limit) = panel.limit {
        chart.draw_series([PathElement::new([(ends.start, limit), (ends.end, limit)], BREAK.stroke_width(1))])?;
    }
    Ok(())
}

impl Panel {
    fn lines(&self) -> impl Iterator<Item = &Vec<f64>> {
        let interval = self.interval.iter().flat_map(|(lower, upper)| [lower, upper]);
        self.observed.iter().chain(&self.fitted).chain(interval)
    }

    fn rows(&self) -> usize {
        self.lines().map(Vec::len).max().unwrap_or(0)
    }

    /// Lowest and highest value, or 0 and 1 where there is none.
    fn range(&self) -> (f64, f64) {
        let values = || self.lines().flatten().copied().chain(self.limit).filter(|v| v.is_finite());
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if low <= high { (low, high) } else { (0.0, 1.0) }
    }
}

/// The rows with a value, in pixels' number: of each run of rows the lowest and the highest.
fn points<'a>(values: &'a [f64], x: &'a impl Fn(usize) -> f64) -> impl Iterator<Item = (f64, f64)> + 'a {
    stretches(values, x).into_iter().flatten()
}

/// Runs of rows with a value, thinned out to what can be seen.
fn stretches(values: &[f64], x: &impl Fn(usize) -> f64) -> Vec<Vec<(f64, f64)>> {
    let width = (2 * values.len()).div_ceil(MAX_POINTS).max(1);
    let mut all: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for start in (0..values.len()).step_by(width) {
        let rows = start..(start + width).min(values.len());
        let seen: Vec<usize> = rows.filter(|&row| values[row].is_finite()).collect();
        let least = seen.iter().copied().min_by(|&a, &b| values[a].total_cmp(&values[b]));
        let most = seen.iter().copied().max_by(|&a, &b| values[a].total_cmp(&values[b]));
        let Some((least, most)) = least.zip(most) else {
            all.push(Vec::new());
            continue;
        };
        let mut ends = [least, most];
        ends.sort_unstable();
        let stretch = all.last_mut().expect("there is one from the start");
        stretch.extend(ends[usize::from(ends[0] == ends[1])..].iter().map(|&row| (x(row), values[row])));
    }
    all.retain(|stretch| !stretch.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_keep_their_extremes_and_gaps() {
        let mut values: Vec<f64> = (0..100_000).map(|i| f64::from(i % 7)).collect();
        (values[50_001], values[70_000]) = (99.0, -5.0);
        values[20_000..21_000].fill(f64::NAN);
        let seen = stretches(&values, &|row| row as f64);
        assert_eq!(seen.len(), 2);
        let all: Vec<(f64, f64)> = seen.concat();
        assert!(all.len() <= MAX_POINTS + 2 && all.contains(&(50_001.0, 99.0)) && all.contains(&(70_000.0, -5.0)));
        assert!(all.is_sorted_by(|a, b| a.0 < b.0));
    }
}
