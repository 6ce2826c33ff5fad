"""What an import brings along."""

import subprocess
import sys

import pytest


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_imported_before_it_is_asked_for():
    names = "numpy", "pyarrow", "polars", "pandas", "sklearn", "matplotlib", "pyspark", "holidays"
    loaded = run(f"import sys, funnelpulse; print([m for m in {names} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.parametrize(
    ("missing", "code", "extra"),
    [
        ("pyarrow", "fp.generate(2, 14)[0].to_arrow()", "arrow"),
        ("polars", "fp.generate(2, 14)[0].to_polars()", "polars"),
        ("sklearn", "fp.sklearn", "sklearn"),
        ("pandas", "fp.generate(2, 14)[0].to_pandas()", "pandas"),
    ],
)
def test_the_error_names_the_extra(missing, code, extra):
    program = f"""
import sys
sys.modules[{missing!r}] = None
import funnelpulse as fp
try:
    {code}
except ImportError as error:
    print(error)
"""
    assert f"pip install 'funnelpulse[{extra}]'" in run(program)


def test_the_pipeline_needs_numpy_only():
    """Without pyarrow, polars and pandas: tables of our own and their summaries."""
    program = """
import sys
for name in ("pyarrow", "polars", "pandas"):
    sys.modules[name] = None
import funnelpulse as fp
print(len(fp.Pipeline().run(fp.generate(2, 21)[0]).anomalies()))
"""
    assert int(run(program)) >= 0
