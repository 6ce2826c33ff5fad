//! Settings that are wrong, and secrets in the wrong place.

#![cfg(all(feature = "webhook", feature = "smtp"))]
#![allow(missing_docs, clippy::format_push_string, clippy::print_stdout, clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use funnelpulse_alerts::{
    Alert, AlertCandidate, AlertsConfig, AlertsError, DispatchConfig, JsonLines, Notifier, NotifierConfig, Observation,
    Secret, Sink, SinkConfig, SmtpConfig, Webhook, WebhookConfig,
};
use funnelpulse_core::{Severity, Timestamp};

/// What must never be seen: nine letters and digits that no message holds by chance.
const CANARY: &str = "c4naryX9q";

fn refused(folder: &Path, text: &str) -> AlertsError {
    let path = folder.join("alerts.toml");
    fs::write(&path, text.replace("{}", &folder.display().to_string())).unwrap();
    AlertsConfig::load(&path).unwrap_err()
}

/// Settings that are right, with a place for one more line in the webhook.
fn settings(webhook: &str, rest: &str) -> String {
    format!("state = '{{}}/state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://x.example/'\n{webhook}\n{rest}\n")
}

#[test]
fn every_bad_setting_is_named_with_value_and_range() {
    let folder = tempfile::tempdir().unwrap();
    let bad: &[(&str, &str, &str)] = &[
        ("", "[dispatch]\nper_minute = 1e-300", "dispatch.per_minute: 1e-300 is out of range (0.001 to 60000)"),
        ("", "[dispatch]\nper_minute = nan", "dispatch.per_minute: NaN is out of range (0.001 to 60000)"),
        ("", "[dispatch]\nper_minute = inf", "dispatch.per_minute: inf is out of range (0.001 to 60000)"),
        ("", "[dispatch]\nper_minute = -1.0", "dispatch.per_minute: -1.0 is out of range (0.001 to 60000)"),
        ("", "[dispatch]\nburst = 0", "dispatch.burst: 0 is out of range (1 to 60000)"),
        ("", "[dispatch]\nburst = -1", "dispatch.burst: found -1, expected a whole number from 0 to 4294967295"),
        ("", "[dispatch]\ncapacity = 9223372036854775807", "dispatch.capacity: 9223372036854775807 is out of range"),
        ("", "[dispatch]\nretry_first_ms = 0", "dispatch.retry_first_ms: 0 is out of range (1 to 3600000)"),
        ("", "[dispatch]\nretry_most_ms = 9223372036854775807", "dispatch.retry_most_ms: 9223372036854775807 is out"),
        ("", "[dispatch]\npatience_seconds = 86401", "dispatch.patience_seconds: 86401 is out of range (0 to 86400)"),
        ("", "[dispatch]\ngrace_seconds = 601", "dispatch.grace_seconds: 601 is out of range (0 to 600)"),
        (
            "",
            "[notifier]\nquiet_seconds = 31622401",
            "notifier.quiet_seconds: 31622401 is out of range (0 to 31622400)",
        ),
        ("", "[notifier]\nmin_severity = 'hgih'", "notifier.min_severity: unknown value, expected one of `low`"),
        ("", "[notifer]\n", "unknown field `notifer`, expected one of"),
        ("timeout_seconds = 0", "", "sinks[0].timeout_seconds: 0 is out of range (1 to 600)"),
        ("timeout = 1", "", "sinks[0].timeout: unknown field `timeout`, expected one of"),
        ("ca_file = '{}/none.pem'", "", "none.pem"),
        ("name = 5", "", "sinks[0].name: found a whole number, expected text"),
        ("", "[[sinks]]\nkind = 'webhook'\nurl = 'http://y/'", "sinks[1].name: `webhook` is the name of another sink"),
        ("", "[[sinks]]\nkind = 'pager'", "sinks[1].kind: unknown; one of json_lines, webhook or smtp"),
        ("", "[[sinks]]\npath = 'x'", "sinks[1].kind: missing; one of json_lines, webhook or smtp"),
        ("", "[[sinks]]\nkind = 'smtp'\nfrom = 'a@b.example'\nto = []", "sinks[1]: missing field `host`"),
        ("", "[[sinks]]\nkind = 'webhook'\nurl = 1234", "sinks[1].url: a secret is a text in quotes or"),
        ("", "[[sinks]]\nkind = 'webhook'\nurl = { env = 'NOBODY_HAS_THIS' }", "variable NOBODY_HAS_THIS is not set"),
    ];
    for (webhook, rest, expected) in bad {
        let error = refused(folder.path(), &settings(webhook, rest)).to_string();
        assert!(error.contains(expected), "{webhook} {rest}: {error}");
    }
    let error = refused(folder.path(), "state = '{}/state.json'\n").to_string();
    assert!(error.ends_with("alerts.toml: sinks: missing; at least one [[sinks]]"), "{error}");
    let error = refused(folder.path(), &settings("", "").replace("state.json", "none/state.json")).to_string();
    assert!(error.contains("state: the folder of") && error.contains("does not exist"), "{error}");
    assert!(!folder.path().join("state.json").exists(), "a check writes no state");
}

