"""A corpus as the manifest describes it: where its documents come from and which steps judge them.

Steps and generators are checked against the signatures of the functions behind them, before any data is touched.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from curation.quality import thresholds, upsample
from curation.steps import STEPS as CURATION_STEPS
from curation.steps import Kind, RoutedStep, Step, load
from curriculum.document import Document, ManifestError, Where, shown
from curriculum.fields import Fields, did_you_mean
from curriculum.fill_in import load_fim
from curriculum.listed import filled_in
from curriculum.segment import Bound
from curriculum.step_columns import check_columns, check_generators, check_order
from datapipe.fim import Fim
from datapipe.readers import READERS, check_source
from datapipe.schema import KINDS
from synth import GENERATORS
from synth.labels import settings_of
from synth.render import DEFAULT
from synth.steps import STEPS as SYNTH_STEPS
from synth.teacher import Settings

STEPS = {**CURATION_STEPS, **SYNTH_STEPS}
MAX_DROPPED = 0.95  # of a step that compares documents with each other, where the manifest says nothing
_ENGINE_SETTINGS = {False: ("max_dropped",), True: ("max_dropped", "index", "against")}  # by whether a step is routed
PAGES = "pages"  # parameter of a map that the engine gives
_BUCKETS = {"bucket.rank": upsample, "bucket.threshold": thresholds}  # which say what their labels are
TOKEN_FORMATS = ("megatron",)  # of corpora that come as tokens


@dataclasses.dataclass(frozen=True)
class StepSpec:
    """One line under `steps`: the step, its parameters, and its version."""

    corpus: str
    name: str
    step: Step
    params: dict[str, Any]
    max_dropped: float = 1.0  # share of its documents from which on the build stops
    index: bool = False  # write what it compared, for later corpora
    against: tuple[str, ...] = ()  # indexes of earlier corpora
    where: Where = dataclasses.field(default=(), compare=False)  # in the corpus file

    @property
    def bound(self) -> Bound:
        return Bound(self.name, self.step, self.params, self.corpus)

    @property
    def needs_pages(self) -> bool:
        """Whether the step wants the documents as they were read."""
        return self.step.kind == "map" and PAGES in inspect.signature(load(self.step)).parameters


@dataclasses.dataclass(frozen=True)
class Corpus:
    name: str
    kind: str
    source: dict[str, Any]  # {reader, paths, ...}, {generator, from, ...} or {tokens, paths}
    steps: tuple[StepSpec, ...]
    declared_tokens: int | None  # stands in for measured tokens in a plan made without data
    max_dropped: float = 1.0  # share of the documents read from which on the build stops for what is wrong with them
    fim: Fim | None = None  # how documents are rearranged when they are tokenised
    template: str = DEFAULT  # chat template of the conversations that a generator makes
    columns: frozenset[str] | None = None  # that its steps leave beside those of every document; None: any
    document: Document | None = dataclasses.field(default=None, compare=False, repr=False)  # its file

    @property
    def generated_from(self) -> tuple[str, ...]:
        """Names of the corpora that a generator reads; empty for a corpus that is read from files."""
        return tuple(self.source.get("from", ()))

    @property
    def generator(self) -> Bound:
        """Of a corpus that is generated."""
        own = ("generator", "from", "split_bytes")
        params = {name: value for name, value in self.source.items() if name not in own}
        return Bound(self.source["generator"], GENERATORS[self.source["generator"]], params, self.name)

    @property
    def asks_for(self) -> dict[str, Any]:
        """How many documents a generator shall make and what its teacher's answers depend on, as far as the manifest says so."""
        given = {"accept": self.source["accept"]} if self.source.get("accept") else {}
        teacher = self.source.get("teacher") if self.generated_from else None
        return {**given, **({"teacher": Settings.of(teacher).identity} if teacher else {})}

    @property
    def is_imported(self) -> bool:
        """Whether it comes as tokens instead of text."""
        return "tokens" in self.source

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the corpora whose documents train this one's scorers."""
        return tuple(step.params["reference"] for step in self.steps if "reference" in step.params)

    @property
    def bucket_epochs(self) -> dict[str, float]:
        """Epochs per bucket, best first; a corpus without ranking is one bucket, `all`."""
        for step in self.steps:
            if buckets := _BUCKETS.get(step.name):
                return buckets.bucket_epochs(**_taken(buckets.bucket_epochs, step.params))
        return {"all": 1.0}

    @property
    def bucket_shares(self) -> dict[str, float]:
        """Share of the characters in each bucket, as far as it can be known before they are ranked."""
        for step in self.steps:
            if buckets := _BUCKETS.get(step.name):
                return buckets.expected_shares(**_taken(buckets.expected_shares, step.params))
        return {"all": 1.0}


