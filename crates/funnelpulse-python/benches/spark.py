"""Processor time of Spark against the command line on the same rows.

    python spark.py FUNNELPULSE_BINARY [--sites 300] [--brands 40] [--days 4] [--task-cpus 1]

Generates shops, runs `funnelpulse run` on each, then the same rows through Spark, two executors of one core
(`local-cluster[2,1,1024]`), or one whose tasks have `--task-cpus` cores: for one large site. Prints processor seconds of both: those of Spark are of its whole process tree, sampled, from
the reading of the table to the written result, without the start of the session.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

import funnelpulse as fp
import pyarrow as pa
import pyarrow.parquet as pq

#: Seconds between two looks at the process tree.
PERIOD = 0.1


class Tree:
    """Processor seconds of this process and all below it, by kind of process."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[str, float]] = {}
        #: MiB of the largest Python process.
        self.peak = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.ended.wait(PERIOD):
            self.look()

    def look(self) -> None:
        ticks, mine, parents = os.sysconf("SC_CLK_TCK"), {os.getpid()}, {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    name, rest = (entry / "stat").read_text().rsplit(")", 1)
                except OSError:
                    continue
                fields = rest.split()
                seconds = (int(fields[11]) + int(fields[12])) / ticks
                parents[int(entry.name)] = (int(fields[1]), name.split("(", 1)[1], seconds)
        grown = True
        while grown:
            more = {pid for pid, (parent, _, _) in parents.items() if parent in mine} - mine
            mine |= more
            grown = bool(more)
        for pid in mine:
            if pid in parents:
                self.seen[pid] = parents[pid][1:]
                if self.seen[pid][0] != "java":
                    self.peak = max(self.peak, peak_memory(pid))

    def seconds(self) -> dict[str, float]:
        self.look()
        found: dict[str, float] = {}
        for name, seconds in list(self.seen.values()):
            kind = "jvm" if name == "java" else "python"
            found[kind] = found.get(kind, 0.0) + seconds
        return found


def peak_memory(pid: int) -> float:
    """MiB that a process had at most."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM"))


def command_line(binary: str, files: list[pathlib.Path], out: pathlib.Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for file in files:
        command = [binary, "run", "--input", file, "--output", out / file.stem, "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def with_spark(table: str, out: str, jvm: str, cpus: int) -> tuple[dict[str, float], dict[str, object]]:
    import pyspark
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_HOME", os.path.dirname(pyspark.__file__))
    executors = 2 if cpus == 1 else 1
    builder = (
        SparkSession.builder.master(f"local-cluster[{executors},{cpus},1024]")
        .config("spark.task.cpus", str(cpus))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
    )
    builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.executor.memory", "1g")
    builder = builder.config("spark.sql.shuffle.partitions", "8").config(
        "spark.executorEnv.PYTHONPATH", ":".join(sys.path[1:])
    )
    builder = builder.config("spark.driver.extraJavaOptions", jvm).config("spark.executor.extraJavaOptions", jvm)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    from funnelpulse.spark import create_pipeline

    # Executors and workers start before the clock does.
    spark.range(0, 2, 1, 2).mapInArrow(lambda batches: batches, "id long").count()
    tree = Tree()
    before, started = tree.seconds(), time.monotonic()
    statistics = create_pipeline(spark).run_pipeline(table, out)
    statistics["wall"] = time.monotonic() - started
    tree.ended.set()
    statistics["peak"] = tree.peak
    used = {kind: seconds - before.get(kind, 0.0) for kind, seconds in tree.seconds().items()}
    spark.stop()
    return used, statistics


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--sites", type=int, default=300)
    parser.add_argument("--brands", type=int, default=40)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--task-cpus", type=int, default=1)
    parser.add_argument("--jvm", default="", help="options of driver and executors")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "table").mkdir()
        (root / "files").mkdir()
        files, rows = [], 0
        for site in range(args.sites):
            shop = pa.table(fp.generate(args.brands, args.days, site)[0])
            rows += len(shop)
            files.append(root / "files" / f"{site:04}.parquet")
            pq.write_table(shop, files[-1])
            name = pa.array([f"site_{site:04}"] * len(shop))
            pq.write_table(shop.append_column("site", name), root / "table" / f"{site:04}.parquet")
        print(f"{args.sites} sites x {args.brands} brands x {args.days} days: {rows} rows", flush=True)
        alone = command_line(args.binary, files, root / "out")
        print(f"command line: {alone:.1f} s of processor time, {1e6 * alone / rows:.1f} us per row", flush=True)
        used, statistics = with_spark(str(root / "table"), str(root / "spark"), args.jvm, args.task_cpus)
        total = sum(used.values())
        engine = float(statistics["engine_seconds"])
        print(
            f"Spark: {total:.1f} s { ({k: round(v, 1) for k, v in used.items()}) }, {statistics['wall']:.1f} s by the clock"
        )
        print(f"engine: {engine:.1f} s, {engine / total:.0%} of Spark's; Spark / command line: {total / alone:.2f}")
        print(f"the largest Python process: {statistics['peak']:.0f} MiB")
        print(f"rows {statistics['rows']}, sites {statistics['sites']}, failed sites {statistics['failed_sites']}")


if __name__ == "__main__":
    main()
