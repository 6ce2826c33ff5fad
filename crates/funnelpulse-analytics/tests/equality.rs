//! When findings are equal.

#![expect(dead_code, unreachable_pub, reason = "the shop is shared with the examples of the documentation")]

use funnelpulse_analytics::SeriesFindings;

include!("doc/found.rs");

#[test]
fn findings_with_missing_values_equal_themselves_and_no_others() {
    let with = |edit: &dyn Fn(&mut SeriesFindings)| {
        let mut series = found::findings(0.5).series().to_vec();
        edit(&mut series[0]);
        series
    };
    let missing = |f: &mut SeriesFindings| {
        f.observed[[0, 0]] = f64::NAN;
        f.models[0].expected = Some(ndarray::array![f64::NAN, 1.0, 2.0]);
        f.verdicts[0].score = f64::NAN;
        f.anomalies[0].impact.revenue = Some(f64::NAN);
    };
    assert_eq!(with(&missing), with(&missing));
    assert_ne!(with(&missing), with(&|_| {}));
    let edits: [&dyn Fn(&mut SeriesFindings); 6] = [
        &|f| f.z[[1, 1]] = f.z[[1, 1]].next_up(),
        &|f| f.models[0].scores[0] = f.models[0].scores[0].next_up(),
        &|f| f.models[0].expected = Some(ndarray::array![1.0, 1.0, 1.0]),
        &|f| f.verdicts[0].score = f.verdicts[0].score.next_up(),
        &|f| f.anomalies[0].score = f.anomalies[0].score.next_up(),
        &|f| f.lower = ndarray::Array2::zeros((1, 2)),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        assert_ne!(with(edit), with(&|_| {}), "edit {number}");
    }
}
