"""From events to the hourly table, in Spark's own expressions: the same for tables and for streams."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from funnelpulse.spark.schema import ONLY_SITE, SITE

#: The columns of an event; a source may lack those that have no part in the sums.
EVENT = T.StructType(
    [
        T.StructField("event_time", T.TimestampType()),
        T.StructField("event_type", T.StringType()),
        T.StructField("brand", T.StringType()),
        T.StructField("user_session", T.StringType()),
        T.StructField("price", T.DoubleType()),
        T.StructField("product_id", T.StringType()),
        T.StructField("user_id", T.StringType()),
        T.StructField(SITE, T.StringType()),
    ]
)
#: Two events that agree in these are one event that was sent twice.
IDENTITY = ("site", "event_time", "event_type", "brand", "product_id", "user_id", "user_session", "price")
#: The series of events without a brand.
NO_BRAND = "(none)"
#: Prices are added up exactly, so that the sum does not depend on the order in which Spark adds.
PRICE = "decimal(28,8)"


def is_events(table: DataFrame) -> bool:
    """True for a table of events, false for one that has hours already."""
    return "event_time" in table.columns and "event_type" in table.columns and "window_start" not in table.columns


def with_all_columns(events: DataFrame) -> DataFrame:
    """The columns of an event, null where the table has none; names in lower case, without blanks around them."""
    have = set(events.columns)
    columns = [
        (F.col(f.name).cast(f.dataType) if f.name in have else F.lit(None).cast(f.dataType)).alias(f.name)
        for f in EVENT.fields
    ]
    brand = F.lower(F.trim("brand"))
    known = events.select(*columns)
    known = known.withColumn("brand", F.when(brand != "", brand).otherwise(NO_BRAND))
    known = known.withColumn("brand", F.coalesce("brand", F.lit(NO_BRAND)))
    return known.withColumn(SITE, F.coalesce(SITE, F.lit(ONLY_SITE)))


def hourly(events: DataFrame, identity: Sequence[str] = IDENTITY, watermark: str | None = None) -> DataFrame:
    """Views, carts, purchases and revenue per site, hour and brand; each event counts once.

    `watermark` is for streams: how much later than the newest event an event may come, `"10 minutes"`.
    """
    events = with_all_columns(events)
    if watermark is None:
        events = events.dropDuplicates(list(identity))
    else:
        events = events.withWatermark("event_time", watermark).dropDuplicatesWithinWatermark(list(identity))
    is_a = {kind: F.col("event_type") == kind for kind in ("view", "cart", "purchase")}
    price = F.when(is_a["purchase"], F.col("price").cast(PRICE))
    hours = events.groupBy(SITE, F.window("event_time", "1 hour").alias("hour"), "brand").agg(
        *(F.count(F.when(is_a[kind], 1)).cast("double").alias(f"{kind}s") for kind in is_a),
        F.coalesce(F.sum(price).cast("double"), F.lit(0.0)).alias("revenue"),
    )
    counted = F.col("views") + F.col("carts") + F.col("purchases") > 0
    start = F.col("hour.start").alias("window_start")
    return hours.filter(counted).select(SITE, start, "brand", "views", "carts", "purchases", "revenue")
