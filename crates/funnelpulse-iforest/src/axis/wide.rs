//! The sweep over all splits of a tree with registers of 32 rows, where the processor has AVX-512BW:
//! compilers make registers of half that width of the portable form.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

pub(super) use kernel::{available, run};

#[cfg(target_arch = "x86_64")]
mod kernel {
    #[allow(clippy::wildcard_imports, reason = "intrinsics")]
    use std::arch::x86_64::*;

    use super::super::{
        cuts::{MISSING, TILE},
        sweep::{Gaps, Paths, Split, Sweep},
    };

    pub(in super::super) fn available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
    }

    /// Adds each row's path length in one tree to the sums, where [`available`] says so.
    pub(in super::super) fn run(sweep: Sweep<'_>) {
        assert!(available());
        // SAFETY: the processor has AVX-512F and AVX-512BW, as just checked.
        unsafe { sweep_tiles(sweep) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn sweep_tiles(sweep: Sweep<'_>) {
        let Sweep { splits, paths, tiles, gaps, columns, sums } = sweep;
        let blocks = tiles.chunks_exact(TILE * columns).zip(gaps.chunks_exact(columns));
        for ((tile, gaps), sums) in blocks.zip(sums.chunks_mut(TILE)) {
            for split in splits {
                paths[split.at] = choose(split, paths, tile, gaps[split.column]);
            }
            for (sum, path) in sums.iter_mut().zip(paths[0]) {
                *sum += u32::from(path);
            }
        }
    }

    /// Path lengths of the rows of a tile below a split.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn choose(split: &Split, paths: &[Paths], tile: &[u16], gaps: Gaps) -> Paths {
        let (left, right) = (load(&paths[split.left]), load(&paths[split.left + 1]));
        let ranks = load(&tile[split.column * TILE..]);
        let goes_right = _mm512_cmpge_epu16_mask(ranks, _mm512_set1_epi16(split.cut as i16));
        let mut chosen = _mm512_mask_blend_epi16(goes_right, left, right);
        if gaps != Gaps::None {
            // As `mix` does it: the share of the difference, in the direction of the right side.
            let difference = _mm512_sub_epi16(_mm512_max_epu16(left, right), _mm512_min_epu16(left, right));
            let part = _mm512_mulhi_epu16(difference, _mm512_set1_epi16(split.right_share as i16));
            let falls = _mm512_cmplt_epu16_mask(right, left);
            let both = _mm512_mask_sub_epi16(_mm512_add_epi16(left, part), falls, left, part);
            let missing = _mm512_cmpeq_epu16_mask(ranks, _mm512_set1_epi16(MISSING as i16));
            chosen = _mm512_mask_blend_epi16(missing, chosen, both);
        }
        let mut stored = [0; TILE];
        // SAFETY: 64 bytes are writable; the store needs no alignment.
        unsafe { _mm512_storeu_si512(stored.as_mut_ptr().cast(), chosen) };
        stored
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(values: &[u16]) -> __m512i {
        assert!(values.len() >= TILE);
        // SAFETY: 64 bytes are readable, as just checked; the load needs no alignment.
        unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod kernel {
    use super::super::sweep::Sweep;

    pub(in super::super) fn available() -> bool {
        false
    }

    pub(in super::super) fn run(_: Sweep<'_>) {
        unreachable!("only where `available` is true")
    }
}
