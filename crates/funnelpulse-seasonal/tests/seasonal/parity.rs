//! Parity with Prophet 1.5 on the reference series.

use funnelpulse_seasonal::Covariates;

use crate::reference::{Reference, SERIES};

#[test]
fn reaches_the_optimum_that_stan_stops_short_of() {
    for (name, best) in SERIES {
        let Some(theirs) = Reference::load(name) else { return };
        let model = theirs.fit(name);
        assert!(model.log_posterior() >= theirs.lp - 1e-6, "{name}: {} < {}", model.log_posterior(), theirs.lp);
        assert!((model.log_posterior() - best).abs() < 2e-3, "{name}: {} is not {best}", model.log_posterior());
        let forecast = model.predict(&theirs.time, &Covariates::new()).unwrap();
        let deviation = theirs.deviation(&forecast.yhat.to_vec(), &theirs.history["yhat"]);
        assert!(deviation < 0.5, "{name}: yhat deviates by {deviation} % of the range");
        for component in &forecast.components {
            let theirs = &theirs.history[&component.name];
            let size = theirs.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
            let worst = component.values.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 0.03 * size, "{name}, {}: {worst} of {size}", component.name);
        }
    }
}

#[test]
fn intervals_are_as_wide_as_prophets() {
    for (name, _) in SERIES {
        let Some(theirs) = Reference::load(name) else { return };
        let model = theirs.fit(name);
        for (time, table) in [(&theirs.time, &theirs.history), (&theirs.future_time, &theirs.future)] {
            let forecast = model.predict(time, &Covariates::new()).unwrap();
            let ours = (&forecast.yhat_upper - &forecast.yhat_lower).mean().unwrap();
            let widths = table["yhat_upper"].iter().zip(&table["yhat_lower"]).map(|(u, l)| u - l);
            let theirs = widths.sum::<f64>() / time.len() as f64;
            assert!((ours / theirs - 1.0).abs() < 0.01, "{name}: mean width {ours}, Prophet's {theirs}");
        }
    }
}