#[test]
fn files_that_would_be_the_same_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |path: &str| format!("[[sinks]]\nkind = 'json_lines'\npath = '{{}}/{path}'");
    let cases = [
        (settings("", "").replace("state.json", "x.spool"), "state and the spool"),
        (settings("", "").replace("state.json", "alerts.toml"), "the settings and state"),
        (settings("", "[dispatch]\nspool = '{}/state.json'"), "state and the spool"),
        (settings("", "[dispatch]\nspool = '{}/sub/../state.json'"), "state and the spool"),
        (settings("", &lines("state.json")), "state and sinks[1].path"),
        (settings("", &lines("state.spool")), "the spool and sinks[1].path"),
        (settings("", &lines("state.spool.rejected")), "the spool's file .rejected and sinks[1].path"),
        (settings("", &(lines("a.jsonl") + "\n" + &lines("a.jsonl"))), "sinks[1].path and sinks[2].path"),
    ];
    fs::create_dir(folder.path().join("sub")).unwrap();
    for (text, expected) in cases {
        let error = refused(folder.path(), &text);
        assert!(matches!(error, AlertsError::SameFile { .. }), "{text}: {error}");
        assert!(error.to_string().contains(&format!("{expected} would be the same file")), "{error}");
    }
}

#[test]
fn the_check_says_what_would_happen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.toml");
    fs::write(&path, settings("", "").replace("{}", &folder.path().display().to_string())).unwrap();
    let report = AlertsConfig::load(&path).unwrap().check().unwrap();
    assert_eq!((report.sinks.as_slice(), report.waiting, report.until), (&["webhook".to_owned()][..], 0, None));
    assert!(report.to_string().contains("no run yet"), "{report}");
    assert!(report.to_string().contains("incidents of severity low and above"), "{report}");
    assert_eq!(report.destinations, ["POST of JSON to http://x.example/***"]);
    // A state that can't be read is found before the work.
    fs::write(folder.path().join("state.json"), "{\"notifier\": 3").unwrap();
    assert!(matches!(AlertsConfig::load(&path).unwrap_err(), AlertsError::State { .. }));
}

/// Every place a secret can be in, right or wrong, and every way in which the file can be broken.
fn with_canaries() -> Vec<String> {
    let canary = format!("https://hooks.example/{CANARY}");
    let mut texts = Vec::new();
    for line in [
        format!("url = '{canary}"),
        format!("url = {canary}"),
        format!("url = {CANARY}"),
        format!("url = '{canary}' # x\nurl = '{canary}'"),
        format!("url = ['{canary}']"),
        format!("url = {{ env = '{canary}' }}"),
        format!("url = {{ enf = '{canary}' }}"),
        format!("url = {{ env = ['{canary}'] }}"),
        format!("url = {{ env = 'A', also = '{canary}' }}"),
        format!("url = 'ftp://{CANARY}/'"),
        format!("url = 'http:// {CANARY}'"),
        format!("url = 'http:///{CANARY}'"),
        format!("url = 'http://x.example/'\ntimeout_seconds = '{canary}'"),
        format!("url = 'http://x.example/'\nformat = '{canary}'"),
        format!("url = 'http://x.example/'\n'{canary}' = 1"),
        format!("url = 'http://x.example/'\n{CANARY} = 1"),
        format!("uri = '{canary}'"),
    ] {
        texts.push(format!("state = '{{}}/state.json'\n[[sinks]]\nkind = 'webhook'\n{line}\n"));
    }
    texts.push(format!("state = '{{}}/state.json'\n[[sinks]]\nkind = '{canary}'\n"));
    texts.push(format!("state = '{{}}/state.json'\nsinks = '{canary}'\n"));
    texts.push(format!("state = '{{}}/state.json'\nsinks = ['{canary}']\n"));
    for line in [
        format!("password = '{CANARY}"),
        format!("password = {CANARY}"),
        format!("password = '{CANARY}'"),
        format!("username = 'ann'\npassword = '{CANARY}'\nport = '{CANARY}'"),
        format!("username = 'ann'\npassword = '{CANARY}'\nport = 70000"),
        format!("username = 'ann'\npassword = '{CANARY}'\nsecurity = 'none'"),
        format!("username = 'ann'\npassword = '{CANARY}'\nsecurity = '{CANARY}'"),
        format!("username = ['{CANARY}']"),
        format!("host = 'ann:{CANARY}@mail.example'"),
        format!("host = 'smtp://ann:{CANARY}@mail.example'"),
    ] {
        let host = if line.contains("host") { "" } else { "host = 'mail.example'\n" };
        let rest = "from = 'a@shop.example'\nto = ['b@shop.example']";
        texts.push(format!("state = '{{}}/state.json'\n[[sinks]]\nkind = 'smtp'\n{host}{rest}\n{line}\n"));
    }
    texts
}

