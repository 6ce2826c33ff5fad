//! Numbers as people read them.

/// A number in at most four significant digits, without an exponent where one is not needed.
///
/// ```
/// use funnelpulse_analytics::short;
///
/// assert_eq!(short(0.0), "0");
/// assert_eq!(short(58.04), "58");
/// assert_eq!(short(0.14461), "0.145");
/// assert_eq!(short(-2741752.61), "-2741753");
/// ```
pub fn short(value: f64) -> String {
    let decimals = match value.abs() {
        a if a == 0.0 || a >= 100.0 => 0,
        a if a >= 10.0 => 1,
        a if a >= 1.0 => 2,
        a if a >= 0.0001 => 3 + usize::from(a < 0.01) + usize::from(a < 0.001),
        a if a.is_nan() => return "missing".to_owned(),
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The median, of those that aren't NaN; `None` where there is none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| !v.is_nan());
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some(if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) })
}
