//! Series as pictures: lines with intervals, limits and breaks, as SVG, HTML or PNG.
//!
//! ```
//! use funnelpulse_report::plot::{PlotPanel, Picture, page};
//!
//! let level = PlotPanel {
//!     title: "level".to_owned(),
//!     observed: Some((0..100).map(|i| if i < 60 { 4.0 } else { 9.0 }).collect()),
//!     breaks: vec![(60, (58, 61))],
//!     ..PlotPanel::default()
//! };
//! let picture = Picture { title: "a series".to_owned(), panels: vec![level], ..Picture::default() };
//! assert!(picture.to_svg()?.starts_with("<svg"));
//! assert!(page(&[picture])?.contains("a series"));
//! # Ok::<(), funnelpulse_report::plot::PlotError>(())
//! ```

mod axis;
mod legend;
mod ticks;

use std::{fmt::Write, ops::Range};

use funnelpulse_core::{Detection, FrameView, Timestamp};
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use axis::Axis;
pub use legend::Legend;

/// Width of a picture and height of one of its panels, in pixels.
const SIZE: (u32, u32) = (1200, 260);
/// Height of the title of a picture, in pixels.
const TITLE_HEIGHT: u32 = 30;
/// Room for the half of a time that stands right of the last row, in pixels.
const HALF_A_LABEL: u32 = 56;
/// Pictures on a page.
pub const MAX_PICTURES: usize = 50;
/// Points of a line; more are not seen in a picture of that width.
const MAX_POINTS: usize = 4_800;
/// Pixels of a PNG per pixel of the picture: sharp on dense screens and in print.
#[cfg(feature = "png")]
const PIXEL_RATIO: f32 = 2.0;
/// Families of the fonts that a PNG takes, the first that is there; else any.
#[cfg(feature = "png")]
const FAMILIES: [&str; 6] = ["DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "Segoe UI"];
const OBSERVED: RGBColor = RGBColor(59, 125, 196);
const FITTED: RGBColor = RGBColor(194, 87, 12);
/// Opacity of an interval.
const INTERVAL: f64 = 0.18;
const INK: RGBColor = RGBColor(60, 68, 80);
const BREAK: RGBColor = RGBColor(179, 38, 30);

/// The reason why a picture could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The picture could not be drawn.
    #[error("the picture of `{title}`: {reason}")]
    Drawing {
        /// The title of the picture.
        title: String,
        /// The reason.
        reason: String,
    },
    /// Text of a PNG needs a font of the system, and there is none.
    #[error("a PNG needs a font, and the system has none: take SVG or HTML")]
    NoFont,
}

/// One series: its panels, one below the other, over the same rows or times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// The title.
    pub title: String,
    /// The time of each row; without it rows are counted.
    pub times: Option<Vec<Timestamp>>,
    /// The panels.
    pub panels: Vec<PlotPanel>,
}

/// Lines over all rows of a picture. NaN is a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlotPanel {
    /// The title.
    pub title: String,
    /// Drawn first, in blue.
    pub observed: Option<Vec<f64>>,
    /// Drawn over it, in orange.
    pub fitted: Option<Vec<f64>>,
    /// Lower and upper ends of the interval, of the same rows.
    pub interval: Option<(Vec<f64>, Vec<f64>)>,
    /// A horizontal line.
    pub limit: Option<f64>,
    /// First rows of segments, each with the rows between which the break may lie.
    pub breaks: Vec<(usize, (usize, usize))>,
    /// Lowest and highest value of the axis; by default those of all values. An interval is cut off there.
    pub range: Option<(f64, f64)>,
    /// The names of these parts; a legend has them where there are two or more.
    pub legend: Legend,
}

/// An HTML page of pictures, the first [`MAX_PICTURES`] of them.
///
/// # Errors
///
/// [`PlotError::Drawing`] for a picture that can't be drawn.
pub fn page(pictures: &[Picture]) -> Result<String, PlotError> {
    let drawn: Vec<String> = pictures.iter().take(MAX_PICTURES).map(Picture::to_svg).collect::<Result<_, _>>()?;
    let mut body = drawn.join("\n") + "\n";
    if pictures.len() > MAX_PICTURES {
        // Writing to a string does not fail.
        let _ = writeln!(body, "<p>The first {MAX_PICTURES} of {} series.</p>", pictures.len());
    }
    let style =
        "body { margin: 1rem auto; max-width: 1200px; font-family: sans-serif; } svg { width: 100%; height: auto; }";
    let head = format!("<meta charset=\"utf-8\"><title>funnelpulse</title><style>{style}</style>");
    Ok(format!("<!DOCTYPE html>\n<html lang=\"en\"><head>{head}</head><body>\n{body}</body></html>\n"))
}

