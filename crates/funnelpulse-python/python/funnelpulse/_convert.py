"""From and to the libraries that are only imported when they are asked for."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any


def optional(module: str, extra: str) -> Any:
    """Imports a module, or says which extra of this package brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        name = module.partition(".")[0]
        raise ImportError(f"{name} is not installed: pip install 'funnelpulse[{extra}]'", name=name) from error


def to_arrow(table: Any) -> Any:
    return optional("pyarrow", "arrow").table(table)


def to_polars(table: Any) -> Any:
    return optional("polars", "polars").DataFrame(table)


def to_pandas(table: Any) -> Any:
    optional("pandas", "pandas")
    return optional("pyarrow", "pandas").table(table).to_pandas()


def as_table(table: Any) -> Any:
    """An object with the Arrow PyCapsule interface for what has none: a dictionary of columns."""
    if isinstance(table, dict):
        return optional("pyarrow", "arrow").table(table)
    return table


def _plain(value: Any) -> Any:
    """numpy's numbers and arrays, and paths, in JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    raise TypeError(f"a setting can't be a {type(value).__name__}")


def to_json(settings: dict[str, Any]) -> str:
    return json.dumps(settings, default=_plain)
