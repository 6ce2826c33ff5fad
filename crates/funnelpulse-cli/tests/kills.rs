//! Runs that are killed at any moment, disks that are full, folders that can't be written, two runs at once.
//!
//! `FUNNELPULSE_KILLS=1000 cargo test --release -p funnelpulse-cli --test kills -- --nocapture`

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "figures of a test program")]
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime},
};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tempfile::TempDir;

/// Kills of the test; more by `FUNNELPULSE_KILLS`.
const KILLS: usize = 100;
/// Hours of history in the tables.
const HOURS: usize = 240;
/// Settings that keep a run short: what is tested is how results are written.
const QUICK: &str = "--set pipeline.detectors=[\"zscore\"] --set pipeline.min_rows=100 --set ensemble.threshold=0.5";

const HEADER: &str = "window_start,brand,views,carts,purchases,revenue\n";

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// Hours of three brands; each of them has no purchase for four hours of 36 once the history is over.
fn table(hours: usize, salt: usize) -> String {
    let mut text = HEADER.to_owned();
    for hour in 0..hours {
        for (number, brand) in ["a", "b", "c"].into_iter().enumerate() {
            let views = 200 + 40 * (hour % 24) + (hour * 7919 + salt + number) % 23;
            let is_out = hour >= HOURS && hour % 36 / 4 == 3 * number;
            let purchases = if is_out { 0 } else { views / 12 + (hour + salt) % 3 };
            let (time, carts) = (time(hour), if is_out { 0 } else { views / 4 + hour % 5 });
            writeln!(text, "{time},{brand},{views},{carts},{purchases},{}.5", 20 * purchases).unwrap();
        }
    }
    text
}

