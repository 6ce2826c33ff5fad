#!/usr/bin/env python3
"""Events planted into a real table: injected.py BINARY TABLE.parquet [SEED ...]

TABLE holds hourly sales of UCI Online Retail by product family (`window_start`, `family`, `orders`, `lines`,
`units`, `revenue`; hours without sales have no row). Units, lines and orders stand for views, carts and
purchases. Each seed plants 60 events: one family, 1 to 72 hours with rows, one of traffic, carts, purchases or
prices, times a factor between 1.7 and 6 or one over it, log-uniform. Counts go down by binomial thinning and up by
Poisson counts. Everything else counts as normal, although real anomalies are among it, so that a precision of one is
out of reach. Prints average precision of rows, event recall at 1 % and at .2 % of the other rows, per detector.
Needs pandas, numpy and pyarrow.
"""
import glob
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

EVENTS = 60
LONGEST = 72
FACTORS = (1.7, 6.0)
# The first weeks are left alone: every detector needs some history.
QUIET_DAYS = 21
STEPS = ["views", "carts", "purchases"]


def read(path):
    table = pd.read_parquet(path).rename(columns={"family": "brand", "units": "views", "lines": "carts", "orders": "purchases"})
    table = table[["window_start", "brand", *STEPS, "revenue"]]
    table = table[(table.views >= 0) & (table.revenue >= 0)]
    # Families that sell in most hours in which the shop does.
    rows = table.groupby("brand").size()
    table = table.astype(dict.fromkeys(STEPS, "int64"))
    table = table[table.brand.isin(rows[rows > 0.4 * table.window_start.nunique()].index)]
    return table.sort_values(["window_start", "brand"]).reset_index(drop=True)


def scaled(random, values, factor):
    values = np.asarray(values)
    return random.binomial(values, factor) if factor < 1 else values + random.poisson(values * (factor - 1))


def plant(table, seed):
    random = np.random.default_rng(seed)
    table, event = table.copy(), np.full(len(table), -1)
    first = table.window_start.min() + pd.Timedelta(days=QUIET_DAYS)
    for number in range(EVENTS):
        brand = random.choice(table.brand.unique())
        rows = np.flatnonzero((table.brand == brand) & (table.window_start >= first))
        length = int(np.exp(random.uniform(0, np.log(LONGEST))))
        start = random.integers(len(rows) - length)
        hit = rows[start : start + length]
        if (event[hit] >= 0).any():
            continue
        event[hit] = number
        factor = np.exp(random.uniform(*np.log(FACTORS))) ** random.choice([-1, 1])
        kind = random.integers(4)
        price = table.revenue[hit] / table.purchases[hit].clip(lower=1)
        for step in STEPS[kind:]:
            table.loc[hit, step] = scaled(random, table[step][hit], factor)
        if kind == 3:
            table.loc[hit, "revenue"] *= factor
        else:
            table.loc[hit, "revenue"] = price * table.purchases[hit]
    return table, event


def average_precision(scores, labels):
    order = np.argsort(-scores, kind="stable")
    hits = labels[order]
    return (np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits).sum() / hits.sum()


def recall(scores, event, share):
    limit = np.quantile(scores[event < 0], 1 - share)
    frame = pd.DataFrame({"event": event, "hot": scores > limit})[event >= 0]
    by_event = frame.groupby("event").hot.agg(["sum", "size"])
    # As many rows as chance gives are none.
    return (by_event["sum"] > np.maximum(3 * share * by_event["size"], 0)).mean()


def scores_of(binary, table):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "table.parquet"
        table.to_parquet(path, index=False)
        command = [binary, "-q", "run", "--input", path, "--output", f"{folder}/out", "--all-rows"]
        subprocess.run(command, check=True, capture_output=True)
        files = glob.glob(f"{folder}/out/anomalies/window_date=*/*.parquet")
        return pd.concat([pq.read_table(f, partitioning=None).to_pandas() for f in files])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    base = read(sys.argv[2])
    rows = []
    for seed in [int(s) for s in sys.argv[3:]] or [1, 2, 3]:
        table, event = plant(base, seed)
        found = scores_of(sys.argv[1], table)
        for t in (table, found):
            t["window_start"] = pd.to_datetime(t.window_start, utc=True).astype("datetime64[us, UTC]")
        merged = table.assign(event=event).merge(found, on=["window_start", "brand"], suffixes=("", "_found"))
        for column in [c for c in merged.columns if c.endswith("_anomaly_score") and merged[c].notna().any()]:
            scores, of = merged[column].fillna(0).to_numpy(), merged.event.to_numpy()
            figures = [average_precision(scores, of >= 0), recall(scores, of, 0.01), recall(scores, of, 0.002)]
            rows.append([seed, column.removesuffix("_anomaly_score"), *figures])
    table = pd.DataFrame(rows, columns=["seed", "detector", "AP", "recall at 1 %", "recall at .2 %"])
    print(table.groupby("detector")[["AP", "recall at 1 %", "recall at .2 %"]].mean().round(3).to_string())


if __name__ == "__main__":
    main()
