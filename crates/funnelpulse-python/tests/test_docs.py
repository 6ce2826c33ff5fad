"""The Python code of the book and of the README runs as it is printed."""

import importlib.util
import re
from pathlib import Path

import pytest

CRATE = Path(__file__).resolve().parent.parent
BOOK = CRATE.parent.parent / "docs/src/python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [BOOK, CRATE / "README.md"], ids=lambda p: p.name)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = BLOCK.findall(page.read_text())
    assert blocks
    for block in blocks:
        imported = re.findall(r"^import (\w+)$", block, re.MULTILINE)
        if any(importlib.util.find_spec(name) is None for name in imported):
            continue
        exec(compile(block, page.name, "exec"), names)
