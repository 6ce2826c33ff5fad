"""Detectors by scikit-learn's conventions.

`score_samples` is larger for normal rows, `decision_function` is `score_samples - offset_`, `predict` is -1 for
outliers. The forests look at rows by themselves; the other detectors take rows as a series in order of time, one row
per `step_seconds` from `start` on, so their scores depend on the rows before (see `ORDER_MATTERS`).
"""

from __future__ import annotations

import json
from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from funnelpulse._convert import optional
from funnelpulse._native import Detector

optional("sklearn", "sklearn")

from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = [
    "ORDER_MATTERS",
    "ChangepointDetector",
    "ExtendedIsolationForest",
    "IsolationForest",
    "LSTMAutoencoder",
    "SeasonalDetector",
    "SubsequenceDetector",
]

#: The checks of `sklearn.utils.estimator_checks.check_estimator` that a detector of series fails by its nature.
ORDER_MATTERS = {
    "check_methods_sample_order_invariance": "rows are a series: their order is part of the data",
    "check_methods_subset_invariance": "rows are a series: a row is judged by the rows before it",
}

#: `random_state=None` draws a seed below this.
_SEEDS = 2**31 - 1
#: scikit-learn's threshold for scores of isolation forests, with `contamination="auto"`.
_AUTO_OFFSET = -0.5
_MICROS = 1_000_000


