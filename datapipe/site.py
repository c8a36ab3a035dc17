"""Facts about this machine, never about the data: where the cache lies, how the model is spread over GPUs, what is kept.

    # site.toml, named by TOKENLOOM_SITE
    [cache]
    folder = "/nvme/tokenloom"        # created with mode 0700; by default below the system's folder for temporary files
    size = "200Gi"                    # of all processes on this machine together; 8Gi by default
    [s3]
    read_timeout_seconds = 20         # for the next bytes of an answer, before a read is tried again
    concurrency = 8                   # requests that fetch ahead at the same time, per process
    [feed]
    memory = "1Gi"                    # of decoded record batches, per process; 256Mi by default; each source in use wants 5Mi
    patience_seconds = 86400          # for a running build to seal the next shard; an hour by default
    [parallel]                        # sizes of the groups (curriculum/parallel.py); 1 by default
    tensor = 2
    pipeline = 8
    expert = 16
    context = 1
    first_stage_layers = 10           # decoder layers of the first and the last pipeline stage, when uneven
    last_stage_layers = 10
    nodes = 16                        # machines; 1 by default
    processes_per_node = 8            # by default one per GPU, and one where there is no GPU
    [training]
    micro_tokens = 8192               # positions that a data-parallel rank computes at once
    precision = "auto"                # or "bf16", "fp32"; auto is bf16 on CUDA and fp32 on a CPU
    recompute = "none"                # or "full": activations are computed a second time instead of kept
    deterministic = true              # the same bits each time on GPUs too; costs time on the way back through attention
    attention = "auto"                # on GPUs in bf16: TransformerEngine's where it is installed, else "torch"; or "transformer_engine"
    compile = "auto"                  # chains of pointwise operations: "on", "off"; auto is on for GPUs (trainer/pointwise.py)
    [checkpoints]
    keep_last = 2                     # newest checkpoints that stay
    keep_every_tokens = "100B"        # the first one after each multiple stays as well; by default none does
    keep_stage_ends = true            # those at the end of a stage stay as well
    grace_seconds = 300               # from SIGTERM to the end: the step under way and a checkpoint must fit in
    asynchronous = true               # written while training goes on

Nothing here changes which rows a trainer gets. TOML, because a training node has no YAML.
"""

import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datapipe.s3 import CONNECTIONS

VARIABLE = "TOKENLOOM_SITE"
SI = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


class SiteError(Exception):
    """The site file cannot be read or says what cannot be; names file, key, value and what to write."""


def _own_folder() -> str:
    return str(Path(tempfile.gettempdir(), f"tokenloom-blocks-{os.getuid()}"))


@dataclass(frozen=True)
class Site:
    """What a process may use of this machine, and how many machines and processes there are."""

    cache_folder: str = field(default_factory=_own_folder)
    cache_bytes: int = 8 << 30
    read_timeout_seconds: float = 20.0
    concurrency: int = 8
    memory_bytes: int = 256 << 20
    patience_seconds: float = 3600.0
    tensor: int = 1
    pipeline: int = 1
    expert: int = 1
    context: int = 1
    first_stage_layers: int | None = None
    last_stage_layers: int | None = None
    nodes: int = 1
    processes_per_node: int | None = None  # None: one per GPU, and one where there is no GPU
    micro_tokens: int = 8192
    precision: str = "auto"
    recompute: str = "none"
    deterministic: bool = True
    attention: str = "auto"
    compile: str = "auto"
    keep_last: int = 2
    keep_every_tokens: int = 0  # 0: none is kept for that
    keep_stage_ends: bool = True
    grace_seconds: float = 300.0
    asynchronous_checkpoints: bool = True


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


def _folder(value: object) -> str:
    if not isinstance(value, str) or not os.path.isabs(os.path.expanduser(value)):
        raise ValueError('an absolute path of a local folder: folder = "/nvme/tokenloom"')
    return os.path.expanduser(value)


