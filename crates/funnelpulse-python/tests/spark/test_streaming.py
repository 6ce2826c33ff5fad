"""The stream: its final rows are those of the batch, whatever comes late or twice."""

from __future__ import annotations

import json
import pathlib
import sys
import warnings
from typing import Any

import funnelpulse as fp
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from funnelpulse.spark import create_pipeline, create_realtime_detector
from funnelpulse.spark.events import hourly
from funnelpulse.spark.state import SiteState, Store, pack, unpack
from shop import METRICS, events, same_bits

#: Hours of the training, and all hours.
TRAINING, HOURS = 24 * 7, 24 * 8


def write_events(rows: pd.DataFrame, path: pathlib.Path) -> None:
    rows = rows.assign(event_time=rows["event_time"].astype("datetime64[us, UTC]"))
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), path)


@pytest.fixture(scope="module")
def shop(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Events, their hourly table, and the folder of a model trained on the first days."""
    rows = events(HOURS)
    table = hourly(spark.createDataFrame(rows)).toPandas()
    table["window_start"] = table["window_start"].dt.tz_localize("UTC")
    table = table.sort_values(["brand", "window_start"], ignore_index=True)
    start = table["window_start"].min()
    past = table[table["window_start"] < start + pd.Timedelta(hours=TRAINING)]
    pipeline = create_pipeline(spark)
    pipeline.train(spark.createDataFrame(past))
    models = str(tmp_path_factory.mktemp("models") / "all")
    pipeline.save_models(models)
    later = rows[rows["event_time"] >= start + pd.Timedelta(hours=TRAINING)]
    return {"events": later, "table": table, "models": models, "start": start, "past": past}


def config(tmp_path: pathlib.Path, shop: dict[str, Any], **more: Any) -> dict[str, Any]:
    settings = {"checkpoint_location": str(tmp_path / "checkpoint"), "model_path": shop["models"]}
    return {**settings, "trigger_interval": "available now", "max_files_per_trigger": 1, **more}


def follow(spark: Any, settings: dict[str, Any], source: pathlib.Path, output: pathlib.Path) -> None:
    query = create_realtime_detector(spark, settings).start_streaming_pipeline(
        source_type="file", source_path=str(source), output_type="parquet", output_path=str(output)
    )
    query.awaitTermination()


def written(output: pathlib.Path) -> pd.DataFrame:
    """All rows of the output, without the number of the batch that wrote them."""
    found = pq.read_table(output).to_pandas().drop(columns=["batch", "window_date"])
    return found.sort_values(["brand", "window_start", "revision"], ignore_index=True)


def hourly_advances(shop: dict[str, Any], last: int) -> pd.DataFrame:
    """What a live pipeline without Spark says, hour by hour, of the first `last` hours after training."""
    model = fp.Pipeline().fit(
        pa.Table.from_pandas(shop["past"][["window_start", "brand", *METRICS]], preserve_index=False)
    )
    live, parts = model.live(), []
    for hour in range(last):
        at = shop["start"] + pd.Timedelta(hours=TRAINING + hour)
        window = shop["table"][shop["table"]["window_start"] == at][["window_start", "brand", *METRICS]]
        parts.append(live.advance(pa.Table.from_pandas(window, preserve_index=False)).to_pandas())
    return pd.concat(parts).sort_values(["brand", "window_start", "revision"], ignore_index=True)


def test_files_that_come_late_or_twice_change_nothing(spark: Any, shop: dict[str, Any], tmp_path: pathlib.Path) -> None:
    """Files in several batches, a restart between them, repeats and late events: the live pipeline's rows."""
    source = tmp_path / "in"
    source.mkdir()
    rows, begin = shop["events"], shop["events"]["event_time"].min().floor("h")

    def of_hours(first: int, last: int) -> pd.DataFrame:
        hour = (rows["event_time"] - begin) // pd.Timedelta(hours=1)
        return rows[(hour >= first) & (hour < last)]

    settings = config(tmp_path, shop)
    write_events(of_hours(0, 8), source / "a.parquet")
    # The last hours again: sent twice.
    write_events(pd.concat([of_hours(7, 8), of_hours(8, 16)]), source / "b.parquet")
    follow(spark, settings, source, tmp_path / "out")
    # Hours that are over long since, and new ones.
    late = of_hours(1, 2).assign(user_session=lambda r: r["user_session"] + "-late")
    write_events(pd.concat([late, of_hours(16, 24)]), source / "c.parquet")
    follow(spark, settings, source, tmp_path / "out")
    found = written(tmp_path / "out")
    expected = hourly_advances(shop, 23)
    columns = ["brand", "views", "revision", "final", "ensemble_anomaly_score", "incident_anomaly_score", "is_anomaly"]
    same_bits(found, expected, columns)


def test_a_repeated_batch_writes_the_same(spark: Any, shop: dict[str, Any], tmp_path: pathlib.Path) -> None:
    detector = create_realtime_detector(spark, config(tmp_path, shop))
    table = shop["table"][["window_start", "brand", *METRICS]]
    hours = [shop["start"] + pd.Timedelta(hours=TRAINING + h) for h in range(4)]
    batches = [spark.createDataFrame(table[table["window_start"].isin(hours[i : i + 2])]) for i in (0, 2)]
    sink = detector._sink("parquet", str(tmp_path / "out"))
    for number, batch in enumerate(batches):
        detector.detect_batch(batch, number, sink)
    once = written(tmp_path / "out")
    detector.detect_batch(batches[1], 1, sink)
    assert written(tmp_path / "out").equals(once)
    # The same hours in a new batch are over: nothing is judged twice.
    detector.detect_batch(batches[1], 2, sink)
    assert written(tmp_path / "out").equals(once)
    assert len(once) >= 12


def test_a_site_without_a_model_is_trained_on_the_stream(
    spark: Any, shop: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    settings = config(tmp_path, shop, model_path=None, training_hours=TRAINING)
    detector = create_realtime_detector(spark, settings)
    table = shop["table"][["window_start", "brand", *METRICS]]
    cut = shop["start"] + pd.Timedelta(hours=TRAINING)
    sink = detector._sink("memory", None)
    for _ in range(2):
        # A batch that trains, and is repeated, trains again.
        detector.detect_batch(spark.createDataFrame(table[table["window_start"] < cut]), 0, sink)
    detector.detect_batch(spark.createDataFrame(table[table["window_start"] >= cut]), 1, sink)
    found = spark.table("funnelpulse_anomalies").toPandas()
    waiting = found[found["models"] == "waiting"]
    assert len(waiting) == (table["window_start"] < cut).sum()
    assert waiting["ensemble_anomaly_score"].isna().all()
    judged = found[found["models"] != "waiting"]
    judged = judged.sort_values(["brand", "window_start", "revision"], ignore_index=True)
    same_bits(judged, hourly_advances(shop, HOURS - TRAINING), ["brand", "ensemble_anomaly_score", "revision"])


def test_the_rate_source_needs_no_data(spark: Any, tmp_path: pathlib.Path) -> None:
    settings = {
        "checkpoint_location": str(tmp_path / "checkpoint"),
        "trigger_interval": "1 second",
        "rows_per_second": 2000,
        "query_name": "rate_rows",
    }
    detector = create_realtime_detector(spark, settings)
    query = detector.start_streaming_pipeline(source_type="rate", output_type="memory")
    try:
        for _ in range(60):
            query.awaitTermination(0.5)
            if detector.memory:
                break
    finally:
        query.stop()
    rows = spark.table("rate_rows").toPandas()
    assert {"brand_0", "brand_4"} <= set(rows["brand"])
    assert set(rows["models"]) == {"waiting"}


def test_settings_are_checked(spark: Any) -> None:
    with pytest.raises(fp.ConfigError, match="unknown setting watermark;"):
        create_realtime_detector(spark, {"watermark": "1 hour"})
    with pytest.warns(UserWarning, match="sliding_window_slide is ignored"):
        create_realtime_detector(spark, {"sliding_window_slide": "5 minutes"})
    detector = create_realtime_detector(spark)
    with pytest.raises(ValueError, match="source_type: expected kafka, file or rate, found socket"):
        detector.start_streaming_pipeline(source_type="socket")
    with pytest.raises(ValueError, match="needs source_path"):
        detector.start_streaming_pipeline(source_type="file")
    with pytest.raises(ValueError, match="output_type: expected"):
        detector.start_streaming_pipeline(source_type="rate", output_type="delta")


def test_the_old_import_path(spark: Any) -> None:
    sys.modules.pop("advanced_anomaly_detection.streaming.realtime_anomaly_detector", None)
    with pytest.warns(DeprecationWarning, match="import from funnelpulse.spark"):
        from advanced_anomaly_detection.streaming.realtime_anomaly_detector import create_realtime_detector as create
    assert create is create_realtime_detector
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert type(create(spark)).__name__ == "RealtimeDetector"


def test_states_are_kept_for_a_repeat_and_dropped_after_it(tmp_path: pathlib.Path) -> None:
    state = SiteState(Store(str(tmp_path)), "north")
    assert state.before(0) == ({}, b"")
    for batch in range(4):
        state.save(batch, {"now": batch}, bytes([batch]))
        state.save(batch, {"now": batch}, bytes([batch]))
    assert state.before(4) == ({"now": 3}, b"\x03")
    assert state.before(3) == ({"now": 2}, b"\x02")
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["batch-000000000002", "batch-000000000003"]
    assert unpack(pack({"a": 1}, b"xyz")) == ({"a": 1}, b"xyz")
    with pytest.raises(ValueError, match="no state"):
        unpack(json.dumps({}).encode())