impl Picture {
    /// What any detector finds in a frame of its columns: a panel per column, with expected values and their interval
    /// where the detector has them, and one with the score and the `limit` above which rows are flagged.
    ///
    /// ```
    /// use funnelpulse_core::{Columns, Detection, Frame};
    /// use funnelpulse_report::plot::Picture;
    ///
    /// let values = ndarray::array![[1.0], [1.0], [9.0], [1.0]];
    /// let frame = Frame::from_rows(Columns::new(["load"])?, values.clone())?;
    /// let expected = ndarray::Array2::ones((4, 1));
    /// let detection = Detection::new(ndarray::array![0.0, 0.0, 8.0, 0.0]).with_expected(expected);
    /// let picture = Picture::of_detection("a server", frame.view(), &detection, Some(3.0));
    /// assert_eq!(picture.panels.len(), 2);
    /// assert!(picture.to_svg()?.contains("load"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// With a detection of other rows or columns than those of the frame.
    pub fn of_detection(title: &str, frame: FrameView<'_>, detection: &Detection, limit: Option<f64>) -> Self {
        assert_eq!(frame.nrows(), detection.len(), "the detection is of another frame");
        let panel = |(column, name): (usize, &std::sync::Arc<str>)| PlotPanel {
            title: name.to_string(),
            observed: Some(frame.values().column(column).to_vec()),
            fitted: detection.expected().map(|expected| expected.column(column).to_vec()),
            interval: detection
                .interval()
                .map(|(low, high)| (low.column(column).to_vec(), high.column(column).to_vec())),
            ..PlotPanel::default()
        };
        let score = PlotPanel {
            title: "score".to_owned(),
            fitted: Some(detection.score().to_vec()),
            limit,
            legend: Legend { fitted: "score".to_owned(), ..Legend::default() },
            ..PlotPanel::default()
        };
        Self {
            title: title.to_owned(),
            times: Some(frame.time().to_vec()),
            panels: frame.columns().iter().enumerate().map(panel).chain([score]).collect(),
        }
    }

    /// The picture as an SVG element, 1200 units wide; it has no size in pixels, so that it fits any page.
    ///
    /// # Errors
    ///
    /// [`PlotError::Drawing`] if it can't be drawn.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        let mut text = String::new();
        let size = (SIZE.0, SIZE.1 * self.panels.len() as u32 + TITLE_HEIGHT);
        draw(self, &SVGBackend::with_string(&mut text, size).into_drawing_area()).map_err(|error| self.fail(error))?;
        let sized = format!("width=\"{}\" height=\"{}\" ", size.0, size.1);
        Ok(text.replacen(&sized, "", 1))
    }

    /// The picture as a PNG file, 2400 pixels wide, with a font of the system.
    ///
    /// # Errors
    ///
    /// [`PlotError::NoFont`] where the system has no font, [`PlotError::Drawing`] if it can't be drawn.
    #[cfg(feature = "png")]
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        use resvg::{
            tiny_skia::{Pixmap, Transform},
            usvg::{Options, Tree},
        };

        let options = Options { fontdb: fonts()?.into(), ..Options::default() };
        let tree = Tree::from_str(&self.to_svg()?, &options).map_err(|error| self.fail(error))?;
        let size = tree.size().to_int_size().scale_by(PIXEL_RATIO);
        let pixmap = size.and_then(|size| Pixmap::new(size.width(), size.height()));
        let mut pixmap = pixmap.ok_or_else(|| self.fail("it is too large"))?;
        resvg::render(&tree, Transform::from_scale(PIXEL_RATIO, PIXEL_RATIO), &mut pixmap.as_mut());
        pixmap.encode_png().map_err(|error| self.fail(error))
    }

    fn fail(&self, reason: impl ToString) -> PlotError {
        PlotError::Drawing { title: self.title.clone(), reason: reason.to_string() }
    }
}

