"""Build what a manifest describes: corpora, tokenizer, packed shards, lock and plan. It reads like the picture of the flow.

Everything lies under one root, in folders named by keys; what exists is never made again, so an interrupted build continues and an
unchanged one ends at once, without starting Ray.

The plan is written as soon as all corpora of the first stage are laid out, and again whenever another stage is: training may begin while
shards are still being written. A shard is sealed when its mark (`shard-00000.json`, left by the engine) is there; these marks are the
ledger that the feed follows.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from curriculum import fill_in, sharding
from curriculum.curate import Curated, curate, folder, key_of
from curriculum.curating import write_curated
from curriculum.imported import import_part
from curriculum.lock import make_lock, write_lock
from curriculum.manifest import Manifest
from curriculum.plan import Plan, shard_path
from curriculum.planner import make_plan
from curriculum.publish import Publisher
from curriculum.segment import BuildError
from curriculum.stages import Packing
from curriculum.waves import After, Job, Observer, Phase, run_jobs
from datapipe import store
from datapipe.engine import Engine, Task

if TYPE_CHECKING:
    from datapipe.tokenize import Tokenizer

SHARDING = 4  # raise it when tokenising, packing or the shard format writes something else for the same documents


@dataclasses.dataclass(frozen=True)
class Built:
    lock: dict[str, Any]
    plan: Plan
    warnings: list[str]


def build(manifest: Manifest, root: str, data: str, engine: Engine, observe: Observer) -> Built:
    """Bring `root` up to date with the manifest. Relative paths of sources start from the folder `data`.

    Raises BuildError when a corpus comes out empty, StoreError when a file or bucket cannot be reached, ManifestError when the plan is
    infeasible: at once where the manifest alone says so, else when everything that a stage learns from is measured.
    """
    make_plan(manifest, None, num_stages=0)
    jobs: dict[str, Job] = {name: curate(manifest.corpora[name], root, data) for name in _needed(manifest)}
    jobs["tokenizer"] = _tokenizer(manifest, list(jobs), root, data)
    learned = [name for name in manifest.corpora if any(name in stage.corpora for stage in manifest.stages)]
    for name in learned:
        jobs[f"{name} tokens"] = _tokens(manifest, name, root)
    publisher = Publisher(manifest, root)
    packs = _packs(manifest)
    for each in packs:
        jobs[each.label] = _shards(manifest, each, root, publisher)
    results = run_jobs(jobs, engine, observe)
    write_curated(root, {name: results[name] for name in _needed(manifest) if not manifest.corpora[name].is_imported})
    tokens = {name: results[f"{name} tokens"] for name in learned}
    entries = [entry for each in packs for entry in results[each.label]]
    lock = make_lock(manifest, results["tokenizer"], {name: results[name] for name in learned}, tokens, entries)
    plan, warnings = make_plan(manifest, lock, write_lock(root, lock))
    publisher.write(plan)
    return Built(lock, plan, warnings)


class _Pack(NamedTuple):
    """Corpora that are packed in one go, and how. Those that fill come last."""

    corpora: tuple[str, ...]
    packings: tuple[Packing, ...]  # of each corpus
    stage: int  # the first one that needs them

    @property
    def label(self) -> str:
        first = self.packings[0]
        return f"{'+'.join(self.corpora)} {first.method} {first.seq_len}{' together' if first.related else ''}"


def _packs(manifest: Manifest) -> list[_Pack]:
    """Every way in which corpora must be packed, in the order of the stages that need them."""
    stages: dict[tuple[tuple[str, ...], tuple[Packing, ...]], int] = {}
    for index, stage in enumerate(manifest.stages):
        for name in stage.corpora:
            corpora = stage.packing(name).joint or (name,)
            stages.setdefault((corpora, tuple(stage.packing(corpus) for corpus in corpora)), index)
    return [_Pack(corpora, packings, stage) for (corpora, packings), stage in stages.items()]


def _needed(manifest: Manifest) -> list[str]:
    """Corpora of the stages and what those are made from, in build order."""
    needed = {name for stage in manifest.stages for name in stage.corpora}
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
        for name in corpora:  # none is imported: the manifest names their tokenizer
            curated.append((yield After(name)))
        key = key_of("tokenizer", SHARDING, settings, [corpus.key for corpus in curated])
        path = store.join("tokenizer", key[:12], "tokenizer.json")
        samples = {corpus.corpus.name: corpus.parts for corpus in curated}
        arguments = {"samples": samples, "vocab_size": settings["vocab_size"], "sample_chars": settings["sample_bytes"]}
        output = store.join(root, path)
        yield Phase("train", [Task(sharding.train_tokenizer, output, arguments, (output,))])
    content = store.read_bytes(store.join(root, path))
    tokenizer = Tokenizer(content)
    _check_markers(manifest, corpora, tokenizer)
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


def _check_markers(manifest: Manifest, corpora: list[str], tokenizer: "Tokenizer") -> None:
    """Raise BuildError for a corpus whose fill-in tokens the tokenizer does not have."""
    for corpus in (manifest.corpora[name] for name in corpora):
        try:
            tokenizer.marker_ids(corpus.fim.tokens if corpus.fim else ())
        except ValueError as error:
            raise BuildError(
                f"corpus {corpus.name}: fim: {error}.\n"
                "    Name those of the tokenizer: `fim: {tokens: {prefix: ..., suffix: ..., middle: ...}}`."
            ) from None


class Tokens(NamedTuple):
    """A corpus as tokens: one file per part, a slice per bucket."""

    key: str
    buckets: list[str]
    parts: list[str]
    counts: dict[str, dict[str, int]]  # bucket -> documents, tokens
    histogram: dict[str, list[int]]
    fim: dict[str, Any] | None  # what was rearranged for fill-in-the-middle, where the corpus asks for it


def _tokens(manifest: Manifest, name: str, root: str) -> Job:
    """Tokenise a corpus, once for all stages; returns its `Tokens`."""
    corpus: Curated = yield After(name)
    tokenizer: dict[str, Any] = yield After("tokenizer")
    buckets = list(corpus.buckets)
    fim, longest = corpus.corpus.fim, fill_in.longest(manifest.stages, name)
    key = key_of(
        "tokens", SHARDING, corpus.key, tokenizer["sha256"], buckets, manifest.seed, *([fim, longest] if fim else ())
    )
    place = folder(root, name, "tokens", key)
    arguments: dict[str, Any] = {"buckets": buckets, "seed": manifest.seed}
    function: Callable[..., dict[str, Any]] = sharding.tokenize_part
    if corpus.corpus.is_imported:
        function, arguments["vocab_size"] = import_part, tokenizer["vocab_size"]
    else:
        arguments |= {"tokenizer": store.join(root, tokenizer["path"]), "fim": fim, "longest": longest}
    tasks = []
    for index, part in enumerate(corpus.parts):
        path = store.join(place, f"part-{index:05d}.arrow")
        tasks.append(Task(function, path, {"part": part, **arguments}, (path, sharding.lengths_path(path))))
    counted = yield Phase("tokenise", tasks)
    counts = {
        bucket: {field: sum(part["buckets"][bucket][field] for part in counted) for field in ("documents", "tokens")}
        for bucket in buckets
    }
    lengths = [sum(column) for column in zip(*(part["lengths"] for part in counted), strict=True)]
    histogram = {"edges": sharding.LENGTH_EDGES, "counts": lengths}
    rearranged = None
    if fim:
        forms = {form: sum(part["fim"][form] for part in counted) for form in sharding.FIM_FORMS}
        rearranged = {**fim._asdict(), "longest": longest, "documents": forms}
    return Tokens(key, buckets, [task.output for task in tasks], counts, histogram, rearranged)


def _shards(manifest: Manifest, pack: _Pack, root: str, publisher: Publisher) -> Job:
    """Pack some corpora into shards; returns their entries of the lock, one per bucket."""
    tokenizer: dict[str, Any] = yield After("tokenizer")
    tokens: list[Tokens] = []
    for name in pack.corpora:
        tokens.append((yield After(f"{name} tokens")))
    parts = [part for each in tokens for part in each.parts]
    key = key_of("shards", SHARDING, [each.key for each in tokens], pack.packings, manifest.shard_tokens)
    sets = _shard_sets(pack, tokens, key)
    laid_out = yield from _lay_out(manifest, pack, sets, tokens, root)
    entries = [each.entry(counts) for each, counts in zip(sets, laid_out, strict=True)]
    publisher.add(tokenizer, entries)
    scattered = {
        each.source: _scatter_tasks(root, each, entry["num_shards"], parts)
        for each, entry in zip(sets, entries, strict=True)
    }
    yield Phase("shuffle", [task for tasks in scattered.values() for task in tasks], stage=pack.stage, turn=pack.stage)
    tasks = [
        _pack_task(root, each, entry, index, [task.output for task in scattered[each.source]], tokenizer["eos_id"])
        for each, entry in zip(sets, entries, strict=True)
        for index in range(entry["num_shards"])
    ]
    infos = iter((yield Phase("pack", tasks, stage=pack.stage, turn=pack.stage + 1)))
    return [{**entry, **_files(entry, [next(infos) for _ in range(entry["num_shards"])])} for entry in entries]


def _lay_out(manifest: Manifest, pack: _Pack, sets: "Sequence[_ShardSet]", tokens: list[Tokens], root: str) -> Job:
    """Where every piece will lie; returns the counts of each set. What is packed jointly is one task."""
    method, seq_len, *_ = pack.packings[0]
    arguments = {
        "num_parts": sum(len(each.parts) for each in tokens),
        "method": method,
        "seq_len": seq_len,
        "shard_tokens": manifest.shard_tokens,
    }
    groups = [list(sets)] if len(pack.corpora) > 1 else [[each] for each in sets]
    tasks = [
        Task(
            sharding.lay_out,
            group[0].layout_path(root),
            {"members": [each.member(root) for each in group], **arguments},
            tuple(path for each in group for path in (each.layout_path(root), each.index_path(root))),
        )
        for group in groups
    ]
    results = yield Phase("lay out", tasks)
    return [counts for result in results for counts in result["members"]]


class _ShardSet(NamedTuple):
    """The shards of one bucket of a corpus in one packing."""

    corpus: str
    bucket: str
    packing: Packing
    key: str
    slice: int  # of the parts
    first_part: int  # among the parts of all corpora packed with it
    parts: list[str]
    sources: list[str]  # what its rows may hold: those of all sets that are laid out with it

    @property
    def source(self) -> str:
        return f"{self.corpus}/{self.bucket}"

    @property
    def folder(self) -> str:
        """Of the shards, relative to the root."""
        return store.join(
            "shards", self.corpus, self.bucket, f"{self.packing.method}-{self.packing.seq_len}-{self.key[:12]}"
        )

    def place(self, root: str) -> str:
        """Of what lies between tokens and shards."""
        return folder(root, self.corpus, "shuffle", key_of(self.key, self.bucket))

    def layout_path(self, root: str) -> str:
        return store.join(self.place(root), "layout.arrow")

    def index_path(self, root: str) -> str:
        return store.join(root, self.folder, "index.arrow")

    def member(self, root: str) -> sharding.Member:
        return sharding.Member(
            source=self.source,
            bucket=self.slice,
            first_part=self.first_part,
            lengths=[sharding.lengths_path(part) for part in self.parts],
            related=self.packing.related,
            fills=self.corpus in self.packing.fill,
            layout_path=self.layout_path(root),
            index_path=self.index_path(root),
        )

    def entry(self, counts: dict[str, Any]) -> dict[str, Any]:
        """This set in the lock, as far as the layout knows it."""
        return {
            "corpus": self.corpus,
            "bucket": self.bucket,
            "packing": self.packing.to_json(),
            "key": self.key,
            "folder": self.folder,
            **counts,
        }


def _shard_sets(pack: _Pack, tokens: list[Tokens], key: str) -> list[_ShardSet]:
    sets: list[_ShardSet] = []
    first_part = 0
    sources = [f"{name}/{bucket}" for name, each in zip(pack.corpora, tokens, strict=True) for bucket in each.buckets]
    for name, packing, each in zip(pack.corpora, pack.packings, tokens, strict=True):
        for index, bucket in enumerate(each.buckets):
            known = sources if packing.joint else [f"{name}/{bucket}"]
            sets.append(_ShardSet(name, bucket, packing, key, index, first_part, each.parts, known))
        first_part += len(each.parts)
    return sets


def _scatter_tasks(root: str, each: _ShardSet, num_shards: int, parts: list[str]) -> list[Task]:
    """One task per part whose documents may lie in the set: those of its corpus, and of the corpora that fill its gaps."""
    own = range(each.first_part, each.first_part + len(each.parts))
    fills = each.corpus in each.packing.fill
    numbers = own if fills or not each.packing.joint else range(len(parts))
    if not num_shards:
        return []
    return [
        Task(
            sharding.scatter_part,
            store.join(each.place(root), f"scatter-{number:05d}.arrow"),
            {"tokens": parts[number], "layout": each.layout_path(root), "part": number, "num_shards": num_shards},
        )
        for number in numbers
    ]


def _pack_task(
    root: str, each: _ShardSet, entry: dict[str, Any], index: int, exchanged: list[str], eos_id: int
) -> Task:
    prefix = store.join(root, shard_path(entry["folder"], index))
    rows, num_shards = entry["rows"], entry["num_shards"]
    arguments = {
        "exchanged": exchanged,
        "shard": index,
        "rows": (index + 1) * rows // num_shards - index * rows // num_shards,
        "seq_len": each.packing.seq_len,
        "sources": each.sources,
        "eos_id": eos_id,
    }
    return Task(sharding.pack_shard, prefix, arguments, (prefix + ".tokens.arrow", prefix + ".docs.arrow"))


def _files(entry: dict[str, Any], infos: list[dict[str, Any]]) -> dict[str, Any]:
    """What packing adds to an entry of the lock."""
    kept = ("rows", "tokens", "bytes", "sha256_tokens", "sha256_docs")
    return {
        "files": [
            {"path": shard_path(entry["folder"], index), **{field: info[field] for field in kept}}
            for index, info in enumerate(infos)
        ]
    }
