//! State that is computed per partition and merged.

use crate::Error;

/// State that can be computed on parts of the data and then combined, as a distributed engine
/// does with its partitions.
///
/// ```
/// use funnelpulse_core::{Error, Merge};
///
/// #[derive(Debug, PartialEq)]
/// struct Mean { sum: f64, count: u64 }
///
/// impl Merge for Mean {
///     fn merge(&mut self, other: &Self) -> Result<(), Error> {
///         self.sum += other.sum;
///         self.count += other.count;
///         Ok(())
///     }
/// }
///
/// let mut mean = Mean { sum: 6.0, count: 2 };
/// mean.merge(&Mean { sum: 3.0, count: 1 })?;
/// assert_eq!(mean, Mean { sum: 9.0, count: 3 });
/// # Ok::<(), Error>(())
/// ```
pub trait Merge {
    /// Adds the state of another part to `self`. On an error `self` is unchanged.
    fn merge(&mut self, other: &Self) -> Result<(), Error>;
}
