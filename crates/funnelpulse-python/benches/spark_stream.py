"""Processor time of a Spark stream with detection against the same stream that only sums up hours.

    python spark_stream.py [--brands 40] [--hours 48] [--events 100]

`--events` are those of a brand and hour. Each stream runs three times, the first time to warm up; processor seconds are
those of the whole process tree. Files are in the order of time, `--files` of them, one per batch.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from spark import Tree

#: Hours of the training.
TRAINING = 24 * 14
METRICS = ["views", "carts", "purchases", "revenue"]


def shop(brands: int, hours: int, per_hour: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The hourly table of the training, and the events after it."""
    dice = np.random.default_rng(1)
    times = pd.date_range("2024-01-01", periods=TRAINING, freq="h", tz="UTC")
    wave = 1.0 + 0.5 * np.sin(2.0 * np.pi * np.arange(TRAINING) / 24.0)
    past = []
    for brand in range(brands):
        views = dice.poisson(0.7 * per_hour * wave)
        carts, purchases = dice.binomial(views, 0.3), dice.binomial(views, 0.1)
        rows = {
            "window_start": times,
            "brand": f"brand_{brand:03}",
            "views": views,
            "carts": carts,
            "purchases": purchases,
        }
        past.append(pd.DataFrame({**rows, "revenue": dice.gamma(2.0, 5.0, TRAINING) * purchases}))
    count = brands * hours * per_hour
    seconds = np.sort(dice.integers(0, 3600 * hours, count)) + 3600 * TRAINING
    news = pd.DataFrame(
        {
            "event_time": times[0] + pd.to_timedelta(seconds, unit="s"),
            "event_type": dice.choice(["view", "cart", "purchase"], count, p=[0.7, 0.22, 0.08]),
            "brand": np.char.mod("brand_%03d", dice.integers(0, brands, count)),
            "user_session": np.arange(count).astype(str),
            "price": dice.gamma(2.0, 5.0, count),
        }
    )
    return pd.concat(past), news


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--brands", type=int, default=40)
    parser.add_argument("--hours", type=int, default=48)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--files", type=int, default=12)
    args = parser.parse_args()
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.sql.shuffle.partitions", "2")
    builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    builder = builder.config("spark.sql.session.timeZone", "UTC").config(
        "spark.sql.execution.arrow.pyspark.enabled", "true"
    )
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    from funnelpulse.spark import create_pipeline, create_realtime_detector

    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        past, news = shop(args.brands, args.hours, args.events)
        pipeline = create_pipeline(spark)
        pipeline.train(spark.createDataFrame(past))
        pipeline.save_models(str(root / "models"))
        (root / "in").mkdir()
        news["event_time"] = news["event_time"].astype("datetime64[us, UTC]")
        for number, part in enumerate(np.array_split(np.arange(len(news)), args.files)):
            pq.write_table(
                pa.Table.from_pandas(news.iloc[part], preserve_index=False), root / f"in/{number:03}.parquet"
            )
        print(f"{len(news)} events, {args.brands} brands, {args.hours} hours, {args.files} batches", flush=True)

        def follow(name: str, with_detection: bool) -> float:
            settings = {
                "checkpoint_location": str(root / name),
                "model_path": str(root / "models"),
                "trigger_interval": "available now",
                "max_files_per_trigger": 1,
            }
            detector = create_realtime_detector(spark, settings)
            if not with_detection:
                # The sums of an hour, written as they are.
                detector.scored = lambda hours, number, sites: hours.withColumn(
                    "window_date", hours["window_start"].cast("date")
                )
            tree = Tree()
            before = sum(tree.seconds().values())
            query = detector.start_streaming_pipeline("file", str(root / "in"), "parquet", str(root / f"{name}-out"))
            query.awaitTermination()
            tree.ended.set()
            return sum(tree.seconds().values()) - before

        times: dict[str, list[float]] = {"sums": [], "detection": []}
        for turn in range(3):
            for kind, seconds in times.items():
                seconds.append(follow(f"{kind}-{turn}", kind == "detection"))
        for kind, seconds in times.items():
            print(f"{kind}: {', '.join(f'{s:.1f}' for s in seconds)} s of processor time, in order")
        print(f"detection / sums, the last two runs: {sum(times['detection'][1:]) / sum(times['sums'][1:]):.2f}")
    spark.stop()


if __name__ == "__main__":
    main()
