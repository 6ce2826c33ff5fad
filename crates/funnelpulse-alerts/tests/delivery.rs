//! Alerts on their whole way: from the settings over the state and the spool to real receivers on
//! the loopback interface.

#![cfg(all(feature = "webhook", feature = "smtp"))]
#![allow(missing_docs, clippy::format_push_string, clippy::print_stdout, clippy::unwrap_used, reason = "tests")]

mod receivers;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use funnelpulse_alerts::{AlertCandidate, AlertsConfig, AlertsError, Delivery, Observation};
use funnelpulse_core::{Severity, Timestamp};
use receivers::{Answer, Http, MailTls, Smtp, certificate, closed_port};

fn at(hour: i64) -> Timestamp {
    Timestamp::from_seconds(hour * 3600)
}

/// So many incidents that go on.
fn outages(count: usize, hour: i64) -> Observation {
    let outage = |i| {
        let mut outage = AlertCandidate::new(format!("s{i}/outage"), format!("s{i}"), Severity::High, at(1), at(hour));
        outage.ongoing = true;
        outage.title = format!("No purchases in s{i}");
        outage
    };
    Observation::new(at(hour), (0..count).map(outage).collect())
}

/// Settings in a folder, with quick retries.
struct Setup {
    folder: tempfile::TempDir,
    sinks: String,
    patience: u64,
}

impl Setup {
    fn new(sinks: &str, patience: u64) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sinks: sinks.to_owned(), patience }
    }

    fn webhook(url: &str, patience: u64) -> Self {
        Self::new(&format!("[[sinks]]\nkind = 'webhook'\nurl = '{url}'\ntimeout_seconds = 1\n"), patience)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self) -> PathBuf {
        let path = self.file("alerts.toml");
        let text = format!(
            "state = '{}'\n{}[dispatch]\nretry_first_ms = 20\nretry_most_ms = 200\npatience_seconds = {}\n\
             grace_seconds = 0\n",
            self.file("state.json").display(),
            self.sinks,
            self.patience,
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, observation: &Observation) -> Delivery {
        AlertsConfig::load(&self.write()).unwrap().deliver(observation).unwrap()
    }

    fn rejected(&self) -> String {
        fs::read_to_string(self.file("state.spool.rejected")).unwrap_or_default()
    }
}

fn distinct(keys: &[String]) -> usize {
    keys.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn a_fast_receiver_gets_everything_once() {
    let receiver = Http::start(&[Answer::Status("200 OK")]);
    let setup = Setup::webhook(&receiver.url(), 20);
    let start = Instant::now();
    let delivery = setup.run(&outages(3, 10));
    assert!(start.elapsed() < Duration::from_secs(5), "no waiting where there is nothing to wait for");
    assert!(delivery.is_complete(), "{delivery:?}");
    assert_eq!((delivery.due, receiver.acknowledged().len()), (3, 3));
    // The same table again, and another hour of the same.
    for hour in [10, 11] {
        assert_eq!(setup.run(&outages(3, hour)).due, 0);
    }
    assert_eq!((receiver.seen().len(), distinct(&receiver.acknowledged())), (3, 3));
    let body: serde_json::Value = serde_json::from_str(&receiver.seen()[0].body).unwrap();
    assert_eq!(body["title"], "No purchases in s0");
    // It is over.
    assert_eq!(setup.run(&outages(0, 12)).due, 3);
    assert_eq!(distinct(&receiver.acknowledged()), 6);
}

#[test]
fn a_slow_receiver_gets_everything_once() {
    let receiver = Http::start(&[Answer::Slow(Duration::from_millis(150))]);
    let setup = Setup::webhook(&receiver.url(), 20);
    for hour in 10..13 {
        assert!(setup.run(&outages(3, hour)).is_complete());
    }
    assert_eq!((receiver.seen().len(), distinct(&receiver.acknowledged())), (3, 3));
}

#[test]
fn what_fails_is_tried_again_until_it_works_with_the_same_key() {
    let script =
        ["500 Oops", "503 Busy\r\nretry-after: 1", "429 Slow down\r\nretry-after: 1", "302 Found\r\nlocation: /x"];
    let mut script: Vec<Answer> = script.into_iter().map(Answer::Status).collect();
    script.push(Answer::Status("204 No Content"));
    let receiver = Http::start(&script);
    let setup = Setup::webhook(&receiver.url(), 20);
    let delivery = setup.run(&outages(2, 10));
    assert!(delivery.is_complete(), "{delivery:?}");
    let keys: Vec<String> = receiver.seen().into_iter().map(|s| s.key).collect();
    assert_eq!((keys.len(), distinct(&keys)), (6, 2), "four attempts failed: {keys:?}");
    assert!(keys[..3].iter().all(|k| *k == keys[0] && k.len() == 36), "{keys:?}");
    assert_eq!(distinct(&receiver.acknowledged()), 2);
    assert_eq!(delivery.report.sinks["webhook"].retries, 4);
}

#[test]
fn a_closed_port_is_tried_again_in_this_run() {
    let port = closed_port();
    let setup = Setup::webhook(&format!("http://127.0.0.1:{port}/"), 20);
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        Http::at(port, &[Answer::Status("200 OK")])
    });
    let delivery = setup.run(&outages(2, 10));
    assert!(delivery.is_complete(), "{delivery:?}");
    assert_eq!(late.join().unwrap().acknowledged().len(), 2);
}

