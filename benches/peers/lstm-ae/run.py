"""Ours and others on the same windows, in one run: python3 run.py [speed | loss | tsbad | funnel] [--only WHO,WHO]

Without a word: speed, of all libraries or of those that are named (ours, torch, keras, candle, burn). Every library
runs in a child process of its own, one after the other, in rounds (ROUNDS in the environment, 3 by default; the
slow ones take part in every other), so that a busy machine is busy for all; the tables have the best of the rounds.
One thread is measured in CPU time, two threads in wall time.
"""
import json, os, pathlib, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE / ".venv" / "bin" / "python"
STEPS, COLUMNS, BATCH, WINDOWS = 168, 3, 32, 512
NAMES = {"ours": "ours", "torch": "PyTorch", "keras": "Keras", "candle": "candle", "burn": "burn `nn::Lstm`"}
#: What one core of the machine of the README computes, and what a window costs.
FLOPS, FORWARD, TRAINING = 100e9, 20.97e6, 62.65e6


def series(rows, seed=1):
    """Three hourly metrics of a shop with days and weeks, in units of their spread."""
    import numpy as np

    rng = np.random.default_rng(seed)
    hour = np.arange(rows)
    level = 1 + 0.6 * np.sin(2 * np.pi * (hour - 8) / 24) + 0.25 * np.sin(4 * np.pi * hour / 24)
    level *= np.where(hour // 24 % 7 >= 5, 0.7, 1.0)
    views = rng.poisson(200 * np.maximum(level, 0.05))
    carts = rng.binomial(views, 0.12)
    bought = rng.binomial(carts, 0.3)
    return np.stack([views, carts, bought], 1).astype("f8")


def scaled(values, training):
    """As the crate scales: median and interquartile range of the training rows."""
    import numpy as np

    ordered = np.sort(values[:training], axis=0)
    at = lambda q: ordered[int(np.floor(q * (len(ordered) - 1) + 0.5))]
    return (values - at(0.5)) / ((at(0.75) - at(0.25)) / 1.349)


def cut(values):
    import numpy as np

    return np.stack([values[i : i + STEPS] for i in range(len(values) - STEPS + 1)]).astype("f4")


def clock(threads):
    import time

    return time.process_time if threads == 1 else time.perf_counter


def best(now, rounds, work, patience=15):
    """Least time of so many rounds, or of those that ended in so many seconds."""
    import time

    times, begun = [], time.perf_counter()
    while len(times) < rounds and (not times or time.perf_counter() < begun + patience):
        start = now()
        work()
        times.append(now() - start)
    return min(times)


def peak():
    line = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def torch_model():
    import torch

    class Autoencoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            lstm = lambda a, b: torch.nn.LSTM(a, b, batch_first=True)
            self.layers = torch.nn.ModuleList([lstm(COLUMNS, 64), lstm(64, 32), lstm(32, 32), lstm(32, 64)])
            self.code, self.output = torch.nn.Linear(32, 32), torch.nn.Linear(64, COLUMNS)
            self.drop = torch.nn.Dropout(0.2)

        def forward(self, x):
            x = self.drop(self.layers[0](x)[0])
            x = self.drop(self.layers[1](x)[0][:, -1])
            x = torch.relu(self.code(x))[:, None].expand(-1, STEPS, -1)
            x = self.drop(self.layers[2](x)[0])
            return self.output(self.layers[3](x)[0])

    return Autoencoder()


def run_torch(path, threads):
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    windows = torch.from_numpy(cut(np.fromfile(path, "f4").reshape(-1, COLUMNS)))
    model, now = torch_model(), clock(threads)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def train():
        for x in windows.split(BATCH):
            optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            optimizer.step()

    took = best(now, 3, train)
    model.eval()
    with torch.inference_mode():
        predicted = best(now, 4, lambda: [model(x) for x in windows.split(BATCH)])
        one = best(now, 100, lambda: model(windows[:1]))
    print("PyTorch", len(windows) / took, len(windows) / predicted, one * 1e3, peak(), sep="\t")


def keras_model():
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    from keras import layers

    return keras.Sequential([
        keras.Input((STEPS, COLUMNS)),
        layers.LSTM(64, return_sequences=True), layers.Dropout(0.2),
        layers.LSTM(32), layers.Dropout(0.2),
        layers.Dense(32, activation="relu"), layers.RepeatVector(STEPS),
        layers.LSTM(32, return_sequences=True), layers.Dropout(0.2),
        layers.LSTM(64, return_sequences=True), layers.TimeDistributed(layers.Dense(COLUMNS)),
    ])


def run_keras(path, threads):
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    windows = cut(np.fromfile(path, "f4").reshape(-1, COLUMNS))[: 8 * BATCH]
    model, now = keras_model(), clock(threads)
    model.compile("adam", "mse")
    fit = lambda: model.fit(windows, windows, batch_size=BATCH, epochs=1, verbose=0)
    fit()
    took = best(now, 2, fit)
    model.predict(windows, batch_size=BATCH, verbose=0)
    predicted = best(now, 3, lambda: model.predict(windows, batch_size=BATCH, verbose=0))
    call = tf.function(lambda x: model(x, training=False))
    call(windows[:1])
    one = best(now, 20, lambda: call(windows[:1]).numpy())
    print("Keras", len(windows) / took, len(windows) / predicted, one * 1e3, peak(), sep="\t")


def keras_loss(path, seed, epochs):
    """Best validation loss and last training loss."""
    import numpy as np

    rows = np.fromfile(path, "f8").reshape(-1, COLUMNS)
    training = len(rows) - int(np.floor(0.3 * len(rows)))
    values = scaled(rows, training)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    import keras

    keras.utils.set_random_seed(seed)
    model = keras_model()
    model.compile("adam", "mse")
    learn, check = cut(values[:training]), cut(values[training:])
    done = model.fit(learn, learn, batch_size=BATCH, epochs=epochs, validation_data=(check, check), verbose=0).history
    print(min(done["val_loss"]), done["loss"][-1], sep="\t")


def environment(threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return {**os.environ, **{k: str(threads) for k in names}, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def output(command, threads):
    done = subprocess.run([str(c) for c in command], env=environment(threads), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return done.stdout.decode().strip().splitlines()[-1].split("\t")


def only():
    """The libraries that are asked for, of `speed`."""
    return os.environ.get("ONLY", ",".join(NAMES)).split(",")


def setting():
    """Where and when, and with which versions."""
    import datetime, importlib.metadata

    model = next(l for l in open("/proc/cpuinfo") if l.startswith("model name")).split(":")[1].strip()
    packages = [p for who, p in (("torch", "torch"), ("keras", "keras"), ("keras", "tensorflow-cpu")) if who in only()]
    peers = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    load = ", ".join(f"{l:.1f}" for l in os.getloadavg())
    return f"{datetime.date.today()}, {model}, {os.cpu_count()} cores, load {load}; {', '.join(peers)}"


def speed(binary, folder, rounds=int(os.environ.get("ROUNDS", 3))):
    path = folder / "series.f32"
    rows = series(WINDOWS + STEPS - 1)
    scaled(rows, len(rows)).astype("f4").tofile(path)
    print(setting())
    for threads in (1, 2):
        commands = {
            "ours": [binary, "ours", path, threads],
            "torch": [PYTHON, __file__, "run_torch", path, threads],
            "keras": [PYTHON, __file__, "run_keras", path, threads],
            "candle": [binary, "candle", path, threads],
            "burn": [binary, "burn", path, threads],
        }
        commands = {who: commands[who] for who in commands if who in only()}
        slow = ("keras", "candle", "burn")
        found = {}
        for n in range(rounds):
            for who, command in commands.items():
                if who in slow and (threads == 2 or n % 2):
                    continue
                measured = [float(v) for v in output(command, threads)[1:]]
                print(threads, n, who, *(f"{v:.2f}" for v in measured), file=sys.stderr, flush=True)
                train, predict, one, memory = measured
                old = found.get(who, (0, 0, 1e9, 0))
                found[who] = (max(old[0], train), max(old[1], predict), min(old[2], one), max(old[3], memory))
        ours = found["ours"]
        print(f"\n{threads} thread{'s' * (threads > 1)} ({'wall' if threads > 1 else 'CPU'} time, best of {rounds} rounds)\n")
        print("| | trained, sequences/s | ours is | share of the limit | scored, sequences/s | ours is | one window, ms | ours takes | peak MB |")
        print("|---|---|---|---|---|---|---|---|---|")
        for who, (train, predict, one, memory) in found.items():
            share = train * TRAINING / FLOPS / threads
            print(f"| {NAMES[who]} | {train:,.0f} | {ours[0] / train:.2f}x | {share:.0%} | {predict:,.0f} | {ours[1] / predict:.2f}x | {one:.2f} | {ours[2] / one:.2f} | {memory:.0f} |")


def loss(binary, folder, seeds=5, epochs=30):
    import numpy as np

    path, f32 = folder / "series.f64", folder / "series.f32"
    rows = series(760, seed=3)
    rows.tofile(path)
    rows.astype("f4").tofile(f32)
    ours, theirs = [], []
    for seed in range(1, seeds + 1):
        ours.append([float(v) for v in output([binary, "loss", f32, seed, epochs], 1)])
        theirs.append([float(v) for v in output([PYTHON, __file__, "keras_loss", path, seed, epochs], 1)])
        print(seed, ours[-1], theirs[-1], file=sys.stderr, flush=True)
    ours, theirs = np.mean(ours, 0), np.mean(theirs, 0)
    print(f"| mean of {seeds} seeds, {epochs} epochs | ours | Keras | ours / Keras |\n|---|---|---|---|")
    for name, a, b in zip(("best validation loss", "last training loss (with dropout)"), ours, theirs):
        print(f"| {name} | {a:.4f} | {b:.4f} | {a / b:.3f} |")


def tsbad(binary, folder, role="eval"):
    """Mean VUS-PR on the open series of TSB-AD, next to the published rows for the same files."""
    import numpy as np
    import pandas as pd

    shared = pathlib.Path(os.environ.get("FUNNELPULSE_SHARED", HERE / "../../../shared"))
    sys.path.insert(0, str(shared / "tools"))
    import vuspr

    data = shared / "data" / "tsbad_u"
    names = pd.read_csv(data / "manifest.csv").query("role == @role")
    rows, took = [], 0.0
    for dataset, group in names.groupby("dataset"):
        table = pd.read_parquet(data / f"{dataset}.parquet").sort_values(["file", "t"], kind="stable")
        for name in group.file:
            part = table[table.file == name]
            values, labels = part.data.to_numpy("f8"), part.label.to_numpy("i8")
            path = folder / "series.f64"
            values.tofile(path)
            train = int(name.split("_tr_")[1].split("_")[0])
            took += float(output([binary, "score", path, train], 1)[0])
            scores = np.fromfile(str(path) + ".scores")
            scores = np.where(np.isfinite(scores), scores, np.nanmin(scores))
            rows.append((dataset, name, vuspr.vus(labels, scores, vuspr.period(values))))
            print(*rows[-1], file=sys.stderr, flush=True)
    found = pd.DataFrame(rows, columns=["dataset", "file", "ours"])
    found["ours"] = [v[-1] if isinstance(v, (tuple, list)) else v for v in found.ours]
    if role == "eval":
        found = found.merge(pd.read_csv(data / "published_vuspr_per_file.csv"), on="file")
        columns = ["ours", "LSTMAD", "AutoEncoder", "USAD", "CNN", "TranAD"]
    else:
        columns = ["ours"]
    print(f"| data set | files | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    groups = list(found.groupby("dataset")) + [("all", found)]
    for name, group in groups:
        print(f"| {name} | {len(group)} | " + " | ".join(f"{group[c].mean():.4f}" for c in columns) + " |")
    print(f"\ntrained and scored in {took:.0f} s of CPU time")


def funnel(binary, folder):
    print(subprocess.run([binary, "funnel", "-", "2"], check=True, stdout=subprocess.PIPE).stdout.decode())


def main():
    if "--only" in sys.argv:
        at = sys.argv.index("--only")
        os.environ["ONLY"] = sys.argv[at + 1]
        del sys.argv[at : at + 2]
    if len(sys.argv) > 2:
        arguments = [int(a) if a.isdigit() else a for a in sys.argv[2:]]
        return globals()[sys.argv[1]](*arguments)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", HERE / ".venv"], check=True)
        packages = (HERE / "requirements.txt").read_text().split()
        wanted = [p for p in packages if "keras" in only() or not p.startswith(("keras", "tensorflow"))]
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", *wanted], check=True)
    if pathlib.Path(sys.prefix).resolve() != (HERE / ".venv").resolve():
        return subprocess.run([PYTHON, __file__, *sys.argv[1:]], check=True)
    subprocess.run(["cargo", "build", "--release", "-q"], cwd=HERE, check=True)
    target = json.loads(subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=HERE, check=True, stdout=subprocess.PIPE).stdout)["target_directory"]
    binary = pathlib.Path(target) / "release" / "lstm-ae-peers"
    what = sys.argv[1] if len(sys.argv) > 1 else "speed"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        globals()[what](binary, folder)


if __name__ == "__main__":
    main()
