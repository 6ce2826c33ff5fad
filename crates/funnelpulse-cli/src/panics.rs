//! Panics are printed only where nothing catches them.
//!
//! The decoder of a file format may panic over a damaged file; the reader catches that and makes
//! an error of it. The standard hook would still print the panic, in front of the error.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    sync::Mutex,
};

use anyhow::anyhow;

static LAST: Mutex<String> = Mutex::new(String::new());

/// Does `work`; a panic that escapes it, from any thread of the pool, becomes an error.
pub(crate) fn caught<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let mut text = panic.to_string();
        if backtrace.status() == BacktraceStatus::Captured {
            text = format!("{text}\n{backtrace}");
        }
        *LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = text;
    }));
    // Whatever `work` left half done is not looked at again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Err(anyhow!("a fault in funnelpulse itself, please report it: {last}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because the hook is the process's.
    #[test]
    fn only_a_panic_that_nobody_catches_is_told() {
        let inner = caught(|| Ok(catch_unwind(|| panic!("a damaged page")).is_err()));
        assert!(inner.unwrap());
        let escaped = caught(|| -> anyhow::Result<()> {
            rayon::join(|| panic!("off by one"), || ());
            Ok(())
        });
        let message = escaped.unwrap_err().to_string();
        assert!(message.contains("a fault in funnelpulse itself"), "{message}");
        assert!(message.contains("off by one") && message.contains("panics.rs"), "{message}");
        let _ = std::panic::take_hook();
    }
}