#[test]
fn what_waits_is_counted_and_delivered_by_the_next_run() {
    let port = closed_port();
    let setup = Setup::webhook(&format!("http://127.0.0.1:{port}/"), 1);
    let start = Instant::now();
    let delivery = setup.run(&outages(3, 10));
    assert!(start.elapsed() >= Duration::from_secs(1) && start.elapsed() < Duration::from_secs(5));
    assert_eq!((delivery.due, delivery.waiting(), delivery.is_complete()), (3, 3, false));
    assert!(delivery.to_string().contains("3 waiting for the next run, last error: connection failed"), "{delivery}");
    let waiting = AlertsConfig::load(&setup.write()).unwrap().check().unwrap();
    assert_eq!((waiting.waiting, waiting.open), (3, 3));

    let receiver = Http::at(port, &[Answer::Status("200 OK")]);
    let delivery = setup.run(&outages(3, 10));
    assert_eq!((delivery.due, delivery.report.recovered, delivery.waiting()), (0, 3, 0));
    // On a busy machine an answer may come too late and the message once more, under its key.
    let seen: Vec<String> = receiver.seen().into_iter().map(|s| s.key).collect();
    assert_eq!((distinct(&seen), distinct(&receiver.acknowledged())), (3, 3));
}

#[test]
fn a_receiver_that_never_answers_holds_up_nobody() {
    let (silent, well) = (Http::start(&[Answer::Silence]), Http::start(&[Answer::Status("200 OK")]));
    let sink = |name: &str, url: &str| {
        format!("[[sinks]]\nkind = 'webhook'\nname = '{name}'\nurl = '{url}'\ntimeout_seconds = 1\n")
    };
    let setup = Setup::new(&(sink("silent", &silent.url()) + &sink("well", &well.url())), 2);
    let start = Instant::now();
    let delivery = setup.run(&outages(3, 10));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(delivery.report.sinks["well"].delivered, 3);
    let sink = &delivery.report.sinks["silent"];
    assert_eq!((sink.pending, sink.last_error.as_deref()), (3, Some("no answer in time")));
}

#[test]
fn an_answer_that_comes_a_moment_too_late_still_counts() {
    let receiver = Http::start(&[Answer::Slow(Duration::from_millis(600))]);
    let setup = Setup::webhook(&receiver.url(), 0);
    let path = setup.write();
    let text = fs::read_to_string(&path).unwrap().replace("grace_seconds = 0", "grace_seconds = 5");
    fs::write(&path, text).unwrap();
    let run = || AlertsConfig::load(&path).unwrap().deliver(&outages(1, 10)).unwrap();
    // Whether the first attempt begins before the patience ends is a race; whatever begins, ends.
    let runs: Vec<Delivery> = (0..5).map(|_| run()).collect();
    let delivered: u64 = runs.iter().map(|r| r.report.sinks["webhook"].delivered).sum();
    assert_eq!((receiver.seen().len() as u64, receiver.acknowledged().len() as u64), (delivered, delivered));
    assert!(delivered <= 1);
}

