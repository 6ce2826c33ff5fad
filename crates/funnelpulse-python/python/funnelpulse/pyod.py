"""Detectors by PyOD's conventions: larger scores are more anomalous, labels are 0 and 1.

They are subclasses of `pyod.models.base.BaseDetector`, so they go into PyOD's combinations and its
`predict_proba` and `predict_confidence` work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funnelpulse._convert import optional

optional("pyod", "pyod")

from pyod.models.base import BaseDetector
from sklearn.utils.validation import check_array, check_is_fitted

from funnelpulse import sklearn as _detectors

__all__ = ["Changepoint", "ExtendedIForest", "IForest", "LSTMAutoencoder", "Seasonal", "Subsequence"]


class _Adapter(BaseDetector):  # type: ignore[misc]
    """Wraps a detector of `funnelpulse.sklearn`, whose parameters it takes."""

    _wrapped: Any
    contamination: float

    def __init__(self, contamination: float = 0.1, **parameters: Any) -> None:
        super().__init__(contamination=contamination)
        self.parameters = parameters
        # Unknown names are refused now.
        self._wrapped(**parameters)

    def fit(self, X: Any, y: Any = None) -> Any:
        """Trains on rows; `y` is ignored."""
        X = check_array(X, dtype=np.float64)
        self._set_n_classes(y)
        self.detector_ = self._wrapped(contamination=self.contamination, **self.parameters).fit(X)
        self.decision_scores_ = self.decision_function(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: Any) -> Any:
        """The score of each row, larger = more anomalous."""
        check_is_fitted(self, ["detector_"])
        return -self.detector_.score_samples(check_array(X, dtype=np.float64))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters, for `clone`."""
        return {"contamination": self.contamination, **self.parameters}

    def set_params(self, **parameters: Any) -> Any:
        """Replaces parameters."""
        self.contamination = parameters.pop("contamination", self.contamination)
        self._wrapped(**parameters)
        self.parameters.update(parameters)
        return self


class IForest(_Adapter):
    """The isolation forest of Liu, Ting and Zhou (2008)."""

    _wrapped = _detectors.IsolationForest


class ExtendedIForest(_Adapter):
    """Forests that split along random directions."""

    _wrapped = _detectors.ExtendedIsolationForest


class Seasonal(_Adapter):
    """Prophet's model per column."""

    _wrapped = _detectors.SeasonalDetector


class Changepoint(_Adapter):
    """Changes of level as they happen."""

    _wrapped = _detectors.ChangepointDetector


class Subsequence(_Adapter):
    """Windows that no usual pattern of the series resembles."""

    _wrapped = _detectors.SubsequenceDetector


class LSTMAutoencoder(_Adapter):
    """An LSTM autoencoder."""

    _wrapped = _detectors.LSTMAutoencoder
