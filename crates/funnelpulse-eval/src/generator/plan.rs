//! The times of anomalies and gaps.

use std::ops::Range;

use rand::{RngExt, seq::SliceRandom};
use rand_pcg::Pcg64;

use super::{
    AnomalyKind, GeneratorConfig, Variety,
    brand::Rates,
    draw::{self, Drawn},
    kind::Effect,
};

/// Hours between two anomalies of one brand.
const REST: usize = 24;
/// Anomalies without a place after which a brand counts as full.
const MAX_FAILURES: usize = 12;

/// An anomaly with a place in time.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) kind: AnomalyKind,
    pub(super) hours: Range<usize>,
    pub(super) site_wide: bool,
    form: Form,
}

/// What an anomaly does.
#[derive(Clone, Debug)]
enum Form {
    /// The tabulated effect of its kind.
    Tabulated {
        upwards: bool,
    },
    Drawn(Drawn),
}

impl Planned {
    /// Its effect at `hour`, which is within.
    pub(super) fn effect(&self, config: &GeneratorConfig, hour: usize) -> Effect {
        let progress = (hour - self.hours.start + 1) as f64 / self.hours.len() as f64;
        match &self.form {
            Form::Tabulated { upwards } => self.kind.effect(config.difficulty, *upwards, progress),
            Form::Drawn(drawn) => drawn.effect(progress),
        }
    }
}

/// Incidents that hit every brand.
pub(super) fn site_wide(config: &GeneratorConfig, rng: &mut Pcg64) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    let kinds = [AnomalyKind::CheckoutOutage, AnomalyKind::TrackingOutage];
    for kind in kinds.into_iter().cycle().take(config.site_wide_incidents) {
        let length = rng.random_range(kind.hours(config.difficulty));
        planned.extend(place(config, &planned, length, rng, |_| true).map(|hours| Planned {
            kind,
            hours,
            site_wide: true,
            form: Form::Tabulated { upwards: false },
        }));
    }
    planned
}

/// The anomalies of one brand, `site_wide` among them, in order of time.
pub(super) fn anomalies(
    config: &GeneratorConfig,
    site_wide: &[Planned],
    rates: &Rates,
    rng: &mut Pcg64,
) -> Vec<Planned> {
    let mut planned = site_wide.to_vec();
    let mut left = config.anomaly_share * config.hours() as f64;
    let (mut round, mut failures) = (Vec::new(), 0);
    while left > 0.0 && failures < MAX_FAILURES {
        // Rounds in random order use every kind before any comes again.
        if round.is_empty() {
            round.clone_from(&config.kinds);
            round.shuffle(rng);
        }
        let Some(kind) = round.pop() else { break };
        let (kind, length, form) = draw(config, kind, rng);
        // The last one is kept by chance, so that the share is right on average without favour
        // for short kinds.
        if left < length as f64 && !rng.random_bool(left / length as f64) {
            break;
        }
        let shift = match &form {
            Form::Tabulated { upwards } => kind.effect(config.difficulty, *upwards, 1.0).shift,
            Form::Drawn(drawn) => drawn.shift(),
        };
        match place(config, &planned, length, rng, |hours| suits(kind, shift, &hours, rates)) {
            Some(hours) => {
                left -= length as f64;
                planned.push(Planned { kind, hours, site_wide: false, form });
            }
            None => failures += 1,
        }
    }
    planned.sort_by_key(|event| event.hours.start);
    planned
}

/// Length and effect of an anomaly whose turn is `kind`; with an open variety every other one is a combination.
fn draw(config: &GeneratorConfig, kind: AnomalyKind, rng: &mut Pcg64) -> (AnomalyKind, usize, Form) {
    match config.variety {
        Variety::Tabulated => {
            let length = rng.random_range(kind.hours(config.difficulty));
            (kind, length, Form::Tabulated { upwards: rng.random() })
        }
        Variety::Open => {
            let kind = if rng.random() { kind } else { AnomalyKind::Combination };
            let length = draw::length(kind, config.difficulty, rng);
            (kind, length, Form::Drawn(draw::effect(kind, config.difficulty, rng)))
        }
    }
}

/// Looks for a free stretch at random; `None` when the time is full.
fn place(
    config: &GeneratorConfig,
    taken: &[Planned],
    length: usize,
    rng: &mut Pcg64,
    suits: impl Fn(Range<usize>) -> bool,
) -> Option<Range<usize>> {
    let first = config.quiet_days.min(config.days / 2) * 24;
    let last = config.hours().checked_sub(length).filter(|&last| last >= first)?;
    (0..500).find_map(|_| {
        let start = rng.random_range(first..=last);
        let hours = start..start + length;
        let free = taken.iter().all(|t| hours.end + REST <= t.hours.start || t.hours.end + REST <= hours.start);
        (free && suits(hours.clone())).then_some(hours)
    })
}

fn suits(kind: AnomalyKind, shift: usize, hours: &Range<usize>, rates: &Rates) -> bool {
    let views = &rates.views;
    if kind.by_day() {
        let day = hours.start / 24 * 24;
        let around = &views[day..(day + 24).min(views.len())];
        return views[hours.start] >= 0.5 * around.iter().sum::<f64>() / around.len() as f64;
    }
    if kind == AnomalyKind::WrongHour {
        // Where neighbouring hours are alike the wrong hour is no anomaly at all.
        let change = |hour: usize| (views[displaced(hour, shift, views.len())] / views[hour]).ln().abs();
        return hours.clone().map(change).sum::<f64>() / hours.len() as f64 >= 2_f64.ln();
    }
    true
}

/// The hour `shift` hours later, or earlier at the end of the data.
pub(super) fn displaced(hour: usize, shift: usize, hours: usize) -> usize {
    if hour + shift < hours { hour + shift } else { hour.saturating_sub(shift) }
}

/// Hours without data: outages of the feed of one to six hours, `share` of all hours.
pub(super) fn gaps(hours: usize, share: f64, rng: &mut Pcg64) -> Vec<bool> {
    const MEAN_LENGTH: f64 = 3.5;
    let mut down = vec![false; hours];
    for hour in 0..hours {
        if rng.random_bool((share / MEAN_LENGTH).min(1.0)) {
            let end = (hour + rng.random_range(1..=6)).min(hours);
            down[hour..end].fill(true);
        }
    }
    down
}
