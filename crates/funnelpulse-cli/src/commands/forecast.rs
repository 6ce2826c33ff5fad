//! `funnelpulse forecast`: series, explained and continued.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use funnelpulse::seasonal::{Component, Covariates, Forecast, Growth, Mode, Seasonal, SeasonalConfig, SeasonalError};
use funnelpulse::{
    core::{Timestamp, counted},
    io::Table,
};
use rayon::prelude::*;

use crate::{
    args::ForecastArgs,
    input::{SeriesRows, check_finite, check_times, rows_by_series},
    output, outputs, params,
    plot::{self, Legend, Picture, PlotPanel},
};

/// 9999-12-30: later times have no text that could be read again.
const LAST: Timestamp = Timestamp::from_seconds(253_402_128_000);

pub(crate) fn forecast(args: &ForecastArgs) -> anyhow::Result<()> {
    crate::overwrite::refuse(&[&args.input], &[("--output", Some(&args.output))])?;
    outputs::table("--output", &args.output)?;
    outputs::in_place("--plot", args.plot.as_deref())?;
    let config: SeasonalConfig = params::read(&args.params, "interval_width=0.95")?;
    if !config.metrics.is_empty() {
        bail!("`metrics` has no effect on a forecast, which is of one column: use --value-column");
    }
    let seasonal = Seasonal::new(config)?;
    let table = Table::read(&args.input)?;
    let data = Data::read(args, seasonal.config(), &table)?;
    let series = rows_by_series(&table, args.series_column.as_deref())?;

    let bar = output::bar("forecasting", series.len());
    let forecasts: Vec<anyhow::Result<SeriesForecast>> = series
        .par_iter()
        .map(|(name, rows)| {
            let forecast = data.forecast(args, &seasonal, rows);
            bar.inc(1);
            forecast.with_context(|| match &args.series_column {
                None => args.input.display().to_string(),
                Some(_) => format!("{}: series `{name}`", args.input.display()),
            })
        })
        .collect();
    bar.finish_and_clear();

    let mut parts: Vec<(&str, Forecast)> = Vec::new();
    let mut dropped = BTreeSet::new();
    for ((name, _), forecast) in series.iter().zip(forecasts) {
        let forecast = forecast?;
        parts.extend(forecast.parts.into_iter().map(|part| (name.as_str(), part)));
        dropped.extend(forecast.dropped);
    }
    if !dropped.is_empty() {
        let names = Vec::from_iter(dropped).join(", ");
        output::note(format_args!(
            "note: left out where the history is too short or too coarse: {names} (--param drop_unsupported=false \
             keeps them)"
        ));
    }
    if let Some(path) = &args.plot {
        plot::write(path, &pictures(&series, &data, &parts))?;
    }
    let (rows, path) = (table.num_rows(), args.output.display());
    let horizon = parts.iter().map(|(_, part)| part.time.len()).sum::<usize>() - rows;
    let count = series.len();
    let done = format!(
        "{} of {count} series and {horizon} beyond them forecast; table in {path}",
        counted(rows, "row", "rows")
    );
    output::write_table(&args.output, &batch(args, seasonal.config(), &parts)?, done)
}

/// The columns that a forecast starts from.
struct Data {
    time: Vec<Timestamp>,
    values: Vec<f64>,
    covariates: Vec<(String, Vec<f64>)>,
    /// A covariate that has to be known for the horizon.
    needed: Option<String>,
}

/// The forecast of a series, in parts that follow each other.
struct SeriesForecast {
    parts: Vec<Forecast>,
    /// Seasonalities that the history does not support.
    dropped: Vec<String>,
}

