#!/usr/bin/env bash
# check_spark.sh WHEEL: tests the Spark face, the Dataproc job and the notebook with a built wheel, in a clean
# environment. Needs Python 3.10 or newer and Java 17; with Maven also the test with Kafka. FUNNELPULSE_CLI may name
# the command-line tool, whose scores are then compared too. PYSPARK is the version of pyspark, by default 4.2.0.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: check_spark.sh WHEEL" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
wheel=$(realpath "$1")
if ! command -v java >/dev/null; then
    echo "Spark not tested: java is not installed"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
if ! "$work/env/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$work" py4j; then
    echo "Spark not tested: packages can't be installed"
    exit 0
fi
"$work/env/bin/pip" install --quiet --disable-pip-version-check "$wheel" "pyspark==${PYSPARK:-4.2.0}" "pandas>=2.2,<3" \
    pyarrow pytest nbclient nbformat ipykernel plotly
export SPARK_TEST_WHEEL="$wheel"
export PATH="$work/env/bin:$PATH" PYSPARK_PYTHON="$work/env/bin/python" PYSPARK_DRIVER_PYTHON="$work/env/bin/python"
unset PYTHONPATH SPARK_HOME
cd "$work"
"$work/env/bin/python" -m pytest -q -rs -p no:cacheprovider --durations=5 "$here/tests/spark"
