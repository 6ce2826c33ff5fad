"""Prophet's model under Prophet's names.

    from funnelpulse.prophet import Prophet

    model = Prophet().fit(history)                 # columns ds and y
    forecast = model.predict(model.make_future_dataframe(30))

Estimates are Prophet's MAP estimates. Intervals come from the predictive distribution itself, not from samples;
`uncertainty_samples` above 0 simulates as Prophet does. There is no MCMC, and components have no intervals of their
own.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from funnelpulse._convert import optional
from funnelpulse._native import Forecaster
from funnelpulse._native import cross_validation as _cross_validation
from funnelpulse.errors import ConfigError, DataError

__all__ = ["Prophet", "cross_validation"]

#: Years after the history for which holidays of a country are known to the model.
_HOLIDAY_YEARS = 10


def _micros(times: Any) -> Any:
    """Times as microseconds since 1970."""
    times = np.asarray(times)
    # Times with a zone are objects in numpy.
    if times.dtype.kind != "M":
        pandas = optional("pandas", "pandas")
        parsed = pandas.to_datetime(pandas.Series(times))
        if parsed.dt.tz is not None:
            raise DataError("ds has a time zone; remove it, as Prophet asks")
        times = parsed.to_numpy()
    if np.isnat(times).any():
        raise DataError("ds has missing times")
    return np.ascontiguousarray(times.astype("datetime64[us]").astype(np.int64))


def _in_order(frame: Any) -> tuple[Any, Any]:
    """The rows in the order of their times, and these as microseconds since 1970."""
    micros = _micros(frame["ds"])
    if np.all(micros[1:] >= micros[:-1]):
        return frame.reset_index(drop=True), micros
    order = np.argsort(micros, kind="stable")
    return frame.iloc[order].reset_index(drop=True), micros[order]


def _delta(length: Any) -> int:
    pandas = optional("pandas", "pandas")
    return int(pandas.Timedelta(length) / pandas.Timedelta(microseconds=1))


class Prophet:
    """A decomposable model of one series: trend, seasonalities, holidays, regressors (Taylor and Letham 2018)."""

    def __init__(
        self,
        growth: str = "linear",
        changepoints: Any = None,
        n_changepoints: int = 25,
        changepoint_range: float = 0.8,
        yearly_seasonality: Any = "auto",
        weekly_seasonality: Any = "auto",
        daily_seasonality: Any = "auto",
        holidays: Any = None,
        seasonality_mode: str = "additive",
        seasonality_prior_scale: float = 10.0,
        holidays_prior_scale: float = 10.0,
        changepoint_prior_scale: float = 0.05,
        mcmc_samples: int = 0,
        interval_width: float = 0.8,
        uncertainty_samples: int = 0,
        scaling: str = "absmax",
        holidays_mode: str | None = None,
        likelihood: str = "gaussian",
    ) -> None:
        if mcmc_samples:
            raise ConfigError("mcmc_samples: only MAP estimates are here")
        self.settings: dict[str, Any] = {
            "growth": growth,
            "n_changepoints": n_changepoints,
            "changepoint_range": changepoint_range,
            "yearly_seasonality": yearly_seasonality,
            "weekly_seasonality": weekly_seasonality,
            "daily_seasonality": daily_seasonality,
            "seasonality_mode": seasonality_mode,
            "seasonality_prior_scale": seasonality_prior_scale,
            "holidays_prior_scale": holidays_prior_scale,
            "changepoint_prior_scale": changepoint_prior_scale,
            "interval_width": interval_width,
            "uncertainty_samples": uncertainty_samples,
            "scaling": scaling,
            "likelihood": likelihood,
            # Prophet fits every seasonality it is given.
            "drop_unsupported": False,
            "seasonalities": [],
            "regressors": [],
            "holidays": [],
        }
        if holidays_mode is not None:
            self.settings["holidays_mode"] = holidays_mode
        if changepoints is not None:
            days = optional("pandas", "pandas").to_datetime(list(changepoints))
            self.settings["changepoints"] = [str(day.isoformat()) for day in days]
        self.country: str | None = None
        self.history: Any = None
        if holidays is not None:
            self._add_holidays(holidays)

    def _add_holidays(self, holidays: Any) -> None:
        for name, rows in holidays.groupby("holiday"):
            first = rows.iloc[0]
            event: dict[str, Any] = {"holiday": str(name), "ds": [str(day)[:10] for day in rows["ds"]]}
            for column in ("lower_window", "upper_window"):
                if column in rows and first[column] == first[column]:
                    event[column] = int(first[column])
            if "prior_scale" in rows and first["prior_scale"] == first["prior_scale"]:
                event["prior_scale"] = float(first["prior_scale"])
            self.settings["holidays"].append(event)

    def _unfitted(self) -> None:
        if self.history is not None:
            raise ConfigError("components are added before the model is fitted")

    def add_seasonality(
        self,
        name: str,
        period: float,
        fourier_order: int,
        prior_scale: float | None = None,
        mode: str | None = None,
        condition_name: str | None = None,
    ) -> Prophet:
        """Adds a seasonality of `period` days."""
        self._unfitted()
        added = {"name": name, "period": period, "fourier_order": fourier_order, "prior_scale": prior_scale}
        self.settings["seasonalities"].append({**added, "mode": mode, "condition_name": condition_name})
        return self

    def add_regressor(
        self, name: str, prior_scale: float | None = None, standardize: Any = "auto", mode: str | None = None
    ) -> Prophet:
        """Adds a column that is known for past and future."""
        self._unfitted()
        scales = {True: "always", False: "never"}
        added = {"name": name, "prior_scale": prior_scale, "standardize": scales.get(standardize, standardize)}
        self.settings["regressors"].append({**added, "mode": mode})
        return self

    def add_country_holidays(self, country_name: str) -> Prophet:
        """Adds the holidays of a country, by the package `holidays`."""
        self._unfitted()
        optional("holidays", "prophet")
        self.country = country_name
        return self

    def _country_holidays(self, times: Any) -> list[dict[str, Any]]:
        if self.country is None:
            return []
        first, last = (int(str(np.datetime64(int(t), "us"))[:4]) for t in (times[0], times[-1]))
        years = range(first, last + _HOLIDAY_YEARS + 1)
        by_name: dict[str, list[str]] = {}
        found = optional("holidays", "prophet").country_holidays(self.country, years=years)
        for day, name in sorted(found.items()):
            by_name.setdefault(name, []).append(day.isoformat())
        return [{"holiday": name, "ds": days} for name, days in by_name.items()]

    def _covariates(self, frame: Any) -> dict[str, Any]:
        names = [regressor["name"] for regressor in self.settings["regressors"]]
        names += [s["condition_name"] for s in self.settings["seasonalities"] if s["condition_name"]]
        names += [name for name in ("cap", "floor") if name in frame]
        missing = [name for name in names if name not in frame]
        if missing:
            raise DataError(f"column `{missing[0]}` is missing")
        return {name: np.ascontiguousarray(frame[name], dtype=np.float64) for name in names}

    def fit(self, df: Any) -> Prophet:
        """Fits the columns `ds` and `y` of a data frame."""
        if self.history is not None:
            raise ConfigError("a model is fitted once; make a new one")
        for name in ("ds", "y"):
            if name not in df:
                raise DataError(f"column `{name}` is missing")
        history, times = _in_order(df)
        settings = {**self.settings, "holidays": self.settings["holidays"] + self._country_holidays(times)}
        self._json = json.dumps(settings)
        values = np.ascontiguousarray(history["y"], dtype=np.float64)
        self.model_ = Forecaster.fit(self._json, times, values, self._covariates(history))
        self.history = history
        return self

    def _fitted(self) -> None:
        if self.history is None:
            raise ConfigError("the model is not fitted")

    def make_future_dataframe(self, periods: int, freq: str = "D", include_history: bool = True) -> Any:
        """A frame of times: those of the history and `periods` after it."""
        self._fitted()
        pandas = optional("pandas", "pandas")
        history = pandas.to_datetime(self.history["ds"])
        last = history.max()
        dates = pandas.date_range(start=last, periods=periods + 1, freq=freq)
        dates = dates[dates > last][:periods]
        if include_history:
            dates = np.concatenate([history.to_numpy(), dates.to_numpy()])
        return pandas.DataFrame({"ds": dates})

    def predict(self, df: Any = None) -> Any:
        """The forecast of the times `ds`, of the history without a frame."""
        self._fitted()
        frame = self.history if df is None else df
        if "ds" not in frame:
            raise DataError("column `ds` is missing")
        frame, times = _in_order(frame)
        found = self.model_.predict(times, self._covariates(frame))
        names = ["trend", "yhat_lower", "yhat_upper"]
        names += [name for name in found if name not in (*names, "yhat")] + ["yhat"]
        pandas = optional("pandas", "pandas")
        # One block of numbers: a frame of many columns takes longer to put together than the forecast itself.
        forecast = pandas.DataFrame(np.column_stack([found[name] for name in names]), columns=names)
        forecast.insert(0, "ds", frame["ds"] if frame["ds"].dtype.kind == "M" else pandas.to_datetime(frame["ds"]))
        return forecast

    @property
    def changepoints(self) -> Any:
        """The times at which the trend may bend."""
        self._fitted()
        return optional("pandas", "pandas").to_datetime(self.model_.changepoints, unit="us")

    def plot(self, fcst: Any, ax: Any = None, xlabel: str = "ds", ylabel: str = "y") -> Any:
        """History and forecast with its interval."""
        self._fitted()
        pyplot = optional("matplotlib.pyplot", "plot")
        if ax is None:
            _, ax = pyplot.subplots(figsize=(10, 6))
        ax.plot(self.history["ds"], self.history["y"], "k.", markersize=3)
        ax.plot(fcst["ds"], fcst["yhat"])
        ax.fill_between(fcst["ds"], fcst["yhat_lower"], fcst["yhat_upper"], alpha=0.2)
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        return ax.figure

    def plot_components(self, fcst: Any) -> Any:
        """Trend and every component over time."""
        self._fitted()
        names = ["trend", *self.model_.component_names]
        pyplot = optional("matplotlib.pyplot", "plot")
        figure, axes = pyplot.subplots(len(names), 1, figsize=(10, 3 * len(names)), squeeze=False)
        for axis, name in zip(axes[:, 0], names, strict=True):
            axis.plot(fcst["ds"], fcst[name])
            axis.set_ylabel(name)
        return figure


def cross_validation(model: Prophet, horizon: Any, period: Any = None, initial: Any = None) -> Any:
    """Forecasts from several cut-offs, as `prophet.diagnostics.cross_validation`: `ds`, `yhat`, its interval, `y`,
    `cutoff`. Lengths of time are what `pandas.Timedelta` takes."""
    model._fitted()
    pandas = optional("pandas", "pandas")
    ahead = _delta(horizon)
    found = _cross_validation(
        model._json,
        _micros(model.history["ds"]),
        np.ascontiguousarray(model.history["y"], dtype=np.float64),
        model._covariates(model.history),
        ahead,
        ahead // 2 if period is None else _delta(period),
        3 * ahead if initial is None else _delta(initial),
    )
    times = {name: pandas.to_datetime(found[name], unit="us") for name in ("ds", "cutoff")}
    names = ("yhat", "yhat_lower", "yhat_upper", "y")
    return pandas.DataFrame({"ds": times["ds"], **{name: found[name] for name in names}, "cutoff": times["cutoff"]})
