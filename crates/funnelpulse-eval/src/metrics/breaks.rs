//! Found changepoints beside the true ones.

use funnelpulse_core::counted;
use serde::Serialize;

use crate::EvalError;

/// The agreement of found breaks with the true ones, see [`evaluate_breaks`]. `Display` is one line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BreakEvaluation {
    /// Rows between a break and the nearest one on the other side, at worst; `None` where one side has no break and
    /// the other has.
    pub hausdorff: Option<usize>,
    /// Share of the pairs of rows that both sides put into one segment or both into two, 0 to 1.
    pub rand_index: f64,
    /// Mean overlap (Jaccard) of each true segment with the found one that covers it best, by its length, 0 to 1.
    pub covering: f64,
    /// Share of the found breaks that are within the margin of a true one, 0 to 1; 1 without a found break.
    pub precision: f64,
    /// Share of the true breaks that are within the margin of a found one, 0 to 1; 1 without a true break.
    pub recall: f64,
    /// Harmonic mean of precision and recall, 0 to 1.
    pub f1: f64,
}

impl std::fmt::Display for BreakEvaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rand_index, covering, precision, recall, f1, .. } = self;
        write!(f, "precision {precision:.3}, recall {recall:.3}, F1 {f1:.3}, covering {covering:.3}, ")?;
        write!(f, "Rand index {rand_index:.3}, Hausdorff ")?;
        match self.hausdorff {
            Some(rows) => f.write_str(&counted(rows, "row", "rows")),
            None => f.write_str("undefined"),
        }
    }
}

/// Compares breaks, each the first row of a new segment, ascending, within 1 to `rows - 1`. A found and a true break are
/// a pair when they are at most `margin` rows apart; a break is in one pair at most.
///
/// The figures are those of `ruptures.metrics` (Truong, Oudre & Vayatis 2020; its `margin` is ours plus one, and it may
/// pair a true break twice) and, the covering, of van den Burg & Williams (2020). [`cover`] and [`breaks_f1`] are for several annotators.
///
/// ```
/// use funnelpulse_eval::metrics::evaluate_breaks;
///
/// let found = evaluate_breaks(100, &[30, 70], &[28, 50], 5)?;
/// assert_eq!((found.precision, found.recall, found.hausdorff), (0.5, 0.5, Some(20)));
/// println!("{found}");
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
///
/// # Errors
///
/// [`EvalError::Break`] for a break that is out of order or outside the rows.
pub fn evaluate_breaks(
    rows: usize,
    truth: &[usize],
    found: &[usize],
    margin: usize,
) -> Result<BreakEvaluation, EvalError> {
    check_breaks(rows, truth)?;
    check_breaks(rows, found)?;
    let pairs = matches(truth, found, margin) as f64;
    let share = |of: usize| if of == 0 { 1.0 } else { pairs / of as f64 };
    let (precision, recall) = (share(found.len()), share(truth.len()));
    Ok(BreakEvaluation {
        hausdorff: hausdorff(truth, found),
        rand_index: rand_index(rows, truth, found),
        covering: covering(rows, truth, found),
        precision,
        recall,
        f1: f1(precision, recall),
    })
}

/// Covering of the segments of several annotators by the found ones, their mean (van den Burg & Williams 2020, equation 4).
///
/// ```
/// use funnelpulse_eval::metrics::cover;
///
/// assert!((cover(45, &[&[], &[10], &[40]], &[])? - 0.818_930_041_152).abs() < 1e-9);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn cover(rows: usize, annotations: &[&[usize]], found: &[usize]) -> Result<f64, EvalError> {
    check_annotations(rows, annotations, found)?;
    Ok(annotations.iter().map(|truth| covering(rows, truth, found)).sum::<f64>() / annotations.len() as f64)
}

