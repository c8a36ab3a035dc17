"""What the running Python installation holds: its distributions, the files of its standard library, and a fingerprint of both.

Nothing is imported; metadata and sources are read as files. Distributions are sorted by normalised name, the first on the path
wins, and this project itself is left out, because a sample must not change with every edit of it.
"""

import csv
import functools
import hashlib
import json
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, cast

from datapipe.readers import licenses

OWN_NAME = "tokenloom"
PYTHON_LICENSE = "PSF-2.0"
LICENSE_FILE = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Package:
    """One installed distribution, read from its metadata."""

    name: str
    version: str
    license: str | None  # SPDX expression
    summary: str
    classifiers: tuple[str, ...]
    description: str
    description_type: str  # "text/markdown", "text/x-rst" or "text/plain"
    dist: Distribution

    @functools.cached_property
    def files(self) -> tuple[tuple[str, Path], ...]:
        """(path inside the installation, path on this machine) of what was installed, sorted."""
        return _files(self.dist)


def packages() -> list[Package]:
    """All distributions installed in this environment but this project, by name."""
    found: dict[str, Distribution] = {}
    for dist in _installed():
        if dist.metadata["Name"]:
            found.setdefault(normalised(dist.metadata["Name"]), dist)
    return [_package(dist) for name, dist in sorted(found.items()) if name != OWN_NAME]


def _installed() -> Iterator[Distribution]:
    """Not what `sys.path` holds at the moment: libraries put folders of their own there when they are imported."""
    yield from distributions(path=list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))))


def normalised(name: str) -> str:
    """The name of a distribution as the packaging specification compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _files(dist: Distribution) -> tuple[tuple[str, Path], ...]:
    # `dist.files` makes three path objects of each of some 60,000 lines, most of them of compiled files.
    record = dist.read_text("RECORD")
    names = (row[0] for row in csv.reader(record.splitlines()) if row) if record else map(str, dist.files or ())
    root = str(dist.locate_file(""))
    inside = sorted(name for name in names if not name.endswith(".pyc") and ".." not in name.split("/"))
    return tuple((name, Path(root, name)) for name in inside)


def _license_of_files(dist: Distribution) -> str | None:
    """What the distribution's licence files say: reading the list of files of a large one takes a second."""
    files = {name.partition(".dist-info/")[2]: path for name, path in _files(dist) if ".dist-info/" in name}
    texts = {name: read_text(path) or "" for name, path in files.items() if LICENSE_FILE.match(path.name)}
    found = licenses.of_files(texts)
    return found.spdx if found else None


def _package(dist: Distribution) -> Package:
    metadata = cast(Message, dist.metadata)  # what it is, and what its declared protocol hides
    body = metadata.get_payload()
    description = body if isinstance(body, str) and body.strip() else metadata.get("Description", "")
    return Package(
        name=metadata["Name"],
        version=dist.version,
        license=licenses.from_metadata(dist.read_text("METADATA") or "") or _license_of_files(dist),
        summary=metadata.get("Summary", ""),
        classifiers=tuple(metadata.get_all("Classifier", [])),
        description=description,
        description_type=metadata.get("Description-Content-Type", "text/x-rst").partition(";")[0].strip().lower(),
        dist=dist,
    )


def read_text(path: Path) -> str | None:
    """The text of a UTF-8 file, None when it is missing, binary or in another encoding."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


@functools.cache
def stdlib_files() -> tuple[tuple[str, Path], ...]:
    """(path below the standard library's folder, path on this machine) of its files, sorted; installed packages are left out."""
    root = Path(sysconfig.get_path("stdlib"))
    return tuple(sorted((path.relative_to(root).as_posix(), path) for path in _walk(root, depth=0)))


def _walk(folder: Path, *, depth: int) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            # Below the root only packages are sources: not lib-dynload, config-<platform>, site-packages, caches.
            if path.name not in ("__pycache__", "site-packages") and (depth or (path / "__init__.py").is_file()):
                yield from _walk(path, depth=depth + 1)
        elif path.is_file():
            yield path


def identity(max_bytes: int, format_version: int) -> dict[str, Any]:
    """What a sample depends on. Two installations with equal identity write equal bytes."""
    installed = sorted({f"{normalised(d.metadata['Name'] or '')}=={d.version}" for d in _installed()})
    installed = [line for line in installed if not line.startswith(OWN_NAME + "==")]
    facts = {
        "format": format_version,
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": sys.platform,
        "distributions": installed,
        "max_bytes": max_bytes,
    }
    return {**facts, "fingerprint": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()}


def stable_rank(name: str) -> str:
    """A pseudo-random sort key: the same for the same name everywhere, so a budget cuts an even slice of all items."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
