"""Events as they come: Structured Streaming around the live pipeline.

Spark closes hours by event time and watermark, and drops events that were sent twice. What a batch closed goes
to `LiveJob`, site by site, whose state lies beside the checkpoint. A batch that is repeated after a crash finds
the state from before it and replaces its own output.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from funnelpulse import Config
from funnelpulse.errors import ConfigError
from funnelpulse.spark.batch import by_site
from funnelpulse.spark.events import EVENT, IDENTITY, hourly
from funnelpulse.spark.live import LiveJob
from funnelpulse.spark.schema import ONLY_SITE, SITE, Layout, arrow_schema

LOG = logging.getLogger("funnelpulse.spark")

#: Settings of the stream. Names and values are those of the original system where it had them.
DEFAULTS: dict[str, Any] = {
    "kafka_bootstrap_servers": "localhost:9092",
    "kafka_topic_input": "funnelpulse_events",
    "kafka_topic_output": "funnelpulse_anomalies",
    "kafka_options": {},
    "starting_offsets": "latest",
    "max_offsets_per_trigger": None,
    "file_format": "parquet",
    "max_files_per_trigger": None,
    "rows_per_second": 1000,
    "checkpoint_location": "checkpoints/funnelpulse",
    "trigger_interval": "5 minutes",
    "watermark_delay": "10 minutes",
    # Columns by which an event that was sent twice is known.
    "identity": IDENTITY,
    # A table of `save_models`; without it, a site is trained on its own first hours.
    "model_path": None,
    # Two weeks: the shortest history in which each hour of the week occurs twice.
    "training_hours": 336,
    "partitions": None,
    "query_name": "funnelpulse_anomalies",
    # The configuration of the pipeline: whatever `funnelpulse.Config` takes.
    "pipeline": None,
}
#: Settings of the original that have no meaning here, with the reason.
IGNORED = {
    "sliding_window_size": "hours are judged once, when they are over",
    "sliding_window_slide": "hours are judged once, when they are over",
}
#: Trigger that reads what is there and ends.
AVAILABLE_NOW = "available now"
#: The source "rate": seconds of event time per row, brands, and the first event.
RATE_SECONDS, RATE_BRANDS, RATE_START = 6, 5, 1_570_000_000

Sink = Callable[[DataFrame, int], None]


def create_realtime_detector(spark: SparkSession, config: dict[str, Any] | None = None) -> RealtimeDetector:
    """A detector on this session; `config` has settings of `DEFAULTS`."""
    return RealtimeDetector(spark, config)


class RealtimeDetector:
    """Follows events from Kafka or files, and writes the verdict on each hour."""

    def __init__(self, spark: SparkSession, config: dict[str, Any] | None = None) -> None:
        given = dict(config or {})
        for name in [name for name in given if name in IGNORED]:
            warnings.warn(f"{name} is ignored: {IGNORED[name]}", UserWarning, stacklevel=3)
            del given[name]
        unknown = sorted(set(given) - set(DEFAULTS))
        if unknown:
            raise ConfigError(f"unknown setting {unknown[0]}; there are {', '.join(DEFAULTS)}")
        self.spark = spark
        self.config: dict[str, Any] = {**DEFAULTS, **given}
        self.pipeline = Config(self.config["pipeline"])
        self.layout = Layout.of(self.pipeline)
        #: Rows of the output "memory", by batch.
        self.memory: dict[int, list[Any]] = {}

    def start_streaming_pipeline(
        self,
        source_type: str = "kafka",
        source_path: str | None = None,
        output_type: str = "parquet",
        output_path: str | None = None,
    ) -> Any:
        """Starts the query: events of `"kafka"`, `"file"` or `"rate"` in, rows to `"parquet"`, `"kafka"`,
        `"console"` or `"memory"` out. Returns Spark's `StreamingQuery`.
        """
        events = self._source(source_type, source_path)
        sink = self._sink(output_type, output_path)
        hours = hourly(events, self.config["identity"], self.config["watermark_delay"])
        writer = hours.writeStream.outputMode("append").queryName(self.config["query_name"])
        writer = writer.option("checkpointLocation", self.config["checkpoint_location"])
        trigger = self.config["trigger_interval"]
        writer = (
            writer.trigger(availableNow=True) if trigger == AVAILABLE_NOW else writer.trigger(processingTime=trigger)
        )

        def detect(batch: DataFrame, number: int) -> None:
            self.detect_batch(batch, number, sink)

        return writer.foreachBatch(detect).start()

    def detect_batch(self, hours: DataFrame, number: int, sink: Sink) -> None:
        """Judges the hours that a batch closed."""
        # The plan of a batch runs the stream's own state, so it is computed once.
        hours = hours.persist()
        try:
            sites = count_sites(hours)
            if sites > 0:
                sink(self.scored(hours, number, sites), number)
        finally:
            hours.unpersist()

    def scored(self, hours: DataFrame, number: int, sites: int) -> DataFrame:
        """The verdicts that the hours of batch `number` bring; they are of about `sites` sites."""
        # The session of a batch is a copy of the one that started the query.
        spark = hours.sparkSession
        schema = self.layout.result(live=True)
        job = LiveJob(
            self.pipeline.to_toml(),
            self.layout,
            arrow_schema(schema),
            f"{self.config['checkpoint_location'].rstrip('/')}/funnelpulse-state",
            self.config["model_path"],
            self.config["training_hours"],
            number,
        )
        partitions = self.config["partitions"] or int(spark.conf.get("spark.sql.shuffle.partitions") or 200)
        # No more tasks than sites: a Python process that is started for an empty task takes the next batch of a site
        # from the one that keeps its live pipeline, and would have to restore it.
        return by_site(self.layout.select(hours), job, schema, max(min(partitions, sites), 1))

    def stop_all_streams(self) -> None:
        """Stops every query of the session."""
        for query in self.spark.streams.active:
            query.stop()

    def read_from_kafka(self, topic: str | None = None, bootstrap_servers: str | None = None) -> DataFrame:
        """Events of a topic, as JSON objects. What is no JSON has no time, and is left out."""
        reader = self.spark.readStream.format("kafka")
        reader = reader.option("kafka.bootstrap.servers", bootstrap_servers or self.config["kafka_bootstrap_servers"])
        reader = reader.option("subscribe", topic or self.config["kafka_topic_input"])
        reader = reader.option("startingOffsets", self.config["starting_offsets"])
        if self.config["max_offsets_per_trigger"]:
            reader = reader.option("maxOffsetsPerTrigger", self.config["max_offsets_per_trigger"])
        reader = reader.options(**{f"kafka.{name}": value for name, value in self.config["kafka_options"].items()})
        return reader.load().select(F.from_json(F.col("value").cast("string"), EVENT).alias("e")).select("e.*")

    def read_from_file_stream(self, path: str) -> DataFrame:
        """Events of a folder in which files appear."""
        reader = self.spark.readStream.schema(EVENT)
        if self.config["max_files_per_trigger"]:
            reader = reader.option("maxFilesPerTrigger", self.config["max_files_per_trigger"])
        return reader.format(self.config["file_format"]).load(path)

    def read_from_rate(self) -> DataFrame:
        """Events for a try without any data: one every few seconds of a time that runs fast."""
        rows = self.spark.readStream.format("rate").option("rowsPerSecond", self.config["rows_per_second"]).load()
        dice = F.pmod(F.hash("value"), F.lit(100))
        kind = F.when(dice < 75, "view").when(dice < 93, "cart").otherwise("purchase")
        return rows.select(
            F.timestamp_seconds(F.lit(RATE_START) + F.col("value") * RATE_SECONDS).alias("event_time"),
            kind.alias("event_type"),
            F.concat(F.lit("brand_"), F.pmod("value", F.lit(RATE_BRANDS)).cast("string")).alias("brand"),
            F.col("value").cast("string").alias("user_session"),
            F.lit(9.5).alias("price"),
        )

    def _source(self, kind: str, path: str | None) -> DataFrame:
        if kind == "kafka":
            return self.read_from_kafka()
        if kind == "rate":
            return self.read_from_rate()
        if kind == "file":
            if not path:
                raise ValueError("source_type file needs source_path")
            return self.read_from_file_stream(path)
        raise ValueError(f"source_type: expected kafka, file or rate, found {kind}")

    def _sink(self, kind: str, path: str | None) -> Sink:
        root = path or f"{self.config['checkpoint_location'].rstrip('/')}/output"
        sinks: dict[str, Sink] = {
            "parquet": lambda rows, number: self._to_parquet(rows, number, root),
            "kafka": self._to_kafka,
            "console": lambda rows, number: rows.show(truncate=False),
            "memory": self._to_memory,
        }
        if kind not in sinks:
            raise ValueError(f"output_type: expected {', '.join(sinks)}, found {kind}")
        return sinks[kind]

    def _to_parquet(self, rows: DataFrame, number: int, root: str) -> None:
        """A folder per batch: a repeated batch replaces its own."""
        rows.write.mode("overwrite").partitionBy("window_date").parquet(f"{root.rstrip('/')}/batch={number}")

    def _to_kafka(self, rows: DataFrame, number: int) -> None:
        """JSON objects; the key is series and hour, so that a compacted topic keeps the newest revision."""
        key = F.concat_ws("@", SITE, self.layout.series, F.col("window_start").cast("string"))
        messages = rows.select(key.alias("key"), F.to_json(F.struct("*")).alias("value"))
        writer = messages.write.format("kafka").option("topic", self.config["kafka_topic_output"])
        writer = writer.option("kafka.bootstrap.servers", self.config["kafka_bootstrap_servers"])
        writer.options(**{f"kafka.{name}": value for name, value in self.config["kafka_options"].items()}).save()

    def _to_memory(self, rows: DataFrame, number: int) -> None:
        """A temporary view with the name of the query, for tries: like Spark's own, on the driver."""
        self.memory[number] = rows.collect()
        every = [row for number in sorted(self.memory) for row in self.memory[number]]
        self.spark.createDataFrame(every, rows.schema).createOrReplaceTempView(self.config["query_name"])


def count_sites(hours: DataFrame) -> int:
    """About how many sites there are; 0 exactly if there are no rows."""
    site = F.col(SITE) if SITE in hours.columns else F.lit(ONLY_SITE)
    return int(hours.agg(F.approx_count_distinct(site)).collect()[0][0])
