"""lock.json: everything that was measured, written once per build; the same inputs and manifest give the same bytes."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curriculum.build import Tokens
    from curriculum.curate import Curated
from curriculum.manifest import Manifest
from datapipe import store

FORMAT = 6
LOCK = "lock.json"


def make_lock(
    manifest: Manifest,
    tokenizer: dict[str, Any],
    curated: "dict[str, Curated]",
    tokens: "dict[str, Tokens]",
    shards: list[dict[str, Any]],
) -> dict[str, Any]:
    """The lock of a finished build: `shards` holds an entry per bucket and packing."""
    corpora = {}
    for name, corpus in curated.items():
        epochs = corpus.corpus.bucket_epochs
        corpora[name] = {
            "kind": corpus.corpus.kind,
            "source": corpus.source,
            "steps": corpus.steps,
            "buckets": {
                bucket: {**counts, "tokens": tokens[name].counts[bucket]["tokens"], "epochs": epochs[bucket]}
                for bucket, counts in corpus.buckets.items()
            },
            "languages": corpus.languages,
            "licenses": corpus.licenses,
            "clusters": corpus.clusters,
            "length_histogram": tokens[name].histogram,
            **({"fim": tokens[name].fim} if tokens[name].fim else {}),
        }
    return {
        "format": FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "seed": manifest.seed,
        "manifest": manifest.fingerprint(),
        "tokenizer": tokenizer,
        "corpora": corpora,
        "shards": shards,
    }


def write_lock(root: str, lock: dict[str, Any]) -> str:
    """Write the lock; returns its sha256."""
    data = (json.dumps(lock, indent=1, sort_keys=True) + "\n").encode()
    store.write_bytes(store.join(root, LOCK), data)
    return hashlib.sha256(data).hexdigest()


def read_lock(root: str) -> tuple[dict[str, Any], str]:
    """The lock of a build and its sha256; StoreError when there is none, or none that can be read."""
    path = store.join(root, LOCK)
    if not store.exists(path):
        raise store.StoreError(
            path, "no such file", "`tokenloom build` writes it at its end: wait for it, or check the folder."
        )
    data = store.read_bytes(path)
    try:
        lock = dict(json.loads(data))
    except (ValueError, TypeError) as error:
        raise store.StoreError(path, f"is damaged ({error})", "Run `tokenloom build` again.") from error
    if lock.get("format") != FORMAT:
        raise store.StoreError(
            path, f"has format {lock.get('format')}, not {FORMAT}", "Build again with this version of tokenloom."
        )
    return lock, hashlib.sha256(data).hexdigest()
