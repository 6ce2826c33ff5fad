//! The pipeline with the settings for any series, as a detector of `score`.

use std::collections::BTreeMap;

use anyhow::Context;
use funnelpulse::{
    Config, Pipeline, Preset, RawScores, TrainedOn,
    core::{Frame, Panel, SeriesKey, Timestamp},
};
use ndarray::Array1;
use rayon::prelude::*;

use crate::{args::ScoreArgs, context::catalog, input::split_setting};

/// The preset on these columns, with the settings of the command line.
pub(super) fn configuration(args: &ScoreArgs, columns: &[String]) -> anyhow::Result<Config> {
    let metric = |name: &String| {
        toml::Value::Table(
            [("name", name.as_str()), ("kind", "amount")].map(|(k, v)| (k.to_owned(), v.into())).into_iter().collect(),
        )
    };
    let metrics = toml::Value::Array(columns.iter().map(metric).collect());
    let mut layers = Preset::Univariate.layers(&catalog()).set("input.metrics", &metrics.to_string())?;
    for param in &args.params {
        let (key, value) = split_setting(param, "--param", "ensemble.threshold=0.8")?;
        layers = layers.set(key, value)?;
    }
    Ok(layers.build()?)
}

/// Ensemble scores of each series, by a pipeline of its own.
pub(super) fn scores(
    config: &Config,
    series: &BTreeMap<SeriesKey, TrainedOn>,
    report: &(dyn Fn(&SeriesKey) + Sync),
) -> anyhow::Result<RawScores> {
    let pipeline = Pipeline::builder().config(config.clone()).build()?;
    let one = |(key, series): (&SeriesKey, &TrainedOn)| {
        let whole = panel(key, &series.frame, series.frame.nrows())?;
        let findings = pipeline.fit(&panel(key, &series.frame, series.rows)?)?.detect(&whole)?;
        let found = findings.series().first().with_context(|| {
            let reason = findings.failures().first().map_or("", |f| f.message.as_str());
            format!("series `{key}`: {reason}")
        })?;
        report(key);
        Ok((key.clone(), Ok(found.verdicts.iter().map(|v| v.score).collect::<Array1<f64>>())))
    };
    series.par_iter().map(one).collect()
}

/// The first rows of a series, one an hour: rows count here, not what their time means.
fn panel(key: &SeriesKey, frame: &Frame, rows: usize) -> anyhow::Result<Panel> {
    let columns = frame.columns().clone();
    let time = (0..rows as i64).map(|row| Timestamp::from_micros(row * Timestamp::HOUR)).collect();
    let values = frame.values().slice(ndarray::s![..rows, ..]).to_owned();
    let mut panel = Panel::new(columns.clone());
    panel.insert(key.clone(), Frame::new(time, columns, values)?)?;
    Ok(panel)
}
