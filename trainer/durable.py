"""Files and folders that are on the disk when a call returns, and folders that go away at once."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def durable(path: Path) -> Iterator[io.BufferedWriter]:
    """A new file to write to; at the end it is flushed to the disk."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    with durable(path) as file:
        file.write(text.encode())


def flush(path: Path) -> None:
    """To the disk: what a file holds, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(path: Path) -> None:
    """Never half a folder under its name, wherever the process dies: it is hidden first, and `clean` takes what is left."""
    hidden = path.with_name(f".{path.name}.old.tmp")
    path.rename(hidden)
    shutil.rmtree(hidden)


def clean(folder: Path) -> None:
    """Remove what a killed process left half-written or half-removed: hidden names that end in .tmp."""
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
