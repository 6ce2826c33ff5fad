//! Breaks as text.

use std::fmt::{Display, Formatter, Result};

use funnelpulse_core::counted;

use super::{Break, Segmentation};

/// ```
/// use funnelpulse_changepoint::{SegmentationConfig, Segmenter};
/// use ndarray::Array2;
///
/// let values = Array2::from_shape_fn((200, 1), |(i, _)| (i * 7 % 10) as f64 + if i < 120 { 40.0 } else { 20.0 });
/// let found = Segmenter::new(SegmentationConfig::default())?.segment(values.view(), None)?;
/// let text = found.breaks[0].to_string();
/// assert!(text.starts_with("row 120 (") && text.ends_with("): 44.5 to 24.5, -44.9 %, p < 1e-6"), "{text}");
/// # Ok::<(), funnelpulse_changepoint::ChangepointError>(())
/// ```
impl Display for Break {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.time {
            Some(time) => write!(f, "{time}, row {}", self.index)?,
            None => write!(f, "row {}", self.index)?,
        }
        let (first, last) = self.interval;
        write!(f, " ({first} to {last}): {} to {}", short(self.before.mean), short(self.after.mean))?;
        write!(f, ", {:+.1} %, p ", 100.0 * self.magnitude)?;
        match self.p_value {
            p if p < 1e-6 => f.write_str("< 1e-6"),
            p => write!(f, "= {p:.2}"),
        }
    }
}

impl Display for Segmentation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (breaks, rows) = (counted(self.breaks.len(), "break", "breaks"), counted(self.rows, "row", "rows"));
        write!(f, "{breaks} in {rows}, cost {}", short(self.cost))?;
        self.breaks.iter().try_for_each(|found| write!(f, "\n{found}"))
    }
}

/// Four digits, or all of a whole number.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = (3 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use funnelpulse_core::Timestamp;

    use super::*;
    use crate::{ChangeDirection, SegmentLevel};

    #[test]
    fn breaks_are_lines() {
        let level = |mean| SegmentLevel { mean, standard_error: 1.0 };
        let found = Break {
            index: 7,
            time: Some(Timestamp::from_seconds(0)),
            interval: (5, 9),
            column: 0,
            direction: ChangeDirection::Increase,
            magnitude: 0.5,
            p_value: 0.04,
            before: level(0.012_345_6),
            after: level(123_456.7),
        };
        assert_eq!(found.to_string(), "1970-01-01T00:00:00Z, row 7 (5 to 9): 0.01235 to 123457, +50.0 %, p = 0.04");
        let one = Segmentation { breaks: vec![found.clone()], cost: 2.0, rows: 20 };
        assert_eq!(one.to_string(), format!("1 break in 20 rows, cost 2\n{found}"));
        assert_eq!(Segmentation::default().to_string(), "0 breaks in 0 rows, cost 0");
    }
}
