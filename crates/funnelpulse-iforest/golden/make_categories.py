"""Golden scores of isotree with categorical columns: python3 make_categories.py (isotree 0.6.1, numpy, pandas, scipy)

Numbers and categories of a drawn table, and scores of 1,000 trees of 256 rows with random subsets of the categories
(`categ_split_type="subset"`), new categories and missing values on both ways, so that what is compared is the method and not
the noise of a hundred trees. The last rows of `new` have a category that the training rows do not have, or miss one.
"""

import json

import numpy as np
from isotree import IsolationForest

rng = np.random.default_rng(3)
rows = 600
shares = np.array([0.02] + [0.98 / 11] * 11)
first = rng.permutation(12)[rng.choice(12, size=rows, p=shares)]
second = rng.choice([3.0, 8.0, 5.0], size=rows, p=[0.6, 0.39, 0.01])
table = np.c_[rng.normal(size=rows), rng.exponential(size=rows) + (second == 8.0), first, second]
table = np.array([[float(f"{value:.6g}") for value in row] for row in table])
new = table[:6].copy()
new[1, 2], new[2, 2], new[3, 3], new[4, 3] = 77.0, np.nan, 4.0, np.nan
forest = IsolationForest(
    ndim=1, ntrees=1000, sample_size=256, max_depth=8, categ_cols=[2, 3], categ_split_type="subset",
    new_categ_action="weighted", missing_action="divide", penalize_range=False, random_seed=1, nthreads=1,
).fit(table)
golden = {
    "values": table.tolist(),
    "score": [float(f"{score:.7g}") for score in forest.predict(table)],
    "new": [[None if np.isnan(value) else value for value in row] for row in new.tolist()],
    "new_score": [float(f"{score:.7g}") for score in forest.predict(new)],
}
with open("isotree-categories.json", "w") as out:
    json.dump(golden, out, separators=(",", ":"))
