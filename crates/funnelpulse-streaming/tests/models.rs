//! Models of a stream: a restart uses those that the checkpoint names, from the windows on that it names.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use funnelpulse_core::{Panel, Timestamp};
use funnelpulse_eval::generator::{GeneratedFunnel, GeneratorConfig};
use funnelpulse_features::EventSpec;
use funnelpulse_pipeline::{Catalog, Config, FittedPipeline, Pipeline};
use funnelpulse_streaming::{
    CheckpointStore, Engine, EngineConfig, FileFormat, FileSink, LiveDetection, Manifest, MemoryRecord, MemorySource,
    ModelStatus, RetrainConfig, Runner, RunnerConfig, Step,
};

const TRAINED_DAYS: usize = 10;
const DAYS: usize = 14;
/// Records per poll, and between two checkpoints: some hours of events, so that windows close between them.
const BATCH: usize = 50;
const PER_CHECKPOINT: u64 = 800;
/// The file of the model is replaced after so many steps.
const REPLACED_AT: usize = 40;
/// Longest wait for a training.
const PATIENCE: Duration = Duration::from_secs(120);

type Stream = Runner<MemorySource, LiveDetection, FileSink>;

fn shop() -> GeneratedFunnel {
    let config = GeneratorConfig { brands: 3, days: DAYS, seed: 7, quiet_days: 3, ..GeneratorConfig::default() };
    GeneratedFunnel::generate(&config).unwrap()
}

/// Every tenth event after the training.
fn records(shop: &GeneratedFunnel) -> Vec<MemoryRecord> {
    let start = shop.panel().iter().next().unwrap().1.time()[0];
    let since = start.offset(TRAINED_DAYS as i64 * Timestamp::DAY);
    let later = shop.raw_events().filter(|event| event.time >= since).step_by(10);
    later
        .map(|event| MemoryRecord::Event {
            time: event.time,
            event_type: event.event_type.into(),
            keys: vec![event.brand.as_deref().map(str::to_owned)],
            product: Some(event.product_id.to_string()),
            user: Some(event.user_id.to_string()),
            session: Some(event.session_uuid()),
            price: Some(event.price),
        })
        .collect()
}

/// A model of the days up to this one.
fn trained(shop: &GeneratedFunnel, days: usize) -> FittedPipeline {
    let toml = "pipeline.detectors = ['zscore', 'changepoint']";
    let config = Config::layers().toml(toml).unwrap().build().unwrap();
    let mut history = Panel::new(shop.panel().columns().clone());
    for (key, frame) in shop.panel() {
        history.insert(key.clone(), frame.view().rows(0..24 * days).to_frame()).unwrap();
    }
    Pipeline::builder().config(config).build().unwrap().fit(&history).unwrap()
}

/// Puts a model in the place of another, at a time that the file did not have before.
fn replace(path: &Path, model: &FittedPipeline, hour: u64) {
    model.save(path).unwrap();
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 3600 * hour)).unwrap();
}

/// A folder with a model, outputs and checkpoints, and the stream on them.
struct Place {
    folder: tempfile::TempDir,
    records: Vec<MemoryRecord>,
    retrain: Option<RetrainConfig>,
}

impl Place {
    fn new(records: &[MemoryRecord], model: &FittedPipeline) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), records: records.to_vec(), retrain: None };
        replace(&place.model(), model, 0);
        place
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("shop.model")
    }

    fn start(&self) -> Stream {
        let mut operator = LiveDetection::load(&self.model(), Catalog::default()).unwrap();
        if let Some(config) = self.retrain {
            operator = operator.with_training(config).unwrap();
        }
        Runner::new(
            MemorySource::new(vec![self.records.clone()], BATCH),
            Engine::new(&EventSpec::default(), EngineConfig::new(0)).unwrap(),
            operator,
            FileSink::new(&self.folder.path().join("out"), FileFormat::JsonLines, "task-0").unwrap(),
            CheckpointStore::open(self.folder.path().join("state").to_str().unwrap()).unwrap(),
            RunnerConfig {
                checkpoint_records: PER_CHECKPOINT,
                checkpoint_seconds: 3600.0,
                flush: true,
                ..Default::default()
            },
        )
        .unwrap()
    }

    /// Every row that was written, by file.
    fn output(&self) -> BTreeMap<String, String> {
        let files = fs::read_dir(self.folder.path().join("out")).unwrap().map(|entry| entry.unwrap());
        let files = files.filter(|entry| entry.path().extension().is_some_and(|e| e == "jsonl"));
        let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        files.map(|entry| (name(&entry), fs::read_to_string(entry.path()).unwrap())).collect()
    }

    fn manifest(&self) -> Manifest {
        let store = CheckpointStore::open(self.folder.path().join("state").to_str().unwrap()).unwrap();
        store.latest().unwrap().unwrap()
    }
}

fn step(stream: &mut Stream) -> Step {
    stream.step(Timestamp::from_seconds(1_600_000_000)).unwrap()
}

fn finish(stream: &mut Stream) {
    while step(stream) == Step::More {}
}

fn name(stream: &Stream) -> String {
    stream.metrics().model.name
}

