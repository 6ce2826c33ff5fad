//! Intermediate results that a model keeps from one panel to the next.

use std::{any::Any, fmt, sync::Arc};

/// What a model keeps between surveys of panels that overlap, so that it need not be computed again.
/// It never changes a result: without it, the same is computed from the rows.
///
/// ```
/// use funnelpulse_core::Memory;
///
/// let mut memory = Memory::default();
/// assert_eq!(memory.get::<f64>(), None);
/// memory.set(7.5);
/// assert_eq!(memory.get::<f64>(), Some(&7.5));
/// // What another model has kept is not found.
/// assert_eq!(memory.get::<String>(), None);
/// ```
#[derive(Clone, Default)]
pub struct Memory(Option<Arc<dyn Any + Send + Sync>>);

impl Memory {
    /// What was kept; `None` at first, and where it is of another type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }

    /// Keeps a value in place of the one before.
    pub fn set<T: Any + Send + Sync>(&mut self, value: T) {
        self.0 = Some(Arc::new(value));
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.0.is_some()).finish()
    }
}
