"""Events to windows, ours beside Spark and Flink on the same files in one run: python3 run.py [EVENTS]

Also from Kafka to Kafka with a real broker. Processor time on one core each; a line that can't be measured says why.
"""
import json, pathlib, re, subprocess, sys, tempfile, venv

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
PYTHON = HERE / ".venv" / "bin" / "python"
FLINK = HERE / "flink"
#: What Java needs to let Flink reach into its own classes.
OPENS = [f"--add-opens=java.base/java.{part}=ALL-UNNAMED" for part in ("lang", "util", "nio", "time", "net", "util.concurrent")]
#: Events that warm up the peers: their code is compiled while it runs.
WARM_UP = 200_000
TOPICS = ["events", "windows", "events-rows", "windows-rows"]
PORT = 19392


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def cargo(*arguments):
    built = run(["cargo", "build", "--release", "--message-format=json-render-diagnostics", *arguments], cwd=REPOSITORY)
    return [json.loads(line)["executable"] for line in built.splitlines() if '"executable":"' in line][-1]


def ours(program, events, folder):
    """Events per second by format, and those with a slide."""
    out = run([program, str(events), str(folder)])
    rates = re.findall(r"(\w+), slide (\w+).*: ([0-9.]+) M events/s, (\d+) rows", out)
    return {(name, slide): (float(rate), int(rows)) for name, slide, rate, rows in rates}


def spark(kind, folder, warm_up):
    if not PYTHON.exists():
        venv.create(HERE / ".venv", with_pip=True)
        run([PYTHON, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"])
    return json.loads(run([PYTHON, HERE / "spark.py", kind, folder, warm_up]).splitlines()[-1])


def flink(folder, warm_up):
    classes = HERE / "target"
    libraries = classes / "libraries"
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies"
    if not libraries.exists():
        run(["mvn", "-q", "-B", "-f", FLINK / "pom.xml", copy, "-DincludeScope=runtime", f"-DoutputDirectory={libraries}"])
    source = FLINK / "src/main/java/FlinkWindows.java"
    run(["javac", "-cp", f"{libraries}/*", "-d", classes, source])
    command = ["java", "-Xmx3g", *OPENS, "-cp", f"{classes}:{libraries}/*", "FlinkWindows", folder, warm_up]
    return json.loads(run(command).splitlines()[-1])


def kafka():
    program = cargo("-p", "funnelpulse-benches", "--features", "kafka", "--bin", "kafka")
    with tempfile.TemporaryDirectory() as folder:
        # The broker goes on after its script: it must not hold the pipe.
        with open(f"{folder}/pid", "w") as out:
            script = REPOSITORY / "examples/stream-kafka/broker.sh"
            subprocess.run([script, f"{folder}/broker", str(PORT), *TOPICS], check=True, stdout=out)
        pid = pathlib.Path(f"{folder}/pid").read_text().strip()
        try:
            return run([program, f"127.0.0.1:{PORT}", *TOPICS[:2]])
        finally:
            subprocess.run(["kill", pid])


def attempt(name, measure):
    try:
        return measure()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name} not measured: {error}", file=sys.stderr)
        return None


def main():
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    program = cargo("-p", "funnelpulse-benches", "--features", "kafka", "--bin", "windows")
    with tempfile.TemporaryDirectory() as folder:
        files, warm_up = pathlib.Path(folder) / "all", pathlib.Path(folder) / "few"
        rates = ours(program, events, files)
        run([program, str(WARM_UP), str(warm_up)])
        peers = {
            ("Spark", "jsonl"): attempt("Spark", lambda: spark("json", files / "jsonl", warm_up / "jsonl")),
            ("Spark", "parquet"): attempt("Spark", lambda: spark("parquet", files / "parquet", warm_up / "parquet")),
            ("Flink", "jsonl"): attempt("Flink", lambda: flink(files / "jsonl", warm_up / "jsonl")),
        }
    print(f"{events} events of 1,000 brands in seven days, ten files; events per second of processor time\n")
    print("| | funnelpulse | peer | ratio | events in closed windows of the peer |\n|---|---|---|---|---|")
    for (name, slide), (rate, rows) in rates.items():
        what = name if slide == "None" else f"{name}, a window of an hour every 5 minutes, {rows} rows to Parquet"
        print(f"| {what} | {1e6 * rate:,.0f} | | | |")
        for (peer, kind), found in peers.items():
            if kind == name and slide == "None" and found:
                own = events / found["seconds"]
                print(f"| | | {peer} {own:,.0f} | {1e6 * rate / own:.0f}x | {found['counted']:,} |")
    out = attempt("Kafka", kafka)
    print(f"\n{out}" if out else "")


if __name__ == "__main__":
    main()
