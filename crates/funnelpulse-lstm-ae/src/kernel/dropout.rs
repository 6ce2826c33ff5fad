//! Inverted dropout (Srivastava et al. 2014) whose mask is a function of where a value stands: nothing
//! is stored, and the way back finds the same mask again.
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instruction set")]

/// Which values are dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    /// Values whose hash is below are dropped.
    limit: u32,
    /// The factor of the others.
    scale: f32,
    seed: u64,
}

impl Dropout {
    /// Drops a share `rate`, 0 to below 1, by `seed`; another seed drops others. `None` where nothing is dropped.
    pub(crate) fn new(rate: f64, seed: u64) -> Option<Self> {
        let limit = (rate * (f64::from(u32::MAX) + 1.0)) as u32;
        (limit > 0).then(|| Self { limit, scale: (1.0 / (1.0 - rate)) as f32, seed })
    }

    /// The same for another layer.
    pub(crate) fn of_layer(self, layer: usize) -> Self {
        Self { seed: mix(self.seed.wrapping_add((layer as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))), ..self }
    }

    /// Applies the mask of one row, which `place` numbers.
    #[inline(always)]
    pub(crate) fn apply(self, place: usize, values: &mut [f32]) {
        let key = mix(self.seed ^ (place as u64).wrapping_mul(0xD1B5_4A32_D192_ED03)) as u32;
        for (unit, value) in values.iter_mut().enumerate() {
            *value = if hash(key, unit as u32) < self.limit { 0.0 } else { *value * self.scale };
        }
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea & Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A 32-bit hash of low bias (Wellons 2018).
#[inline(always)]
fn hash(key: u32, unit: u32) -> u32 {
    let mut x = key.wrapping_add(unit.wrapping_mul(0x9E37_79B9));
    x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
    x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_share_asked_for_everywhere() {
        let dropout = Dropout::new(0.2, 5).unwrap().of_layer(1);
        let (mut by_unit, mut by_place) = ([0; 64], [0; 500]);
        for (place, dropped) in by_place.iter_mut().enumerate() {
            let mut values = [1.0; 64];
            dropout.apply(place, &mut values);
            for (unit, &value) in values.iter().enumerate() {
                assert!(value == 0.0 || value == 1.25);
                by_unit[unit] += usize::from(value == 0.0);
                *dropped += usize::from(value == 0.0);
            }
        }
        let total: usize = by_unit.iter().sum();
        assert!((6_100..6_700).contains(&total), "{total} of 32,000 dropped, 6,400 expected");
        // Six standard deviations of the binomial.
        assert!(by_unit.iter().all(|n| (46..=154).contains(n)), "{by_unit:?}");
        assert!(by_place.iter().all(|n| *n <= 32), "{by_place:?}");
        assert!(Dropout::new(0.0, 5).is_none());
    }
}
