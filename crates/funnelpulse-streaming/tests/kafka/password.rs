//! A password: read from and written to a real broker that wants one.

use std::path::{Path, PathBuf};

use funnelpulse_alerts::Secret;
use funnelpulse_core::Timestamp;
use funnelpulse_features::EventSpec;
use funnelpulse_io::ReadOptions;
use funnelpulse_streaming::{
    CheckpointStore, Engine, EngineConfig, GoldRows, KafkaConfig, KafkaMessages, KafkaSink, KafkaSource, Runner,
    RunnerConfig,
};
use rdkafka::Message;

use super::{PARTITIONS, START, broker::Broker, clients, now};

/// The settings of a broker with a second listener.
fn settings(folder: &Path, port: u16) -> PathBuf {
    let path = folder.join("settings");
    let (controller, secure) = (port + 1, port + 2);
    let text = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_PLAINTEXT://127.0.0.1:{secure}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{secure}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
         required user_shop=\"right\";\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn config(broker: &Broker, topic: &str, password: Secret) -> KafkaConfig {
    let mut config = KafkaConfig { group: "secure".into(), ..KafkaConfig::new(broker.secure_servers(), topic) };
    let settings = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.username", "shop")];
    config.properties = settings.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
    config.properties.insert("sasl.password".to_owned(), password);
    config
}

#[test]
fn a_broker_that_wants_a_password_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let started = Broker::start_with(folder.path(), |broker| Some(settings(folder.path(), broker.port())));
    let broker = match started {
        Ok(broker) => broker,
        Err(reason) => return println!("skipped: no Kafka broker here: {reason}"),
    };
    broker.create_topic("numbers", PARTITIONS);
    broker.create_topic("copies", 1);
    let right = |topic: &str| config(&broker, topic, Secret::new("right"));

    let mut messages = KafkaMessages::new(&right("numbers")).unwrap();
    for n in 0..20 {
        let time = START + n;
        let value = format!(r#"{{"event_time":{time},"event_type":"view","brand":"a","user_id":"{n}"}}"#);
        messages.send("a", value.as_bytes()).unwrap();
    }
    messages.flush().unwrap();
    let spec = EventSpec::default();
    let mut runner = Runner::new(
        KafkaSource::new(&right("numbers"), &spec, &ReadOptions::default()).unwrap().bounded(),
        Engine::new(&spec, EngineConfig::new(0)).unwrap(),
        GoldRows::new(vec!["brand".into()]),
        KafkaSink::new(&right("copies"), vec!["brand".into()], None).unwrap(),
        CheckpointStore::open(folder.path().join("checkpoints").to_str().unwrap()).unwrap(),
        RunnerConfig { flush: true, ..RunnerConfig::default() },
    )
    .unwrap();
    let metrics = runner.run(&false.into(), now).unwrap();
    assert_eq!((metrics.account.counted, metrics.rows), (20, 1));
    let consumer = clients::committed(&broker.servers(), "copies");
    let message = consumer.poll(std::time::Duration::from_secs(30)).unwrap().unwrap();
    let row: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
    assert_eq!((&row["views"], row["window_start"].is_string()), (&20.0.into(), true), "{row}");
    assert!(Timestamp::from_seconds(START as i64).to_string().starts_with("2019-10-01"));

    // What is wrong is said, and no secret with it.
    let refused = |config: &KafkaConfig| {
        let error = KafkaSource::new(config, &spec, &ReadOptions::default()).unwrap_err().to_string();
        let shown = format!("{config:?} {error}");
        assert!(!shown.contains("wrong-password"), "{shown}");
        error
    };
    let error = refused(&config(&broker, "numbers", Secret::new("wrong-password")));
    assert!(error.contains("uthentication"), "{error}");
    let error = refused(&config(&broker, "numbers", Secret::from_env("FUNNELPULSE_NOT_SET")));
    assert!(error.ends_with("environment variable FUNNELPULSE_NOT_SET is not set (or not text)"), "{error}");
}
