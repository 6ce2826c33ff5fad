"""Anomaly detection in plain Spark expressions, for when the wheel is not there or fails.

The z-score of a brand's conversion rate against its own mean. It knows neither the hour of the day nor
the number of views behind a rate, so it is a stopgap: `funnelpulse.spark` warns whenever it uses it.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

LOG = logging.getLogger("funnelpulse.spark")

ENGINE = "spark-native z-score"
#: Views from which a row may be an anomaly, and below which a row says nothing about the mean.
MIN_VIEWS_ANOMALY, MIN_VIEWS_BASELINE = 50, 20
#: Standard deviations from which a row is an anomaly, and those of the severities.
Z_ANOMALY = 2.0
SEVERITIES = ((4.0, "critical"), (3.0, "high"), (2.5, "medium"), (Z_ANOMALY, "low"))
#: Series that the statistics name.
NAMED = 20

COUNTS = ("views", "purchases")
NEEDED = ("window_start", "brand", *COUNTS)


def warn(reason: str) -> None:
    """Says loudly that the z-score is used, and why."""
    text = f"falling back to the {ENGINE}: {reason}"
    LOG.warning(text)
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def zscore(rows: DataFrame, by: tuple[str, ...] = ("brand",)) -> DataFrame:
    """The rows with the verdict of the z-score, in the columns of the output table that it can fill.

    `rows` has `window_start`, `brand`, `views`, `purchases`, and `revenue` where it is known; `by` are the
    columns that name a series.
    """
    series = Window.partitionBy(*by)
    rate = F.when(F.col("views") > 0, F.col("purchases") / F.col("views"))
    is_baseline = F.col("views") >= MIN_VIEWS_BASELINE
    learnt = F.when(is_baseline, F.col("conversion_rate"))
    mean, spread = F.avg(learnt).over(series), F.stddev_samp(learnt).over(series)
    found = rows.withColumn("conversion_rate", rate.cast("double"))
    found = found.withColumn("expected_value", mean).withColumn("_spread", spread)
    found = found.withColumn("_z", _z())
    size = F.abs("_z")
    is_anomaly = F.coalesce((F.col("views") >= MIN_VIEWS_ANOMALY) & (size >= Z_ANOMALY), F.lit(False))
    found = found.withColumn("is_anomaly", is_anomaly)
    score = size * size / (size * size + Z_ANOMALY * Z_ANOMALY)
    loss = (F.col("expected_value") - F.col("conversion_rate")) * F.col("views")
    deviation = 100.0 * (F.col("conversion_rate") / F.col("expected_value") - 1.0)
    columns = {
        "window_date": utc_date(F.col("window_start")),
        "zscore_anomaly_score": score,
        "ensemble_anomaly_score": score,
        "n_models_flagged": F.col("is_anomaly").cast("long"),
        "anomaly_severity": _if_anomaly(_severity(size)),
        "anomaly_type": _if_anomaly(F.when(F.col("_z") < 0, "drop").otherwise("spike")),
        "deviation_percentage": F.when(F.col("expected_value") > 0, deviation),
        "estimated_conversion_loss": _if_anomaly(loss),
        "models": F.lit("zscore:fallback"),
    }
    for name, column in columns.items():
        found = found.withColumn(name, column)
    if "revenue" in rows.columns:
        order_value = F.sum("revenue").over(series) / F.sum("purchases").over(series)
        found = found.withColumn("estimated_revenue_impact", _if_anomaly(-loss * order_value))
    return found.drop("_z", "_spread")


def _z() -> Column:
    z = (F.col("conversion_rate") - F.col("expected_value")) / F.col("_spread")
    return F.when(F.col("_spread") > 0, z)


def _if_anomaly(column: Column) -> Column:
    return F.when(F.col("is_anomaly"), column)


def _severity(size: Column) -> Column:
    severity = F.lit(None).cast("string")
    for threshold, name in reversed(SEVERITIES):
        severity = F.when(size >= threshold, name).otherwise(severity)
    return severity


def utc_date(time: Column) -> Column:
    """The date of a time in UTC, whatever the time zone of the session is."""
    days = F.floor(F.unix_micros(time.cast("timestamp")) / F.lit(86_400_000_000))
    return F.date_add(F.lit("1970-01-01").cast("date"), days.cast("int"))


def impact_sums(rows: DataFrame) -> list[Column]:
    """Number, revenue and lost conversions of rows, for an aggregation."""
    revenue = F.col("estimated_revenue_impact") if "estimated_revenue_impact" in rows.columns else F.lit(0.0)
    return [F.count("*").alias("n"), F.sum(revenue).alias("revenue"), F.sum("estimated_conversion_loss").alias("loss")]


def analytics(rows: DataFrame, series: str = "brand", groups: list[Any] | None = None) -> dict[str, Any]:
    """Totals of scored rows, summed up by Spark: only a few numbers reach the driver.

    `groups` are the `impact_sums` of the anomalies by severity and type, if they are known already.
    """
    found = rows.filter("is_anomaly")
    if groups is None:
        # Few groups: severities times types.
        groups = found.groupBy("anomaly_severity", "anomaly_type").agg(*impact_sums(rows)).collect()
    brands = found.groupBy(series).count().orderBy(F.desc("count"), series).limit(NAMED).collect()
    return {
        "total_anomalies": sum(group["n"] for group in groups),
        "total_revenue_impact": sum(group["revenue"] or 0.0 for group in groups),
        "total_conversion_loss": sum(group["loss"] or 0.0 for group in groups),
        "by_severity": _totals(groups, "anomaly_severity"),
        "by_type": _totals(groups, "anomaly_type"),
        "by_brand": {str(row[series]): row["count"] for row in brands},
    }


def _totals(groups: list[Any], name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for group in groups:
        found[str(group[name])] = found.get(str(group[name]), 0) + group["n"]
    return found


def write(rows: DataFrame, path: str) -> None:
    """Replaces the table at `path` by the anomalies among `rows`, partitioned by `window_date`."""
    # One task per date, so that a date is one file and not one small file per task.
    found = rows.filter("is_anomaly").repartition("window_date")
    found.write.mode("overwrite").partitionBy("window_date").parquet(path)


class SparkNativePipeline:
    """The calls of the pipeline, answered by the z-score. It has no models, so nothing is saved."""

    def __init__(self, spark: SparkSession, reason: str | None = None) -> None:
        self.spark = spark
        self.reason = reason or "asked for"
        warn(self.reason)

    def train(self, table: DataFrame, train_split: float = 1.0) -> dict[str, Any]:
        """Nothing to train: the means are those of the rows that are scored."""
        return {"engine": ENGINE, "fallback_reason": self.reason}

    def detect(self, table: DataFrame) -> DataFrame:
        """Every row with its verdict."""
        missing = [name for name in NEEDED if name not in table.columns]
        if missing:
            raise ValueError(f"missing columns: {', '.join(missing)}; the table has {', '.join(table.columns)}")
        return zscore(table, tuple(name for name in ("site", "brand") if name in table.columns))

    def run_pipeline(
        self, input_path: str, output_path: str, train_first: bool = True, *, keep_models: bool = False
    ) -> dict[str, Any]:
        """Reads `input_path`, writes the anomalies to `output_path`, returns the statistics."""
        rows = self.detect(self.spark.read.parquet(input_path))
        write(rows, output_path)
        training = self.train(rows)
        return {**training, "training": training, "analytics": analytics(rows), "rows": rows.count(), "failures": []}
