//! Checkpoint files: equal bytes, damage, disks that are full.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::fs;

use funnelpulse_core::Timestamp;
use funnelpulse_features::{Event, EventSpec};
use funnelpulse_streaming::{
    Checkpoint, CheckpointStore, Engine, EngineConfig, FileFormat, FileSink, GoldRows, MemorySource, Positions, Runner,
    RunnerConfig,
};

fn engine_with(order: &[i64]) -> Engine {
    let mut engine = Engine::new(&EventSpec::default(), EngineConfig::new(3_600)).unwrap();
    let partition = engine.assign("p", None);
    for i in order {
        let (brand, user) = (format!("brand{}", i % 7), i.to_string());
        let event = Event {
            time: Timestamp::from_seconds(1_569_888_000 + i),
            event_type: "view",
            keys: &[Some(&brand)],
            product: None,
            user: Some(&user),
            session: None,
            price: None,
        };
        engine.push(partition, &event);
    }
    engine
}

fn checkpoint(mut engine: Engine) -> Checkpoint {
    let (positions, operator, alerts) = (Positions::new(), Vec::new(), Vec::new());
    Checkpoint { epoch: 7, positions, engine: engine.state(), operator, model: "m".into(), next_model: None, alerts }
}

#[test]
fn equal_states_are_equal_bytes() {
    let forth: Vec<i64> = (0..500).collect();
    let mut back = forth.clone();
    back[..497].reverse();
    let bytes = |order: &[i64]| checkpoint(engine_with(order)).to_bytes().unwrap();
    assert_eq!(bytes(&forth), bytes(&back));
}

#[test]
fn damaged_checkpoints_are_errors() {
    let good = checkpoint(engine_with(&(0..50).collect::<Vec<_>>())).to_bytes().unwrap();
    assert!(Checkpoint::from_bytes(&good, "x").is_ok());
    for length in 0..good.len() {
        assert!(Checkpoint::from_bytes(&good[..length], "x").is_err(), "cut to {length}");
    }
    for place in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[place] ^= 0x55;
        let error = Checkpoint::from_bytes(&bad, "folder/7.ckpt").unwrap_err().to_string();
        assert!(error.starts_with("folder/7.ckpt: "), "{error}");
    }
}

fn start(folder: &std::path::Path) -> Result<Runner<MemorySource, GoldRows, FileSink>, String> {
    let runner = Runner::new(
        MemorySource::new(vec![Vec::new()], 10),
        Engine::new(&EventSpec::default(), EngineConfig::new(0)).unwrap(),
        GoldRows::new(vec!["brand".into()]),
        FileSink::new(&folder.join("out"), FileFormat::Parquet, "task-0").map_err(|e| e.to_string())?,
        CheckpointStore::open(folder.to_str().unwrap()).unwrap(),
        RunnerConfig::default(),
    );
    runner.map_err(|e| e.to_string())
}

#[test]
fn torn_manifests_and_missing_states_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path().to_str().unwrap()).unwrap();
    let (name, _) = store.put("task-0", &checkpoint(engine_with(&[1, 2, 3]))).unwrap();
    store.commit(7, [("task-0".to_owned(), name.clone())].into(), Vec::new(), "m", None).unwrap();
    assert_eq!(store.latest().unwrap().unwrap().epoch, 7);
    let text = start(folder.path()).err();
    // The engine of this run has other windows than none, but the same settings: it goes on.
    assert_eq!(text, None);
    let manifest = folder.path().join("manifest/0000000007.json");
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    let error = start(folder.path()).unwrap_err();
    assert!(error.contains("manifest/0000000007.json: not a manifest"), "{error}");
    fs::write(&manifest, &whole).unwrap();
    fs::write(folder.path().join(&name), b"\x89FPULSE\nnot a checkpoint").unwrap();
    assert!(start(folder.path()).unwrap_err().contains(&name));
    fs::remove_file(folder.path().join(&name)).unwrap();
    let error = start(folder.path()).unwrap_err();
    assert!(error.contains("checkpoints in") && error.contains("not found"), "{error}");
}

#[test]
fn other_settings_than_those_of_the_checkpoint_are_refused() {
    let state = engine_with(&[1]).state();
    let config = EngineConfig { window_seconds: 60, ..EngineConfig::new(0) };
    let mut other = Engine::new(&EventSpec::default(), config).unwrap();
    let error = other.restore(state).unwrap_err().to_string();
    assert_eq!(
        error,
        "the checkpoint was made with window_seconds = 3600, this run has 60; use the old settings or a new folder"
    );
}

#[test]
fn old_epochs_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(folder.path().to_str().unwrap()).unwrap();
    for epoch in 1..=9 {
        let saved = Checkpoint { epoch, ..checkpoint(engine_with(&[1])) };
        let (name, _) = store.put("task-0", &saved).unwrap();
        store.commit(epoch, [("task-0".to_owned(), name)].into(), Vec::new(), "", None).unwrap();
        store.clean(epoch).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path().join("manifest")).unwrap().count(), 3);
    assert_eq!(store.latest().unwrap().unwrap().epoch, 9);
}

#[test]
fn bad_addresses_are_refused() {
    let error = CheckpointStore::open("ftp://somewhere").unwrap_err().to_string();
    assert!(error.starts_with("checkpoints = ftp://somewhere is not allowed: a folder, or s3://"), "{error}");
}

/// A device on which every write fails for lack of space.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    use funnelpulse_streaming::{Channel, Sink};
    let folder = tempfile::tempdir().unwrap();
    let mut sink = FileSink::new(folder.path(), FileFormat::JsonLines, "task-0").unwrap();
    sink.recover(&[]).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("_pending/rows-task-0.draft")).unwrap();
    let columns =
        [("views", std::sync::Arc::new(arrow::array::Int64Array::from(vec![1; 10])) as arrow::array::ArrayRef)];
    let rows = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
    sink.write(Channel::Rows, &rows).unwrap();
    let error = sink.prepare(1).unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
}