def _size(value: object, *, least: int) -> int:
    match = re.fullmatch(r"([0-9]+)\s*(Ki|Mi|Gi|Ti|)", str(value))
    if isinstance(value, bool) or not isinstance(value, int | str) or not match:
        raise ValueError('bytes, or a whole number of Ki, Mi, Gi or Ti: "200Gi"')
    size_bytes = int(match[1]) * UNITS[match[2]]
    if size_bytes < least:
        raise ValueError(f'at least {least} bytes: "{least >> 20}Mi"')
    return size_bytes


def _seconds(value: object, *, most: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= most:
        raise ValueError(f"seconds from 1 to {most}")
    return float(value)


def _count(value: object, *, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"a whole number from 1 to {most}")
    return value


def _tokens(value: object) -> int:
    """An integer, or a whole number with k, M, B or T, as a manifest writes tokens; 0 is none."""
    match = re.fullmatch(r"([0-9][0-9_]*)\s*([kMBT]?)", str(value))
    if isinstance(value, bool) or not isinstance(value, int | str) or not match:
        raise ValueError('tokens, or a whole number of k, M, B or T (powers of 1000): "100B"')
    return int(match[1].replace("_", "")) * SI[match[2]]


def _choice(value: object, *, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(_listed(choices, '"{}"'))
    return str(value)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false, without quotes")
    return value


_GROUP = partial(_count, most=1 << 16)
_LAYERS = partial(_count, most=1 << 12)

# table -> key -> (field of Site, what reads the value or says in a ValueError what to write)
KEYS: dict[str, dict[str, tuple[str, Callable[[object], object]]]] = {
    "cache": {"folder": ("cache_folder", _folder), "size": ("cache_bytes", partial(_size, least=64 << 20))},
    "s3": {
        "read_timeout_seconds": ("read_timeout_seconds", partial(_seconds, most=600)),
        "concurrency": ("concurrency", partial(_count, most=CONNECTIONS)),
    },
    "feed": {
        "memory": ("memory_bytes", partial(_size, least=8 << 20)),
        "patience_seconds": ("patience_seconds", partial(_seconds, most=30 * 86_400)),
    },
    "parallel": {
        "tensor": ("tensor", _GROUP),
        "pipeline": ("pipeline", _GROUP),
        "expert": ("expert", _GROUP),
        "context": ("context", _GROUP),
        "first_stage_layers": ("first_stage_layers", _LAYERS),
        "last_stage_layers": ("last_stage_layers", _LAYERS),
        "nodes": ("nodes", _GROUP),
        "processes_per_node": ("processes_per_node", partial(_count, most=1 << 10)),
    },
    "training": {
        "micro_tokens": ("micro_tokens", partial(_count, most=1 << 24)),
        "precision": ("precision", partial(_choice, choices=("auto", "bf16", "fp32"))),
        "recompute": ("recompute", partial(_choice, choices=("none", "full"))),
        "deterministic": ("deterministic", _switch),
        "attention": ("attention", partial(_choice, choices=("auto", "torch", "transformer_engine"))),
        "compile": ("compile", partial(_choice, choices=("auto", "on", "off"))),
    },
    "checkpoints": {
        "keep_last": ("keep_last", partial(_count, most=1_000_000)),
        "keep_every_tokens": ("keep_every_tokens", _tokens),
        "keep_stage_ends": ("keep_stage_ends", _switch),
        "grace_seconds": ("grace_seconds", partial(_seconds, most=65_535)),  # as far as Slurm looks ahead
        "asynchronous": ("asynchronous_checkpoints", _switch),
    },
}


def _site(path: str, tables: dict[str, object]) -> Site:
    fields: dict[str, Any] = {}
    for table, values in tables.items():
        if table not in KEYS or not isinstance(values, dict):
            raise SiteError(f"{path}: [{table}] is not a table of a site file\n    write {_listed(KEYS, '[{}]')}")
        for key, value in values.items():
            if key not in KEYS[table]:
                raise SiteError(f"{path}: [{table}] {key} = {value!r} is not known\n    write {_listed(KEYS[table])}")
            field_name, read = KEYS[table][key]
            try:
                fields[field_name] = read(value)
            except ValueError as error:
                raise SiteError(f"{path}: [{table}] {key} = {value!r}\n    write {error}") from None
    return Site(**fields)


def _listed(names: Iterable[str], form: str = "{}") -> str:
    return " or ".join(form.format(name) for name in names)
