//! `funnelpulse generate`: labelled funnel data on disk.

mod replay;

use std::{ops::Range, path::Path, sync::Arc};

use anyhow::bail;
use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int8Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        UInt64Array,
    },
    compute::filter_record_batch,
    error::ArrowError,
};
use funnelpulse::{
    core::{Frame, SeriesKey, Timestamp, counted},
    eval::generator::{self, GeneratedFunnel, GeneratorConfig, RawEvent},
    features::PanelSpec,
    io::{panel_to_batch, write_file},
};

use crate::{
    args::{Difficulty, GenerateArgs, Shop},
    output, outputs,
};

/// The shop that the options describe.
pub(crate) fn shop(args: &Shop) -> anyhow::Result<GeneratedFunnel> {
    let difficulty = match args.difficulty {
        Difficulty::Easy => generator::Difficulty::Easy,
        Difficulty::Medium => generator::Difficulty::Medium,
        Difficulty::Hard => generator::Difficulty::Hard,
    };
    let defaults = GeneratorConfig::default();
    let config = GeneratorConfig {
        brands: args.brands,
        days: args.days,
        seed: args.seed,
        difficulty,
        variety: args.variety,
        quiet_days: defaults.quiet_days.min(args.days / 2),
        ..defaults
    };
    Ok(GeneratedFunnel::generate(&config)?)
}

pub(crate) fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    args.out.as_deref().map_or(Ok(()), |path| outputs::folder("--out", path))?;
    let generating = output::spinner("generating");
    let shop = shop(&args.shop)?;
    generating.finish_and_clear();
    let days = days(args, &shop)?;
    if let Some(out) = &args.out {
        write(args, out, &shop, &days)?;
    }
    let Some(speed) = args.replay else { return Ok(()) };
    let events = shop.raw_events().filter(|event| days.contains(&event.time));
    let count = replay::replay(args, speed, events)?;
    output::note(format_args!("{} written to {}", counted(count, "event", "events"), args.to.display()));
    Ok(())
}

/// The days that are wanted, from their first moment to the moment after them.
fn days(args: &GenerateArgs, shop: &GeneratedFunnel) -> anyhow::Result<Range<Timestamp>> {
    let first = shop.panel().iter().filter_map(|(_, frame)| frame.time().first()).min().copied().unwrap_or_default();
    let (from, until) = (args.from_day.unwrap_or(0), args.until_day.unwrap_or(args.shop.days));
    if from >= until || until > args.shop.days {
        bail!("--from-day {from} --until-day {until}: days are counted from 0 to --days {}", args.shop.days);
    }
    let at = |day: usize| first.floor_to(Timestamp::DAY).offset(day as i64 * Timestamp::DAY);
    Ok(at(from)..at(until))
}

/// Writes the tables, and the events if they are wanted, into a folder.
fn write(args: &GenerateArgs, out: &Path, shop: &GeneratedFunnel, days: &Range<Timestamp>) -> anyhow::Result<()> {
    let events = out.join("events");
    // Days of another shop would mix with those of this one.
    if args.events && std::fs::read_dir(&events).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty; remove it or choose another --out", events.display());
    }
    output::create_folder(out)?;
    let hourly = rows_of(days, shop, &panel_to_batch(shop.panel(), &PanelSpec::funnel())?)?;
    write_file(&out.join("hourly.parquet"), &hourly)?;
    write_file(&out.join("labels.parquet"), &rows_of(days, shop, &labels(shop)?)?)?;
    write_file(&out.join("truth.parquet"), &rows_of(days, shop, &truth(shop)?)?)?;
    output::say(format_args!(
        "{} of {} with {} in {}",
        counted(hourly.num_rows(), "row", "rows"),
        counted(shop.panel().len(), "brand", "brands"),
        counted(shop.events().iter().filter(|event| days.contains(&event.start)).count(), "anomaly", "anomalies"),
        out.display()
    ))?;
    if args.events {
        let wanted = shop.raw_events().filter(|event| days.contains(&event.time));
        let count = write_events(wanted, &events, args.shop.days)?;
        output::say(format_args!("{} in {}", counted(count, "event", "events"), events.display()))?;
    }
    Ok(())
}

/// The rows of some days of a table with a row per row of the shop.
fn rows_of(days: &Range<Timestamp>, shop: &GeneratedFunnel, table: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let wanted: BooleanArray = keys(shop).map(|(_, time)| Some(days.contains(&time))).collect();
    filter_record_batch(table, &wanted)
}

