"""The batch pipeline: one job per table, one group per site, nothing collected on the driver."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa
from advanced_anomaly_detection import spark_native
from pyspark import StorageLevel
from pyspark.sql import DataFrame, GroupedData, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

import funnelpulse.errors
from funnelpulse import Config
from funnelpulse.errors import DataError, FunnelPulseError, ModelError
from funnelpulse.spark.events import hourly, is_events
from funnelpulse.spark.schema import SITE, Layout, arrow_schema
from funnelpulse.spark.worker import (
    DETAIL,
    DETECTORS,
    MODEL,
    RECORD,
    ROW,
    SERIES_FAILURE,
    SITE_FAILURE,
    SITE_TOTALS,
    TRAINED,
    Job,
)

LOG = logging.getLogger("funnelpulse.spark")

ENGINE = "funnelpulse"
#: Why a detector of the original system has no series.
NOT_SCORED = "not a detector of this configuration, or no series has enough history for it"
#: Failures that the statistics name; all are counted.
NAMED_FAILURES = 100
MODELS = T.StructType([T.StructField(SITE, T.StringType()), T.StructField(MODEL, T.BinaryType())])


def create_pipeline(spark: SparkSession, config: Any = None, **options: Any) -> SparkPipeline:
    """A pipeline on this session. `config` is whatever `funnelpulse.Config` takes; options as in `SparkPipeline`."""
    return SparkPipeline(spark, config, **options)


class SparkPipeline:
    """Trains and scores the sites of a table where their rows are.

    `site_column` says which site a row is of (a table without it is one site). With `on_error="fallback"` a
    site that can't be scored gets the z-score of plain Spark, with a warning and the reason in the statistics;
    with `"raise"` the error is raised. `partitions` is the number of tasks, by default
    `spark.sql.shuffle.partitions`.

    What a job finds is kept on the executors' disks, so that it is computed once. `run_pipeline` frees it at its end,
    and models are freed when others take their place. The tables that `detect` and `train_and_detect` return are kept
    until `unpersist`, or until the session ends.
    """

    def __init__(
        self,
        spark: SparkSession,
        config: Any = None,
        *,
        site_column: str = SITE,
        on_error: str = "fallback",
        partitions: int | None = None,
    ) -> None:
        if on_error not in ("fallback", "raise"):
            raise ValueError(f"on_error: expected fallback or raise, found {on_error}")
        self.spark = spark
        self.config = config if isinstance(config, Config) else Config(config)
        self.layout = Layout.of(self.config)
        self.site_column, self.on_error = site_column, on_error
        self.partitions = partitions or int(spark.conf.get("spark.sql.shuffle.partitions", "200") or 200)
        self._models: DataFrame | None = None
        # The rows that the last job trained on without keeping its models.
        self._history: DataFrame | None = None
        # Kept rows that only the models are read from, and those that a table of the caller is read from.
        self._owned: DataFrame | None = None
        self._handed_out: list[DataFrame] = []
        self._missing: str | None = None
        self._statistics: dict[str, Any] = {}
        # Sums of the anomalies of the last job, by severity and type.
        self._groups: list[Any] = []

    def train(self, table: DataFrame, train_split: float = 1.0) -> dict[str, Any]:
        """Trains a model per site on the first `train_split` of its hours. Returns statistics."""
        records, _ = self._run(table, train=True, score=False, keep_models=True, train_split=train_split)
        if records is not None:
            self._own(records)
        self._statistics = self._report(records)
        return dict(self._statistics["training"])

    def detect(self, table: DataFrame) -> DataFrame:
        """Every row of `table` with its verdict, by the models of `train` or `load_models`. Runs the job."""
        self._require_models()
        return self._hand_out(*self._run(table, train=False, score=True))

    def train_and_detect(self, table: DataFrame, *, keep_models: bool = False) -> DataFrame:
        """Trains on `table` and scores the same rows: `funnelpulse run`. Runs the job.

        Models that only score the rows that they were trained on take a third less time to train. `keep_models` makes
        those that score other rows too; without it `detect` and `save_models` train again on `table` when they need them.
        """
        return self._hand_out(*self._run(table, train=True, score=True, keep_models=keep_models))

    def run_pipeline(
        self, input_path: str, output_path: str, train_first: bool = True, *, keep_models: bool = False
    ) -> dict[str, Any]:
        """Reads Parquet from `input_path`, writes the anomalies to `output_path`, partitioned by `window_date`.

        `keep_models` is that of `train_and_detect`. Returns the statistics: `training`, `analytics`, `engine`,
        `fallback_reason`, totals, failures, and `engine_seconds`, the processor time of training and scoring on the
        executors.
        """
        table = self.spark.read.parquet(input_path)
        if not train_first:
            self._require_models()
        # The other rows need not leave the executors.
        records, rows = self._run(table, train=train_first, score=True, keep_models=keep_models, all_rows=False)
        has_models = records is not None and train_first and keep_models
        if has_models:
            self._own(records)
        try:
            scored = self._scored(records, rows)
            spark_native.write(scored, output_path)
            # The sums of the last job lack the rows of a fallback.
            groups = self._groups if self._statistics["fallback_reason"] is None else None
            return {**self._statistics, "analytics": spark_native.analytics(scored, self.layout.series, groups)}
        finally:
            if records is not None and not has_models:
                records.unpersist()

    def unpersist(self) -> None:
        """Frees the executors' disks of scored rows and models. What is used afterwards is computed again."""
        self._own(None)
        for records in self._handed_out:
            records.unpersist()
        self._handed_out.clear()

    @property
    def statistics(self) -> dict[str, Any]:
        """Those of the last job: totals, failures, engine, reason of a fallback."""
        return dict(self._statistics)

    def save_models(self, path: str) -> None:
        """Saves the models as a Parquet table, replacing the one at `path`: one folder per site."""
        keyed = self._require_models().withColumn("site_key", site_key(F.col(SITE)))
        keyed.write.mode("overwrite").partitionBy("site_key").parquet(path)

    def load_models(self, path: str) -> None:
        """Takes the models that `save_models` wrote."""
        self._own(None)
        self._models, self._history = self.spark.read.schema(MODELS).parquet(path).select(SITE, MODEL), None

    # The steps of the original pipeline, for code that calls them one by one.

    def load_data(self, input_path: str) -> DataFrame:
        """The table at `input_path`."""
        return self.spark.read.parquet(input_path)

    def prepare_features(self, table: DataFrame) -> DataFrame:
        """`table` as it is: every detector computes its own features."""
        return table

    def train_models(self, table: DataFrame, train_split: float = 0.8) -> dict[str, Any]:
        """`train`, by default on the first 80 % of the hours, as the original did."""
        return self.train(table, train_split)

    def detect_anomalies(self, table: DataFrame) -> DataFrame:
        """`detect`."""
        return self.detect(table)

    def apply_ensemble(self, scored: DataFrame) -> DataFrame:
        """`scored` as it is: `detect` has combined the scores."""
        return scored

    def run_analytics(self, scored: DataFrame) -> dict[str, Any]:
        """Totals of the anomalies."""
        return spark_native.analytics(scored, self.layout.series)

    def save_results(self, scored: DataFrame, output_path: str) -> None:
        """Writes the anomalies, partitioned by `window_date`."""
        spark_native.write(scored, output_path)

    def _require_models(self) -> DataFrame:
        """The models; those that a job did not keep are trained when they are first needed."""
        if self._models is None and self._history is not None:
            LOG.info("training again, since the last job did not keep its models")
            records = self._records(self._history, train=True, score=False, keep_models=True)
            self._own(records)
            self._models = trained(records)
        if self._models is None:
            raise ModelError("there is no model: call train, run_pipeline or load_models first")
        return self._models

    def _run(
        self,
        table: DataFrame,
        train: bool,
        score: bool,
        keep_models: bool = False,
        all_rows: bool = True,
        train_split: float = 1.0,
    ) -> tuple[DataFrame | None, DataFrame]:
        """The records of all sites, computed when they are first needed, and the rows they are of."""
        rows = self.layout.select(hourly(table) if is_events(table) else table, self.site_column)
        rows = rows.withColumn(SITE, F.coalesce(SITE, F.lit("(none)")))
        reason = self._missing_on_executors()
        if reason is not None:
            if self.on_error == "raise":
                raise FunnelPulseError(reason)
            spark_native.warn(reason)
            return None, rows
        records = self._records(rows, train, score, keep_models, all_rows, train_split)
        if train:
            self._own(None)
            self._models, self._history = (trained(records), None) if keep_models else (None, rows)
        return records, rows

    def _records(
        self,
        rows: DataFrame,
        train: bool,
        score: bool,
        keep_models: bool = False,
        all_rows: bool = True,
        train_split: float = 1.0,
    ) -> DataFrame:
        schema = records_schema(self.layout)
        columns = arrow_schema(schema)
        job = Job(self.config.to_toml(), self.layout, columns, train, score, keep_models, all_rows, train_split)
        given = rows.withColumn(MODEL, F.lit(None).cast("binary"))
        if not train:
            given = given.unionByName(self._require_models(), allowMissingColumns=True)
        return by_site(given, job, schema, self.partitions).persist(StorageLevel.DISK_ONLY)

    def _own(self, records: DataFrame | None) -> None:
        """Keeps the rows that the models are read from, and frees those of the models before."""
        if self._owned is not None:
            self._owned.unpersist()
        self._owned = records

    def _hand_out(self, records: DataFrame | None, rows: DataFrame) -> DataFrame:
        """The scored rows for the caller, who may read them at any time."""
        if records is not None:
            self._handed_out.append(records)
        return self._scored(records, rows)

    def _scored(self, records: DataFrame | None, rows: DataFrame) -> DataFrame:
        """The scored rows, with the z-score for sites that have none."""
        schema = self.layout.result()
        if records is None:
            self._statistics = {**self._empty(), "engine": spark_native.ENGINE, "fallback_reason": self._missing}
            return conformed(self._zscore(rows), schema)
        statistics = self._report(records)
        self._statistics = statistics
        scored = records.filter(F.col(RECORD) == ROW).select(*schema.fieldNames())
        if statistics["failed_sites"] == 0:
            return scored
        spark_native.warn(statistics["fallback_reason"])
        failed = records.filter(F.col(RECORD) == SITE_FAILURE).select(SITE)
        rest = self._zscore(rows.join(F.broadcast(failed), SITE, "left_semi"))
        return scored.unionByName(conformed(rest, schema))

    def _zscore(self, rows: DataFrame) -> DataFrame:
        missing = [name for name in spark_native.NEEDED if name not in rows.columns]
        if missing:
            raise DataError(f"the z-score needs the columns {', '.join(missing)}, which this configuration has not")
        return spark_native.zscore(rows, (SITE, *self.layout.keys))

    def _empty(self) -> dict[str, Any]:
        counts = {"sites": 0, "series": 0, "rows": 0, "failed_sites": 0, "failed_series": 0}
        return {"engine": ENGINE, "fallback_reason": None, "training": {}, "analytics": {}, **counts, "failures": []}

    def _report(self, records: DataFrame | None) -> dict[str, Any]:
        """Statistics of a job: sums that Spark makes, and the first failures."""
        found = self._empty()
        if records is None:
            return {**found, "engine": spark_native.ENGINE, "fallback_reason": self._missing}
        names = ["rows", "series", "engine_micros", *DETECTORS]
        detail = F.from_json(F.when(F.col(RECORD) == SITE_TOTALS, F.col(DETAIL)), _longs(names))
        relevant = records.filter((F.col(RECORD) != ROW) | F.col("is_anomaly"))
        by = relevant.groupBy(RECORD, "anomaly_severity", "anomaly_type")
        # Few groups: kinds of record, severities times types of anomalies.
        groups = by.agg(*(F.sum(detail[name]).alias(name) for name in names), *spark_native.impact_sums(records))
        groups = groups.collect()
        self._groups = [group for group in groups if group[RECORD] == ROW]
        kinds = {group[RECORD]: group for group in groups if group[RECORD] != ROW}
        sums = {kind: kinds[kind]["n"] if kind in kinds else 0 for kind in (SITE_TOTALS, SITE_FAILURE, SERIES_FAILURE)}
        sums.update({name: kinds[SITE_TOTALS][name] if SITE_TOTALS in kinds else 0 for name in names})
        found.update(sites=sums[SITE_TOTALS] + sums[SITE_FAILURE], rows=sums["rows"], series=sums["series"])
        found["engine_seconds"] = sums["engine_micros"] / 1e6
        found.update(failed_sites=sums[SITE_FAILURE], failed_series=sums[SERIES_FAILURE])
        found["training"] = {
            name: {"series": sums[name]} if sums[name] else {"skipped": NOT_SCORED} for name in DETECTORS
        }
        if sums[SITE_FAILURE] or sums[SERIES_FAILURE]:
            found["failures"] = self._failures(records)
        if sums[SITE_FAILURE]:
            first = next(f for f in found["failures"] if f["series"] is None)
            if self.on_error == "raise":
                raise typed(first["type"], f"site {first['site']}: {first['reason']}")
            found["fallback_reason"] = (
                f"{sums[SITE_FAILURE]} of {found['sites']} sites can't be scored; {first['site']}: {first['reason']}"
            )
            if sums[SITE_FAILURE] == found["sites"]:
                found["engine"] = spark_native.ENGINE
        return found

    def _failures(self, records: DataFrame) -> list[dict[str, Any]]:
        failed = records.filter(F.col(RECORD).isin(SITE_FAILURE, SERIES_FAILURE)).select(RECORD, SITE, DETAIL)
        # Sites before series.
        first = failed.orderBy(F.desc(RECORD), SITE, DETAIL).limit(NAMED_FAILURES).collect()
        details = [(row[SITE], json.loads(row[DETAIL])) for row in first]
        return [
            {"site": site, "series": d.get("series"), "type": d.get("type", "DataError"), "reason": d["message"]}
            for site, d in details
        ]

    def _missing_on_executors(self) -> str | None:
        """Why the wheel can't be used on an executor; asked once."""
        if self._missing is None:
            self._missing = probe(self.spark)
        return self._missing or None


