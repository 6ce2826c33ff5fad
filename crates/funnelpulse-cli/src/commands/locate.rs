//! `funnelpulse locate`: where in the events something happened.

use std::{fmt, fmt::Write};

use anyhow::{Context, bail};
use funnelpulse::{
    analytics::{Change, LocalizeConfig, Localizer, Place, Question, locate as find, windows_to_locate},
    core::{Timestamp, counted},
    io::{InputKind, Table, further_columns, read_cube, recognise},
};

use crate::{
    args::LocateArgs,
    input::configuration,
    output::{self, number, per_cent, signed},
    outputs, params,
};

pub(crate) fn locate(args: &LocateArgs) -> anyhow::Result<()> {
    crate::overwrite::refuse(&[&args.input], &[("--output", args.output.as_deref())])?;
    outputs::in_place("--output", args.output.as_deref())?;
    let search: LocalizeConfig = params::read(&args.params, "max_causes=3")?;
    Localizer::new(search.clone())?;
    let mut config = configuration(&args.settings)?;
    let reading = output::spinner("reading");
    let table = Table::read(&args.input)?;
    let place = || args.input.display().to_string();
    if recognise(&table, &config.input, &config.events)? == InputKind::Hourly {
        bail!("{}: these are rows per hour, not events: they don't say where something happened", place());
    }
    let spec = &mut config.events;
    // Dimensions that are asked for are those that are counted, keys always are.
    if !args.dimensions.is_empty() {
        spec.dimensions.clone_from(&args.dimensions);
    } else if spec.dimensions.is_empty() {
        spec.dimensions = further_columns(&table, spec);
        spec.dimensions.push(spec.price.clone());
    }
    let step_seconds = config.input.step_seconds;
    let windows = windows_to_locate([args.period], step_seconds, args.history);
    let cube = read_cube(&table, &config.events, step_seconds, Some(windows))?;
    drop(table);
    reading.finish_and_clear();
    let question = Question {
        series: args.series.as_deref(),
        measure: args.measure,
        dimensions: &args.dimensions,
        history_days: args.history,
        ..Question::new(args.period)
    };
    let found = find(&cube, &question, &search).with_context(place)?;
    output::tell(args.json, args.output.as_deref(), &found, || as_text(&found, args.series.as_deref()))
}

fn as_text(place: &Place, series: Option<&str>) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let series = series.map(|s| format!("{s} in ")).unwrap_or_default();
    writeln!(text, "{series}{} against {}\n", place.period, compared_with(place))?;
    writeln!(text, "{:<24}{:>14}{:>14}{:>14}", "", "observed", "expected", "change")?;
    for (step, name) in ["views", "carts", "purchases", "revenue"].into_iter().enumerate() {
        let change = Change { metric: name.into(), before: place.expected[step], after: place.observed[step] };
        let (difference, percentage) = (signed(change.difference()), per_cent(change.percentage()));
        let (observed, expected) = (number(change.after), number(change.before));
        writeln!(text, "{name:<24}{observed:>14}{expected:>14}{difference:>14}{percentage:>10}")?;
    }
    if let Some(stages) = &place.stages {
        writeln!(text, "\nThe change of revenue by {} is made of", signed(stages.change()))?;
        for stage in &stages.stages {
            let (observed, expected) = (number(stage.observed), number(stage.expected));
            let (part, name) = (signed(stage.contribution), stage.name.replace('_', " "));
            writeln!(text, "  {name:<22}{observed:>14}{expected:>14}{part:>14}")?;
        }
    }
    let (found, dimensions) = (&place.found, place.dimensions.join(", "));
    let combinations = counted(place.leaves, "combination", "combinations");
    writeln!(text, "\n{}, over {combinations} of {dimensions}:", sentence(place.measure.in_words()))?;
    if found.causes.is_empty() {
        return Ok(text + "  no part of it stands out\n");
    }
    let names: Vec<String> = found.causes.iter().map(|cause| cause.combination.to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(22) + 2;
    writeln!(text, "  {:<width$}{:>12}{:>12}{:>9}{:>8}", "where", "observed", "expected", "factor", "share")?;
    let change = found.observed - found.expected;
    for (cause, name) in found.causes.iter().zip(names) {
        let (observed, expected) = (number(cause.observed), number(cause.expected));
        let share = 100.0 * cause.difference() / change;
        let share = if share.is_finite() { format!("{share:.0} %") } else { "-".to_owned() };
        writeln!(text, "  {name:<width$}{observed:>12}{expected:>12}{:>9.2}{share:>8}", cause.factor)?;
    }
    writeln!(text, "  {:<width$}{:>12}{:>12}", "(total)", number(found.observed), number(found.expected))?;
    Ok(text)
}

fn compared_with(place: &Place) -> String {
    let count = place.compared_with.len();
    let gap = place.compared_with.first().map_or(0, |p| place.period.start().as_micros() - p.start().as_micros());
    match gap {
        gap if gap % (7 * Timestamp::DAY) == 0 => {
            format!("the same hours of {}", counted(count, "earlier week", "earlier weeks"))
        }
        gap if gap % Timestamp::DAY == 0 => {
            format!("the same hours of {}", counted(count, "earlier day", "earlier days"))
        }
        _ => format!("the {} of the same length just before", counted(count, "stretch", "stretches")),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}
