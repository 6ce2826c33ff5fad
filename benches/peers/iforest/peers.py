"""Times the Python libraries on one array: peers.py X.npy THREADS REPEATS, a JSON line each."""

import json
import sys
import time
import warnings

import numpy as np
from coniferest.isoforest import IsolationForest as Coniferest
from isotree import IsolationForest as IsoTree
from sklearn.ensemble import IsolationForest as ScikitLearn

warnings.filterwarnings("ignore")
x = np.load(sys.argv[1])
threads, repeats = int(sys.argv[2]), int(sys.argv[3])
ISOTREE = dict(ntrees=100, sample_size=256, nthreads=threads, missing_action="fail", standardize_data=False)


def quickest(work, times):
    # As on the other side: processor time on one thread, wall time on several.
    clock = time.process_time if threads == 1 else time.perf_counter

    def once():
        start = clock()
        work()
        return clock() - start

    return min(once() for _ in range(times))


libraries = {
    "coniferest 0.2.2": (
        lambda: Coniferest(n_trees=100, n_subsamples=256, n_jobs=threads, random_seed=1),
        lambda forest: forest.score_samples(x),
    ),
    "scikit-learn 1.9.1": (
        lambda: ScikitLearn(n_estimators=100, max_samples=256, n_jobs=threads, random_state=1),
        lambda forest: forest.score_samples(x),
    ),
    "isotree 0.6.1 standard": (lambda: IsoTree(ndim=1, **ISOTREE), lambda forest: forest.predict(x)),
    "isotree 0.6.1 extended, 2 columns": (lambda: IsoTree(ndim=2, **ISOTREE), lambda forest: forest.predict(x)),
    "isotree 0.6.1 fair-cut": (
        lambda: IsoTree(ndim=2, prob_pick_pooled_gain=1, max_depth=None, **ISOTREE),
        lambda forest: forest.predict(x),
    ),
}
for name, (make, score) in libraries.items():
    fit = quickest(lambda: make().fit(x), 3 * repeats)
    forest = make().fit(x)
    print(json.dumps({"library": name, "fit_s": fit, "score_s": quickest(lambda: score(forest), min(repeats, 2))}), flush=True)
