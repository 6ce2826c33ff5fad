//! The legend of a panel, in the line of its title.

use plotters::prelude::*;

use super::{Area, BREAK, Drawn, FITTED, HALF_A_LABEL, INK, INTERVAL, OBSERVED, PlotPanel, SIZE};

/// Height of the letters, and their mean width as plotters estimates it, in pixels.
const LETTER: (i32, i32) = (12, 7);
/// Width of a sample of a line and the gap beside it, in pixels.
const SAMPLE: (i32, i32) = (18, 5);
/// Gap between two entries, in pixels.
const BETWEEN: i32 = 16;
/// Distance of the legend from the top of the panel, in pixels.
const TOP: i32 = 14;

/// The names of the parts of a panel, as its legend has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legend {
    /// The name of [`PlotPanel::observed`].
    pub observed: String,
    /// The name of [`PlotPanel::fitted`].
    pub fitted: String,
    /// The name of [`PlotPanel::interval`].
    pub interval: String,
    /// The name of [`PlotPanel::limit`].
    pub limit: String,
    /// The name of each of [`PlotPanel::breaks`].
    pub breaks: String,
}

impl Default for Legend {
    fn default() -> Self {
        let [observed, fitted, interval, limit, breaks] =
            ["observed", "expected", "expected range", "threshold", "break"].map(str::to_owned);
        Self { observed, fitted, interval, limit, breaks }
    }
}

/// The parts that a panel has: name, color, and whether it is an area.
fn entries(panel: &PlotPanel) -> Vec<(&str, RGBAColor, bool)> {
    let names = &panel.legend;
    let all = [
        (panel.observed.is_some(), &names.observed, OBSERVED.to_rgba(), false),
        (panel.fitted.is_some(), &names.fitted, FITTED.to_rgba(), false),
        (panel.interval.is_some(), &names.interval, FITTED.mix(INTERVAL), true),
        (panel.limit.is_some(), &names.limit, BREAK.to_rgba(), false),
        (!panel.breaks.is_empty(), &names.breaks, BREAK.to_rgba(), false),
    ];
    all.into_iter()
        .filter(|(is_there, ..)| *is_there)
        .map(|(_, name, color, is_area)| (&**name, color, is_area))
        .collect()
}

/// Draws the legend at the right end of the title. A single part needs none: the title says what it is.
pub(super) fn draw(panel: &PlotPanel, area: &Area<'_>) -> Drawn {
    let entries = entries(panel);
    if entries.len() < 2 {
        return Ok(());
    }
    let style = ("sans-serif", LETTER.0).into_font().color(&INK);
    let mut right = (SIZE.0 - HALF_A_LABEL) as i32;
    for (name, color, is_area) in entries.into_iter().rev() {
        let text = right - name.chars().count() as i32 * LETTER.1;
        let (start, end) = (text - SAMPLE.1 - SAMPLE.0, text - SAMPLE.1);
        let half = LETTER.0 / 2;
        if is_area {
            area.draw(&Rectangle::new([(start, TOP - half), (end, TOP + half)], color.filled()))?;
        } else {
            area.draw(&PathElement::new([(start, TOP), (end, TOP)], color.stroke_width(2)))?;
        }
        area.draw(&Text::new(name.to_owned(), (text, TOP - half), style.clone()))?;
        right = start - BETWEEN;
    }
    Ok(())
}
