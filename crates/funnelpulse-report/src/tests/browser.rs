//! The page clicked through in headless Chromium, where there is one.

use std::{path::PathBuf, process::Command};

use funnelpulse_core::{Frame, Panel, Timestamp};

use super::{Report, config, frame, run};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser on the path, or the one that `CHROMIUM` names.
fn browser() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let files = std::env::split_paths(&path).flat_map(|folder| BROWSERS.map(|name| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// Clicks, and writes what it sees into the page, which the browser prints at the end.
const CLICKS: &str = include_str!("clicks.html");

#[test]
fn a_reader_picks_filters_follows_links_and_marks() {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium on the path, nor one that CHROMIUM names");
        return;
    };
    let names: Vec<String> = (0..14).map(|i| format!("brand {i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let config = config();
    let columns = config.input.columns();
    let mut panel = Panel::new(columns.clone());
    for (i, name) in names.iter().enumerate() {
        // Outliers at hours of their own, or they would all be one incident.
        let rows = frame(columns.clone(), 1_500 + 14).view().rows(i..1_500 + i).to_frame();
        let time = (0..1_500).map(|h| Timestamp::from_seconds(1_569_888_000 + 3_600 * h)).collect();
        panel.insert(*name, Frame::new(time, columns.clone(), rows.values().to_owned()).unwrap()).unwrap();
    }
    let page = Report::new(&run(config, &panel)).to_html().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, page.replace("</body>", CLICKS)).unwrap();
    for width in [1400, 400] {
        let printed = Command::new(&browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"])
            .args(["--virtual-time-budget=30000", &format!("--window-size={width},1000")])
            .arg(format!("--user-data-dir={}", folder.path().join(format!("profile-{width}")).display()))
            .arg(format!("file://{}", path.display()))
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&printed.stdout);
        let seen = dom.rsplit_once("<pre id=\"seen\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let Some((seen, _)) = seen else {
            panic!("the browser printed no result: {}", String::from_utf8_lossy(&printed.stderr));
        };
        let seen: serde_json::Value = serde_json::from_str(&seen.replace("&amp;", "&")).unwrap_or_else(|_| seen.into());
        assert_eq!((&seen["timelines"], &seen["first"]), (&14.into(), &6.into()), "{seen}");
        for step in [
            "drawn",
            "bands",
            "picked",
            "next",
            "gains_last",
            "losses",
            "latest",
            "search",
            "severity",
            "cards",
            "link",
            "wide",
        ] {
            assert_eq!(seen[step], true, "{width} pixels, {step}: {seen}");
        }
        let answers = seen["answers"].as_str().unwrap();
        let lines: Vec<&str> = answers.lines().collect();
        assert_eq!(lines[0], "series,start,end,verdict");
        assert!(lines.len() >= 3 && answers.contains("Z,incident") && answers.contains("Z,false_alarm"), "{answers}");
    }
}