/// The fonts of the system, one of them as that without serifs.
#[cfg(feature = "png")]
fn fonts() -> Result<resvg::usvg::fontdb::Database, PlotError> {
    let mut fonts = resvg::usvg::fontdb::Database::new();
    fonts.load_system_fonts();
    let families: Vec<String> = fonts.faces().flat_map(|face| &face.families).map(|(name, _)| name.clone()).collect();
    let known = FAMILIES.into_iter().find(|family| families.iter().any(|name| name == family));
    let family = known.map(str::to_owned).or_else(|| families.first().cloned()).ok_or(PlotError::NoFont)?;
    fonts.set_sans_serif_family(family);
    Ok(fonts)
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

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, RangedCoordf64>>;

fn draw_panel(picture: &Picture, panel: &PlotPanel, area: &Area<'_>) -> Drawn {
    let rows = panel.rows();
    let x = |row: usize| match &picture.times {
        Some(times) => times.get(row).map_or(f64::NAN, |t| t.as_micros() as f64 / Timestamp::SECOND as f64),
        None => row as f64,
    };
    let (low, high) = panel.ends();
    let margin = 0.05 * (high - low).max(1e-9);
    let (low, high) = (low - margin, high + margin);
    let ends = x(0)..x(rows.saturating_sub(1)).max(x(0) + 1.0);
    let marks = match picture.times {
        Some(_) => ticks::of_times(ends.start, ends.end),
        None => ticks::of_rows(ends.end),
    };
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 15))
        .margin(6)
        .margin_right(HALF_A_LABEL)
        .x_label_area_size(26)
        .y_label_area_size(70)
        .build_cartesian_2d(Axis::new(ends.clone(), marks.clone()), low..high)?;
    let label = |mark: &f64| match picture.times {
        Some(_) => ticks::time_label(*mark, &marks),
        None => format!("{mark:.0}"),
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.5))
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .x_label_formatter(&label)
        .y_label_formatter(&|value| ticks::value_label(*value, high - low))
        .draw()?;
    draw_lines(panel, &mut chart, &x, &(low..high))?;
    draw_marks(panel, &mut chart, &x, (ends, low..high))?;
    legend::draw(panel, area)
}

/// The interval, as far as it is in a panel with these ends, and the lines over it.
fn draw_lines(panel: &PlotPanel, chart: &mut Chart<'_, '_>, x: &impl Fn(usize) -> f64, up: &Range<f64>) -> Drawn {
    if let Some((lower, upper)) = &panel.interval {
        let cut = |(x, y): (f64, f64)| (x, y.clamp(up.start, up.end));
        let kept = |values: &[f64]| points(values, x).map(cut).collect::<Vec<_>>();
        let outline: Vec<(f64, f64)> = kept(lower).into_iter().chain(kept(upper).into_iter().rev()).collect();
        chart.draw_series([Polygon::new(outline, FITTED.mix(INTERVAL))])?;
    }
    for (values, color) in [(&panel.observed, OBSERVED), (&panel.fitted, FITTED)] {
        for stretch in values.iter().flat_map(|values| stretches(values, x)) {
            chart.draw_series(LineSeries::new(stretch, color.stroke_width(1)))?;
        }
    }
    Ok(())
}

/// The breaks and the limit, over the whole of a panel with these ends.
fn draw_marks(
    panel: &PlotPanel,
    chart: &mut Chart<'_, '_>,
    x: &impl Fn(usize) -> f64,
    (across, up): (Range<f64>, Range<f64>),
) -> Drawn {
    for &(row, (first, last)) in &panel.breaks {
        let corners = [(x(first), up.start), (x(last), up.end)];
        chart.draw_series([Rectangle::new(corners, BREAK.mix(0.15).filled())])?;
        chart.draw_series([PathElement::new([(x(row), up.start), (x(row), up.end)], BREAK.stroke_width(2))])?;
    }
    if let Some(limit) = panel.limit {
        chart.draw_series([PathElement::new([(across.start, limit), (across.end, limit)], BREAK.stroke_width(1))])?;
    }
    Ok(())
}

impl PlotPanel {
    fn lines(&self) -> impl Iterator<Item = &Vec<f64>> {
        let interval = self.interval.iter().flat_map(|(lower, upper)| [lower, upper]);
        self.observed.iter().chain(&self.fitted).chain(interval)
    }

