#!/usr/bin/env bash
# A benchmark suite: our detectors, random scores and a program of one's own on a folder of labelled series.
# docs/users/benchmarks.sh BINARY
set -euo pipefail
funnelpulse=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# Six series in the layout of TSB-AD, each with one spike after the part to learn from.
mkdir suite
python3 - <<'EOF'
import math, random
for number in range(6):
    random.seed(number)
    spike = random.randrange(500, 900)
    with open(f"suite/{number:03}_Wave_id_{number}_tr_300_1st_{spike}.csv", "w") as file:
        file.write("Data,Label\n")
        for row in range(1000):
            value = math.sin(row / 10) + random.gauss(0, 0.1) + (3 if spike <= row < spike + 5 else 0)
            file.write(f"{value:.6f},{int(spike <= row < spike + 5)}\n")
EOF
# Any program is a detector that writes a score per row.
cat >mean.py <<'EOF'
import csv, sys
values = [float(row[-1]) for row in list(csv.reader(open(sys.argv[1])))[1:]]
mean = sum(values) / len(values)
open(sys.argv[2], "w").write("\n".join(str(abs(value - mean)) for value in values))
EOF
bench() {
    "$funnelpulse" bench --data suite --out results --detectors zscore,iforest,random --quiet --jobs 2 \
        --external "distance=python3 mean.py {input} {output}" "$@"
}
bench >first.txt
# Nothing is left to do: the same table.
bench --resume >second.txt
diff first.txt second.txt
cat results/leaderboard.txt
python3 - <<'EOF'
import csv
runs = list(csv.DictReader(open("results/runs.csv")))
assert len(runs) == 4 * 6 and {run["detector"] for run in runs} == {"zscore", "iforest", "random", "distance"}, len(runs)
mean = lambda name: sum(float(run["vus_pr"]) for run in runs if run["detector"] == name) / 6
assert mean("distance") > mean("random") and mean("iforest") > mean("random")
EOF
echo "benchmarks: done in $SECONDS seconds"