def records_schema(layout: Layout) -> T.StructType:
    """Scored rows and the columns of other records."""
    extra = [T.StructField(RECORD, T.StringType()), T.StructField(DETAIL, T.StringType())]
    return T.StructType([*layout.result().fields, *extra, T.StructField(MODEL, T.BinaryType())])


def _longs(names: list[str]) -> str:
    """The schema of JSON with these whole numbers."""
    return ", ".join(f"{name} long" for name in names)


def trained(records: DataFrame) -> DataFrame:
    """The models among the records."""
    return records.filter(F.col(RECORD) == TRAINED).select(SITE, MODEL)


class SiteJob(Protocol):
    """Work on the rows of one site."""

    def of_group(self, rows: pa.Table) -> pa.Table: ...

    def of_partition(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]: ...


def by_site(rows: DataFrame, job: SiteJob, schema: T.StructType, partitions: int) -> DataFrame:
    """Applies a job to the rows of each site."""

    # Spark takes a function with two parameters, which a method is to it, for one that wants the key too.
    def of_group(group: pa.Table) -> pa.Table:
        return job.of_group(group)

    # A number of partitions that is given is one that adaptive execution keeps: it would put many small
    # sites into one task. One partition needs no shuffle.
    spread = rows.repartition(partitions, SITE) if partitions > 1 else rows.coalesce(1)
    if hasattr(GroupedData, "applyInArrow"):
        return spread.groupBy(SITE).applyInArrow(of_group, schema)
    return spread.sortWithinPartitions(SITE).mapInArrow(job.of_partition, schema)


