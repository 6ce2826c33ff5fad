#![doc = include_str!("../README.md")]

mod checkpoint;
mod decode;
mod detection;
mod engine;
mod error;
mod operator;
mod runner;
mod sink;
mod source;
mod status;

pub use checkpoint::{Checkpoint, CheckpointStore, Manifest, NextModel};
pub use decode::TextFormat;
pub use detection::{LiveDetection, RetrainConfig};
pub use engine::{
    Account, ClosedWindow, Engine, EngineConfig, EngineState, Fate, GOLD_COLUMNS, PartitionIndex, Refusal, Signal,
    WindowKind, WindowRow, gold_batch,
};
pub use error::StreamError;
pub use operator::{Alert, GoldRows, ModelStatus, Models, Operator, Output};
pub use runner::{Deliver, Metrics, NoAlerts, PartitionStatus, Runner, RunnerConfig, Step, WINDOW_SECONDS};
pub use sink::{Channel, Commit, FileFormat, FileSink, MemorySink, Sink, WriterSink};
pub use source::{
    FolderSource, Group, Input, MemoryRecord, MemorySource, PipeSource, Polled, Position, Positions, Reading, Source,
};
pub use status::Status;
#[cfg(feature = "status")]
pub use status::StatusServer;

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod windows;
#[cfg(feature = "kafka")]
pub use kafka::KafkaConfig;
#[cfg(feature = "kafka")]
pub use sink::{KafkaMessages, KafkaSink};
#[cfg(feature = "kafka")]
pub use source::KafkaSource;
#[cfg(feature = "kafka")]
pub use windows::{WindowStage, WindowStageConfig};
