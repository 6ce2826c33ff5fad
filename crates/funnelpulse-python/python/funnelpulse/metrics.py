"""Scores against labels: areas under curves, range and event metrics, NAB, affiliation.

Labels are 0 and 1 or booleans, scores are numbers, larger = more anomalous; lists, numpy arrays and series of pandas and
polars are all taken.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funnelpulse import _native
from funnelpulse.errors import DataError


class BestF1(NamedTuple):
    """The best F1 over all thresholds."""

    f1: float
    precision: float
    recall: float
    threshold: float


class RangeF1(NamedTuple):
    """The best range-based F1 over all thresholds."""

    f1: float
    threshold: float


class Vus(NamedTuple):
    """Volumes under the surfaces of ROC and precision-recall curves."""

    roc: float
    pr: float


class Affiliation(NamedTuple):
    """Affiliation precision, recall and F1."""

    precision: float
    recall: float
    f1: float


def _labels(values: Any) -> Any:
    array = np.asarray(values)
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise DataError("labels are 0 or 1")
    return np.ascontiguousarray(array, dtype=bool)


def _scores(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.float64)


def auc_roc(labels: Any, scores: Any) -> float:
    """Area under the ROC curve."""
    return _native.auc_roc(_labels(labels), _scores(scores))


def auc_pr(labels: Any, scores: Any) -> float:
    """Area under the precision-recall curve: average precision."""
    return _native.auc_pr(_labels(labels), _scores(scores))


def best_f1(labels: Any, scores: Any) -> BestF1:
    """The best F1 over all thresholds."""
    return BestF1(*_native.best_f1(_labels(labels), _scores(scores)))


def range_f1(labels: Any, scores: Any) -> RangeF1:
    """The best range-based F1 over all thresholds (Tatbul et al., 2018)."""
    return RangeF1(*_native.range_f1(_labels(labels), _scores(scores)))


def vus(labels: Any, scores: Any, window: int) -> Vus:
    """Volumes under the surfaces, for tolerances up to `window` rows (Paparrizos et al., 2022)."""
    return Vus(*_native.vus(_labels(labels), _scores(scores), window))


def affiliation(labels: Any, flags: Any) -> Affiliation:
    """Affiliation precision, recall and F1 of flags (Huet et al., 2022)."""
    return Affiliation(*_native.affiliation(_labels(labels), _labels(flags)))


def best_affiliation(labels: Any, scores: Any) -> BestF1:
    """The best affiliation F1 over all thresholds."""
    return BestF1(*_native.best_affiliation(_labels(labels), _scores(scores)))


def nab(labels: Any, scores: Any) -> float:
    """The NAB score of one series, 0 to 100, standard profile (Lavin and Ahmad, 2015); each run of labels is a window."""
    return _native.nab(_labels(labels), _scores(scores))


def evaluate(
    labels: Any,
    scores: Any,
    window: int | None = None,
    *,
    rows_per_day: float = 24.0,
    threshold: float | None = None,
) -> dict[str, Any]:
    """All metrics of one series."""
    return _native.evaluate(_labels(labels), _scores(scores), window, rows_per_day=rows_per_day, threshold=threshold)
