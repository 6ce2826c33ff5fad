//! Prints the parity table of the README: our optimum and forecasts beside those of Prophet.
//! Needs the folder with the reference outputs, see `FUNNELPULSE_SHARED`.

#[allow(clippy::unwrap_used, reason = "shared with the tests")]
#[path = "../tests/seasonal/reference.rs"]
mod reference;

use std::time::Instant;

use funnelpulse_seasonal::Covariates;
use reference::{Reference, SERIES};

#[expect(clippy::print_stdout, reason = "a program that prints a table")]
fn main() {
    println!(
        "| series | rows | log posterior, Stan | ours | zero bends | yhat history, % of range | yhat future | \
         width of the interval, history | future | fit, ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, _) in SERIES {
        let Some(theirs) = Reference::load(name) else { return };
        let model = theirs.fit(name);
        let mut times = Vec::new();
        for _ in 0..21 {
            let start = Instant::now();
            std::hint::black_box(theirs.fit(name));
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_unstable_by(f64::total_cmp);
        let history = model.predict(&theirs.time, &Covariates::new()).expect("the history can be predicted");
        let future = model.predict(&theirs.future_time, &Covariates::new()).expect("the future can be predicted");
        let ratio = |lower: &[f64], upper: &[f64], table: &std::collections::BTreeMap<String, Vec<f64>>| {
            let mean = |l: &[f64], u: &[f64]| u.iter().zip(l).map(|(u, l)| u - l).sum::<f64>();
            mean(lower, upper) / mean(&table["yhat_lower"], &table["yhat_upper"])
        };
        println!(
            "| `{name}` | {} | {:.3} | {:.3} | {} of {} | {:.2} | {:.2} | {:.3} | {:.3} | {:.2} |",
            theirs.y.len(),
            theirs.lp,
            model.log_posterior(),
            model.rate_changes().iter().filter(|d| **d == 0.0).count(),
            model.rate_changes().len(),
            theirs.deviation(&history.yhat.to_vec(), &theirs.history["yhat"]),
            theirs.deviation(&future.yhat.to_vec(), &theirs.future["yhat"]),
            ratio(&history.yhat_lower.to_vec(), &history.yhat_upper.to_vec(), &theirs.history),
            ratio(&future.yhat_lower.to_vec(), &future.yhat_upper.to_vec(), &theirs.future),
            times[10],
        );
    }
}
