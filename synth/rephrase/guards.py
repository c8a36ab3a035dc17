"""The guards of a rewrite: a verdict each, with the numbers it rests on. Nothing is asked of a model.

What is missing from a rewrite is listed, and fails it only below the share that its style must keep; what is new in it always fails it: a
number, date, name, address or piece of code that the source does not have was made up. In a style that keeps everything, a number that
stands there once more while another is gone was exchanged (`exchanged`).

Measured (tests/synth/rephrase/test_guards_measured.py) on 246 passages of news and an encyclopaedia with common words exchanged, and on
falsifications of these. Faithful ones pass in 99 %. Found are: a number that is new 100 %, taken from elsewhere in the text 95, swapped
with another 84; a name that is new 100 %, from elsewhere 84, swapped 70; a denial dropped 95, added 91. Of 10 paraphrases by hand 8 pass.
In a free paraphrase, whose sentences resemble none of the source, swaps are found by `bindings` (numbers 92, names 81), and what is new;
denials hardly ever. 20 to 30 ms for a passage of 2,000 characters.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from curation.languages.language import language
from synth.rephrase import bindings, code, marks, statements
from synth.rephrase.marks import Marks, Source
from synth.rephrase.refusals import meta_talk

MAX_LISTED = 20  # marks in a verdict
CHARS_PER_TOKEN = 4.0
NGRAM = 5
SURE_LANGUAGE = 0.5
MIN_LETTERS = 200  # of a text whose language can be told

Verdict = Mapping[str, Any]


class Limits(NamedTuple):
    """What a style may do to its source. Ratios are of characters or words of the rewrite to those of the source."""

    length: tuple[float, float] = (0.3, 1.5)
    min_tokens: int = 50  # of the rewrite; Nemotron-CC (arXiv 2412.02595, section 3.4) drops what is shorter
    kept: float = (
        0.0  # least share of the numbers, of the names, of the dates and of the addresses that must still be there
    )
    copied: float = 0.8  # most of the rewrite's runs of five words that may stand in the source
    shared: float = 0.4  # least share of the rewrite's words that stand in the source


def judged(source: str, made: str, limits: Limits) -> dict[str, dict[str, Any]]:
    """All guards in their order."""
    return {
        "meta_talk": meta_talk(source, made),
        "length": length(source, made, limits),
        **marks_kept(source, made, limits.kept),
        "code": compiles(source, made),
        "statements": unchanged(source, made),
        "bindings": bindings.swapped(source, made),
        "overlap": overlap(source, made, limits),
        "language": same_language(source, made),
    }


def marks_kept(
    source: str, made: str, least: float, *, also: str = "", words: frozenset[str] = frozenset()
) -> dict[str, dict[str, Any]]:
    """`numbers`, `dates`, `names`, `addresses`, `codes`: kept, missing and new ones.

    At least the share `least` must be kept; of code none, because a rewrite may say in words what a name stood for. `also`: a text whose
    marks are not new either, though nobody misses them; `words`: in lower case, words that are no new names.
    """
    told = Source.of(source)
    wanted = told.marks
    if also:
        told = Source.of(f"{source}\n{also}")
    if words:
        told = told._replace(words=told.words | words, roots=told.roots | frozenset(map(marks.root, words)))
    said = marks.marks_of(made, frozenset(told.marks.names))
    return {
        "numbers": numbers(told, wanted, said, marks.loose_numbers(source), least),
        "dates": _kept(wanted.dates, said.dates, lambda date: marks.says_date(date, told.marks), least),
        "names": names(told, wanted, said, least),
        "addresses": _kept(wanted.addresses, said.addresses, lambda address: address in told.marks.addresses, least),
        "codes": _kept(wanted.codes, said.codes, lambda word: "".join(word.split()) in told.squeezed, 0.0),
    }


def passed(verdicts: Mapping[str, Verdict]) -> bool:
    return all(verdict["passed"] for verdict in verdicts.values())


def length(source: str, made: str, limits: Limits) -> dict[str, Any]:
    ratio = len(made) / max(1, len(source))
    tokens = round(len(made) / CHARS_PER_TOKEN)
    least, most = limits.length
    return {
        "passed": least <= ratio <= most and tokens >= limits.min_tokens,
        "ratio": round(ratio, 3),
        "tokens": tokens,
    }


def numbers(told: Source, wanted: Marks, said: Marks, loose: frozenset[str], least_kept: float) -> dict[str, Any]:
    has = marks.said_numbers(told.marks)
    verdict = _kept(wanted.numbers, said.numbers, lambda value: value in has or value in loose, least_kept)
    given = marks.said_numbers(said)
    more = [value for value, count in given.items() if value in has and count > has[value]]
    gone = [value for value in wanted.numbers if value not in given]
    exchanged = bool(more and gone and least_kept)
    return {**verdict, "passed": verdict["passed"] and not exchanged, "exchanged": exchanged}


def names(told: Source, wanted: Marks, said: Marks, least_kept: float) -> dict[str, Any]:
    """A name is known when it is any word of the source, and not missing when another form of it is said."""
    given = {marks.root(name) for name in said.names}
    verdict = _kept(wanted.names, said.names, lambda name: name in told.words or marks.root(name) in told.roots, 0.0)
    missing = [name for name in sorted(wanted.names) if marks.root(name) not in given]
    kept = len(wanted.names) - len(missing)
    passed = verdict["passed"] and kept >= least_kept * len(wanted.names)
    return {**verdict, "passed": passed, "kept": kept, "missing": missing[:MAX_LISTED]}


def compiles(source: str, made: str) -> dict[str, Any]:
    wrong, num_blocks = code.broken(source, made)
    return {"passed": not wrong, "blocks": num_blocks, "broken": wrong[:MAX_LISTED]}


def unchanged(source: str, made: str) -> dict[str, Any]:
    """No sentence that can be found in the source says something else there (`statements`)."""
    changed, num_aligned = statements.changes(source, made, frozenset(marks.marks_of(source).names))
    shown = [[each.how, each.said[:200], each.source[:200]] for each in changed[:3]]
    return {"passed": not changed, "aligned": num_aligned, "changed": len(changed), "shown": shown}


def overlap(source: str, made: str, limits: Limits) -> dict[str, Any]:
    """`copied`: share of the rewrite's runs of `NGRAM` words that the source has; `shared`: of its words. Words are lower case."""
    told, said = _words(source), _words(code.without_code(made))
    grams = set(zip(*(told[start:] for start in range(NGRAM)), strict=False))
    runs = list(zip(*(said[start:] for start in range(NGRAM)), strict=False))
    copied = sum(run in grams for run in runs) / max(1, len(runs))
    known = {statements.stem(word) for word in told}
    shared = sum(statements.stem(word) in known for word in said) / max(1, len(said))
    fits = copied <= limits.copied and shared >= limits.shared
    return {"passed": fits, "copied": round(copied, 3), "shared": round(shared, 3)}


