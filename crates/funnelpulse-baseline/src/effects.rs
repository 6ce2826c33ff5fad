//! Effects of calendar entries: what rows of entries show against the rows that are expected without them.
//!
//! Log factors of a column that is never negative, shifts of any other. The estimate of an entry is that of a model of
//! random effects with known variances: entries of a name vary around the effect of the name, names of a kind around that
//! of the kind, kinds around none (Gelman et al. 2013, Bayesian Data Analysis, section 5.4). What is not known of an effect
//! is variance of the expected value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    calendar::{Mark, Name},
    scale::Unit,
    spread::Prediction,
};

/// Prior variances, in squares of log factors as `funnelpulse-incidents` has them, of a kind of entries and of a name
/// around its kind; and of the entries of a name (two Christmas days differ by a tenth).
const KIND: f64 = 0.3 * 0.3;
const NAME: f64 = 0.3 * 0.3;
const ENTRY: f64 = 0.1 * 0.1;
/// A shift of so many standard deviations of the column is as likely as a log factor of one.
const SHIFT_PER_LOG: f64 = 4.0;
/// Rows that wander together: a run of so many rows counts as one observation of the effect.
const TOGETHER: f64 = 6.0;
/// Residuals beyond this, in standard deviations, don't weigh more in a robust estimate.
const CLIP: f64 = 3.0;
/// Halvings of the range of effects: it has twelve digits then.
const HALVINGS: usize = 40;
/// Largest effect that is learnt, a log factor: 20 times as many, or a twentieth where the shop was closed.
const LIMIT: f64 = 3.0;

/// The effect of a name on a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Effect {
    /// A log factor; of a column that has negative values a shift, in standard deviations of all its rows.
    pub(crate) mean: f64,
    /// The variance of the effect of the next entry around it.
    pub(crate) variance: f64,
}

impl Effect {
    pub(crate) fn is_valid(&self) -> bool {
        self.mean.abs() <= LIMIT * SHIFT_PER_LOG && self.variance >= 0.0 && self.variance.is_finite()
    }

    /// Two effects at the same time.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { mean: self.mean + other.mean, variance: self.variance + other.variance }
    }
}

/// A column as effects see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) unit: Unit,
    /// The standard deviation of all rows, on the scale of comparison.
    pub(crate) deviation: f64,
}

impl Column {
    /// What is expected of a row of an entry.
    pub(crate) fn expect(self, ordinary: Prediction, effect: Effect) -> Prediction {
        let finite = |value: f64| value.clamp(-f64::MAX, f64::MAX);
        let Prediction { level, center, deviation } = ordinary;
        let (level, center, deviation) = if self.unit.nonnegative() {
            let factor = effect.mean.exp();
            let changed = finite(level * factor);
            // The noise of a logarithm does not grow with the level.
            let grown = if self.unit.is_log() { 1.0 } else { factor.max(1.0) };
            (changed, center + (self.unit.transform(changed) - self.unit.transform(level)), deviation * grown)
        } else {
            let changed = center + effect.mean * self.deviation;
            (level + (self.unit.invert(changed) - self.unit.invert(center)), changed, deviation)
        };
        let unknown = effect.variance.sqrt() * self.per_effect(level);
        let deviation = finite(finite(deviation).hypot(finite(unknown)));
        Prediction { level: finite(level), center: finite(center), deviation }
    }

    /// The change on the scale of comparison per unit of effect, where so much is expected.
    fn per_effect(self, level: f64) -> f64 {
        if self.unit.nonnegative() { level.abs() * self.unit.slope(level) } else { self.deviation }
    }

    /// Effects of the column in this many times log factors.
    fn scale(self) -> f64 {
        if self.unit.nonnegative() { 1.0 } else { SHIFT_PER_LOG }
    }

