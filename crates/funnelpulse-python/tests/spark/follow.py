"""Follows a topic in a process of its own, which the test kills: follow.py SETTINGS OUTPUT, settings as JSON."""

from __future__ import annotations

import json
import sys

from conftest import session
from funnelpulse.spark import create_realtime_detector


def main(settings: str, output: str) -> None:
    spark = session("funnelpulse follow", {"spark.sql.shuffle.partitions": "1"})
    detector = create_realtime_detector(spark, json.loads(settings))
    query = detector.start_streaming_pipeline(source_type="kafka", output_type="parquet", output_path=output)
    query.awaitTermination()


if __name__ == "__main__":
    main(*sys.argv[1:])
