//! Values that model files hold.

use serde::Serialize;

#[cfg(feature = "model-files")]
use crate::BoxError;

/// A value that a model file can hold: everything that implements serde's `Serialize`, and nothing else.
///
/// [`FittedDetector`](crate::FittedDetector) asks for it in place of `Serialize`, which is not dyn-compatible. Without the
/// feature `model-files` it has no methods.
pub trait Payload: sealed::Sealed {
    /// The value in the encoding of model files (postcard), without an envelope.
    ///
    /// # Errors
    /// A value whose `Serialize` fails.
    #[cfg(feature = "model-files")]
    fn to_payload(&self) -> Result<Vec<u8>, BoxError>;
}

impl<T: Serialize + ?Sized> Payload for T {
    #[cfg(feature = "model-files")]
    fn to_payload(&self) -> Result<Vec<u8>, BoxError> {
        Ok(postcard::to_allocvec(self)?)
    }
}

mod sealed {
    /// Nobody else implements `Payload`: an implementation would lack its method as soon as another crate turns on
    /// `model-files`.
    pub trait Sealed {}

    impl<T: serde::Serialize + ?Sized> Sealed for T {}
}