def _taken(function: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `params` that the function takes."""
    return {name: value for name, value in params.items() if name in inspect.signature(function).parameters}


def load_corpora(fields: Fields, path: Path) -> tuple[dict[str, Corpus], dict[str, Document]]:
    entries = fields.get(("corpora",))
    corpora: dict[str, Corpus] = {}
    files: dict[str, Document] = {}
    if not isinstance(entries, Mapping) or not entries:
        fields.document.problem(("corpora",), "names no corpus.", "Write `corpora: {web: corpora/web.yaml}`.")
        return corpora, files
    for name, file in entries.items():
        location = path.parent / str(file)
        if not location.is_file():
            fields.document.problem(("corpora", name), f"{file}: no such file beside the manifest.")
            continue
        try:
            files[name] = Document(location, shown(location))
        except ManifestError as error:
            fields.document.problems.extend(error.problems)
            continue
        corpora[name] = _load_corpus(name, Fields(files[name]), set(entries))
    _refuse_cycles(corpora, fields.document)
    _refuse_texts_of_imported(corpora, files)
    check_generators(corpora, files)
    return corpora, files


def load_corpus_files(paths: Sequence[Path]) -> dict[str, Corpus]:
    """Corpora from files of their own, each named by its file's stem. Raises ManifestError with every problem found."""
    documents = {path.stem: Document(path, shown(path)) for path in paths}
    if len(documents) < len(paths):
        raise ManifestError([f"{', '.join(map(str, paths))}: two files of one name. A corpus is named by its file."])
    corpora = {name: _load_corpus(name, Fields(document), set(documents)) for name, document in documents.items()}
    _refuse_cycles(corpora, next(iter(documents.values())))
    _refuse_texts_of_imported(corpora, documents)
    check_generators(corpora, documents)
    for name, corpus in corpora.items():
        if corpus.is_imported:
            documents[name].problem(
                ("source",), "comes as tokens, and steps judge text.", "Name a corpus that is read from text."
            )
    problems = [problem for document in documents.values() for problem in document.problems]
    if problems:
        raise ManifestError(problems)
    return corpora


def _load_corpus(name: str, fields: Fields, corpora: set[str]) -> Corpus:
    document = fields.document
    fields.keys((), ("kind", "source", "steps", "fim", "declared_tokens"), required=("kind", "source"))
    kind = fields.choice(("kind",), KINDS)
    max_dropped = 1.0
    source = fields.get(("source",), {})
    if not isinstance(source, dict):
        document.problem(
            ("source",), f"is {source!r}, not a mapping.", "Write `source: {reader: warc, paths: [web/*.warc.gz]}`."
        )
        source = {}
    elif "generator" in source:
        source = _check_generator(fields, source, corpora)
    elif "tokens" in source:
        _check_imported(fields, source)
    else:
        max_dropped = _max_dropped(document, ("source",), source, max_dropped)
        _check_reader(fields, source)
    steps = fields.get(("steps",)) or []
    if not isinstance(steps, list):
        document.problem(("steps",), "is not a list.", "Write one step per line, each after `- `.")
        steps = []
    specs = [_load_step(name, fields, index, corpora) for index in range(len(steps))]
    for index, spec in enumerate(specs):
        if spec and spec.needs_pages and not _reads_again(source):
            document.problem(
                ("steps", index, spec.name),
                "wants the pages as they were read, and the source cannot give them again.",
                f"Leave it out, or read with one of {', '.join(name for name, each in READERS.items() if each.read_at)}.",
            )
    columns = check_columns(document, specs)
    check_order(document, specs)
    declared = fields.count(("declared_tokens",), 0) or None
    fim = load_fim(fields, kind, is_imported="tokens" in source)
    known = tuple(spec for spec in specs if spec)
    return Corpus(name, kind, source, known, declared, max_dropped, fim, columns=columns, document=document)


def _check_reader(fields: Fields, source: dict[str, Any]) -> None:
    for key in ("split_bytes",):
        if key in source:
            source[key] = fields.count(("source", key), 0)
    try:
        check_source(source)
    except ValueError as error:
        fields.document.problem(("source",), f"{error}")


def _reads_again(source: Mapping[str, Any]) -> bool:
    reader = READERS.get(str(source.get("reader")))
    return reader is not None and reader.read_at is not None


def _check_imported(fields: Fields, source: dict[str, Any]) -> None:
    fields.keys(("source",), ("tokens", "paths"))
    fields.choice(("source", "tokens"), TOKEN_FORMATS)
    paths = source.get("paths")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        fields.document.problem(
            ("source", "paths"), f"{paths!r} is no list of paths.", "Write for instance `paths: [web_text_document]`."
        )
    if fields.get(("steps",)):
        fields.document.problem(
            ("steps",), "steps judge text, and this corpus comes as tokens.", "Remove them, or read the text."
        )


def _check_generator(fields: Fields, source: dict[str, Any], corpora: set[str]) -> dict[str, Any]:
    document = fields.document
    generator = fields.choice(("source", "generator"), tuple(GENERATORS))
    names = source.get("from")
    if not isinstance(names, list) or not names:
        said = f"is {names!r}, no list of corpora." if "from" in source else "the key 'from' is missing."
        document.problem(("source", "from"), f"a generator reads other corpora: {said}", "Write `from: [web, books]`.")
        names = []
    for index, other in enumerate(names):
        if not _is_among(other, corpora):
            document.problem(("source", "from", index), *_no_corpus(other, corpora))
    params = {key: value for key, value in source.items() if key not in ("generator", "from", "split_bytes")}
    loaded = load(GENERATORS[generator]) if generator in GENERATORS else ()
    if "accept" in source:
        source["accept"] = params["accept"] = fields.count(("source", "accept"), 0)
    fits = _check_params(fields, ("source",), params, tuple(filter(callable, loaded)))
    _check_teacher(fields, params.get("teacher"))
    if fits:
        _check_values(fields, ("source",), params, loaded)
    names = [name for name in names if _is_among(name, corpora)]
    return {**source, "from": names, "split_bytes": fields.count(("source", "split_bytes"), 256 * 2**20)}


def _check_teacher(fields: Fields, teacher: Any) -> None:
    where: Where = ("source", "teacher")
    if teacher is None:
        return
    if not isinstance(teacher, Mapping):
        said = "Write `teacher: {base_url: http://localhost:8000/v1, model: glm-4.5-air}`."
        fields.document.problem(where, f"is {teacher!r}, no mapping.", said)
        return
    if "prompt" in teacher:
        fields.document.problem((*where, "prompt"), "a generator has prompts of its own.", "Remove the key.")
    try:
        Settings.of(teacher)
    except ValueError as error:
        fields.document.problem(where, f"{error}.")


def _load_step(corpus: str, fields: Fields, index: int, corpora: set[str]) -> StepSpec | None:
    document, entry = fields.document, fields.get(("steps", index))
    where: Where = ("steps", index)
    params: dict[str, Any] = {}
    if isinstance(entry, str):
        name = entry
    elif (
        isinstance(entry, dict) and [*map(type, entry)] == [str] and isinstance(next(iter(entry.values())), dict | None)
    ):
        name, params = next((key, dict(value or {})) for key, value in entry.items())
        where = (*where, name)
    else:
        document.problem(
            where, f"{entry!r} is not a step.", "Write `- filter.language` or `- filter.language: {keep: [en]}`."
        )
        return None
    if name not in STEPS and ":" not in name:
        document.problem(where, f"{name!r} is not a step.", did_you_mean(name, set(STEPS)))
        return None
    try:
        step = STEPS.get(name) or _foreign(name)
        loaded = load(step)
    except (ImportError, AttributeError) as error:
        document.problem(where, f"{name!r} cannot be loaded: {error}.")
        return None
    except _ForeignError as error:
        document.problem(
            where, f"{name!r} {error}.", "Write `package.module:function` of a function `f(docs, *, ...)`."
        )
        return None
    params = filled_in(document, where, params)
    settings = _engine_settings(fields, where, params, loaded)
    functions = tuple(filter(callable, loaded)) if step.kind == "corpus" else (loaded,)
    if _check_params(fields, where, params, functions, _ENGINE_SETTINGS[isinstance(loaded, RoutedStep)]):
        _check_values(fields, where, params, loaded)
    if "reference" in params and not _is_among(params["reference"], corpora):
        document.problem((*where, "reference"), *_no_corpus(params.pop("reference"), corpora))
    return StepSpec(corpus, name, step, params, where=where, **settings)


def _is_among(name: Any, corpora: set[str]) -> bool:
    return isinstance(name, str) and name in corpora


def _no_corpus(name: Any, corpora: set[str]) -> tuple[str, str]:
    """What is wrong with a name of no corpus, and what to do."""
    if not isinstance(name, str):
        return f"{name!r} is not the name of a corpus.", f"Known: {', '.join(sorted(corpora))}."
    near = get_close_matches(name, sorted(corpora), 1, cutoff=0.6)
    said = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(corpora))}."
    return (
        f"no corpus {name!r} is here.",
        f"{said} Else name its file too: under `corpora`, or in the call of `curate`.",
    )


