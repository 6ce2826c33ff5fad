"""The original's pipeline beside ours, on the same tables:

    python3 run.py CHECKOUT WHEEL [--tables BRANDSxDAYS ...] [--limit SECONDS]

CHECKOUT is a checkout of the original (saiharshavarma/Big-Data-Project on GitHub, commit b404528); it has no licence, so
nothing of it is here. Makes a virtual environment with `requirements.txt` and the wheel. Each side is a process of its
own with a Spark session of two threads, and the same call: `create_pipeline(spark).run_pipeline(input, output)`. Processor
seconds are those of the whole process tree from that call on, so the start of Spark counts for neither.

Tables are generated, from small to large; the largest has about as many rows as the original's, 81,349. A run of the
original that takes longer than `--limit` seconds by the clock is ended, and those of larger tables are left out; ours run
on every table. The last lines are the ratio on the largest table that the original finished, and the lower bound on the
next.

TensorFlow is not installed: the original then leaves its network out, as it was built to. With it the run takes hours.
Ours runs twice: as it is, and with the detectors of the original (preset `original`, without the network).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = HERE / ".venv" / "bin" / "python"
BENCHES = HERE.parents[2] / "crates" / "funnelpulse-python" / "benches"
#: The original's job reads hours with so many views.
MIN_VIEWS = 20
SIDES = ["the original", "funnelpulse", "funnelpulse, detectors of the original"]
TABLES = ["1x61", "2x61", "3x61", "6x61", "60x174"]

TABLE = """
import sys
import funnelpulse as fp, pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
folder, brands, days, least = sys.argv[1], *map(int, sys.argv[2:5])
table = pa.table(fp.generate(brands, days, 1)[0])
table = table.filter(pc.greater_equal(table["views"], least))
# The name that the original has for carts; times as Spark reads them.
table = table.append_column("cart_additions", table["carts"]).drop_columns(["carts"])
pq.write_table(table, folder + "/table.parquet", coerce_timestamps="us")
print(table.num_rows)
"""

SIDE = """
import json, logging, os, sys, time
side, checkout, folder, benches = int(sys.argv[1]), *sys.argv[2:]
sys.path.insert(0, benches)
from spark import Tree
logging.disable(logging.WARNING)
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC")
builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.ui.enabled", "false")
builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.driver.memory", "4g")
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
if side == 0:
    # An annotation names a class of TensorFlow even where TensorFlow is missing.
    import builtins
    builtins.Model = None
    sys.path.insert(0, checkout + "/advanced_anomaly_detection")
    from advanced_anomaly_pipeline import create_pipeline
    pipeline = create_pipeline(spark)
else:
    from funnelpulse import Config
    from funnelpulse.spark import create_pipeline
    config = None
    if side == 2:
        known = Config(preset="original").to_dict()
        known["pipeline"]["detectors"].remove("lstm-ae")
        config = Config({name: known[name] for name in ("pipeline", "ensemble", "alerts")})
    pipeline = create_pipeline(spark, config)
tree = Tree()
before, started = sum(tree.seconds().values()), time.monotonic()
done = pipeline.run_pipeline(folder + "/table.parquet", f"{folder}/out-{side}", train_first=True)
wall = time.monotonic() - started
tree.ended.set()
cpu = sum(tree.seconds().values()) - before
assert side == 0 or done["engine"] == "funnelpulse", done["fallback_reason"]
rows = spark.read.parquet(f"{folder}/out-{side}").count()
print(json.dumps({"cpu": cpu, "wall": wall, "anomalies": rows}))
spark.stop()
"""


def prepare(wheel):
    if not PYTHON.exists():
        venv.create(HERE / ".venv", with_pip=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", wheel]
    subprocess.run(command, check=True)


def last_line(code, *args, limit=None):
    """The last line that `code` prints; `None` if it takes longer than `limit` seconds."""
    command = [PYTHON, "-c", code, *map(str, args)]
    # The interpreter of Spark's workers. The group is the process, its JVM and its workers.
    env = {**os.environ, "PYSPARK_PYTHON": str(PYTHON), "PYSPARK_DRIVER_PYTHON": str(PYTHON)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
    try:
        text, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    if process.returncode != 0:
        raise SystemExit(f"a run ended with {process.returncode}")
    return text.strip().splitlines()[-1]


def measure(checkout, brands, days, limit):
    """The runs of one table, `None` for the original past the limit. `limit` 0: without the original."""
    with tempfile.TemporaryDirectory() as folder:
        rows = int(last_line(TABLE, folder, brands, days, MIN_VIEWS))
        print(f"{brands} brands, {days} days, hours with at least {MIN_VIEWS} views: {rows} rows", flush=True)
        found = []
        for side, name in enumerate(SIDES):
            if side == 0 and limit == 0:
                found.append(None)
                continue
            line = last_line(SIDE, side, checkout, folder, BENCHES, limit=limit if side == 0 else None)
            found.append(json.loads(line) if line else None)
            print(f"  {name:<42}{shown(found[-1], limit)}", flush=True)
        return rows, found


def shown(run, limit):
    if run is None:
        return f"not finished within {limit} s by the clock"
    return f"{run['cpu']:9.1f} s of processor time, {run['wall']:.1f} s by the clock, {run['anomalies']} anomalies"


def conclude(rows, found, limit):
    """The ratios of one table."""
    theirs = found[0]
    for name, ours in zip(SIDES[1:], found[1:], strict=True):
        if theirs is None:
            print(f"{rows} rows: the original / {name}: more than {limit / ours['wall']:.1f} by the clock")
        else:
            cpu, wall = theirs["cpu"] / ours["cpu"], theirs["wall"] / ours["wall"]
            print(f"{rows} rows: the original / {name}: {cpu:.1f} in processor time, {wall:.1f} by the clock")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--tables", nargs="+", default=TABLES, help="brands and days (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=600, help="seconds of a run of the original (default: 600)")
    args = parser.parse_args()
    prepare(args.wheel.resolve())
    finished, ended = None, None
    for table in args.tables:
        brands, days = map(int, table.split("x"))
        limit = 0 if ended else args.limit
        rows, found = measure(args.checkout.resolve(), brands, days, limit)
        if found[0] is not None:
            finished = (rows, found)
        elif ended is None:
            ended = (rows, found)
    for table in (finished, ended):
        if table:
            conclude(*table, args.limit)


if __name__ == "__main__":
    sys.exit(main())
