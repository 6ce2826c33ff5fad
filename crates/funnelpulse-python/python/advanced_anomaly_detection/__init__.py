"""The import paths of the original system, on top of `funnelpulse.spark`.

Pure Python: a zip of this package may be given to `--py-files`. Without the wheel `funnelpulse` it falls back to the
z-score of `spark_native`, and says so.
"""
