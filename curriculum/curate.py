"""One corpus from its source to kept documents: segments of steps, with an exchange at every step that needs all documents.

Every folder is named by a key that hashes the step, its version, its parameters and the key of its input, so that an edited manifest
redoes what the edit touches and nothing else.
"""

import copy
import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.steps import CorpusStep, RoutedStep, load
from curriculum import counting, generating, routing, segment, verdicts
from curriculum.corpus import Corpus, StepSpec
from curriculum.document import Document, Where
from curriculum.identity import files_of, identity, resolved
from curriculum.imported import find_pairs
from curriculum.segment import Again, Bound, BuildError, Emit, Generated, Judged
from curriculum.tally import REJECTS
from curriculum.waves import After, Job, Phase
from datapipe import readers, store
from datapipe.engine import Task
from datapipe.readers import Split
from synth.render import DEFAULT

FORMAT = 4  # of the parts; raise it when readers or the segment itself write something else for the same input
RECEIVER_BYTES = 256 * 2**20  # an exchange gets one receiver for so much input


@dataclasses.dataclass(frozen=True)
class Curated:
    """A finished corpus: where its documents lie and what was counted on the way."""

    corpus: Corpus
    key: str
    parts: list[Any]  # paths of Parquet files; of an imported corpus, slices of its pairs of files
    source: dict[str, Any]
    steps: list[dict[str, Any]]
    buckets: dict[str, dict[str, int]]  # bucket -> documents, chars
    languages: dict[str, int]
    licenses: dict[str, int]
    clusters: list[dict[str, Any]]  # the largest: id, origin, cluster_size, begin of the text, `members` that went

    @property
    def chars(self) -> int:
        return sum(bucket["chars"] for bucket in self.buckets.values())