def _max_dropped(document: Document, where: Where, params: dict[str, Any], default: float) -> float:
    """The limit that `params` sets, taken out of them."""
    share = params.pop("max_dropped", default)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        document.problem((*where, "max_dropped"), f"{share!r} is no share.", f"Write 0 to 1, such as {MAX_DROPPED}.")
        return default
    return float(share)


def _engine_settings(fields: Fields, where: Where, params: dict[str, Any], step: Any) -> dict[str, Any]:
    """What the manifest says to the engine and not to the step, taken out of `params`."""
    document, routed = fields.document, isinstance(step, RoutedStep)
    settings: dict[str, Any] = {"max_dropped": _max_dropped(document, where, params, MAX_DROPPED if routed else 1.0)}
    if routed and not step.is_indexed:
        for name in sorted({"index", "against"}.intersection(params)):
            del params[name]
            document.problem(
                (*where, name),
                "what this step compares is learned from its own corpus.",
                "Index `dedup.minhash` instead.",
            )
    if routed and "index" in params:
        settings["index"] = params.pop("index")
        if not isinstance(settings["index"], bool):
            document.problem((*where, "index"), f"{settings['index']!r} is not true or false.", "Write `index: true`.")
    if routed and "against" in params:
        paths = params.pop("against")
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
            document.problem(
                (*where, "against"),
                f"{paths!r} is no list of folders.",
                "Leave it out, or write `against: [s3://bucket/web/index]`.",
            )
        else:
            settings["against"] = tuple(paths)
    return settings


