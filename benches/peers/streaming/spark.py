"""Files of a folder to hourly windows by event time, deduplicated, with Spark: spark.py json|parquet FOLDER WARM-UP-FOLDER.

Prints processor seconds of the Java process, the rows and the events in them as one line of JSON."""
import json, pathlib, sys, tempfile

from pyspark.sql import SparkSession, functions as f

SCHEMA = ("event_time TIMESTAMP, event_type STRING, product_id BIGINT, brand STRING, price DOUBLE, user_id BIGINT,"
          " user_session STRING")
#: Ticks of the system's clock per second.
TICKS = 100


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def windows(spark, kind, folder):
    """Rows, and the events in them."""
    is_step = lambda step: f.when(f.col("event_type") == step, 1).otherwise(0)
    events = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).format(kind).load(folder)
    rows = (
        events.withWatermark("event_time", "600 seconds")
        .dropDuplicatesWithinWatermark(["event_time", "event_type", "product_id", "user_id", "user_session"])
        .groupBy(f.window("event_time", "1 hour"), "brand")
        .agg(
            f.sum(is_step("view")).alias("views"),
            f.sum(is_step("cart")).alias("carts"),
            f.sum(is_step("purchase")).alias("purchases"),
            f.sum(f.when(f.col("event_type") == "purchase", f.col("price")).otherwise(0.0)).alias("revenue"),
        )
    )
    with tempfile.TemporaryDirectory() as out:
        query = (
            rows.writeStream.format("parquet").outputMode("append").option("path", f"{out}/rows")
            .option("checkpointLocation", f"{out}/checkpoints").trigger(availableNow=True).start()
        )
        query.awaitTermination()
        found = spark.read.parquet(f"{out}/rows")
        counted = found.agg(f.count("*"), f.sum(f.col("views") + f.col("carts") + f.col("purchases"))).first()
        return counted[0], counted[1]


def main():
    kind, folder, warm_up = sys.argv[1:]
    spark = (
        SparkSession.builder.master("local[1]").config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "3g").getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    java = spark.sparkContext._gateway.proc.pid
    windows(spark, kind, warm_up)
    before = processor_seconds(java)
    rows, counted = windows(spark, kind, folder)
    print(json.dumps({"seconds": processor_seconds(java) - before, "rows": rows, "counted": counted}), flush=True)


if __name__ == "__main__":
    main()
