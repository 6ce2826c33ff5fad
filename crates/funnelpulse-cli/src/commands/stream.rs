//! `funnelpulse stream`: follow events as they come.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::bail;
use funnelpulse::core::counted;
use funnelpulse_streaming::{Account, Metrics, Refusal, Status, StatusServer};
use serde_json::{Value, json};

mod estimate;
#[cfg_attr(not(feature = "kafka"), path = "stream/no_kafka.rs")]
pub(super) mod kafka;
mod several;
mod site;
mod sites;

use self::{site::Ended, sites::Site};
use crate::{Outcome, args::StreamArgs, context::catalog, output};

pub(crate) fn stream(args: &StreamArgs) -> anyhow::Result<Outcome> {
    let (sites, address) = sites::of(args)?;
    let catalog = catalog();
    if let Some(events) = args.estimate {
        return estimate::say(args, &sites, &catalog, events).map(|()| Outcome::Done);
    }
    let status = |site: Site| {
        let status = Status::new("loading the model");
        let status = if let Some(name) = &site.name { status.of_site(name) } else { status };
        (site, status)
    };
    let sites: Vec<(Site, Status)> = sites.into_iter().map(status).collect();
    let shown = sites.iter().map(|(_, status)| status.clone()).collect();
    // It answers until the command ends.
    let server = address.map(|address| StatusServer::start(&address, shown)).transpose()?;
    if let Some(server) = &server {
        output::note(format_args!("http://{}: /metrics, /healthz, /readyz", server.address()));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    // A second command in one process keeps the handler of the first.
    let _ = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed));
    let is_quiet = sites.iter().any(|(site, _)| is_dash(&site.output));
    if let [(site, status)] = &sites[..]
        && site.name.is_none()
    {
        let ended = site::run(site, &catalog, status, &stop)?;
        let text = if args.json { counts(&ended).to_string() } else { summary(&ended) };
        say(is_quiet, &text)?;
        return Ok(outcome(&[ended]));
    }
    let results = several::run(&sites, &catalog, &stop);
    report(args, is_quiet, results)
}

/// The counts of every site, then what failed.
fn report(args: &StreamArgs, is_quiet: bool, results: Vec<(String, anyhow::Result<Ended>)>) -> anyhow::Result<Outcome> {
    let (mut all, mut lines) = (serde_json::Map::new(), Vec::new());
    let (mut ended, mut failed) = (Vec::new(), Vec::new());
    for (name, result) in results {
        match result {
            Ok(end) => {
                lines.push(format!("site {name}: {}", summary(&end)));
                all.insert(name, counts(&end));
                ended.push(end);
            }
            Err(error) => {
                let error = output::in_words(&error);
                all.insert(name.clone(), json!({ "error": &error }));
                failed.push(format!("site {name}: {error}"));
            }
        }
    }
    let text = if args.json { Value::Object(all).to_string() } else { lines.join("\n") };
    if !text.is_empty() {
        say(is_quiet, &text)?;
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(outcome(&ended))
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Remarks on what is left, and the outcome of the command.
fn outcome(ended: &[Ended]) -> Outcome {
    for end in ended {
        if let Some(reasons) = reasons(&end.metrics.account) {
            output::warn(format_args!("warning: rejected: {reasons}; the dead letters beside the rows have them"));
        }
        if let Some(problem) = &end.metrics.model.problem {
            output::warn(format_args!("warning: a new model was not taken into use: {problem}"));
        }
        if end.waiting > 0 {
            let reason = end.metrics.alert_error.as_deref();
            let reason = reason.unwrap_or("receivers did not acknowledge them in time");
            let waiting = counted(end.waiting, "delivery of an alert", "deliveries of alerts");
            output::warn(format_args!("warning: left for the next start: {waiting}: {reason}"));
        }
    }
    let useless: Vec<&Account> = ended.iter().map(|end| &end.metrics.account).filter(|a| is_useless(a)).collect();
    for account in &useless {
        let (read, unreadable, rejected) = (account.read, account.dead_lettered, account.rejected_total());
        output::warn(format_args!(
            "warning: none of {} counts: {unreadable} unreadable, {rejected} rejected, {} late; the dead \
             letters beside the rows say why",
            counted(read, "record", "records"),
            account.late
        ));
    }
    match ended.iter().any(|end| end.waiting > 0) {
        true => Outcome::Waiting,
        false if !useless.is_empty() => Outcome::Unscored,
        false => Outcome::Done,
    }
}

/// Why events were rejected, and how many for each reason.
fn reasons(account: &Account) -> Option<String> {
    let of = |(refusal, count): (&Refusal, &u64)| format!("{refusal} ({})", counted(*count, "event", "events"));
    let reasons: Vec<String> = account.rejected.iter().map(of).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// True where records came and none of them could be used.
fn is_useless(account: &Account) -> bool {
    account.counted == 0 && account.dead_lettered + account.rejected_total() + account.late > 0
}

fn counts(ended: &Ended) -> Value {
    let Ended { metrics, waiting } = ended;
    let Metrics { account, .. } = metrics;
    json!({
        "read": account.read, "counted": account.counted, "duplicates": account.duplicate,
        "ignored": account.ignored, "late": account.late, "rejected": account.rejected_total(),
        "unreadable": account.dead_lettered, "windows": metrics.windows, "rows": metrics.rows,
        "checkpoints": metrics.checkpoints, "alerts": metrics.alerts, "deliveries_waiting": waiting,
    })
}

fn summary(ended: &Ended) -> String {
    let Metrics { account, .. } = &ended.metrics;
    format!(
        "{}: {} counted, {}, {} of other types, {} late, {} rejected, {} unreadable\n{} closed, {} written, {}",
        counted(account.read, "event", "events"),
        account.counted,
        counted(account.duplicate, "duplicate", "duplicates"),
        account.ignored,
        account.late,
        account.rejected_total(),
        account.dead_lettered,
        counted(ended.metrics.windows, "window", "windows"),
        counted(ended.metrics.rows, "row", "rows"),
        counted(ended.metrics.alerts, "alert", "alerts")
    )
}

/// Where rows go to standard output, counts go to the error stream.
fn say(is_quiet: bool, text: &str) -> anyhow::Result<()> {
    if is_quiet {
        output::note(text);
        return Ok(());
    }
    output::say(text)
}
