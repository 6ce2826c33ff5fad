"""Ours and others on the same arrays, in one run: python3 run.py [ROUNDS]

Takes the series from $FUNNELPULSE_SHARED/reference/changepoint if it is there, else makes similar
ones. Each round runs the Rust binary and a Python child with one thread, so that a busy machine
is busy for both; the table has medians of CPU time over the rounds.
"""
import math, os, pathlib, statistics, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE / ".venv" / "bin" / "python"
ONE_THREAD = {k: "1" for k in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}


def child(path, penalty, gamma, slow):
    """Times the Python peers on one array."""
    import time
    import numpy as np
    import ruptures as rpt

    values = np.fromfile(path).reshape(-1, 1)

    def timed(work, who, run):
        best, total = math.inf, 0.0
        while total < 0.02:
            start = time.process_time()
            found = run()
            took = time.process_time() - start
            best, total = min(best, took), total + max(took, 1e-6)
        print(f"{work}\t{who}\t{best * 1e3}\t{len(found) - 1} breaks", flush=True)

    kernel = lambda name, **more: rpt.KernelCPD(kernel=name, min_size=24, jump=1, **more)
    timed("l2", "KernelCPD(linear)", lambda: kernel("linear").fit(values).predict(pen=penalty))
    timed("rbf", "KernelCPD(rbf)", lambda: kernel("rbf").fit(values).predict(pen=10))
    fitted = kernel("rbf", params={"gamma": gamma}).fit(values)
    timed("rbf, gamma given", "`KernelCPD`'s C part", lambda: fitted.predict(pen=10))
    if slow:
        timed("rbf", "Pelt(rbf)", lambda: rpt.Pelt(model="rbf", min_size=24, jump=1).fit(values).predict(pen=10))


def series(folder):
    """Writes the arrays; name -> (path, penalty, gamma)."""
    import numpy as np

    def piecewise(n, rng):
        level, values = 0.0, np.empty(n)
        start = 0
        while start < n:
            end = start + int(rng.integers(30, 500))
            values[start:end] = level
            level, start = level + rng.normal() * 3, end
        return values + rng.normal(size=n)

    def seasonal(n, rng):
        hours = np.arange(n)
        rhythm = 1 + 0.2 * np.sin(hours * math.tau / 24) + 0.1 * np.sin(hours * math.tau / 168)
        return 0.06 * rhythm + 0.004 * rng.normal(size=n)

    shared = pathlib.Path(os.environ.get("FUNNELPULSE_SHARED", HERE / "../../../shared")) / "reference/changepoint"
    arrays = {}
    for kind, make in (("synth", seasonal), ("pwc", piecewise)):
        for n in (720, 3600, 8760):
            file = shared / f"cp_{kind}{n}.f64"
            arrays[f"{kind} {n}"] = np.fromfile(file) if file.exists() else make(n, np.random.default_rng(n))
    arrays["pwc 100000"] = piecewise(100_000, np.random.default_rng(1))
    arrays["noise 1000000"] = np.random.default_rng(2).normal(size=1_000_000)
    found = {}
    for name, values in arrays.items():
        path = folder / name.replace(" ", "_")
        values.tofile(path)
        sigma = np.median(np.abs(np.diff(values))) / (0.674489750196 * math.sqrt(2))
        some = values if len(values) < 10_000 else values[:: len(values) // 5_000]
        median = np.median((some[:, None] - some)[np.triu_indices(len(some), 1)] ** 2)
        found[name] = (str(path), 2 * sigma**2 * math.log(len(values)), 1 / median)
    return found


def measure(rounds):
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=HERE, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    binary, environment = target / "release" / "changepoint-peers", {**os.environ, **ONE_THREAD}
    times, notes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for name, (path, penalty, gamma) in series(pathlib.Path(folder)).items():
                commands = [[binary, path, str(penalty), str(gamma)]]
                if int(name.split()[1]) < 10_000:
                    slow = turn == 0 and name.endswith(" 720")
                    commands.append([PYTHON, __file__, "child", path, str(penalty), str(gamma), str(int(slow))])
                for command in commands:
                    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
                    for line in out.splitlines():
                        work, who, ms, note = line.split("\t")
                        times.setdefault((work, who), {}).setdefault(name, []).append(float(ms))
                        notes[work, who, name] = note
    return times, notes


def table(times, notes):
    names = [f"{kind} {n}" for kind in ("synth", "pwc") for n in (720, 3600, 8760)]
    median = lambda key, name: statistics.median(times[key][name]) if name in times.get(key, {}) else None
    print("| CPU ms (times ours) | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    ours = {"l2": "ours (FPOP)"}
    for work in ("rbf", "rbf, gamma given", "l2", "bocpd"):
        mine = (work, ours.get(work, "ours"))
        rows = [mine] + sorted(key for key in times if key[0] == work and key != mine)
        for key in rows:
            cells = []
            for name in names:
                ms, base = median(key, name), median(mine, name)
                cell = "-" if ms is None else f"{ms:.3g}" + ("" if key == mine else f" ({ms / base:.3g}x)")
                cells.append(cell)
            print(f"| {work}: {key[1]} | " + " | ".join(cells) + " |")
    print("\n| ours alone | series | CPU ms | found |\n|---|---|---|---|")
    for work, name in (
        ("fpop", "noise 1000000"),
        ("focus", "noise 1000000"),
        ("inducing", "pwc 100000"),
        ("auto", "synth 720"),
        ("auto", "synth 8760"),
    ):
        print(f"| {work} | {name} | {median((work, 'ours'), name):.3g} | {notes[work, 'ours', name]} |")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "child":
        child(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), sys.argv[5] == "1")
    elif pathlib.Path(sys.executable) != PYTHON:
        if not PYTHON.exists():
            subprocess.run([sys.executable, "-m", "venv", HERE / ".venv"], check=True)
            subprocess.run([PYTHON, "-m", "pip", "-q", "install", "-r", HERE / "requirements.txt"], check=True)
        sys.exit(subprocess.run([PYTHON, __file__, *sys.argv[1:]]).returncode)
    else:
        table(*measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
