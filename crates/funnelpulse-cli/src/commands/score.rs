//! `funnelpulse score`: one detector on any table.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use funnelpulse::{
    Config, Entry, TrainedOn,
    core::{Columns, Frame, SeriesKey, Threshold, Timestamp, counted},
    eval::bench::is_label,
    io::Table,
};
use ndarray::Array2;

use crate::{
    args::{ANY_SERIES, ScoreArgs},
    context::catalog,
    input::{read_options, series_names, split_setting},
    output, outputs, overwrite,
    plot::{self, Legend, Picture, PlotPanel},
};

mod preset;

/// Columns of a picture.
const MAX_PANELS: usize = 8;
/// Share of the rows above the line in a picture.
const ONE_IN_A_HUNDRED: f64 = 0.01;

/// The rows of one series: where they stand in the table, and how many to learn from.
struct Series {
    name: String,
    rows: Vec<usize>,
    train_rows: Option<usize>,
}

pub(crate) fn score(args: &ScoreArgs) -> anyhow::Result<()> {
    overwrite::refuse(&[&args.input], &[("--output", Some(&args.output))])?;
    outputs::table("--output", &args.output)?;
    outputs::in_place("--plot", args.plot.as_deref())?;
    let any_series = args.detector == ANY_SERIES;
    let table = read(args, &if any_series { Config::default() } else { configuration(args)? })?;
    let columns = columns(args, &table)?;
    let config = if any_series { preset::configuration(args, &columns)? } else { configuration(args)? };
    let data = columns.iter().map(|c| table.f64_column(c)).collect::<Result<Vec<_>, _>>()?;
    let times = args.time_column.as_ref().map(|c| table.time_column(c)).transpose()?;
    let series = series(args, &table)?;
    let place = |series: &Series| format!("{}: series `{}`", args.input.display(), series.name);

    let bar = output::bar("scoring", series.len());
    let frame = |s: &Series| {
        let trained_on = frame_of(s, &columns, &data, times.as_deref()).with_context(|| place(s))?;
        Ok((SeriesKey::new(s.name.as_str()), trained_on))
    };
    let frames = series.iter().map(frame).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let catalog = catalog();
    let mut scored = if any_series {
        preset::scores(&config, &frames, &|_| bar.inc(1))?
    } else {
        let entry = catalog.get(&args.detector).context("the command line names only known detectors")?;
        entry.raw_scores(&config, &frames, &|_| bar.inc(1))?
    };
    bar.finish_and_clear();

    // Back to the order of the input.
    let mut names = vec![""; table.num_rows()];
    let mut numbers = vec![0u64; table.num_rows()];
    let mut scores = vec![f64::NAN; table.num_rows()];
    for series in &series {
        let found = scored.remove(series.name.as_str()).context("every series is scored")?;
        let found = found.with_context(|| place(series))?;
        for (i, (&row, score)) in series.rows.iter().zip(found).enumerate() {
            names[row] = &series.name;
            numbers[row] = i as u64;
            scores[row] = score;
        }
    }
    if let Some(path) = &args.plot {
        plot::write(path, &pictures(&series, &columns, &data, times.as_deref(), &scores))?;
    }
    let scores: Float64Array = scores.into_iter().map(|s| Some(s).filter(|s| !s.is_nan())).collect();
    let batch = RecordBatch::try_from_iter([
        ("series", Arc::new(names.into_iter().map(Some).collect::<StringArray>()) as ArrayRef),
        ("row", Arc::new(UInt64Array::from(numbers))),
        ("score", Arc::new(scores)),
    ])?;
    let (rows, path) = (counted(table.num_rows(), "row", "rows"), args.output.display());
    output::note(format_args!("columns scored: {}", columns.join(", ")));
    let done = format!("{rows} of {} series scored; scores in {path}", series.len());
    output::write_table(&args.output, &batch, done)
}

/// The columns, and below them the score with the value that one row in a hundred exceeds.
fn pictures(
    series: &[Series],
    columns: &[String],
    data: &[Vec<f64>],
    times: Option<&[Timestamp]>,
    scores: &[f64],
) -> Vec<Picture> {
    let picture = |series: &Series| {
        let own = |values: &[f64]| series.rows.iter().map(|&row| values[row]).collect::<Vec<f64>>();
        let panel = |(name, values): (&String, &Vec<f64>)| PlotPanel {
            title: name.clone(),
            observed: Some(own(values)),
            ..PlotPanel::default()
        };
        let scores = own(scores);
        let limit = Threshold::from_contamination(&scores, ONE_IN_A_HUNDRED).map(Threshold::limit);
        let (fitted, limit_name) = ("score".to_owned(), "what one row in a hundred exceeds".to_owned());
        let legend = Legend { fitted, limit: limit_name, ..Legend::default() };
        let score =
            PlotPanel { title: "score".to_owned(), fitted: Some(scores), limit, legend, ..PlotPanel::default() };
        Picture {
            title: series.name.clone(),
            times: times.map(|times| series.rows.iter().map(|&row| times[row]).collect()),
            panels: columns.iter().zip(data).take(MAX_PANELS).map(panel).chain([score]).collect(),
        }
    };
    series.iter().map(picture).collect()
}

