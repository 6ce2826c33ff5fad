"""Writes prophet.json: what Prophet 1.5.0 makes of four short series that use its other features.

    pip install prophet==1.5.0 && python3 make.py
"""
import json, logging, math, pathlib

import pandas as pd
from prophet import Prophet

logging.getLogger("cmdstanpy").disabled = True


def noise(i):
    return (i * 7919 % 101) / 50 - 1


def case(name, frame, model, settings, covariates=()):
    model.fit(frame)
    forecast = model.predict(frame.drop(columns="y"))
    parts = [*model.seasonalities, *model.extra_regressors, *(model.train_holiday_names if model.holidays is not None else [])]
    return {
        "name": name,
        "settings": settings,
        "ds": [str(t) for t in frame.ds],
        "y": list(frame.y),
        "covariates": {c: [float(v) for v in frame[c]] for c in covariates},
        "lp": float(model.params["lp__"][0][0]),
        "yhat": [round(v, 6) for v in forecast.yhat],
        "trend": [round(v, 6) for v in forecast.trend],
        "components": {p: [round(v, 6) for v in forecast[p]] for p in parts},
    }


days = pd.date_range("2023-01-01", periods=200)
active = [float(i // 30 % 2) for i in range(200)]
price = [round(10 + 3 * math.sin(i * 1.7) + i * 31 % 5, 3) for i in range(200)]
sales = ["2023-02-10", "2023-04-14", "2023-06-09", "2023-08-11"]
is_sale = [float(str(d.date()) in sales) for d in days]
additive = pd.DataFrame({"ds": days, "active": active, "price": price, "y": [
    round(100 + 0.2 * i - 0.5 * max(0, i - 90) + 4 * math.sin(2 * math.pi * i / 7) + 25 * is_sale[i]
          + (10 * is_sale[i - 1] if i else 0) - 1.5 * price[i]
          + 6 * active[i] * math.cos(2 * math.pi * i / 5) + 2 * noise(i), 4) for i in range(200)]})
holidays = pd.DataFrame({"holiday": "sale", "ds": pd.to_datetime(sales), "lower_window": 0, "upper_window": 1,
                         "prior_scale": 5.0})
one = Prophet(holidays=holidays)
one.add_regressor("price")
one.add_seasonality("five days", 5, 1, prior_scale=2.0, condition_name="active")
one_frame = additive.assign(active=additive.active > 0)

logistic = pd.DataFrame({"ds": days, "cap": 120.0, "floor": 5.0, "y": [
    round(5 + 110 / (1 + math.exp(-(i - 80) / 20)) + 3 * math.cos(2 * math.pi * i / 7) + noise(i), 4) for i in range(200)]})

hours = pd.date_range("2023-01-02", periods=336, freq="h")
flat = pd.DataFrame({"ds": hours, "y": [
    round(50 * (1 + 0.3 * math.sin(2 * math.pi * i / 24)) + 3 * noise(i), 4) for i in range(336)]})

bent = pd.DataFrame({"ds": days, "y": [
    round((80 + 0.3 * i - 0.6 * max(0, i - 120)) * (1 + 0.5 * is_sale[i]) + 2 * noise(i), 4) for i in range(200)]})
bends = ["2023-02-01", "2023-05-01", "2023-06-01"]

table = [{"holiday": "sale", "ds": sales, "upper_window": 1, "prior_scale": 5.0}]
cases = [
    case("additive", one_frame, one, {
        "holidays": table, "regressors": [{"name": "price"}],
        "seasonalities": [{"name": "five days", "period": 5, "fourier_order": 1, "prior_scale": 2.0,
                           "condition_name": "active"}]}, ["active", "price"]),
    case("logistic", logistic, Prophet(growth="logistic", changepoint_prior_scale=0.1),
         {"growth": "logistic", "changepoint_prior_scale": 0.1}, ["cap", "floor"]),
    case("flat", flat, Prophet(growth="flat", daily_seasonality=6, seasonality_mode="multiplicative"),
         {"growth": "flat", "daily_seasonality": 6, "seasonality_mode": "multiplicative"}),
    case("given changepoints", bent,
         Prophet(changepoints=bends, holidays=holidays, holidays_mode="multiplicative",
                 weekly_seasonality=False),
         {"changepoints": bends, "holidays": table, "holidays_mode": "multiplicative",
          "weekly_seasonality": False}),
]
path = pathlib.Path(__file__).with_name("prophet.json")
path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
