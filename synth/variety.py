"""How alike synthetic rows are: distinct n-grams, and the share of the commonest sentence forms.

Rows made by grammars repeat themselves, and a table that says how much is better than a claim that they do not. Measured on what the
assistant is asked (the first user turn) and on what it writes (thoughts and answers, results of tools left out):

    distinct_n       different n-grams of words over all of them (Li et al. 2016, arXiv 1510.03055); falls with the number of rows
    forms            different forms: the text without what is quoted, numbers, code, and words with a capital inside a sentence
    top_form, top_10 the share of rows that have the commonest form, and one of the ten commonest
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from synth.render import Turn

SIZES = (1, 2, 4)
_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"|'[^'\n]{2,}'")
_NUMBER = re.compile(r"\d[\d.,:/-]*")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w.-]*")
_REPEATED = re.compile(r"(\S+)(?: \1\b)+")


def variety(texts: Iterable[str]) -> dict[str, Any]:
    """The measures above over some texts, one per row."""
    grams: dict[int, set[tuple[str, ...]]] = {size: set() for size in SIZES}
    counts = dict.fromkeys(SIZES, 0)
    forms: Counter[str] = Counter()
    for text in texts:
        words = re.findall(r"\w+|[^\w\s]", text.casefold())
        for size in SIZES:
            found = list(zip(*(words[start:] for start in range(size)), strict=False))
            grams[size].update(found)
            counts[size] += len(found)
        forms[form(text)] += 1
    rows = forms.total()
    shares = {f"distinct_{size}": round(len(grams[size]) / counts[size], 4) if counts[size] else 0.0 for size in SIZES}
    common = [count for _, count in forms.most_common(10)]
    tops = {"top_form": round(sum(common[:1]) / rows, 4), "top_10": round(sum(common) / rows, 4)} if rows else {}
    return {"rows": rows, **shares, "forms": len(forms), **tops}


def form(text: str) -> str:
    """A text without what tells it from others of its template."""
    for pattern, mark in ((_CODE, "CODE"), (_QUOTED, "QUOTED"), (_NUMBER, "0"), (_NAME, "NAME")):
        text = pattern.sub(mark, text)
    return _REPEATED.sub(r"\1", " ".join(text.split()))


def asked(turns: Iterable[Turn]) -> str:
    """What the user asks first."""
    return next((turn.text for turn in turns if turn.role == "user"), "")


def written(turns: Iterable[Turn]) -> str:
    """What the assistant writes, its calls left out."""
    said = (part for turn in turns if turn.role == "assistant" for part in (turn.think, turn.text))
    return "\n".join(part for part in said if part)
