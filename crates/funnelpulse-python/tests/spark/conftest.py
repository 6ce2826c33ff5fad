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
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "funnelpulse"


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


WHY = missing()
# The tests import pyspark at the top.
collect_ignore_glob = ["test_*.py"] if WHY else []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if WHY:
        terminalreporter.write_line(f"Spark not tested: {WHY}")


def kafka_jars() -> str | None:
    """The jars of the Kafka connector of pyspark's Spark, fetched by Maven the first time; `None` without Maven."""
    import pyspark

    spark = pyspark.__version__
    [library] = (pathlib.Path(pyspark.__file__).parent / "jars").glob("scala-library-*.jar")
    scala = ".".join(library.stem.removeprefix("scala-library-").split(".")[:2])
    jars = CACHE / f"spark-kafka-jars-{spark}"
    if not (jars / ".complete").exists():
        if shutil.which("mvn") is None:
            return None
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies"
        versions = [f"-Dspark.version={spark}", f"-Dscala.version={scala}"]
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), goal, f"-DoutputDirectory={jars}", *versions]
        if subprocess.run(command, check=False).returncode != 0:
            return None
        (jars / ".complete").touch()
    return ",".join(sorted(str(jar) for jar in jars.glob("*.jar")))


def session(name: str, more: dict[str, str]) -> Any:
    """A session of this machine, with the Kafka connector where it can be had."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        **more,
    }
    jars = kafka_jars()
    if jars:
        settings["spark.jars"] = jars
    builder = SparkSession.builder.master("local[2]").appName(name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    warehouse = str(tmp_path_factory.mktemp("warehouse"))
    started = session("funnelpulse tests", {"spark.sql.shuffle.partitions": "2", "spark.sql.warehouse.dir": warehouse})
    yield started
    started.stop()
