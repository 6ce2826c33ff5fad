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
    #[cfg(test)]
    if let Some(level) = levels::forced() {
        return level.run(f);
    }
    pulp::Arch::new().dispatch(f)
}

/// Runs the loop with the instructions that the build allows.
#[cfg(not(feature = "simd"))]
pub(crate) fn dispatch<F: NullaryFnOnce>(f: F) -> F::Output {
    f.call()
}

/// For tests: every set of instructions that the processor has, not only the best.
#[cfg(all(test, feature = "simd"))]
pub(crate) mod levels {
    use std::{cell::Cell, fmt};

    use pulp::NullaryFnOnce;

    #[derive(Clone, Copy)]
    pub(crate) enum Level {
        /// What the build allows: SSE2 on x86-64, NEON on 64-bit ARM.
        Build,
        /// AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        V3(pulp::x86::V3),
        /// AVX-512.
        #[cfg(target_arch = "x86_64")]
        V4(pulp::x86::V4),
        #[cfg(target_arch = "aarch64")]
        Neon(pulp::aarch64::Neon),
    }

    impl fmt::Debug for Level {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::Build => "instructions of the build",
                #[cfg(target_arch = "x86_64")]
                Self::V3(_) => "AVX2",
                #[cfg(target_arch = "x86_64")]
                Self::V4(_) => "AVX-512",
                #[cfg(target_arch = "aarch64")]
                Self::Neon(_) => "NEON",
            })
        }
    }

    thread_local! {
        static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    pub(super) fn forced() -> Option<Level> {
        FORCED.get()
    }

    /// Runs `f` once for each set, in which `dispatch` on this thread uses no other.
    pub(crate) fn for_each(mut f: impl FnMut(Level)) {
        let mut all = vec![Level::Build];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V3::try_new().map(Level::V3));
            all.extend(pulp::x86::V4::try_new().map(Level::V4));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(pulp::aarch64::Neon::try_new().map(Level::Neon));
        for level in all {
            FORCED.set(Some(level));
            f(level);
        }
        FORCED.set(None);
    }

    impl Level {
        pub(super) fn run<F: NullaryFnOnce>(self, f: F) -> F::Output {
            match self {
                Self::Build => f.call(),
                #[cfg(target_arch = "x86_64")]
                Self::V3(simd) => simd.vectorize(f),
                #[cfg(target_arch = "x86_64")]
                Self::V4(simd) => simd.vectorize(f),
                #[cfg(target_arch = "aarch64")]
                Self::Neon(simd) => simd.vectorize(f),
            }
        }
    }
}
