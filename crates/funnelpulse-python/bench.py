"""Calls from Python beside other libraries, on the same numpy arrays, in one run: python bench.py [NATIVE]

Needs the wheel and what of scikit-learn, coniferest, ruptures and prophet is installed. Processor milliseconds, the best of
several calls, one thread each; ratios are theirs over ours. NATIVE does the same work without Python, on the same arrays:

    cargo build --release --package funnelpulse-python --example native
    python bench.py ../../target/release/examples/native
"""

import os

for name in ("RAYON", "OMP", "OPENBLAS", "MKL"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import importlib.util
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time

import funnelpulse as fp
import numpy as np

REPEATS = 7
#: Seconds of a round of calls: the clock of processor time moves in steps of milliseconds.
ROUND = 0.2
#: Standard deviation of the noise in the series that is forecast.
NOISE = 5


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


def many(work):
    """Milliseconds per call of work too short for one reading of the clock: the best of several rounds."""
    times = []
    for _ in range(REPEATS):
        start, until, calls = cpu(), time.perf_counter() + ROUND, 0
        while time.perf_counter() < until:
            work()
            calls += 1
        times.append((cpu() - start) / calls)
    return 1e3 * min(times)


def has(module):
    return importlib.util.find_spec(module) is not None


def row(what, ours, peers, native=None):
    theirs = [f"{name} {ms:.3g} ({ms / ours:.2f}x)" for name, ms in peers.items()]
    if native is not None:
        theirs.append(f"Rust {native:.3g} (Python takes {ours / native:.3f} times as much)")
    print(f"{what:<44}{ours:10.3g}  {', '.join(theirs)}", flush=True)


def without_python(X, work, *args):
    """Milliseconds of the same work in Rust, by step; none without the program."""
    if len(sys.argv) < 2:
        return {}
    with tempfile.NamedTemporaryFile() as file:
        X.astype(np.float64).tofile(file.name)
        shape = X.shape if work == "forest" else X.shape[:1]
        before, after = (args, ()) if work != "forecast" else (args[:1], args[1:])
        command = [sys.argv[1], work, *before, file.name, *shape, *after]
        return json.loads(subprocess.check_output(list(map(str, command))))


def forests():
    for rows, columns in ((10_000, 8), (100_000, 8)):
        forest(np.random.default_rng(0).normal(size=(rows, columns)))


def forest(X):
    """Growing, and scoring through the native class and through scikit-learn's conventions."""
    from funnelpulse._native import Detector
    from funnelpulse.sklearn import IsolationForest
    from sklearn.ensemble import IsolationForest as ScikitLearn

    peers = {"scikit-learn": ScikitLearn(n_estimators=100, max_samples=256, random_state=1)}
    if has("coniferest"):
        from coniferest.isoforest import IsolationForest as Coniferest

        peers["coniferest"] = Coniferest(n_trees=100, n_subsamples=256, n_jobs=1, random_seed=1)
    settings = json.dumps({"split": "standard", "n_trees": 100, "reservoir": 0, "seed": 1})
    rust = without_python(X, "forest", settings)
    name = f"forest {len(X):,} x {X.shape[1]}"
    fit = {peer: best(lambda model=model: model.fit(X), 3) for peer, model in peers.items()}
    row(f"{name}: fit", many(lambda: Detector.fit("iforest", settings, X)), fit, rust.get("fit"))
    native, adapter = Detector.fit("iforest", settings, X), IsolationForest(random_state=1).fit(X)
    score = {peer: best(lambda model=model: model.score_samples(X), 2) for peer, model in peers.items()}
    row(f"{name}: score", many(lambda: native.scores(X)), score, rust.get("score"))
    row(f"{name}: score_samples", many(lambda: adapter.score_samples(X)), score, rust.get("score"))


def breaks():
    if not has("ruptures"):
        return
    rng = np.random.default_rng(1)
    for rows in (720, 3600, 8760):
        values = np.repeat(rng.normal(0, 3, rows // 120), 120)[:, None] + rng.normal(size=(rows, 1))
        search(f"KernelCPD(linear), {rows} rows", "KernelCPD", values, 2 * np.log(rows), kernel="linear")
        search(f"KernelCPD(rbf), {rows} rows", "KernelCPD", values, 10, kernel="rbf")
        if rows == 720:
            search("Pelt(l2), 720 rows", "Pelt", values, 20, model="l2", jump=1)


def search(what, name, values, pen, **settings):
    """One search by both libraries, which must agree."""
    import ruptures
    from funnelpulse import ruptures as ours

    def found(library):
        return getattr(library, name)(min_size=24, **settings).fit(values).predict(pen=pen)

    assert found(ours) == found(ruptures)
    rust = without_python(values, "breaks", settings.get("kernel", "l2"), 24, pen)
    assert rust.get("breaks", len(found(ours)) - 1) == len(found(ours)) - 1
    row(what, many(lambda: found(ours)), {"ruptures": best(lambda: found(ruptures), 2)}, rust.get("predict"))


def forecasts():
    if not has("prophet"):
        return
    import pandas as pd
    from funnelpulse.prophet import Prophet

    logging.disable(logging.CRITICAL)
    from prophet import Prophet as Theirs

    hours = pd.date_range("2024-01-01", periods=720, freq="h")
    y = 100 + 30 * np.sin(2 * np.pi * np.arange(720) / 24) + np.random.default_rng(0).normal(0, NOISE, 720)
    frame = pd.DataFrame({"ds": hours, "y": y})
    settings = {"yearly_seasonality": False, "weekly_seasonality": True, "daily_seasonality": True}
    ours, theirs = Prophet(**settings).fit(frame), Theirs(**settings).fit(frame)
    rust = without_python(y, "forecast", ours._json, 168)
    fit = many(lambda: Prophet(**settings).fit(frame))
    row("Prophet, 720 rows: fit", fit, {"prophet": best(lambda: Theirs(**settings).fit(frame), 3)}, rust.get("fit"))
    future = ours.make_future_dataframe(168, freq="h", include_history=False)
    predict = many(lambda: ours.predict(future))
    row(
        "Prophet, 168 ahead: predict",
        predict,
        {"prophet": best(lambda: theirs.predict(future), 3)},
        rust.get("predict"),
    )
    difference = np.abs(ours.predict(future)["yhat"] - theirs.predict(future)["yhat"]).max()
    print(f"{'largest difference of yhat, share of noise':<44}{difference / NOISE:10.3g}")


def overhead():
    table, _ = fp.generate(brands=20, days=56)
    arrow = table.to_arrow()
    from funnelpulse._native import Detector

    model = Detector.fit("iforest", '{"n_trees": 1, "max_samples": 2, "reservoir": 0}', np.arange(4.0).reshape(2, 2))
    two = np.zeros((1, 2))
    print(f"{'one call of a native method, microseconds':<44}{1e3 * many(lambda: model.scores(two)):10.3g}")
    import pyarrow as pa

    print(f"{'pyarrow of a native table, microseconds':<44}{1e3 * many(lambda: pa.table(table)):10.3g}")
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
