"""Reference values for the engineered columns: python3 features.py > features.json

Made with pandas 3.1.1 and numpy."""

import json

import numpy as np
import pandas as pd

rng = np.random.default_rng(7)
hours = np.sort(rng.choice(np.arange(17_000 * 24, 17_000 * 24 + 1_100), 300, replace=False))
x = np.round(rng.gamma(2.0, 30.0, len(hours)))
x[rng.random(len(x)) < 0.05] = np.nan
index = pd.to_datetime(hours * 3600, unit="s", utc=True)
s = pd.Series(x, index=index)

out = {}
for days in (7, 30):
    window = s.rolling(f"{days}D", min_periods=1)
    out[f"x_rolling_mean_{days}d"] = window.mean()
    out[f"x_rolling_std_{days}d"] = window.std()
for lag in (1, 24, 168):
    before = s.shift(freq=f"{lag}h").reindex(index)
    out[f"x_lag_{lag}h"] = before
    out[f"x_change_{lag}h"] = ((s - before) / before.abs()).where(before != 0)
past = s.shift(1).expanding(min_periods=1)
out["x_zscore"] = (s - past.mean()) / past.std()
out["x_min"] = past.min()
out["x_max"] = past.max()
values = s.to_numpy()
ranks = []
for i, v in enumerate(values):
    before = values[:i][~np.isnan(values[:i])]
    known = len(before) > 0 and not np.isnan(v)
    ranks.append(((before < v).sum() + 0.5 * (before == v).sum()) / len(before) if known else np.nan)
out["x_percentile"] = pd.Series(ranks, index=index)
out["hour"] = pd.Series(index.hour, index=index)
out["day_of_week"] = pd.Series(index.day_of_week, index=index)
out["day_of_month"] = pd.Series(index.day, index=index)
out["month"] = pd.Series(index.month, index=index)
out["is_weekend"] = pd.Series((index.day_of_week >= 5).astype(int), index=index)

def plain(series):
    return [None if not np.isfinite(v) else float(v) for v in series]

print(json.dumps({"hour": hours.tolist(), "x": plain(s), "expected": {k: plain(v) for k, v in out.items()}}))
