//! `funnelpulse compare`: two periods, two series or two models side by side.

use std::{fmt, fmt::Write, path::Path};

use crate::{
    args::CompareArgs,
    context::catalog,
    input,
    output::{self, number, per_cent, signed},
    outputs,
};
use anyhow::{Context, bail};
use funnelpulse::{
    FittedPipeline,
    analytics::{
        Change, Group, Labels, ModelComparison, ModelSide, PanelComparison, Quality, Selection, compare_findings,
        compare_panel,
    },
    core::{SeriesKey, counted},
    features::PanelSpec,
    io::Table,
};

/// Gaps and series that are shown; all of them are in the JSON.
const SHOWN: usize = 3;

pub(crate) fn compare(args: &CompareArgs) -> anyhow::Result<()> {
    crate::overwrite::refuse(&[&args.input], &[("--output", args.output.as_deref())])?;
    outputs::in_place("--output", args.output.as_deref())?;
    match (&args.model, &args.against_model) {
        (Some(after), Some(before)) => models(args, after, before),
        _ => rows(args),
    }
}

/// Rows against rows.
fn rows(args: &CompareArgs) -> anyhow::Result<()> {
    let config = input::configuration(&args.settings)?;
    let reading = output::spinner("reading");
    let read = input::read(&args.input, &config)?;
    reading.finish_and_clear();
    output::print_failures(&read.failures, "");
    let after = Selection { series: args.series.as_deref(), period: args.period };
    let series = args.against_series.as_deref().or(after.series);
    // Without another series it is another time that is compared with.
    let usual = after.period.filter(|_| args.against_series.is_none()).map(|p| p.back(p.weeks_back()));
    let before = Selection { series, period: args.against.or(usual).or(after.period) };
    let found = compare_panel(&read.panel, &config.input, &catalog().funnel(&config), after, before)
        .with_context(|| args.input.display().to_string())?;
    output::tell(args.json, args.output.as_deref(), &found, || {
        rows_as_text(&found, args.top, config.input.step_seconds)
    })
}

/// What stands above the two columns: names where they tell the sides apart.
fn heads<'a>(before: &'a str, after: &'a str) -> [&'a str; 2] {
    const WIDEST: usize = 12;
    let fit = before != after && [before, after].iter().all(|name| name.chars().count() <= WIDEST);
    if fit { [before, after] } else { ["before", "after"] }
}

fn rows_as_text(found: &PanelComparison, top: usize, step_seconds: u64) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let (after, before) = (&found.after, &found.before);
    let uneven = after.windows != before.windows;
    let unit = if step_seconds == 3600 { "hour" } else { "row" };
    writeln!(text, "{} against {}\n", after.name, before.name)?;
    let heads = heads(&before.name, &after.name);
    write!(text, "{:<24}{:>14}{:>14}{:>14}", "", heads[0], heads[1], "change")?;
    writeln!(text, "{}", if uneven { format!("{:>24}", format!("per {unit}")) } else { String::new() })?;
    let line = |text: &mut String, change: &Change, rate: bool| {
        let Change { metric, before, after } = change;
        let (difference, percentage) = (signed(change.difference()), per_cent(change.percentage()));
        write!(text, "{metric:<24}{:>14}{:>14}{difference:>14}{percentage:>10}", number(*before), number(*after))?;
        let each = (uneven && !rate).then(|| format!("{:>14}", per_cent(found.percentage_per_window(change))));
        writeln!(text, "{}", each.unwrap_or_default())
    };
    found.totals.iter().try_for_each(|change| line(&mut text, change, false))?;
    found.rates.iter().try_for_each(|change| line(&mut text, change, true))?;
    for (name, side) in heads.iter().zip([before, after]) {
        writeln!(text, "{name}: {}", group_in_words(side, unit))?;
    }
    if let Some(stages) = &found.stages {
        writeln!(text, "\nThe change of {} by {} is made of", found.measure, signed(stages.change()))?;
        for stage in &stages.stages {
            let change = Change { metric: stage.name.clone(), before: stage.expected, after: stage.observed };
            let (part, percentage) = (signed(stage.contribution), per_cent(change.percentage()));
            let name = stage.name.replace('_', " ");
            let (before, after) = (number(change.before), number(change.after));
            writeln!(text, "  {name:<22}{before:>14}{after:>14}{part:>14}{percentage:>10}")?;
        }
        for level in &stages.missing {
            writeln!(text, "  ({level} says nothing: it is missing, or contradicts what follows)")?;
        }
    }
    let contributions = &found.contributions;
    if contributions.len() > 1 && top > 0 {
        writeln!(text, "\nIt comes from")?;
        for c in contributions.iter().take(top) {
            let (before, after) = (number(c.change.before), number(c.change.after));
            let (part, percentage) = (signed(c.change.difference()), per_cent(c.change.percentage()));
            let stage = c.stage.as_ref().map(|s| format!("  {}", s.replace('_', " "))).unwrap_or_default();
            writeln!(text, "  {:<22}{before:>14}{after:>14}{part:>14}{percentage:>10}{stage}", c.series.as_str())?;
        }
        if contributions.len() > top {
            let rest = &contributions[top..];
            let sum = |of: fn(&Change) -> f64| rest.iter().map(|c| of(&c.change)).sum::<f64>();
            let (before, after) = (number(sum(|c| c.before)), number(sum(|c| c.after)));
            let (part, name) = (signed(sum(Change::difference)), counted(rest.len(), "other", "others"));
            writeln!(text, "  {name:<22}{before:>14}{after:>14}{part:>14}")?;
        }
    }
    Ok(text)
}

