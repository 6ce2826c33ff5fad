"""Bad input gets exceptions with types, and messages that name the place."""

import threading
import time

import funnelpulse as fp
import pyarrow as pa
import pytest


def test_hierarchy():
    for error in (fp.DataError, fp.ConfigError, fp.ModelError):
        assert issubclass(error, fp.FunnelPulseError) and issubclass(error, ValueError)


def test_missing_columns(fitted):
    with pytest.raises(fp.DataError, match="regular rows lack"):
        fitted.detect(pa.table({"window_start": [0], "brand": ["a"]}))


def test_empty_tables(table, fitted):
    with pytest.raises(fp.DataError, match="no rows"):
        fitted.detect(table.to_arrow().slice(0, 0))
    with pytest.raises(fp.DataError):
        fitted.detect(pa.table({}))


def test_wrong_types(table, fitted):
    arrow = table.to_arrow()
    words = arrow.set_column(arrow.column_names.index("views"), "views", pa.array(["many"] * arrow.num_rows))
    with pytest.raises(fp.DataError, match="column `views` should hold numbers"):
        fitted.detect(words)
    for value in (3, "table", None, [1, 2]):
        with pytest.raises(TypeError, match="Arrow PyCapsule"):
            fitted.detect(value)


def test_one_poisoned_brand_does_not_stop_the_others(table):
    arrow = table.to_arrow()
    brands, views = arrow["brand"].to_pylist(), arrow["views"].to_pylist()
    poisoned = max(set(brands))
    views[brands.index(poisoned)] = -4.0
    bad = arrow.set_column(arrow.column_names.index("views"), "views", pa.array(views))
    findings = fp.Pipeline().run(bad)
    (failure,) = findings.failures
    assert failure[0] == poisoned and "column `views` is -4" in failure[1]
    assert poisoned not in findings.series and len(findings.series) == len(set(brands)) - 1


def test_local_times_are_read_in_their_zone(table):
    arrow = table.to_arrow()
    at = arrow.column_names.index("window_start")
    berlin = arrow.set_column(at, "window_start", arrow["window_start"].cast(pa.timestamp("us", "Europe/Berlin")))
    assert fp.Pipeline().run(berlin).to_arrow().equals(fp.Pipeline().run(arrow).to_arrow())


def test_settings():
    with pytest.raises(fp.ConfigError, match="n_trees"):
        fp.Config({"iforest": {"n_trees": 0}})
    with pytest.raises(fp.ConfigError, match="no detector is called `oracle`"):
        fp.Pipeline({"pipeline": {"detectors": ["oracle"]}})
    with pytest.raises(fp.ConfigError):
        fp.Config("this is no TOML")
    with pytest.raises(fp.ConfigError):
        fp.Config({"iforst": {}})
    with pytest.raises(fp.ConfigError, match="missing.toml"):
        fp.Config("missing.toml")
    with pytest.raises(TypeError):
        fp.Config(3)
    with pytest.raises(fp.ConfigError):
        fp.Config(preset="bivariate")
    with pytest.raises(fp.ConfigError, match="difficulty"):
        fp.generate(difficulty="extreme")


def test_models(fitted, tmp_path):
    data = fitted.to_bytes()
    for bytes_ in (b"", data[:-1], data[1:], b"x" * 100, data[:50] + bytes([data[50] ^ 1]) + data[51:]):
        with pytest.raises(fp.ModelError):
            fp.FittedPipeline.from_bytes(bytes_)
    with pytest.raises(FileNotFoundError):
        fp.FittedPipeline.load(tmp_path / "nothing.model")
    with pytest.raises(fp.ModelError):
        fitted.restore(b"no snapshot")


def test_other_threads_run_while_it_works(table):
    """A thread that counts keeps counting while the pipeline trains."""
    counted, done = 0, threading.Event()

    def count():
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    started = time.perf_counter()
    fp.Pipeline().fit(table)
    elapsed = time.perf_counter() - started
    done.set()
    thread.join()
    # With the lock held all the time it would be 0 or 1.
    assert counted > 10 * elapsed


def test_a_brand_without_values_is_a_failure_of_its_own(table):
    arrow = table.to_arrow()
    brands = arrow["brand"].to_pylist()
    silent = min(set(brands))
    for name in ("views", "carts", "purchases", "revenue"):
        values = [None if b == silent else v for b, v in zip(brands, arrow[name].to_pylist(), strict=True)]
        arrow = arrow.set_column(arrow.column_names.index(name), name, pa.array(values, pa.float64()))
    findings = fp.Pipeline().run(arrow)
    assert [series for series, _ in findings.failures] == [silent]
    assert silent not in findings.series and len(findings.series) == len(set(brands)) - 1
    # Alone, there is nothing that can be scored: findings without rows, or an error that says so.
    alone = arrow.filter(pa.array([b == silent for b in brands]))
    try:
        assert fp.Pipeline().run(alone).rows == 0
    except fp.DataError as error:
        assert str(error)


#: Columns of tables that nobody meant to pass.
ODD_COLUMNS = {
    "window_start": [
        pa.array([0, 1, 2], pa.timestamp("us", "UTC")),
        pa.array([2, 1, 1], pa.timestamp("ns")),
        pa.array([None, None, None], pa.timestamp("s")),
        pa.array([-(2**62), 0, 2**62], pa.timestamp("us", "UTC")),
        pa.array([0, 1, 2], pa.date32()),
        pa.array(["2024-01-01", "soon", None]),
        pa.array([[1], [2], []]),
        pa.array([float("nan"), float("inf"), 1e300]),
        pa.array([True, False, None]),
    ],
    "brand": [
        pa.array(["a", "a", "b"]),
        pa.array([None, None, None], pa.string()),
        pa.array(["", " ", "\0"]),
        pa.array(["a", "a", "b"]).dictionary_encode(),
        pa.array([b"\xff", b"", None]),
        pa.array([1, 2, 3]),
        pa.nulls(3),
    ],
    "views": [
        pa.array([1, 2, 3]),
        pa.array([float("nan"), float("inf"), -float("inf")]),
        pa.array([1e308, 1e308, -1e308]),
        pa.array([2**63, 2**64 - 1, 0], pa.uint64()),
        pa.array([None, None, None], pa.float64()),
        pa.array(["1", "x", None]),
        pa.array([{"a": 1}, None, {"a": 2}]),
        pa.nulls(3),
    ],
}


@pytest.mark.parametrize("name", list(ODD_COLUMNS))
def test_odd_tables_raise_typed_errors_and_never_panic(name, fitted):
    """Each odd column beside plain ones, in a pipeline, a model and a live pipeline."""
    plain = {"window_start": ODD_COLUMNS["window_start"][0], "brand": ODD_COLUMNS["brand"][0]}
    plain.update({metric: pa.array([3.0, 2.0, 1.0]) for metric in ("views", "carts", "purchases", "revenue")})
    for odd in ODD_COLUMNS[name]:
        odd_table = pa.table({**plain, name: odd})
        for call in (fp.Pipeline().fit, fp.Pipeline().run, fitted.detect, fitted.live().advance):
            try:
                call(odd_table)
            except fp.FunnelPulseError as error:
                assert type(error) in (fp.DataError, fp.ConfigError), error
                assert "internal error" not in str(error)
