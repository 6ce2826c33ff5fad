"""sktime's own checks, and what the adapters find."""

import doctest

import numpy as np
import pytest

pytest.importorskip("sktime")
pd = pytest.importorskip("pandas")

from funnelpulse import sktime
from funnelpulse.ruptures import Pelt
from funnelpulse.sklearn import IsolationForest, SeasonalDetector
from funnelpulse.sktime import AnomalyDetector, BreakDetector
from sktime.utils.estimator_checks import check_estimator


@pytest.mark.parametrize("detector", [AnomalyDetector, BreakDetector])
def test_sktimes_checks(detector):
    results = check_estimator(detector, raise_exceptions=False)
    failed = {name: result for name, result in results.items() if result != "PASSED"}
    assert failed == {}
    assert len(results) > 50


def hours(index):
    day = 100 + 30 * np.sin(2 * np.pi * np.arange(len(index)) / 24)
    return pd.DataFrame({"views": day + np.random.default_rng(3).normal(0, 2, len(index))}, index=index)


def test_anomalies_are_those_of_the_wrapped_detector():
    X = hours(pd.date_range("2024-01-03", periods=24 * 28, freq="h"))
    X.iloc[500] += 60
    detector = AnomalyDetector(SeasonalDetector(contamination=0.005)).fit(X)
    wrapped = SeasonalDetector(contamination=0.005, start="2024-01-03").fit(X.to_numpy())
    assert detector.predict(X)["ilocs"].tolist() == np.flatnonzero(wrapped.predict(X.to_numpy()) == -1).tolist()
    assert 500 in detector.predict(X)["ilocs"].tolist()
    assert detector.transform_scores(X)["scores"].idxmax() == X.index[500]
    # Later rows are judged by their own times: the phase of the day is right, wherever they start.
    later = hours(pd.date_range("2024-01-03", periods=24 * 30, freq="h")).iloc[24 * 28 + 7 :]
    assert detector.transform_scores(later)["scores"].max() < detector.transform_scores(X)["scores"].max() / 2


def test_forests_take_any_index():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)))
    X.iloc[50] = 9.0
    found = AnomalyDetector(IsolationForest(contamination=0.01, random_state=0)).fit(X).predict(X)
    assert 50 in found["ilocs"].tolist()


def test_breaks_are_those_of_the_search():
    values = np.r_[np.zeros(60), np.ones(40)] + np.random.default_rng(0).normal(0, 0.1, 100)
    found = BreakDetector(pen=1.0).fit_predict(pd.Series(values))["ilocs"].tolist()
    assert found == Pelt(model="l2", jump=1).fit(values).predict(pen=1.0)[:-1] == [60]


def test_the_examples_of_the_classes():
    result = doctest.testmod(sktime)
    assert result.attempted > 8 and result.failed == 0
