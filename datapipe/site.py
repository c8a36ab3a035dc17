"""Facts about this machine, never about the data: where the cache lies, how large it may be, how long is waited.

    # site.toml, named by TOKENLOOM_SITE
    [cache]
    folder = "/nvme/tokenloom"        # created with mode 0700; by default below the system's folder for temporary files
    size = "200Gi"                    # of all processes on this machine together; 8Gi by default
    [s3]
    read_timeout_seconds = 20         # for the next bytes of an answer, before a read is tried again
    concurrency = 8                   # requests that fetch ahead at the same time, per process
    [feed]
    memory = "1Gi"                    # of decoded record batches, per process; 256Mi by default, 5Mi for each source help
    patience_seconds = 86400          # for a running build to seal the next shard; an hour by default

Nothing here changes which bytes a trainer gets. TOML, because a training node has no YAML.
"""

import os
import re
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from datapipe.s3 import CONNECTIONS

VARIABLE = "TOKENLOOM_SITE"
UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
LEAST_CACHE_BYTES = 64 << 20
LEAST_MEMORY_BYTES = 8 << 20
LONGEST_SECONDS = 600
LONGEST_PATIENCE_SECONDS = 30 * 86_400
KEYS = {
    "cache": ("folder", "size"),
    "s3": ("read_timeout_seconds", "concurrency"),
    "feed": ("memory", "patience_seconds"),
}


class SiteError(Exception):
    """The site file cannot be read or says what cannot be; names file, key, value and what to write."""


def _own_folder() -> str:
    return str(Path(tempfile.gettempdir(), f"tokenloom-blocks-{os.getuid()}"))


@dataclass(frozen=True)
class Site:
    """What a process may use of this machine."""

    cache_folder: str = field(default_factory=_own_folder)
    cache_bytes: int = 8 << 30
    read_timeout_seconds: float = 20.0
    concurrency: int = 8
    memory_bytes: int = 256 << 20
    patience_seconds: float = 3600.0


def load_site(path: str | None = None) -> Site:
    """The site file at `path`; without one that of TOKENLOOM_SITE, else the defaults. Raises SiteError."""
    path = path or os.environ.get(VARIABLE)
    if not path:
        return Site()
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SiteError(f"{path}: cannot be read ({error})\n    correct the path in {VARIABLE}, or unset it") from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SiteError(f'{path}: not TOML ({error})\n    texts have quotes: size = "200Gi"') from error
    return _site(path, tables)


def _site(path: str, tables: dict[str, object]) -> Site:
    given: dict[str, object] = {}
    for table, values in tables.items():
        if table not in KEYS or not isinstance(values, dict):
            raise SiteError(f"{path}: [{table}] is not a table of a site file\n    write {_listed(KEYS, '[{}]')}")
        for key, value in values.items():
            if key not in KEYS[table]:
                raise SiteError(f"{path}: [{table}] {key} = {value!r} is not known\n    write {_listed(KEYS[table])}")
            given[f"{table}.{key}"] = value
    default = Site()
    return Site(
        cache_folder=_folder(path, given.get("cache.folder", default.cache_folder)),
        cache_bytes=_size(path, "[cache] size", given.get("cache.size", default.cache_bytes), LEAST_CACHE_BYTES),
        read_timeout_seconds=_seconds(
            path,
            "[s3] read_timeout_seconds",
            given.get("s3.read_timeout_seconds", default.read_timeout_seconds),
            LONGEST_SECONDS,
        ),
        concurrency=_concurrency(path, given.get("s3.concurrency", default.concurrency)),
        memory_bytes=_size(path, "[feed] memory", given.get("feed.memory", default.memory_bytes), LEAST_MEMORY_BYTES),
        patience_seconds=_seconds(
            path,
            "[feed] patience_seconds",
            given.get("feed.patience_seconds", default.patience_seconds),
            LONGEST_PATIENCE_SECONDS,
        ),
    )


def _folder(path: str, value: object) -> str:
    if not isinstance(value, str) or not os.path.isabs(os.path.expanduser(value)):
        raise _wrong(path, "[cache] folder", value, 'an absolute path of a local folder: folder = "/nvme/tokenloom"')
    return os.path.expanduser(value)


def _size(path: str, key: str, value: object, least: int) -> int:
    name = key.split()[-1]
    match = re.fullmatch(r"([0-9]+)\s*(Ki|Mi|Gi|Ti|)", str(value))
    if isinstance(value, bool) or not isinstance(value, int | str) or not match:
        raise _wrong(path, key, value, f'bytes, or a whole number of Mi, Gi or Ti: {name} = "200Gi"')
    size_bytes = int(match[1]) * UNITS[match[2]]
    if size_bytes < least:
        raise _wrong(path, key, value, f'at least {least} bytes: {name} = "{least >> 20}Mi"')
    return size_bytes


def _seconds(path: str, key: str, value: object, most: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= most:
        raise _wrong(path, key, value, f"seconds from 1 to {most}: {key.split()[-1]} = 20")
    return float(value)


def _concurrency(path: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= CONNECTIONS:
        raise _wrong(path, "[s3] concurrency", value, f"a whole number from 1 to {CONNECTIONS}: concurrency = 8")
    return value


def _wrong(path: str, key: str, value: object, remedy: str) -> SiteError:
    return SiteError(f"{path}: {key} = {value!r}\n    write {remedy}")


def _listed(names: Iterable[str], form: str = "{}") -> str:
    return " or ".join(form.format(name) for name in names)
