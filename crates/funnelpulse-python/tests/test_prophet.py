"""Prophet's interface; side by side with Prophet where it is installed."""

import pickle

import funnelpulse as fp
import numpy as np
import pytest

pd = pytest.importorskip("pandas")

from funnelpulse.prophet import Prophet, cross_validation


@pytest.fixture(scope="module")
def history():
    days = pd.date_range("2020-01-01", periods=800, freq="D")
    rng = np.random.default_rng(5)
    week = np.where(days.day_of_week < 5, 20.0, 0.0)
    y = 100 + 0.05 * np.arange(800) + week + 10 * np.sin(2 * np.pi * days.day_of_year / 365.25) + rng.normal(0, 3, 800)
    return pd.DataFrame({"ds": days, "y": y})


def test_forecast(history):
    model = Prophet().fit(history)
    future = model.make_future_dataframe(periods=30)
    assert len(future) == 830 and len(model.make_future_dataframe(30, include_history=False)) == 30
    forecast = model.predict(future)
    assert list(forecast.columns[:4]) == ["ds", "trend", "yhat_lower", "yhat_upper"]
    assert {"additive_terms", "multiplicative_terms", "weekly", "yearly"} <= set(forecast.columns)
    total = forecast["trend"] + forecast["additive_terms"]
    assert np.allclose(forecast["yhat"], total)
    inside = (history["y"] > forecast["yhat_lower"][:800]) & (history["y"] < forecast["yhat_upper"][:800])
    assert 0.72 < inside.mean() < 0.88
    assert np.abs(forecast["yhat"][:800] - history["y"]).mean() < 3
    assert model.predict().equals(forecast.iloc[:800].reset_index(drop=True))


def test_parts(history):
    frame = history.assign(price=np.arange(800) % 10, on=(np.arange(800) % 60 < 30).astype(float))
    frame["y"] -= 4 * frame["price"]
    frame.loc[frame["ds"].isin(pd.to_datetime(["2020-11-27", "2021-11-26"])), "y"] += 80
    black_friday = pd.DataFrame(
        {"holiday": "black friday", "ds": pd.to_datetime(["2020-11-27", "2021-11-26"]), "lower_window": 0}
    )
    model = Prophet(holidays=black_friday, changepoints=["2020-06-01", "2021-01-01"])
    model.add_seasonality("monthly", period=30.5, fourier_order=3, condition_name="on").add_regressor("price")
    forecast = model.fit(frame).predict(frame)
    assert {"monthly", "price", "black friday"} <= set(forecast.columns)
    slope = np.polyfit(frame["price"], forecast["price"], 1)[0]
    assert slope == pytest.approx(-4, abs=0.3)
    assert forecast["black friday"].max() == pytest.approx(80, abs=8)
    assert [str(day)[:10] for day in model.changepoints] == ["2020-06-01", "2021-01-01"]
    with pytest.raises(fp.DataError, match="`price` is missing"):
        model.predict(history)
    with pytest.raises(fp.ConfigError):
        model.add_regressor("late")


def test_country_holidays(history):
    pytest.importorskip("holidays")
    forecast = Prophet().add_country_holidays("DE").fit(history).predict()
    assert any("Weihnachtstag" in name or "Christmas" in name for name in forecast.columns)


def test_cross_validation(history):
    model = Prophet().fit(history)
    found = cross_validation(model, horizon="30 days", period="60 days", initial="365 days")
    assert list(found.columns) == ["ds", "yhat", "yhat_lower", "yhat_upper", "y", "cutoff"]
    assert found["cutoff"].nunique() >= 5 and (found["ds"] > found["cutoff"]).all()
    assert (found["yhat"] - found["y"]).abs().mean() < 6


def test_pickle(history):
    model = Prophet().fit(history)
    again = pickle.loads(pickle.dumps(model))
    assert again.predict().equals(model.predict())


def test_plots(history):
    pytest.importorskip("matplotlib").use("Agg")
    model = Prophet().fit(history)
    forecast = model.predict()
    assert model.plot(forecast).axes and len(model.plot_components(forecast).axes) >= 3


def test_bad_input(history):
    with pytest.raises(fp.DataError, match="`y` is missing"):
        Prophet().fit(history[["ds"]])
    with pytest.raises(fp.DataError, match="time zone"):
        Prophet().fit(history.assign(ds=history["ds"].dt.tz_localize("UTC")))
    with pytest.raises(fp.DataError):
        Prophet().fit(pd.concat([history, history]))
    with pytest.raises(fp.ConfigError):
        Prophet(interval_width=95).fit(history)
    with pytest.raises(fp.ConfigError):
        Prophet().predict(history)
    with pytest.raises(fp.ConfigError):
        Prophet(mcmc_samples=100)


def test_prophet_itself(history):
    """The same MAP estimate: forecasts within 2 % of the noise of the series."""
    theirs = pytest.importorskip("prophet").Prophet(uncertainty_samples=0)
    expected = theirs.fit(history).predict(theirs.make_future_dataframe(30))
    ours = Prophet().fit(history)
    found = ours.predict(ours.make_future_dataframe(30))
    assert np.abs(found["yhat"] - expected["yhat"]).max() < 0.3
