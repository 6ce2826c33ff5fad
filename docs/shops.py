#!/usr/bin/env python3
"""The whole pipeline on labelled shops: shops.py BINARY FOLDER [--set KEY=VALUE ...]

BINARY is the `funnelpulse` program; FOLDER holds a folder per shop and `score.py`, as described in its
README. Prints the figures of the combined score per shop, then the mean per detector. Needs pandas and
pyarrow.
"""
import glob
import json
import pathlib
import subprocess
import sys
import tempfile

import pandas as pd
import pyarrow.parquet as pq


def settings(shop):
    """The shop's time zone and calendar as TOML."""
    meta = json.loads((shop / "meta.json").read_text())
    text = f"[input]\ntimezone = '{meta['time_zone']}'\n"
    for _, entry in pd.read_csv(shop / "calendar.csv").iterrows():
        series = [] if pd.isna(entry["brands"]) else str(entry["brands"]).split(";")
        start, end = (pd.Timestamp(entry[k]).strftime("%Y-%m-%dT%H:%M:%SZ") for k in ("start", "end"))
        text += f"[[incidents.calendar]]\nname = {json.dumps(str(entry['name']))}\n"
        text += f"kind = {json.dumps(str(entry['kind']))}\nseries = {json.dumps(series)}\n"
        text += f"start = '{start}'\nend = '{end}'\n"
    return text


def figures(binary, shop, options, score):
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "shop.toml"
        config.write_text(settings(shop))
        command = [binary, "-q", "run", "--input", shop / "gold.parquet", "--config", config]
        subprocess.run([*command, "--output", f"{folder}/out", "--all-rows", *options], check=True, capture_output=True)
        files = glob.glob(f"{folder}/out/anomalies/window_date=*/*.parquet")
        table = pd.concat([pq.read_table(f, partitioning=None).to_pandas() for f in files])
    for column in [c for c in table.columns if c.endswith("_anomaly_score")]:
        scores = pd.DataFrame({"window_start": table.window_start, "brand": table.brand, "score": table[column]})
        if scores.score.notna().any():
            scores["flagged"] = table.is_anomaly.values
            found = score.figures(str(shop), scores)
            keys = ["auc_pr_detectable", "best_f1_detectable", "event_recall@1%", "false_incidents_per_series_month@flagged"]
            yield column.removesuffix("_anomaly_score"), [found.get(k) for k in keys]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, folder, options = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    sys.path.insert(0, str(folder))
    import score

    names = ["AUC-PR", "F1", "recall", "false incidents"]
    rows = []
    for shop in sorted(p.parent for p in folder.glob("*/gold.parquet")):
        for detector, values in figures(binary, shop, options, score):
            rows.append([shop.name, detector, *values])
    table = pd.DataFrame(rows, columns=["shop", "detector", *names])
    print(table[table.detector == "ensemble"].round(3).to_string(index=False))
    print(table.dropna(subset="AUC-PR").groupby("detector")[names[:3]].mean().round(3).to_string())


main()
