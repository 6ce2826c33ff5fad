//! Several sites in one process, a thread each: one that fails never stops the others.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use funnelpulse::Catalog;
use funnelpulse_streaming::Status;

use super::{
    site::{self, Ended},
    sites::Site,
};
use crate::output;

/// The wait before a site that failed is started again; it doubles with each failure up to the longest. A site that
/// ran for longer than that begins with the shortest again.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How often a site that waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// How each site ended, in their order.
pub(super) fn run(
    sites: &[(Site, Status)],
    catalog: &Catalog,
    stop: &AtomicBool,
) -> Vec<(String, anyhow::Result<Ended>)> {
    let (notes, heard) = channel();
    let mut results: Vec<(String, anyhow::Result<Ended>)> = Vec::with_capacity(sites.len());
    thread::scope(|scope| {
        let running: Vec<_> = sites
            .iter()
            .map(|(site, status)| {
                let notes = notes.clone();
                (name(site), scope.spawn(move || supervise(site, catalog, status, stop, &notes)))
            })
            .collect();
        drop(notes);
        // Until every site has ended. Only this thread may write.
        heard.iter().for_each(output::note);
        for (name, thread) in running {
            results.push((name, thread.join().unwrap_or_else(|_| Err(anyhow!("its thread ended")))));
        }
    });
    results
}

fn name(site: &Site) -> String {
    site.name.clone().unwrap_or_default()
}

/// Runs a site; where events are followed, again after each failure.
fn supervise(
    site: &Site,
    catalog: &Catalog,
    status: &Status,
    stop: &AtomicBool,
    notes: &Sender<String>,
) -> anyhow::Result<Ended> {
    let mut wait = SHORTEST_WAIT;
    loop {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| site::run(site, catalog, status, stop)))
            .unwrap_or_else(|_| Err(anyhow!("a fault in funnelpulse itself, please report it")));
        let error = match result {
            Ok(ended) => return Ok(ended),
            Err(error) if !site.follow || stop.load(Ordering::Relaxed) => return Err(error),
            Err(error) => output::in_words(&error),
        };
        if started.elapsed() > LONGEST_WAIT {
            wait = SHORTEST_WAIT;
        }
        let again = format!("{error}; it starts again in {} s", wait.as_secs());
        // The channel is read until every site has ended.
        let _ = notes.send(format!("site {}: {again}", name(site)));
        let until = Instant::now() + wait;
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            status.alive(Some(again.clone()));
            thread::sleep(LOOK);
        }
        if stop.load(Ordering::Relaxed) {
            return Err(anyhow!(error));
        }
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}
