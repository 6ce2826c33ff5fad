#!/usr/bin/env python3
"""Writes metrics.json: small labelled series with scores, and what reference implementations make of them.

usage: make.py SHARED TSB_AD > metrics.json
  SHARED  folder with data/ and tools/vuspr.py, tools/nabscore.py (re-derivations of TSB-AD and NAB metrics)
  TSB_AD  folder that holds the unpacked package tsb-ad 1.5 (for the affiliation metrics and the period check)
Needs numpy, pandas, pyarrow, scikit-learn.
"""
import json
import sys

import numpy as np
import pandas as pd

shared, tsb_ad = sys.argv[1:3]
sys.path[:0] = [shared + "/tools", tsb_ad]
import nabscore  # noqa: E402
import vuspr  # noqa: E402
from TSB_AD.evaluation.affiliation.generics import convert_vector_to_events  # noqa: E402
from TSB_AD.evaluation.affiliation.metrics import pr_from_events  # noqa: E402

rng = np.random.default_rng(7)


def deviation(x):
    """A simple score: distance from the rolling median."""
    return (x - x.rolling(25, center=True, min_periods=1).median()).abs().to_numpy()


def cut(dataset, rows, skip=0):
    d = pd.read_parquet(f"{shared}/data/tsbad_u/{dataset}.parquet")
    f = d["file"].unique()[skip]
    d = d[d["file"] == f].reset_index(drop=True)
    first = int(d.label.to_numpy().nonzero()[0][0])
    d = d.iloc[max(0, first - rows // 2):][:rows]
    return f"{dataset}: {f}", d.data.round(5).to_numpy(), d.label.to_numpy(), deviation(d.data)


def made(name, n, events, noise, decimals):
    label = np.zeros(n, int)
    for a, b in events:
        label[a:b] = 1
    value = np.sin(np.arange(n) * 2 * np.pi / 24) + rng.normal(0, 0.2, n)
    return name, value.round(5), label, (label * 1.0 + rng.normal(0, noise, n)).round(decimals)


cases = [
    cut("TODS", 1500),
    cut("WSD", 1200, 1),
    cut("NAB", 1000, 2),
    made("random events", 600, [(50, 60), (120, 121), (200, 240), (400, 405), (590, 595)], 0.7, 6),
    made("ties", 500, [(100, 130), (300, 310)], 0.8, 1),
    made("both ends", 300, [(0, 10), (150, 170), (280, 300)], 0.9, 5),
    made("close points", 400, [(i, i + 1) for i in (40, 44, 45 + 6, 60, 90, 200, 203, 207, 390)], 0.6, 6),
    made("shorter than the thresholds", 120, [(60, 70)], 1.0, 6),
    made("constant scores", 100, [(60, 70)], 0.0, 6),
]
cases[-1][3][:] = 1.0

out, corpus = [], []
for name, values, label, score in cases:
    score = score.round(6)
    window = vuspr.period(values)
    metrics = vuspr.get_metrics(score, label, window)
    flags = (score >= np.quantile(score, 0.93)).astype(int)
    gt = convert_vector_to_events(label)
    fixed = pr_from_events(convert_vector_to_events(flags), gt, (0, len(label)))
    start, end = vuspr.ranges(label)
    windows = [(int(a), int(b)) for a, b in zip(start, end)]
    if not name.startswith(("TODS", "WSD", "NAB", "constant")):  # the others share a scale
        corpus.append((score, windows))
    narrow = vuspr.vus(label, score, 5)
    out.append({
        "name": name, "values": values.tolist(), "scores": score.tolist(),
        "events": [[a, b + 1] for a, b in windows], "window": window,
        "vus_roc": metrics["VUS-ROC"], "vus_pr": metrics["VUS-PR"], "vus_roc_5": narrow[0], "vus_pr_5": narrow[1],
        "auc_roc": metrics["AUC-ROC"], "auc_pr": metrics["AUC-PR"],
        "best_f1": metrics["Standard-F1"], "range_f1": metrics["R-based-F1"],
        "affiliation_f1": metrics["Affiliation-F"], "affiliation_threshold": float(np.quantile(score, 0.93)),
        "affiliation_precision": fixed["Affiliation_Precision"], "affiliation_recall": fixed["Affiliation_Recall"],
        "nab": nabscore.corpus_score([(score, windows)]),
    })
json.dump({"series": out, "nab_corpus": nabscore.corpus_score(corpus)}, sys.stdout, separators=(",", ":"))
