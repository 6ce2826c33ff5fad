"""What other libraries take: python3 peers.py FOLDER WHAT; prints one JSON line."""

import json
import resource
import sys
import time

import numpy as np

COLUMNS = ["event_time", "event_type", "product_id", "brand", "price", "user_id", "user_session"]


def hourly(frame):
    """Validated, deduplicated, counted per brand and hour, as polars does it with its streaming engine."""
    import polars as pl

    key = pl.col("brand").fill_null("").str.strip_chars().str.to_lowercase()
    kind = pl.col("event_type").str.strip_chars().str.to_lowercase()
    count = lambda name: (pl.col("event_type") == name).sum().alias(name)
    return (
        frame.select(COLUMNS)
        .with_columns(brand=key, event_type=kind)
        .filter(pl.col("event_type").is_in(["view", "cart", "purchase"]) & (pl.col("price").fill_null(0.0) >= 0.0))
        .unique(subset=["event_time", "event_type", "product_id", "user_id", "user_session"])
        .group_by("brand", pl.col("event_time").dt.truncate("1h"))
        .agg(count("view"), count("cart"), count("purchase"), pl.col("price").filter(pl.col("event_type") == "purchase").sum())
        .collect(engine="streaming")
    )


def events(folder, kind):
    import polars as pl

    if kind == "parquet":
        frame = pl.scan_parquet(f"{folder}/events.parquet")
    else:
        time_ = pl.col("event_time").str.to_datetime("%Y-%m-%d %H:%M:%S UTC")
        frame = pl.scan_csv(f"{folder}/events.csv").with_columns(event_time=time_)
    return lambda: hourly(frame)


def features(folder):
    """The default columns of an hourly table, but for the rank among the past, which polars has no expression for. Lags
    go by row, since every hour has one."""
    import polars as pl

    table = pl.read_parquet(f"{folder}/hours.parquet").sort("brand", "window_start")
    time_, brand = pl.col("window_start"), "brand"
    ratio = lambda a, b: pl.when(pl.col(b) > 0).then(pl.col(a) / pl.col(b))
    rates = {
        "view_to_cart": ratio("carts", "views"),
        "cart_to_purchase": ratio("purchases", "carts"),
        "conversion_rate": ratio("purchases", "views"),
        "revenue_per_view": ratio("revenue", "views"),
        "average_order_value": ratio("revenue", "purchases"),
    }
    clock = {
        "hour": time_.dt.hour(),
        "day_of_week": time_.dt.weekday(),
        "day_of_month": time_.dt.day(),
        "month": time_.dt.month(),
        "is_weekend": time_.dt.weekday() >= 6,
        "is_business_hour": time_.dt.hour().is_between(9, 17),
    }
    columns = []
    for name in ["views", "carts", "purchases", "revenue", "conversion_rate"]:
        value = pl.col(name)
        for days in [7, 30]:
            window = {"by": "window_start", "window_size": f"{days}d"}
            columns.append(value.rolling_mean_by(**window).over(brand).alias(f"{name}_rolling_mean_{days}d"))
            columns.append(value.rolling_std_by(**window).over(brand).alias(f"{name}_rolling_std_{days}d"))
        for hours in [1, 24, 168]:
            before = value.shift(hours)
            columns.append(before.over(brand).alias(f"{name}_lag_{hours}h"))
            columns.append(((value - before) / before).over(brand).alias(f"{name}_change_{hours}h"))
        number = pl.int_range(1, pl.len() + 1)
        mean = value.cum_sum() / number
        variance = (value * value).cum_sum() / number - mean * mean
        columns.append(((value - mean) / variance.sqrt()).over(brand).alias(f"{name}_zscore"))
        columns.append(value.cum_min().over(brand).alias(f"{name}_min"))
        columns.append(value.cum_max().over(brand).alias(f"{name}_max"))
    pairs = {
        "conversion_rate_x_is_weekend": pl.col("conversion_rate") * pl.col("is_weekend"),
        "conversion_rate_x_is_business_hour": pl.col("conversion_rate") * pl.col("is_business_hour"),
        "views_x_average_order_value": pl.col("views") * pl.col("average_order_value"),
    }
    plan = table.lazy().with_columns(**rates, **clock).with_columns(*columns, **pairs)
    return plan.collect


def forest(folder, library, columns):
    x = np.fromfile(f"{folder}/x{columns}.f64").reshape(-1, columns)
    if library == "scikit-learn":
        from sklearn.ensemble import IsolationForest

        model = IsolationForest(n_estimators=100, max_samples=256, n_jobs=1, random_state=0)
        return (lambda: model.fit(x)), (lambda: model.score_samples(x))
    from coniferest.isoforest import IsolationForest

    model = IsolationForest(n_trees=100, n_subsamples=256, random_seed=0, n_jobs=1)
    return (lambda: model.fit(x)), (lambda: model.score_samples(x))


def measure(work):
    """The quickest of three, in processor and wall seconds."""
    found = []
    for _ in range(3):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(found)


def main():
    folder, what = sys.argv[1:3]
    parts = what.split(":")
    if parts[0] == "events":
        timed = {what: measure(events(folder, parts[1]))}
    elif what == "features":
        timed = {what: measure(features(folder))}
    else:
        fit, score = forest(folder, parts[1], int(parts[2]))
        timed = {f"forest fit:{parts[2]}": measure(fit), f"forest score:{parts[2]}": measure(score)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, (cpu, wall) in timed.items():
        library = parts[1] if parts[0] == "forest" else "polars"
        print(json.dumps({"what": name, "library": library, "cpu_s": cpu, "wall_s": wall, "peak_mib": peak}))


if __name__ == "__main__":
    main()
