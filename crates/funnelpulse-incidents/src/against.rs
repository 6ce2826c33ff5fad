//! Judging a panel by forecasts from elsewhere.

use std::collections::BTreeMap;

use funnelpulse_core::{Frame, Panel, SeriesKey};
use rayon::prelude::*;

use crate::{
    IncidentDetector, IncidentError, RowEvidence,
    alarm::Alarm,
    grid::{Grid, PURCHASES, REVENUE, STEPS},
    judge::{Judge, track},
    series::Series,
    windows::{
        Track,
        clump::Clumps,
        evaluate::Watched,
        greedy::Found,
        learn::{self, Learnt},
        noise::Noise,
        statistics,
        value::{Hour, OrderValues},
    },
};

/// What is expected of a series, for [`IncidentDetector::scan_against`].
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalForecast {
    /// Columns as in the panel, with the values of normal operation; times as in the panel. Rows
    /// outside of the panel's hours are not looked at, NaN leaves a row unjudged.
    pub expected: Frame,
}

/// A series with its forecast.
struct Forecasted {
    series: Series,
    /// In the units of the statistics: revenue given the observed purchases.
    expected: [Vec<f64>; STEPS],
    /// As forecast.
    due: Vec<[f64; STEPS]>,
    unit: f64,
}

impl IncidentDetector {
    /// Judges every row of `panel` against forecasts of your own, which are taken as they are: no
    /// level or profile is learnt. The noise around them is, from this panel.
    ///
    /// Series without a forecast are left out.
    pub fn scan_against(
        &self,
        panel: &Panel,
        forecasts: &BTreeMap<SeriesKey, ExternalForecast>,
    ) -> Result<Vec<RowEvidence>, IncidentError> {
        let known: Vec<_> = panel.iter().filter_map(|(key, frame)| Some((key, frame, forecasts.get(key)?))).collect();
        let times = known.iter().flat_map(|(_, frame, _)| frame.time().iter().copied());
        let Some(grid) = Grid::spanning(times)? else { return Ok(Vec::new()) };
        let all: Vec<Forecasted> = known
            .par_iter()
            .map(|(_, frame, forecast)| self.forecasted(frame, forecast, grid))
            .collect::<Result<_, _>>()?;
        let (config, steps) = (self.config(), self.config().known());
        let (no_mask, trained) = (vec![1.0; grid.hours], vec![true; grid.hours]);
        let hours = |f: &'_ Forecasted| {
            (0..grid.hours).map(|hour| Hour::of(&f.series.value, 1.0 / f.unit, &f.expected, hour)).collect::<Vec<_>>()
        };
        let values = OrderValues::fit(all.iter().flat_map(hours));
        let track = |f: &Forecasted| track(0, steps, &values, &f.series, f.unit, &f.expected, &no_mask, &trained);
        let tracks: Vec<Track> = all.par_iter().map(track).collect();
        let mut noise: Vec<Noise> = tracks.par_iter().map(Noise::fit).collect();
        Noise::shrink(&mut noise, &all.iter().map(|f| f.series.known_hours()).collect::<Vec<_>>());
        let watched: Vec<Watched<'_>> =
            tracks.iter().zip(&noise).map(|(track, noise)| Watched { track, noise }).collect();
        let statistics = statistics(steps);
        let Learnt { found, .. } = learn::learn(&watched, &statistics, Clumps::fit(tracks.iter()));
        let heights = |(f, found): (&Forecasted, &Vec<Found>)| {
            f.series.rows.iter().map(|&hour| (hour, found[hour].height)).collect::<Vec<_>>()
        };
        let heights: Vec<Vec<(usize, f64)>> = all.iter().zip(&found).map(heights).collect();
        let alarm = Alarm::fit(&heights, config.incidents_per_year);
        let prior = alarm.prior();
        let evidence = |at: usize| {
            let (forecasted, (key, frame, _)) = (&all[at], &known[at]);
            let judge = Judge { alarm: &alarm, prior, noise: &noise[at], unit: forecasted.unit };
            let observed = forecasted.series.observed();
            let row = |&hour: &usize| judge.row(hour, &observed, &forecasted.due, found[at][hour]);
            RowEvidence {
                series: (*key).clone(),
                time: frame.time().to_vec(),
                rows: forecasted.series.rows.iter().map(row).collect(),
                statistics: statistics.clone(),
                noise: noise[at].clone(),
                unit: forecasted.unit,
                prior,
            }
        };
        Ok((0..all.len()).into_par_iter().map(evidence).collect())
    }

    fn forecasted(&self, frame: &Frame, forecast: &ExternalForecast, grid: Grid) -> Result<Forecasted, IncidentError> {
        let mut series = Series::new(self.config(), frame.view(), grid)?;
        let times = forecast.expected.time();
        let first = times.partition_point(|t| *t < grid.time(0));
        let last = times.partition_point(|t| *t < grid.time(grid.hours));
        let forecast = Series::new(self.config(), forecast.expected.view().rows(first..last), grid)?;
        let total = |step: usize| forecast.value[step].iter().sum::<f64>();
        let unit = total(REVENUE) / total(PURCHASES);
        let unit = if unit.is_finite() && unit > 0.0 { unit } else { 1.0 };
        for (seen, forecast) in series.seen.iter_mut().zip(&forecast.seen) {
            seen.iter_mut().zip(forecast).for_each(|(seen, forecast)| *seen *= forecast);
        }
        let due = forecast.observed();
        let mut expected = forecast.value;
        let given_purchases = self.config().purchases.is_some();
        let [.., purchases, revenue] = &mut expected;
        for ((revenue, forecast), observed) in revenue.iter_mut().zip(purchases).zip(&series.value[PURCHASES]) {
            let part = if given_purchases { observed / *forecast } else { 1.0 };
            let given = *revenue * part / unit;
            *revenue = if given.is_finite() { given } else { 0.0 };
        }
        Ok(Forecasted { series, expected, due, unit })
    }
}
