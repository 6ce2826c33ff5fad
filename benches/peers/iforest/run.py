"""Isolation forests side by side: python3 run.py [--quick]

Makes a virtual environment with requirements.txt, builds the Rust half, and runs everything on the
same arrays (standard normal, seed 0). Times are processor seconds on one thread, wall seconds on two.
Prints markdown tables; ratios are against the fastest
peer of the same kind in the same row of the same run.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = HERE / ".venv" / "bin" / "python"


def prepare():
    if not PYTHON.exists():
        venv.create(HERE / ".venv", with_pip=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    build = ["cargo", "build", "--release", "--quiet", "--message-format=json-render-diagnostics"]
    built = subprocess.run(build, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line)["executable"] for line in built.splitlines() if '"executable":"' in line][0]


def lines(command, threads):
    one = {name: str(threads) for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]}
    out = subprocess.run(command, env={**os.environ, **one}, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def main():
    rust = prepare()
    import_numpy = "import sys, numpy as np; x = np.random.default_rng(0).normal(size=(int(sys.argv[1]), int(sys.argv[2]))); np.save(sys.argv[3], x); x.tofile(sys.argv[4])"
    sizes = [10_000, 100_000] + ([] if "--quick" in sys.argv else [1_000_000])
    with tempfile.TemporaryDirectory() as folder:
        npy, raw = f"{folder}/x.npy", f"{folder}/x.f64"
        for columns in [8, 32]:
            for rows in sizes:
                subprocess.run([PYTHON, "-c", import_numpy, str(rows), str(columns), npy, raw], check=True)
                repeats = str(5 if rows < 1_000_000 else 1)
                for threads in [1, 2]:
                    measured = lines([rust, "time", raw, str(rows), str(columns), str(threads), repeats], threads)
                    measured += lines([PYTHON, HERE / "peers.py", npy, str(threads), repeats], threads)
                    table(rows, columns, threads, measured)
                if (rows, columns) == (sizes[-1], 8):
                    memory = lines([rust, "memory", raw, str(rows), str(columns)], 1)
                    print("\n```text")
                    for line in memory:
                        print(line)
                    print("```")


def table(rows, columns, threads, measured):
    peers = [m for m in measured if not m["library"].startswith("funnelpulse")]
    per_tree = lambda m: 1e9 * m["score_s"] / rows / (200 if "200 trees" in m["library"] else 100)
    fastest = {key: min(m[key] for m in peers) for key in ["fit_s", "score_s"]}
    extended = next(m for m in peers if "isotree" in m["library"] and "extended" in m["library"])
    print(f"\n{rows:,} x {columns}, {threads} thread{'s' if threads > 1 else ''}\n")
    print("| | fit, ms | score, ns per row and tree | fit: fastest peer takes | score: fastest peer takes |")
    print("|---|---|---|---|---|")
    for m in measured:
        ours = m["library"].startswith("funnelpulse")
        against = {key: extended[key] for key in fastest} if "extended" in m["library"] and ours else fastest
        # Per tree, for forests of 200.
        trees = 2 if "200 trees" in m["library"] else 1
        ratios = [f"{against[key] / m[key] * trees:.1f}x" if ours else "" for key in ["fit_s", "score_s"]]
        name = m["library"] + (" (against isotree extended)" if "extended" in m["library"] and ours else "")
        print(f"| {name} | {1e3 * m['fit_s']:.2f} | {per_tree(m):.1f} | {ratios[0]} | {ratios[1]} |", flush=True)


if __name__ == "__main__":
    main()
