"""The Dataproc job as it is shipped: `spark-submit`, an archive with the wheel, two executors, `gs://` in and out.

The archive is packed from a clean environment with the wheel and nothing else of ours; Spark unpacks it for each executor,
and the job's own interpreter is the one in the archive. `gs://` is Hadoop's view file system over a local folder.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop import two_sites

JOB = pathlib.Path(__file__).parents[4] / "examples/dataproc/06_advanced_anomaly_detection.py"
WHEEL = os.environ.get("SPARK_TEST_WHEEL")
NEEDED = ["pandas>=2.2,<3", "pyarrow"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("bucket") / "tables"
    (folder / "gold_funnel_hourly_brand").mkdir(parents=True)
    table = pa.Table.from_pandas(two_sites(), preserve_index=False)
    pq.write_table(table, folder / "gold_funnel_hourly_brand/part-0.parquet", coerce_timestamps="us")
    return folder


def stub(bucket: str, tables: pathlib.Path) -> dict[str, str]:
    """Settings that make `gs://bucket/tables` this folder."""
    view = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
    return {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.hadoop.fs.gs.impl": view,
        "spark.hadoop.fs.viewfs.overload.scheme.target.gs.impl": "org.apache.hadoop.fs.LocalFileSystem",
        f"spark.hadoop.fs.viewfs.mounttable.{bucket}.link./tables": f"file://{tables}",
    }


def spark_submit(master: str, conf: dict[str, str]) -> list[str]:
    """The command, without what it runs."""
    import pyspark

    options = [option for name, value in conf.items() for option in ("--conf", f"{name}={value}")]
    return [str(pathlib.Path(pyspark.__file__).parent / "bin/spark-submit"), "--master", master, *options]


def environment(env: dict[str, str]) -> dict[str, str]:
    """This environment without Python's and Spark's variables, and with these."""
    import pyspark

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYSPARK", "SPARK"))}
    return {**clean, **env, "SPARK_HOME": str(pathlib.Path(pyspark.__file__).parent)}


def submit(
    master: str, tables: pathlib.Path, env: dict[str, str], conf: dict[str, str], *args: str
) -> subprocess.CompletedProcess[str]:
    """Runs the job, `gs://bucket/tables` being the folder."""
    command = [*spark_submit(master, {**stub("bucket", tables), **conf}), str(JOB), "--tables", "gs://bucket/tables"]
    # Spark sends the job's own standard error to its standard output.
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    where = {"env": environment(env), "cwd": tables.parent}
    return subprocess.run([*command, *args], text=True, timeout=300, check=False, **where, **both)


@pytest.mark.skipif(WHEEL is None, reason="SPARK_TEST_WHEEL does not name a wheel")
def test_the_job_with_an_archive(tables: pathlib.Path, tmp_path: pathlib.Path) -> None:
    built = tmp_path / "built"
    subprocess.run([sys.executable, "-m", "venv", built], check=True)
    subprocess.run([built / "bin/pip", "install", "-q", WHEEL, "venv-pack", "setuptools<81", *NEEDED], check=True)
    archive = tmp_path / "environment.tar.gz"
    pack = [built / "bin/venv-pack", "-q", "-p", built, "-o", archive, "--compress-level", "1"]
    subprocess.run(pack, check=True)
    here = tmp_path / "environment"
    with tarfile.open(archive) as packed:
        packed.extractall(here, filter="tar")
    statistics = tmp_path / "statistics.json"
    result = submit(
        "local-cluster[2,1,1024]",
        tables,
        {"PYSPARK_DRIVER_PYTHON": str(here / "bin/python"), "PYSPARK_PYTHON": "./environment/bin/python"},
        {"spark.archives": f"{archive}#environment"},
        "--on-error", "raise", "--statistics", str(statistics), "--save-models", "gs://bucket/tables/models",
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:]
    found = json.loads(statistics.read_text())
    assert (found["engine"], found["sites"], found["fallback_reason"]) == ("funnelpulse", 2, None)
    new = pq.read_table(tables / "gold_anomalies_advanced")
    assert new.num_rows == found["analytics"]["total_anomalies"] > 0
    old = pq.read_table(tables / "gold_anomalies_hourly_brand")
    assert old.num_rows == new.num_rows
    assert old.schema.field("views").type == pa.int64()
    assert "anomalies in gs://bucket/tables/gold_anomalies_advanced" in result.stdout
    assert len(list((tables / "models").glob("site_key=*"))) == 2


def test_the_job_without_the_wheel(tables: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """`--py-files` with the pure Python package alone: the z-score, loudly."""
    zipped = tmp_path / "advanced_anomaly_detection.zip"
    zip_old_package(zipped)
    hidden = tmp_path / "hidden/funnelpulse"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('no native code for this platform')\n")
    statistics = tmp_path / "statistics.json"
    env = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "PYTHONPATH": str(hidden.parent)}
    result = submit("local[1]", tables, env, {"spark.submit.pyFiles": str(zipped)}, "--statistics", str(statistics))
    assert result.returncode == 0, result.stdout[-3000:]
    assert "falling back to the spark-native z-score: ImportError: no native code" in result.stdout
    found = json.loads(statistics.read_text())
    assert found["engine"] == "spark-native z-score"
    assert "no native code" in found["fallback_reason"]
    assert pq.read_table(tables / "gold_anomalies_advanced").num_rows == found["analytics"]["total_anomalies"]


def test_the_folder_of_the_tables_has_no_default(tables: pathlib.Path) -> None:
    command = [sys.executable, str(JOB), "--input", str(tables)]
    result = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "--tables is missing: the folder of the tables, such as --tables gs://BUCKET/tables" in result.stderr


def zip_old_package(target: pathlib.Path) -> None:
    """The package under the original's name, as a zip."""
    import advanced_anomaly_detection

    source = pathlib.Path(advanced_anomaly_detection.__file__).parent
    with zipfile.ZipFile(target, "w") as out:
        for path in source.rglob("*.py"):
            out.write(path, path.relative_to(source.parent))
