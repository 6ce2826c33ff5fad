//! `stream --config`: settings in a file, several sites in one process.

use std::fs;

use predicates::str::contains;
use serde_json::Value;

use crate::operations::{get, number, rows, shop, stop, wait_for};

#[test]
fn a_file_has_the_settings_and_the_command_line_counts_before_it() {
    let folder = shop();
    let file = "model = 'model'\ninput = 'feed.jsonl'\noutput = 'out'\nformat = 'jsonl'\nlateness = 7200\n\
                [retrain]\nevery_hours = 24\nleast_days = 7\n";
    folder.write("stream.toml", file);
    folder.output("stream --config stream.toml --lateness 600 --output named");
    folder.output("stream --model model --input feed.jsonl --output plain --format jsonl --lateness 600");
    assert!(!folder.path("out").exists());
    assert_eq!(rows(&folder, "named").len(), rows(&folder, "plain").len());
    for (text, message) in [
        ("inputs = 'x'", "unknown field `inputs`"),
        ("model = 'model'\ninput = 'feed.jsonl'\nlateness = 1", "`output` is missing"),
        ("lateness = 'long'", "lateness: "),
        ("name = 'de'", "only sections [[site]] have one"),
        ("site = 3", "expected sections [[site]]"),
        ("[[site]]\nmodel = 'model'", "each site needs a `name`"),
        ("[[site]]\nname = 'a/b'", "letters, digits, - and _"),
        (
            "retrain = { every_hours = 0 }\nmodel = 'm'\ninput = 'i'\noutput = 'o'\nlateness = 1",
            "retrain.every_hours = 0",
        ),
        ("retrain = { hours = 1 }", "unknown field `hours`"),
        ("early = 300\nmodel = 'm'\ninput = 'i'\noutput = 'o'\nlateness = 1", "`early` needs `alerts`"),
    ] {
        folder.write("bad.toml", text);
        folder.refuses("stream --config bad.toml", message);
    }
    folder.refuses("stream --config missing.toml", "missing.toml");
    let site = |name: &str, output: &str| {
        format!("[[site]]\nname = '{name}'\nmodel = 'model'\ninput = 'feed.jsonl'\noutput = '{output}'\nlateness = 1\n")
    };
    folder.write("twins.toml", site("a", "x") + &site("a", "y"));
    folder.refuses("stream --config twins.toml", "two sites have this name");
    folder.write("shared.toml", site("a", "x") + &site("b", "x"));
    folder.refuses("stream --config shared.toml", "x belongs to another site");
}

#[test]
fn sites_have_their_own_results_and_one_that_fails_stops_none() {
    let folder = shop();
    let file = "lateness = 600\nformat = 'jsonl'\nmodel = 'model'\ninput = 'feed.jsonl'\n\
                [[site]]\nname = 'de'\noutput = 'out-de'\n\
                [[site]]\nname = 'fr'\noutput = 'out-fr'\nmodel = 'missing'\n\
                [[site]]\nname = 'us'\noutput = 'out-us'\nlateness = 0\n";
    folder.write("stream.toml", file);
    let run = folder.run("stream --config stream.toml --json").code(1).stderr(contains("site fr: missing"));
    let counts: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert!(counts["fr"]["error"].as_str().unwrap().contains("missing"), "{counts}");
    folder.output("stream --model model --input feed.jsonl --output plain --format jsonl --lateness 600");
    assert_eq!(rows(&folder, "out-de"), rows(&folder, "plain"));
    assert_eq!(counts["us"]["windows"], counts["de"]["windows"]);
    assert!(!rows(&folder, "out-us").is_empty() && !folder.path("out-fr").exists());
    folder.write("two.toml", file.replace("'missing'", "'model'"));
    let sizes = folder.output("stream --config two.toml --estimate 1000 --json");
    let sizes: Value = serde_json::from_str(&sizes).unwrap();
    assert!(sizes["de"]["total_bytes"].as_u64().unwrap() > 0);
}

#[cfg(unix)]
#[test]
fn a_site_that_fails_is_started_again() {
    let folder = shop();
    fs::create_dir(folder.path("new")).unwrap();
    let file = "lateness = 600\nformat = 'jsonl'\nmodel = 'model'\nfollow = true\ncheckpoint_seconds = 1\n\
                status = '127.0.0.1:0'\n\
                [[site]]\nname = 'de'\ninput = 'new'\noutput = 'out-de'\n\
                [[site]]\nname = 'fr'\ninput = 'later'\noutput = 'out-fr'\n";
    folder.write("stream.toml", file);
    let (child, address) = crate::operations::started(&folder, "stream --config stream.toml");
    let answer = wait_for(&address, "/readyz", "site fr: later");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    wait_for(&address, "/metrics", "funnelpulse_ready{site=\"de\"} 1");
    // Whole at once: a file that grows is read as it is.
    let deliver = |place: &str| {
        fs::copy(folder.path("feed.jsonl"), folder.path("copy")).unwrap();
        fs::rename(folder.path("copy"), folder.path(place)).unwrap();
    };
    deliver("new/a.jsonl");
    let metrics = wait_for(&address, "/metrics", "funnelpulse_epoch{site=\"de\"} 1");
    assert!(number(&metrics, "funnelpulse_records_total{site=\"de\",fate=\"counted\"}") > 100.0, "{metrics}");
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    // What it waited for comes: it goes on by itself.
    fs::create_dir(folder.path("later")).unwrap();
    deliver("later/a.jsonl");
    wait_for(&address, "/metrics", "funnelpulse_epoch{site=\"fr\"} 1");
    wait_for(&address, "/readyz", "200 OK");
    let events = folder.text("feed.jsonl").lines().count();
    for site in ["de", "fr"] {
        let all = format!("funnelpulse_records_total{{site=\"{site}\",fate=\"read\"}} {events}");
        wait_for(&address, "/metrics", &all);
    }
    let counts = stop(child);
    assert!(counts.contains("site de: ") && counts.contains("site fr: "), "{counts}");
    assert_eq!(rows(&folder, "out-de"), rows(&folder, "out-fr"));
}

#[test]
fn a_setting_is_named_by_its_flag() {
    let folder = shop();
    folder.write("alerts.toml", "state = 'state.json'\n[[sinks]]\nkind = 'json_lines'\npath = 'alerts.jsonl'\n");
    let line = "stream --model model --input feed.jsonl --lateness 600 --output out";
    folder
        .run(&format!("{line} --alerts alerts.toml --early 7"))
        .code(1)
        .stderr(contains("--early (setting `early`) = 7 is not allowed: a divisor of the length of a window"));
    folder.output(&format!("{line} --alerts alerts.toml --early 300"));
    let other = "the checkpoint was made with --early (setting `early`) = 300, this run has none";
    folder.run(line).code(1).stderr(contains(other));
}
