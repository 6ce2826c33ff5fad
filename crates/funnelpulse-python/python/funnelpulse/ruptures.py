"""Searches for changepoints with the classes of ruptures: the same breakpoints.

    from funnelpulse.ruptures import Pelt

    Pelt(model="l2", min_size=2, jump=5).fit(signal).predict(pen=10)

Models: `l1`, `l2`, `normal`, `rbf`, `cosine`, `rank`, `ar`, and of our own `poisson`, `binomial` and
`linear_trend`. Custom costs need ruptures itself. Segments of `ar` have at least `order + 2` rows: ruptures lets a fit of
`order + 1` parameters to as many rows cost nothing, and so finds segments of that length in noise. With `cosine`, `Pelt`
and `Binseg` may differ from ruptures, whose cost lacks the diagonal of the Gram matrix there; `KernelCPD` has it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from funnelpulse._native import Segmenter
from funnelpulse.errors import ConfigError

__all__ = ["Binseg", "BottomUp", "Dynp", "KernelCPD", "Pelt", "Window"]

#: ruptures' names of costs that are called differently here. Its `linear`, a regression, is not among them.
_MODELS = {"ar": "autoregressive"}
#: What ruptures' cosine cost of a segment is below the cost of its paper, since the diagonal of its Gram matrix is zero:
#: the number of rows less one. A penalty is worth that much more.
_COSINE_PENALTY = 1.0
#: Order of the autoregressive cost, as in ruptures.
_ORDER = 4


class _Search:
    _method: ClassVar[str]
    min_size: int = 2
    jump: int = 5
    width: int = 100
    model: str = "l2"
    params: dict[str, Any]

    def fit(self, signal: Any) -> Any:
        """Takes the signal, rows by columns."""
        values = np.ascontiguousarray(signal, dtype=np.float64)
        values = values.reshape(-1, 1) if values.ndim == 1 else values
        self._segmenter = Segmenter(
            values,
            _MODELS.get(self.model, self.model),
            self.params.get("gamma"),
            int(self.params.get("order", _ORDER)),
        )
        self.n_samples = len(values)
        return self

    def _search(self, n_bkps: int | None = None, pen: float | None = None) -> tuple[list[int], float]:
        if pen is not None and self.model == "cosine" and self._method != "kernel":
            pen += _COSINE_PENALTY
        return self._segmenter.search(
            self._method, min_size=self.min_size, jump=self.jump, width=self.width, n_bkps=n_bkps, pen=pen
        )

    def fit_predict(self, signal: Any, *args: Any, **kwargs: Any) -> list[int]:
        """Takes the signal and searches it."""
        found: list[int] = self.fit(signal).predict(*args, **kwargs)
        return found


class _Optimal(_Search):
    def __init__(
        self,
        model: str = "l2",
        custom_cost: None = None,
        min_size: int = 2,
        jump: int = 5,
        params: dict[str, Any] | None = None,
    ) -> None:
        if custom_cost is not None:
            raise ConfigError("custom_cost: costs written in Python need ruptures itself")
        if model == "linear":
            raise ConfigError("model = linear: ruptures' cost of a regression is not here")
        self.model, self.min_size, self.jump, self.params = model, min_size, jump, params or {}


class Pelt(_Optimal):
    """Pruned exact search by penalty (Killick et al. 2012)."""

    _method = "pelt"

    def predict(self, pen: float) -> list[int]:
        """The ends of the segments; the last one is the number of rows."""
        return self._search(pen=pen)[0]


class Dynp(_Optimal):
    """Exact search for a number of breaks, by dynamic programming."""

    _method = "dynp"

    def predict(self, n_bkps: int) -> list[int]:
        """The ends of the segments; the last one is the number of rows."""
        return self._search(n_bkps=n_bkps)[0]


class _Greedy(_Optimal):
    def predict(self, n_bkps: int | None = None, pen: float | None = None, epsilon: float | None = None) -> list[int]:
        """The ends of the segments, by number of breaks, by penalty, or until the cost is at most `epsilon`."""
        if epsilon is None:
            if n_bkps is None and pen is None:
                raise ConfigError("give a parameter: n_bkps, pen or epsilon")
            return self._search(n_bkps, pen)[0]
        return self._within(epsilon)

    def _within(self, epsilon: float) -> list[int]:
        found: list[int] = []
        for breaks in range(self.n_samples):
            before, (found, cost) = found, self._search(n_bkps=breaks)
            if cost <= epsilon or found == before:
                break
        return found


class Binseg(_Greedy):
    """Binary segmentation."""

    _method = "binseg"


class BottomUp(_Greedy):
    """Merging of small segments."""

    _method = "bottom_up"

    def _within(self, epsilon: float) -> list[int]:
        found = [self.n_samples]
        for breaks in range(self.n_samples):
            before, (found, cost) = found, self._search(n_bkps=breaks)
            # Merges go on as long as the cost is below the budget, so the last one exceeds it.
            if cost < epsilon or (breaks and found == before):
                return before
        return found


class Window(_Greedy):
    """Discrepancy of the halves of a sliding window of `width` rows."""

    _method = "window"

    def __init__(
        self,
        width: int = 100,
        model: str = "l2",
        custom_cost: None = None,
        min_size: int = 2,
        jump: int = 5,
        params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(model, custom_cost, min_size, jump, params)
        self.width = width


class KernelCPD(_Search):
    """Exact search with a kernel, `linear`, `rbf` or `cosine`, by number of breaks or by penalty."""

    _method = "kernel"

    def __init__(
        self,
        kernel: str = "linear",
        min_size: int = 2,
        jump: int = 1,
        params: dict[str, Any] | None = None,
    ) -> None:
        if kernel not in ("linear", "rbf", "cosine"):
            raise ConfigError(f"kernel = {kernel} is not one of linear, rbf, cosine")
        # As in ruptures, every row is a candidate whatever `jump` says.
        self.kernel_name, self.min_size, self.jump, self.params = kernel, min_size, 1, params or {}
        self.model = "l2" if kernel == "linear" else kernel

    def predict(self, n_bkps: int | None = None, pen: float | None = None) -> list[int]:
        """The ends of the segments; the last one is the number of rows."""
        if (n_bkps is None) == (pen is None):
            raise ConfigError("give either n_bkps or pen")
        return self._search(n_bkps, pen)[0]
