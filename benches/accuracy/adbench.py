"""Accuracy of isolation forests on ADBench's classical sets: python3 adbench.py [FOLDER]

FOLDER holds the .npz files of `adbench/datasets/Classical` of github.com/Minqi824/ADBench; what is missing
is fetched into it (default: `adbench` beside this script). Every forest has its own defaults and is
fitted to and scored on all rows, with the seeds 1, 2 and 3. Prints a markdown table of means over
43 sets (four larger than 10 MB are left out), and over even and odd numbers of sets: our default
was chosen by the even half, the odd half was only reported.

Needs what ../peers/iforest/requirements.txt lists; run ../peers/iforest/run.py once and its virtual
environment is used.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "peers" / "iforest"
PYTHON = PEERS / ".venv" / "bin" / "python"
if PYTHON.exists() and Path(sys.prefix) != PYTHON.parent.parent:
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

import numpy as np
from isotree import IsolationForest as IsoTree
from pyod.models.inne import INNE
from sklearn.ensemble import IsolationForest as ScikitLearn
from sklearn.metrics import average_precision_score, roc_auc_score

warnings.filterwarnings("ignore")
SOURCE = "https://raw.githubusercontent.com/Minqi824/ADBench/main/adbench/datasets/Classical/"
SETS = """1_ALOI 2_annthyroid 4_breastw 5_campaign 6_cardio 7_Cardiotocography 8_celeba 10_cover 11_donors 12_fault
14_glass 15_Hepatitis 16_http 17_InternetAds 18_Ionosphere 19_landsat 20_letter 21_Lymphography 22_magic.gamma
23_mammography 24_mnist 25_musk 26_optdigits 27_PageBlocks 28_pendigits 29_Pima 30_satellite 31_satimage-2
32_shuttle 33_skin 34_smtp 35_SpamBase 37_Stamps 38_thyroid 39_vertebral 40_vowels 41_Waveform 42_WBC 43_WDBC
44_Wilt 45_wine 46_WPBC 47_yeast""".split()
SEEDS = [1, 2, 3]


def rust():
    build = ["cargo", "build", "--release", "--quiet", "--message-format=json-render-diagnostics"]
    built = subprocess.run(build, cwd=PEERS, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line)["executable"] for line in built.splitlines() if '"executable":"' in line][0]


def main():
    program = rust()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "adbench"
    with tempfile.TemporaryDirectory() as scratch:

        def ours(config, command="score"):
            def score(x, seed):
                x.tofile(f"{scratch}/x")
                shape = [str(n) for n in x.shape]
                arguments = [json.dumps(config), str(seed)] if command == "score" else [str(config)]
                subprocess.run([program, command, f"{scratch}/x", *shape, *arguments, f"{scratch}/s"], check=True)
                return np.fromfile(f"{scratch}/s")

            return score

        def isotree(**options):
            def score(x, seed):
                one_column = {"ndim": 1} if x.shape[1] < options.get("ndim", 1) else {}
                size = min(256, len(x))
                settings = {**dict(ntrees=100, sample_size=size, nthreads=1), **options, **one_column}
                return IsoTree(random_seed=seed, **settings).fit(x).predict(x)

            return score

        forests = {
            "**funnelpulse default**": ours({}),
            "funnelpulse default, 100 trees": ours({"n_trees": 100}),
            "funnelpulse `standard`": ours({"split": "standard", "n_trees": 100}),
            "funnelpulse `extended`, 2 columns": ours({"split": "extended", "columns_per_split": 2, "n_trees": 100}),
            "scikit-learn 1.9.1": lambda x, seed: -ScikitLearn(random_state=seed).fit(x).score_samples(x),
            "isotree 0.6.1 standard": isotree(ndim=1),
            "isotree 0.6.1 extended": isotree(ndim=2),
            "isotree 0.6.1 fair-cut": isotree(ndim=2, prob_pick_pooled_gain=1, max_depth=None),
            # Its random choices can't be seeded; level 1 needs two columns.
            "extended-isolation-forest 0.2.3, level 1": ours(1, "score-eif"),
            "PyOD 3.6.7 INNE": lambda x, seed: INNE(random_state=seed).fit(x).decision_scores_,
        }
        results = {name: [] for name in forests}
        for name in SETS:
            path = folder / f"{name}.npz"
            if not path.exists():
                folder.mkdir(exist_ok=True)
                urllib.request.urlretrieve(f"{SOURCE}{name}.npz", path)
            data = np.load(path, allow_pickle=True)
            x, y = np.ascontiguousarray(data["X"], dtype=float), data["y"].ravel().astype(int)
            for forest, score in forests.items():
                scores = [score(x, seed) for seed in SEEDS]
                figures = [(roc_auc_score(y, s), average_precision_score(y, s)) for s in scores]
                results[forest].append(np.mean(figures, axis=0))
            print(name, file=sys.stderr, flush=True)
    even = np.array([int(name.split("_")[0]) % 2 == 0 for name in SETS])
    print("| | AUC-ROC | AUC-PR | even sets (chosen on) | odd sets |")
    print("|---|---|---|---|---|")
    for forest, figures in results.items():
        figures = np.array(figures)
        cell = lambda rows: " / ".join(f"{f:.3f}"[1:] for f in figures[rows].mean(axis=0))
        roc, pr = figures.mean(axis=0)
        print(f"| {forest} | {f'{roc:.3f}'[1:]} | {f'{pr:.3f}'[1:]} | {cell(even)} | {cell(~even)} |")


if __name__ == "__main__":
    main()