class _Outliers(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """The part that all detectors share. `_settings` translates parameters."""

    _kind: ClassVar[str]
    contamination: Any

    def _settings(self, rows: int, columns: int) -> dict[str, Any]:
        raise NotImplementedError

    def _times(self, rows: int) -> Any:
        return None

    def _least_rows(self) -> int:
        """Rows that a model needs; shorter tables are repeated."""
        return 2

    def _share(self) -> float | None:
        """The share of training rows to flag; `None` for scikit-learn's fixed threshold."""
        share = self.contamination
        if isinstance(share, str) and share == "auto" and self._kind == "iforest":
            return None
        if isinstance(share, str) or not 0.0 < share <= 0.5:
            raise ValueError(f"contamination = {share!r} is out of range (above 0 to 0.5)")
        return float(share)

    def fit(self, X: Any, y: Any = None) -> Any:
        """Trains on rows; `y` is ignored."""
        share = self._share()
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        settings = json.dumps(self._settings(*X.shape))
        history = X if len(X) >= self._least_rows() else np.resize(X, (self._least_rows(), X.shape[1]))
        self.model_ = Detector.fit(self._kind, settings, history, self._times(len(history)))
        raw = self.model_.scores(X, self._times(len(X)))
        known = raw[np.isfinite(raw)]
        # Rows without a score, while a detector warms up, are as normal as the most normal one.
        self.lowest_score_ = float(known.min()) if len(known) else 0.0
        if share is None:
            self.offset_ = _AUTO_OFFSET
        else:
            self.offset_ = float(np.percentile(self._signed(raw), 100.0 * share))
        return self

    def _signed(self, raw: Any) -> Any:
        return -np.where(np.isfinite(raw), raw, self.lowest_score_)

    def score_samples(self, X: Any) -> Any:
        """The score of each row, larger = more normal."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self._signed(self.model_.scores(X, self._times(len(X))))

    def decision_function(self, X: Any) -> Any:
        """`score_samples - offset_`: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Any:
        """-1 for outliers, 1 for the others."""
        return np.where(self.decision_function(X) < 0.0, -1, 1)

    def fit_predict(self, X: Any, y: Any = None, **_: Any) -> Any:
        """Trains on rows and judges them."""
        return self.fit(X).predict(X)

    def _seed(self, random_state: Any) -> int:
        if isinstance(random_state, Integral):
            return int(random_state)
        return int(check_random_state(random_state).randint(_SEEDS))


class _Forest(_Outliers):
    _kind = "iforest"
    n_estimators: int
    max_samples: Any
    max_features: Any
    bootstrap: bool
    random_state: Any

    def _forest(self, rows: int, columns: int) -> dict[str, Any]:
        samples, features = self.max_samples, self.max_features
        if isinstance(samples, str):
            if samples != "auto":
                raise ValueError(f"max_samples = {samples!r} is neither 'auto' nor a number")
            samples = 256
        elif not isinstance(samples, Integral):
            samples = int(samples * rows)
        if isinstance(features, Integral):
            features = int(features) / columns
        return {
            "n_trees": int(self.n_estimators),
            "max_samples": max(2, min(int(samples), rows)),
            "max_features": float(features),
            "bootstrap": bool(self.bootstrap),
            "reservoir": 0,
            "seed": self._seed(self.random_state),
        }


class IsolationForest(_Forest):
    """The isolation forest of Liu, Ting and Zhou (2008), with the parameters of scikit-learn's.

    `categorical_features`, as in scikit-learn's `HistGradientBoostingClassifier`, are the columns that hold codes of
    categories, numbers without an order: a list of indices or of the names of a data frame's columns, or a mask. A
    split sends each category left or right at random; a category that its training rows lack goes both ways.
    """

    def __init__(
        self,
        *,
        n_estimators: int = 100,
        max_samples: Any = "auto",
        contamination: Any = "auto",
        max_features: Any = 1.0,
        bootstrap: bool = False,
        categorical_features: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.contamination = contamination
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.categorical_features = categorical_features
        self.random_state = random_state

    def _settings(self, rows: int, columns: int) -> dict[str, Any]:
        categorical = [str(index) for index in self._categorical(columns)]
        return {**self._forest(rows, columns), "split": "standard", "categorical": categorical}

    def _categorical(self, columns: int) -> list[int]:
        """The indices of the categorical columns."""
        if self.categorical_features is None:
            return []
        given = np.asarray(self.categorical_features)
        if given.size == 0:
            return []
        if given.ndim != 1 or given.dtype.kind not in "biuUO":
            raise ValueError("categorical_features must be a list of indices, of names, or a mask")
        if given.dtype.kind == "b":
            if len(given) != columns:
                raise ValueError(f"categorical_features has {len(given)} flags; X has {columns} columns")
            return [int(index) for index in np.flatnonzero(given)]
        names = list(getattr(self, "feature_names_in_", ()))
        found: set[int] = set()
        for column in given.tolist():
            if isinstance(column, str):
                if column not in names:
                    raise ValueError(f"categorical_features: X has no column {column!r}")
                found.add(names.index(column))
            elif isinstance(column, int) and 0 <= column < columns:
                found.add(int(column))
            else:
                raise ValueError(f"categorical_features = {column!r} is out of range (0 to {columns - 1})")
        return sorted(found)


class ExtendedIsolationForest(_Forest):
    """Forests that split along random directions.

    `split` is `"extended"` (Hariri et al. 2019), `"pooled_gain"`, `"averaged_gain"` or `"density"` (Cortes 2021);
    `extension_level` is the number of columns of a split less one, all of them by default.
    """

    def __init__(
        self,
        *,
        n_estimators: int = 200,
        split: str = "extended",
        extension_level: int | None = None,
        max_samples: Any = "auto",
        contamination: Any = "auto",
        max_features: Any = 1.0,
        bootstrap: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.split = split
        self.extension_level = extension_level
        self.max_samples = max_samples
        self.contamination = contamination
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.random_state = random_state

    def _settings(self, rows: int, columns: int) -> dict[str, Any]:
        level = columns - 1 if self.extension_level is None else int(self.extension_level)
        return {**self._forest(rows, columns), "split": self.split, "columns_per_split": level + 1}


class _Series(_Outliers):
    start: str
    step_seconds: int

    def _times(self, rows: int) -> Any:
        start = np.datetime64(self.start, "us").astype(np.int64)
        return start + np.arange(rows, dtype=np.int64) * (int(self.step_seconds) * _MICROS)


class SeasonalDetector(_Series):
    """Prophet's model per column; the score is the surprise of a row, -ln of its tail probability."""

    _kind = "seasonal"

    def __init__(
        self,
        *,
        contamination: float = 0.1,
        likelihood: str = "gaussian",
        combine: str = "max",
        robust: bool = False,
        changepoint_prior_scale: float = 0.05,
        start: str = "2001-01-01",
        step_seconds: int = 3600,
    ) -> None:
        self.contamination = contamination
        self.likelihood = likelihood
        self.combine = combine
        self.robust = robust
        self.changepoint_prior_scale = changepoint_prior_scale
        self.start = start
        self.step_seconds = step_seconds

    def _settings(self, rows: int, columns: int) -> dict[str, Any]:
        return {
            "likelihood": self.likelihood,
            "combine": self.combine,
            "robust": self.robust,
            "changepoint_prior_scale": self.changepoint_prior_scale,
        }


class ChangepointDetector(_Series):
    """Changes of level as they happen: the evidence for a break a few rows back."""

    _kind = "changepoint"

    def __init__(
        self,
        *,
        contamination: float = 0.1,
        horizon: int = 6,
        lookback: int = 72,
        min_magnitude: float = 0.15,
        start: str = "2001-01-01",
        step_seconds: int = 3600,
    ) -> None:
        self.contamination = contamination
        self.horizon = horizon
        self.lookback = lookback
        self.min_magnitude = min_magnitude
        self.start = start
        self.step_seconds = step_seconds

    def _settings(self, rows: int, columns: int) -> dict[str, Any]:
        return {"horizon": self.horizon, "lookback": self.lookback, "min_magnitude": self.min_magnitude}


class SubsequenceDetector(_Series):
    """Windows that no usual pattern of the series resembles; `window` rows, by default from the period.

    Tables of fewer than four windows are repeated until there is something to compare with.
    """

    _kind = "subsequence"

    def __init__(
        self,
        *,
        contamination: float = 0.1,
        window: int | None = None,
        periods: float = 2.0,
        patterns: int = 100,
        scoring: str = "last_position",
        random_state: Any = 42,
        start: str = "2001-01-01",
        step_seconds: int = 3600,
    ) -> None:
        self.contamination = contamination
        self.window = window
        self.periods = periods
        self.patterns = patterns
        self.scoring = scoring
        self.random_state = random_state
        self.start = start
        self.step_seconds = step_seconds

    def _least_rows(self) -> int:
        return 4 * (8 if self.window is None else int(self.window))

    def _settings(self, rows: int, columns: int) -> dict[str, Any]:
        settings = {"periods": self.periods, "patterns": self.patterns, "scoring": self.scoring}
        if self.window is not None:
            settings["window"] = int(self.window)
        return {**settings, "seed": self._seed(self.random_state)}


class LSTMAutoencoder(_Series):
    """An LSTM autoencoder; the score is the error of reconstruction."""

    _kind = "lstm_ae"

    def __init__(
        self,
        *,
        contamination: float = 0.1,
        sequence_length: int = 168,
        encoder: tuple[int, ...] = (64, 32),
        bottleneck: int = 32,
        decoder: tuple[int, ...] = (32, 64),
        stride: int = 24,
        epochs: int = 50,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        calendar: bool = True,
        random_state: Any = 42,
        start: str = "2001-01-01",
        step_seconds: int = 3600,
    ) -> None:
        self.contamination = contamination
        self.sequence_length = sequence_length
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.decoder = decoder
        self.stride = stride
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.calendar = calendar
        self.random_state = random_state
        self.start = start
        self.step_seconds = step_seconds

    def _settings(self, rows: int, columns: int) -> dict[str, Any]:
        names = ("sequence_length", "bottleneck", "stride", "epochs", "batch_size", "learning_rate", "calendar")
        settings = {name: getattr(self, name) for name in names}
        layers = {"encoder": list(self.encoder), "decoder": list(self.decoder)}
        return {**settings, **layers, "seed": self._seed(self.random_state)}
