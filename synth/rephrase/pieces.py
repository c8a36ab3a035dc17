"""A text made of quotations and of words of our own: what every rephrased row without a teacher is.

    a string          our words, from the grammar in `phrases`
    a `Quote`         characters of a document, as one of `VIEWS` shows them

So whatever such a row states is a span of its source, and `spoken` makes the row again from the documents alone: that is its proof.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from synth.evidence import fold


class Quote(NamedTuple):
    document: int  # among the row's parents
    start: int  # in characters of its text
    length: int
    view: str = "line"

    @property
    def end(self) -> int:
        return self.start + self.length


Piece = str | Quote
_LOWERED = re.compile(r"(?:An?|The|If|When|Whether|Either|All|Each|One|Any|Some|How|True|List|Number|This)\b(?<!True)")


def clause(text: str) -> str:
    """As a part of a sentence: on one line, without the final full stop, an article or conjunction in lower case."""
    line = re.sub(r"(?<![.\s])\.$", "", fold(text))
    return line[:1].lower() + line[1:] if _LOWERED.match(line) else line


def cell(text: str) -> str:
    """As a cell of a Markdown table."""
    return re.sub(r"(?<!\\)\|", r"\\|", fold(text))


def bare_cell(text: str) -> str:
    """What a cell of a Markdown table says."""
    return fold(text.replace(r"\|", "|"))


VIEWS: Mapping[str, Callable[[str], str]] = {
    "raw": str,  # as it stands there
    "line": fold,  # runs of white space as one space
    "clause": clause,
    "cell": cell,
    "bare_cell": bare_cell,
}


def shown(quote: Quote, texts: Sequence[str]) -> str:
    """What a quotation reads like; `texts` are those of the row's parents."""
    return VIEWS[quote.view](texts[quote.document][quote.start : quote.end])


def spoken(pieces: Sequence[Piece], texts: Sequence[str]) -> str:
    return "".join(piece if isinstance(piece, str) else shown(piece, texts) for piece in pieces)


def as_json(pieces: Sequence[Piece]) -> list[Any]:
    """Neighbouring words of our own joined; a quotation as [document, start, length, view]."""
    joined: list[Any] = []
    for piece in pieces:
        if isinstance(piece, str):
            if joined and isinstance(joined[-1], str):
                joined[-1] += piece
            elif piece:
                joined.append(piece)
        else:
            joined.append(list(piece))
    return joined


def from_json(given: Sequence[Any]) -> list[Piece]:
    """The inverse of `as_json`. TypeError for anything else."""
    return [piece if isinstance(piece, str) else Quote(*piece) for piece in given]


def filled(template: str, quotes: Mapping[str, Sequence[Piece] | Piece]) -> list[Piece]:
    """A phrase with pieces in the place of its {names}."""
    made: list[Piece] = []
    for part in re.split(r"(\{\w+\})", template):
        given: Sequence[Piece] | Piece = quotes[part[1:-1]] if part.startswith("{") else part
        made += [given] if isinstance(given, str | Quote) else given
    return made


def sources_of(verdict: Sequence[Piece], texts: Sequence[str]) -> dict[str, Any]:
    """The verdict that all quotations lie inside their documents and show something, and how much of the text they are."""
    quotes = [piece for piece in verdict if isinstance(piece, Quote)]
    inside = all(
        0 <= quote.document < len(texts)
        and quote.start >= 0
        and quote.end <= len(texts[quote.document])
        and shown(quote, texts).strip()
        for quote in quotes
    )
    quoted = sum(quote.length for quote in quotes)
    own = sum(len(piece) for piece in verdict if isinstance(piece, str))
    return {"passed": bool(quotes) and inside, "quotes": len(quotes), "quoted": round(quoted / max(1, quoted + own), 3)}
