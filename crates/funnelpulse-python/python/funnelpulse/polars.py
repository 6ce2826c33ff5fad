"""The namespace `fp` of polars' data frames.

import funnelpulse.polars

frame.fp.run()                                     # anomalies of an hourly table
frame.fp.isolation_forest("views", "carts")        # the frame with a column `anomaly_score`
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from funnelpulse import Pipeline
from funnelpulse._convert import optional
from funnelpulse._native import Detector

polars = optional("polars", "polars")

__all__ = ["FunnelPulse"]


@polars.api.register_dataframe_namespace("fp")
class FunnelPulse:
    """What `frame.fp` is. Scores are raw: larger = more anomalous, null where there is none."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def run(self, config: Any = None, *, all_rows: bool = False) -> Any:
        """The anomalies of a table of events or hourly rows, or every row of it."""
        return Pipeline(config).run(self._frame).to_polars(all_rows=all_rows)

    def isolation_forest(self, *columns: str, name: str = "anomaly_score", **settings: Any) -> Any:
        """The frame with the score of an isolation forest; settings are those of `[iforest]`."""
        return self._scored("iforest", columns, None, name, settings)

    def seasonal(self, *columns: str, time: str, name: str = "anomaly_score", **settings: Any) -> Any:
        """The frame with the surprise of each row under Prophet's model; settings are those of `[seasonal]`."""
        return self._scored("seasonal", columns, time, name, settings)

    def changepoint(self, *columns: str, time: str, name: str = "anomaly_score", **settings: Any) -> Any:
        """The frame with the evidence for a change of level; settings are those of `[changepoint]`."""
        return self._scored("changepoint", columns, time, name, settings)

    def subsequence(self, *columns: str, time: str, name: str = "anomaly_score", **settings: Any) -> Any:
        """The frame with the distance from usual patterns; settings are those of `[subsequence]`."""
        return self._scored("subsequence", columns, time, name, settings)

    def _scored(
        self, kind: str, columns: tuple[str, ...], time: str | None, name: str, settings: dict[str, Any]
    ) -> Any:
        chosen = list(columns) or [
            column for column, dtype in self._frame.schema.items() if dtype.is_numeric() and column != time
        ]
        values = self._frame.select(polars.col(chosen).cast(polars.Float64)).to_numpy()
        micros = None
        if time is not None:
            micros = self._frame[time].cast(polars.Datetime("us")).to_physical().to_numpy()
            micros = np.ascontiguousarray(micros, dtype=np.int64)
        detector = Detector.fit(kind, json.dumps(settings), np.ascontiguousarray(values), micros)
        scores = polars.Series(name, detector.scores(values, micros)).fill_nan(None)
        return self._frame.with_columns(scores)
