"""The namespace of polars' data frames."""

import pytest

pl = pytest.importorskip("polars")

import funnelpulse as fp
import funnelpulse.polars


def test_scores_are_columns(table):
    frame = table.to_polars().filter(pl.col("brand") == pl.col("brand").first())
    metrics = ["views", "carts", "purchases"]
    found = frame.fp.isolation_forest(*metrics, n_trees=50)
    assert found.columns == [*frame.columns, "anomaly_score"] and found["anomaly_score"].is_between(0, 1).all()
    assert frame.fp.isolation_forest(n_trees=50).height == frame.height
    for name in ("seasonal", "changepoint", "subsequence"):
        scored = getattr(frame.fp, name)("views", time="window_start", name=name)
        assert scored[name].is_not_null().sum() > frame.height / 2
    with pytest.raises(fp.ConfigError):
        frame.fp.isolation_forest(*metrics, trees=50)


def test_run(table):
    frame = table.to_polars()
    assert frame.fp.run().equals(fp.Pipeline().run(frame).to_polars())
    assert frame.fp.run({"ensemble": {"threshold": 0.9}}, all_rows=True).height == frame.height
