//! Temporary: constants from the environment, for experiments.
use std::{collections::HashMap, sync::OnceLock};
pub(crate) fn tune(name: &str, default: f64) -> f64 {
    static ALL: OnceLock<HashMap<String, f64>> = OnceLock::new();
    let all = ALL.get_or_init(|| std::env::vars().filter_map(|(k, v)| Some((k.strip_prefix("T_")?.to_owned(), v.parse().ok()?))).collect());
    all.get(name).copied().unwrap_or(default)
}
