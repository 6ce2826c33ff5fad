"""The table of the whole path: python3 run.py [--events N] [--threads N] [--speed PROGRAM]

PROGRAM is `speed` of `benches/speed` where it is already built; else it is built here, by the profile that users get.
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
PEERS = ["features", "events:parquet", "events:csv", "forest:scikit-learn:8", "forest:coniferest:8", "forest:scikit-learn:32", "forest:coniferest:32"]


def option(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def prepare():
    if not PYTHON.exists():
        venv.create(HERE / ".venv", with_pip=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    if "--speed" in sys.argv:
        return os.path.abspath(option("--speed", ""))
    build = ["cargo", "build", "--release", "--quiet", "-p", "funnelpulse-benches", "--bin", "speed"]
    built = subprocess.run(build + ["--message-format=json-render-diagnostics"], cwd=HERE, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line)["executable"] for line in built.stdout.splitlines() if '"executable":"' in line][-1]


def lines(command, threads):
    names = ["OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"]
    environment = {**os.environ, **{name: threads for name in names}}
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def main():
    ours, threads = prepare(), option("--threads", "1")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PYTHON, HERE / "make.py", folder, option("--events", "2000000")], check=True)
        measured = lines([ours, folder], threads)
        for peer in PEERS:
            measured += lines([PYTHON, HERE / "peers.py", folder, peer], threads)
    print(f"{threads} thread(s); seconds of processor time / wall seconds, peak MiB of the process\n")
    print("| step | funnelpulse | peak | peer | ratio |\n|---|---|---|---|---|")
    for own in (m for m in measured if m["library"] == "funnelpulse"):
        name = own["what"].split(" (")[0]
        peers = [m for m in measured if m["library"] != "funnelpulse" and m["what"] == name]
        shown = ", ".join(f"{m['library']} {m['cpu_s']:.3f} / {m['wall_s']:.3f} ({m['peak_mib']:.0f} MiB)" for m in peers)
        best = min((m["cpu_s"] for m in peers), default=None)
        ratio = f"{best / own['cpu_s']:.1f}x" if best else ""
        note = f" {own['note']}" if own.get("note") else ""
        print(f"| {own['what']} | {own['cpu_s']:.3f} / {own['wall_s']:.3f}{note} | {own['peak_mib']:.0f} | {shown} | {ratio} |")


if __name__ == "__main__":
    main()
