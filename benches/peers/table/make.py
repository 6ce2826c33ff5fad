"""Makes the files that both sides read: python3 make.py FOLDER EVENTS [--parts]

With --parts only a folder `events` of Parquet files of four million events each, for tables larger than memory.
"""

import os
import sys

import numpy as np
import polars as pl


#: Events per hour, and those of a file of many.
RATE, PART = 14_000, 4_000_000


def table(n, first_hour, seed):
    """So many events from an hour on, in order of time."""
    rng = np.random.default_rng(seed)
    hours = max(n // RATE, 24)
    seconds = 3600 * first_hour + np.sort(rng.integers(0, 3600 * hours, n))
    brands = np.array([f"brand_{i:03}" for i in range(40)] + [None], dtype=object)
    kinds = np.array(["view", "cart", "purchase", "remove_from_cart"])
    start = np.datetime64("2019-10-01T00:00:00", "us")
    events = pl.DataFrame(
        {
            "event_time": start + seconds.astype("timedelta64[s]").astype("timedelta64[us]"),
            "event_type": kinds[rng.choice(4, n, p=[0.7, 0.15, 0.05, 0.1])],
            "product_id": rng.integers(1_000_000, 6_000_000, n),
            "category_id": rng.integers(10**18, 2 * 10**18, n),
            "category_code": np.array(["appliances.kitchen", "electronics.audio", "beauty"])[rng.integers(0, 3, n)],
            "brand": brands[rng.zipf(1.3, n) % 41].tolist(),
            "price": np.round(rng.gamma(2.0, 5.0, n), 2),
            "user_id": rng.integers(10**8, 2 * 10**8, n),
            "user_session": [f"{a:016x}-{b:016x}" for a, b in rng.integers(0, 2**62, (n, 2))],
        }
    )
    # One event in a hundred comes twice.
    return pl.concat([events, events.sample(n // 100, seed=1)]).sort("event_time")


def events(folder, n):
    of_all = table(n, 0, 1)
    of_all.write_parquet(f"{folder}/events.parquet", row_group_size=262_144)
    texts = of_all.with_columns(pl.col("event_time").dt.strftime("%Y-%m-%d %H:%M:%S UTC"))
    texts.write_csv(f"{folder}/events.csv")


def parts(folder, n):
    os.makedirs(f"{folder}/events")
    for part, first in enumerate(range(0, n, PART)):
        of_part = table(min(PART, n - first), first // RATE, part)
        of_part.write_parquet(f"{folder}/events/part-{part:03}.parquet", row_group_size=262_144)


def hours(folder):
    """An hourly table of 40 brands, with as many rows as the shop that `speed` makes."""
    rows, rng = 3_578, np.random.default_rng(2)
    start = np.datetime64("2019-10-01T00:00:00", "us")
    time = start + 3600 * np.arange(rows).astype("timedelta64[s]").astype("timedelta64[us]")
    brand = lambda name: pl.DataFrame(
        {
            "brand": name,
            "window_start": time,
            "views": rng.poisson(400, rows).astype(float),
            "carts": rng.poisson(60, rows).astype(float),
            "purchases": rng.poisson(20, rows).astype(float),
            "revenue": np.round(rng.gamma(20.0, 30.0, rows), 2),
        }
    )
    pl.concat([brand(f"brand_{i:03}") for i in range(40)]).write_parquet(f"{folder}/hours.parquet")


def forest(folder):
    for columns in [8, 32]:
        x = np.random.default_rng(0).normal(size=(20_000, columns))
        x.tofile(f"{folder}/x{columns}.f64")
        x[np.arange(len(x)), np.arange(len(x)) % columns] = np.nan
        x.tofile(f"{folder}/gaps{columns}.f64")


if __name__ == "__main__":
    if "--parts" in sys.argv:
        parts(sys.argv[1], int(sys.argv[2]))
    else:
        events(sys.argv[1], int(sys.argv[2]))
        hours(sys.argv[1])
        forest(sys.argv[1])