fn group_in_words(group: &Group, unit: &str) -> String {
    let units = |n: u64| counted(n, unit, &format!("{unit}s"));
    let (windows, missing) = (group.windows as u64, group.missing_windows());
    let mut text = format!("{} with data of {} series", units(windows), group.series);
    if missing > 0 {
        let gaps: Vec<String> = group.missing.iter().take(SHOWN).map(|gap| gap.period.to_string()).collect();
        let rest = group.missing.len().saturating_sub(SHOWN);
        let rest = match rest {
            0 => String::new(),
            rest => format!(" and {}", counted(rest, "more stretch", "more stretches")),
        };
        let _ = write!(text, "; {} without: {}{rest}", units(missing), gaps.join(", "));
    }
    text
}

/// Model against model.
fn models(args: &CompareArgs, after: &Path, before: &Path) -> anyhow::Result<()> {
    let loading = output::spinner("loading");
    let (new, old) = (FittedPipeline::load_with(after, &catalog())?, FittedPipeline::load_with(before, &catalog())?);
    let (config, other) = (new.config(), old.config());
    if (&config.input, &config.events) != (&other.input, &other.events) {
        bail!(
            "{} and {} read tables differently ([input] or [events] differ, see `funnelpulse model inspect`)",
            after.display(),
            before.display()
        );
    }
    let labels = args.labels.as_deref().map(|path| read_labels(path, &config.input)).transpose()?;
    let read = input::read(&args.input, config)?;
    loading.finish_and_clear();
    output::print_failures(&read.failures, "");
    let selection = Selection { series: args.series.as_deref(), period: args.period };
    let [new, old] = [new, old].map(|model| model.with_progress(output::progress()).detect(&read.panel));
    let (new, old) = (new?, old?);
    let place = || args.input.display().to_string();
    let mut found = compare_findings(&new, &old, &selection).with_context(place)?;
    if let Some(labels) = &labels {
        found = found.with_labels(&new, &old, &selection, labels).with_context(place)?;
    }
    output::tell(args.json, args.output.as_deref(), &found, || models_as_text(&found, args.top, after, before))
}

