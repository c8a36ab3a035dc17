"""Build what a manifest describes: corpora, tokenizer, packed shards, lock and plan. It reads like the picture of the flow.

Everything lies under one root, in folders named by keys; what exists is never made again, so an interrupted build continues and an
unchanged one ends at once, without starting Ray.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from curriculum import sharding
from curriculum.curate import BuildError, Curated, curate, key_of
from curriculum.lock import make_lock, write_lock
from curriculum.manifest import Manifest
from curriculum.plan import Plan
from curriculum.planner import make_plan
from curriculum.waves import After, Job, Observer, Phase, run_jobs
from datapipe import store
from datapipe.engine import Engine, Task

SHARDING = 1  # raise it when tokenising, packing or the shard format writes something else for the same documents
CHARS_PER_TOKEN = 4  # a guess that only decides into how many shards a bucket is cut

Packing = tuple[str, int]  # method and row length


@dataclasses.dataclass(frozen=True)
class Built:
    lock: dict[str, Any]
    plan: Plan
    warnings: list[str]


def build(manifest: Manifest, root: str, data: str, engine: Engine, observe: Observer) -> Built:
    """Bring `root` up to date with the manifest. Relative paths of sources start from the folder `data`.

    Raises BuildError when a corpus comes out empty, StoreError when a file or bucket cannot be reached, ManifestError when the plan is
    infeasible with what was measured.
    """
    jobs: dict[str, Job] = {name: curate(manifest.corpora[name], root, data) for name in _needed(manifest)}
    corpora = list(jobs)
    jobs["tokenizer"] = _tokenizer(manifest, corpora, root, data)
    for name, packings in _packings(manifest).items():
        jobs[f"{name} shards"] = _shards(manifest, name, packings, root)
    results = run_jobs(jobs, engine, observe)
    sharded = {name: results[f"{name} shards"] for name in _packings(manifest)}
    curated = {name: results[name] for name in sharded}
    shards = [entry for name in sharded for entry in sharded[name]["shards"]]
    lock = make_lock(manifest, results["tokenizer"], curated, sharded, shards)
    plan, warnings = make_plan(manifest, lock, write_lock(root, lock))
    store.write_bytes(store.join(root, "plan.json"), plan.to_json().encode())
    return Built(lock, plan, warnings)


def _packings(manifest: Manifest) -> dict[str, list[Packing]]:
    """Corpora that some stage learns from, with every packing it is needed in."""
    needed: dict[str, list[Packing]] = {}
    for stage in manifest.stages:
        for name in stage.mix:
            needed.setdefault(name, [])
            if (stage.pack, stage.seq_len) not in needed[name]:
                needed[name].append((stage.pack, stage.seq_len))
    return {name: needed[name] for name in manifest.corpora if name in needed}


def _needed(manifest: Manifest) -> list[str]:
    """Corpora of the stages and what those are made from, in build order."""
    needed = set(_packings(manifest))
    for name in reversed(manifest.build_order()):
        if name in needed:
            needed |= {*manifest.corpora[name].generated_from, *manifest.corpora[name].references}
    return [name for name in manifest.build_order() if name in needed]


def _tokenizer(manifest: Manifest, corpora: list[str], root: str, data: str) -> Job:
    """Train the tokenizer on a sample of all corpora, or take the given one; returns its entry of the lock."""
    from datapipe.tokenize import Tokenizer

    if "path" in manifest.tokenizer:
        given = store.read_bytes(store.join(data, manifest.tokenizer["path"]))
        path = store.join("tokenizer", hashlib.sha256(given).hexdigest()[:12], "tokenizer.json")
        if not store.exists(store.join(root, path)):
            store.write_bytes(store.join(root, path), given)
    else:
        settings, curated = manifest.tokenizer["train"], []
        for name in corpora:
            curated.append((yield After(name)))
        key = key_of("tokenizer", SHARDING, settings, [corpus.key for corpus in curated])
        path = store.join("tokenizer", key[:12], "tokenizer.json")
        samples = {corpus.corpus.name: corpus.parts for corpus in curated}
        arguments = {"samples": samples, "vocab_size": settings["vocab_size"], "sample_chars": settings["sample_bytes"]}
        yield Phase("train", [Task(sharding.train_tokenizer, store.join(root, path), arguments)])
    content = store.read_bytes(store.join(root, path))
    tokenizer = Tokenizer(content)
    if tokenizer.vocab_size > manifest.model.vocab_size:
        raise BuildError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {manifest.model.name} only {manifest.model.vocab_size}.\n"
            f"    Raise vocab_size of the model, or name a smaller tokenizer."
        )
    return {
        "path": path,
        "sha256": hashlib.sha256(content).hexdigest(),
        "vocab_size": tokenizer.vocab_size,
        "eos_id": tokenizer.eos_id,
    }


def _shards(manifest: Manifest, name: str, packings: list[Packing], root: str) -> Job:
    """Tokenise a corpus once and pack it in every way the stages need; returns counts and entries of the lock."""
    corpus: Curated = yield After(name)
    tokenizer: dict[str, Any] = yield After("tokenizer")
    groups = {
        bucket: max(1, round(counts["chars"] / CHARS_PER_TOKEN / manifest.shard_tokens))
        for bucket, counts in corpus.buckets.items()
    }
    tokens_key = key_of("tokens", SHARDING, corpus.key, tokenizer["sha256"], groups, manifest.seed)
    place = store.join(root, "corpora", name, f"tokens-{tokens_key[:12]}")
    arguments = {"tokenizer": store.join(root, tokenizer["path"]), "groups": groups, "seed": manifest.seed}
    tasks = [
        Task(sharding.tokenize_part, store.join(place, f"exchange-{index:05d}.arrow"), {"part": part, **arguments})
        for index, part in enumerate(corpus.parts)
    ]
    counted = yield Phase("tokenise", tasks)
    exchanged, eos_id = [task.output for task in tasks], tokenizer["eos_id"]
    sets = [_ShardSet(name, bucket, *packing, tokens_key) for packing in packings for bucket in groups]
    first = dict(zip(groups, itertools.accumulate(groups.values(), initial=0), strict=False))
    tasks = [
        task for each in sets for task in each.tasks(root, exchanged, first[each.bucket], groups[each.bucket], eos_id)
    ]
    infos = iter((yield Phase("pack", tasks)))
    shards = [each.entry([next(infos) for _ in range(groups[each.bucket])]) for each in sets]
    return {**_add_tokens(counted), "shards": shards}


class _ShardSet(NamedTuple):
    """The shards of one bucket of a corpus in one packing: one per group of documents."""

    corpus: str
    bucket: str
    method: str
    seq_len: int
    tokens_key: str

    @property
    def key(self) -> str:
        return key_of("shards", SHARDING, self.tokens_key, self.method, self.seq_len, self.bucket)

    def path(self, index: int) -> str:
        """Prefix of a shard's files, relative to the root."""
        folder = f"{self.method}-{self.seq_len}-{self.key[:12]}"
        return store.join("shards", self.corpus, self.bucket, folder, f"shard-{index:05d}")

    def tasks(self, root: str, exchanged: list[str], first_group: int, num_groups: int, eos_id: int) -> Iterator[Task]:
        source = f"{self.corpus}/{self.bucket}"
        packing = {"method": self.method, "seq_len": self.seq_len, "source": source, "eos_id": eos_id}
        for index in range(num_groups):
            prefix = store.join(root, self.path(index))
            arguments = {"exchanged": exchanged, "group": first_group + index, **packing}
            yield Task(sharding.pack_group, prefix, arguments, (prefix + ".tokens.arrow", prefix + ".docs.arrow"))

    def entry(self, infos: list[dict[str, Any]]) -> dict[str, Any]:
        """This set in the lock."""
        summed = ("rows", "tokens", "padding", "documents", "pieces", "cut_documents")
        kept = ("rows", "tokens", "bytes", "sha256_tokens", "sha256_docs")
        files = [
            {"path": self.path(index), **{field: info[field] for field in kept}}
            for index, info in enumerate(infos)
            if info["rows"]
        ]
        identity = {"corpus": self.corpus, "bucket": self.bucket, "pack": self.method, "seq_len": self.seq_len}
        sums = {field: sum(info[field] for info in infos) for field in summed}
        return {**identity, "key": self.key, **sums, "files": files}


def _add_tokens(counted: list[dict[str, Any]]) -> dict[str, Any]:
    buckets: dict[str, dict[str, int]] = {}
    for part in counted:
        for bucket, counts in part["buckets"].items():
            total = buckets.setdefault(bucket, dict.fromkeys(counts, 0))
            for field, count in counts.items():
                total[field] += count
    histogram = [sum(column) for column in zip(*(part["lengths"] for part in counted), strict=True)]
    return {"buckets": buckets, "histogram": {"edges": sharding.LENGTH_EDGES, "counts": histogram}}