#[test]
fn no_error_repeats_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    for text in with_canaries() {
        let error = refused(folder.path(), &text);
        let mut shown = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            shown += &format!(" {cause} {cause:?}");
            source = cause.source();
        }
        assert!(!shown.contains(CANARY), "{text}\n{shown}");
        assert!(shown.contains("alerts.toml"), "{text}\n{shown}");
    }
    // A broken line is found where it is.
    let error = refused(folder.path(), &format!("state = 'x'\n[[sinks]]\nurl = '{CANARY}\n")).to_string();
    assert!(error.contains("alerts.toml, line 3, column "), "{error}");
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_place_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path(), "= 1\n").to_string();
    assert!(error.contains("alerts.toml, line 1, column 1: "), "{error}");
    // Words of the parser's own are shown, though the file has them too.
    let error = refused(folder.path(), "# no duplicate\nstate = 'x'\nstate = 'y'\n").to_string();
    assert!(error.contains("line 3, column 1: ") && error.contains("duplicate key"), "{error}");
}

#[test]
fn no_secret_reaches_a_file_or_a_debug_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.toml");
    let text = format!(
        "state = '{0}/state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://127.0.0.1:1/{CANARY}'\n[[sinks]]\nkind = \
         'smtp'\nhost = '127.0.0.1'\nport = 1\nusername = 'ann'\npassword = '{CANARY}'\nfrom = 'a@b.example'\nto = \
         ['c@d.example']\n[dispatch]\npatience_seconds = 0\n",
        folder.path().display()
    );
    fs::write(&path, text).unwrap();
    let service = AlertsConfig::load(&path).unwrap();
    let at = Timestamp::from_seconds;
    let mut outage = AlertCandidate::new("a/x", "a", Severity::High, at(0), at(3600));
    outage.ongoing = true;
    let delivery = service.deliver(&Observation::new(at(3600), vec![outage])).unwrap();
    assert_eq!(delivery.waiting(), 2);
    let mut shown = format!("{service:?} {delivery:?} {delivery} {:?}", service.check());
    shown += &service.check().unwrap().to_string();
    shown += &serde_json::to_string(&delivery).unwrap();
    shown += &serde_json::to_string(service.config()).unwrap();
    shown += &toml::to_string(service.config()).unwrap();
    for sink in &service.config().sinks {
        shown += &format!("{sink:?} {:?}", sink.build().unwrap());
    }
    fs::remove_file(&path).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        shown += &String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(!shown.contains(CANARY), "{shown}");
}

/// The types that hold or carry a secret show none.
#[test]
fn debug_texts_show_no_secret() {
    let webhook = WebhookConfig::new(Secret::new(format!("https://x.example/{CANARY}")));
    let sink = Webhook::new(&webhook).unwrap();
    let smtp: SmtpConfig = serde_json::from_value(serde_json::json!({
        "host": "x", "from": "a@b.example", "to": [], "username": "ann", "password": CANARY,
    }))
    .unwrap();
    let shown = format!("{webhook:?} {sink:?} {smtp:?} {:?}", SinkConfig::Smtp(smtp.clone()));
    assert!(!shown.contains(CANARY) && sink.name() == "webhook", "{shown}");
}

proptest::proptest! {
    /// Any settings of the numbers are refused or work; no panic.
    #[test]
    fn extremes_never_panic(per_minute: f64, burst: u32, first: u64, most: u64, quiet: u64) {
        let config = DispatchConfig {
            per_minute, burst, retry_first_ms: first, retry_most_ms: most, patience_seconds: 0, ..DispatchConfig::default()
        };
        if config.validate().is_ok() {
            let sink: Box<dyn Sink> = Box::new(JsonLines::new("memory", Vec::new()));
            let dispatcher = funnelpulse_alerts::Dispatcher::new(config.clone(), vec![sink]).unwrap();
            dispatcher.send(Alert::new("a", Severity::High, Timestamp::from_seconds(0))).unwrap();
            dispatcher.shutdown(config.patience());
        }
        if let Ok(mut notifier) = Notifier::new(NotifierConfig { quiet_seconds: quiet, ..NotifierConfig::default() }) {
            let ends = [i64::MIN, -1, 0, i64::MAX].map(Timestamp::from_micros);
            for time in ends {
                notifier.raise(Alert::new("a", Severity::High, time));
                notifier.resolve("a", time);
            }
        }
    }

    /// Any text is read or refused.
    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
        let _ = AlertsConfig::parse("alerts.toml".as_ref(), &text);
    }
}
