"""One window after the other."""

import funnelpulse as fp
import polars as pl
import pytest

#: Hours at the end of the table that are live.
LIVE = 30


@pytest.fixture(scope="module")
def parts(table):
    frame = table.to_polars().sort("window_start")
    hours = frame["window_start"].unique().sort()
    cut = hours[-LIVE]
    windows = [frame.filter(pl.col("window_start") == hour) for hour in hours[-LIVE:]]
    return frame.filter(pl.col("window_start") < cut), windows


@pytest.fixture(scope="module")
def model(parts):
    return fp.Pipeline().fit(parts[0])


def test_the_newest_rows_are_those_of_the_batch(parts, model):
    live = model.live()
    history, windows = parts
    for window in windows[:5]:
        rows = live.advance(window).to_polars()
        new = rows.filter(pl.col("window_start") == window["window_start"][0])
        assert new.height == window.height and not new["final"].all()
        assert new["revision"].to_list() == [0] * new.height
    assert live.now == "2019" + live.now[4:] or live.now[:2] == "20"
    whole = model.detect(pl.concat([history, *windows[:5]])).to_polars(all_rows=True)
    keys = ["brand", "window_start"]
    joined = new.join(whole, on=keys, suffix="_batch")
    assert joined.height == new.height
    assert joined["ensemble_anomaly_score"].to_list() == pytest.approx(
        joined["ensemble_anomaly_score_batch"].to_list(), abs=1e-9
    )


def test_a_snapshot_goes_on_where_it_was(parts, model):
    _, windows = parts
    whole, cut = model.live(), model.live()
    for window in windows[:10]:
        whole.advance(window)
        cut.advance(window)
    cut = fp.FittedPipeline.from_bytes(model.to_bytes()).restore(cut.snapshot())
    for window in windows[10:]:
        one, other = whole.advance(window), cut.advance(window)
        assert one.to_arrow().equals(other.to_arrow())
        assert one.incidents == other.incidents
    assert whole.snapshot() == cut.snapshot()
    assert {incident["change"] for incident in one.incidents} <= {"opened", "changed", "ended", "withdrawn"}


def test_late_rows_are_refused_and_change_nothing(parts, model):
    _, windows = parts
    live = model.live()
    live.advance(windows[0])
    before = live.snapshot()
    with pytest.raises(fp.DataError, match="not later than the last one"):
        live.advance(windows[0])
    assert live.snapshot() == before
    with pytest.raises(fp.ModelError, match="another model"):
        fp.Pipeline({"ensemble": {"threshold": 0.9}}).fit(parts[0]).restore(before)