impl Data {
    fn read(args: &ForecastArgs, config: &SeasonalConfig, table: &Table) -> anyhow::Result<Self> {
        let needed = needed(config, table);
        let names: BTreeSet<&String> = needed.iter().chain(&config.weights).collect();
        let covariates = names.into_iter().map(|name| Ok((name.clone(), table.f64_column(name)?)));
        Ok(Self {
            time: table.time_column(&args.time_column)?,
            values: table.f64_column(&args.value_column)?,
            covariates: covariates.collect::<anyhow::Result<_>>()?,
            needed: needed.into_iter().next(),
        })
    }

    /// Forecasts the rows of one series, and those of its horizon.
    fn forecast(&self, args: &ForecastArgs, seasonal: &Seasonal, rows: &[usize]) -> anyhow::Result<SeriesForecast> {
        check_times(&args.time_column, &self.time, rows)?;
        check_finite(&args.value_column, &self.values, rows)?;
        let take = |column: &[f64]| -> Vec<f64> { rows.iter().map(|&row| column[row]).collect() };
        let time: Vec<Timestamp> = rows.iter().map(|&row| self.time[row]).collect();
        let own: Vec<(&String, Vec<f64>)> = self.covariates.iter().map(|(name, c)| (name, take(c))).collect();
        let covariates = own.iter().fold(Covariates::new(), |all, (name, c)| all.with(*name, c));
        let in_table = |error: SeasonalError| match error {
            SeasonalError::Value { row, name, value, allowed } => {
                let column = if name == "values" { &args.value_column } else { &name };
                let row = rows[row] + 1;
                anyhow::anyhow!("row {row}, column `{column}`: {value:?} is not allowed ({allowed})")
            }
            error => error.into(),
        };
        let model = seasonal.fit_series(&time, &take(&self.values), &covariates).map_err(in_table)?;
        let mut parts = vec![model.predict(&time, &covariates).map_err(in_table)?];
        if let (Some(&last), true) = (time.last(), args.horizon > 0) {
            if let Some(name) = &self.needed {
                let column = &args.value_column;
                bail!(
                    "`{name}` is not known beyond the last row: append rows with an empty `{column}` instead of --horizon"
                );
            }
            // The model's own future starts after its last value, which need not be the last row.
            let at = |i: u32| model.step().after(last, i.into());
            if at(args.horizon) > LAST {
                bail!("a horizon of {} ends after the year 9999", counted(args.horizon, "row", "rows"));
            }
            let times: Vec<Timestamp> = (1..=args.horizon).map(at).collect();
            parts.push(model.predict(&times, &Covariates::new())?);
        }
        Ok(SeriesForecast { parts, dropped: model.dropped_seasonalities().to_vec() })
    }
}

/// Values and forecast, the trend, and each other term, series by series.
fn pictures(series: &[SeriesRows], data: &Data, parts: &[(&str, Forecast)]) -> Vec<Picture> {
    let picture = |(name, rows): &SeriesRows| {
        let own: Vec<&Forecast> = parts.iter().filter(|(series, _)| series == name).map(|(_, part)| part).collect();
        let all = |of: &dyn Fn(&Forecast) -> Vec<f64>| own.iter().flat_map(|part| of(part)).collect::<Vec<f64>>();
        let terms = own.first().map_or(&[][..], |part| &part.components);
        let term = |term: &Component| PlotPanel {
            title: term.name.clone(),
            fitted: Some(all(&|part| part.component(&term.name).map_or_else(Vec::new, |values| values.to_vec()))),
            ..PlotPanel::default()
        };
        let forecast = PlotPanel {
            title: "values and forecast".to_owned(),
            observed: Some(rows.iter().map(|&row| data.values[row]).collect()),
            fitted: Some(all(&|part| part.yhat.to_vec())),
            interval: Some((all(&|part| part.yhat_lower.to_vec()), all(&|part| part.yhat_upper.to_vec()))),
            legend: Legend { fitted: "forecast".to_owned(), interval: "interval".to_owned(), ..Legend::default() },
            ..PlotPanel::default()
        };
        let trend = Some(all(&|part| part.trend.to_vec()));
        let trend = PlotPanel { title: "trend".to_owned(), fitted: trend, ..PlotPanel::default() };
        Picture {
            title: name.clone(),
            times: Some(own.iter().flat_map(|part| part.time.iter().copied()).collect()),
            panels: [forecast, trend].into_iter().chain(terms.iter().map(term)).collect(),
        }
    };
    series.iter().map(picture).collect()
}

