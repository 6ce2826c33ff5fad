"""A real broker: a stream that is killed and restarted writes the table of an undisturbed one."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from conftest import kafka_jars
from funnelpulse.spark import create_pipeline, create_realtime_detector
from shop import events, same_bits
from test_streaming import TRAINING, written

BROKER = pathlib.Path(__file__).parents[4] / "examples/stream-kafka/broker.sh"
LIBS = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "funnelpulse/kafka-libs"
HERE = pathlib.Path(__file__).parent
TOPIC = "events"
#: Seconds after which the test gives up.
PATIENCE = 120


def free_port() -> int:
    """A port whose successor is free too: the broker's controller takes that one."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if kafka_jars() is None or (shutil.which("mvn") is None and not (LIBS / ".complete").exists()):
        pytest.skip("Kafka's jars are not here, and Maven can't fetch them")
    port = free_port()
    started = subprocess.run(
        [BROKER, tmp_path_factory.mktemp("kafka"), str(port)], stdout=subprocess.PIPE, text=True, check=False
    )
    if started.returncode != 0:
        pytest.skip("the broker does not start")
    yield f"127.0.0.1:{port}"
    os.kill(int(started.stdout), signal.SIGKILL)


def tool(name: str, *args: str, **more: Any) -> None:
    """A command of Kafka."""
    subprocess.run(["java", "-cp", f"{LIBS}/*", f"org.apache.kafka.tools.{name}", *args], check=True, **more)


def send(broker: str, rows: pd.DataFrame) -> None:
    times = rows["event_time"].dt.strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = rows.assign(event_time=times).to_json(orient="records", lines=True)
    text = "not json\n" + lines
    tool(
        "ConsoleProducer",
        "--bootstrap-server",
        broker,
        "--topic",
        TOPIC,
        input=text,
        text=True,
        stdout=subprocess.DEVNULL,
    )


def test_a_killed_stream_goes_on_where_it_was(spark: Any, broker: str, tmp_path: pathlib.Path) -> None:
    rows = events(TRAINING + 12)
    start = rows["event_time"].min().floor("h") + pd.Timedelta(hours=TRAINING)
    pipeline = create_pipeline(spark)
    pipeline.train(spark.createDataFrame(rows[rows["event_time"] < start]))
    pipeline.save_models(str(tmp_path / "models"))
    tool(
        "TopicCommand",
        "--bootstrap-server",
        broker,
        "--create",
        "--topic",
        TOPIC,
        "--partitions",
        "1",
        stdout=subprocess.DEVNULL,
    )
    later = rows[rows["event_time"] >= start]
    send(broker, later)
    settings = {
        "kafka_bootstrap_servers": broker,
        "kafka_topic_input": TOPIC,
        "starting_offsets": "earliest",
        "max_offsets_per_trigger": len(later) // 5,
        "model_path": str(tmp_path / "models"),
        "trigger_interval": "available now",
    }
    calm = {**settings, "checkpoint_location": str(tmp_path / "calm-checkpoint")}
    query = create_realtime_detector(spark, calm).start_streaming_pipeline("kafka", output_path=str(tmp_path / "calm"))
    query.awaitTermination()
    expected = written(tmp_path / "calm")
    assert expected["window_start"].nunique() >= 10

    killed = {**settings, "checkpoint_location": str(tmp_path / "killed-checkpoint")}
    out = tmp_path / "killed"
    command = [sys.executable, str(HERE / "follow.py"), json.dumps(killed), str(out)]
    process = subprocess.Popen(command, cwd=HERE, start_new_session=True)
    until = time.monotonic() + PATIENCE
    while len(list(out.glob("batch=*"))) < 2 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    # The whole group: the process, its JVM and its workers.
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(list(out.glob("batch=*/_SUCCESS")))
    assert done < len(list((tmp_path / "calm").glob("batch=*/_SUCCESS")))
    subprocess.run(command, cwd=HERE, check=True, timeout=PATIENCE)
    found = written(out)
    columns = ["brand", "views", "revenue", "revision", "final", "ensemble_anomaly_score", "incident_anomaly_score"]
    same_bits(found, expected, columns)
    assert found["window_start"].tolist() == expected["window_start"].tolist()
