//! No place but the catalog, and the crate of the detector itself, knows a detector by its name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use funnelpulse_pipeline::Catalog;

/// Sources of the workspace, tests left out.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "tests" | "target" | "golden" | "examples" | "benches") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The lines of code before the tests of a file, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(i, line)| (i + 1, line))
}

#[test]
fn no_detector_is_known_by_name_outside_the_catalog() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/");
    let mut files = Vec::new();
    sources(crates, &mut files);
    assert!(files.len() > 200, "the sources lie beside this crate");
    let names: Vec<&str> = Catalog::default().names().collect();
    let mut elsewhere = Vec::new();
    for file in files {
        let relative = file.strip_prefix(crates).expect("below crates/").to_string_lossy().replace('\\', "/");
        if relative.starts_with("funnelpulse-pipeline/src/catalog/") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in code(&text) {
            for name in &names {
                // Its own crate names it; cargo features are not detectors.
                let own = relative.starts_with(&format!("funnelpulse-{name}/"))
                    || *name == "zscore" && relative.starts_with("funnelpulse-baseline/");
                let feature = line.contains("feature = \"");
                let allowed = ALLOWED.iter().any(|(file, part)| relative == *file && line.contains(part));
                if line.contains(&format!("\"{name}\"")) && !own && !feature && !allowed {
                    elsewhere.push(format!("{relative}:{number}: {}", line.trim()));
                }
            }
        }
    }
    assert!(elsewhere.is_empty(), "known by name:\n{}", elsewhere.join("\n"));
}

/// The same word with another meaning: a type of anomaly, a feature column, a column of labels, a line of text.
const ALLOWED: [(&str, &str); 6] = [
    ("funnelpulse-eval/src/bench/layout/table.rs", "\"changepoint\","),
    ("funnelpulse-core/src/verdict.rs", "Self::Changepoint => \"changepoint\""),
    ("funnelpulse-features/src/engineer/statistical.rs", "SUFFIXES"),
    ("funnelpulse-cli/src/commands/compare.rs", "line(&mut text, \"incidents\""),
    ("funnelpulse-cli/src/output/findings.rs", "\"incident\", \"incidents\""),
    ("funnelpulse-alerts/src/service/check.rs", "\"incident\", \"incidents\""),
];
