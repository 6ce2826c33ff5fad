//! What a score depends on in time.

use super::shop::{Shop, fit, heights, largest, outage, part};
use funnelpulse_core::{Panel, Timestamp};

#[test]
fn a_score_is_final_after_three_days() {
    let panel =
        Shop::new(4, 70, |brand, hour| if hour == 1100 { [3.0, 1.0, 1.0, 1.0] } else { outage(brand, hour) }).panel();
    let model = fit(&part(&panel, 0, 40 * 24));
    let all = model.scan(&panel).unwrap();
    for end in (45 * 24..62 * 24).step_by(53) {
        let early = model.scan(&part(&panel, 0, end)).unwrap();
        for series in 0..4 {
            let (early, all) = (heights(&early, series), heights(&all, series));
            assert_eq!(early[..end - 72], all[..end - 72], "rows up to {end}");
        }
    }
    // The outage came after training.
    assert!(largest(&all.series[2], 1000..1010) > 4.0);
}

#[test]
fn a_score_looks_back_no_further_than_the_context() {
    let panel = Shop::new(3, 130, outage).panel();
    let model = fit(&part(&panel, 0, 30 * 24));
    let all = model.scan(&panel).unwrap();
    let from = 40 * 24;
    let late = model.scan(&part(&panel, from, panel.iter().next().unwrap().1.nrows())).unwrap();
    let context = (model.context() / Timestamp::HOUR) as usize;
    for series in 0..3 {
        let (all, late) = (heights(&all, series), heights(&late, series));
        for row in context..late.len() {
            assert!((late[row] - all[from + row]).abs() < 1e-6, "row {row}: {} and {}", late[row], all[from + row]);
        }
    }
}

#[test]
fn rows_before_the_first_judged_one_are_only_looked_back_to() {
    let panel = Shop::new(
        6,
        120,
        |brand, hour| if brand == 4 && hour >= 1900 { [0.5, 1.0, 1.0, 1.0] } else { outage(brand, hour) },
    )
    .panel();
    let model = fit(&part(&panel, 0, 30 * 24));
    let all = model.scan(&panel).unwrap();
    // In the training, across its end, and after it.
    for from in [20 * 24 + 5, 28 * 24, 40 * 24 + 7, 90 * 24 + 1, 119 * 24] {
        let first = panel.iter().next().unwrap().1.time()[from];
        let late = model.scan_since(&panel, first).unwrap();
        for series in 0..6 {
            let (all, late) = (&all.series[series], &late.series[series]);
            assert!(all.log_odds().skip(from).eq(late.log_odds().skip(from)), "series {series} from {from}");
            assert!(all.windows().skip(from).eq(late.windows().skip(from)));
            assert!(all.shared().skip(from).eq(late.shared().skip(from)));
        }
    }
    // A time that no row reaches judges nothing and is no error.
    assert!(model.scan_since(&panel, Timestamp::from_micros(i64::MAX)).is_ok());
}

#[test]
fn what_earlier_scans_found_changes_nothing() {
    let effect = |brand: usize, hour: usize| match brand {
        4 if hour >= 1500 => [0.5, 1.0, 1.0, 1.0],
        1 if (1700..1740).contains(&hour) => [1.0, 0.3, 1.0, 1.0],
        _ => outage(brand, hour),
    };
    let panel = Shop::new(6, 90, effect).panel();
    let model = fit(&part(&panel, 0, 30 * 24));
    let time = panel.iter().next().unwrap().1.time();
    let mut memory = funnelpulse_core::Memory::default();
    // Windows of odd lengths, the first across the end of the training; a brand that comes late, and old rows that
    // are left out.
    let mut end = 29 * 24;
    while end < 88 * 24 {
        end += [31, 77, 24, 1, 72, 115][end % 6];
        let mut known = part(&panel, end.saturating_sub(75 * 24) / 24 * 24, end);
        if end < 1300 {
            let mut others = Panel::new(known.columns().clone());
            for (key, frame) in known.iter().filter(|(key, _)| key.as_str() != "brand_03") {
                others.insert(key.clone(), frame.clone()).unwrap();
            }
            known = others;
        }
        let first = time[end.saturating_sub(8 * 24)];
        let alone = model.scan_since(&known, first).unwrap();
        let next = model.scan_next(&known, first, &mut memory).unwrap();
        for (alone, next) in alone.series.iter().zip(&next.series) {
            assert!(alone.log_odds().eq(next.log_odds()), "{} up to {end}", alone.series);
            assert!(alone.windows().eq(next.windows()) && alone.shared().eq(next.shared()));
        }
        let site = |scan: &crate::Scan| scan.site.as_ref().map(|site| site.log_odds().collect::<Vec<_>>());
        assert_eq!(site(&alone), site(&next));
    }
}
