//! Loops compiled for several sets of vector instructions, of which the processor's best is taken at run time.

#[cfg(feature = "simd")]
pub(crate) use pulp::NullaryFnOnce;

/// A loop that can be compiled for several sets of vector instructions.
#[cfg(not(feature = "simd"))]
pub(crate) trait NullaryFnOnce {
    type Output;

    fn call(self) -> Self::Output;
}

/// Runs the loop with the best instructions of the processor.
#[cfg(feature = "simd")]
pub(crate) fn dispatch<F: NullaryFnOnce>(f: F) -> F::Output {
    pulp::Arch::new().dispatch(f)
}

/// Runs the loop with the instructions that the build allows.
#[cfg(not(feature = "simd"))]
pub(crate) fn dispatch<F: NullaryFnOnce>(f: F) -> F::Output {
    f.call()
}
