"""Detection on the rows of one site, on an executor: Arrow in, Arrow out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from funnelpulse.spark.schema import SITE, Layout, conform, sorted_rows

#: Columns beside those of a scored row: what the record is, details as JSON, a model.
RECORD, DETAIL, MODEL = "_record", "_detail", "_model"
#: Kinds of record.
ROW, SITE_TOTALS, SITE_FAILURE, SERIES_FAILURE, TRAINED = "row", "totals", "site_failure", "series_failure", "model"

#: The detectors of the original system, by the column of their score.
DETECTORS = {
    "lstm": "lstm_anomaly_score",
    "prophet": "prophet_anomaly_score",
    "isolation_forest": "isolation_forest_anomaly_score",
    "changepoint": "changepoint_anomaly_score",
}


@dataclass(frozen=True)
class Job:
    """What an executor does with a site. It travels with the function, so it is small."""

    config: str
    layout: Layout
    schema: pa.Schema
    #: Train on the rows; else score with the model that is among them.
    train: bool
    #: Score the rows.
    score: bool
    #: The model is a record of the result.
    keep_model: bool
    #: Every scored row is a record of the result; else the anomalies are.
    all_rows: bool
    #: Share of a site's hours, from the first one on, that training sees.
    train_split: float = 1.0

    def of_group(self, rows: pa.Table) -> pa.Table:
        """All records of one site."""
        use_task_cores()
        site = rows[SITE][0].as_py()
        if rows[MODEL].null_count == 0:
            # A model, and no row to score with it.
            return self.schema.empty_table()
        try:
            return pa.concat_tables(self._records(site, rows))
        # Whatever is wrong with a site must not stop the others.
        except Exception as error:  # noqa: BLE001
            return self._record(site, SITE_FAILURE, describe(error))

    def of_partition(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same for a partition that is sorted by site: for Spark without `applyInArrow`."""
        for rows in groups(batches):
            yield from self.of_group(rows).to_batches()

    def _records(self, site: str, rows: pa.Table) -> Iterator[pa.Table]:
        import funnelpulse as fp

        is_model = pc.is_valid(rows[MODEL])
        models, rows = rows.filter(is_model)[MODEL], sorted_rows(rows.filter(pc.invert(is_model)), self.layout)
        rows = rows.drop_columns([MODEL])
        started = time.process_time()
        findings: fp.Findings | None = None
        model: fp.FittedPipeline | None = None
        if not self.train:
            if len(models) == 0:
                raise fp.ModelError(f"there is no model of site {site}; train on it, or load a model that has it")
            model = fp.FittedPipeline.from_bytes(models[0].as_py())
            findings = model.detect(rows)
        elif self.score and self.train_split >= 1.0:
            pipeline = fp.Pipeline(fp.Config(self.config))
            if self.keep_model:
                model, findings = pipeline.fit_run(rows)
            else:
                findings = pipeline.run(rows)
        else:
            model = fp.Pipeline(fp.Config(self.config)).fit(first_hours(rows, self.layout.time, self.train_split))
            if self.score:
                findings = model.detect(rows)
        if findings is not None and findings.rows == 0 and findings.failures:
            series, reason = findings.failures[0]
            raise fp.DataError(f"no series can be scored; {series}: {reason}")
        if findings is not None:
            scored = findings.to_arrow(all_rows=True)
        data = model.to_bytes() if model is not None and self.keep_model else None
        engine_micros = round(1e6 * (time.process_time() - started))
        if findings is not None:
            shown = scored if self.all_rows else scored.filter(scored["is_anomaly"])
            yield conform(shown, self.schema, **{SITE: site, RECORD: ROW})
            failures = findings.failures
        else:
            scored, failures = rows, model.failures if model is not None else []
        yield self._record(site, SITE_TOTALS, {**totals(scored, self.layout), "engine_micros": engine_micros})
        for series, reason in failures:
            yield self._record(site, SERIES_FAILURE, {"series": series, "message": reason})
        if data is not None:
            yield self._record(site, TRAINED, {}, data)

    def _record(self, site: str, kind: str, detail: dict[str, Any], model: bytes | None = None) -> pa.Table:
        one = pa.table({SITE: pa.array([site], pa.string())})
        return conform(one, self.schema, **{RECORD: kind, DETAIL: json.dumps(detail), MODEL: model})


def use_task_cores() -> None:
    """The engine runs on the cores of the task (`spark.task.cpus`), not on all of the machine for each of them."""
    os.environ.setdefault("RAYON_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))


def describe(error: BaseException) -> dict[str, str]:
    """An error as a record: the driver raises it again under its type."""
    return {"type": type(error).__name__, "message": str(error)}


def totals(rows: pa.Table, layout: Layout) -> dict[str, int]:
    """Rows and series of a site, and the series that each detector scored."""
    if layout.series not in rows.column_names:
        return {"rows": rows.num_rows, "series": rows.group_by(list(layout.keys)).aggregate([]).num_rows}
    series = rows[layout.series].combine_chunks().dictionary_encode()
    found = {"rows": rows.num_rows, "series": len(series.dictionary)}
    for name, column in DETECTORS.items():
        if column in rows.column_names:
            found[name] = len(pc.unique(series.indices.filter(pc.is_valid(rows[column].combine_chunks()))))
    return found


def first_hours(rows: pa.Table, time: str, share: float) -> pa.Table:
    """The rows of the first `share` of the hours."""
    if share >= 1.0:
        return rows
    hours = pc.unique(rows[time]).sort()
    last = hours[max(int(len(hours) * share) - 1, 0)]
    return rows.filter(pc.less_equal(rows[time], last))


def groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of one site after the other, of batches that are sorted by site."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        while batch.num_rows > 0:
            site = waiting[0][SITE][0] if waiting else batch[SITE][0]
            same = pc.sum(pc.equal(batch[SITE], site)).as_py() or 0
            if same:
                waiting.append(batch.slice(0, same))
                batch = batch.slice(same)
            if batch.num_rows > 0:
                yield pa.Table.from_batches(waiting)
                waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