def key_of(*parts: Any) -> str:
    """Identity of something built from `parts` (JSON values): 64 hex digits. The order of keys counts: buckets are ranked in it."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def folder(root: str, corpus: str, step: str, key: str) -> str:
    """Where a step of a corpus keeps its output."""
    return store.join(root, "corpora", corpus, f"{step.replace(':', '.')}-{key[:12]}")


def curate(corpus: Corpus, root: str, data: str) -> Job:
    """The job of one corpus; returns its `Curated`. `data` is the folder that relative paths of its source start from.

    Raises ManifestError for files that its steps name and that cannot be used, before it asks for anything to be done.
    """
    if corpus.is_imported:
        return _imported(corpus, data)
    _check_files(corpus, data)
    start = yield from _generated(corpus, root, data) if corpus.generated_from else _read(corpus, data)
    run = _Run(corpus, root, data, start)
    for steps, closing in _segments(corpus):
        yield from run.segment(steps, closing)
    return run.curated()


class _Start(NamedTuple):
    """Inputs of the first segment, one per partition, what identifies them, and the entry of `paths` of each, where there are such."""

    inputs: list[Any]
    key: str
    files: int
    size_bytes: int
    paths: Sequence[str] = ()
    about: Mapping[str, Any] = MappingProxyType({})  # what the report shows of how they came to be


def _imported(corpus: Corpus, data: str) -> Curated:
    """A corpus that comes as tokens: nothing to do but to name its parts."""
    pairs = find_pairs(corpus, data)
    if not pairs.documents:
        raise BuildError(f"corpus {corpus.name}: no document is in {', '.join(corpus.source['paths'])}.")
    key = key_of("import", FORMAT, pairs.identity)
    counts = {"documents_in": pairs.documents, "documents_out": pairs.documents, "chars_in": 0, "chars_out": 0}
    step = {"corpus": corpus.name, "step": "import", "key": key, "kind": "map", **counts, "reasons": {}}
    return Curated(
        corpus=corpus,
        key=key,
        parts=pairs.parts,
        source={"files": pairs.num_files, "bytes": pairs.size_bytes, "key": key},
        steps=[step],
        buckets={"all": {"documents": pairs.documents, "chars": 0}},
        languages={},
        licenses={},
        clusters=[],
    )


def _read(corpus: Corpus, data: str) -> Job:
    splits = readers.list_splits({**corpus.source, "kind": corpus.kind}, data)
    files = {entry.name for split in splits for entry in split.inputs}
    size_bytes = sum(entry.size_bytes for split in splits for entry in split.inputs)
    key, paths = key_of("read", FORMAT, [split.identity() for split in splits]), [split.path for split in splits]
    return _Start(splits, key, len(files), size_bytes, paths)
    yield  # a job, though it has nothing to wait for


def _generated(corpus: Corpus, root: str, data: str) -> Job:
    """Candidates from every part of the corpora that the generator reads, shuffled to receivers that make documents of them."""
    sources: list[Curated] = []
    for name in corpus.generated_from:
        sources.append((yield After(name)))
    split_bytes = corpus.source["split_bytes"]
    asks_for = corpus.asks_for
    keyed = {name: value for name, value in identity(corpus.generator, data).items() if name not in asks_for}
    generator = corpus.generator._replace(params={**corpus.generator.params, **files_of(corpus.generator, data)})
    template = () if corpus.template == DEFAULT else (corpus.template,)
    key = _step_key(generator, keyed, *(source.key for source in sources), FORMAT, split_bytes, *template)
    emit_asks = "teacher" in asks_for and "teacher" in inspect.signature(load(generator.step).emit).parameters
    if emit_asks:
        key = key_of(key, asks_for["teacher"])
    chars = sum(source.chars for source in sources)
    num_receivers = max(1, -(-chars // split_bytes))
    place, cache = folder(root, corpus.name, "candidates", key), store.join(root, verdicts.ANSWERS)
    parts = [part for source in sources for part in source.parts]
    exchanged = [store.join(place, f"exchange-{index:05d}.arrow") for index in range(len(parts))]
    arguments = {"generator": generator, "num_receivers": num_receivers, "cache": cache}
    yield Phase(
        "candidates",
        [
            Task(generating.emit_candidates, path, {"part": part, **arguments}, waits=emit_asks)
            for part, path in zip(parts, exchanged, strict=True)
        ],
    )
    if not asks_for:
        inputs = [Generated(generator, exchanged, receiver, corpus.template) for receiver in range(num_receivers)]
        return _Start(inputs, key, len(parts), chars)
    key = key_of(key, asks_for)
    place = folder(root, corpus.name, "made", key)
    making = generating.Making(generator, num_receivers, asks_for.get("accept", 0), place, cache, corpus.template)
    made: generating.Made = yield from generating.make(making, exchanged)
    return _Start(made.inputs, key, len(parts), chars, about=made.about)


def _segments(corpus: Corpus) -> Iterator[tuple[list[StepSpec], StepSpec | None]]:
    """The steps between exchanges: map-like steps, and the corpus step whose exchange closes the segment."""
    run: list[StepSpec] = []
    for spec in corpus.steps:
        if _has_exchange(spec):
            yield run, spec
            run = []
        else:
            run.append(spec)
    yield run, None


def _check_files(corpus: Corpus, data: str) -> None:
    """ManifestError for every file of the data that a step or a generator names and cannot use: indexes of earlier corpora, labels, logs.

    Where they lie is known when there is a folder of data, not yet when a manifest is read. Files of this machine (models, prompts, lists)
    are looked for then, by the steps' own checks.
    """
    document = copy.copy(corpus.document)
    if document is None:
        return
    document.problems = []
    for spec in corpus.steps:
        for number, path in enumerate(spec.against):
            try:
                routing.open_index(resolved(path, data), spec.bound)
            except (ValueError, store.StoreError) as error:
                said = " ".join(str(error).removeprefix(f"{spec.name}: ").split())
                document.problem((*spec.where, "against", number), f"{said}.")
        if file := verdicts.labels_file(spec.bound, data):
            _check_file(document, (*spec.where, "labels", "file"), file)
    if corpus.generated_from:
        for name, file in files_of(corpus.generator, data).items():
            _check_file(document, ("source", name), file)
    document.check()


def _check_file(document: Document, where: Where, file: str) -> None:
    try:
        store.open_input(file).close()
    except store.StoreError as error:
        document.problem(where, f"{error.path}: {error.answer}: {error.remedy}.")


def _open_indexes(corpus: Corpus, spec: StepSpec, data: str) -> list[routing.Index]:
    try:
        return [routing.open_index(resolved(path, data), spec.bound) for path in spec.against]
    except ValueError as error:
        raise BuildError(f"corpus {corpus.name}: {error}.") from None


def _has_exchange(spec: StepSpec) -> bool:
    """Whether the documents have to be asked. Labels of a file come with their texts."""
    if spec.step.kind != "corpus":
        return False
    loaded: CorpusStep | RoutedStep = load(spec.step)
    reads_labels = isinstance(loaded, CorpusStep) and loaded.is_labelled and bool(spec.params.get("labels"))
    return loaded.emit is not None and not reads_labels


class _Run:
    """A corpus on its way through its segments."""

    def __init__(self, corpus: Corpus, root: str, data: str, start: _Start):
        self.corpus, self.root, self.data, self.start = corpus, root, data, start
        self.key, self.inputs = start.key, start.inputs
        self.outputs: list[str] = []  # of the last segment
        self.num_receivers = max(1, start.size_bytes // RECEIVER_BYTES)
        self.opening: Judged | None = None  # the corpus step that closed the last segment, to be applied in this one
        first = "generate" if corpus.generated_from else "read"
        self.trail: list[_Trailed] = [_Trailed(first, start.key, "map", corpus.max_dropped, start.about)]
        self.counted: list[dict[str, Any]] = []
        self.lost: list[dict[str, Any]] = []  # members of large clusters that were dropped
        self.results: list[dict[str, Any]] = []

    def segment(self, specs: list[StepSpec], closing: StepSpec | None) -> Job:
        """Run one segment over all partitions, count it, and settle the exchange that closes it."""
        steps: list[Bound | Judged] = [self.opening] if self.opening else []
        self.opening = None
        for spec in specs:
            if spec.step.kind == "corpus":
                steps.append((yield from self._verdict(spec, None)))
                continue
            steps.append(self._bound(spec))
            self.key = self._key_of(spec.bound)
            self.trail.append(_Trailed(spec.name, self.key, spec.step.kind, spec.max_dropped))
        place = folder(self.root, self.corpus.name, self.trail[-1].name, self.trail[-1].key)
        exchanged = self._exchange_files(closing.bound) if closing else []
        again = [_again(source, steps, index) for index, source in enumerate(self.inputs)] if closing else []
        is_written = not again or None in again
        tasks = [
            Task(
                segment.run_segment,
                store.join(place, f"{'part' if is_written else 'counted'}-{index:05d}.parquet"),
                {
                    "corpus": self.corpus.name,
                    "source": source,
                    "steps": [_of_part(step, index) for step in steps],
                    "emit": Emit(closing.bound, self.num_receivers, exchanged[index], index) if closing else None,
                    "write": is_written,
                    "num_rejects": counting.rejects_per_part(len(self.inputs)),
                },
                tuple(exchanged[index : index + 1]),
            )
            for index, source in enumerate(self.inputs)
        ]
        self.results = yield Phase(self.trail[-1].name, tasks)
        self.outputs = [task.output for task in tasks]
        self.inputs = self.outputs if is_written else again
        self._count()
        if closing and isinstance(load(closing.step), RoutedStep):
            yield from self._route(closing, exchanged)
        elif closing:
            yield from self._settle(closing, exchanged)

    def _bound(self, spec: StepSpec) -> Bound:
        source = {**self.corpus.source, "kind": self.corpus.kind}
        pages = functools.partial(segment.pages_of, source, self.data) if spec.needs_pages else None
        return spec.bound._replace(pages=pages)

    def _exchange_files(self, step: Bound) -> list[str]:
        place = folder(self.root, self.corpus.name, step.name, self._key_of(step))
        return [store.join(place, f"exchange-{index:05d}.arrow") for index in range(len(self.inputs))]

    def _key_of(self, step: Bound, *others: str) -> str:
        """The key of a step that comes next."""
        return _step_key(step, identity(step, self.data), self.key, *others)

    def _route(self, spec: StepSpec, exchanged: list[str]) -> Job:
        """From an exchange to what was found about single documents."""
        against = _open_indexes(self.corpus, spec, self.data)
        self.key = self._key_of(spec.bound, *(index.key for index in against))
        place = folder(self.root, self.corpus.name, spec.name, self.key)
        sent = routing.Exchange(exchanged, self.num_receivers)
        found = yield from routing.route(spec.bound, sent, place, self.key, spec.index, against)
        self.opening = Judged(spec.bound, found.paths)
        self.trail.append(_Trailed(spec.name, self.key, "corpus", spec.max_dropped, found.about))

    def _settle(self, spec: StepSpec, exchanged: list[str]) -> Job:
        """From an exchange to a verdict over the whole corpus."""
        self.opening = yield from self._verdict(spec, routing.Exchange(exchanged, self.num_receivers))

    def _verdict(self, spec: StepSpec, sent: routing.Exchange | None) -> Job:
        """What a step learns from its exchange, or from a reference alone."""
        step, reference, about = spec.bound, [], {}
        self.key = self._key_of(step)
        if "reference" in step.params:
            other: Curated = yield After(step.params["reference"])
            self.key, reference = key_of(self.key, other.key), other.parts
            unread = other.steps[0]["documents_in"] - other.steps[0]["documents_out"]
            kept = other.steps[-1]["documents_out"]
            about = {"reference": {"corpus": other.corpus.name, "documents": kept, "unreadable": unread}}
        place = folder(self.root, self.corpus.name, step.name, self.key)
        verdict = yield from verdicts.settle(step, sent, place, reference, self.root, self.data)
        self.trail.append(_Trailed(spec.name, self.key, "corpus", spec.max_dropped, {**about, **verdict.about}))
        return Judged(step, [verdict.path])

    def _count(self) -> None:
        """Add up the partitions of the segment that just ended: one `_step.json` and one sample of rejects per step."""
        for offset, trailed in enumerate(self.trail[len(self.counted) :]):
            parts = [result["steps"][offset] for result in self.results]
            step: dict[str, Any] = {"corpus": self.corpus.name, "step": trailed.name, "key": trailed.key}
            step |= {"kind": trailed.kind, "about": {**trailed.about, **counting.add(part["about"] for part in parts)}}
            self.counted.append(step | counting.step_counts(parts, self.start.paths))
        self.lost += [row for result in self.results for row in result["members"]]
        labels = [step["step"] for step in self.results[0]["steps"]]
        new = self.counted[-len(labels) :]
        self._write_counts(dict(zip(labels, new, strict=True)))
        for step, trailed in zip(new, self.trail[-len(labels) :], strict=True):
            counting.stop_at_limit(
                step, trailed.max_dropped, folder(self.root, self.corpus.name, step["step"], step["key"])
            )

    def _write_counts(self, new: Mapping[str, dict[str, Any]]) -> None:
        """`new`: steps by what their parts call them."""
        places = {label: folder(self.root, self.corpus.name, step["step"], step["key"]) for label, step in new.items()}
        if store.exists(store.join(list(places.values())[-1], "_step.json")):
            return
        rejects = counting.rejects(self.outputs)
        for label, step in new.items():
            place = places[label]
            rows = [row for row in rejects if row["step"] == label]
            if rows:
                with store.output_file(store.join(place, "rejects.parquet")) as sink:
                    pq.write_table(pa.Table.from_pylist(rows, schema=REJECTS), sink, compression="zstd")
            store.write_bytes(
                store.join(place, "_step.json"), (json.dumps(step, sort_keys=True, indent=1) + "\n").encode()
            )

    def curated(self) -> Curated:
        """The finished corpus; BuildError when nothing is left of it."""
        if not self.counted[-1]["documents_out"]:
            places = [folder(self.root, self.corpus.name, step["step"], step["key"]) for step in self.counted]
            raise BuildError(counting.nothing_left(self.corpus.name, self.counted, places))
        buckets = {
            bucket: counting.add(r["buckets"].get(bucket, {}) for r in self.results)
            for bucket in self.corpus.bucket_epochs
        }
        return Curated(
            corpus=self.corpus,
            key=self.key,
            parts=self.inputs,
            source={"files": self.start.files, "bytes": self.start.size_bytes, "key": self.start.key},
            steps=self.counted,
            buckets={bucket: counts for bucket, counts in buckets.items() if counts},
            languages=counting.add(result["languages"] for result in self.results),
            licenses=counting.add(result["licenses"] for result in self.results),
            clusters=counting.clusters((row for result in self.results for row in result["clusters"]), self.lost),
        )


class _Trailed(NamedTuple):
    """A step that the corpus has come to."""

    name: str
    key: str
    kind: str
    max_dropped: float = 1.0
    about: Mapping[str, Any] = MappingProxyType({})  # what it found out, for the report


def _again(source: Any, steps: Sequence[Bound | Judged], part: int) -> Again | None:
    """What comes out of `steps`, to be made anew instead of written; None where that costs more.

    A source may be read twice, and what was found about the documents of a part may be told them as often as it takes, unless that means
    to write their texts anew.
    """
    if isinstance(source, Generated) or not all(map(_is_mark, steps)):
        return None
    before = source if isinstance(source, Again) else Again(source)
    if steps and isinstance(before.source, Split):
        return None
    return before._replace(steps=[*before.steps, *(_of_part(step, part) for step in steps)])


def _is_mark(step: Bound | Judged) -> bool:
    """Whether the step says of documents what was found about them, and leaves their texts alone."""
    loaded = load(step.step.step) if isinstance(step, Judged) else None
    return isinstance(loaded, RoutedStep) and not loaded.rewrites


def _of_part(step: Bound | Judged, part: int) -> Bound | Judged:
    return step._replace(part=part) if isinstance(step, Judged) else step


def _step_key(step: Bound, params: dict[str, Any], *inputs: Any) -> str:
    return key_of(step.name, step.step.version, params, *inputs)