    /// The effect that rows of one entry show, and its variance; `None` where the column says nothing. With robust
    /// statistics the estimate is Huber's (1964).
    fn observe(self, rows: &[(f64, Prediction)], robust: bool) -> Option<Effect> {
        let rows: Vec<Share> = rows.iter().filter_map(|(value, expected)| self.share(*value, *expected)).collect();
        let precision: f64 = rows.iter().map(|row| row.weight.powi(2)).sum();
        let clip = if robust { CLIP } else { f64::MAX };
        let balance = |effect: f64| {
            let step = if self.unit.nonnegative() { effect.exp() - 1.0 } else { effect };
            let residual = |row: &Share| (row.residual - step * row.weight).clamp(-clip, clip);
            rows.iter().map(|row| row.weight * residual(row)).sum::<f64>()
        };
        let variance = TOGETHER.min(rows.len() as f64) / precision;
        (variance.is_finite()).then(|| Effect { mean: root_of_falling(LIMIT * self.scale(), balance), variance })
    }

    /// A row, in standard deviations of its noise: in the column's own units, where means add up, or of a column with
    /// negative values on the scale of comparison.
    fn share(self, value: f64, expected: Prediction) -> Option<Share> {
        let (residual, per_step, noise) = if self.unit.nonnegative() {
            let noise = expected.deviation / self.unit.slope(expected.level);
            (value - expected.level, expected.level, noise)
        } else {
            (self.unit.transform(value) - expected.center, self.deviation, expected.deviation)
        };
        let share = Share { residual: residual / noise, weight: per_step / noise };
        (share.weight > 0.0 && share.weight.is_finite() && !share.residual.is_nan()).then_some(share)
    }
}

/// What a row says of an effect.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// Observed less expected without the effect.
    residual: f64,
    /// The change of what is expected by as much again, or by a shift of one.
    weight: f64,
}

/// Where a falling function is zero, within limits.
fn root_of_falling(limit: f64, at: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (-limit, limit);
    if at(high) >= 0.0 {
        return high;
    }
    if at(low) <= 0.0 {
        return low;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if at(middle) > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// What a training shows of a name: the precisions of its entries, and their effects weighed by them.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    precision: f64,
    weighed: f64,
}

impl Evidence {
    fn add(&mut self, seen: Effect) {
        let precision = 1.0 / seen.variance;
        self.precision += precision;
        self.weighed += precision * seen.mean;
    }

    /// The effect, given its prior.
    fn posterior(self, prior: Effect) -> Effect {
        let precision = self.precision + 1.0 / prior.variance;
        Effect { mean: (self.weighed + prior.mean / prior.variance) / precision, variance: 1.0 / precision }
    }
}

/// A row of the training that lies in entries, and what is expected of it without them.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) marks: &'a [Mark],
    pub(crate) value: f64,
    pub(crate) ordinary: Prediction,
}