class _ForeignError(Exception):
    """Why something of somebody else's is no step."""


def _foreign(name: str) -> Step:
    """A step of somebody else's, `package.module:function`: a filter or a map, as its return annotation says.

    Raises _ForeignError for what is no such function, ImportError and AttributeError for what is not there.
    """
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise _ForeignError("is no name of a step")
    step = Step("filter", name, 1)
    function = load(step)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise _ForeignError(f"is {type(function).__name__}, not a function with a signature") from None
    kinds: dict[str, Kind] = {"Array": "filter", "Table": "map"}
    returns = signature.return_annotation
    shown_as = "nothing" if returns is signature.empty else getattr(returns, "__name__", str(returns))
    kind = kinds.get(shown_as.rpartition(".")[2])
    if kind is None:
        raise _ForeignError(
            f"says that it returns {shown_as}: annotate it `-> pa.Array` (a filter, one drop reason per row) or `-> pa.Table` (a map)"
        )
    if not _takes_documents(signature):
        raise _ForeignError(f"takes {signature}, but a step takes the documents and then parameters by name only")
    return step._replace(kind=kind)


def _takes_documents(signature: inspect.Signature) -> bool:
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return bool(kinds) and kinds[0] in places and all(kind is inspect.Parameter.KEYWORD_ONLY for kind in kinds[1:])


