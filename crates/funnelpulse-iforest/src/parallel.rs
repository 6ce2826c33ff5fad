//! The one place that knows whether there are threads.

/// `f` of every item with scratch memory from `scratch`, results in the order of the items.
#[cfg(feature = "rayon")]
pub(crate) fn map<T: Send, S, R: Send>(
    items: Vec<T>,
    scratch: impl Fn() -> S + Sync + Send,
    f: impl Fn(&mut S, T) -> R + Sync + Send,
) -> Vec<R> {
    use rayon::prelude::*;
    items.into_par_iter().map_init(scratch, f).collect()
}

/// `f` of every item with scratch memory from `scratch`, results in the order of the items.
#[cfg(not(feature = "rayon"))]
pub(crate) fn map<T, S, R>(items: Vec<T>, scratch: impl Fn() -> S, f: impl Fn(&mut S, T) -> R) -> Vec<R> {
    let mut scratch = scratch();
    items.into_iter().map(|item| f(&mut scratch, item)).collect()
}
