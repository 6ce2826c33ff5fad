#!/usr/bin/env bash
# `cargo add` of one detector in a project of one's own, without and with model files: compiled, run, its crates counted.
# docs/users/one-detector.sh
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
# What it is today; more need a reason.
at_most() {
    crates=$(cargo tree -p funnelpulse-iforest -e normal --prefix none | sed 's/ (\*)$//' | sort -u | wc -l)
    echo "one-detector: $crates crates, at most $1"
    [ "$crates" -le "$1" ]
}

cargo init --quiet --name one-detector
cargo add --quiet --path "$root/crates/funnelpulse-iforest" --no-default-features
# The versions that the project is tested with.
cp "$root/Cargo.lock" .
cat >src/main.rs <<'EOF'
use funnelpulse_iforest::{
    IsolationForest, IsolationForestConfig,
    core::{DetectorExt, FittedExt},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let latency: Vec<f64> = (0..500).map(|i| 100.0 + f64::from(i * 7919 % 13)).chain([900.0]).collect();
    let model = IsolationForest::new(IsolationForestConfig::standard())?.fit_data(&latency)?;
    let scores = model.scores(&[105.0, 900.0])?;
    println!("105 scores {:.3}, 900 scores {:.3}", scores[0], scores[1]);
    assert!(scores[1] > scores[0]);
    Ok(())
}
EOF
cargo run --quiet
at_most 24

cargo add --quiet --path "$root/crates/funnelpulse-iforest" --features model-files
cat >src/main.rs <<'EOF'
use funnelpulse_iforest::{
    IsolationForest, IsolationForestConfig, IsolationForestModel,
    core::{DetectorExt, FittedExt, ModelFile},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let latency: Vec<f64> = (0..500).map(|i| 100.0 + f64::from(i * 7919 % 13)).chain([900.0]).collect();
    let forest = IsolationForest::new(IsolationForestConfig::standard())?;
    let odd = forest.fit_predict(&latency, 0.005)?;
    println!("odd rows: {:?}", (0..odd.len()).filter(|&row| odd[row]).collect::<Vec<_>>());

    forest.fit_data(&latency)?.save("latency.model")?;
    let scores = IsolationForestModel::load("latency.model")?.scores(&[105.0, 900.0])?;
    println!("105 scores {:.3}, 900 scores {:.3}", scores[0], scores[1]);
    assert!(odd[500] && scores[1] > scores[0]);
    Ok(())
}
EOF
cargo run --quiet
at_most 28
echo "one-detector: done in $SECONDS seconds"
