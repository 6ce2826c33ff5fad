"""Scores against labels; scikit-learn's figures where it has them."""

import funnelpulse as fp
import numpy as np
import pytest
from funnelpulse import metrics


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = np.zeros(500, dtype=int)
    labels[100:120] = labels[300:310] = 1
    return labels, rng.normal(size=500) + 2.0 * labels


def test_areas_are_those_of_scikit_learn(data):
    from sklearn.metrics import average_precision_score, roc_auc_score

    labels, scores = data
    assert metrics.auc_roc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics.auc_pr(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_every_metric(data):
    labels, scores = data
    best = metrics.best_f1(labels.tolist(), scores.tolist())
    assert best.f1 == pytest.approx(2 * best.precision * best.recall / (best.precision + best.recall), abs=1e-4)
    volumes = metrics.vus(labels, scores, 10)
    assert 0.5 < volumes.roc <= 1 and 0 < volumes.pr <= 1
    flags = scores > 1.5
    found = metrics.affiliation(labels, flags)
    assert found.f1 <= metrics.best_affiliation(labels, scores).f1
    assert 0 < metrics.range_f1(labels, scores).f1 <= 1
    assert metrics.nab(labels, scores) <= 100
    whole = metrics.evaluate(labels, scores, 10)
    assert whole["vus_pr"] == volumes.pr and whole["auc_roc"] == metrics.auc_roc(labels, scores)


def test_bad_input(data):
    labels, scores = data
    with pytest.raises(fp.DataError):
        metrics.auc_roc(labels[:10], scores)
    with pytest.raises(fp.DataError, match="0 or 1"):
        metrics.auc_roc(labels * 3, scores)
    with pytest.raises(fp.DataError):
        metrics.auc_roc(np.zeros(500), scores)