def _check_params(
    fields: Fields, where: Where, params: dict[str, Any], functions: tuple[Any, ...], settings: tuple[str, ...] = ()
) -> bool:
    """Names and plain types of parameters against the signatures of the functions that will take them; `settings` are also known.

    Returns whether the types fit, so that the values can be looked at.
    """
    accepted = {
        parameter.name: parameter
        for function in functions
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name != PAGES
    }
    fits = True
    plain: dict[Any, tuple[type, ...]] = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}
    for name, value in params.items():
        if name not in accepted:
            fields.document.problem(
                (*where, name), "is not a parameter of this step.", did_you_mean(name, {*accepted, *settings})
            )
            continue
        wanted = accepted[name].annotation
        if name == "reference" or wanted not in plain:
            continue
        if not isinstance(value, plain[wanted]) or (isinstance(value, bool) and wanted is not bool):
            fits = False
            fields.document.problem(
                (*where, name),
                f"{value!r} is not of type {wanted.__name__}.",
                f"The default is {accepted[name].default!r}.",
            )
    given_by_engine = {"reference", "verdict", "labels", "teacher"}
    for name, parameter in accepted.items():
        if (
            parameter.default is inspect.Parameter.empty
            and name not in params
            and name not in given_by_engine - set(params)
        ):
            fields.document.problem(where, f"the parameter {name!r} is missing.")
    return fits


def _check_values(fields: Fields, where: Where, params: dict[str, Any], step: Any) -> None:
    """What the step itself says about its parameters: its `check`, or `check_NAME` or `check` of the module of a function NAME."""
    module, name = inspect.getmodule(step), getattr(step, "__name__", "")
    checks = (getattr(step, "check", None), getattr(module, f"check_{name}", None), getattr(module, "check", None))
    check = next(filter(None, checks), None)
    taken = inspect.signature(check).parameters if check else {}
    try:
        if check:
            check(**{name: value for name, value in params.items() if name in taken})
        if getattr(step, "is_labelled", False) and params.get("teacher"):
            settings_of(params["teacher"])
    except (ValueError, TypeError, FileNotFoundError) as error:
        fields.document.problem(where, f"{str(error).removeprefix(f'{where[-1]}: ')}.")


def _refuse_texts_of_imported(corpora: dict[str, Corpus], files: dict[str, Document]) -> None:
    for name, corpus in corpora.items():
        for needed in (*corpus.generated_from, *corpus.references):
            if needed in corpora and corpora[needed].is_imported:
                files[name].problem(
                    (),
                    f"needs the texts of {needed!r}, which comes as tokens.",
                    "Name a corpus that is read from text.",
                )


def _refuse_cycles(corpora: dict[str, Corpus], document: Document) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            document.problem(
                ("corpora", name),
                f"needs itself: {' -> '.join((*path[path.index(name) :], name))}.",
                "Break the circle of `from` and `reference`.",
            )
            return
        if name in corpora and name not in done:
            for needed in (*corpora[name].generated_from, *corpora[name].references):
                visit(needed, (*path, name))
            done.add(name)

    for name in corpora:
        visit(name, ())
