"""Small tables for the tests."""

from __future__ import annotations

from typing import Any

import funnelpulse as fp
import numpy as np
import pandas as pd
import pyarrow as pa

METRICS = ["views", "carts", "purchases", "revenue"]


def hourly(brands: int = 3, days: int = 14, seed: int = 7) -> pd.DataFrame:
    """The hourly table of a generated shop."""
    table, _ = fp.generate(brands, days, seed)
    return pa.table(table).to_pandas()


def two_sites() -> pd.DataFrame:
    """Two shops in one table, in no order."""
    both = [hourly(seed=seed).assign(site=name) for seed, name in ((7, "north"), (8, "south/ö"))]
    return pd.concat(both).sample(frac=1.0, random_state=1)


def alone(table: pd.DataFrame, site: str) -> pa.Table:
    """The rows of a site as the engine takes them without Spark."""
    rows = table[table["site"] == site].drop(columns="site").sort_values(["brand", "window_start"])
    return pa.Table.from_pandas(rows, preserve_index=False)


def events(hours: int, seed: int = 3, start: str = "2024-01-01") -> pd.DataFrame:
    """Events of three brands, in the order of their time, with an outage of purchases near the end."""
    dice = np.random.default_rng(seed)
    parts = []
    for brand, level in (("alfa", 30), ("bravo", 20), ("charlie", 12)):
        for hour in range(hours):
            views = int(dice.poisson(level * (1.0 + 0.5 * np.sin(2.0 * np.pi * hour / 24.0))))
            purchases = int(dice.binomial(views, 0.1))
            if brand == "alfa" and hours - 12 <= hour < hours - 6:
                purchases = 0
            kinds = ["view"] * views + ["cart"] * int(dice.binomial(views, 0.3)) + ["purchase"] * purchases
            seconds = np.sort(dice.integers(0, 3600, len(kinds))) + 3600 * hour
            parts.append(pd.DataFrame({"seconds": seconds, "event_type": kinds, "brand": brand}))
    found = pd.concat(parts).sort_values(["seconds", "brand", "event_type"], kind="stable", ignore_index=True)
    times = pd.Timestamp(start, tz="UTC") + pd.to_timedelta(found.pop("seconds"), unit="s")
    found.insert(0, "event_time", times)
    found["user_session"] = [f"s{i}" for i in range(len(found))]
    found["price"] = np.round(dice.gamma(2.0, 5.0, len(found)), 2)
    return found


def same_bits(one: Any, other: Any, columns: list[str]) -> None:
    """Asserts that two tables are equal, floating-point numbers bit for bit."""
    assert len(one) == len(other)
    for name in columns:
        left, right = one[name].to_numpy(), other[name].to_numpy()
        if left.dtype == np.float64:
            left, right = left.view(np.int64), right.astype(np.float64).view(np.int64)
        differs = np.flatnonzero(left != right)
        assert len(differs) == 0, (
            f"{name}: {one[name].iloc[differs[:3]].tolist()} {other[name].iloc[differs[:3]].tolist()}"
        )
