"""The pipeline on tables of every library."""

import pickle

import funnelpulse as fp
import polars as pl
import pyarrow as pa
import pytest


def scores(findings):
    return findings.to_arrow(all_rows=True)["ensemble_anomaly_score"].combine_chunks()


def test_run_finds_anomalies(table):
    findings = fp.Pipeline().run(table)
    frame = findings.to_polars()
    assert len(findings) == frame.height > 0
    assert frame["rank"].to_list() == list(range(1, frame.height + 1))
    assert findings.rows == table.num_rows == findings.table(all_rows=True).num_rows
    assert findings.summary()["total"]["anomalies"] == frame.height
    assert findings.anomalies(3)[0]["rank"] == 1
    assert set(findings.incidents()[0]) >= {"id", "series", "kind", "start", "end", "summary"}


def test_fit_run_equals_run(table):
    model, findings = fp.Pipeline().fit_run(table)
    assert findings.to_arrow().equals(fp.Pipeline().run(table).to_arrow())
    assert model.threshold == findings.threshold


@pytest.mark.parametrize("library", ["pyarrow", "batch", "reader", "polars", "pandas", "duckdb", "dict"])
def test_every_library_gives_the_same_scores(table, fitted, library):
    duckdb = pytest.importorskip("duckdb")
    arrow = table.to_arrow()
    others = {
        "pyarrow": lambda: arrow,
        "batch": lambda: arrow.combine_chunks().to_batches()[0],
        "reader": lambda: arrow.to_reader(max_chunksize=100),
        "polars": lambda: table.to_polars(),
        "pandas": lambda: table.to_pandas(),
        "duckdb": lambda: duckdb.from_arrow(arrow),
        "dict": lambda: {name: arrow[name] for name in arrow.column_names},
    }
    assert scores(fitted.detect(others[library]())).equals(scores(fitted.detect(table)))


def test_findings_are_arrow_tables(table, fitted):
    findings = fitted.detect(table)
    assert pa.table(findings).equals(findings.to_arrow())
    assert pl.DataFrame(findings).equals(findings.to_polars())
    assert findings.to_pandas().shape == findings.to_arrow().shape
    assert findings.table().column_names == findings.to_arrow().column_names


def test_findings_show_in_a_notebook_and_as_a_report(table, fitted, tmp_path):
    findings = fitted.detect(table)
    assert "<table>" in findings._repr_html_() and "Anomalies" in findings._repr_html_()
    assert findings.report(title="A shop").startswith("<!")
    assert findings.report(tmp_path / "page.html") is None
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_models_are_saved_and_pickled(table, fitted, tmp_path):
    expected = scores(fitted.detect(table))
    fitted.save(tmp_path / "shop.model")
    for model in (
        fp.FittedPipeline.load(tmp_path / "shop.model"),
        fp.FittedPipeline.from_bytes(fitted.to_bytes()),
        pickle.loads(pickle.dumps(fitted)),
    ):
        assert scores(model.detect(table)).equals(expected)
        assert model.weights == fitted.weights


def test_settings_of_every_kind(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("pipeline.detectors = ['zscore', 'iforest']\niforest.n_trees = 50\n")
    settings = {"pipeline": {"detectors": ["zscore", "iforest"]}, "iforest": {"n_trees": 50, "threshold": None}}
    configs = [fp.Config(path), fp.Config(str(path)), fp.Config(path.read_text()), fp.Config(settings)]
    assert all(config == configs[0] for config in configs)
    assert configs[0].to_dict()["iforest"]["n_trees"] == 50
    assert fp.Config(configs[0].to_toml()) == configs[0]
    assert pickle.loads(pickle.dumps(configs[0])) == configs[0] != fp.Config()
    assert fp.Config(preset="univariate").to_dict()["input"]["metrics"][0]["name"] == "value"
    assert fp.Config.schema()["title"] == "Config"
    assert fp.Pipeline(settings).config == configs[0]
    assert pickle.loads(pickle.dumps(fp.Pipeline(settings))).config == configs[0]


def test_events_are_summed_up(table):
    hours = pa.array([1_700_000_000_000_000 // 3_600_000_000 * 3_600_000_000 + 60_000_000 * i for i in range(40_000)])
    events = pa.table(
        {
            "event_time": hours.cast(pa.timestamp("us", "UTC")),
            "event_type": [["view", "view", "cart", "purchase"][i % 4] for i in range(len(hours))],
            "product_id": [i % 50 for i in range(len(hours))],
            "brand": ["shop"] * len(hours),
            "price": [5.0] * len(hours),
            "user_id": [i // 4 for i in range(len(hours))],
            "user_session": [str(i // 4) for i in range(len(hours))],
        }
    )
    findings = fp.Pipeline({"pipeline": {"detectors": ["zscore"]}}).run(events)
    assert findings.series == ["shop"] and findings.notes
