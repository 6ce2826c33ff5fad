"""The columns of a table on their way into the engine and out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from funnelpulse import Config
from funnelpulse.errors import DataError

#: The column that says which site a row is of; without it the table is one site.
SITE = "site"
#: The site of a table without such a column.
ONLY_SITE = "all"

_MICROS_UTC = pa.timestamp("us", "UTC")
_NUMERIC = (T.NumericType,)
_TIMES = (T.TimestampType, T.TimestampNTZType)

_VERDICT: list[tuple[str, T.DataType]] = [
    ("lstm_anomaly_score", T.DoubleType()),
    ("prophet_anomaly_score", T.DoubleType()),
    ("isolation_forest_anomaly_score", T.DoubleType()),
    ("changepoint_anomaly_score", T.DoubleType()),
    ("zscore_anomaly_score", T.DoubleType()),
    ("incident_anomaly_score", T.DoubleType()),
    ("subsequence_anomaly_score", T.DoubleType()),
    ("ensemble_anomaly_score", T.DoubleType()),
    ("anomaly_confidence", T.DoubleType()),
    ("n_models_flagged", T.LongType()),
    ("is_anomaly", T.BooleanType()),
    ("anomaly_severity", T.StringType()),
    ("anomaly_type", T.StringType()),
    ("expected_value", T.DoubleType()),
    ("prophet_expected_value", T.DoubleType()),
    ("deviation_percentage", T.DoubleType()),
    ("estimated_revenue_impact", T.DoubleType()),
    ("estimated_conversion_loss", T.DoubleType()),
    ("contributing_factors", T.StringType()),
    ("alert_priority", T.StringType()),
    ("alert_id", T.StringType()),
]
_BATCH: list[tuple[str, T.DataType]] = [("rank", T.LongType()), ("models", T.StringType())]
_LIVE: list[tuple[str, T.DataType]] = [
    ("models", T.StringType()),
    ("revision", T.LongType()),
    ("final", T.BooleanType()),
]


@dataclass(frozen=True)
class Layout:
    """The columns that a configuration reads, and those that it writes."""

    time: str
    keys: tuple[str, ...]
    #: Stored metric and its other names.
    metrics: tuple[tuple[str, tuple[str, ...]], ...]
    #: The rate that the output shows beside the stored metrics.
    primary: str

    @classmethod
    def of(cls, config: Config) -> Layout:
        """The columns of the hourly table that `config` describes."""
        settings: dict[str, Any] = config.to_dict()
        table, metrics = settings["input"], settings["input"]["metrics"]
        stored = tuple((m["name"], tuple(m.get("aliases") or ())) for m in metrics if m["kind"] != "rate")
        names = [m["name"] for m in metrics]
        primary = settings["pipeline"].get("metric") or "conversion_rate"
        primary = primary if primary in names else names[0]
        return cls(table["time"], tuple(table["keys"]), stored, primary)

    @property
    def series(self) -> str:
        """The column of the output that names the series."""
        return self.keys[0] if len(self.keys) == 1 else "series"

    @property
    def names(self) -> list[str]:
        """The stored metrics."""
        return [name for name, _ in self.metrics]

    def select(self, table: DataFrame, site: str = SITE) -> DataFrame:
        """The columns that detection reads, of one type each: site, time, keys, metrics.

        Raises `DataError` where one is missing or has another type, before Spark reads a row.
        """
        types = {field.name: field.dataType for field in table.schema.fields}
        chosen = [(F.col(f"`{site}`").cast("string") if site in types else F.lit(ONLY_SITE)).alias(SITE)]
        self._check(self.time, types, _TIMES, "a timestamp")
        chosen.append(F.col(f"`{self.time}`"))
        for key in self.keys:
            self._check(key, types, (T.StringType, T.NumericType), "text")
            chosen.append(F.col(f"`{key}`").cast("string").alias(key))
        for name, aliases in self.metrics:
            found = next((n for n in (name, *aliases) if n in types), name)
            self._check(found, types, _NUMERIC, "a number")
            chosen.append(F.col(f"`{found}`").cast("double").alias(name))
        return table.select(*chosen)

    def _check(self, name: str, types: dict[str, T.DataType], allowed: tuple[type, ...], expected: str) -> None:
        if name not in types:
            raise DataError(f"missing column {name}; the table has {', '.join(types)}")
        if not isinstance(types[name], allowed):
            raise DataError(f"column {name}: expected {expected}, found {types[name].simpleString()}")

    def result(self, live: bool = False) -> T.StructType:
        """The schema of scored rows, of the batch or of the stream."""
        shown = self.names if self.primary in self.names else [*self.names, self.primary]
        fields: list[tuple[str, T.DataType]] = [(SITE, T.StringType()), ("window_start", T.TimestampType())]
        fields += [("window_date", T.DateType()), (self.series, T.StringType())]
        fields += [(name, T.DoubleType()) for name in shown]
        fields += [*_VERDICT, *(_LIVE if live else _BATCH)]
        return T.StructType([T.StructField(name, kind, True) for name, kind in fields])


def sorted_rows(rows: pa.Table, layout: Layout) -> pa.Table:
    """The rows of a site as the engine takes them: without the site, by series and time, in UTC."""
    rows = rows.drop_columns([SITE])
    place = rows.schema.get_field_index(layout.time)
    # A time without a zone is taken as UTC; one with a zone keeps its instant.
    rows = rows.set_column(place, layout.time, rows.column(place).cast(_MICROS_UTC))
    return rows.sort_by([*((key, "ascending") for key in layout.keys), (layout.time, "ascending")])


def arrow_schema(schema: T.StructType) -> pa.Schema:
    """The Arrow types that Spark expects for `schema`: times in UTC, whatever the time zone of the session is."""
    kinds: dict[type, pa.DataType] = {
        T.DoubleType: pa.float64(),
        T.LongType: pa.int64(),
        T.BooleanType: pa.bool_(),
        T.StringType: pa.string(),
        T.BinaryType: pa.binary(),
        T.DateType: pa.date32(),
        T.TimestampType: _MICROS_UTC,
    }
    return pa.schema([pa.field(f.name, kinds[type(f.dataType)]) for f in schema.fields])


def conform(table: pa.Table, schema: pa.Schema, **constants: Any) -> pa.Table:
    """`table` with exactly the columns of `schema`: others are dropped, missing ones are null.

    `constants` are columns with one value.
    """
    count = table.num_rows
    columns = []
    for field in schema:
        if field.name in constants:
            columns.append(pa.repeat(pa.scalar(constants[field.name], field.type), count))
        elif field.name not in table.column_names:
            columns.append(pa.nulls(count, field.type))
        elif field.name == "window_date":
            columns.append(table["window_start"].cast(_MICROS_UTC).cast(pa.date32()))
        else:
            columns.append(table[field.name].cast(field.type))
    return pa.table(columns, schema=schema)