def same_language(source: str, made: str) -> dict[str, Any]:
    """Both texts without their code; a text of which the model is not sure says nothing against the other."""
    docs = pa.table({"text": pa.array([code.without_code(text) for text in (source, made)], pa.large_string())})
    judged = language(docs, min_score=0.0, check_script=True)
    told, said = judged["lang"].to_pylist()
    sure = min(judged["lang_score"].to_pylist()) >= SURE_LANGUAGE and min(len(source), len(made)) >= MIN_LETTERS
    return {"passed": told == said or not sure, "source": told, "made": said, "sure": sure}


def _kept(told: Counter[str], said: Counter[str], is_told: Callable[[str], bool], least: float) -> dict[str, Any]:
    new = sorted(mark for mark in said if not is_told(mark))
    missing = sorted(mark for mark in told if mark not in said)
    kept = len(told) - len(missing)
    return {
        "passed": not new and kept >= least * len(told),
        "kept": kept,
        "of": len(told),
        "new": new[:MAX_LISTED],
        "missing": missing[:MAX_LISTED],
    }


def _words(text: str) -> list[str]:
    return [marks.plain(word) for word in marks.words_of(text)]


def merged(several: Iterable[Mapping[str, Verdict]]) -> dict[str, dict[str, Any]]:
    """The verdicts on the parts of a text as those on the whole: all must have passed; counts are added, lists joined, ratios left out."""
    whole: dict[str, dict[str, Any]] = {}
    for verdicts in several:
        for name, verdict in verdicts.items():
            into = whole.setdefault(name, {"passed": True, "parts": 0})
            into["passed"] = into["passed"] and verdict["passed"]
            into["parts"] += 1
            for key, value in verdict.items():
                if isinstance(value, bool) or key == "passed":
                    continue
                if isinstance(value, int):
                    into[key] = into.get(key, 0) + value
                elif isinstance(value, list):
                    into[key] = (into.get(key, []) + value)[:MAX_LISTED]
    return whole
