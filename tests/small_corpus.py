"""A small corpus of every kind from the standard library's own texts, and a manifest with two stages over it."""

import gzip
import inspect
import json
import pydoc
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest

MANIFEST = """\
name: small
version: "1"
seed: 5
model: model.yaml
tokenizer: {train: {vocab_size: 1024, sample_bytes: 300_000}}
shard_tokens: 16Ki
corpora: {web: web.yaml, books: books.yaml, code: code.yaml, qa: qa.yaml}
training: {lr: {peak: 2e-2, end: 2e-3, warmup_tokens: 512}, checkpoint_steps: 3}
stages:
  - {name: short, tokens: 4096, seq_len: 64, pack: concat, batch_tokens: 512, mix: {web: 0.6, books: 0.2, code: 0.2}}
  - {name: long, tokens: 4096, seq_len: 256, pack: best_fit, batch_tokens: 512, mix: {books: 0.5, qa: 0.5},
     rope_base: 1_000_000, bias_rate: 0, mtp_weight: 0.1}
"""
CORPORA = {
    "web": """\
kind: web
source: {reader: html, paths: ["html/*.html"], split_bytes: 64Ki}
steps:
  - extract.html
  - filter.language: {keep: [en], min_score: 0.3}
  - filter.length: {min_chars: 200}
  - dedup.exact
  - dedup.minhash
  - score.quality: {reference: books}
  - bucket.rank: {labels: {high: 14, medium: 8, low: 0}, epochs: {high: 2, medium: 1, low: 0}}
""",
    "books": """\
kind: book
source: {reader: jsonl, paths: ["books/*.jsonl.gz"], origin_key: origin, license_key: license, split_bytes: 64Ki}
steps:
  - filter.length: {min_chars: 1000}
  - dedup.exact
""",
    "code": "kind: code\nsource: {reader: tree, paths: [\"repos/*\"]}\nsteps:\n  - filter.code\n  - dedup.exact\n",
    "qa": "kind: reasoning\nsource: {generator: qa, from: [books, web]}\n",
}  # fmt: skip
MODEL = """\
name: test
vocab_size: 1024
layers: 2
dense_layers: 1
hidden: 32
heads: 4
kv_heads: 2
head_dim: 16
dense_ffn: 64
experts: 4
experts_per_token: 2
expert_ffn: 16
shared_ffn: 16
router_scale: 2.5
qk_norm: true
qkv_bias: true
rotary_fraction: 0.5
mtp_layers: 1
norm_eps: 1e-5
init_std: 0.05
"""
MODULES = ("json", "gzip", "bisect", "heapq", "textwrap", "shlex", "calendar", "fractions", "statistics", "queue")


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of module documentation, chapters of the language reference, and sources of small modules."""
    data = tmp_path_factory.mktemp("data")
    for folder in ("html", "books", "repos"):
        (data / folder).mkdir()
    for name in MODULES:
        module = pydoc.locate(name)
        body = "".join(
            f"<p>{line}</p>" for line in pydoc.html.escape(pydoc.plain(pydoc.render_doc(module))).split("\n\n")
        )
        (data / "html" / f"{name}.html").write_text(f"<html><body><main><h1>{name}</h1>{body}</main></body></html>")
        package = data / "repos" / f"{name}-1.0"
        package.mkdir()
        (package / f"{name}.py").write_text(inspect.getsource(module))
        (package / "repo.json").write_text(json.dumps({"name": name, "version": "1.0", "license": "PSF-2.0"}))
    (data / "html" / "json-copy.html").write_text((data / "html" / "json.html").read_text())
    names = sorted(topics)
    for index in range(4):
        lines = [
            json.dumps({"text": topics[name], "origin": f"topics/{name}", "license": "PSF-2.0"})
            for name in names[index::4]
        ]
        with gzip.GzipFile(data / "books" / f"{index}.jsonl.gz", "wb", mtime=0) as file:
            file.write("\n".join(lines).encode())
    return data


@pytest.fixture(scope="session")
def write_manifest() -> Callable[[Path], Path]:
    """Writes the manifest and what it names into a folder, and returns its file."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"small": MANIFEST, "model": MODEL, **CORPORA}.items():
            (folder / f"{name}.yaml").write_text(text)
        return folder / "small.yaml"

    return write


@pytest.fixture
def small_manifest(write_manifest: Callable[[Path], Path], tmp_path: Path) -> Path:
    """The manifest's file, in a folder where a test may edit it and its corpora."""
    return write_manifest(tmp_path / "manifests")
