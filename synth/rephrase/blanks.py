"""A passage with gaps, and behind it the words that belong there.

Words are taken out that stand elsewhere in the passage, too: the names of what it states facts about. So the gap can be filled by whoever
reads, and filled it gives the passage back, letter by letter.
"""

import re

from synth.rephrase.drafts import Draft, Passage
from synth.rephrase.phrases import GAP, Voice
from synth.rephrase.pieces import Piece, Quote, shown, spoken

LEAST_WORDS = 2  # different ones
MAX_GAPS, MAX_SAME = 8, 2
LEAST_NAME_CHARS = 3
LEAST_DISTANCE = 60  # characters between two gaps


def cloze(passage: Passage, voice: Voice) -> Draft | None:
    text, whole = passage.source.text, passage.quote
    gaps = _gaps(passage, voice)
    if len({shown(gap, [text]) for gap in gaps}) < LEAST_WORDS:
        return None
    marked = voice.draw((f"{GAP} ({{n}})", f"({{n}}) {GAP}", f"[{{n}}]{GAP}", f"{GAP}{{n}}{GAP}"), "mark")
    made: list[Piece] = [voice.head("cloze", passage.title)]
    if voice.number(2, "has bank"):
        bank = sorted(
            {shown(gap, [text]): gap for gap in gaps}.items(), key=lambda entry: voice.number(1 << 60, "bank", entry[0])
        )
        listed = [piece for _, gap in bank for piece in (gap, ", ")]
        made += [voice.words("bank"), *listed[:-1], "\n\n"]
    at = whole.start
    for number, gap in enumerate(gaps, 1):
        made += [Quote(0, at, gap.start - at, "raw"), marked.replace("{n}", str(number))]
        at = gap.end
    made += [Quote(0, at, whole.end - at, "raw"), "\n\n", voice.words("key"), "\n"]
    key: list[Piece] = []
    for number, gap in enumerate(gaps, 1):
        key += [f"{number}. ", gap, "\n"]
    return Draft(
        [*made, *key[:-1]],
        key[:-1],
        {"gaps": [[gap.start, gap.length] for gap in gaps]},
        {"gaps": _fillable(passage, gaps)},
    )


def _gaps(passage: Passage, voice: Voice) -> list[Quote]:
    """Places of names that stand at least twice in the passage, apart from each other; the first place of a name stays."""
    whole = passage.quote
    text = passage.source.text
    names = sorted({told.words(text)[0].partition("(")[0] for told in passage.facts})
    places: list[Quote] = []
    for name in names:
        if len(name) < LEAST_NAME_CHARS:
            continue
        found = re.finditer(rf"(?<![\w.]){re.escape(name)}(?!\w|[.-]\w)", text[whole.start : whole.end])
        places += [Quote(0, whole.start + match.start(), len(name), "line") for match in list(found)[1:]]
    chosen: list[Quote] = []
    for quote in sorted(places, key=lambda quote: (voice.number(1 << 60, "gap", quote.start), quote)):
        inside = whole.start < quote.start and quote.end < whole.end
        apart = all(abs(quote.start - other.start) > LEAST_DISTANCE + other.length for other in chosen)
        word = shown(quote, [text])
        often = sum(shown(other, [text]) == word for other in chosen) >= MAX_SAME
        if inside and apart and not often and len(chosen) < MAX_GAPS:
            chosen.append(quote)
    return sorted(chosen)


def _fillable(passage: Passage, gaps: list[Quote]) -> dict[str, object]:
    """Every word that was taken out still stands in the rest."""
    text, whole = passage.source.text, passage.quote
    bounds = [whole.start, *(at for gap in gaps for at in (gap.start, gap.end)), whole.end]
    rest = spoken(
        [Quote(0, begin, end - begin, "raw") for begin, end in zip(bounds[::2], bounds[1::2], strict=True)], [text]
    )
    lost = [word for word in (shown(gap, [text]) for gap in gaps) if word not in rest]
    return {"passed": not lost, "count": len(gaps), "lost": lost}
