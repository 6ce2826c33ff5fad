"""Breaks by classifiers, ours and those of the Python package changeforest, on the same tables.

    pip install changeforest==1.2.1 numpy
    cargo build -p funnelpulse-changepoint --release --example classifier
    python3 classifier.py PATH/TO/release/examples/classifier [ROUNDS]

Prints a Markdown table: breaks, and the median processor time over the rounds (3), one thread, ours with the start of its
process and the reading of the file. Breaks are planted at the rows in the second column.
"""
import os, pathlib, resource, statistics, subprocess, sys, tempfile, time

os.environ["RAYON_NUM_THREADS"] = "1"
import numpy as np
from changeforest import Control, changeforest


def correlated(rng, n, d, rho):
    shared = rng.normal(size=(n, 1))
    return np.sqrt(abs(rho)) * np.sign(rho) ** np.arange(d) * shared + np.sqrt(1 - abs(rho)) * rng.normal(size=(n, d))


def tables():
    """Name -> (values, planted breaks)."""
    rng = np.random.default_rng(7)
    crossing = rng.normal(size=(600, 2))
    crossing[350:, 1] = crossing[350:, 0] * rng.choice([-1, 1], size=250)
    flips = np.vstack([correlated(rng, 500, 5, rho) for rho in (0.6, -0.6, 0.6, 0.0)])
    means = rng.normal(size=(2_000, 10))
    for start, end, column in ((400, 900, 2), (900, 1_500, 5), (1_500, 2_000, 8)):
        means[start:end, column] += 1.0
    tails = np.vstack([rng.normal(size=(700, 1)), rng.standard_t(3, size=(700, 1)) / np.sqrt(3)])
    return {
        "second column becomes plus or minus the first": (crossing, [350]),
        "correlations of 5 columns": (flips, [500, 1_000, 1_500]),
        "means of 3 of 10 columns": (means, [400, 900, 1_500]),
        "normal to t with 3 degrees, same variance": (tails, [700]),
        "noise, 5 columns": (rng.normal(size=(1_000, 5)), []),
    }


def theirs(values, method, share):
    start = time.process_time()
    found = changeforest(values, method, "bs", Control(minimal_relative_segment_length=share))
    return [int(at) for at in found.split_points()], time.process_time() - start


def ours(program, path, classifier, least):
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    start = used()
    run = subprocess.run([program, path, classifier, str(least)], capture_output=True, text=True, check=True)
    return [int(line.split("\t")[0]) for line in run.stdout.splitlines()], used() - start


def cell(runs):
    breaks = ", ".join(map(str, runs[0][0])) or "none"
    return f"{breaks}; {1e3 * statistics.median(seconds for _, seconds in runs):.0f} ms"


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    least = 24
    print("| table | rows | planted | forest: ours | forest: changeforest | neighbours: ours | neighbours: changeforest |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (values, planted) in tables().items():
            path = pathlib.Path(folder) / "values.csv"
            np.savetxt(path, values, delimiter=",", fmt="%.17g")
            scaled = values / values.std(axis=0)
            share = least / len(values)
            runs = [
                [ours(program, path, "random_forest", least) for _ in range(rounds)],
                [theirs(values, "random_forest", share) for _ in range(rounds)],
                [ours(program, path, "nearest_neighbours", least) for _ in range(rounds)],
                [theirs(scaled, "knn", share) for _ in range(rounds)],
            ]
            planted = ", ".join(map(str, planted)) or "none"
            print(f"| {name} | {len(values)} | {planted} | " + " | ".join(map(cell, runs)) + " |", flush=True)


main()
