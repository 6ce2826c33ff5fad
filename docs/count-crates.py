#!/usr/bin/env python3
"""Counts the crates that a dependency on one of ours brings, itself included.

    python3 docs/count-crates.py            prints the counts
    python3 docs/count-crates.py --check    fails where a count is above its limit

On the target of this machine, without the dependencies of builds and tests. A limit is what the count was when somebody
last looked: a crate more needs a reason.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DETECTORS = "changepoint,iforest,incidents,seasonal,subsequence"
# Package, features beside no default ones, limit.
LIMITS = [
    ("funnelpulse-core", "", 18),
    ("funnelpulse-iforest", "", 24),
    ("funnelpulse-iforest", "model-files", 28),
    ("funnelpulse", DETECTORS, 75),
]


def count(package, features):
    """The number of different crates in the tree."""
    command = ["cargo", "tree", "--package", package, "--no-default-features", "--features", features]
    command += ["--edges", "normal", "--prefix", "none", "--format", "{p}"]
    tree = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    # Crates that were listed before end in a star.
    return len({line.removesuffix(" (*)") for line in tree.splitlines()})


def main():
    over = False
    for package, features, limit in LIMITS:
        crates = count(package, features)
        over |= crates > limit
        print(f"{crates:4} crates (at most {limit}): {package} {features or 'without features'}")
    if over and "--check" in sys.argv:
        sys.exit("more crates than there were: docs/count-crates.py has the limits")


main()