/// Labels by series and time, under the names that the hourly table has them.
fn read_labels(path: &Path, spec: &PanelSpec) -> anyhow::Result<Labels> {
    let table = Table::read(path)?;
    let times = table.time_column(&spec.time)?;
    let keys = spec.keys.iter().map(|key| input::series_names(&table, key)).collect::<anyhow::Result<Vec<_>>>()?;
    let labels = table.f64_column("label")?;
    let mut all = Labels::new();
    for (row, (time, label)) in times.into_iter().zip(labels).enumerate() {
        if label != 0.0 && label != 1.0 {
            bail!("{}: row {}, column `label`: {label} is neither 0 nor 1", path.display(), row + 1);
        }
        let parts: Vec<&str> = keys.iter().map(|key| key[row].as_str()).collect();
        all.insert((SeriesKey::from_parts(&parts), time), label == 1.0);
    }
    Ok(all)
}

fn models_as_text(found: &ModelComparison, top: usize, after: &Path, before: &Path) -> Result<String, fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "{} against {}, on {} of {} series that both can score\n",
        after.display(),
        before.display(),
        counted(found.rows, "row", "rows"),
        found.series
    )?;
    let names = [before, after].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    let heads = heads(&names[0], &names[1]);
    writeln!(text, "{:<40}{:>12}{:>12}", "", heads[0], heads[1])?;
    let sides = [&found.before, &found.after];
    let line = |text: &mut String, name: &str, of: &dyn Fn(&ModelSide) -> String| {
        let [before, after] = sides.map(of);
        writeln!(text, "{name:<40}{before:>12}{after:>12}")
    };
    line(&mut text, "threshold", &|s| format!("{:.3}", s.threshold))?;
    line(&mut text, "anomalous hours", &|s| s.anomalies.to_string())?;
    line(&mut text, "  found by both", &|_| found.both.to_string())?;
    line(&mut text, "  found by this one only", &|s| (s.anomalies - found.both).to_string())?;
    line(&mut text, "incidents", &|s| s.incidents.to_string())?;
    line(&mut text, "  overlapping one of the other", &|s| s.shared_incidents.to_string())?;
    let mut kinds: Vec<_> = sides.iter().flat_map(|s| s.kinds.keys()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let name = format!("  {}", kind.as_str().replace('_', " "));
        line(&mut text, &name, &|s| s.kinds.get(kind).copied().unwrap_or(0).to_string())?;
    }
    if let (Some(_), Some(quality)) = (&found.before.quality, &found.after.quality) {
        let mut figure = |name: &str, of: &dyn Fn(&Quality) -> f64| {
            let shown = |s: &ModelSide| s.quality.as_ref().map(of).filter(|v| !v.is_nan());
            line(&mut text, name, &|s| shown(s).map_or_else(|| "-".to_owned(), |v| format!("{v:.3}")))
        };
        figure("AUC-PR against the labels", &|q| q.auc_pr)?;
        figure("  best F1", &|q| q.best_f1)?;
        figure("  precision of the anomalous hours", &|q| q.precision.unwrap_or(f64::NAN))?;
        figure("  recall of the anomalous hours", &|q| q.recall)?;
        writeln!(text, "({} of {} labelled rows are anomalous)", quality.anomalous, quality.rows)?;
    }
    if let Some(correlation) = found.rank_correlation {
        writeln!(text, "\nrank correlation of the scores: {correlation:.3}")?;
    }
    if !found.differences.is_empty() && top > 0 {
        let only = |side: usize| format!("{} only", heads[side]);
        writeln!(text, "\n{:<28}{:>12}{:>18}{:>18}", "anomalous hours found by", "both", only(0), only(1))?;
        for d in found.differences.iter().take(top) {
            let name = d.series.as_str();
            writeln!(text, "  {name:<26}{:>12}{:>18}{:>18}", d.both, d.only_before, d.only_after)?;
        }
        if found.differences.len() > top {
            writeln!(text, "  ... and {} more series", found.differences.len() - top)?;
        }
    }
    for (name, side) in heads.iter().zip(sides) {
        if !side.only_series.is_empty() {
            let some: Vec<&str> = side.only_series.iter().take(SHOWN).map(SeriesKey::as_str).collect();
            let more = if side.only_series.len() > SHOWN { ", ..." } else { "" };
            let count = side.only_series.len();
            writeln!(text, "{count} series can be scored by {name} only: {}{more}", some.join(", "))?;
        }
    }
    Ok(text)
}
