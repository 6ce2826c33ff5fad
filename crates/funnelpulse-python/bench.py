"""Calls from Python beside other libraries, on the same numpy arrays, in one run: python bench.py

Needs the wheel and what of scikit-learn, coniferest, ruptures and prophet is installed. Processor milliseconds, the best of
several calls, one thread each; ratios are theirs over ours. The same work timed from Rust: benches/peers.
"""

import os

for name in ("RAYON", "OMP", "OPENBLAS", "MKL"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import importlib.util  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402

import funnelpulse as fp  # noqa: E402
import numpy as np  # noqa: E402

REPEATS = 7


def cpu():
    """Seconds of this process and of the children that it waited for: Stan is one."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in (own, children))


def best(work, repeats=REPEATS):
    times = []
    for _ in range(repeats):
        start = cpu()
        work()
        times.append(cpu() - start)
    return 1e3 * min(times)


def many(work, calls):
    """Milliseconds per call of work too short for one reading of the clock."""
    return best(lambda: [work() for _ in range(calls)]) / calls


def has(module):
    return importlib.util.find_spec(module) is not None


def row(what, ours, peers):
    theirs = ", ".join(f"{name} {ms:.3g} ({ms / ours:.2f}x)" for name, ms in peers.items())
    print(f"{what:<44}{ours:10.3g}  {theirs}", flush=True)


def forests():
    from funnelpulse.sklearn import IsolationForest
    from sklearn.ensemble import IsolationForest as ScikitLearn

    for rows, columns in ((10_000, 8), (100_000, 8)):
        X = np.random.default_rng(0).normal(size=(rows, columns))
        makers = {"scikit-learn": lambda: ScikitLearn(n_estimators=100, max_samples=256, random_state=1)}
        if has("coniferest"):
            from coniferest.isoforest import IsolationForest as Coniferest

            makers["coniferest"] = lambda: Coniferest(n_trees=100, n_subsamples=256, n_jobs=1, random_seed=1)
        ours = IsolationForest(contamination="auto", random_state=1)
        settings = json.dumps({"split": "standard", "n_trees": 100, "reservoir": 0, "seed": 1})
        from funnelpulse._native import Detector

        native = lambda: Detector.fit("iforest", settings, X)  # noqa: E731
        model = native()
        row(f"forest {rows:,} x {columns}: fit", best(native), {n: best(lambda m=m: m().fit(X), 3) for n, m in makers.items()})
        fitted = {name: make().fit(X) for name, make in makers.items()}
        row(
            f"forest {rows:,} x {columns}: score",
            best(lambda: model.scores(X)),
            {name: best(lambda f=f: f.score_samples(X), 2) for name, f in fitted.items()},
        )
        ours.fit(X)
        row(
            f"forest {rows:,} x {columns}: score_samples",
            best(lambda: ours.score_samples(X)),
            {name: best(lambda f=f: f.score_samples(X), 2) for name, f in fitted.items()},
        )


def breaks():
    if not has("ruptures"):
        return
    import ruptures as rpt
    from funnelpulse import ruptures as fpr

    rng = np.random.default_rng(1)
    for rows in (720, 3600, 8760):
        values = np.repeat(rng.normal(0, 3, rows // 120), 120)[:, None] + rng.normal(size=(rows, 1))
        for kernel, pen in (("linear", 2 * np.log(rows)), ("rbf", 10)):
            make = lambda lib: lib.KernelCPD(kernel=kernel, min_size=24)  # noqa: E731
            assert make(fpr).fit(values).predict(pen=pen) == make(rpt).fit(values).predict(pen=pen)
            ours = many(lambda: make(fpr).fit(values).predict(pen=pen), 3)
            row(f"KernelCPD({kernel}), {rows} rows", ours, {"ruptures": best(lambda: make(rpt).fit(values).predict(pen=pen), 2)})
    values = values[:720]
    search = lambda lib: lib.Pelt(model="l2", min_size=24, jump=1).fit(values).predict(pen=20)  # noqa: E731
    assert search(fpr) == search(rpt)
    row("Pelt(l2), 720 rows", many(lambda: search(fpr), 20), {"ruptures": best(lambda: search(rpt), 2)})


def forecasts():
    if not has("prophet"):
        return
    import pandas as pd
    from funnelpulse.prophet import Prophet

    logging.disable(logging.CRITICAL)
    from prophet import Prophet as Theirs

    hours = pd.date_range("2024-01-01", periods=720, freq="h")
    y = 100 + 30 * np.sin(2 * np.pi * np.arange(720) / 24) + np.random.default_rng(0).normal(0, 5, 720)
    frame = pd.DataFrame({"ds": hours, "y": y})
    settings = {"yearly_seasonality": False, "weekly_seasonality": True, "daily_seasonality": True}
    ours, theirs = Prophet(**settings).fit(frame), Theirs(**settings).fit(frame)
    fit = many(lambda: Prophet(**settings).fit(frame), 5)
    row("Prophet, 720 rows: fit", fit, {"prophet": best(lambda: Theirs(**settings).fit(frame), 3)})
    future = ours.make_future_dataframe(168, freq="h", include_history=False)
    predict = many(lambda: ours.predict(future), 5)
    row("Prophet, 168 ahead: predict", predict, {"prophet": best(lambda: theirs.predict(future), 3)})
    print(f"{'largest difference of yhat, share of noise':<44}{np.abs(ours.predict(future)['yhat'] - theirs.predict(future)['yhat']).max() / 5:10.3g}")


def overhead():
    table, _ = fp.generate(brands=20, days=56)
    arrow = table.to_arrow()
    empty = np.zeros((2, 1))
    from funnelpulse._native import Detector

    model = Detector.fit("iforest", '{"n_trees": 1, "max_samples": 2, "reservoir": 0}', np.arange(4.0).reshape(2, 2))
    two = np.zeros((1, 2))
    del empty
    print(f"{'one call of a native method, microseconds':<44}{1e3 * many(lambda: model.scores(two), 20_000):10.3g}")
    import pyarrow as pa

    print(f"{'pyarrow of a native table, microseconds':<44}{1e3 * many(lambda: pa.table(table), 5_000):10.3g}")
    print(f"{'rows of that table':<44}{arrow.num_rows:10}")
    code = "import time; t = time.perf_counter(); import funnelpulse; print(time.perf_counter() - t)"
    times = sorted(float(subprocess.check_output([sys.executable, "-c", code])) * 1e3 for _ in range(10))
    print(f"{'import, milliseconds, median of 10':<44}{times[5]:10.3g}")


if __name__ == "__main__":
    print(f"{'CPU ms':<44}{'ours':>10}  theirs (over ours)")
    forests()
    breaks()
    forecasts()
    overhead()
