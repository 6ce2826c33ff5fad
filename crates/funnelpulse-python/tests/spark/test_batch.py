"""The batch pipeline: the same scores as without Spark, whatever is wrong with a table."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import warnings
from typing import Any

import funnelpulse as fp
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from advanced_anomaly_detection import spark_native
from funnelpulse.spark import batch, create_pipeline
from funnelpulse.spark.events import hourly as hourly_of_events
from shop import alone, events, hourly, same_bits, two_sites

SCORES = [
    "prophet_anomaly_score",
    "isolation_forest_anomaly_score",
    "changepoint_anomaly_score",
    "zscore_anomaly_score",
    "incident_anomaly_score",
    "ensemble_anomaly_score",
    "expected_value",
    "estimated_revenue_impact",
    "views",
]
#: The columns of the original's table of hourly anomalies.
LEGACY = ["window_start", "brand", "views", "purchases", "conversion_rate", "is_anomaly", "anomaly_type", "window_date"]


def ordered(rows: Any) -> pd.DataFrame:
    """A Spark table by series and time."""
    return rows.toPandas().sort_values(["site", "brand", "window_start"], ignore_index=True)


def test_scores_equal_those_without_spark(spark: Any) -> None:
    table = two_sites()
    pipeline = create_pipeline(spark)
    found = ordered(pipeline.train_and_detect(spark.createDataFrame(table)))
    assert len(found) == len(table)
    for site in ("north", "south/ö"):
        expected = fp.Pipeline().run(alone(table, site)).to_pandas(all_rows=True)
        expected = expected.sort_values(["brand", "window_start"], ignore_index=True)
        rows = found[found["site"] == site].reset_index(drop=True)
        same_bits(rows, expected, SCORES)
        assert rows["is_anomaly"].tolist() == expected["is_anomaly"].tolist()
        assert rows["contributing_factors"].tolist() == expected["contributing_factors"].tolist()
    assert pipeline.statistics["sites"] == 2
    assert pipeline.statistics["series"] == 6
    assert pipeline.statistics["fallback_reason"] is None


def test_models_survive_a_file_and_give_the_same_scores(spark: Any, tmp_path: pathlib.Path) -> None:
    table = two_sites()
    frame = spark.createDataFrame(table)
    first = create_pipeline(spark)
    training = first.train(frame)
    assert training["prophet"] == {"series": 6} or "skipped" in training["lstm"]
    first.save_models(str(tmp_path / "models"))
    second = create_pipeline(spark)
    with pytest.raises(fp.ModelError, match="no model"):
        second.detect(frame)
    second.load_models(str(tmp_path / "models"))
    one, other = ordered(second.detect(frame)), ordered(first.train_and_detect(frame))
    same_bits(one, other, SCORES)


@pytest.mark.parametrize("keep", [True, False])
def test_models_of_a_run_are_kept_or_trained_when_needed(spark: Any, tmp_path: pathlib.Path, keep: bool) -> None:
    frame = spark.createDataFrame(two_sites())
    first, second = create_pipeline(spark), create_pipeline(spark)
    expected = ordered(first.train_and_detect(frame, keep_models=keep))
    first.save_models(str(tmp_path / "models"))
    second.load_models(str(tmp_path / "models"))
    same_bits(ordered(second.detect(frame)), expected, SCORES)


def kept(spark: Any) -> bool:
    """Whether any table is kept on the executors."""
    return not spark._jsparkSession.sharedState().cacheManager().isEmpty()


def test_what_is_kept_on_the_executors_is_freed(spark: Any, tmp_path: pathlib.Path) -> None:
    spark.catalog.clearCache()
    frame = spark.createDataFrame(two_sites())
    frame.write.parquet(str(tmp_path / "hours"))
    pipeline = create_pipeline(spark)
    pipeline.run_pipeline(str(tmp_path / "hours"), str(tmp_path / "anomalies"))
    assert not kept(spark), "all that the job found is written"
    pipeline.train(frame)
    assert kept(spark), "models are read again"
    expected = ordered(pipeline.detect(frame))
    pipeline.unpersist()
    assert not kept(spark)
    same_bits(ordered(pipeline.detect(frame)), expected, SCORES)
    pipeline.unpersist()


def test_the_command_line_gives_the_same_scores(spark: Any, tmp_path: pathlib.Path) -> None:
    binary = os.environ.get("FUNNELPULSE_CLI")
    if not binary:
        pytest.skip("FUNNELPULSE_CLI does not name the command-line tool")
    table = hourly()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), tmp_path / "shop.parquet")
    command = [
        binary,
        "run",
        "--input",
        str(tmp_path / "shop.parquet"),
        "--output",
        str(tmp_path / "out"),
        "--all-rows",
    ]
    # The tool takes variables of that prefix for settings.
    others = {name: value for name, value in os.environ.items() if not name.startswith("FUNNELPULSE_")}
    subprocess.run([*command, "--quiet"], check=True, env=others)
    expected = pq.read_table(tmp_path / "out/anomalies").to_pandas()
    expected = expected.sort_values(["brand", "window_start"], ignore_index=True)
    found = ordered(create_pipeline(spark).train_and_detect(spark.read.parquet(str(tmp_path / "shop.parquet"))))
    same_bits(found, expected, SCORES)


def test_the_snippet_of_the_original(spark: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = hourly(days=21)
    spark.createDataFrame(table).write.parquet(str(tmp_path / "tables/gold_funnel_hourly_brand"))
    sys.modules.pop("advanced_anomaly_detection.advanced_anomaly_pipeline", None)
    with pytest.warns(DeprecationWarning, match="import from funnelpulse.spark"):
        from advanced_anomaly_detection.advanced_anomaly_pipeline import create_pipeline as create
    # Relative paths of Spark are those of the directory in which the JVM was started.
    root = f"file://{tmp_path}/tables"
    pipeline = create(spark)
    stats = pipeline.run_pipeline(
        input_path=f"{root}/gold_funnel_hourly_brand", output_path=f"{root}/gold_anomalies_advanced", train_first=True
    )
    assert set(stats) >= {"training", "analytics"}
    assert stats["analytics"]["total_anomalies"] > 0
    assert {"total_revenue_impact", "total_conversion_loss"} <= set(stats["analytics"])
    written = spark.read.parquet(f"{root}/gold_anomalies_advanced")
    assert written.count() == stats["analytics"]["total_anomalies"]
    dates = list((tmp_path / "tables/gold_anomalies_advanced").glob("w*"))
    assert all(path.name.startswith("window_date=") for path in dates)
    # Not one file per date and task.
    assert all(len(list(path.glob("*.parquet"))) == 1 for path in dates)
    assert written.select(*LEGACY).filter("is_anomaly").count() == stats["analytics"]["total_anomalies"]
    again = pipeline.run_pipeline(f"{root}/gold_funnel_hourly_brand", f"{root}/again", train_first=False)
    assert again["analytics"] == stats["analytics"]


def test_the_time_zone_of_the_session_changes_nothing(spark: Any) -> None:
    table = hourly()
    frame = spark.createDataFrame(table)
    expected = ordered(create_pipeline(spark).train_and_detect(frame))
    try:
        for zone in ("America/New_York", "Etc/UTC"):
            spark.conf.set("spark.sql.session.timeZone", zone)
            found = create_pipeline(spark).train_and_detect(frame)
            dates = found.selectExpr("unix_micros(window_start) t", "cast(window_date as string) d", "brand").toPandas()
            spark.conf.set("spark.sql.session.timeZone", "UTC")
            same_bits(ordered(found), expected, SCORES)
            utc = pd.to_datetime(dates["t"], unit="us").dt.strftime("%Y-%m-%d")
            assert (utc == dates["d"]).all()
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_missing_columns_and_wrong_types_are_named(spark: Any) -> None:
    frame = spark.createDataFrame(hourly(days=2))
    pipeline = create_pipeline(spark)
    with pytest.raises(fp.DataError, match="missing column purchases; the table has "):
        pipeline.train(frame.drop("purchases"))
    with pytest.raises(fp.DataError, match="column views: expected a number, found string"):
        pipeline.train(frame.withColumn("views", frame["views"].cast("string")))
    with pytest.raises(fp.DataError, match="column window_start: expected a timestamp, found string"):
        pipeline.train(frame.withColumn("window_start", frame["window_start"].cast("string")))
    with pytest.raises(fp.ConfigError, match="no_such_section"):
        create_pipeline(spark, {"no_such_section": {}})


def test_an_empty_table_gives_an_empty_result(spark: Any) -> None:
    frame = spark.createDataFrame(two_sites()).filter("false")
    pipeline = create_pipeline(spark)
    assert pipeline.train_and_detect(frame).count() == 0
    assert pipeline.statistics["sites"] == 0
    assert pipeline.statistics["rows"] == 0


def test_one_poisoned_brand_does_not_stop_the_others(spark: Any) -> None:
    table = hourly()
    bad = table["brand"] == table["brand"].iloc[0]
    table.loc[bad, "views"] = -1.0
    pipeline = create_pipeline(spark)
    found = ordered(pipeline.train_and_detect(spark.createDataFrame(table)))
    assert set(found["brand"]) == set(table.loc[~bad, "brand"])
    assert pipeline.statistics["failed_series"] == 1
    failure = pipeline.statistics["failures"][0]
    assert failure["series"] == table["brand"].iloc[0]
    assert "-1" in failure["reason"]


def test_a_site_that_fails_gets_the_zscore_and_the_reason(spark: Any) -> None:
    table = two_sites()
    short = table[table["site"] == "north"].sort_values("window_start").head(6)
    frame = spark.createDataFrame(pd.concat([short, table[table["site"] != "north"]]))
    pipeline = create_pipeline(spark)
    with pytest.warns(RuntimeWarning, match="falling back to the spark-native z-score.*north"):
        found = ordered(pipeline.train_and_detect(frame))
    assert len(found) == frame.count()
    assert set(found.loc[found["site"] == "north", "models"]) == {"zscore:fallback"}
    assert "zscore:fallback" not in set(found.loc[found["site"] != "north", "models"])
    assert pipeline.statistics["failed_sites"] == 1
    assert "north" in pipeline.statistics["fallback_reason"]
    with pytest.raises(fp.DataError, match="site north"):
        create_pipeline(spark, on_error="raise").train_and_detect(frame)


def test_executors_without_the_wheel(spark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(batch, "probe", lambda spark: "an executor can't import funnelpulse (test)")
    spark.createDataFrame(hourly()).write.parquet(str(tmp_path / "in"))
    with pytest.warns(RuntimeWarning, match="can't import funnelpulse"):
        stats = create_pipeline(spark).run_pipeline(str(tmp_path / "in"), str(tmp_path / "out"))
    assert stats["engine"] == spark_native.ENGINE
    assert stats["fallback_reason"] == "an executor can't import funnelpulse (test)"
    assert spark.read.parquet(str(tmp_path / "out")).count() == stats["analytics"]["total_anomalies"] > 0


def test_the_probe_finds_the_wheel_here(spark: Any) -> None:
    assert batch.probe(spark) == ""


def test_the_probe_names_the_interpreter_without_the_wheel(spark: Any, tmp_path: pathlib.Path) -> None:
    """`PYSPARK_PYTHON` is another interpreter's path; Spark reads it when a session starts."""
    other = tmp_path / "python"
    # The same interpreter, which hides the wheel.
    other.write_text(f'#!/bin/sh\nexport PYTHONPATH={tmp_path}/hidden:$PYTHONPATH\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    (tmp_path / "hidden/funnelpulse").mkdir(parents=True)
    (tmp_path / "hidden/funnelpulse/__init__.py").write_text("raise ImportError('hidden')\n")
    was = spark.sparkContext.pythonExec
    spark.sparkContext.pythonExec = str(other)
    try:
        reason = batch.probe(spark)
    finally:
        spark.sparkContext.pythonExec = was
    assert "ImportError: hidden; its interpreter is " in reason
    assert reason.endswith(", set by PYSPARK_PYTHON)")


def test_a_driver_without_the_wheel(spark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setitem(sys.modules, "funnelpulse.spark", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from advanced_anomaly_detection.advanced_anomaly_pipeline import create_pipeline as create
    spark.createDataFrame(hourly()).write.parquet(str(tmp_path / "in"))
    with pytest.warns(RuntimeWarning, match="funnelpulse.spark"):
        stats = create(spark).run_pipeline(str(tmp_path / "in"), str(tmp_path / "out"))
    assert "funnelpulse.spark" in stats["fallback_reason"]
    assert spark.read.parquet(str(tmp_path / "out")).count() == stats["analytics"]["total_anomalies"]


def test_events_are_summed_up_as_the_engine_does(spark: Any) -> None:
    rows = events(hours=30)
    twice = pd.concat([rows, rows.head(50)])
    found = hourly_of_events(spark.createDataFrame(twice)).toPandas()
    assert found["views"].sum() == (rows["event_type"] == "view").sum()
    assert found["carts"].sum() == (rows["event_type"] == "cart").sum()
    bought = rows[rows["event_type"] == "purchase"]
    assert found["purchases"].sum() == len(bought)
    assert found["revenue"].sum() == pytest.approx(bought["price"].sum(), abs=1e-6)


def test_without_apply_in_arrow(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of Spark 3.5, which has no `applyInArrow`."""

    class Old:
        pass

    table = two_sites()
    expected = ordered(create_pipeline(spark).train_and_detect(spark.createDataFrame(table)))
    monkeypatch.setattr(batch, "GroupedData", Old)
    found = ordered(create_pipeline(spark).train_and_detect(spark.createDataFrame(table)))
    same_bits(found, expected, SCORES)
