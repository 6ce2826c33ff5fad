//! State that partitions compute apart and put together.

use crate::Error;

/// State that can be computed on parts of the data and then combined, as a distributed engine
/// does with its partitions.
pub trait Merge {
    /// Takes in the state of another part. On an error `self` is unchanged.
    fn merge(&mut self, other: &Self) -> Result<(), Error>;
}
