"""river's own checks, on a stream of this file: the one that they use is fetched from the internet."""

import pickle

import numpy as np
import pytest

river = pytest.importorskip("river")
pytest.importorskip("sklearn")

import funnelpulse as fp
from funnelpulse.river import IsolationForest
from river import anomaly, checks, metrics

#: One row in so many is an outlier, as rare as frauds are not: so that short streams have some.
OUTLIER_EVERY = 40


def stream(rows, seed=0):
    """Rows of four features with labels, names as river's data sets have them."""
    rng = np.random.default_rng(seed)
    for number in range(rows):
        is_outlier = number % OUTLIER_EVERY == OUTLIER_EVERY - 1
        values = rng.uniform(-6, 6, 4) if is_outlier else rng.normal(size=4)
        yield {f"V{i}": float(value) for i, value in enumerate(values)}, int(is_outlier)


class Stream:
    """A stream that can be read again."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return stream(self.rows)


def every_check(monkeypatch):
    monkeypatch.setattr(checks, "_yield_datasets", lambda model, scale=1: [Stream(400 * scale)])
    return list(checks.yield_checks(model()))


def model(**settings):
    return IsolationForest(**{**next(IsolationForest._unit_test_params()), **settings})


def test_rivers_checks(monkeypatch):
    done = every_check(monkeypatch)
    for check in done:
        check(model())
    assert len(done) > 25


def test_it_ranks_as_well_as_half_space_trees():
    ours, theirs = IsolationForest(seed=1), anomaly.HalfSpaceTrees(seed=1, limits={f"V{i}": (-6, 6) for i in range(4)})
    figures = [metrics.ROCAUC(), metrics.ROCAUC()]
    for number, (x, y) in enumerate(stream(4000)):
        for one, figure in zip((ours, theirs), figures, strict=True):
            if number >= ours.warm_up:
                figure.update(y, one.score_one(x))
            one.learn_one(x)
    assert figures[0].get() > figures[1].get() - 0.02 and figures[0].get() > 0.9


def test_rows_are_learnt_as_the_engine_learns_them():
    """Row by row is what a batch of rows is, and a forest that learns follows a change."""
    rows = np.array([list(x.values()) for x, _ in stream(900, seed=3)])
    one = model(seed=5)
    for row in rows:
        one.learn_one(dict(enumerate(row)))
    batch = fp._native.Detector.fit("iforest", model(seed=5)._settings(32), rows[:32])
    batch.learn(rows[32:])
    assert np.array_equal(batch.scores(rows), [one.score_one(dict(enumerate(row))) for row in rows])
    again = pickle.loads(pickle.dumps(one))
    before = one.score_one({i: 20.0 for i in range(4)})
    for row in rows:
        one.learn_one(dict(enumerate(row + 20.0)))
    assert one.score_one({i: 20.0 for i in range(4)}) < before == again.score_one({i: 20.0 for i in range(4)})


def test_what_cannot_learn_says_so():
    rows = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(fp.ConfigError, match="reservoir"):
        fp._native.Detector.fit("iforest", '{"reservoir": 0}', rows).learn(rows)
    with pytest.raises(fp.ConfigError, match="only isolation forests"):
        fp._native.Detector.fit("changepoint", '{"horizon": 2, "lookback": 8}', rows).learn(rows)
    with pytest.raises(fp.DataError):
        fp._native.Detector.fit("iforest", "{}", rows).learn(rows[:, :1])
    with pytest.raises(ValueError):
        IsolationForest().learn_one({"a": "text"})
