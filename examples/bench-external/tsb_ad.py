#!/usr/bin/env python3
"""A method of the TSB-AD package as a detector of `funnelpulse bench --external`.

    pip install numpy pandas scikit-learn scipy statsmodels && pip install --no-deps TSB-AD
    funnelpulse bench --data TSB-AD-U --out results \\
        --external "Sub-PCA=python tsb_ad.py Sub_PCA {input} {output} {train_rows}"

Runs with the parameters that TSB-AD chose on its tuning list, with which its published table was made.
"""

import contextlib
import os
import sys

import numpy as np
import pandas as pd

name, source, target, train_rows = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
with open(os.devnull, "w") as silence, contextlib.redirect_stdout(silence):
    from TSB_AD.HP_list import Optimal_Uni_algo_HP_dict
    from TSB_AD.model_wrapper import Semisupervise_AD_Pool, run_Semisupervise_AD, run_Unsupervise_AD

    values = pd.read_csv(source).to_numpy(dtype=float)
    parameters = Optimal_Uni_algo_HP_dict[name]
    if name in Semisupervise_AD_Pool:
        scores = run_Semisupervise_AD(name, values[:train_rows], values, **parameters)
    else:
        scores = run_Unsupervise_AD(name, values, **parameters)
if not isinstance(scores, np.ndarray):
    sys.exit(str(scores))
np.savetxt(target, scores)
