//! From raw to clean: validation, one spelling per name, and who has been seen before.

use std::borrow::Cow;

use super::{EventSpec, Rejection};
use crate::NO_KEY;

/// A step of the funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A product was looked at.
    View,
    /// A product was put into a cart.
    Cart,
    /// A product was bought.
    Purchase,
}

/// Above this a price is a data error, and its millionths would no longer be exact.
const MAX_PRICE: f64 = 1e12;

/// Which words mean which step. A handful: comparing them is quicker than hashing.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary(Vec<(String, Step)>);

impl Vocabulary {
    pub(super) fn new(spec: &EventSpec) -> Self {
        let steps = [(&spec.view, Step::View), (&spec.cart, Step::Cart), (&spec.purchase, Step::Purchase)];
        let words = steps.into_iter().flat_map(|(words, step)| words.iter().map(move |w| (w, step)));
        Self(words.map(|(word, step)| (tidy(word).into_owned(), step)).collect())
    }

    pub(super) fn step(&self, tidy_type: &str) -> Option<Step> {
        self.0.iter().find(|(word, _)| word == tidy_type).map(|(_, step)| *step)
    }
}

/// One spelling per name: trimmed, in lower case.
pub(super) fn tidy(text: &str) -> Cow<'_, str> {
    let is_tidy = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase());
    if is_tidy(text) {
        return Cow::Borrowed(text);
    }
    let trimmed = text.trim();
    if trimmed.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(trimmed)
    } else {
        Cow::Owned(trimmed.to_lowercase())
    }
}

/// A part of a series' name; null and empty are a name of their own.
pub(super) fn tidy_key(part: Option<&str>) -> Cow<'_, str> {
    let name = part.map_or(Cow::Borrowed(""), tidy);
    if name.is_empty() { Cow::Borrowed(NO_KEY) } else { name }
}

/// The price in millionths: integers add up to the same sum in any order.
pub(super) fn micro_price(price: Option<f64>) -> Result<Option<i64>, (Rejection, f64)> {
    match price {
        None => Ok(None),
        Some(p) if (0.0..=MAX_PRICE).contains(&p) => Ok(Some((p * 1e6).round() as i64)),
        Some(p) => Err((Rejection::Price, p)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        assert_eq!(tidy(" Samsung "), "samsung");
        assert_eq!(tidy("ÉCLAT"), "éclat");
        assert_eq!(tidy_key(Some("  ")), NO_KEY);
        assert_eq!(tidy_key(None), NO_KEY);
    }

    #[test]
    fn prices() {
        assert_eq!(micro_price(Some(0.1)), Ok(Some(100_000)));
        assert_eq!(micro_price(None), Ok(None));
        for bad in [-0.01, f64::NAN, f64::INFINITY, 1e13] {
            assert!(micro_price(Some(bad)).is_err(), "{bad}");
        }
    }
}
