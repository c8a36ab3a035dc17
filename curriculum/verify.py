"""Does a build still say what it is? Checks files against the lock, and the plan against the lock; never writes."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from curriculum.lock import read_lock
from curriculum.plan import Plan, Stage
from datapipe import store
from datapipe.shards import ShardError, ShardReader

CHUNK_BYTES = 8 * 2**20


def verify(root: str, on_file: Callable[[str], None] = lambda path: None) -> list[str]:
    """Problems found, in words; empty when every file is what the lock says. StoreError when there is no build at `root`."""
    lock, lock_sha256 = read_lock(root)
    problems = list(_tokenizer(root, lock))
    for entry in lock["shards"]:
        for file in entry["files"]:
            on_file(file["path"])
            problems += _shard(root, file, entry["seq_len"])
    if not store.exists(store.join(root, "plan.json")):
        return [*problems, "plan.json: is missing. Run `tokenloom build` again."]
    plan = Plan.from_json(store.read_bytes(store.join(root, "plan.json")).decode())
    if plan.lock != lock_sha256:
        problems.append("plan.json: was made from another lock. Run `tokenloom build` again.")
    for stage in plan.stages:
        problems += _stage(stage, lock)
    return problems


def _tokenizer(root: str, lock: dict[str, Any]) -> Iterator[str]:
    path = store.join(root, lock["tokenizer"]["path"])
    if not store.exists(path):
        yield f"{lock['tokenizer']['path']}: is missing."
    elif _sha256(path) != lock["tokenizer"]["sha256"]:
        yield f"{lock['tokenizer']['path']}: is not the tokenizer of the lock (sha256 differs)."


def _shard(root: str, file: dict[str, Any], seq_len: int) -> Iterator[str]:
    for suffix in ("tokens", "docs"):
        name = f"{file['path']}.{suffix}.arrow"
        if not store.exists(store.join(root, name)):
            yield f"{name}: is missing."
            return
        if (found := _sha256(store.join(root, name))) != file[f"sha256_{suffix}"]:
            yield f"{name}: sha256 is {found[:12]}, the lock says {file[f'sha256_{suffix}'][:12]}. Delete it and build again."
            return
    try:
        reader = ShardReader(store.join(root, file["path"]))
        if (reader.rows, reader.seq_len) != (file["rows"], seq_len):
            yield f"{file['path']}: holds {reader.rows} rows of {reader.seq_len}, the lock says {file['rows']} of {seq_len}."
        for start in range(0, reader.rows, 1024):
            rows = np.arange(start, min(start + 1024, reader.rows))
            reader.read(rows)
            reader.layout(rows)
    except ShardError as error:
        yield str(error)


def _stage(stage: Stage, lock: dict[str, Any]) -> Iterator[str]:
    known = {file["path"]: file["rows"] for entry in lock["shards"] for file in entry["files"]}
    for source in stage.sources:
        for shard in source.shards:
            if known.get(shard.path) != shard.rows:
                yield f"plan.json: stage {stage.name} reads {shard.path} with {shard.rows} rows, the lock has {known.get(shard.path)}."
    planned = sum(source.rows_planned for source in stage.sources)
    if planned != stage.rows:
        yield f"plan.json: stage {stage.name} has {stage.rows} rows, its sources {planned}."


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with store.open_input(path) as source:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def summary(root: str) -> dict[str, int]:
    """What there is to verify: shards and bytes."""
    lock = json.loads(store.read_bytes(store.join(root, "lock.json")))
    files = [file for entry in lock["shards"] for file in entry["files"]]
    return {"shards": len(files), "bytes": sum(file["bytes"] for file in files)}
