"""The isolation forest by river's conventions: rows come one at a time, as dictionaries.

    from funnelpulse.river import IsolationForest

    model = IsolationForest(seed=1)
    for x in rows:
        score = model.score_one(x)
        model.learn_one(x)

`checks.check_estimator` of river passes.
"""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np

from funnelpulse._convert import optional
from funnelpulse._native import Detector

optional("river", "river")

from river.base import AnomalyDetector

__all__ = ["IsolationForest"]

#: `seed=None` draws a seed below this.
_SEEDS = 2**31 - 1


class IsolationForest(AnomalyDetector):
    """An isolation forest (Liu, Ting and Zhou 2008) that is renewed as rows arrive.

    Trees are grown on a sample of recent rows, in which the chance of a row fades with its age; `reservoir` rows
    renew all of them, the oldest first. Scores are from 0 to 1, larger = more anomalous, and 0 for the first
    `warm_up` rows, on which the first trees are grown. The features are those of these rows: a value that a later
    row lacks is missing, and a new feature is ignored. `n_trees`, `max_samples` and `reservoir` are settings
    of `[iforest]`.
    """

    def __init__(
        self,
        n_trees: int = 100,
        max_samples: int = 256,
        reservoir: int = 1024,
        warm_up: int = 256,
        seed: int | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.max_samples = max_samples
        self.reservoir = reservoir
        self.warm_up = warm_up
        self.seed = seed
        self._features: list[Any] = []
        self._first: list[dict[Any, float]] = []
        self._model: Detector | None = None

    def learn_one(self, x: dict[Any, Any]) -> None:
        """Takes a row in."""
        if self._model is not None:
            self._model.learn(self._row(x))
            return
        self._first.append({name: float(value) for name, value in x.items()})
        if len(self._first) < max(2, self.warm_up):
            return
        self._features = sorted(set().union(*self._first), key=str)
        rows = np.concatenate([self._row(first) for first in self._first])
        self._model = Detector.fit("iforest", self._settings(len(rows)), rows)
        self._first = []

    def score_one(self, x: dict[Any, Any]) -> float:
        """The score of a row, larger = more anomalous."""
        if self._model is None:
            return 0.0
        score = float(self._model.scores(self._row(x))[0])
        # A row with none of the features says nothing.
        return 0.0 if math.isnan(score) else score

    def _row(self, x: dict[Any, Any]) -> Any:
        return np.array([[float(x.get(name, np.nan)) for name in self._features]])

    def _settings(self, rows: int) -> str:
        seed = random.randrange(_SEEDS) if self.seed is None else self.seed
        samples = max(2, min(self.max_samples, rows))
        settings = {"n_trees": self.n_trees, "max_samples": samples, "reservoir": self.reservoir, "seed": seed}
        return json.dumps({**settings, "split": "standard"})

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {"n_trees": 20, "max_samples": 64, "reservoir": 128, "warm_up": 32}
