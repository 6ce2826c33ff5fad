//! One metric against its expectation.

use std::sync::Arc;

/// Per cent up to which a change is easier to read than how many times as much it is.
const MOST_PERCENT: f64 = 1000.0;
/// More times as much say that next to nothing was expected, and nothing else.
const MOST_TIMES: f64 = 1000.0;

/// One metric of one row against what was expected of it.
///
/// ```
/// use funnelpulse_analytics::Deviation;
///
/// let deviation = Deviation::new("conversion_rate", 0.05, 0.20, -4.0);
/// assert_eq!(deviation.percentage(), Some(-75.0));
/// assert_eq!(Deviation::new("purchases", 3.0, 0.0, 9.0).percentage(), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// The metric.
    pub metric: Arc<str>,
    /// The observed value, NaN when missing.
    pub observed: f64,
    /// The expected value, NaN when unknown.
    pub expected: f64,
    /// Standard deviations from the expected to the observed value, signed; NaN when unknown.
    pub z: f64,
}

impl Deviation {
    /// A deviation of `z` standard deviations.
    pub fn new(metric: impl Into<Arc<str>>, observed: f64, expected: f64, z: f64) -> Self {
        Self { metric: metric.into(), observed, expected, z }
    }

    /// `100 * (observed - expected) / |expected|`; `None` where either is missing or nothing was
    /// expected.
    pub fn percentage(&self) -> Option<f64> {
        let percentage = 100.0 * (self.observed - self.expected) / self.expected.abs();
        percentage.is_finite().then_some(percentage)
    }

    /// The change in words: in per cent, or how many times as much where that is above 1,000 %. `None` where either value
    /// is missing or next to nothing was expected.
    ///
    /// ```
    /// use funnelpulse_analytics::Deviation;
    ///
    /// let words = |observed: f64, expected: f64| Deviation::new("views", observed, expected, f64::NAN).change();
    /// assert_eq!(words(3.0, 4.0).as_deref(), Some("-25 %"));
    /// assert_eq!(words(840.0, 40.0).as_deref(), Some("21 times as much"));
    /// assert_eq!(words(840.0, 0.004), None);
    /// ```
    pub fn change(&self) -> Option<String> {
        let percentage = self.percentage()?;
        let times = self.observed / self.expected;
        match percentage.abs() {
            size if size <= MOST_PERCENT => Some(format!("{percentage:+.0} %")),
            _ if (1.0..=MOST_TIMES).contains(&times) => Some(format!("{times:.0} times as much")),
            _ => None,
        }
    }

    /// `observed - expected`; `None` where either is missing.
    ///
    /// ```
    /// use funnelpulse_analytics::Deviation;
    ///
    /// assert_eq!(Deviation::new("purchases", 3.0, 5.0, -0.9).difference(), Some(-2.0));
    /// assert_eq!(Deviation::new("purchases", f64::NAN, 5.0, f64::NAN).difference(), None);
    /// ```
    pub fn difference(&self) -> Option<f64> {
        let difference = self.observed - self.expected;
        difference.is_finite().then_some(difference)
    }
}
