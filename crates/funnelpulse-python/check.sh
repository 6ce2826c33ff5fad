#!/usr/bin/env bash
# Builds the wheel, installs it into a clean environment, and runs there: the tests, mypy --strict, stubtest, and the
# limits on size and import time. Without Python 3.10 or newer, or without access to packages, it says so and checks nothing.
#
#   check.sh [PYTEST_ARGUMENT ...]
#
# PYTHON is the interpreter. WHEEL_CLI is a binary of the command, whose results are compared with the wheel's.
# WHEEL_DIR is the folder that keeps the wheel, by default none.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}
max_bytes=15000000
max_import_ms=60

skip() {
    echo "Python wheel not checked: $1"
    exit 0
}

command -v "$python" >/dev/null || skip "there is no $python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || skip "$python is older than 3.10"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wheels=${WHEEL_DIR:-$work/wheels}
"$python" -m venv "$work/build" 2>/dev/null || skip "$python has no venv"
"$work/build/bin/pip" install --quiet 'maturin>=1.16,<2' || skip "packages can't be installed"

# Link-time optimisation takes ten minutes; what is released is built without these two lines.
export CARGO_PROFILE_RELEASE_LTO=${CARGO_PROFILE_RELEASE_LTO:-off}
export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=${CARGO_PROFILE_RELEASE_CODEGEN_UNITS:-16}
"$work/build/bin/maturin" build --release --quiet --out "$wheels"
wheel=$(echo "$wheels"/*.whl)
size=$(stat --format %s "$wheel")
echo "$(basename "$wheel"): $size bytes"
[ "$size" -le "$max_bytes" ] || { echo "error: the wheel is larger than $max_bytes bytes"; exit 1; }

"$python" -m venv "$work/clean"
"$work/clean/bin/pip" install --quiet "$wheel"
"$work/clean/bin/pip" check
# numpy is all it needs.
cd "$work"
clean/bin/python -c 'import funnelpulse as fp; print(fp.Pipeline().run(fp.generate(3, 21)[0]))'
clean/bin/python - "$max_import_ms" <<'PYTHON'
import subprocess, sys
# The fastest of ten: a loaded machine delays some of them.
code = "import time; t = time.perf_counter(); import funnelpulse; print(time.perf_counter() - t)"
best = min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(10)) * 1000
print(f"import: {best:.1f} ms")
sys.exit(best > float(sys.argv[1]))
PYTHON
cd - >/dev/null

"$work/clean/bin/pip" install --quiet "$wheel[arrow,pandas,polars,sklearn,pyod,prophet,plot,river,sktime]" \
    duckdb datafusion mypy pytest ruptures
# Away from the sources, so that the installed package is the one that is tested.
cd "$work"
here=$OLDPWD
MPLBACKEND=Agg clean/bin/python -m pytest -q -p no:cacheprovider -c "$here/pyproject.toml" --rootdir "$here" "$here/tests" "$@"
clean/bin/python -m mypy --config-file "$here/pyproject.toml" --package funnelpulse
clean/bin/python -m mypy.stubtest --mypy-config-file "$here/pyproject.toml" funnelpulse._native
