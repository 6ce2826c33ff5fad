"""Detectors by sktime's conventions: rows of a series in, places of anomalies or breaks out.

    from funnelpulse.sklearn import SeasonalDetector
    from funnelpulse.sktime import AnomalyDetector, BreakDetector

    AnomalyDetector(SeasonalDetector(contamination=0.01)).fit_transform(hours)["labels"]
    BreakDetector(pen=10.0).fit_predict(hours)["ilocs"]

`check_estimator` of sktime passes for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funnelpulse._convert import optional

optional("sktime", "sktime")

import pandas as pd
from sklearn.base import clone
from sktime.detection.base import BaseDetector

from funnelpulse import ruptures as _searches
from funnelpulse import sklearn as _detectors

__all__ = ["AnomalyDetector", "BreakDetector"]

_SECOND = pd.Timedelta(seconds=1)


class AnomalyDetector(BaseDetector):  # type: ignore[misc]
    """Wraps a detector of `funnelpulse.sklearn`, by default the seasonal model.

    A series with a `DatetimeIndex` brings its own times; the n-th row of any other is `n` times `step_seconds` of the
    detector after its `start`. `transform_scores` has the score of each row, larger = more anomalous.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from funnelpulse.sklearn import SeasonalDetector
    >>> from funnelpulse.sktime import AnomalyDetector
    >>> hours = pd.date_range("2024-01-01", periods=24 * 28, freq="h")
    >>> y = pd.Series(100 + 30 * np.sin(2 * np.pi * np.arange(672) / 24) + np.arange(672) % 7, index=hours)
    >>> y.iloc[500] += 60
    >>> AnomalyDetector(SeasonalDetector(contamination=0.001)).fit_predict(y)["ilocs"].tolist()
    [500]
    """

    _tags = {
        "authors": "FunnelPulse contributors",
        "maintainers": "FunnelPulse contributors",
        "task": "anomaly_detection",
        "learning_type": "unsupervised",
        "capability:multivariate": True,
        "fit_is_empty": False,
    }

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> Any:
        wrapped = _detectors.SeasonalDetector() if self.estimator is None else self.estimator
        self.estimator_ = _timed(clone(wrapped), X.index).fit(_values(X))
        return self

    def _predict(self, X: Any) -> Any:
        labels = _timed(self.estimator_, X.index).predict(_values(X))
        return pd.Series(np.flatnonzero(labels == -1))

    def _transform_scores(self, X: Any) -> Any:
        scores = -_timed(self.estimator_, X.index).score_samples(_values(X))
        return pd.DataFrame({"scores": scores}, index=X.index)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> Any:
        """Settings for sktime's checks."""
        forest = _detectors.IsolationForest(n_estimators=10, contamination=0.1, random_state=0)
        return [{"estimator": None}, {"estimator": forest}]


class BreakDetector(BaseDetector):  # type: ignore[misc]
    """Breaks of a series by a search of `funnelpulse.ruptures`: `Pelt`, `KernelCPD`, `Binseg`, `BottomUp` or `Window`.

    `pen` is the penalty of a break in units of the cost; the other settings are those of the search.

    >>> import pandas as pd
    >>> from funnelpulse.sktime import BreakDetector
    >>> BreakDetector(pen=1.0).fit_predict(pd.Series([0.0, 0.1] * 30 + [1.0, 1.1] * 20))["ilocs"].tolist()
    [60]
    """

    _tags = {
        "authors": "FunnelPulse contributors",
        "maintainers": "FunnelPulse contributors",
        "task": "change_point_detection",
        "learning_type": "unsupervised",
        "capability:multivariate": True,
        "fit_is_empty": True,
    }

    def __init__(
        self, search: str = "Pelt", pen: float = 10.0, model: str = "l2", min_size: int = 2, jump: int = 1
    ) -> None:
        self.search = search
        self.pen = pen
        self.model = model
        self.min_size = min_size
        self.jump = jump
        super().__init__()

    def _predict(self, X: Any) -> Any:
        settings: dict[str, Any] = {"min_size": self.min_size, "jump": self.jump}
        settings["kernel" if self.search == "KernelCPD" else "model"] = self.model
        search = getattr(_searches, self.search)(**settings)
        # The last one is the end of the series.
        return pd.Series(search.fit(_values(X)).predict(pen=self.pen)[:-1], dtype="int64")

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> Any:
        """Settings for sktime's checks."""
        return [{"pen": 2.0}, {"search": "KernelCPD", "model": "rbf", "pen": 1.0}]


def _values(X: Any) -> Any:
    return pd.DataFrame(X).to_numpy(dtype=np.float64)


def _timed(estimator: Any, index: Any) -> Any:
    """The detector with the times of an index, where it looks at times."""
    if "start" not in estimator.get_params():
        return estimator
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    settings: dict[str, Any] = {}
    if isinstance(index, pd.DatetimeIndex) and len(index) > 1:
        settings = {"start": str(index[0].tz_localize(None)), "step_seconds": int((index[1] - index[0]) / _SECOND)}
    timed = clone(estimator).set_params(**settings)
    # `clone` leaves out what `fit` found.
    timed.__dict__.update({name: value for name, value in vars(estimator).items() if name.endswith("_")})
    return timed