def conformed(rows: DataFrame, schema: T.StructType) -> DataFrame:
    """`rows` with exactly these columns."""
    have = set(rows.columns)
    columns = [
        (F.col(f.name).cast(f.dataType) if f.name in have else F.lit(None).cast(f.dataType)).alias(f.name)
        for f in schema.fields
    ]
    return rows.select(*columns)


def site_key(site: Any) -> Any:
    """A name for the folder of a site, whatever characters the site has; a letter first, so that it stays text."""
    return F.concat(F.lit("s"), F.substring(F.sha2(site, 256), 1, 24))


def typed(name: str, message: str) -> Exception:
    """An error of an executor under its own type."""
    kind = getattr(funnelpulse.errors, name, FunnelPulseError)
    return kind(message) if kind is not FunnelPulseError else FunnelPulseError(f"{name}: {message}")


def probe(spark: SparkSession) -> str:
    """Why an executor can't import the wheel, or an empty text. Asks as many tasks as the cluster runs at a time."""

    # Defined here, so that it travels by value: a function of this module would need the wheel to be read.
    def imported(batches: Any) -> Any:
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        try:
            import funnelpulse.spark.worker  # noqa: F401
        except Exception as error:  # noqa: BLE001
            reason = f"{type(error).__name__}: {error}; its interpreter is {sys.executable}"
            yield pa.RecordBatch.from_pydict({"reason": [reason]})

    rows = spark.range(1).mapInArrow(imported, "reason string").collect()
    reasons = sorted(row[0] for row in rows)
    return f"an executor can't import funnelpulse ({reasons[0]}, set by PYSPARK_PYTHON)" if reasons else ""
