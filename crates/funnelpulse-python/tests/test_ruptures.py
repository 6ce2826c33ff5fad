"""The same breakpoints as ruptures, for every class and every cost that both have."""

import funnelpulse as fp
import numpy as np
import pytest

rpt = pytest.importorskip("ruptures")

from funnelpulse import ruptures as fpr


def signal(seed, rows=300, columns=1, breaks=4, noise=2.0):
    values, _ = rpt.pw_constant(rows, columns, breaks, noise_std=noise, seed=seed)
    return values


MODELS = ["l1", "l2", "normal", "rbf", "cosine", "rank", "ar"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("model", MODELS)
def test_searches(model, columns, seed):
    values = signal(seed, columns=1 if model == "ar" else columns)
    # Constant signals have no direction to compare.
    if model == "cosine" and columns == 1:
        values = np.column_stack([values, values**2])
    # ruptures' autoregressive segments of five rows cost nothing; see the module.
    least = 10 if model == "ar" else 2
    penalty = {"normal": 20.0, "rbf": 1.0, "cosine": 0.5, "rank": 10.0}.get(model, 60.0)
    # See the module: Pelt prunes and Binseg splits by a cosine cost that lacks a part.
    names = ("Dynp", "BottomUp", "Window") if model == "cosine" else ("Pelt", "Dynp", "Binseg", "BottomUp", "Window")
    for name in names:
        ours = getattr(fpr, name)(model=model, min_size=least).fit(values)
        theirs = getattr(rpt, name)(model=model, min_size=least).fit(values)
        if name != "Pelt":
            assert ours.predict(n_bkps=4) == theirs.predict(n_bkps=4), name
        if name != "Dynp":
            assert ours.predict(pen=penalty) == theirs.predict(pen=penalty), name


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kernel", ["linear", "rbf", "cosine"])
def test_kernels(kernel, seed):
    values = signal(seed, columns=2)
    ours, theirs = fpr.KernelCPD(kernel=kernel).fit(values), rpt.KernelCPD(kernel=kernel).fit(values)
    assert ours.predict(n_bkps=4) == theirs.predict(n_bkps=4)
    penalty = {"linear": 60.0, "rbf": 2.0, "cosine": 1.0}[kernel]
    assert ours.predict(pen=penalty) == theirs.predict(pen=penalty)


@pytest.mark.parametrize("name", ["Binseg", "BottomUp"])
def test_budget_of_the_cost(name):
    values = signal(1)
    budget = 1.5 * 300 * 4.0
    ours = getattr(fpr, name)().fit(values).predict(epsilon=budget)
    assert ours == getattr(rpt, name)().fit(values).predict(epsilon=budget)


def test_rows_of_one_column_and_lists():
    values = signal(2)
    assert fpr.Pelt().fit_predict(values[:, 0].tolist(), pen=60.0) == rpt.Pelt().fit_predict(values[:, 0], pen=60.0)


def test_bad_input():
    with pytest.raises(fp.ConfigError):
        fpr.Pelt(model="cubic").fit([1.0, 2.0])
    with pytest.raises(fp.ConfigError):
        fpr.Pelt(model="linear")
    with pytest.raises(fp.ConfigError):
        fpr.Binseg().fit(signal(0)).predict()
    with pytest.raises(fp.DataError):
        fpr.Pelt().fit([1.0, float("nan"), 2.0] * 5)
    with pytest.raises(fp.DataError):
        fpr.Pelt().fit(signal(0)).predict(pen=-1.0)
