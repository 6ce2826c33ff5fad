//! Numbers as they are written in the page.

use funnelpulse_analytics::short;
use serde::{Serialize, Serializer};

/// What stands where there is no number.
pub(super) const NONE: &str = "–";

/// Four significant digits, thousands separated by commas, a real minus sign.
pub(super) fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = short(value.abs());
    separated(&text, value < 0.0 && text != "0")
}

/// The text of a number without a sign with thousands separated by commas, and a real minus sign where it is negative.
pub(super) fn separated(text: &str, is_negative: bool) -> String {
    let (whole, rest) = text.split_at(text.find(['.', 'e']).unwrap_or(text.len()));
    let mut out = String::with_capacity(text.len() + 8);
    if is_negative {
        out.push('−');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// [`grouped`] with a plus sign where there is more.
pub(super) fn signed(value: f64) -> String {
    let text = grouped(value);
    if value > 0.0 && value.is_finite() && text != "0" { format!("+{text}") } else { text }
}

/// A number in a picture: four significant digits, the shortest way to write them, NaN as null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounded(pub(super) f64);

impl Serialize for Rounded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.0.is_finite() {
            return serializer.serialize_none();
        }
        let rounded: f64 = format!("{:.3e}", self.0).parse().unwrap_or(self.0);
        if rounded.fract() == 0.0 && rounded.abs() < 1e15 {
            serializer.serialize_i64(rounded as i64)
        } else {
            serializer.serialize_f64(rounded)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let texts = [0.0, 12.34, -999.0, 1000.0, -2_741_752.61, 0.000_001].map(grouped);
        assert_eq!(texts, ["0", "12.3", "−999", "1,000", "−2,741,753", "1.00e-6"]);
        assert_eq!([f64::NAN, 0.0, 5.0, f64::NEG_INFINITY].map(signed), ["–", "0", "+5", "–"]);
    }

    #[test]
    fn pictures_get_four_digits() {
        let values = [2_741_752.61, 0.123_456, 7.0, f64::NAN, -1e-7].map(Rounded);
        assert_eq!(serde_json::to_string(&values).unwrap(), "[2742000,0.1235,7,null,-1e-7]");
    }
}