/// The effect of each name on a column.
pub(crate) fn learn(column: Column, names: &[Name], rows: &[Row<'_>], robust: bool) -> Vec<Effect> {
    let [kind, name, entry] = [KIND, NAME, ENTRY].map(|variance| variance * column.scale().powi(2));
    let mut evidence = vec![Evidence::default(); names.len()];
    let mut found = vec![Effect::default(); names.len()];
    for at in by_rows(names.len(), rows) {
        for rows in of_name(column, at, rows, &found) {
            if let Some(seen) = column.observe(&rows, robust) {
                evidence[at].add(Effect { variance: seen.variance + entry, ..seen });
            }
        }
        found[at] = evidence[at].posterior(Effect { mean: 0.0, variance: kind + name });
    }
    let mut effects = Vec::with_capacity(names.len());
    // Names are in order of kinds.
    for of_kind in names.chunk_by(|a, b| a.kind == b.kind) {
        let evidence = &evidence[effects.len()..effects.len() + of_kind.len()];
        let mut of_names = Evidence::default();
        for seen in evidence.iter().filter(|seen| seen.precision > 0.0) {
            let mean = seen.weighed / seen.precision;
            of_names.add(Effect { mean, variance: name + 1.0 / seen.precision });
        }
        let center = of_names.posterior(Effect { mean: 0.0, variance: kind });
        effects.extend(evidence.iter().map(|seen| {
            let effect = seen.posterior(Effect { mean: center.mean, variance: name });
            // What is not known of the kind is not known of the name, in so far as it leans on its kind.
            let variance = effect.variance + (effect.variance / name).powi(2) * center.variance + entry;
            Effect { variance, ..effect }
        }));
    }
    effects
}

/// Names in the order in which they are learnt, those with the most rows first: a mailing lies in a sale.
fn by_rows(names: usize, rows: &[Row<'_>]) -> Vec<usize> {
    let mut counts = vec![0_usize; names];
    rows.iter().flat_map(|row| row.marks).for_each(|mark| counts[mark.name] += 1);
    let mut order: Vec<usize> = (0..names).filter(|&name| counts[name] > 0).collect();
    order.sort_by_key(|&name| std::cmp::Reverse(counts[name]));
    order
}

/// The rows of each entry of a name, with what is expected of them by the effects of others that are known so far.
fn of_name(column: Column, name: usize, rows: &[Row<'_>], found: &[Effect]) -> Vec<Vec<(f64, Prediction)>> {
    let mut entries: BTreeMap<usize, Vec<(f64, Prediction)>> = BTreeMap::new();
    for row in rows {
        let Some(mark) = row.marks.iter().find(|mark| mark.name == name) else { continue };
        let others = row.marks.iter().filter(|other| other.name != name).map(|other| found[other.name]);
        let expected = others.reduce(Effect::and).map_or(row.ordinary, |others| column.expect(row.ordinary, others));
        entries.entry(mark.entry).or_default().push((row.value, expected));
    }
    entries.into_values().collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;

    const COLUMN: Column = Column { unit: Unit::LINEAR_COUNT, deviation: 30.0 };

    fn names(names: &[(&str, &str)]) -> Vec<Name> {
        names.iter().map(|(kind, name)| Name { kind: (*kind).to_owned(), name: (*name).to_owned() }).collect()
    }

    /// Days of 24 rows that have a factor of what is expected.
    fn learn_days(names: &[Name], days: &[(Mark, f64)]) -> Vec<Effect> {
        let ordinary = Prediction { level: 100.0, center: 100.0, deviation: 5.0 };
        let marks: Vec<[Mark; 1]> = days.iter().map(|(mark, _)| [*mark]).collect();
        let rows = days
            .iter()
            .zip(&marks)
            .flat_map(|((_, factor), marks)| (0..24).map(move |_| Row { marks, value: 100.0 * factor, ordinary }));
        learn(COLUMN, names, &rows.collect::<Vec<_>>(), true)
    }

    #[test]
    fn what_was_seen_often_is_known_and_kinds_lend_to_their_names() {
        let names = names(&[("holiday", "christmas"), ("holiday", "easter"), ("sale", "black_friday")]);
        let twice = [(Mark { entry: 0, name: 0 }, 0.5), (Mark { entry: 1, name: 0 }, 0.5)];
        let once = learn_days(&names, &twice[..1]);
        let effects = learn_days(&names, &twice);
        let [christmas, easter, sale] = effects[..] else { panic!() };
        // ln 0.5 = -0.69.
        assert!(christmas.mean < -0.6 && christmas.mean > -0.69 && once[0].mean > christmas.mean, "{christmas:?}");
        assert!(easter.mean < -0.2 && easter.mean > christmas.mean, "{easter:?}");
        assert_eq!(sale.mean, 0.0);
        assert!((sale.variance - KIND - NAME - ENTRY).abs() < 1e-12);
        assert!(christmas.variance < once[0].variance && once[0].variance < easter.variance);
        assert!(easter.variance < sale.variance);
    }

    #[test]
    fn a_few_rows_say_less_than_a_day() {
        let names = names(&[("mail", "mail")]);
        let ordinary = Prediction { level: 4.0, center: 4.0, deviation: 2.0 };
        let marks = [Mark { entry: 0, name: 0 }];
        let row = Row { marks: &marks, value: 8.0, ordinary };
        let [one, day] = [1, 24].map(|rows| learn(COLUMN, &names, &vec![row.clone(); rows], true)[0]);
        assert!(one.mean > 0.0 && one.mean < day.mean && one.variance > day.variance, "{one:?} {day:?}");
    }

    #[test]
    fn an_entry_within_another_has_an_effect_of_its_own() {
        let names = names(&[("mail", "mail"), ("sale", "sale")]);
        let ordinary = Prediction { level: 100.0, center: 100.0, deviation: 3.0 };
        let (sale, both) = ([Mark { entry: 0, name: 1 }], [Mark { entry: 1, name: 0 }, Mark { entry: 0, name: 1 }]);
        let mut rows = vec![Row { marks: &sale, value: 150.0, ordinary }; 200];
        rows.extend(vec![Row { marks: &both, value: 225.0, ordinary }; 24]);
        for robust in [true, false] {
            let effects = learn(COLUMN, &names, &rows, robust);
            assert!(effects.iter().all(|effect| (0.3..0.55).contains(&effect.mean)), "{effects:?}");
        }
    }

    #[test]
    fn an_outage_within_an_entry_is_not_its_effect() {
        let ordinary = Prediction { level: 100.0, center: 100.0, deviation: 5.0 };
        let marks = [Mark { entry: 0, name: 0 }];
        let mut rows = vec![Row { marks: &marks, value: 150.0, ordinary }; 24];
        rows[5..13].iter_mut().for_each(|row| row.value = 0.0);
        let effect = learn(COLUMN, &names(&[("sale", "sale")]), &rows, true)[0];
        assert!(effect.mean > 0.3, "{effect:?}");
    }

    #[test]
    fn sparse_counts_of_an_ordinary_day_have_no_effect() {
        // One in three hours has a count; the median is zero.
        let ordinary = Prediction { level: 1.0 / 3.0, center: 0.0, deviation: 0.5 };
        let marks: Vec<[Mark; 1]> = (0..4).map(|entry| [Mark { entry, name: 0 }]).collect();
        let rows = |counts: [f64; 3]| -> Vec<Row<'_>> {
            (0..96).map(|i| Row { marks: &marks[i / 24], value: counts[i % 3], ordinary }).collect()
        };
        let effect = |counts| learn(COLUMN, &names(&[("sale", "sale")]), &rows(counts), true)[0];
        assert!(effect([0.0, 0.0, 1.0]).mean.abs() < 1e-6);
        let more = effect([0.0, 1.0, 1.0]);
        assert!(more.mean > 0.2, "{more:?}");
        let expected = COLUMN.expect(ordinary, more);
        assert!(expected.level > 0.4 && expected.center > 0.05 && expected.deviation > ordinary.deviation);
    }

    #[test]
    fn the_effects_of_next_entries_vary_as_much_as_the_variance_says() {
        let mut random = Pcg64::seed_from_u64(5);
        let mut normal = |mean: f64, variance: f64| {
            mean + variance.sqrt() * Normal::standard().inverse_cdf(random.random_range(1e-9..1.0))
        };
        let names = names(&[("holiday", "twice"), ("holiday", "once"), ("holiday", "never")]);
        let mut squares = [0.0; 3];
        for _ in 0..1_000 {
            let kind = normal(0.0, KIND);
            let of_names: [f64; 3] = std::array::from_fn(|_| normal(kind, NAME));
            let seen = [(0, 0), (1, 0), (2, 1)];
            let days = seen.map(|(entry, name)| (Mark { entry, name }, normal(of_names[name], ENTRY).exp()));
            for (name, effect) in learn_days(&names, &days).into_iter().enumerate() {
                let next = normal(of_names[name], ENTRY);
                squares[name] += (next - effect.mean).powi(2) / effect.variance / 1_000.0;
            }
        }
        assert!(squares.iter().all(|square| (0.85..1.15).contains(square)), "{squares:?}");
    }

    #[test]
    fn effects_stay_finite() {
        let huge = Prediction { level: 1e308, center: 1e308, deviation: 1e300 };
        for effect in [Effect { mean: LIMIT, variance: 1.0 }, Effect { mean: -LIMIT, variance: 0.0 }] {
            let expected = COLUMN.expect(huge, effect);
            assert!([expected.level, expected.center, expected.deviation].into_iter().all(f64::is_finite));
        }
        let marks = [Mark { entry: 0, name: 0 }];
        for (value, level) in [(1e308, 1e-300), (0.0, 100.0), (5.0, 0.0), (-1.0, 3.0)] {
            let ordinary = Prediction { level, center: level, deviation: 1.0 };
            let rows = vec![Row { marks: &marks, value, ordinary }; 30];
            for robust in [true, false] {
                assert!(learn(COLUMN, &names(&[("a", "a")]), &rows, robust)[0].is_valid(), "{value} {level}");
            }
        }
    }
}
