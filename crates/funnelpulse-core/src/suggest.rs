//! Suggestions for misspelt names.

/// Names less alike than this (Jaro-Winkler similarity, 0 to 1) are no suggestion.
#[cfg(feature = "suggestions")]
const LEAST_SIMILARITY: f64 = 0.75;

/// The name among `known` that is most similar to `name`, by Jaro-Winkler similarity (Winkler
/// 1990); `None` if none reaches 0.75.
///
/// ```
/// use funnelpulse_core::nearest_name;
///
/// assert_eq!(nearest_name(["views", "carts"], "veiws"), Some("views"));
/// assert_eq!(nearest_name(["views", "carts"], "revenue"), None);
/// ```
#[cfg(feature = "suggestions")]
pub fn nearest_name<'a>(known: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(known, name), known));
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(alike, _)| *alike >= LEAST_SIMILARITY).map(|(_, known)| known)
}

/// The end of an error message: `, did you mean ...?`, or nothing.
///
/// ```
/// use funnelpulse_core::{hint, nearest_name};
///
/// let known = ["views", "carts"];
/// assert_eq!(hint(nearest_name(known, "veiws")), ", did you mean `views`?");
/// assert_eq!(hint(nearest_name(known, "revenue")), "");
/// ```
pub fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|s| format!(", did you mean `{s}`?")).unwrap_or_default()
}
