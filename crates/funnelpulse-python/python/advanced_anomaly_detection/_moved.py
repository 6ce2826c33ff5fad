"""The warning of every old import path."""

import warnings


def moved(old: str, new: str) -> None:
    """Warns that the module `old` is now `new`; the warning points at the import statement."""
    text = f"{old} is kept for old code; import from {new}"
    warnings.warn(text, DeprecationWarning, stacklevel=3)
