"""Processor time and peak memory of the program as tables grow: scaling.py BINARY [--brands 40,120,400] [--events 1,4,16] [--horizon HOURS]

BINARY is the `funnelpulse` program. Shops of 60 days are generated with each number of brands and go through `run`,
and folders of so many million events become hourly tables by `run` with the z-score alone; with --horizon duplicates are
looked for within so many hours, so that memory does not grow with the events. The exponent is that of processor time
between one line and the next: 1 is proportional. One thread. Needs numpy and polars.
"""

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DAYS = 60
#: Prints the rows of a file.
ROWS = "import sys, polars as pl; print(pl.scan_parquet(sys.argv[1]).select(pl.len()).collect().item())"


def option(name, default):
    text = sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
    return [int(value) for value in text.split(",") if value]


def python(*arguments):
    """What another interpreter prints: the peak memory of a process begins with that of the one which starts it."""
    return subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def measured(command):
    """Processor seconds and peak MiB of a command."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def table(title, unit, sizes, of_size):
    print(f"\n| {title} | processor seconds | us per {unit} | peak MiB | exponent |\n|---|---|---|---|---|")
    last = None
    for size in sizes:
        number, seconds, peak = of_size(size)
        exponent = f"{math.log(seconds / last[1]) / math.log(size / last[0]):.2f}" if last else ""
        print(f"| {size} | {seconds:.1f} | {1e6 * seconds / number:.2f} | {peak:.0f} | {exponent} |", flush=True)
        last = (size, seconds)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    program = [binary, "--quiet", "--threads", "1"]
    horizon = option("--horizon", "")

    def shop(brands):
        with tempfile.TemporaryDirectory() as folder:
            generate = [*program, "generate", "--out", folder, "--brands", str(brands), "--days", str(DAYS)]
            subprocess.run(generate, check=True, stdout=subprocess.DEVNULL)
            rows = int(python("-c", ROWS, f"{folder}/hourly.parquet"))
            run = [*program, "run", "--input", f"{folder}/hourly.parquet", "--output", f"{folder}/out"]
            return (rows, *measured(run))

    def events(millions):
        with tempfile.TemporaryDirectory() as folder:
            python(HERE / "make.py", folder, str(millions * 1_000_000), "--parts")
            run = [*program, "run", "--input", f"{folder}/events", "--output", f"{folder}/out"]
            settings = ["--set", 'pipeline.detectors=["zscore"]']
            if horizon:
                settings += ["--set", f"events.dedup_horizon_hours={horizon[0]}"]
            return (millions * 1_000_000, *measured([*run, *settings]))

    table(f"brands, {DAYS} days, `run`", "row", option("--brands", "40,120,400"), shop)
    table("million events, 40 brands", "event", option("--events", "1,4,16"), events)


if __name__ == "__main__":
    main()