fn time(hour: usize) -> String {
    let start = funnelpulse::core::parse_timestamp("2019-10-01").unwrap();
    funnelpulse::core::Timestamp::from_seconds(start.as_micros() / 1_000_000 + hour as i64 * 3600).to_string()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, salt) in [("a.csv", 0), ("b.csv", 5)] {
            fs::write(folder.path(name), table(HOURS + 30, salt)).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_funnelpulse"));
        command.current_dir(self.0.path()).args(line.split_whitespace()).args(["--threads", "1", "--quiet"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn output(&self, line: &str) -> Output {
        self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    }

    fn succeed(&self, line: &str) {
        let output = self.output(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// All results of a run, or `None` where there are none: the table and what was committed with it.
    fn results(&self, folder: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let root = self.path(folder);
        // What a reader of the table sees while it is being exchanged on file systems that need two steps.
        if !root.join("anomalies").exists() {
            return None;
        }
        let mut found = BTreeMap::new();
        collect(&root.join("anomalies"), "anomalies", &mut found);
        for name in ["summary.json", "incidents.jsonl", "alerts.jsonl", "report.html"] {
            found.insert(name.to_owned(), fs::read(root.join(name)).unwrap());
        }
        Some(found)
    }

    /// Hidden files anywhere.
    fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.file_name().unwrap().to_string_lossy().starts_with('.') {
                    found.push(entry);
                } else if entry.is_dir() && !entry.is_symlink() {
                    folders.push(entry);
                }
            }
        }
        found
    }

    /// Makes leftovers old enough to be known for abandoned.
    fn age(&self) {
        let long_ago = SystemTime::now() - Duration::from_secs(600);
        for path in self.leftovers().iter().filter(|path| path.is_file()) {
            File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
    }
}

fn collect(folder: &Path, name: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &name, found);
        } else {
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

/// A web server that acknowledges two requests of three: the keys and bodies that it took.
/// Requests that came in: a line of the header each, and the body.
type Received = Arc<Mutex<Vec<(String, String)>>>;

fn receiver() -> (u16, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let log = taken.clone();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { continue };
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                match stream.read(&mut part) {
                    Ok(n @ 1..) => request.extend(&part[..n]),
                    _ => break,
                }
            }
            if !request.ends_with(b"}") {
                continue;
            }
            let text = String::from_utf8(request).unwrap();
            let status = if number % 3 == 2 { "503 Busy" } else { "200 OK" };
            if status == "200 OK" {
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let key =
                    head.lines().find_map(|l| l.to_lowercase().strip_prefix("idempotency-key: ").map(str::to_owned));
                log.lock().unwrap().push((key.unwrap(), body.to_owned()));
            }
            // The sender may be dead by now.
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (port, taken)
}

/// Starts a command and kills it within a time.
fn kill_within(mut command: Command, most: Duration, random: &mut Pcg64) -> bool {
    let mut victim = command.spawn().unwrap();
    thread::sleep(Duration::from_micros(random.random_range(0..most.as_micros() as u64)));
    victim.kill().unwrap();
    // Without a code where it was killed in time.
    victim.wait().unwrap().code().is_none()
}

/// Alerts to a receiver, tried again at once.
fn alert_settings(port: u16) -> String {
    format!(
        "state = 'state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{port}/'\n[dispatch]\n\
         retry_first_ms = 5\nretry_most_ms = 20\nburst = 1000\nper_minute = 60000.0\n"
    )
}

/// Each incident was announced; the number of messages that came again, and of incidents.
fn check_announced(folder: &Folder, taken: &[(String, String)]) -> (usize, usize) {
    // Each incident that is remembered was announced to somebody, and nothing waits.
    let state: serde_json::Value = serde_json::from_slice(&fs::read(folder.path("state.json")).unwrap()).unwrap();
    assert_eq!(state["outbox"].as_array().unwrap().len(), 0);
    let announced: BTreeSet<String> = taken
        .iter()
        .map(|(_, body)| serde_json::from_str::<serde_json::Value>(body).unwrap())
        .map(|alert| alert["incident"].as_str().unwrap().to_owned())
        .collect();
    for incident in state["notifier"]["announced"].as_object().unwrap().keys() {
        assert!(announced.contains(incident), "{incident} was never announced");
    }
    // So was each that the last results have and that began after history.
    let found = fs::read_to_string(folder.path("found/alerts.jsonl")).unwrap();
    let alerts: Vec<serde_json::Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begun = |alert: &&serde_json::Value| alert["fields"]["start"].as_str().unwrap() > &*time(HOURS);
    assert!(alerts.iter().filter(begun).count() > 0, "{found}");
    for alert in alerts.iter().filter(begun) {
        let incident = alert["incident"].as_str().unwrap();
        assert!(announced.contains(incident), "{incident} was never announced");
    }
    let keys: BTreeSet<&String> = taken.iter().map(|(key, _)| key).collect();
    (taken.len() - keys.len(), alerts.len())
}

#[test]
fn a_killed_run_leaves_the_old_or_the_new_results_and_loses_no_alert() {
    let kills = std::env::var("FUNNELPULSE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let start = Instant::now();
    let folder = Folder::new();
    let run = |table: &str, out: &str| format!("run --input {table} --output {out} --report {out}/report.html {QUICK}");
    let train = |table: &str, model: &str| format!("train --input {table} --model {model} {QUICK}");
    // What is right, and how long it takes.
    let mut right = Vec::new();
    let mut models = Vec::new();
    let mut usual = BTreeMap::new();
    let mut timed = |kind, line: &str| {
        let begin = Instant::now();
        folder.succeed(line);
        let time: &mut Duration = usual.entry(kind).or_default();
        *time = if time.is_zero() { begin.elapsed() } else { begin.elapsed().min(*time) };
    };
    for table in ["a.csv", "b.csv"] {
        timed("run", &run(table, &format!("right-{table}")));
        right.push(folder.results(&format!("right-{table}")).unwrap());
        timed("train", &train(table, &format!("right-{table}.model")));
        models.push(fs::read(folder.path(&format!("right-{table}.model"))).unwrap());
    }
    assert_ne!(right[0]["summary.json"], right[1]["summary.json"], "the two differ");
    let (port, taken) = receiver();
    fs::write(folder.path("alerts.toml"), alert_settings(port)).unwrap();
    let detect = "detect --model history.model --input now.csv --output found --alerts alerts.toml";
    // The first run remembers where history ends, so that all that follows is news.
    fs::write(folder.path("now.csv"), table(HOURS, 0)).unwrap();
    folder.succeed(&train("now.csv", "history.model"));
    timed("detect", detect);
    timed("detect", detect);

    let mut random = Pcg64::seed_from_u64(20);
    let (mut killed, mut hour) = (BTreeMap::<&str, usize>::new(), HOURS);
    let mut runs = 0;
    while killed.values().sum::<usize>() < kills {
        runs += 1;
        let table_name = ["a.csv", "b.csv"][random.random_range(0..2)];
        let (kind, line) = match random.random_range(0..3) {
            0 => ("run", run(table_name, "out")),
            1 => ("train", train(table_name, "out.model")),
            _ => {
                hour += 1;
                fs::write(folder.path("now.csv"), table(hour, 0)).unwrap();
                ("detect", detect.to_owned())
            }
        };
        let in_time = kill_within(folder.command(&line), usual[kind], &mut random);
        *killed.entry(kind).or_default() += usize::from(in_time);
        let found = folder.results("out");
        assert!(
            found.as_ref().is_none_or(|found| right.contains(found)),
            "{kind}: neither the old nor the new results"
        );
        if let Ok(model) = fs::read(folder.path("out.model")) {
            assert!(models.contains(&model), "{kind}: neither the old nor the new model");
        }
    }
    // The next runs are left alone.
    folder.age();
    folder.succeed(&run("b.csv", "out"));
    folder.succeed(&train("b.csv", "out.model"));
    fs::write(folder.path("now.csv"), table(hour + 1, 0)).unwrap();
    folder.succeed(detect);
    assert_eq!(folder.results("out").as_ref(), Some(&right[1]));
    assert_eq!(folder.leftovers(), Vec::<PathBuf>::new(), "the next run removes what a killed one leaves");

    let taken = taken.lock().unwrap();
    let (again, incidents) = check_announced(&folder, &taken);
    assert!(again <= kills, "{again} messages came again after {kills} kills");
    println!("{runs} runs in {:.0} s, {kills} of them killed: {killed:?}", start.elapsed().as_secs_f64());
    println!("{} messages taken, {again} of them again; {} incidents", taken.len(), incidents);
}

/// A limit on the size of files fails as a full disk does: a write takes less than it was given, the next
/// is an error.
#[test]
fn a_full_disk_leaves_the_old_results() {
    let folder = Folder::new();
    let line =
        |table: &str| format!("run --input {table} --output out --report out/report.html --model out.model {QUICK}");
    folder.succeed(&line("b.csv"));
    let new = folder.results("out").unwrap();
    folder.succeed(&line("a.csv"));
    let (old, model) = (folder.results("out").unwrap(), fs::read(folder.path("out.model")).unwrap());
    let mut failed = 0;
    for blocks in [0, 1, 2, 4, 8, 16, 64, 1 << 10, 4 << 10] {
        let words: Vec<String> = line("b.csv").split_whitespace().map(|word| format!("'{word}'")).collect();
        let (program, words) = (env!("CARGO_BIN_EXE_funnelpulse"), words.join(" "));
        // Ignored, the signal becomes an error of the write.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec '{program}' {words} --quiet");
        let output = Command::new("sh").current_dir(folder.0.path()).args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            continue;
        }
        failed += 1;
        assert_eq!(output.status.code(), Some(1), "{blocks} blocks: {said}");
        assert!(said.contains("error: ") && said.contains("File too large"), "{blocks} blocks: {said}");
        // The model comes after the results.
        let found = folder.results("out").unwrap();
        assert!(found == old || found == new, "{blocks} blocks: neither the old nor the new results");
        assert!(fs::read(folder.path("out.model")).unwrap() == model, "{blocks} blocks: the model");
    }
    assert!(failed >= 4, "{failed} of the limits were too low");
    // Standard output on a full device: the results are whole, and the status says that something went wrong.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = folder.command(&line("b.csv")).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
    folder.succeed(&line("b.csv"));
    assert_eq!(folder.leftovers(), Vec::<PathBuf>::new());
}

/// A disk of its own that is really full, where one can be mounted.
#[test]
fn a_small_disk_that_is_full_leaves_the_old_results() {
    let folder = Folder::new();
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&disk).output();
    match &mount {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            println!("skipped: no disk can be mounted here: {}", String::from_utf8_lossy(&output.stderr).trim());
            return;
        }
        Err(error) => {
            println!("skipped: no disk can be mounted here: {error}");
            return;
        }
    }
    let line = |table: &str| format!("run --input {table} --output disk/out --report disk/out/report.html {QUICK}");
    let checked = std::panic::catch_unwind(|| {
        folder.succeed(&line("a.csv"));
        let before = folder.results("disk/out").unwrap();
        let filler = File::create(disk.join("filler")).unwrap();
        let mut out = std::io::BufWriter::new(&filler);
        while out.write_all(&[7; 1 << 12]).and_then(|()| out.flush()).is_ok() {}
        drop(out.into_parts());
        // An open file keeps its space.
        drop(filler);
        let output = folder.output(&line("b.csv"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("No space left on device"), "{said}");
        assert_eq!(folder.results("disk/out").unwrap(), before);
        fs::remove_file(disk.join("filler")).unwrap();
        folder.succeed(&line("b.csv"));
        assert_ne!(folder.results("disk/out").unwrap(), before);
    });
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    checked.unwrap();
}

