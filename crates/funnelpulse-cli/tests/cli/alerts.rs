//! `--alerts`, up to a receiver.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use assert_cmd::Command;

/// A web server that takes 150 ms for each request; the bodies it got.
pub(crate) fn slow_receiver() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let log = bodies.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let n = stream.read(&mut part).unwrap();
                request.extend(&part[..n]);
            }
            thread::sleep(Duration::from_millis(150));
            let text = String::from_utf8(request).unwrap();
            log.lock().unwrap().push(text.split("\r\n\r\n").nth(1).unwrap().to_owned());
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    (port, bodies)
}

/// Four weeks of three brands, one of which loses its purchases in the last six hours.
fn shop(folder: &Path) {
    let mut text = "window_start,brand,views,carts,purchases,revenue\n".to_owned();
    for hour in 0..28 * 24_i64 {
        let (day, of_day) = (hour / 24 + 1, hour % 24);
        let views = 400 + 20 * (of_day - 12).abs() + (hour * 7919) % 37;
        for (brand, factor) in [("a", 1), ("b", 2), ("c", 3)] {
            let out = brand == "a" && hour >= 28 * 24 - 6;
            let purchases = if out { 0 } else { views * factor / 20 + (hour * 104_729 * factor) % 5 };
            let (views, carts) = (views * factor, views * factor / 5);
            let line =
                format!("2019-10-{day:02} {of_day:02}:00:00,{brand},{views},{carts},{purchases},{purchases}0.5\n");
            text.push_str(&line);
        }
    }
    std::fs::write(folder.join("hours.csv"), text).unwrap();
}

fn run(folder: &Path) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("funnelpulse").unwrap();
    command.current_dir(folder).args(["run", "--input", "hours.csv", "--output", "found", "--alerts", "alerts.toml"]);
    command.assert()
}

#[test]
fn a_slow_receiver_gets_each_alert_once() {
    let folder = tempfile::tempdir().unwrap();
    shop(folder.path());
    let (port, bodies) = slow_receiver();
    let settings = format!("state = 'state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{port}/'\n");
    std::fs::write(folder.path().join("alerts.toml"), settings).unwrap();
    run(folder.path()).success();
    let first = bodies.lock().unwrap().clone();
    assert!(!first.is_empty(), "the outage of brand a is announced");
    assert!(first[0].contains("\"status\":\"firing\""), "{first:?}");
    run(folder.path()).success();
    assert_eq!(*bodies.lock().unwrap(), first, "the same table again is no news");
}

#[test]
fn alerts_that_wait_are_said_and_end_with_a_status_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    shop(folder.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "state = 'state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{port}/'\n[dispatch]\n\
         patience_seconds = 0\n"
    );
    std::fs::write(folder.path().join("alerts.toml"), settings).unwrap();
    let said = run(folder.path()).code(4).get_output().stderr.clone();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("warning: ") && said.contains("the next run sends again what is left"), "{said}");
}

#[test]
fn wrong_settings_are_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    shop(folder.path());
    let settings =
        "state = 'state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://x/'\n[dispatch]\nper_minute = 1e-300\n";
    std::fs::write(folder.path().join("alerts.toml"), settings).unwrap();
    let said = run(folder.path()).code(1).get_output().stderr.clone();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("alerts.toml: dispatch.per_minute: 1e-300 is out of range (0.001 to 60000)"), "{said}");
    assert!(!folder.path().join("found").exists(), "no work was done");
}

#[test]
fn the_check_says_what_would_be_sent_where_and_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (port, bodies) = slow_receiver();
    let settings = format!(
        "state = 'state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{port}/T0/s3cr3t'\n[[sinks]]\nkind \
         = 'smtp'\nname = 'mail'\nhost = 'smtp.example.org'\nusername = 'shop'\npassword = 's3cr3t'\nfrom = \
         'a@example.org'\nto = ['b@example.org']\n[notifier]\nmin_severity = 'high'\n"
    );
    std::fs::write(folder.path().join("alerts.toml"), &settings).unwrap();
    let check = |json: bool| {
        let mut command = Command::cargo_bin("funnelpulse").unwrap();
        command.current_dir(folder.path()).args(["alerts", "check", "--alerts", "alerts.toml"]);
        command.args(json.then_some("--json")).assert()
    };
    let said = String::from_utf8(check(false).success().get_output().stdout.clone()).unwrap();
    for expected in [
        "alerts.toml is valid.",
        "incidents of severity high and above",
        &format!("sink `webhook`: POST of JSON to http://127.0.0.1:{port}/***"),
        "sink `mail`: mail from a@example.org to b@example.org by smtp.example.org:465 (TLS)",
        "state.json, no run yet",
        "0 messages waiting",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let json = check(true).success().get_output().stdout.clone();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap()["sinks"][1], "mail");
    assert!(!said.contains("s3cr3t") && !String::from_utf8(json).unwrap().contains("s3cr3t"), "{said}");
    assert_eq!(*bodies.lock().unwrap(), Vec::<String>::new());

    // A mistake is named, and the exit status says that there is one.
    std::fs::write(folder.path().join("alerts.toml"), settings.replace("'high'", "'hgih'")).unwrap();
    let said = String::from_utf8(check(false).code(1).get_output().stderr.clone()).unwrap();
    assert!(said.contains("alerts.toml: notifier.min_severity: unknown value, expected one of `low`"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}
