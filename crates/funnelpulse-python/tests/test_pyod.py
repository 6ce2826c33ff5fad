"""PyOD's signs and labels, side by side with its own forest."""

import numpy as np
import pytest

pytest.importorskip("pyod")

from funnelpulse import pyod as fpp
from pyod.models.iforest import IForest
from pyod.utils.data import generate_data
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

X_TRAIN, X_TEST, Y_TRAIN, Y_TEST = generate_data(n_train=400, n_test=200, contamination=0.1, random_state=3)


@pytest.mark.parametrize("model", [fpp.IForest(random_state=0), fpp.ExtendedIForest(random_state=0)])
def test_conventions(model):
    """The assertions of PyOD's own `test_iforest.py`."""
    model.fit(X_TRAIN)
    theirs = IForest(random_state=0).fit(X_TRAIN)
    for attribute in ("decision_scores_", "labels_", "threshold_"):
        assert hasattr(model, attribute)
    assert model.decision_scores_.shape == (400,) and set(np.unique(model.labels_)) == {0, 1}
    assert model.labels_.sum() == 40
    scores = model.decision_function(X_TEST)
    assert roc_auc_score(Y_TEST, scores) >= roc_auc_score(Y_TEST, theirs.decision_function(X_TEST)) - 0.02
    assert np.array_equal(model.predict(X_TEST), (scores > model.threshold_).astype(int))
    for method in ("linear", "unify"):
        probabilities = model.predict_proba(X_TEST, method=method)
        assert probabilities.min() >= 0 and probabilities.max() <= 1
    assert model.predict_confidence(X_TEST).shape == (200,)
    assert np.array_equal(clone(model).fit(X_TRAIN).decision_scores_, model.decision_scores_)


def test_series_models():
    values = np.sin(np.arange(400) * 2 * np.pi / 24)[:, None] + np.random.default_rng(0).normal(0, 0.05, (400, 1))
    values[350] += 2
    for model in (fpp.Seasonal(), fpp.Subsequence(window=24)):
        assert 350 <= np.argmax(model.fit(values).decision_scores_) < 374


def test_unknown_parameters_are_refused():
    with pytest.raises(TypeError):
        fpp.IForest(trees=3)
