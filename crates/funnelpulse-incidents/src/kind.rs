//! What can happen to a funnel, and what it does to each step.

use funnelpulse_core::IncidentKind;

/// What one state of the model does to the expected values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hypothesis {
    pub(crate) kind: IncidentKind,
    /// Factors on traffic, carts, purchases and price.
    pub(crate) factors: [f64; 4],
    /// Steps that take the expected values of `shift` hours later instead of their own.
    pub(crate) displaced: [bool; 3],
    pub(crate) shift: i64,
    /// Mean length in hours.
    pub(crate) hours: f64,
    /// Share of the kind's probability.
    pub(crate) share: f64,
    /// The state that it comes from instead of normal operation: a slope is a chain of levels.
    pub(crate) after: Option<usize>,
}

/// Factors by which something breaks: hardly anything left to a third missing.
const DOWN: [f64; 4] = [0.03, 0.2, 0.4, 0.65];

/// Hours by which values may be displaced.
pub(crate) const SHIFTS: [i64; 8] = [-12, -9, -8, -6, 6, 8, 9, 12];

/// Every state but the normal one, for a funnel of which the given steps are known. Kinds that
/// can't be told apart without a missing step are left out.
pub(crate) fn hypotheses(known: [bool; 4]) -> Vec<Hypothesis> {
    use IncidentKind as K;
    let [_, carts, purchases, revenue] = known;
    let mut states = all_hypotheses();
    let possible = |kind: K| match kind {
        K::CheckoutOutage | K::TrackingOutage | K::BotTraffic | K::Promotion | K::GradualDegradation => purchases,
        K::PriceError => purchases && revenue,
        K::CartBreak => carts,
        K::LevelShift | K::Spike | K::Dip | K::Pattern => true,
    };
    let kept: Vec<bool> =
        states.iter().map(|s| possible(s.kind) && (s.displaced[0] || s.shift == 0 || purchases)).collect();
    // Chains of states are kept or left out as a whole, so only positions change.
    let position: Vec<usize> =
        kept.iter().scan(0, |n, kept| Some(std::mem::replace(n, *n + usize::from(*kept)))).collect();
    for state in &mut states {
        state.after = state.after.map(|before| position[before]);
    }
    let mut kept = kept.into_iter();
    states.retain(|_| kept.next() == Some(true));
    states
}

fn all_hypotheses() -> Vec<Hypothesis> {
    use IncidentKind as K;
    let mut all: Vec<Hypothesis> = Vec::new();
    let mut add = |kind, hours, grid: &[[f64; 4]]| {
        for factors in grid {
            let share = 1.0 / grid.len() as f64;
            all.push(Hypothesis {
                kind,
                factors: *factors,
                displaced: [false; 3],
                shift: 0,
                hours,
                share,
                after: None,
            });
        }
    };
    add(K::CheckoutOutage, 6.0, &DOWN.map(|f| [1.0, 1.0, f, 1.0]));
    add(K::TrackingOutage, 6.0, &DOWN.map(|f| [f, 1.0, 1.0, 1.0]));
    add(K::BotTraffic, 6.0, &[1.6, 2.5, 4.0, 7.0].map(|f| [f, 1.0, 1.0, 1.0]));
    add(K::Promotion, 36.0, &[[1.2, 1.3, 1.5, 0.85], [1.4, 1.6, 2.2, 0.8], [1.8, 2.2, 3.3, 0.75]]);
    add(
        K::PriceError,
        9.0,
        &[
            [1.0, 1.0, 3.0, 0.1],
            [1.0, 1.0, 2.0, 0.35],
            [1.0, 1.0, 1.3, 0.7],
            [1.0, 1.0, 0.6, 1.7],
            [1.0, 1.0, 0.15, 6.0],
        ],
    );
    add(K::LevelShift, 72.0, &[0.25, 0.4, 0.55, 0.75, 1.33, 1.7, 2.5, 4.0].map(|f| [f, f, f, 1.0]));
    add(K::Spike, 1.2, &[1.9, 2.8, 4.5, 7.0].map(|f| [f, f, f, 1.0]));
    add(K::Dip, 1.2, &[0.05, 0.15, 0.3, 0.5].map(|f| [f, f, f, 1.0]));
    add(K::CartBreak, 6.0, &DOWN.map(|f| [1.0, f, 1.0 - 0.8 * (1.0 - f), 1.0]));
    for (shifts, displaced, hours) in
        [(&[-12, -9, -6, 6, 9, 12][..], [true; 3], 6.0), (&[-12, -8, 8, 12][..], [false, true, true], 24.0)]
    {
        for &shift in shifts {
            let share = 0.5 / shifts.len() as f64;
            all.push(Hypothesis { kind: K::Pattern, factors: [1.0; 4], displaced, shift, hours, share, after: None });
        }
    }
    let mut before = None;
    for factor in [0.82, 0.66, 0.5, 0.3] {
        let factors = [1.0, 1.0, factor, 1.0];
        let kind = K::GradualDegradation;
        let share = if before.is_none() { 1.0 } else { 0.0 };
        all.push(Hypothesis { kind, factors, displaced: [false; 3], shift: 0, hours: 24.0, share, after: before });
        before = Some(all.len() - 1);
    }
    all
}
