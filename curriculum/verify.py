"""Does a build still say what it is? Every file against the lock (`file_check`), the plan against the lock (`plan_check`); never writes.

Not covered: the corpora and what lies between them and the shards, of which the lock holds no hash.
"""

import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curriculum import doc_index
from curriculum.file_check import File, Observer, check_files
from curriculum.lock import read_lock
from curriculum.plan import PLAN, Plan, PlanError
from curriculum.plan_check import AGAIN, plan_problems
from curriculum.units import size
from datapipe import store
from datapipe.shards import DOCS, TOKENS, docs_path, tokens_path

S3_THREADS = 16  # a request waits longer than its bytes take to hash


def verify(root: str, *, observe: Observer = lambda done, total: None, threads: int | None = None) -> list[str]:
    """Problems found, in words and in the order of the lock; empty when every file is what the lock says.

    threads  that hash at once: the cores of this machine, for a build on S3 16

    StoreError when there is no finished build at `root`, or its store refuses to be read.
    """
    lock, lock_sha256 = read_lock(root)
    if threads is None:
        threads = S3_THREADS if store.is_s3(root) else os.cpu_count() or 1
    found = check_files(_files(root, lock), observe, threads)
    return [*(problem for problem in found if problem), *_plan_problems(root, lock, lock_sha256)]


def leftovers(root: str) -> list[str]:
    """Folders below shards/ with files that the lock does not name, in words: nothing reads them, they only take space."""
    lock, _ = read_lock(root)
    known = {entry["folder"]: {file["path"] for file in entry["files"]} for entry in lock["shards"]}
    left: dict[str, list[int]] = {}
    for path, size_bytes in _sizes(root).items():
        name = path.removeprefix(store.join(root, ""))
        folder, _, file = name.rpartition("/")
        is_shard = folder not in known or file != doc_index.FILE
        if is_shard and store.join(folder, file.partition(".")[0]) not in known.get(folder, ()):
            left.setdefault(folder, []).append(size_bytes)
    reason = "that the lock does not name, of another manifest or an unfinished build"
    return [
        f"{folder}: {len(sizes)} file{'s' if len(sizes) > 1 else ''} ({size(sum(sizes))}) {reason}. "
        "Delete what no build of this folder needs."
        for folder, sizes in sorted(left.items())
    ]


def summary(root: str) -> dict[str, int]:
    """What there is to verify: shards and bytes."""
    lock, _ = read_lock(root)
    files = [file for entry in lock["shards"] for file in entry["files"]]
    return {"shards": len(files), "bytes": sum(file["bytes"] for file in files)}


def _sizes(root: str) -> dict[str, int]:
    """Every file below shards/ with its size: one listing, where asking for each would be a request each on S3."""
    return {info.path: info.size_bytes for info in store.glob(store.join(root, "shards"))}


def _files(root: str, lock: dict[str, Any]) -> list[File]:
    sizes = _sizes(root)

    def file(name: str, sha256: str, schema: pa.Schema | None) -> File:
        path = store.join(root, name)
        size_bytes = sizes.get(path)
        if size_bytes is None and store.exists(path):  # not below shards/, or behind a link to a folder
            size_bytes = store.stat(path).size_bytes
        return File(name, path, sha256, size_bytes, schema)

    files = [file(lock["tokenizer"]["path"], lock["tokenizer"]["sha256"], None)]
    for entry in lock["shards"]:
        for shard in entry["files"]:
            files.append(file(tokens_path(shard["path"]), shard["sha256_tokens"], TOKENS))
            files.append(file(docs_path(shard["path"]), shard["sha256_docs"], DOCS))
        files.append(file(store.join(entry["folder"], doc_index.FILE), entry["sha256_index"], doc_index.INDEX))
    return files


def _plan_problems(root: str, lock: dict[str, Any], lock_sha256: str) -> Iterator[str]:
    path = store.join(root, PLAN)
    if not store.exists(path):
        yield f"{PLAN}: is missing. {AGAIN}"
        return
    try:
        plan = Plan.from_json(store.read_bytes(path).decode())
    except PlanError as error:
        yield f"{error}."
        return
    if plan.is_live:
        yield f"{PLAN}: its build has not ended: wait for it, or start it again."
        return
    if plan.lock != lock_sha256:
        yield f"{PLAN}: was made from another lock. {AGAIN}"
    yield from plan_problems(plan, lock)
