//! Panics of one detector as errors.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::Error;

/// Runs `work`; a panic in it, from any thread of the pool, becomes an error.
///
/// Detectors should not panic. Where one does, it costs the series it was at and nothing else.
///
/// ```
/// use funnelpulse_core::{Error, isolated};
///
/// let failed: Result<(), Error> = isolated("range", || panic!("index out of bounds"));
/// let message = failed.unwrap_err().to_string();
/// assert_eq!(message, "a fault in `range` itself, please report it: index out of bounds");
/// ```
pub fn isolated<T>(detector: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Whatever `work` left half done is not looked at again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Error::Panic { detector: detector.to_owned(), message: message_of(panic.as_ref()) })
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
