"""The same rows give the same table, bit for bit, here and on the command line.

WHEEL_CLI names the binary, built with the features of this wheel; without it the test is skipped.
"""

import json
import os
import subprocess

import funnelpulse as fp
import polars as pl
import pytest

CLI = os.environ.get("WHEEL_CLI")


def run(*arguments):
    done = subprocess.run([CLI, *map(str, arguments), "--quiet"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not CLI, reason="WHEEL_CLI is not set")
def test_bit_for_bit(tmp_path):
    run("generate", "--brands", 6, "--days", 35, "--seed", 11, "--out", tmp_path)
    table, _ = fp.generate(brands=6, days=35, seed=11)
    hours = pl.read_parquet(tmp_path / "hourly.parquet")
    assert table.to_polars().equals(hours)

    hourly, out, saved = tmp_path / "hourly.parquet", tmp_path / "out", tmp_path / "cli.model"
    run("run", "--input", hourly, "--output", out, "--model", saved, "--all-rows")
    theirs = pl.read_parquet(out / "anomalies/**/*.parquet", hive_partitioning=True)
    model, findings = fp.Pipeline().fit_run(hours)
    ours = findings.to_polars(all_rows=True)
    keys = ["brand", "window_start"]
    theirs = theirs.with_columns(pl.col("window_date").cast(pl.String)).select(ours.columns).sort(keys)
    assert ours.sort(keys).equals(theirs)
    # A model holds the settings of all detectors of its build, so builds with other detectors write other bytes.
    assert len(model.to_bytes()) >= saved.stat().st_size
    incidents = [json.loads(line) for line in (out / "incidents.jsonl").read_text().splitlines()]
    assert findings.incidents() == incidents

    loaded = fp.FittedPipeline.load(saved)
    run("detect", "--input", hourly, "--model", saved, "--output", tmp_path / "again")
    again = (
        pl.read_parquet(tmp_path / "again/anomalies/**/*.parquet", hive_partitioning=True)
        .select(findings.to_polars().columns[0], "rank")
        .sort("rank")
    )
    assert loaded.detect(hours).to_polars().select(again.columns).sort("rank").equals(again)
