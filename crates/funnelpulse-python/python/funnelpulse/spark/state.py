"""The state of a site between two micro-batches: a live pipeline, or rows until there are enough to train on.

State lies beside Spark's checkpoint, one folder per site, one file per batch that changed it. A batch reads
the newest state of an earlier batch and writes its own, so repeating it changes nothing. A file is
written aside and renamed; on an object store a write is atomic by itself.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import struct
import uuid
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

_MAGIC = b"FPSS1\n"
_LENGTH = struct.Struct("<Q")
#: File systems on which half a file can be seen.
_RENAME = ("local", "hdfs")


class Store:
    """A folder on any file system that pyarrow knows: a path, `file:`, `gs:`, `s3:`, `hdfs:`."""

    def __init__(self, root: str) -> None:
        self.files, path = fs.FileSystem.from_uri(root) if "://" in root else (fs.LocalFileSystem(), root)
        self.path = path.removeprefix("file:").rstrip("/")

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder."""
        chosen = fs.FileSelector(posixpath.join(self.path, folder), allow_not_found=True)
        return [info.base_name for info in self.files.get_file_info(chosen) if info.type == fs.FileType.File]

    def read(self, folder: str, name: str) -> bytes:
        """The bytes of a file."""
        with self.files.open_input_stream(posixpath.join(self.path, folder, name)) as file:
            return bytes(file.read())

    def write(self, folder: str, name: str, data: bytes) -> None:
        """Writes a file: all of it, or nothing."""
        target = posixpath.join(self.path, folder, name)
        # An object appears when its stream is closed; a file appears when it is renamed.
        aside = f"{target}.{uuid.uuid4().hex}.tmp" if self.files.type_name in _RENAME else target
        self.files.create_dir(posixpath.dirname(target), recursive=True)
        with self.files.open_output_stream(aside) as file:
            file.write(data)
        if aside != target:
            self.files.move(aside, target)

    def delete(self, folder: str, name: str) -> None:
        """Deletes a file; one that another attempt has deleted is fine."""
        try:
            self.files.delete_file(posixpath.join(self.path, folder, name))
        except FileNotFoundError:
            pass


def folder_of(site: str) -> str:
    """The folder of a site; the same name that `save_models` uses for it."""
    return "s" + hashlib.sha256(site.encode()).hexdigest()[:24]


class SiteState:
    """The states of one site."""

    def __init__(self, store: Store, site: str) -> None:
        self.store, self.folder = store, folder_of(site)

    def before(self, batch: int) -> tuple[dict[str, Any], bytes]:
        """Header and payload of the newest state that an earlier batch left; an empty header at the start."""
        known = [number for number in self._batches() if number < batch]
        if not known:
            return {}, b""
        return unpack(self.store.read(self.folder, _name(max(known))))

    def save(self, batch: int, header: dict[str, Any], payload: bytes) -> None:
        """Writes the state after a batch, and drops those that no repeat of this batch can need."""
        self.store.write(self.folder, _name(batch), pack(header, payload))
        known = sorted(number for number in self._batches() if number < batch)
        for number in known[:-1]:
            self.store.delete(self.folder, _name(number))

    def model(self) -> bytes | None:
        """The model that was trained on the stream itself."""
        if "model" not in self.store.names(self.folder):
            return None
        return self.store.read(self.folder, "model")

    def save_model(self, model: bytes) -> None:
        """Keeps a model that was trained on the stream."""
        self.store.write(self.folder, "model", model)

    def _batches(self) -> list[int]:
        names = (name.removeprefix("batch-") for name in self.store.names(self.folder) if name.startswith("batch-"))
        return [int(name) for name in names if name.isdigit()]


def _name(batch: int) -> str:
    return f"batch-{batch:012d}"


def pack(header: dict[str, Any], payload: bytes) -> bytes:
    """Header and payload in one file."""
    text = json.dumps(header, sort_keys=True).encode()
    return b"".join((_MAGIC, _LENGTH.pack(len(text)), text, payload))


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    """What `pack` put together."""
    start = len(_MAGIC) + _LENGTH.size
    if not data.startswith(_MAGIC) or len(data) < start:
        raise ValueError("this is no state of a site")
    end = start + _LENGTH.unpack(data[len(_MAGIC) : start])[0]
    return json.loads(data[start:end]), data[end:]


def to_ipc(rows: pa.Table) -> bytes:
    """Rows as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def from_ipc(data: bytes) -> pa.Table:
    """Rows from bytes."""
    return pa.ipc.open_stream(data).read_all()


@lru_cache(maxsize=64)
def saved_model(path: str, site: str) -> bytes | None:
    """The model of a site in a table of `save_models`, or `None`. Kept, since each batch asks again."""
    store = Store(path)
    folder = f"site_key={folder_of(site)}"
    for name in store.names(folder):
        if name.endswith(".parquet"):
            rows = pq.read_table(pa.BufferReader(store.read(folder, name)), columns=["site", "_model"])
            for row in rows.to_pylist():
                if row["site"] == site:
                    return bytes(row["_model"])
    return None
