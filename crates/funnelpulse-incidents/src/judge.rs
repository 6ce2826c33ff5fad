//! From what windows show to rows of evidence, and from hours to the sums that windows look at.

use funnelpulse_core::IncidentKind;

use crate::{
    alarm::Alarm,
    grid::{PURCHASES, REVENUE, STEPS},
    incident::Row,
    name::{self, Stretch},
    series::Series,
    structure::Known,
    windows::{
        Track,
        greedy::Found,
        noise::Noise,
        value::{Hour, OrderValues},
    },
};

/// What turns an hour into a row of evidence.
pub(crate) struct Judge<'a> {
    pub(crate) alarm: &'a Alarm,
    pub(crate) prior: f64,
    pub(crate) noise: &'a Noise,
    pub(crate) unit: f64,
}

impl Judge<'_> {
    /// The same; an hour before `first`, of which nothing was looked for, has no name.
    pub(crate) fn row_from(
        &self,
        first: usize,
        hour: usize,
        observed: &[[f64; STEPS]],
        expected: &[[f64; STEPS]],
        found: Found,
    ) -> Row {
        if hour >= first {
            return self.row(hour, observed, expected, found);
        }
        Row {
            hour,
            observed: observed[hour],
            expected: expected[hour],
            log_odds: self.alarm.log_odds(0.0),
            found: Found::default(),
            kind: IncidentKind::Unexplained,
            is_shared: false,
        }
    }

    /// The row of an hour, named by the window that it belongs to.
    pub(crate) fn row(&self, hour: usize, observed: &[[f64; STEPS]], expected: &[[f64; STEPS]], found: Found) -> Row {
        let (from, to) = match found.length {
            0 => (hour, hour + 1),
            length => (hour - usize::from(found.before), hour - usize::from(found.before) + usize::from(length)),
        };
        let stretch = Stretch::of(&observed[from..to], &expected[from..to]);
        let log_odds = self.alarm.log_odds(found.height);
        Row {
            hour,
            observed: observed[hour],
            expected: expected[hour],
            log_odds,
            found,
            kind: name::of(&stretch, self.noise, self.unit),
            is_shared: found.is_shared && log_odds + self.prior >= 0.0,
        }
    }
}

/// Running sums of a series from an hour on, the start of a day; masks begin there. Revenue is compared with what the
/// observed purchases bring.
#[expect(clippy::too_many_arguments, reason = "everything that a track is made of")]
pub(crate) fn track(
    first: usize,
    known: Known,
    values: &OrderValues,
    series: &Series,
    unit: f64,
    expected: &[Vec<f64>; STEPS],
    mask: &[f64],
    is_trained: &[bool],
) -> Track {
    let from = |of: &[Vec<f64>; STEPS]| -> [Vec<f64>; STEPS] { std::array::from_fn(|step| of[step][first..].to_vec()) };
    let (all, due) = (from(&series.value), from(expected));
    let [views, carts, purchases, revenue] = all.each_ref().map(Vec::as_slice);
    let [seen_views, seen_carts, seen_purchases, seen_revenue] = series.seen.each_ref().map(|seen| &seen[first..]);
    let [due_views, due_carts, due_purchases, due_revenue] = due.each_ref().map(Vec::as_slice);
    let revenue: Vec<f64> = revenue.iter().map(|v| v / unit).collect();
    let has_values = known[REVENUE] && known[PURCHASES];
    let mut seen_revenue = seen_revenue.to_vec();
    if has_values {
        seen_revenue.iter_mut().zip(seen_purchases).for_each(|(r, p)| *r *= p);
    }
    let value = |hour: usize| {
        if has_values { values.of(Hour::of(&all, 1.0 / unit, &due, hour)) } else { (0.0, 0.0) }
    };
    let (value, weight): (Vec<f64>, Vec<f64>) = (0..mask.len()).map(value).unzip();
    let after: Vec<f64> = mask.iter().zip(is_trained).map(|(m, t)| if *t { *m } else { 1.0 }).collect();
    Track::new(
        [views, carts, purchases, &revenue, &value],
        [due_views, due_carts, due_purchases, due_revenue, &weight],
        [seen_views, seen_carts, seen_purchases, &seen_revenue, &seen_revenue],
        mask,
        &after,
    )
}
