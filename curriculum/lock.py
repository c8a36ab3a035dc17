"""lock.json: everything that was measured, written once per build; the same inputs and manifest give the same bytes."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curriculum.build import Tokens
    from curriculum.curate import Curated
from curriculum.manifest import Manifest
from datapipe import store

FORMAT = 2


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
            "length_histogram": tokens[name].histogram,
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
    store.write_bytes(store.join(root, "lock.json"), data)
    return hashlib.sha256(data).hexdigest()


def read_lock(root: str) -> tuple[dict[str, Any], str]:
    """The lock of a build and its sha256; StoreError when there is none."""
    data = store.read_bytes(store.join(root, "lock.json"))
    lock = json.loads(data)
    if lock.get("format") != FORMAT:
        raise store.StoreError(
            store.join(root, "lock.json"),
            f"has format {lock.get('format')}, not {FORMAT}",
            "Build again with this version of tokenloom.",
        )
    return lock, hashlib.sha256(data).hexdigest()
