use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::Instant,
};

use funnelpulse_core::{Severity, Timestamp};

use super::*;
use crate::DeliveryError;

const PATIENCE: Duration = Duration::from_secs(20);

/// Records what it gets, after failing as often as it should.
#[derive(Debug)]
struct Fake {
    name: &'static str,
    failures: Vec<DeliveryError>,
    got: Arc<Mutex<Vec<(Instant, String)>>>,
    /// Each delivery waits for a word, where there is a channel.
    gate: Option<Receiver<()>>,
}

type Got = Arc<Mutex<Vec<(Instant, String)>>>;

fn fake(name: &'static str, failures: Vec<DeliveryError>) -> (Fake, Got) {
    let got = Got::default();
    (Fake { name, failures, got: got.clone(), gate: None }, got)
}

fn ids(got: &Got) -> Vec<String> {
    got.lock().unwrap().iter().map(|(_, id)| id.clone()).collect()
}

impl Sink for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn deliver(&mut self, alert: &Alert) -> Result<(), DeliveryError> {
        assert_ne!(alert.incident, "poison");
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        if let Some(error) = self.failures.pop() {
            return Err(error);
        }
        self.got.lock().unwrap().push((Instant::now(), alert.id.clone()));
        Ok(())
    }
}

fn alert(name: &str) -> Alert {
    Alert::new(name, Severity::High, Timestamp::from_seconds(0))
}

fn fast() -> DispatchConfig {
    DispatchConfig {
        per_minute: 60_000.0,
        burst: 1000,
        retry_first_ms: 1,
        retry_most_ms: 5,
        grace_seconds: 0,
        ..Default::default()
    }
}

#[test]
fn what_fails_first_arrives_in_order() {
    let (sink, got) = fake("a", vec![DeliveryError::temporary("down"); 2]);
    let dispatcher = Dispatcher::new(fast(), vec![Box::new(sink)]).unwrap();
    for name in ["1", "2", "3"] {
        dispatcher.send(alert(name)).unwrap();
    }
    let report = dispatcher.shutdown(PATIENCE);
    assert_eq!(ids(&got), ["1", "2", "3"]);
    let sink = &report.sinks["a"];
    assert_eq!((sink.delivered, sink.retries, sink.pending, &sink.last_error), (3, 2, 0, &None));
}

/// Refuses one alert for the time being, always.
#[derive(Debug)]
struct Allergic {
    got: Got,
}

impl Sink for Allergic {
    fn name(&self) -> &'static str {
        "allergic"
    }

    fn deliver(&mut self, alert: &Alert) -> Result<(), DeliveryError> {
        if alert.id == "bad" {
            return Err(DeliveryError::temporary("500"));
        }
        self.got.lock().unwrap().push((Instant::now(), alert.id.clone()));
        Ok(())
    }
}

#[test]
fn an_alert_that_always_fails_holds_up_only_its_incident() {
    let got = Got::default();
    let dispatcher = Dispatcher::new(fast(), vec![Box::new(Allergic { got: got.clone() })]).unwrap();
    for (id, incident) in [("1", "x"), ("bad", "y"), ("end of bad", "y"), ("2", "x"), ("3", "z")] {
        dispatcher.send(Alert { id: id.into(), ..alert(incident) }).unwrap();
    }
    while got.lock().unwrap().len() < 3 {
        thread::sleep(Duration::from_millis(1));
    }
    let report = dispatcher.shutdown(Duration::from_millis(50));
    assert_eq!((ids(&got), report.waiting()), (vec!["1".to_owned(), "2".to_owned(), "3".to_owned()], 2));
}