/// F1 of found breaks against those of several annotators: precision against the breaks of any, recall the mean over the
/// annotators; row 0 counts as a break of each side, so that no break at all is an answer too (van den Burg & Williams
/// 2020, equations 2 and 3; they use a margin of 5).
///
/// ```
/// use funnelpulse_eval::metrics::breaks_f1;
///
/// assert!((breaks_f1(60, &[&[], &[10], &[50]], &[10], 5)? - 10.0 / 11.0).abs() < 1e-12);
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
pub fn breaks_f1(rows: usize, annotations: &[&[usize]], found: &[usize], margin: usize) -> Result<f64, EvalError> {
    check_annotations(rows, annotations, found)?;
    let with_start = |breaks: &[usize]| -> Vec<usize> { [&[0], breaks].concat() };
    let found = with_start(found);
    let mut any = with_start(&annotations.concat());
    any.sort_unstable();
    any.dedup();
    let precision = matches(&any, &found, margin) as f64 / found.len() as f64;
    let recall = |truth: &&[usize]| {
        let truth = with_start(truth);
        matches(&truth, &found, margin) as f64 / truth.len() as f64
    };
    Ok(f1(precision, annotations.iter().map(recall).sum::<f64>() / annotations.len() as f64))
}

fn f1(precision: f64, recall: f64) -> f64 {
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}

fn check_breaks(rows: usize, breaks: &[usize]) -> Result<(), EvalError> {
    let mut before = 0;
    for (index, &at) in breaks.iter().enumerate() {
        if at <= before || at >= rows {
            return Err(EvalError::Break { index, at, before, rows });
        }
        before = at;
    }
    Ok(())
}

fn check_annotations(rows: usize, annotations: &[&[usize]], found: &[usize]) -> Result<(), EvalError> {
    if annotations.is_empty() {
        return Err(EvalError::parameter("annotations", 0, "1 or more annotators"));
    }
    annotations.iter().chain([&found]).try_for_each(|breaks| check_breaks(rows, breaks))
}

/// Most pairs of breaks within the margin, each break in one at most: in order of time the first that fits is taken.
fn matches(truth: &[usize], found: &[usize], margin: usize) -> usize {
    let mut left = found.iter().copied().peekable();
    let mut pairs = 0;
    for &at in truth {
        while left.next_if(|&found| found + margin < at).is_some() {}
        pairs += usize::from(left.next_if(|&found| found <= at + margin).is_some());
    }
    pairs
}

fn hausdorff(truth: &[usize], found: &[usize]) -> Option<usize> {
    if truth.is_empty() && found.is_empty() {
        return Some(0);
    }
    let farthest =
        |from: &[usize], to: &[usize]| from.iter().map(|&a| to.iter().map(|&b| a.abs_diff(b)).min()).max().flatten();
    Some(farthest(truth, found)?.max(farthest(found, truth)?))
}

/// First row and end of each segment.
fn segments(rows: usize, breaks: &[usize]) -> impl Iterator<Item = (usize, usize)> + Clone + '_ {
    let starts = std::iter::once(0).chain(breaks.iter().copied());
    starts.zip(breaks.iter().copied().chain([rows]))
}

fn overlap((a, b): (usize, usize), (c, d): (usize, usize)) -> usize {
    b.min(d).saturating_sub(a.max(c))
}

fn rand_index(rows: usize, truth: &[usize], found: &[usize]) -> f64 {
    if rows < 2 {
        return 1.0;
    }
    let pairs = |n: usize| n as f64 * (n as f64 - 1.0) / 2.0;
    let together = |breaks: &[usize]| segments(rows, breaks).map(|(start, end)| pairs(end - start)).sum::<f64>();
    let both: f64 = segments(rows, truth)
        .flat_map(|a| segments(rows, found).map(move |b| overlap(a, b)))
        .map(|shared| pairs(shared.max(1)))
        .sum();
    1.0 - (together(truth) + together(found) - 2.0 * both) / pairs(rows)
}

