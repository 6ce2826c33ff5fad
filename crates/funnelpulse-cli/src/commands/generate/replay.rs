//! `generate --replay`: the events of the shop as they would come.

use std::{
    io::{self, BufWriter, Write, stdout},
    path::Path,
    time::{Duration, Instant},
};

use funnelpulse::{core::Timestamp, eval::generator::RawEvent};

use super::super::{stream::kafka, stream::kafka::Messages};
use crate::args::GenerateArgs;

/// Events are written together that are due within this time.
const TOGETHER: Duration = Duration::from_millis(20);

/// Where events go.
enum Target {
    Lines(BufWriter<io::Stdout>),
    Topic(Messages),
}

impl Target {
    fn open(to: &Path) -> anyhow::Result<Self> {
        if let Some(address) = kafka::address(to) {
            return Ok(Self::Topic(kafka::messages(address)?));
        }
        if to.as_os_str() != "-" {
            anyhow::bail!("--to {}: expected - or kafka://HOST:PORT/TOPIC", to.display());
        }
        Ok(Self::Lines(BufWriter::new(stdout())))
    }

    fn write(&mut self, event: &RawEvent, line: &str) -> anyhow::Result<()> {
        match self {
            Self::Lines(out) => writeln!(out, "{line}")?,
            Self::Topic(messages) => messages.send(event.brand.as_deref().unwrap_or_default(), line.as_bytes())?,
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Lines(out) => out.flush()?,
            Self::Topic(messages) => messages.flush()?,
        }
        Ok(())
    }
}

/// Writes events as JSON lines, `speed` times as fast as they happened; 0 is as fast as possible. Returns their number;
/// it ends without an error where nobody reads any more.
pub(super) fn replay(args: &GenerateArgs, speed: f64, events: impl Iterator<Item = RawEvent>) -> anyhow::Result<usize> {
    match replay_all(args, speed, events) {
        Err(error) if is_closed(&error) => Ok(0),
        result => result,
    }
}

fn replay_all(args: &GenerateArgs, speed: f64, events: impl Iterator<Item = RawEvent>) -> anyhow::Result<usize> {
    if !(0.0..=1e9).contains(&speed) {
        anyhow::bail!("--replay {speed}: 0 (as fast as possible) to 1000000000 times as fast");
    }
    let mut target = Target::open(&args.to)?;
    let (started, mut first, mut count) = (Instant::now(), None, 0);
    for event in events {
        if speed > 0.0 {
            let first = *first.get_or_insert(event.time);
            let micros = (event.time.as_micros() - first.as_micros()) as f64 / speed;
            let early = Duration::from_secs_f64(micros / 1e6).saturating_sub(started.elapsed());
            if early > TOGETHER {
                target.flush()?;
                std::thread::sleep(early);
            }
        }
        target.write(&event, &line(&event))?;
        count += 1;
    }
    target.flush()?;
    Ok(count)
}

/// True where nobody reads any more, as after `| head`.
fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The columns of the event files as one JSON object.
fn line(event: &RawEvent) -> String {
    let RawEvent { time, event_type, brand, product_id, category, device, user_id, price, .. } = event;
    let time: &Timestamp = time;
    serde_json::json!({
        "event_time": time.to_string(), "event_type": event_type, "product_id": product_id, "category": category,
        "device": device, "brand": brand.as_deref(), "price": price, "user_id": user_id,
        "user_session": event.session_uuid(),
    })
    .to_string()
}