    fn rows(&self) -> usize {
        self.lines().map(Vec::len).max().unwrap_or(0)
    }

    /// Lowest and highest value, or 0 and 1 where there is none.
    fn ends(&self) -> (f64, f64) {
        if let Some(range) = self.range {
            return range;
        }
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

    fn picture() -> Picture {
        let wave = |i: usize| (i as f64 * 0.1).sin();
        let panel = PlotPanel {
            title: "<values> & more".to_owned(),
            observed: Some((0..300).map(wave).collect()),
            fitted: Some((0..300).map(|i| 0.9 * wave(i)).collect()),
            interval: Some(((0..300).map(|i| wave(i) - 0.5).collect(), (0..300).map(|i| wave(i) + 0.5).collect())),
            limit: Some(1.2),
            breaks: vec![(150, (140, 160))],
            range: None,
            legend: Legend::default(),
        };
        let times = (0..300).map(|hour| Timestamp::from_seconds(3_600 * hour)).collect();
        Picture { title: "a <series>".to_owned(), times: Some(times), panels: vec![panel] }
    }

    #[test]
    fn pictures_escape_their_texts() {
        let svg = picture().to_svg().unwrap();
        assert!(svg.contains("&lt;values&gt; &amp; more") && !svg.contains("<series>"));
        let page = page(&vec![picture(); MAX_PICTURES + 2]).unwrap();
        assert_eq!(page.matches("<svg").count(), MAX_PICTURES);
        assert!(page.contains("The first 50 of 52 series."));
    }

    /// The texts of a picture, in order.
    fn texts(svg: &str) -> Vec<&str> {
        svg.split("</text>").filter_map(|part| part.rsplit_once('>').map(|(_, text)| text.trim())).collect()
    }

    #[test]
    fn a_legend_names_the_parts_and_labels_are_round() {
        let svg = picture().to_svg().unwrap();
        let texts = texts(&svg);
        for name in ["observed", "expected", "expected range", "threshold", "break"] {
            assert!(texts.contains(&name), "no {name} in {texts:?}");
        }
        // Twelve and a half days, marked every two.
        assert!(texts.contains(&"1970-01-03") && !svg.contains("1970-01-03 "), "{texts:?}");
        assert!(texts.contains(&"1") && !texts.contains(&"1.0"), "{texts:?}");
        let single = PlotPanel { observed: Some(vec![1.0, 2.0]), ..PlotPanel::default() };
        let svg = Picture { panels: vec![single], ..Picture::default() }.to_svg().unwrap();
        assert!(!svg.contains("observed"), "one line needs no legend");
    }

    #[cfg(feature = "png")]
    #[test]
    fn a_png_shows_lines_and_text() {
        let png = match picture().to_png() {
            Err(PlotError::NoFont) => return,
            png => png.unwrap(),
        };
        let pixels = resvg::tiny_skia::Pixmap::decode_png(&png).unwrap();
        assert_eq!((pixels.width(), pixels.height()), (2_400, 580));
        let of = |color: RGBColor| {
            let near = |a: u8, b: u8| a.abs_diff(b) < 8;
            let is = |p: &&resvg::tiny_skia::PremultipliedColorU8| {
                near(p.red(), color.0) && near(p.green(), color.1) && near(p.blue(), color.2)
            };
            pixels.pixels().iter().filter(is).count()
        };
        assert!(of(OBSERVED) > 1_000 && of(FITTED) > 1_000 && of(BREAK) > 1_000);
        let without = Picture { title: String::new(), panels: picture().panels, times: None };
        let plain = resvg::tiny_skia::Pixmap::decode_png(&without.to_png().unwrap()).unwrap();
        assert_ne!(plain.data(), pixels.data(), "the title and the times are drawn");
        // The title stands above the panels, in black.
        let title = |pixmap: &resvg::tiny_skia::Pixmap| {
            let rows = (pixmap.width() * 2 * TITLE_HEIGHT) as usize;
            pixmap.pixels()[..rows].iter().filter(|p| p.red() < 60 && p.green() < 60).count()
        };
        assert!(title(&pixels) > 100 && title(&plain) == 0);
    }
}
