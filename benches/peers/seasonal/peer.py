"""The Python peers, one request per line on stdin, one answer per line on stdout.

CPU seconds of this process and of the children it waited for (Stan runs in one).
"""
import json, logging, resource, sys, time, warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
logging.getLogger("cmdstanpy").disabled = True
logging.getLogger("prophet").setLevel(logging.ERROR)

AHEAD = 168
SEASONS = {"nyc_taxi": [48, 336], "peyton": [7, 365]}


def cpu():
    own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def timed(run):
    before = cpu()
    result = run()
    after = cpu()
    return result, after[0] - before[0], after[1] - before[1]


def prophet(frame, name):
    from prophet import Prophet

    settings = {}
    if name != "peyton":
        settings = dict(seasonality_mode="multiplicative", interval_width=0.95, yearly_seasonality=False,
                        weekly_seasonality=True, daily_seasonality=True)
    model = Prophet(**settings)
    _, own, stan = timed(lambda: model.fit(frame))
    step = frame.ds.iloc[1] - frame.ds.iloc[0]
    future = pd.DataFrame({"ds": [frame.ds.iloc[-1] + step * i for i in range(1, AHEAD + 1)]})
    _, history, _ = timed(lambda: model.predict(frame[["ds"]]))
    _, ahead, _ = timed(lambda: model.predict(future))
    return {"fit": own + stan, "stan": stan, "history": history, "future": ahead}


def mstl(frame, name):
    from statsforecast.models import MSTL

    y = frame.y.to_numpy()
    model = MSTL(season_length=SEASONS.get(name, [24, 168]))
    fitted, own, children = timed(lambda: model.fit(y))
    _, ahead, _ = timed(lambda: fitted.predict(h=AHEAD, level=[95]))
    return {"fit": own + children, "future": ahead}


for line in sys.stdin:
    request = json.loads(line)
    table = pd.read_csv(request["file"], header=None, names=["ds", "y"])
    table["ds"] = pd.to_datetime(table["ds"], unit="s")
    try:
        answer = {"prophet": prophet, "mstl": mstl}[request["peer"]](table, request["name"])
    except Exception as error:  # one peer that fails leaves the others
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