#[test]
fn refusals_for_good_are_kept_aside() {
    for status in ["400 Bad Request", "413 Too Large", "414 URI Too Long", "422 Unprocessable"] {
        let receiver = Http::start(&[Answer::Status(status), Answer::Status("200 OK")]);
        let setup = Setup::webhook(&receiver.url(), 20);
        let delivery = setup.run(&outages(2, 10));
        assert_eq!((delivery.report.rejected(), delivery.waiting(), delivery.is_complete()), (1, 0, false));
        let kept: serde_json::Value = serde_json::from_str(setup.rejected().trim_end()).unwrap();
        assert_eq!(kept["alert"]["incident"], "s0/outage");
        assert!(kept["reason"].as_str().unwrap().contains(&status[..3]), "{kept}");
        // It is not sent again.
        setup.run(&outages(2, 11));
        assert_eq!((receiver.seen().len(), receiver.acknowledged().len()), (2, 1));
    }
}

#[test]
fn sinks_that_are_gone_lose_nothing_silently() {
    let setup = Setup::webhook(&format!("http://127.0.0.1:{}/", closed_port()), 0);
    setup.run(&outages(2, 10));
    let receiver = Http::start(&[Answer::Status("200 OK")]);
    let renamed = format!("[[sinks]]\nkind = 'webhook'\nname = 'new'\nurl = '{}'\n", receiver.url());
    let setup = Setup { sinks: renamed, ..setup };
    let delivery = setup.run(&outages(2, 10));
    assert_eq!(delivery.report.orphaned, 2);
    assert_eq!(setup.rejected().lines().count(), 2);
    assert!(setup.rejected().contains("no sink of this name is configured any more"));
}

#[test]
fn tls_with_an_authority_of_ones_own() {
    let setup = Setup::new("", 20);
    let ca = setup.file("ca.pem");
    let receiver = Http::start_tls(&[Answer::Status("200 OK")], &ca);
    let sink = format!("[[sinks]]\nkind = 'webhook'\nurl = '{}'\n", receiver.url());
    let trusting = Setup { sinks: format!("{sink}ca_file = '{}'\n", ca.display()), ..setup };
    assert!(trusting.run(&outages(2, 10)).is_complete());
    assert_eq!(receiver.acknowledged().len(), 2);

    // Without it nobody is trusted.
    let wary = Setup::new(&sink, 1);
    let delivery = wary.run(&outages(1, 10));
    assert_eq!(delivery.report.sinks["webhook"].last_error.as_deref(), Some("no secure connection"));
    assert_eq!(receiver.acknowledged().len(), 2);
}

fn mail(port: u16, to: &[&str], extra: &str) -> String {
    format!(
        "[[sinks]]\nkind = 'smtp'\nhost = 'localhost'\nport = {port}\nfrom = 'alerts@shop.example'\nto = {to:?}\n\
         timeout_seconds = 2\n{extra}"
    )
}

#[test]
fn mails_arrive_over_every_kind_of_connection() {
    let setup = Setup::new("", 20);
    let ca = setup.file("ca.pem");
    let config = certificate(&ca);
    let secure = format!("username = 'ann'\npassword = 'hunter2'\nca_file = '{}'\n", ca.display());
    for (tls, extra) in [
        (MailTls::None, "security = 'none'\n".to_owned()),
        (MailTls::FromTheStart(config.clone()), format!("security = 'tls'\n{secure}")),
        (MailTls::AfterGreeting(config), format!("security = 'start_tls'\n{secure}")),
    ] {
        let server = Smtp::start(&["250 taken"], tls);
        let setup = Setup::new(&mail(server.port, &["a@shop.example", "b@shop.example"], &extra), 20);
        let delivery = setup.run(&outages(2, 10));
        assert!(delivery.is_complete(), "{extra}: {delivery:?}");
        let mails = server.mails();
        assert_eq!(mails.len(), 2, "{extra}");
        assert_eq!(mails[0].to, ["a@shop.example", "b@shop.example"]);
        assert!(mails[0].text.contains("Subject: [HIGH] No purchases in s0"), "{}", mails[0].text);
    }
}

