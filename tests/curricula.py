"""Manifests and locks by hand: curricula for tests that need no build."""

from pathlib import Path
from typing import Any

from curriculum.manifest import Manifest, load_manifest
from curriculum.stages import Packing

HEAD = """\
name: m
version: "1"
seed: 7
model: models/tiny.yaml
corpora: {web: web.yaml, code: code.yaml, books: books.yaml}
stages:
"""  # the first stage begins in line 7
CORPORA = {
    "web": 'kind: web\nsource: {reader: warc, paths: ["w/*"]}\n',
    "code": 'kind: code\nsource: {reader: tree, paths: ["c/*"]}\n',
    "books": 'kind: book\nsource: {reader: jsonl, paths: ["b/*"]}\n',
}
RANKED = """\
steps:
  - score.quality: {reference: books}
  - bucket.rank: {labels: {high: 15, low: 5, none: 0}, epochs: {high: 3, low: 1, none: 0}}
"""


def write_curriculum(folder: Path, stages: str, **more: str) -> Path:
    """A manifest with these stages over three corpora; `more` is added to the file of a corpus."""
    for name, text in CORPORA.items():
        (folder / f"{name}.yaml").write_text(text + more.get(name, ""))
    (folder / "m.yaml").write_text(HEAD + stages)
    return folder / "m.yaml"


def make_curriculum(folder: Path, stages: str, **more: str) -> Manifest:
    return load_manifest(str(write_curriculum(folder, stages, **more)))


def stage_text(
    name: str = "one", tokens: str | int = 1_000_000, mix: str = "{web: 0.7, code: 0.3}", **more: str
) -> str:
    """A stage of 256-token rows in one line; `more` are further keys, or other values."""
    keys = {"name": name, "tokens": tokens, "seq_len": 256, "pack": "concat", "batch_tokens": 2048, "mix": mix, **more}
    return "  - {" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}\n"


def shard_set(
    packing: Packing, corpus: str, rows: int, *, bucket: str = "all", per_row: int = 0, **filled: int
) -> dict[str, Any]:
    """Shards of one bucket in the lock: tokens of its own per row (full rows unless given), and of the bucket `all` of others."""
    own = {f"{corpus}/{bucket}": rows * (per_row or packing.seq_len)}
    return {
        "corpus": corpus,
        "bucket": bucket,
        "packing": packing.to_json(),
        "key": "0" * 64,
        "folder": f"shards/{corpus}/{bucket}/{packing.method}-{packing.seq_len}",
        "rows": rows,
        "num_shards": min(rows, 2),
        "padding": 0,
        "tokens_by_source": own | {f"{name}/all": rows * tokens for name, tokens in filled.items()},
    }


def make_lock(*shards: dict[str, Any]) -> dict[str, Any]:
    return {"tokenizer": {"path": "t", "sha256": "0", "vocab_size": 1000, "eos_id": 0}, "shards": list(shards)}