#[test]
fn a_sink_that_hangs_blocks_nobody_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = DispatchConfig { spool: Some(folder.path().join("spool")), ..fast() };
    let (mut stuck, _) = fake("stuck", vec![]);
    let (open, gate) = mpsc::channel();
    stuck.gate = Some(gate);
    let (well, got) = fake("well", vec![]);
    let dispatcher = Dispatcher::new(config.clone(), vec![Box::new(stuck), Box::new(well)]).unwrap();
    let start = Instant::now();
    for i in 0..50 {
        dispatcher.send(alert(&i.to_string())).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    dispatcher.persist(PATIENCE).unwrap();
    while got.lock().unwrap().len() < 50 {
        assert!(start.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
    let report = dispatcher.shutdown(Duration::from_millis(10));
    assert_eq!((report.sinks["stuck"].pending, report.sinks["well"].delivered), (50, 50));

    // The next start delivers them, to the one that lacks them; the old thread still hangs.
    let (stuck, late) = fake("stuck", vec![]);
    let (well, again) = fake("well", vec![]);
    let dispatcher = Dispatcher::new(config, vec![Box::new(stuck), Box::new(well)]).unwrap();
    let report = dispatcher.shutdown(PATIENCE);
    assert_eq!((report.recovered, late.lock().unwrap().len(), again.lock().unwrap().len()), (50, 50, 0));
    drop(open);
}

#[test]
fn a_kill_loses_nothing_that_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let config = DispatchConfig { spool: Some(path.clone()), retry_first_ms: 60_000, ..fast() };
    let (down, _) = fake("a", vec![DeliveryError::temporary("down"); 99]);
    let dispatcher = Dispatcher::new(config.clone(), vec![Box::new(down)]).unwrap();
    dispatcher.send(alert("1")).unwrap();
    dispatcher.send(alert("2")).unwrap();
    dispatcher.persist(PATIENCE).unwrap();
    // What a kill leaves behind: the file as it is now, with half a line of a write under way.
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(b"1234abcd {\"put\":{\"num");
    let elsewhere = folder.path().join("killed");
    fs::write(&elsewhere, bytes).unwrap();

    let (up, got) = fake("a", vec![]);
    let again = Dispatcher::new(DispatchConfig { spool: Some(elsewhere), ..config }, vec![Box::new(up)]).unwrap();
    again.send(alert("3")).unwrap();
    let report = again.shutdown(PATIENCE);
    assert_eq!(ids(&got), ["1", "2", "3"]);
    assert_eq!((report.recovered, report.damaged_lines), (2, 1));
}

/// Set in the process that is to be killed.
const VICTIM: &str = "FUNNELPULSE_ALERTS_TEST_SPOOL";

#[test]
fn a_real_kill_loses_nothing_that_was_flushed() {
    if let Some(path) = std::env::var_os(VICTIM) {
        let (down, _) = fake("a", vec![DeliveryError::temporary("down"); 999]);
        let config = DispatchConfig { spool: Some(path.into()), ..fast() };
        let dispatcher = Dispatcher::new(config, vec![Box::new(down)]).unwrap();
        for i in 0..20 {
            dispatcher.send(alert(&i.to_string())).unwrap();
        }
        dispatcher.persist(PATIENCE).unwrap();
        println!("flushed");
        thread::sleep(PATIENCE);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dispatcher::tests::a_real_kill_loses_nothing_that_was_flushed", "--nocapture"])
        .env(VICTIM, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("flushed")));
    victim.kill().unwrap();
    victim.wait().unwrap();

    let (up, got) = fake("a", vec![]);
    let config = DispatchConfig { spool: Some(path), ..fast() };
    let report = Dispatcher::new(config, vec![Box::new(up)]).unwrap().shutdown(PATIENCE);
    assert_eq!((report.recovered, report.damaged_lines), (20, 0));
    assert_eq!(ids(&got), (0..20).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_is_refused_for_good_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let config = DispatchConfig { spool: Some(folder.path().join("spool")), ..fast() };
    let (sink, got) = fake("a", vec![DeliveryError::permanent("too long")]);
    let dispatcher = Dispatcher::new(config, vec![Box::new(sink)]).unwrap();
    for name in ["1", "2", "poison", "3"] {
        dispatcher.send(alert(name)).unwrap();
    }
    let report = dispatcher.shutdown(PATIENCE);
    assert_eq!(ids(&got), ["2", "3"]);
    assert_eq!(report.sinks["a"].rejected, 2);
    let rejected = fs::read_to_string(folder.path().join("spool.rejected")).unwrap();
    let first: serde_json::Value = serde_json::from_str(rejected.lines().next().unwrap()).unwrap();
    assert_eq!((&first["reason"], &first["alert"]["id"]), (&"too long".into(), &"1".into()));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_by_persist() {
    let folder = tempfile::tempdir().unwrap();
    let config = DispatchConfig { spool: Some(folder.path().join("spool")), ..fast() };
    let (sink, got) = fake("a", vec![]);
    let dispatcher = Dispatcher::new(config, vec![Box::new(sink)]).unwrap();
    dispatcher.persist(PATIENCE).unwrap();
    let full = fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
    dispatcher.shared.lock().spool.as_mut().unwrap().replace_file(full);
    dispatcher.send(alert("1")).unwrap();
    let error = dispatcher.persist(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("alerts could not be kept on disk: No space left on device"), "{error}");
    // It is delivered from memory all the same.
    let report = dispatcher.shutdown(PATIENCE);
    assert_eq!((ids(&got), report.waiting()), (vec!["1".to_owned()], 0));
    assert!(report.spool_error.unwrap().contains("No space left on device"));
}

#[test]
fn an_alert_is_sent_once_however_often_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = DispatchConfig { spool: Some(folder.path().join("spool")), ..fast() };
    let mut all = Vec::new();
    for _ in 0..3 {
        let (sink, got) = fake("a", vec![]);
        let dispatcher = Dispatcher::new(config.clone(), vec![Box::new(sink)]).unwrap();
        for name in ["1", "2", "1"] {
            dispatcher.send_once(alert(name)).unwrap();
        }
        assert_eq!(dispatcher.flush(PATIENCE).waiting(), 0);
        drop(dispatcher);
        all.extend(ids(&got));
    }
    assert_eq!(all, ["1", "2"]);
}

#[test]
fn the_rate_is_kept() {
    let (sink, got) = fake("a", vec![]);
    let config = DispatchConfig { per_minute: 1200.0, burst: 2, ..fast() };
    let dispatcher = Dispatcher::new(config, vec![Box::new(sink)]).unwrap();
    for i in 0..6 {
        dispatcher.send(alert(&i.to_string())).unwrap();
    }
    dispatcher.shutdown(PATIENCE);
    let got = got.lock().unwrap();
    assert_eq!(got.len(), 6);
    // Two at once, then one every 50 ms.
    assert!(got[5].0 - got[1].0 >= Duration::from_millis(190), "{:?}", got[5].0 - got[1].0);
}

#[test]
fn too_many_are_refused_and_given_back() {
    let (mut sink, _) = fake("a", vec![]);
    let (open, gate) = mpsc::channel();
    sink.gate = Some(gate);
    let dispatcher = Dispatcher::new(DispatchConfig { capacity: 2, ..fast() }, vec![Box::new(sink)]).unwrap();
    dispatcher.send(alert("1")).unwrap();
    dispatcher.send(alert("2")).unwrap();
    let refused = dispatcher.send(alert("3")).unwrap_err();
    assert_eq!(refused.to_string(), "alert 3 was not taken: too many are waiting");
    assert_eq!(*refused.0, alert("3"));
    drop(open);
    assert_eq!(dispatcher.shutdown(PATIENCE).sinks["a"].delivered, 2);
}

#[test]
fn settings_are_checked() {
    let refused = |config: DispatchConfig| config.validate().unwrap_err().to_string();
    let bad = DispatchConfig { per_minute: f64::NAN, ..fast() };
    assert_eq!(refused(bad), "per_minute = NaN is out of range (0.001 to 60000)");
    let bad = DispatchConfig { capacity: 0, ..fast() };
    assert_eq!(refused(bad), "capacity = 0 is out of range (1 to 1000000)");
    let twins: Vec<Box<dyn Sink>> = vec![Box::new(fake("a", vec![]).0), Box::new(fake("a", vec![]).0)];
    assert!(Dispatcher::new(fast(), twins).is_err());
    assert!(serde_json::from_str::<DispatchConfig>(r#"{"spol": "x"}"#).is_err());
    assert_eq!(serde_json::from_str::<DispatchConfig>("{}").unwrap(), DispatchConfig::default());
}

#[cfg(feature = "webhook")]
#[test]
fn a_server_that_comes_up_late_gets_everything() {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use crate::{Secret, Webhook, WebhookConfig};

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hook = Webhook::new(&WebhookConfig::new(Secret::new(format!("http://127.0.0.1:{port}/")))).unwrap();
    let dispatcher = Dispatcher::new(fast(), vec![Box::new(hook)]).unwrap();
    dispatcher.send(alert("1")).unwrap();
    while dispatcher.report().sinks["webhook"].retries < 3 {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(dispatcher.report().sinks["webhook"].last_error.as_deref(), Some("connection failed"));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let server = thread::spawn(move || {
        ["500 Oops", "200 OK"].map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let n = stream.read(&mut part).unwrap();
                request.extend(&part[..n]);
            }
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        })
    });
    let report = dispatcher.shutdown(PATIENCE);
    server.join().unwrap();
    assert_eq!(report.sinks["webhook"].delivered, 1);
}

#[test]
fn what_is_under_way_may_be_lacking() {
    let (sink, _) = fake("a", vec![]);
    let dispatcher = Dispatcher::new(fast(), vec![Box::new(sink)]).unwrap();
    assert!(!dispatcher.lacks("x"));
    // Sent, and the spool has not taken it yet.
    dispatcher.shared.underway.fetch_add(1, SeqCst);
    assert!(dispatcher.lacks("x"));
    dispatcher.shared.underway.fetch_sub(1, SeqCst);
}

#[test]
fn what_waits_for_sinks_that_are_gone_is_counted_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = DispatchConfig { spool: Some(folder.path().join("spool")), ..fast() };
    let failing = |name| fake(name, vec![DeliveryError::temporary("no"); 1000]).0;
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(failing("old")), Box::new(failing("stays"))];
    let dispatcher = Dispatcher::new(config.clone(), sinks).unwrap();
    for name in ["a", "b", "c"] {
        dispatcher.send(alert(name)).unwrap();
    }
    dispatcher.persist(PATIENCE).unwrap();
    dispatcher.shutdown(Duration::ZERO);
    let dispatcher = Dispatcher::new(config, vec![Box::new(failing("stays"))]).unwrap();
    let report = dispatcher.shutdown(Duration::ZERO);
    assert_eq!((report.orphaned, report.recovered, report.waiting()), (3, 3, 3));
    let kept = fs::read_to_string(folder.path().join("spool.rejected")).unwrap();
    assert_eq!(kept.lines().filter(|line| line.contains("no sink of this name")).count(), 3);
}

#[test]
fn deliveries_of_all_sinks_add_up() {
    let sink = |pending, rejected| SinkReport { rejected, pending, ..SinkReport::default() };
    let sinks = [("a", sink(2, 30)), ("b", sink(5, 70))].map(|(name, sink)| (name.to_owned(), sink)).into();
    let report = DispatchReport { sinks, ..DispatchReport::default() };
    assert_eq!((report.waiting(), report.rejected()), (7, 100));
}
