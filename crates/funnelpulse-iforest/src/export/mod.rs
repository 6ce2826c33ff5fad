//! Forests in the formats of other runtimes.

#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod proto;
#[cfg(feature = "treelite")]
mod treelite;

use crate::{IsolationForestError, IsolationForestModel, grown::GrownNode, trees::Trees};

impl IsolationForestModel {
    /// The trees one by one, where they can be held by a runtime whose splits look at one column.
    pub(crate) fn axis_trees(&self, format: &'static str) -> Result<Vec<Vec<GrownNode>>, IsolationForestError> {
        let mut grown = Vec::with_capacity(self.n_trees());
        for trees in &self.trees {
            match trees {
                Trees::Axis(trees) => grown.extend(trees.unpack()),
                Trees::Mixed(_) => {
                    let columns = self.config.categorical.join(", ");
                    return Err(IsolationForestError::Categorical { format, columns });
                }
                Trees::Oblique(_) => {
                    return Err(IsolationForestError::Export { format, split: self.config.split });
                }
            }
        }
        Ok(grown)
    }
}
