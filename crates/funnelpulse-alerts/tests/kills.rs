//! Runs that are killed at any moment, with receivers that fail now and then.

#![cfg(all(unix, feature = "webhook"))]
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "tests")]

mod receivers;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use funnelpulse_alerts::{AlertCandidate, AlertsConfig, Observation};
use funnelpulse_core::{Severity, Timestamp};
use rand::{RngExt, SeedableRng};
use receivers::{Answer, Http};

/// Set in the process that is to be killed: the settings and the hour.
const VICTIM: &str = "FUNNELPULSE_ALERTS_TEST_KILL";
/// Runs of the test; more by `FUNNELPULSE_KILLS`.
const KILLS: u64 = 25;

fn at(hour: u64) -> Timestamp {
    Timestamp::from_seconds(hour as i64 * 3600)
}

/// In each hour one more incident begins; those of an hour that three divides are over after two hours.
fn observation(hour: u64) -> Observation {
    let mut found = Vec::new();
    for begin in 1..=hour {
        let over = begin % 3 == 0 && begin + 2 <= hour;
        let end = if over { begin + 2 } else { hour };
        let name = format!("s{begin}");
        let mut candidate = AlertCandidate::new(format!("{name}/outage"), name, Severity::High, at(begin - 1), at(end));
        candidate.ongoing = !over;
        found.push(candidate);
    }
    Observation::new(at(hour), found)
}

/// What has to arrive: incident and status.
fn expected(hours: u64) -> Vec<(String, String)> {
    let mut expected = Vec::new();
    for begin in 1..=hours {
        expected.push((format!("s{begin}/outage"), "firing".to_owned()));
        if begin % 3 == 0 && begin + 2 <= hours {
            expected.push((format!("s{begin}/outage"), "resolved".to_owned()));
        }
    }
    expected.sort();
    expected
}

fn settings(folder: &Path, url: &str) -> PathBuf {
    let path = folder.join("alerts.toml");
    let text = format!(
        "state = '{}'\n[[sinks]]\nkind = 'webhook'\nurl = '{url}'\n[dispatch]\nretry_first_ms = 5\nretry_most_ms = 20\n\
         burst = 1000\nper_minute = 60000.0\n",
        folder.join("state.json").display()
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn no_kill_loses_an_alert_or_sends_what_was_recorded_again() {
    if let Ok(order) = std::env::var(VICTIM) {
        let (hour, path) = order.split_once(' ').unwrap();
        let service = AlertsConfig::load(Path::new(path)).unwrap();
        println!("ready");
        let delivery = service.deliver(&observation(hour.parse().unwrap())).unwrap();
        assert_eq!(delivery.waiting(), 0);
        return;
    }
    let kills = std::env::var("FUNNELPULSE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    // Every third request fails.
    let script = [Answer::Status("200 OK"), Answer::Slow(Duration::from_millis(3)), Answer::Status("503 Busy")];
    let receiver = Http::start(&script.repeat(10_000));
    let folder = tempfile::tempdir().unwrap();
    let path = settings(folder.path(), &receiver.url());
    let mut random = rand_pcg::Pcg64::seed_from_u64(4);
    let run = |hour: u64| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "no_kill_loses_an_alert_or_sends_what_was_recorded_again", "--nocapture"])
            .env(VICTIM, format!("{hour} {}", path.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    // The first run announces what goes on; it is left alone, so that all later incidents are news.
    assert!(run(1).wait().unwrap().success());
    for hour in 2..=kills + 1 {
        let mut victim = run(hour);
        thread::sleep(Duration::from_micros(random.random_range(0..30_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    assert!(run(kills + 2).wait().unwrap().success(), "the last run is left alone");

    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut arrived = Vec::new();
    for seen in receiver.seen().into_iter().filter(|seen| seen.acknowledged) {
        let times = times.entry(seen.key).or_default();
        *times += 1;
        if *times == 1 {
            let alert: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
            let text = |name: &str| alert[name].as_str().unwrap().to_owned();
            arrived.push((text("incident"), text("status")));
        }
    }
    arrived.sort();
    let lost: Vec<_> = expected(kills + 2).into_iter().filter(|e| !arrived.contains(e)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let before = arrived.len();
    arrived.dedup();
    assert_eq!(arrived.len(), before, "no message under two keys");
    // A kill between an answer and its record can send one message again, never more.
    let again: usize = times.values().map(|n| n - 1).sum();
    assert!(again as u64 <= kills, "{again} messages came again after {kills} kills");
    println!("{kills} kills: {} messages, {again} twice", arrived.len());
    let leftovers: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(leftovers.iter().all(|n| !n.contains(".new")), "{leftovers:?}");
}