/// The table; of a folder with the file of each row, which names the series.
fn read(args: &ScoreArgs, config: &Config) -> anyhow::Result<Table> {
    let mut options = read_options(config);
    if args.input.is_dir() && args.series_column.is_none() {
        options.file_column.get_or_insert_with(|| FILE_COLUMN.to_owned());
    }
    let table = Table::read_with(&args.input, &options)?;
    if args.series_column.is_none() && !table.partition_columns().is_empty() {
        let names = table.partition_columns().join(", ");
        bail!("{}: the folder is partitioned by {names}: name the series with --series-column", args.input.display());
    }
    Ok(table)
}

/// The configuration with the parameters of the detector; each is a setting of its section.
fn configuration(args: &ScoreArgs) -> anyhow::Result<Config> {
    // By itself a detector has the defaults of its crate; the pipeline may choose others.
    let catalog = (*catalog()).clone().with_plain_defaults();
    let section = catalog.get(&args.detector).and_then(Entry::section_name);
    let mut layers = catalog.layers();
    for param in &args.params {
        let (key, value) = split_setting(param, "--param", "n_trees=200")?;
        let section = section.with_context(|| format!("detector `{}` has no parameters", args.detector))?;
        layers = layers.set(&format!("{section}.{key}"), value)?;
    }
    Ok(layers.build()?)
}

/// The columns to score: those that are named, or else all numeric ones that are no label and have no
/// other part.
fn columns(args: &ScoreArgs, table: &Table) -> anyhow::Result<Vec<String>> {
    if !args.columns.is_empty() {
        return Ok(args.columns.clone());
    }
    let named = [&args.series_column, &args.time_column, &args.train_rows_column];
    let taken = |c: &String| is_label(c) || c == FILE_COLUMN || named.iter().any(|n| n.as_ref() == Some(c));
    let columns: Vec<String> = table.numeric_columns().into_iter().filter(|c| !taken(c)).collect();
    if columns.is_empty() {
        bail!("{}: there is no numeric column to score", args.input.display());
    }
    for column in &columns {
        // A label by another name would be scored, and found to be excellent.
        if table.f64_column(column)?.iter().all(|v| *v == 0.0 || *v == 1.0) {
            bail!(
                "{}: column `{column}` has only 0 and 1 and may be a label: name the columns to score with --columns",
                args.input.display()
            );
        }
    }
    Ok(columns)
}

/// The column that names the files of a folder.
const FILE_COLUMN: &str = "file";

/// The series in the order in which they first appear.
fn series(args: &ScoreArgs, table: &Table) -> anyhow::Result<Vec<Series>> {
    let by_file = (args.series_column.is_none() && table.has(FILE_COLUMN)).then(|| FILE_COLUMN.to_owned());
    let by_file = by_file.filter(|_| args.input.is_dir());
    let names: Vec<String> = match args.series_column.as_ref().or(by_file.as_ref()) {
        Some(column) => series_names(table, column)?,
        None => vec![args.input.display().to_string(); table.num_rows()],
    };
    let train_rows = args.train_rows_column.as_ref().map(|c| train_rows(args, table, c)).transpose()?;
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all: Vec<Series> = Vec::new();
    for (row, name) in names.iter().enumerate() {
        let at = *index.entry(name).or_insert_with(|| {
            let train_rows = train_rows.as_ref().map(|t| t[row]).or(args.train_rows);
            all.push(Series { name: name.clone(), rows: Vec::new(), train_rows });
            all.len() - 1
        });
        all[at].rows.push(row);
    }
    Ok(all)
}

fn train_rows(args: &ScoreArgs, table: &Table, column: &str) -> anyhow::Result<Vec<usize>> {
    let count = |(row, value): (usize, f64)| {
        if value >= 1.0 && value.fract() == 0.0 && value <= u32::MAX.into() {
            return Ok(value as usize);
        }
        let (file, row) = (args.input.display(), row + 1);
        bail!("{file}: row {row}, column `{column}`: a number of rows to learn from is 1 or more, found {value}")
    };
    table.f64_column(column)?.into_iter().enumerate().map(count).collect()
}

fn frame_of(
    series: &Series,
    columns: &[String],
    data: &[Vec<f64>],
    times: Option<&[Timestamp]>,
) -> anyhow::Result<TrainedOn> {
    let values = Array2::from_shape_fn((series.rows.len(), columns.len()), |(i, j)| data[j][series.rows[i]]);
    let names = Columns::new(columns.iter().map(String::as_str))?;
    let frame = match times {
        Some(times) => Frame::new(series.rows.iter().map(|&r| times[r]).collect(), names, values)?,
        None => Frame::from_rows(names, values)?,
    };
    let rows = series.train_rows.unwrap_or(frame.nrows());
    if rows > frame.nrows() {
        bail!("{} to learn from, but the series has {}", counted(rows, "row", "rows"), frame.nrows());
    }
    Ok(TrainedOn { frame, rows })
}
