//! `funnelpulse changepoints`: where the level of a series changes for good.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use funnelpulse::changepoint::{
    Break, ChangepointError, Segmentation, SegmentationConfig, Segmenter, classifier::ClassifierConfig,
};
use funnelpulse::{
    core::{Timestamp, counted},
    io::Table,
};
use ndarray::Array2;
use rayon::prelude::*;

use crate::{
    args::ChangepointsArgs,
    input::{SeriesRows, check_finite, check_times, rows_by_series},
    output, outputs,
    plot::{self, Picture, PlotPanel},
};

pub(crate) fn changepoints(args: &ChangepointsArgs) -> anyhow::Result<()> {
    crate::overwrite::refuse(&[&args.input], &[("--output", Some(&args.output))])?;
    outputs::table("--output", &args.output)?;
    outputs::in_place("--plot", args.plot.as_deref())?;
    let segmenter = segmenter(args)?;
    let table = Table::read(&args.input)?;
    let data = args.columns.iter().map(|c| table.f64_column(c)).collect::<Result<Vec<_>, _>>()?;
    let times = args.time_column.as_ref().map(|c| table.time_column(c)).transpose()?;
    let series = rows_by_series(&table, args.series_column.as_deref())?;

    let bar = output::bar("searching", series.len());
    let found: Vec<anyhow::Result<Segmentation>> = series
        .par_iter()
        .map(|series| {
            let found = search(args, &segmenter, series, &data, times.as_deref());
            bar.inc(1);
            found.with_context(|| match &args.series_column {
                None => args.input.display().to_string(),
                Some(_) => format!("{}: series `{}`", args.input.display(), series.0),
            })
        })
        .collect();
    bar.finish_and_clear();

    let mut breaks: Vec<(&str, Break)> = Vec::new();
    let mut used = 0;
    for (series, found) in series.iter().zip(found) {
        let found = found?;
        used += found.rows;
        breaks.extend(found.breaks.into_iter().map(|b| (series.0.as_str(), b)));
    }
    if let Some(path) = &args.plot {
        plot::write(path, &pictures(args, &series, &data, times.as_deref(), &breaks))?;
    }
    let rows = table.num_rows();
    if used < rows {
        output::note(format_args!("note: without a value and left out: {} of {rows} rows", rows - used));
    }
    let (found, all) = (counted(breaks.len(), "break", "breaks"), counted(rows, "row", "rows"));
    let (count, path) = (series.len(), args.output.display());
    let done = format!("{found} in {all} of {count} series; table in {path}");
    output::write_table(&args.output, &batch(args, &breaks)?, done)
}

/// The values with the breaks, each with the rows in which it may lie.
fn pictures(
    args: &ChangepointsArgs,
    series: &[SeriesRows],
    data: &[Vec<f64>],
    times: Option<&[Timestamp]>,
    breaks: &[(&str, Break)],
) -> Vec<Picture> {
    let picture = |(name, rows): &SeriesRows| {
        let own = || breaks.iter().filter(|(series, _)| series == name).map(|(_, found)| found);
        let panel = |(column, values): (&String, &Vec<f64>)| PlotPanel {
            title: column.clone(),
            observed: Some(rows.iter().map(|&row| values[row]).collect()),
            breaks: own().map(|found| (found.index, found.interval)).collect(),
            ..PlotPanel::default()
        };
        Picture {
            title: name.clone(),
            times: times.map(|times| rows.iter().map(|&row| times[row]).collect()),
            panels: args.columns.iter().zip(data).map(panel).collect(),
        }
    };
    series.iter().map(picture).collect()
}

fn segmenter(args: &ChangepointsArgs) -> anyhow::Result<Segmenter> {
    if args.auto {
        return Ok(Segmenter::auto());
    }
    if let Some(classifier) = args.classifier {
        let config = ClassifierConfig { classifier, min_size: args.min_size, ..ClassifierConfig::default() };
        return Ok(Segmenter::classifier(config)?);
    }
    Ok(Segmenter::new(SegmentationConfig {
        cost: args.cost,
        gamma: args.gamma,
        order: args.order,
        penalty: args.penalty,
        min_size: args.min_size,
        jump: args.jump,
        min_magnitude: args.min_magnitude,
        max_p_value: args.max_p_value,
    })?)
}

fn search(
    args: &ChangepointsArgs,
    segmenter: &Segmenter,
    (_, rows): &SeriesRows,
    data: &[Vec<f64>],
    times: Option<&[Timestamp]>,
) -> anyhow::Result<Segmentation> {
    if let (Some(column), Some(times)) = (&args.time_column, times) {
        check_times(column, times, rows)?;
    }
    for (column, values) in args.columns.iter().zip(data) {
        check_finite(column, values, rows)?;
    }
    let values = Array2::from_shape_fn((rows.len(), data.len()), |(i, j)| data[j][rows[i]]);
    let times: Option<Vec<Timestamp>> = times.map(|times| rows.iter().map(|&r| times[r]).collect());
    segmenter.segment(values.view(), times.as_deref()).map_err(|error| match error {
        ChangepointError::Value { row, column, value, allowed } => {
            let row = rows[row] + 1;
            anyhow::anyhow!("row {row}, column `{}`: {value:?} is not allowed ({allowed})", args.columns[column])
        }
        error => error.into(),
    })
}

fn batch(args: &ChangepointsArgs, breaks: &[(&str, Break)]) -> anyhow::Result<RecordBatch> {
    let numbers = |part: fn(&Break) -> f64| -> ArrayRef {
        Arc::new(breaks.iter().map(|(_, b)| Some(part(b)).filter(|v| !v.is_nan())).collect::<Float64Array>())
    };
    let rows = |part: fn(&Break) -> usize| -> ArrayRef {
        Arc::new(breaks.iter().map(|(_, b)| Some(part(b) as u64)).collect::<UInt64Array>())
    };
    let texts = |part: &dyn Fn(&(&str, Break)) -> String| -> ArrayRef {
        Arc::new(breaks.iter().map(part).map(Some).collect::<StringArray>())
    };
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    if args.series_column.is_some() {
        columns.push(("series", texts(&|(series, _)| (*series).to_owned())));
    }
    columns.push(("index", rows(|b| b.index)));
    if args.time_column.is_some() {
        let times: TimestampMicrosecondArray = breaks.iter().map(|(_, b)| b.time.map(Timestamp::as_micros)).collect();
        columns.push(("time", Arc::new(times.with_timezone("UTC"))));
    }
    if args.columns.len() > 1 {
        columns.push(("column", texts(&|(_, b)| args.columns[b.column].clone())));
    }
    columns.extend([
        ("magnitude", numbers(|b| b.magnitude)),
        ("direction", texts(&|(_, b)| b.direction.as_str().to_owned())),
        ("p_value", numbers(|b| b.p_value)),
        ("index_lower", rows(|b| b.interval.0)),
        ("index_upper", rows(|b| b.interval.1)),
        ("value_before", numbers(|b| b.before.mean)),
        ("standard_error_before", numbers(|b| b.before.standard_error)),
        ("value_after", numbers(|b| b.after.mean)),
        ("standard_error_after", numbers(|b| b.after.standard_error)),
    ]);
    Ok(RecordBatch::try_from_iter(columns)?)
}