#[test]
fn a_folder_that_can_not_be_written_is_an_error_that_names_it() {
    let folder = Folder::new();
    folder.succeed(&format!("run --input a.csv --output out --report out/report.html {QUICK}"));
    let before = folder.results("out").unwrap();
    for (path, mode) in [("out", 0o555), ("", 0o755)] {
        fs::set_permissions(folder.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = folder.command(&format!("run --input b.csv --output out --report out/report.html {QUICK}"));
    if fs::write(folder.path("out/probe"), "").is_ok() {
        // Permissions do not hold for the user of this test: let somebody else do it.
        fs::remove_file(folder.path("out/probe")).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = match command.stderr(Stdio::piped()).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: no other user can run the program: {error}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("out") && said.contains("Permission denied"), "{said}");
    assert_eq!(folder.results("out").unwrap(), before);
    fs::set_permissions(folder.path("out"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(folder.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn two_runs_at_the_same_time_leave_the_results_of_one() {
    let folder = Folder::new();
    let line = |table: &str, out: &str| {
        format!("run --input {table} --output {out} --report {out}/report.html --model {out}.model {QUICK}")
    };
    let mut right = Vec::new();
    for table in ["a.csv", "b.csv"] {
        folder.succeed(&line(table, "alone"));
        right.push(folder.results("alone").unwrap());
    }
    for _ in 0..3 {
        let runs: Vec<_> =
            ["a.csv", "b.csv", "a.csv"].iter().map(|t| folder.command(&line(t, "out")).spawn().unwrap()).collect();
        for mut run in runs {
            assert!(run.wait().unwrap().success());
        }
        assert!(right.contains(&folder.results("out").unwrap()));
        assert_eq!(folder.leftovers(), Vec::<PathBuf>::new());
    }
}
