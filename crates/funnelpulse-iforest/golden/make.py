"""Golden scores of scikit-learn's IsolationForest: python3 make.py (scikit-learn 1.9.1, numpy 2.4.6)

For each table: its values, and -score_samples of 1,000 trees (256 rows, seed 0), so that what is
compared is the method and not the noise of a hundred trees. The tables are those that come with
scikit-learn, and one that is drawn.
"""

import json

import numpy as np
from sklearn import datasets
from sklearn.ensemble import IsolationForest

rng = np.random.default_rng(0)
clusters = np.vstack([rng.normal(0, 1, (400, 5)), rng.normal(4, 0.5, (180, 5)), rng.uniform(-8, 12, (20, 5))])
tables = {
    "iris": datasets.load_iris().data,
    "wine": datasets.load_wine().data,
    "diabetes": datasets.load_diabetes(scaled=False).data,
    "breast_cancer": datasets.load_breast_cancer().data[:, :10],
    "clusters": clusters,
}
golden = {}
for name, table in tables.items():
    table = np.array([[float(f"{value:.5g}") for value in row] for row in table])
    forest = IsolationForest(n_estimators=1000, max_samples=256, random_state=0).fit(table)
    golden[name] = {
        "values": table.tolist(),
        "score": [float(f"{score:.7g}") for score in -forest.score_samples(table)],
    }
with open("scikit-learn.json", "w") as out:
    json.dump(golden, out, separators=(",", ":"))
