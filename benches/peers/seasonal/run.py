"""Fit and prediction times beside Prophet, augurs-prophet and MSTL, as a markdown table of ratios.

    python3 run.py [--rounds 3] [--series synth720 ...]

Makes a virtual environment beside itself if there is none, builds the release binary, and times
everybody in turn on the same arrays, on one thread each, CPU time, medians over the rounds. The
five reference series are read from $FUNNELPULSE_SHARED (or `shared/` beside the repository); where
that is absent, series of the same kind are generated.
"""
import argparse, csv, gzip, json, math, os, pathlib, random, statistics, subprocess, sys
from datetime import datetime, timezone

HERE = pathlib.Path(__file__).resolve().parent
SERIES = {"synth720": 720, "synth3600": 3600, "synth8760": 8760, "nyc_taxi": 10320, "peyton": 2905}
ONE_THREAD = {name: "1" for name in
              ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS",
               "STAN_NUM_THREADS")}


def python():
    environment = HERE / ".venv"
    interpreter = environment / "bin" / "python"
    if not interpreter.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    return interpreter


def binary():
    command = ["cargo", "build", "--release", "-q", "--manifest-path", HERE / "Cargo.toml", "--message-format", "json"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    artifacts = (json.loads(line) for line in lines)
    return next(a["executable"] for a in artifacts if a.get("executable"))


def generated(name):
    """A conversion rate with bends, seasons, autocorrelated noise and outliers."""
    draw = random.Random(name)
    rows, step = SERIES[name], {"nyc_taxi": 1800, "peyton": 86400}.get(name, 3600)
    level, noise = 0.05, 0.0
    for i in range(rows):
        day = i * step / 86400
        level *= 1 + (0.6, -0.9, 0.4)[3 * i // rows] / rows
        noise = 0.6 * noise + draw.gauss(0, 0.04)
        season = 1 + 0.25 * math.sin(2 * math.pi * day) + 0.1 * math.cos(2 * math.pi * day / 7)
        yield 1672617600 + i * step, level * season * (1 + noise) * (3 if draw.random() < 0.01 else 1)


def series(name):
    shared = pathlib.Path(os.environ.get("FUNNELPULSE_SHARED", HERE / "../../../../shared"))
    path = shared / "reference" / "seasonal" / f"{name}_input.csv.gz"
    if not path.exists():
        return list(generated(name))
    with gzip.open(path, "rt") as file:
        stamp = lambda text: int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp())
        return [(stamp(row["ds"]), float(row["y"])) for row in csv.DictReader(file)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--series", nargs="*", default=list(SERIES))
    options = parser.parse_args()
    interpreter, program = python(), binary()
    environment = {**os.environ, **ONE_THREAD}
    peer = subprocess.Popen([interpreter, HERE / "peer.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True, env=environment)

    def ask(who, file, name):
        if who in ("ours", "augurs"):
            repeats = "25" if who == "ours" else "1"
            done = subprocess.run([program, who, file, name, repeats], stdout=subprocess.PIPE, text=True, env=environment)
            return json.loads(done.stdout) if done.returncode == 0 else {"error": f"exit {done.returncode}"}
        peer.stdin.write(json.dumps({"peer": who, "file": str(file), "name": name}) + "\n")
        peer.stdin.flush()
        return json.loads(peer.stdout.readline())

    work = HERE / "target" / "series"
    work.mkdir(parents=True, exist_ok=True)
    times = {}
    for name in options.series:
        file = work / f"{name}.csv"
        file.write_text("".join(f"{t},{y!r}\n" for t, y in series(name)))
        for peer_name in ("prophet", "mstl"):
            if name == options.series[0]:
                ask(peer_name, file, name)  # imports and compilation are not timed
        for _ in range(options.rounds):
            for who in ("prophet", "ours", "augurs", "mstl"):
                for key, value in ask(who, file, name).items():
                    times.setdefault((name, who, key), []).append(value)
    peer.stdin.close()

    def middle(name, who, key):
        values = [v for v in times.get((name, who, key), []) if isinstance(v, (int, float))]
        return statistics.median(values) if values else math.nan

    def ratio(name, who, key, ours=None):
        value = middle(name, who, key) / middle(name, "ours", ours or key)
        return "-" if math.isnan(value) else f"{value:,.0f}x"

    print("| series | rows | our fit, ms | Prophet | its Stan alone | augurs-prophet | MSTL | our predict history, ms | "
          "Prophet | augurs-prophet | our predict 168 ahead, ms | Prophet | augurs-prophet |")
    print("|" + "---|" * 13)
    for name in options.series:
        ms = lambda key: f"{1e3 * middle(name, 'ours', key):.2f}"
        print(f"| `{name}` | {SERIES[name]:,} | {ms('fit')} | {ratio(name, 'prophet', 'fit')} | "
              f"{ratio(name, 'prophet', 'stan', 'fit')} | {ratio(name, 'augurs', 'fit')} | {ratio(name, 'mstl', 'fit')} | "
              f"{ms('history')} | {ratio(name, 'prophet', 'history')} | {ratio(name, 'augurs', 'history')} | "
              f"{ms('future')} | {ratio(name, 'prophet', 'future')} | {ratio(name, 'augurs', 'future')} |")
    for (name, who, key), values in times.items():
        if key == "error":
            print(f"\n{who} on {name}: {values[0]}")


main()