#[test]
fn a_kill_between_a_swap_and_the_next_checkpoint_changes_nothing() {
    let shop = shop();
    let records = records(&shop);
    assert!(records.len() > 2 * REPLACED_AT * BATCH, "{} records", records.len());
    let (old, new, third) = (trained(&shop, TRAINED_DAYS), trained(&shop, 8), trained(&shop, 6));
    // Without a kill.
    let whole = Place::new(&records, &old);
    let mut stream = whole.start();
    for _ in 0..REPLACED_AT {
        step(&mut stream);
    }
    replace(&whole.model(), &new, 1);
    let before = name(&stream);
    finish(&mut stream);
    let after = name(&stream);
    assert_ne!(before, after);
    let expected = whole.output();
    assert!(expected.len() > 5);

    // With one right after the swap, and one between naming the model and using it.
    for kill_when_named in [false, true] {
        let place = Place::new(&records, &old);
        let mut stream = place.start();
        for _ in 0..REPLACED_AT {
            step(&mut stream);
        }
        replace(&place.model(), &new, 1);
        let is_time = |model: &ModelStatus| if kill_when_named { model.next.is_some() } else { model.name == after };
        while !is_time(&stream.metrics().model) {
            assert_eq!(step(&mut stream), Step::More);
        }
        drop(stream);
        let manifest = place.manifest();
        assert_eq!(manifest.model, before, "the last checkpoint is older than the swap");
        let next = manifest.next_model.unwrap();
        assert!(next.name == after && next.from.is_some(), "{next:?}");
        let mut stream = place.start();
        assert_eq!(stream.metrics().model.name, before, "the file has another one by now");
        finish(&mut stream);
        assert_eq!(name(&stream), after);
        assert_eq!(place.output(), expected, "kill when named: {kill_when_named}");
    }

    // A file that changed while nothing ran counts from the checkpoint after the restart on.
    let place = Place::new(&records, &old);
    let mut stream = place.start();
    while stream.metrics().epoch < 2 {
        step(&mut stream);
    }
    drop(stream);
    replace(&place.model(), &third, 2);
    let mut stream = place.start();
    assert_eq!(name(&stream), before);
    finish(&mut stream);
    let kept = stream.metrics();
    assert!(kept.model.name != before && kept.model.name != after && kept.model.problem.is_none());
    let first: Vec<_> = place.output().into_iter().take(2).collect();
    assert!(expected.iter().take(2).eq(first.iter().map(|(name, text)| (name, text))));
    let models = fs::read_dir(place.folder.path().join("state/model")).unwrap().count();
    assert_eq!(models, 1, "models that no checkpoint names are removed");
}

#[test]
fn a_model_is_trained_on_the_rows_of_the_stream_and_survives_a_restart() {
    let shop = shop();
    let old = trained(&shop, TRAINED_DAYS);
    let config = RetrainConfig { every_hours: 24, history_days: 7, least_days: 2, threads: 1 };
    let place = Place { retrain: Some(config), ..Place::new(&records(&shop), &old) };
    let mut stream = place.start();
    let (first, started) = (name(&stream), Instant::now());
    while name(&stream) == first {
        assert_eq!(step(&mut stream), Step::More, "{:?}", stream.metrics().model);
        assert!(started.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(stream.metrics().model.trained >= 1);
    let second = name(&stream);
    let epoch = stream.metrics().epoch;
    while stream.metrics().epoch == epoch {
        step(&mut stream);
    }
    drop(stream);
    assert_eq!(place.manifest().model, second);
    // The trained model, not that of the file.
    let mut stream = place.start();
    assert_eq!(name(&stream), second);
    step(&mut stream);
    let rows = stream.operator().live().model().series().map(|series| series.rows).max().unwrap();
    assert!(rows <= 24 * 7 + 1, "{rows} rows are more than a week");
}

#[test]
fn a_training_that_fails_leaves_the_model_in_use() {
    let shop = shop();
    let old = trained(&shop, TRAINED_DAYS);
    let config = RetrainConfig { every_hours: 1, history_days: 7, least_days: 1, threads: 1 };
    // A training needs more rows than a week has.
    let toml = "pipeline = { detectors = ['zscore'], min_rows = 200, min_fallback_rows = 190 }";
    let wants = Config::layers().toml(toml).unwrap().build().unwrap();
    let wants = Pipeline::builder().config(wants).build().unwrap().fit(shop.panel()).unwrap();
    let place = Place { retrain: Some(config), ..Place::new(&records(&shop), &old) };
    replace(&place.model(), &wants, 1);
    let mut stream = place.start();
    let (first, started) = (name(&stream), Instant::now());
    while stream.metrics().model.trainings_failed == 0 {
        assert_eq!(step(&mut stream), Step::More);
        assert!(started.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
    let model = stream.metrics().model;
    assert!(model.problem.as_ref().is_some_and(|problem| problem.starts_with("training: ")), "{model:?}");
    finish(&mut stream);
    assert_eq!(name(&stream), first, "it goes on");
    for (field, bad) in [
        ("every_hours", RetrainConfig { every_hours: 0, ..config }),
        ("history_days", RetrainConfig { history_days: 6, ..config }),
        ("least_days", RetrainConfig { least_days: 8, ..config }),
        ("threads", RetrainConfig { threads: 0, ..config }),
    ] {
        let operator = LiveDetection::load(&place.model(), Catalog::default()).unwrap();
        let error = operator.with_training(bad).unwrap_err().to_string();
        assert!(error.starts_with(&format!("retrain.{field} = ")), "{error}");
    }
}
