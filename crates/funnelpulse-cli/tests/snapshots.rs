//! The texts of the command, as files in `tests/snapshots`: help of every command, and what the main ones
//! print. After a change that is meant:
//!
//! `FUNNELPULSE_SNAPSHOTS=update cargo test -p funnelpulse-cli --test snapshots`

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Set to `update` the texts are written instead of compared.
const UPDATE: &str = "FUNNELPULSE_SNAPSHOTS";

fn snapshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// Compares a text with the file of that name. Returns what is wrong.
fn compare(name: &str, text: &str) -> Option<String> {
    let path = snapshots().join(name);
    if std::env::var(UPDATE).is_ok_and(|value| value == "update") {
        fs::create_dir_all(snapshots()).unwrap();
        fs::write(path, text).unwrap();
        return None;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = |(a, b): &(&str, &str)| a != b;
    let first = expected.lines().chain([""]).zip(text.lines().chain([""])).find(differs);
    (expected != text).then(|| format!("{name}: {first:?}"))
}

fn assert_same(texts: &[(String, String)]) {
    let wrong: Vec<String> = texts.iter().filter_map(|(name, text)| compare(name, text)).collect();
    assert!(wrong.is_empty(), "{}\nIf that is meant: {UPDATE}=update", wrong.join("\n"));
}

/// What a command prints on both streams.
fn printed(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_funnelpulse"));
    // The width of lines must not depend on the terminal.
    let output = command.current_dir(folder).args(words).env("COLUMNS", "100").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let lines = text(&output.stdout) + &text(&output.stderr);
    let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<&str> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines.filter(|l| l.starts_with("  ") && !l.starts_with("   ")).filter_map(|l| l.split_whitespace().next()).collect()
}

#[test]
fn the_help_of_every_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let main = printed(folder, &["--help"]);
    let mut texts = Vec::new();
    for command in commands(&main).into_iter().filter(|command| *command != "help") {
        let help = printed(folder, &[command, "--help"]);
        for action in commands(&help).into_iter().filter(|action| *action != "help") {
            texts.push((format!("help-{command}-{action}.txt"), printed(folder, &[command, action, "--help"])));
        }
        texts.push((format!("help-{command}.txt"), help));
    }
    assert!(texts.len() >= 18, "{} commands", texts.len());
    texts.push(("help.txt".to_owned(), main));
    // A command that is gone leaves no text behind.
    let names: Vec<&String> = texts.iter().map(|(name, _)| name).collect();
    for entry in fs::read_dir(snapshots()).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let is_known = names.contains(&&name) || !name.starts_with("help");
        assert!(is_known, "{name} is the help of no command");
    }
    assert_same(&texts);
}

/// Ten days of two brands, one of which sells nothing for some hours.
fn table() -> String {
    let mut text = "window_start,brand,views,carts,purchases,revenue\n".to_owned();
    for hour in 0..240_usize {
        for brand in ["acme", "globex"] {
            let views = 200 + 40 * (hour % 24) + (hour * 7919 + brand.len()) % 23;
            let is_out = brand == "acme" && (200..204).contains(&hour);
            let purchases = if is_out { 0 } else { views / 12 + hour % 3 };
            let (day, of_day, carts) = (1 + hour / 24, hour % 24, views / 4);
            let time = format!("2019-10-{day:02}T{of_day:02}:00:00Z");
            writeln!(text, "{time},{brand},{views},{carts},{purchases},{}.5", 20 * purchases).unwrap();
        }
    }
    text
}

/// With the detector whose arithmetic changes least: these are texts, not results.
const SETTINGS: [&str; 4] = ["--set", "pipeline.detectors=[\"zscore\"]", "--set", "pipeline.min_rows=100"];

#[test]
fn what_the_main_commands_print() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("in.csv"), table()).unwrap();
    fs::write(folder.join("labels.csv"), "series,label\nacme,0\nacme,1\nacme,0\n").unwrap();
    fs::write(folder.join("scores.csv"), "series,row,score\nacme,0,1\nacme,1,3\nacme,2,2\n").unwrap();
    fs::write(
        folder.join("alerts.toml"),
        "state = 'state.json'\n[[sinks]]\nkind = 'webhook'\nurl = 'https://hooks.example.org/T0/x'\nformat = 'slack'\n",
    )
    .unwrap();
    let mut texts = Vec::new();
    let mut show = |name: &str, words: &[&str]| {
        texts.push((format!("{name}.txt"), format!("$ funnelpulse {}\n{}", words.join(" "), printed(folder, words))));
    };
    show(
        "run",
        &[&["run", "--input", "in.csv", "--output", "out", "--report", "out/report.html"][..], &SETTINGS].concat(),
    );
    show("train", &[&["train", "--input", "in.csv", "--model", "model"][..], &SETTINGS].concat());
    show("detect", &["detect", "--model", "model", "--input", "in.csv", "--output", "found", "--top", "1"]);
    show(
        "explain",
        &["explain", "--model", "model", "--input", "in.csv", "--series", "acme", "--time", "2019-10-09T09:00:00Z"],
    );
    show(
        "score",
        &["score", "--detector", "zscore", "--input", "in.csv", "--series-column", "brand", "--output", "s.csv"],
    );
    show("eval", &["eval", "--labels", "labels.csv", "--scores", "scores.csv", "--window", "1"]);
    show("alerts-check", &["alerts", "check", "--alerts", "alerts.toml"]);
    show("config-check", &["config", "check"]);
    show("unknown-command", &["runn"]);
    show("unknown-setting", &["config", "check", "--set", "iforest.n_tree=5"]);
    show("no-such-file", &["run", "--input", "absent.csv", "--output", "out"]);
    show(
        "no-such-column",
        &["score", "--detector", "zscore", "--input", "in.csv", "--columns", "x", "--output", "s.csv"],
    );
    let report = fs::read_to_string(folder.join("out/report.html")).unwrap();
    texts.push(("report.txt".to_owned(), visible(&report)));
    assert_same(&texts);
}

/// The texts of a page without its scripts, styles and pictures, one to a line.
fn visible(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let line = rest[..start].split_whitespace().collect::<Vec<_>>().join(" ");
        if !line.is_empty() {
            text += &(line + "\n");
        }
        rest = &rest[start..];
        for hidden in ["script", "style", "svg"] {
            if rest[1..].starts_with(hidden) {
                let end = format!("</{hidden}>");
                rest = rest.find(&end).map_or("", |at| &rest[at..]);
            }
        }
        rest = rest.find('>').map_or("", |at| &rest[at + 1..]);
    }
    text
}
