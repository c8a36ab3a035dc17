"""What a build folder says about itself: lock.json and plan.json as plain dataclasses, or curated.json where there are only corpora.

Only the parts the report shows are kept. Costs: two small files. Not covered: files of another format version are refused, not guessed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from curriculum import curating, lock
from curriculum.plan import PLAN, Plan, PlanError
from curriculum.report.formatting import shown
from datapipe import store


class ReportError(Exception):
    """The build folder cannot be reported on: which file, why, and what to run."""


@dataclass(frozen=True)
class StepCount:
    """What one step did to a corpus."""

    step: str
    key: str
    documents_in: int
    documents_out: int
    chars_in: int
    chars_out: int
    reasons: Mapping[str, int]
    about: Mapping[str, Any]  # what a step that needs all documents found out
    paths: Mapping[str, tuple[int, int]]  # documents in and out by entry of the source's `paths`, where it has several

    @property
    def dropped(self) -> int:
        return sum(self.reasons.values())

    @property
    def added(self) -> int:
        """Documents that the step made (a generator writes more than it reads)."""
        return max(0, self.documents_out + self.dropped - self.documents_in)

    @property
    def worst_first(self) -> list[tuple[str, int]]:
        return sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True)
class Bucket:
    """One quality bucket; `epochs` is the weight that the manifest gives it."""

    name: str
    documents: int
    chars: int
    tokens: int  # 0 in a corpus that is not tokenised
    epochs: float | None


@dataclass(frozen=True)
class Cluster:
    """The document that stands for a cluster of documents that are alike."""

    id: str
    origin: str
    size: int
    text: str  # its beginning
    members: tuple[tuple[str, str], ...]  # origin and beginning of some that were dropped


@dataclass(frozen=True)
class Corpus:
    """`edges_tokens` has one entry more than `lengths` (or as many: then the last bin is open)."""

    name: str
    kind: str
    source_files: int
    source_bytes: int
    steps: tuple[StepCount, ...]
    buckets: tuple[Bucket, ...]  # most repeated first
    languages: Mapping[str, int]
    licenses: Mapping[str, int]
    edges_tokens: tuple[float, ...]
    lengths: tuple[int, ...]  # documents per bin
    clusters: tuple[Cluster, ...]  # the largest
    fim: Mapping[
        str, int
    ]  # documents rearranged for fill-in-the-middle, by form; empty where the corpus does not ask for it

    @property
    def documents(self) -> int:
        return sum(bucket.documents for bucket in self.buckets)

    @property
    def chars(self) -> int:
        return sum(bucket.chars for bucket in self.buckets)

    @property
    def tokens(self) -> int:
        return sum(bucket.tokens for bucket in self.buckets)

    @property
    def is_tokenised(self) -> bool:
        """False for what `curate` left: documents, and nothing counted in tokens."""
        return self.tokens > 0

    @property
    def documents_read(self) -> int:
        """Documents that the reader emitted, broken records included."""
        return self.steps[0].documents_in if self.steps else 0

    @property
    def chars_per_token(self) -> float | None:
        return self.chars / self.tokens if self.tokens else None


class Lengths(NamedTuple):
    """Tokens of a shard set by length: of the documents they are from, before packing, and of the pieces in its rows."""

    edges: Sequence[int]
    documents: Sequence[int]
    pieces: Sequence[int]


@dataclass(frozen=True)
class ShardSet:
    """The packed rows of one bucket in one packing; `tokens` does not count `padding`."""

    corpus: str
    bucket: str
    method: str
    seq_len: int
    related: bool  # whether related documents (the files of a repository) share rows
    fill: tuple[str, ...]  # corpora whose short documents fill gaps of the rows they are packed with
    folder: str
    rows: int
    tokens: int
    tokens_by_source: Mapping[str, int]  # its own and those of fillers
    padding: int
    documents: int
    pieces: int
    cut_documents: int
    cut_tokens: int  # all tokens of the documents that are cut
    avoidable_cuts: int  # documents that are cut though a row would have held them
    lengths: Lengths
    fim: int  # documents that are rearranged for fill-in-the-middle
    fim_cut: int  # of these
    num_files: int
    size_bytes: int

    @property
    def source(self) -> str:
        return f"{self.corpus}/{self.bucket}"

    @property
    def filled(self) -> int:
        """Tokens of other sources in its rows."""
        return self.tokens - self.tokens_by_source.get(self.source, 0)

    @property
    def packing(self) -> str:
        """How it is packed, in words: `best_fit, together, gaps filled by qa`."""
        filled = f"gaps filled by {' and '.join(self.fill)}" if self.fill and self.corpus not in self.fill else ""
        fills = "fills gaps of others" if self.corpus in self.fill else ""
        return ", ".join(filter(None, (self.method, "together" if self.related else "", filled, fills)))


@dataclass(frozen=True)
class Lock:
    """What was measured; of corpora that were only curated `sha256` is empty, and so is what a manifest of stages says."""

    name: str
    version: str
    seed: int
    manifest: str
    sha256: str  # of the file
    tokenizer: Mapping[str, Any]
    corpora: tuple[Corpus, ...]
    shards: tuple[ShardSet, ...]

    @cached_property
    def shards_in(self) -> Mapping[str, ShardSet]:
        """The shard sets by their folder, which a source of the plan names."""
        return {shards.folder: shards for shards in self.shards}


def read_lock(root: str) -> Lock | None:
    """The lock of the build at `root`, or None while there is none. Raises StoreError for one that cannot be read."""
    if not store.exists(store.join(root, lock.LOCK)):
        return None
    data, sha256 = lock.read_lock(root)
    return Lock(
        name=data["name"],
        version=str(data["version"]),
        seed=data["seed"],
        manifest=data["manifest"],
        sha256=sha256,
        tokenizer=data["tokenizer"],
        corpora=tuple(_corpus(name, corpus) for name, corpus in data["corpora"].items()),
        shards=tuple(_shard_set(shards) for shards in data["shards"]),
    )


def read_curated(root: str) -> Lock | None:
    """What `curate` left at `root`, or None. Raises ReportError for another format."""
    path = store.join(root, curating.CURATED)
    if not store.exists(path):
        return None
    data = json.loads(store.read_bytes(path))
    if data.get("format") != curating.FORMAT:
        raise ReportError(f"{path} has another format: run `tokenloom curate` again with this version")
    uncounted: dict[str, Any] = {"length_histogram": {"edges": [], "counts": []}}
    corpora = tuple(_corpus(name, {**uncounted, **corpus}) for name, corpus in data["corpora"].items())
    return Lock("Curated corpora", "", 0, manifest="", sha256="", tokenizer={}, corpora=corpora, shards=())


def read_plan(root: str) -> Plan | None:
    """The plan of the build at `root`, or None while there is none. Raises ReportError for another format."""
    path = store.join(root, PLAN)
    if not store.exists(path):
        return None
    try:
        return Plan.from_json(store.read_bytes(path).decode())
    except PlanError as error:
        raise ReportError(f"{path}: {error}") from error


def corpus_names(lock: Lock | None, plan: Plan | None) -> list[str]:
    """Every corpus of lock and plan once, in the order of the lock: a corpus keeps its colour through the page."""
    names: list[str] = [corpus.name for corpus in lock.corpora] if lock else []
    names += [source.corpus for stage in plan.stages for source in stage.sources] if plan else []
    return list(dict.fromkeys(names))


def bucket_order(lock: Lock | None, sources: Iterable[str]) -> list[str]:
    """Source names ("corpus/bucket") in the order of the lock; those that it does not know come last, as they are given."""
    known = [f"{corpus.name}/{bucket.name}" for corpus in (lock.corpora if lock else ()) for bucket in corpus.buckets]
    given = list(dict.fromkeys(sources))
    rank = {name: position for position, name in enumerate(dict.fromkeys([*known, *given]))}
    return sorted(given, key=lambda name: rank[name])


def _corpus(name: str, data: dict[str, Any]) -> Corpus:
    names = ("documents", "chars", "tokens", "epochs")
    counted = {bucket: {"tokens": 0, **counts} for bucket, counts in data["buckets"].items()}
    buckets = [Bucket(bucket, **{key: counts[key] for key in names}) for bucket, counts in counted.items()]
    return Corpus(
        name=name,
        kind=data["kind"],
        source_files=data["source"]["files"],
        source_bytes=data["source"]["bytes"],
        steps=tuple(_step(step) for step in data["steps"]),
        buckets=tuple(sorted(buckets, key=lambda bucket: (-(bucket.epochs or 0.0), bucket.name))),
        languages=data["languages"],
        licenses=data["licenses"],
        edges_tokens=tuple(data["length_histogram"]["edges"]),
        lengths=tuple(data["length_histogram"]["counts"]),
        fim=data["fim"]["documents"] if "fim" in data else {},
        clusters=tuple(
            Cluster(
                id=row["id"],
                origin=shown(row["origin"]),
                size=row["cluster_size"],
                text=shown(row["text"]),
                members=tuple((shown(member["origin"]), shown(member["text"])) for member in row["members"]),
            )
            for row in data["clusters"]
        ),
    )


def _step(data: dict[str, Any]) -> StepCount:
    names = ("step", "key", "documents_in", "documents_out", "chars_in", "chars_out", "reasons", "about")
    counts = data.get("paths", {}).items()
    paths = {shown(entry): (count["documents_in"], count["documents_out"]) for entry, count in counts}
    return StepCount(**{name: data[name] for name in names}, paths=paths)


def _shard_set(data: dict[str, Any]) -> ShardSet:
    names = ("corpus", "bucket", "folder", "rows", "tokens", "tokens_by_source", "padding", "documents", "pieces")
    cuts = ("cut_documents", "cut_tokens", "avoidable_cuts")
    packing, rearranged = data["packing"], data.get("fim", {})
    return ShardSet(
        method=packing["method"],
        seq_len=packing["seq_len"],
        related=packing["related"],
        fill=tuple(packing["fill"]),
        lengths=Lengths(**data["length_histogram"]),
        fim=rearranged.get("documents", 0),
        fim_cut=rearranged.get("cut_documents", 0),
        num_files=len(data["files"]),
        size_bytes=sum(file["bytes"] for file in data["files"]),
        **{name: data[name] for name in (*names, *cuts)},
    )
