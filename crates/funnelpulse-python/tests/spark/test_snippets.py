"""The three examples of the original's README, as they are printed there, each in a process of its own.

`gs://` is a folder, `gcloud` hands its job to `spark-submit`, and the broker is where the original expects it.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from conftest import kafka_jars
from test_dataproc import JOB, environment, spark_submit, stub, tables, zip_old_package  # noqa: F401
from test_kafka import BROKER, LIBS

HERE_PYTHON = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
#: Seconds after which a test gives up.
PATIENCE = 180

BATCH = r"""
from pyspark.sql import SparkSession
from advanced_anomaly_detection.advanced_anomaly_pipeline import create_pipeline

# Create Spark session
spark = SparkSession.builder \
    .appName("Advanced Anomaly Detection") \
    .getOrCreate()

# Create pipeline
pipeline = create_pipeline(spark)

# Run complete pipeline
stats = pipeline.run_pipeline(
    input_path="gs://bucket/tables/gold_funnel_hourly_brand",
    output_path="gs://bucket/tables/gold_anomalies_advanced",
    train_first=True
)
"""

SUBMIT = r"""
# Submit job to Dataproc
gcloud dataproc jobs submit pyspark \
    gs://funnelpulse-data-479512/jobs/06_advanced_anomaly_detection.py \
    --cluster=funnelpulse-cluster \
    --region=us-central1 \
    --py-files=gs://funnelpulse-data-479512/jobs/advanced_anomaly_detection.zip
"""

STREAM = r"""
from pyspark.sql import SparkSession
from advanced_anomaly_detection.streaming.realtime_anomaly_detector import create_realtime_detector

# Create Spark session
spark = SparkSession.builder \
    .appName("Real-time Anomaly Detection") \
    .getOrCreate()

# Create detector
detector = create_realtime_detector(spark)

# Start streaming pipeline
query = detector.start_streaming_pipeline(
    source_type="kafka",
    output_type="parquet",
    output_path="gs://bucket/tables/anomalies_realtime"
)

# Wait for termination
query.awaitTermination()
"""

#: `gcloud dataproc jobs submit pyspark JOB [OPTION ...]`: the bucket of the jobs is the folder `jobs` beside it.
GCLOUD = r"""#!{python}
import os, pathlib, sys
here = pathlib.Path(__file__).parent
assert sys.argv[1:5] == ["dataproc", "jobs", "submit", "pyspark"], sys.argv
local = lambda path: str(here / path.split("/", 3)[3])
options = dict(option.split("=", 1) for option in sys.argv[6:])
assert set(options) == {{"--cluster", "--region", "--py-files"}}, options
command = {submit} + ["--py-files", local(options["--py-files"]), local(sys.argv[5])]
os.execv(command[0], command)
"""


def test_batch(tables: pathlib.Path, tmp_path: pathlib.Path) -> None:  # noqa: F811
    (tmp_path / "snippet.py").write_text(BATCH)
    command = [*spark_submit("local[2]", stub("bucket", tables)), "snippet.py"]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(
        command, env=environment(HERE_PYTHON), cwd=tmp_path, text=True, timeout=PATIENCE, check=False, **both
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "import from funnelpulse.spark" in done.stdout
    assert "falling back" not in done.stdout
    assert pq.read_table(tables / "gold_anomalies_advanced").num_rows > 0


def test_submit(tables: pathlib.Path, tmp_path: pathlib.Path) -> None:  # noqa: F811
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / JOB.name).write_bytes(JOB.read_bytes())
    zip_old_package(tmp_path / "jobs/advanced_anomaly_detection.zip")
    # The folder that the original's job has written in it.
    submit = spark_submit("local[2]", stub("funnelpulse-ss18851-data", tables))
    (tmp_path / "gcloud").write_text(GCLOUD.format(python=sys.executable, submit=json.dumps(submit)))
    (tmp_path / "gcloud").chmod(0o755)
    env = environment({**HERE_PYTHON, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(
        ["bash", "-c", SUBMIT], env=env, cwd=tmp_path, text=True, timeout=PATIENCE, check=False, **both
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "falling back" not in done.stdout
    found = pq.read_table(tables / "gold_anomalies_advanced").num_rows
    assert pq.read_table(tables / "gold_anomalies_hourly_brand").num_rows == found > 0


def test_stream(tables: pathlib.Path, tmp_path: pathlib.Path) -> None:  # noqa: F811
    jars = kafka_jars()
    if jars is None or not LIBS.exists():
        pytest.skip("Kafka's jars are not here, and Maven can't fetch them")
    for port in (9092, 9093):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                pytest.skip(f"port {port} is in use: the example reads from localhost:9092")
    started = subprocess.run(
        [BROKER, tmp_path / "kafka", "9092", "funnelpulse_events"], stdout=subprocess.PIPE, text=True, check=False
    )
    if started.returncode != 0:
        pytest.skip("the broker does not start")
    (tmp_path / "snippet.py").write_text(STREAM)
    command = [*spark_submit("local[2]", {**stub("bucket", tables), "spark.jars": jars}), "snippet.py"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment(HERE_PYTHON), cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        # The first batch, of the topic as it is found; the next one is five minutes later.
        first, until = tmp_path / "checkpoints/funnelpulse/commits/0", time.monotonic() + PATIENCE
        while not first.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        log = (tmp_path / "log").read_text()
        assert first.exists(), log[-3000:]
        assert process.poll() is None
        assert "import from funnelpulse.spark" in log
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.kill(int(started.stdout), signal.SIGKILL)