/// The covariates without which nothing can be forecast.
fn needed(config: &SeasonalConfig, table: &Table) -> Vec<String> {
    let mut names: Vec<String> = config.regressors.iter().map(|r| r.name.clone()).collect();
    names.extend(config.seasonalities.iter().filter_map(|s| s.condition_name.clone()));
    names.extend(config.exposure.clone());
    if config.growth == Growth::Logistic {
        // A parameter is more explicit than a column; a floor there need not be.
        names.extend(config.cap.is_none().then(|| "cap".to_owned()));
        names.extend((config.floor.is_none() && table.has("floor")).then(|| "floor".to_owned()));
    }
    names
}

/// All forecasts, one after the other, as a table.
fn batch(args: &ForecastArgs, config: &SeasonalConfig, parts: &[(&str, Forecast)]) -> anyhow::Result<RecordBatch> {
    let forecasts = || parts.iter().map(|(_, forecast)| forecast);
    let numbers = |part: &dyn Fn(&Forecast) -> Vec<f64>| -> ArrayRef {
        Arc::new(forecasts().flat_map(part).map(|v| Some(v).filter(|v| !v.is_nan())).collect::<Float64Array>())
    };
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    if args.series_column.is_some() {
        let names = parts.iter().flat_map(|(name, forecast)| vec![Some(*name); forecast.time.len()]);
        columns.push(("series", Arc::new(names.collect::<StringArray>())));
    }
    let times: TimestampMicrosecondArray = forecasts().flat_map(|f| &f.time).map(|t| Some(t.as_micros())).collect();
    columns.push(("ds", Arc::new(times.with_timezone("UTC"))));
    columns.push(("yhat", numbers(&|f| f.yhat.to_vec())));
    columns.push(("yhat_lower", numbers(&|f| f.yhat_lower.to_vec())));
    columns.push(("yhat_upper", numbers(&|f| f.yhat_upper.to_vec())));
    columns.push(("trend", numbers(&|f| f.trend.to_vec())));

    let holidays: Vec<&str> = config.holidays.iter().map(|h| h.holiday.as_str()).collect();
    let regressors: Vec<&str> = config.regressors.iter().map(|r| r.name.as_str()).collect();
    let mut seasonalities: Vec<&str> = Vec::new();
    for component in forecasts().flat_map(|f| &f.components) {
        let name = component.name.as_str();
        if !(seasonalities.contains(&name) || holidays.contains(&name) || regressors.contains(&name)) {
            seasonalities.push(name);
        }
    }
    // Series can differ in what their histories support.
    let values = |f: &Forecast, name: &str| f.component(name).map_or(vec![f64::NAN; f.time.len()], |c| c.to_vec());
    let mut named = seasonalities;
    if args.components {
        named.extend(holidays.iter().chain(&regressors));
    }
    columns.extend(named.into_iter().map(|name| (name, numbers(&|f| values(f, name)))));
    if args.components {
        columns.push(("additive_terms", numbers(&|f| f.terms(Mode::Additive).to_vec())));
        columns.push(("multiplicative_terms", numbers(&|f| f.terms(Mode::Multiplicative).to_vec())));
        if !holidays.is_empty() {
            let sum = |f: &Forecast| {
                let own = holidays.iter().filter_map(|name| f.component(name));
                own.fold(vec![0.0; f.time.len()], |sum, c| sum.iter().zip(c).map(|(a, b)| a + b).collect())
            };
            columns.push(("holidays", numbers(&sum)));
        }
    }
    Ok(RecordBatch::try_from_iter(columns)?)
}
