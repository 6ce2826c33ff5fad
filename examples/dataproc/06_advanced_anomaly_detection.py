"""Dataproc job: anomalies of the hourly funnel of all brands.

    gcloud dataproc jobs submit pyspark gs://BUCKET/jobs/06_advanced_anomaly_detection.py \
        --cluster=CLUSTER --region=REGION -- --tables gs://BUCKET/tables

Reads `gold_funnel_hourly_brand`, writes `gold_anomalies_advanced` and, for old readers,
`gold_anomalies_hourly_brand`. The page "On Dataproc" of the book says how the wheel gets onto the cluster. Where
it is missing the job goes on with a z-score in plain Spark, unless it runs with `--on-error raise`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

LOG = logging.getLogger("funnelpulse.job")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

#: Columns of the old table, with the types that it had.
LEGACY = {
    "window_start": "timestamp",
    "window_date": "date",
    "brand": "string",
    "views": "long",
    "purchases": "long",
    "conversion_rate": "double",
    "is_anomaly": "boolean",
    "anomaly_type": "string",
}


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tables", help="folder of the tables, such as gs://BUCKET/tables; the paths below are by default in it"
    )
    parser.add_argument("--input", help="hourly table (default: TABLES/gold_funnel_hourly_brand)")
    parser.add_argument("--output", help="anomalies (default: TABLES/gold_anomalies_advanced)")
    parser.add_argument("--legacy-output", help="old table (default: TABLES/gold_anomalies_hourly_brand)")
    parser.add_argument("--config", help="TOML file with settings of the pipeline, on the driver's disk")
    parser.add_argument("--load-models", metavar="PATH", help="score with the models in PATH; do not train")
    parser.add_argument("--save-models", metavar="PATH", help="keep the trained models in PATH")
    parser.add_argument("--site-column", default="site", help="column that names the site (default: %(default)s)")
    parser.add_argument("--on-error", choices=["fallback", "raise"], default="fallback")
    parser.add_argument("--statistics", metavar="FILE", help="also write the statistics as JSON to FILE")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    args = parser.parse_args(given)
    if args.tables is None and None in (args.input, args.output, args.legacy_output):
        parser.error("--tables is missing: the folder of the tables, such as --tables gs://BUCKET/tables")
    for name, table in (
        ("input", "gold_funnel_hourly_brand"),
        ("output", "gold_anomalies_advanced"),
        ("legacy_output", "gold_anomalies_hourly_brand"),
    ):
        if getattr(args, name) is None:
            setattr(args, name, f"{args.tables.rstrip('/')}/{table}")
    return args


def pipeline_of(spark: SparkSession, args: argparse.Namespace) -> Any:
    """The pipeline, or its stand-in in plain Spark where the wheel can't be imported."""
    try:
        from funnelpulse.spark import create_pipeline
    except ImportError as error:
        if args.on_error == "raise":
            raise
        from advanced_anomaly_detection.spark_native import SparkNativePipeline

        return SparkNativePipeline(spark, reason=f"{type(error).__name__}: {error}")
    return create_pipeline(spark, args.config, site_column=args.site_column, on_error=args.on_error)


def write_legacy(spark: SparkSession, written: str, path: str) -> None:
    """The old table, from the new one."""
    rows: DataFrame = spark.read.parquet(written)
    columns = [F.col(name).cast(kind).alias(name) for name, kind in LEGACY.items()]
    rows.select(*columns).write.mode("overwrite").partitionBy("window_date").parquet(path)


def main(given: list[str] | None = None) -> int:
    """Runs the job; 0 if the tables are written."""
    args = arguments(given)
    logging.basicConfig(level=args.log_level, stream=sys.stderr, force=True, format=FORMAT)
    started = time.monotonic()
    spark = SparkSession.builder.appName("FunnelPulse 06: Advanced Anomaly Detection").getOrCreate()
    pipeline = pipeline_of(spark, args)
    LOG.info("reading %s", args.input)
    if args.load_models:
        pipeline.load_models(args.load_models)
    statistics = pipeline.run_pipeline(
        args.input, args.output, train_first=not args.load_models, keep_models=bool(args.save_models)
    )
    LOG.info("%s anomalies in %s", statistics["analytics"]["total_anomalies"], args.output)
    if args.save_models:
        pipeline.save_models(args.save_models)
        LOG.info("models in %s", args.save_models)
    if statistics["analytics"]["total_anomalies"] > 0:
        write_legacy(spark, args.output, args.legacy_output)
        LOG.info("old table in %s", args.legacy_output)
    for failure in statistics["failures"]:
        LOG.warning("left out: site %s, series %s: %s", failure["site"], failure["series"], failure["reason"])
    text = json.dumps({**statistics, "seconds": round(time.monotonic() - started, 1)}, indent=1, default=str)
    print(text)
    if args.statistics:
        with open(args.statistics, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
