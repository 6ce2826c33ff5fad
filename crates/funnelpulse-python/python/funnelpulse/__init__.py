"""Find and explain anomalies in shop funnels and other hourly tables.

    import funnelpulse as fp

    table, labels = fp.generate(brands=10, days=42)
    findings = fp.Pipeline().run(table)
    findings.to_polars()

Tables are anything with the Arrow PyCapsule interface (pyarrow, polars, duckdb, DataFusion, pandas), or a dictionary of
columns. Nothing but numpy is needed; other libraries are imported when they are asked for.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from funnelpulse._native import (
    Advance,
    Config,
    Findings,
    FittedPipeline,
    LivePipeline,
    Pipeline,
    Table,
    __version__,
    generate,
)
from funnelpulse.errors import ConfigError, DataError, FunnelPulseError, ModelError

if _TYPE_CHECKING:
    from funnelpulse import metrics as metrics

__all__ = [
    "Advance",
    "Config",
    "ConfigError",
    "DataError",
    "Findings",
    "FittedPipeline",
    "FunnelPulseError",
    "LivePipeline",
    "ModelError",
    "Pipeline",
    "Table",
    "__version__",
    "generate",
    "metrics",
]

_LAZY = ("metrics", "polars", "prophet", "pyod", "river", "ruptures", "sklearn", "sktime", "spark")


def __getattr__(name: str) -> object:
    """Modules are imported when they are first used: importing this package takes a few milliseconds."""
    if name in _LAZY:
        return _import_module(f"funnelpulse.{name}")
    raise AttributeError(f"module 'funnelpulse' has no attribute {name!r}")
