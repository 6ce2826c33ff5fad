//! Counts with their nouns.

use std::fmt::Display;

/// A number with its noun: in the singular for one, in the plural for any other.
///
/// ```
/// use funnelpulse_core::counted;
///
/// assert_eq!(counted(1, "anomaly", "anomalies"), "1 anomaly");
/// assert_eq!(counted(0, "row", "rows"), "0 rows");
/// ```
pub fn counted<N: Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}
