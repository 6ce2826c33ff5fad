"""scikit-learn's own checks, and its figures."""

import pickle

import funnelpulse as fp
import numpy as np
import pytest

pytest.importorskip("sklearn")

from funnelpulse import sklearn as fps
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import check_estimator


def has_lstm_ae():
    """Whether this wheel was built with the LSTM autoencoder."""
    try:
        fps.LSTMAutoencoder(sequence_length=4, epochs=1).fit(np.zeros((20, 1)))
    except fp.ConfigError as error:
        return "in this build" not in str(error)
    except ValueError:
        return True
    return True


FORESTS = [
    fps.IsolationForest(n_estimators=20, random_state=0),
    fps.IsolationForest(n_estimators=20, categorical_features=[0], random_state=0),
    fps.ExtendedIsolationForest(n_estimators=20, random_state=0),
]
#: Small enough for the checks, whose tables have 10 to 300 rows.
SERIES = [
    fps.SeasonalDetector(),
    fps.ChangepointDetector(horizon=2, lookback=8),
    fps.SubsequenceDetector(window=4),
]
if has_lstm_ae():
    SERIES.append(fps.LSTMAutoencoder(sequence_length=4, encoder=(4,), bottleneck=2, decoder=(4,), stride=1, epochs=1))


def failures(estimator, expected):
    results = check_estimator(estimator, expected_failed_checks=expected, on_fail=None, on_skip=None)
    return {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}, results


@pytest.mark.parametrize("estimator", FORESTS, ids=lambda e: type(e).__name__)
def test_forests_pass_every_check(estimator):
    failed, results = failures(estimator, {})
    assert failed == {}
    assert sum(r["status"] == "passed" for r in results) > 40


@pytest.mark.parametrize("estimator", SERIES, ids=lambda e: type(e).__name__)
def test_detectors_of_series_fail_what_is_declared_only(estimator):
    failed, _ = failures(estimator, fps.ORDER_MATTERS)
    assert failed == {}


def test_the_forest_is_as_accurate_as_scikit_learns():
    X, _ = make_blobs(2000, n_features=6, centers=3, random_state=1)
    X = np.vstack([X, np.random.default_rng(1).uniform(-20, 20, (60, 6))])
    y = np.repeat([0, 1], [2000, 60])
    ours = [roc_auc_score(y, -fps.IsolationForest(random_state=s).fit(X).score_samples(X)) for s in range(3)]
    theirs = [roc_auc_score(y, -IsolationForest(random_state=s).fit(X).score_samples(X)) for s in range(3)]
    assert np.mean(ours) > np.mean(theirs) - 0.02


@pytest.mark.parametrize("estimator", [*FORESTS, *SERIES], ids=lambda e: type(e).__name__)
def test_clone_and_pickle(estimator):
    X = np.random.default_rng(0).normal(size=(120, 3))
    model = clone(estimator).fit(X)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).score_samples(X), model.score_samples(X))
    assert np.array_equal(clone(model).fit(X).score_samples(X), model.score_samples(X))
    assert np.array_equal(model.predict(X), np.where(model.decision_function(X) < 0, -1, 1))
    assert abs(np.mean(model.predict(X) == -1) - 0.1) < 0.02 or model.contamination == "auto"


def shop_of_categories():
    """Codes of a country and of a currency that belongs to it, and an amount; the last rows have another's currency."""
    rng = np.random.default_rng(5)
    country = rng.integers(0, 12, 1030)
    currency = country * 7 % 12
    currency[1000:] = (currency[1000:] + 1 + rng.integers(0, 11, 30)) % 12
    X = np.column_stack([country, currency, rng.normal(size=1030)]).astype(float)
    return X, np.repeat([0, 1], [1000, 30])


def test_categorical_features_have_no_order():
    X, y = shop_of_categories()
    # Codes in another order: the same accuracy, but for chance.
    order = np.random.default_rng(6).permutation(12)
    renamed = X.copy()
    renamed[:, :2] = order[X[:, :2].astype(int)]

    def accuracy(table, columns):
        forests = (fps.IsolationForest(categorical_features=columns, random_state=s).fit(table) for s in range(5))
        return np.mean([roc_auc_score(y, -forest.score_samples(table)) for forest in forests])

    assert abs(accuracy(X, [0, 1]) - accuracy(renamed, [0, 1])) < 0.03
    # As numbers, an order that suits the pairs helps, and another does not.
    assert accuracy(renamed, [0, 1]) > accuracy(renamed, None) - 0.02


def test_categorical_features_by_index_name_and_mask():
    pd = pytest.importorskip("pandas")
    X, _ = shop_of_categories()
    frame = pd.DataFrame(X, columns=["country", "currency", "amount"])
    numbers = fps.IsolationForest(random_state=0).fit(X).score_samples(X)
    scores = fps.IsolationForest(categorical_features=[1, 0], random_state=0).fit(X).score_samples(X)
    assert not np.array_equal(scores, numbers)
    for columns in ([True, True, False], ["country", "currency"], np.array([0, 1])):
        model = fps.IsolationForest(categorical_features=columns, random_state=0).fit(frame)
        assert np.array_equal(model.score_samples(frame), scores)
        assert np.array_equal(clone(model).fit(frame).score_samples(frame), scores)
    for none in (None, [], [False, False, False]):
        model = fps.IsolationForest(categorical_features=none, random_state=0).fit(frame)
        assert np.array_equal(model.score_samples(frame), numbers)
    # A category that no training row had goes both ways.
    assert np.isfinite(model.score_samples(frame.assign(country=99.0))).all()
    for wrong in ([3], [-1], [0.5], ["city"], [True], "country"):
        with pytest.raises(ValueError, match="categorical_features"):
            fps.IsolationForest(categorical_features=wrong).fit(frame)


def test_series_detectors_find_what_they_are_for():
    rng = np.random.default_rng(3)
    hours = np.arange(24 * 28)
    day = 100 + 30 * np.sin(2 * np.pi * hours / 24) + rng.normal(0, 2, len(hours))
    spike, shift, flat = day.copy(), day.copy(), day.copy()
    spike[500] += 60
    shift[500:] *= 1.6
    flat[500:530] = 100 + rng.normal(0, 2, 30)
    found = {
        "spike": np.argmin(fps.SeasonalDetector().fit(spike[:, None]).score_samples(spike[:, None])),
        "shift": np.argmin(fps.ChangepointDetector().fit(shift[:480, None]).score_samples(shift[:, None])),
        "flat": np.argmin(fps.SubsequenceDetector(window=24).fit(flat[:, None]).score_samples(flat[:, None])),
    }
    assert found["spike"] == 500
    assert 500 <= found["shift"] <= 512
    assert 500 <= found["flat"] <= 554


def test_parameters_are_checked():
    X = np.random.default_rng(0).normal(size=(50, 2))
    for estimator in (
        fps.IsolationForest(n_estimators=0),
        fps.IsolationForest(contamination=0.7),
        fps.SeasonalDetector(contamination="auto"),
        fps.ExtendedIsolationForest(split="round"),
        fps.ChangepointDetector(horizon=0),
    ):
        with pytest.raises(ValueError):
            estimator.fit(X)
