"""Magika (Fratantonio et al. 2024), a small neural network, for what name and rules leave open. It is loaded when first asked.

Loading costs 0.3 CPU seconds and an answer 15 ms, so it must be asked rarely. It reads the first and last KB of a file. Where the
candidates are known only one of them is an answer; where none are, an answer needs `LEAST_SCORE`.
"""

import functools
from collections.abc import Collection
from typing import TYPE_CHECKING

from datapipe.readers.languages.table import BY_NAME, Language

if TYPE_CHECKING:
    from magika import Magika

LEAST_SCORE = 0.6
_NAMES = {  # of its labels, where they are not ours
    "asm": "assembly", "bazel": "starlark", "bib": "bibtex", "cpp": "c++", "cs": "c#", "csproj": "xml", "gemfile": "ruby",
    "gemspec": "ruby",
    "gitattributes": "git attributes", "gitmodules": "ini", "gradle": "groovy", "ignorefile": "ignore list", "ipynb": "jupyter notebook",
    "jsonl": "json", "latex": "tex", "lisp": "common lisp", "objectivec": "objective-c", "po": "gettext", "proto": "protobuf", "rdf": "xml",
    "rst": "restructuredtext", "srt": "subtitles", "txt": "text", "vba": "visual basic", "vcxproj": "xml", "vtt": "subtitles",
}  # fmt: skip


def classify(data: bytes, candidates: Collection[Language] = ()) -> Language | None:
    """The language of a text file's content: one of `candidates` (none given: any), or None."""
    known = {language.name for language in candidates} & _known()
    if candidates and not known:
        return None
    prediction = _model().identify_bytes(data).prediction
    label = str(prediction.dl.label)
    name = _NAMES.get(label, label)
    if candidates:
        return BY_NAME[name] if name in known else None
    return BY_NAME.get(name) if prediction.score >= LEAST_SCORE else None


@functools.cache
def _model() -> "Magika":
    from magika import Magika

    return Magika()


@functools.cache
def _known() -> frozenset[str]:
    labels = map(str, _model().get_model_content_types())
    return frozenset(_NAMES.get(label, label) for label in labels) & BY_NAME.keys()
