//! Work on threads, or without the feature `rayon` on one.

/// Threads that work is done on.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "rayon"))]
    1
}

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

/// Fills `out` chunk by chunk, each with scratch memory from `scratch`; `f` gets the number of the
/// chunk.
#[cfg(feature = "rayon")]
pub(crate) fn fill<S>(
    out: &mut [f64],
    chunk: usize,
    scratch: impl Fn() -> S + Sync + Send,
    f: impl Fn(&mut S, usize, &mut [f64]) + Sync + Send,
) {
    use rayon::prelude::*;
    out.par_chunks_mut(chunk).enumerate().for_each_init(scratch, |s, (i, out)| f(s, i, out));
}

/// Fills `out` chunk by chunk, each with scratch memory from `scratch`; `f` gets the number of the
/// chunk.
#[cfg(not(feature = "rayon"))]
pub(crate) fn fill<S>(out: &mut [f64], chunk: usize, scratch: impl Fn() -> S, f: impl Fn(&mut S, usize, &mut [f64])) {
    let mut scratch = scratch();
    out.chunks_mut(chunk).enumerate().for_each(|(i, out)| f(&mut scratch, i, out));
}
