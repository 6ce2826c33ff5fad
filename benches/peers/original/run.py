"""The original's pipeline beside ours, on the same table: python3 run.py CHECKOUT WHEEL [--brands N] [--days N]

CHECKOUT is a checkout of the original (saiharshavarma/Big-Data-Project on GitHub, commit b404528); it has no licence, so
nothing of it is here. Makes a virtual environment with `requirements.txt` and the wheel. Each side is a process of its
own with a Spark session of two threads, and the same call: `create_pipeline(spark).run_pipeline(input, output)`. Processor
seconds are those of the whole process tree from that call on, so the start of Spark counts for neither.

TensorFlow is not installed: the original then leaves its network out, as it was built to. With it the run takes hours.
Ours runs twice: as it is, and with the detectors of the original (preset `original`, without the network).
"""

import argparse
import json
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
pipeline.run_pipeline(folder + "/table.parquet", f"{folder}/out-{side}", train_first=True)
wall = time.monotonic() - started
tree.ended.set()
cpu = sum(tree.seconds().values()) - before
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


def last_line(code, *args):
    command = [PYTHON, "-c", code, *map(str, args)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--brands", type=int, default=60)
    parser.add_argument("--days", type=int, default=61)
    args = parser.parse_args()
    prepare(args.wheel.resolve())
    with tempfile.TemporaryDirectory() as folder:
        rows = last_line(TABLE, folder, args.brands, args.days, MIN_VIEWS)
        print(f"{args.brands} brands, {args.days} days, hours with at least {MIN_VIEWS} views: {rows} rows", flush=True)
        found = []
        for side, name in enumerate(SIDES):
            found.append(json.loads(last_line(SIDE, side, args.checkout.resolve(), folder, BENCHES)))
            cpu, wall = found[-1]["cpu"], found[-1]["wall"]
            print(
                f"{name:<42}{cpu:9.1f} s of processor time, {wall:.1f} s by the clock, {found[-1]['anomalies']} anomalies; "
                f"the original takes {found[0]['cpu'] / cpu:.1f} and {found[0]['wall'] / wall:.1f} times as much",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