#[test]
fn a_mail_that_fails_first_arrives_once_with_the_same_id() {
    let server = Smtp::start(&["451 later", "421 busy", "250 taken"], MailTls::None);
    let setup = Setup::new(&mail(server.port, &["a@shop.example"], "security = 'none'\n"), 20);
    let delivery = setup.run(&outages(1, 10));
    assert_eq!((delivery.report.sinks["smtp"].retries, delivery.waiting()), (2, 0));
    assert_eq!(server.mails().len(), 1);
    let id = server.mails()[0].text.lines().find(|l| l.starts_with("Message-ID: <")).map(str::to_owned).unwrap();
    assert!(id.ends_with("@shop.example>"), "{id}");
    assert!(setup.run(&outages(1, 11)).is_complete());
    assert_eq!(server.mails().len(), 1);
}

#[test]
fn a_mail_receiver_that_is_refused_costs_only_itself() {
    let server = Smtp::start(&["250 taken"], MailTls::None);
    let to = ["a@shop.example", "nobody@shop.example", "b@shop.example"];
    let setup = Setup::new(&mail(server.port, &to, "security = 'none'\n"), 20);
    let delivery = setup.run(&outages(1, 10));
    let receivers: Vec<String> = server.mails().into_iter().flat_map(|m| m.to).collect();
    assert_eq!(receivers, ["a@shop.example", "b@shop.example"]);
    assert_eq!((delivery.report.rejected(), delivery.waiting()), (1, 0));
    assert!(setup.rejected().contains("refused 1 of 3 receivers"), "{}", setup.rejected());
    // A mail that is refused as a whole.
    let server = Smtp::start(&["554 no"], MailTls::None);
    let setup = Setup::new(&mail(server.port, &["a@shop.example"], "security = 'none'\n"), 20);
    assert_eq!(setup.run(&outages(1, 10)).report.rejected(), 1);
    assert_eq!(setup.rejected().lines().count(), 1);
}

/// As a crash leaves it between the state and the spool, and between the spool and the state.
#[test]
fn a_crash_between_two_files_loses_and_doubles_nothing() {
    let receiver = Http::start(&[Answer::Status("200 OK")]);
    let dead = Setup::webhook(&format!("http://127.0.0.1:{}/", closed_port()), 0);
    let reached = |setup: Setup| Setup { sinks: Setup::webhook(&receiver.url(), 0).sinks, patience: 20, ..setup };
    // A state with its outbox, as it is saved before anything is in the spool.
    dead.run(&outages(2, 10));
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(dead.file("state.json")).unwrap()).unwrap();
    assert_eq!(state["outbox"].as_array().unwrap().len(), 0);
    let spooled = fs::read_to_string(dead.file("state.spool")).unwrap();
    let put = |line: &str| serde_json::from_str::<serde_json::Value>(&line[9..]).unwrap()["put"]["alert"].clone();
    state["outbox"] = spooled.lines().map(put).collect();
    let with_outbox = serde_json::to_vec(&state).unwrap();

    // Killed after the spool was written, before the state was: nothing comes twice.
    fs::write(dead.file("state.json"), &with_outbox).unwrap();
    let setup = reached(dead);
    assert_eq!(setup.run(&outages(2, 10)).waiting(), 0);
    assert_eq!((receiver.seen().len(), distinct(&receiver.acknowledged())), (2, 2));
    // Killed after all was delivered, before the state was written.
    fs::write(setup.file("state.json"), &with_outbox).unwrap();
    setup.run(&outages(2, 10));
    assert_eq!(receiver.seen().len(), 2);
    // Killed before the spool was written: nothing is lost.
    fs::write(setup.file("state.json"), &with_outbox).unwrap();
    fs::remove_file(setup.file("state.spool")).unwrap();
    setup.run(&outages(2, 10));
    let keys: Vec<String> = receiver.seen().into_iter().map(|s| s.key).collect();
    assert_eq!((keys.len(), distinct(&keys)), (4, 2), "the same messages, with the same keys");
}