/// Series and time of every row, in the order of the panel.
fn keys(shop: &GeneratedFunnel) -> impl Iterator<Item = (&SeriesKey, Timestamp)> {
    shop.panel().iter().flat_map(|(key, frame)| frame.time().iter().map(move |&t| (key, t)))
}

fn key_columns(shop: &GeneratedFunnel) -> Vec<(&'static str, ArrayRef)> {
    let times: TimestampMicrosecondArray = keys(shop).map(|(_, t)| Some(t.as_micros())).collect();
    let brands: StringArray = keys(shop).map(|(key, _)| Some(key.as_str())).collect();
    vec![("window_start", Arc::new(times.with_timezone("UTC"))), ("brand", Arc::new(brands))]
}

/// One row per row of the hourly table: whether it is anomalous, and how.
pub(crate) fn labels(shop: &GeneratedFunnel) -> Result<RecordBatch, ArrowError> {
    let kinds = || shop.panel().keys().flat_map(|key| shop.kinds(key.as_str()).unwrap_or_default());
    let labels: Int8Array = kinds().map(|kind| Some(i8::from(kind.is_some()))).collect();
    let names: StringArray = kinds().map(|kind| kind.as_ref().map(|k| k.as_str())).collect();
    let mut columns = key_columns(shop);
    columns.push(("label", Arc::new(labels)));
    columns.push(("kind", Arc::new(names)));
    RecordBatch::try_from_iter(columns)
}

/// What each hour would have been without anomalies and noise.
fn truth(shop: &GeneratedFunnel) -> Result<RecordBatch, ArrowError> {
    let frames: Vec<&Frame> = shop.panel().keys().filter_map(|key| shop.truth(key.as_str())).collect();
    let mut columns: Vec<(String, ArrayRef)> =
        key_columns(shop).into_iter().map(|(name, array)| (name.to_owned(), array)).collect();
    for (i, name) in shop.panel().columns().iter().enumerate() {
        let values: Float64Array = frames.iter().flat_map(|f| f.values().column(i).to_vec()).map(Some).collect();
        columns.push((name.to_string(), Arc::new(values)));
    }
    RecordBatch::try_from_iter(columns)
}

/// One file a day, in the layout of the REES46 data sets, with a category and a device.
fn write_events(events: impl Iterator<Item = RawEvent>, folder: &Path, days: usize) -> anyhow::Result<usize> {
    output::create_folder(folder)?;
    let bar = output::bar("events", days);
    let mut total = 0;
    let mut day: Vec<RawEvent> = Vec::new();
    let date = |event: &RawEvent| event.time.floor_to(Timestamp::DAY);
    for event in events {
        if day.first().is_some_and(|first| date(first) != date(&event)) {
            write_day(&day, folder)?;
            bar.inc(1);
            total += day.len();
            day.clear();
        }
        day.push(event);
    }
    if !day.is_empty() {
        write_day(&day, folder)?;
    }
    bar.finish_and_clear();
    Ok(total + day.len())
}

fn write_day(events: &[RawEvent], folder: &Path) -> anyhow::Result<()> {
    let date = events[0].time.to_string();
    let texts = |f: &dyn Fn(&RawEvent) -> Option<String>| -> ArrayRef {
        Arc::new(events.iter().map(f).collect::<StringArray>())
    };
    let times: TimestampMicrosecondArray = events.iter().map(|e| Some(e.time.as_micros())).collect();
    let products: UInt64Array = events.iter().map(|e| Some(e.product_id)).collect();
    let users: UInt64Array = events.iter().map(|e| Some(e.user_id)).collect();
    let prices: Float64Array = events.iter().map(|e| Some(e.price)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_time", Arc::new(times.with_timezone("UTC"))),
        ("event_type", texts(&|e| Some(e.event_type.to_owned()))),
        ("product_id", Arc::new(products)),
        ("category", texts(&|e| Some(e.category.to_owned()))),
        ("device", texts(&|e| Some(e.device.to_owned()))),
        ("brand", texts(&|e| e.brand.as_ref().map(ToString::to_string))),
        ("price", Arc::new(prices)),
        ("user_id", Arc::new(users)),
        ("user_session", texts(&|e| Some(e.session_uuid()))),
    ];
    let name = format!("{}.parquet", &date[..date.find('T').unwrap_or(date.len())]);
    Ok(write_file(&folder.join(name), &RecordBatch::try_from_iter(columns)?)?)
}