fn covering(rows: usize, truth: &[usize], found: &[usize]) -> f64 {
    let best = |a: (usize, usize)| {
        let jaccard = |b: (usize, usize)| {
            let shared = overlap(a, b);
            shared as f64 / ((a.1 - a.0) + (b.1 - b.0) - shared) as f64
        };
        (a.1 - a.0) as f64 * segments(rows, found).map(jaccard).fold(0.0, f64::max)
    };
    if rows == 0 { 1.0 } else { segments(rows, truth).map(best).sum::<f64>() / rows as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows, true and found breaks, margin; Hausdorff, Rand index, precision and recall of ruptures 1.1.10 (margin plus one)
    /// and the covering by the definition of van den Burg & Williams.
    type Case = (usize, &'static [usize], &'static [usize], usize, (usize, f64, f64, f64, f64));

    const CASES: [Case; 5] = [
        (333, &[15, 184, 272], &[27, 58, 81, 128], 5, (144, 0.553_475_162_0, 0.0, 0.0, 0.334_114_602_4)),
        (100, &[49, 70], &[74], 2, (25, 0.714_545_454_5, 0.0, 0.0, 0.644_054_054_1)),
        (60, &[18, 27], &[56, 59], 5, (38, 0.398_870_056_5, 0.0, 0.0, 0.386_369_047_6)),
        (60, &[9], &[1, 9, 29, 40, 56], 2, (47, 0.484_745_762_7, 0.2, 1.0, 0.466_666_666_7)),
        (333, &[94, 101], &[12, 153, 185, 213], 2, (112, 0.572_307_247_0, 0.0, 0.0, 0.512_692_500_6)),
    ];

    #[test]
    fn figures_are_those_of_ruptures() {
        for (rows, truth, found, margin, (hausdorff, rand, precision, recall, covering)) in CASES {
            let ours = evaluate_breaks(rows, truth, found, margin).unwrap();
            assert_eq!((ours.hausdorff, ours.precision, ours.recall), (Some(hausdorff), precision, recall));
            assert!((ours.rand_index - rand).abs() < 1e-9 && (ours.covering - covering).abs() < 1e-9, "{ours}");
        }
    }

    #[test]
    fn several_annotators_are_averaged() {
        let annotations: [&[usize]; 3] = [&[12, 40, 70], &[15, 41], &[70, 90]];
        let found = [14, 42, 88];
        assert!((breaks_f1(100, &annotations, &found, 5).unwrap() - 0.892_307_692_307_692_4).abs() < 1e-12);
        assert!((cover(100, &annotations, &found).unwrap() - 0.640_095_238_095_238_2).abs() < 1e-12);
    }

    #[test]
    fn nothing_found_and_breaks_that_cannot_be() {
        let none = evaluate_breaks(10, &[4], &[], 1).unwrap();
        assert_eq!((none.precision, none.recall, none.f1, none.hausdorff), (1.0, 0.0, 0.0, None));
        assert!(none.to_string().ends_with("Hausdorff undefined"));
        let quiet = evaluate_breaks(10, &[], &[], 1).unwrap();
        assert_eq!((quiet.f1, quiet.rand_index, quiet.covering, quiet.hausdorff), (1.0, 1.0, 1.0, Some(0)));
        for wrong in [[0, 3], [3, 3], [5, 2], [4, 10]] {
            assert!(matches!(evaluate_breaks(10, &wrong, &[], 1), Err(EvalError::Break { rows: 10, .. })));
        }
        assert!(cover(10, &[], &[]).is_err());
    }

    proptest! {
        #[test]
        fn a_segmentation_agrees_with_itself_and_figures_stay_in_their_range(
            mut a in prop::collection::btree_set(1..99usize, 0..8), b in prop::collection::btree_set(1..99usize, 0..8),
        ) {
            let (x, y): (Vec<usize>, Vec<usize>) = (a.iter().copied().collect(), b.iter().copied().collect());
            let same = evaluate_breaks(100, &x, &x, 0).unwrap();
            prop_assert_eq!((same.f1, same.rand_index, same.covering, same.hausdorff), (1.0, 1.0, 1.0, Some(0)));
            let (ours, swapped) = (evaluate_breaks(100, &x, &y, 3).unwrap(), evaluate_breaks(100, &y, &x, 3).unwrap());
            prop_assert!((ours.rand_index - swapped.rand_index).abs() < 1e-12);
            prop_assert_eq!((ours.precision, ours.recall, ours.hausdorff), (swapped.recall, swapped.precision, swapped.hausdorff));
            prop_assert!((0.0..=1.0).contains(&ours.rand_index) && ours.covering > 0.0 && ours.covering <= 1.0);
            // Pairs are as many as the larger matching of brute force: every true break has its own found one.
            a.retain(|at| b.iter().any(|other| at.abs_diff(*other) <= 3));
            prop_assert!(matches(&x, &y, 3) <= a.len());
        }
    }
}
