"""One session for all tests. They are skipped, with the reason, where Spark can't run."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

HERE = pathlib.Path(__file__).parent
JARS = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "funnelpulse/spark-kafka-jars"


def missing() -> str | None:
    """Why Spark can't run here."""
    for module in ("pyspark", "pyarrow", "pandas"):
        try:
            __import__(module)
        except ImportError as error:
            return f"{module} can't be imported: {error}"
    if shutil.which("java") is None:
        return "java is not installed"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing()
    if reason is not None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def kafka_jars() -> str | None:
    """The jars of Spark's Kafka connector, fetched by Maven the first time; `None` without Maven."""
    if not (JARS / ".complete").exists():
        if shutil.which("mvn") is None:
            return None
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies"
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), goal, f"-DoutputDirectory={JARS}"]
        if subprocess.run(command, check=False).returncode != 0:
            return None
        (JARS / ".complete").touch()
    return ",".join(sorted(str(jar) for jar in JARS.glob("*.jar")))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("funnelpulse tests")
    settings = {
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.sql.streaming.metricsEnabled": "false",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