/// Set in the process that may write no more than four kilobytes to a file.
#[cfg(target_os = "linux")]
const LIMITED: &str = "FUNNELPULSE_ALERTS_TEST_LIMITED";

/// Delivers in a process that can't write beyond byte 4096 of any file, as on a full disk.
#[cfg(target_os = "linux")]
fn run_limited(settings: &Path, test: &str) -> String {
    // The shell counts in blocks of 512 bytes.
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(LIMITED, settings)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// In the limited process: delivers and says how that ended.
#[cfg(target_os = "linux")]
fn limited(observation: &Observation) -> bool {
    let Some(path) = std::env::var_os(LIMITED) else { return false };
    match AlertsConfig::load(Path::new(&path)).unwrap().deliver(observation) {
        Ok(delivery) => println!("waiting = {}, {}", delivery.waiting(), delivery),
        Err(AlertsError::File { path, .. }) => println!("failed = {}", path.display()),
        Err(error) => panic!("{error}"),
    }
    true
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_too_full_for_the_state_sends_nothing_yet() {
    let observation = long(10, 5_000);
    if limited(&observation) {
        return;
    }
    let setup = Setup::webhook(&format!("http://127.0.0.1:{}/", closed_port()), 0);
    let path = setup.write();
    setup.run(&outages(0, 9));
    let said = run_limited(&path, "a_disk_too_full_for_the_state_sends_nothing_yet");
    assert!(said.contains("failed = ") && said.contains("state.json"), "{said}");
    let receiver = Http::start(&[Answer::Status("200 OK")]);
    let setup = Setup { sinks: Setup::webhook(&receiver.url(), 0).sinks, patience: 20, ..setup };
    let delivery = setup.run(&observation);
    assert_eq!((delivery.due, delivery.waiting(), receiver.seen().len()), (1, 0, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_too_full_for_the_spool_is_reported_and_the_state_keeps_the_alerts() {
    let observation = long(100, 800);
    if limited(&observation) {
        return;
    }
    // Fifty incidents that came and went days ago: the spool remembers their messages, the state nothing.
    let receiver = Http::start(&[Answer::Status("200 OK")]);
    let forgetful = |url: &str| Setup::webhook(url, 0).sinks + "[notifier]\nquiet_seconds = 0\n";
    let setup = Setup { sinks: forgetful(&receiver.url()), ..Setup::new("", 20) };
    let path = setup.write();
    let text = fs::read_to_string(&path).unwrap().replace("[dispatch]", "[dispatch]\nburst = 1000");
    fs::write(&path, &text).unwrap();
    for observation in [outages(50, 10), outages(0, 11), outages(0, 99)] {
        assert!(AlertsConfig::load(&path).unwrap().deliver(&observation).unwrap().is_complete());
    }
    let closed = text.replace(&receiver.url(), &format!("http://127.0.0.1:{}/", closed_port()));
    fs::write(&path, closed.replace("patience_seconds = 20", "patience_seconds = 0")).unwrap();
    let said = run_limited(&path, "a_disk_too_full_for_the_spool_is_reported_and_the_state_keeps_the_alerts");
    assert!(said.contains("waiting = 1") && said.contains("the spool could not be written: "), "{said}");
    let state: serde_json::Value = serde_json::from_slice(&fs::read(setup.file("state.json")).unwrap()).unwrap();
    assert_eq!(state["outbox"].as_array().unwrap().len(), 1, "{state}");
    // With space again it is delivered, under the id that was decided then.
    fs::write(&path, &text).unwrap();
    let delivery = AlertsConfig::load(&path).unwrap().deliver(&observation).unwrap();
    assert_eq!((delivery.due, delivery.waiting(), receiver.acknowledged().len()), (0, 0, 101));
}

/// An incident with a long text.
fn long(hour: i64, letters: usize) -> Observation {
    let mut observation = outages(1, hour);
    observation.candidates[0].message = "x".repeat(letters);
    observation
}
