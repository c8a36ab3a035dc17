"""The SPDX licence of a source file or tree, from what its files say, with how sure that is.

- `of_header`: what the top of a source file says: `SPDX-License-Identifier`, a licence text, a notice.
- `of_text`: what a LICENSE or COPYING file holds: texts (texts.py) and notices (notices.py), several joined by AND.
- `of_files`: the licence files of one tree together: LICENSE-MIT beside LICENSE-APACHE is a choice.
- `normal`, `from_metadata`: what package metadata names (names.py).

The text of the GPL family does not say "only" or "or later"; a notice beside it does, and without one the narrower reading is taken.
Confidence is the share of a licence's text that is there, or 1 for a tag, 0.95 for a notice, 0.7 for one that leaves the version open.
A text with words beside it that restrict use, or that speak of licences without being known, is 0.5: a person should look.
`of_header` runs at 200 MB of source per CPU second (a third of the files with a notice), `of_text` takes 3 ms.
This is for filtering, not legal advice.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datapipe.readers.licenses import notices, texts
from datapipe.readers.licenses.names import expression, from_metadata, normal

__all__ = ["Found", "from_metadata", "join", "normal", "of_files", "of_header", "of_text"]

HEADER_CHARS = 6 << 10
DOUBTFUL = 0.5

_TAG = re.compile(r"^[^\w\n]*(?:(?:rem|dnl|@license)\s+)?SPDX-License-Identifier:(?=(.*(?:\n.*){0,7}))", re.M | re.I)
_TAG_END = re.compile(r"\s*(?:\*+/|-->|\*+\)|#\}|%\}|\|#|--%>|\"\"\"|'''|[\"'`;,*]+)\s*$")
_OPEN_END, _GOES_ON = re.compile(r"\b(?:AND|OR|WITH)$"), re.compile(r"(?:AND|OR|WITH)\b")
_HINTS = (
    "licen",
    "gpl",
    "general public",
    "same terms",
    "permission",
    "redistribution",
    "proprietary",
    "intellectual property",
)
_AROUND = 1600  # characters before the first hint and behind the last
_TEXT_MARKS = ("permission is hereby granted", "redistribution and use", "permission to use copy modify", "provided as is",
               "free and unencumbered", "freely", "hereby granted")  # fmt: skip
_RESTRICTS = re.compile(
    r"\bcommons clause\b|\bnon ?commercial (?:use|purposes|research)\b|\bevaluation purposes only\b|\bresearch purposes only\b"
)
_SPEAKS_OF_LICENSES = re.compile(r"\b(?:license|licensed|licensor|licensee|agreement|sublicense)\b")
_OPEN_WORDS, _OPEN_MENTIONS = (
    300,
    15,
)  # beside the known texts: so many words, so many of them about licences, are an unknown licence
_CHOICE = re.compile(
    r"\bdual license|\beither\b|\bat your option\b|\bmay choose\b|\byour choice\b|\bany of the following\b|\bone of the following\b"
)
_NAME_CHARS = 400
_DATE = re.compile(
    r",? (?:\d\d? )?(?:january|february|march|june|november) \d{4}$", re.I
)  # of the Free Software Foundation's and Apache's
_CHOICE_CHARS = 1500  # of what stands beside two texts that says that one may be chosen
_ALTERNATIVE = re.compile(r"(?:un)?licen[cs]e[-_.](?!txt$|md$|rst$|html$|in$)\w|copying[-_.](?:mit|apache|bsd|gpl)")


class Found(NamedTuple):
    spdx: str
    confidence: float  # 0..1


def of_header(text: str) -> Found | None:
    """The licence that a source file states near its top (the first 6 KB); None when it states none."""
    head = text[:HEADER_CHARS]
    lowered = head.lower()
    if not any(hint in lowered for hint in _HINTS):
        return None
    if "SPDX-License-Identifier:" in head and (tagged := _tagged(head)):
        return tagged
    hints = [hint for hint in _HINTS if hint in lowered]
    first, last = min(map(lowered.find, hints)), max(map(lowered.rfind, hints))
    head = head[max(first - _AROUND, 0) : last + _AROUND]
    joined = notices.tokens(head)
    found = _texts_in(head, joined) if any(mark in joined for mark in _TEXT_MARKS) else None
    return found or _noticed(notices.find(joined), joined)


def of_text(text: str) -> Found | None:
    """The licences that a LICENSE or COPYING file holds; None when none is known."""
    text = text[: texts.MAX_CHARS]
    joined = notices.tokens(text)
    return _texts_in(text, joined) or _noticed(notices.find(joined), joined) or _by_name(text)


def of_files(files: Mapping[str, str]) -> Found | None:
    """The licence of a tree from its licence files (path: text), those nearest to its top.

    Files such as LICENSE-MIT and LICENSE-APACHE are alternatives; of other files all hold. COPYING.LESSER goes before COPYING, which
    then only holds what it refers to.
    """
    depth = min((path.count("/") for path in files), default=0)
    top = {posixpath.basename(path).lower(): files[path] for path in sorted(files) if path.count("/") == depth}
    found = {name: one for name in sorted(top) if (one := of_text(top[name]))}
    if any("lesser" in name for name in found):
        found = {name: one for name, one in found.items() if "lesser" in name or not one.spdx.startswith("GPL-")}
    if not found:
        return None
    choices = [name for name in found if _ALTERNATIVE.match(name)]
    alternatives = list(dict.fromkeys(found[name].spdx for name in choices)) if len(choices) > 1 else []
    ids = [join(alternatives, " OR ")] if alternatives else []
    for name, one in found.items():
        if not (alternatives and name in choices) and not _ids_of(one.spdx) <= {
            id for spdx in ids for id in _ids_of(spdx)
        }:
            ids.append(one.spdx)
    return Found(join(ids, " AND "), min(one.confidence for one in found.values()))


def _tagged(head: str) -> Found | None:
    """All tags of a file; several hold together."""
    ids = []
    for match in _TAG.finditer(head):
        stated = _stated(match[1].split("\n"))
        if known := expression(stated) or normal(stated):
            ids.append(known)
    ids = list(dict.fromkeys(ids))
    return Found(join(ids, " AND "), 1.0) if ids else None


def _stated(lines: list[str]) -> str:
    """The expression in the lines behind a tag, which goes on where one ends with an operator or a parenthesis is open."""
    stated = ""
    for line in lines:
        line = _TAG_END.sub("", re.sub(r"^[^\w(]+", "", line))
        if stated and not (_OPEN_END.search(stated) or stated.count("(") > stated.count(")") or _GOES_ON.match(line)):
            break
        stated = f"{stated} {line}".strip()
    return " ".join(stated.split())


def _texts_in(text: str, joined: str) -> Found | None:
    """The licence texts in a file, with exceptions, notices beside them and what speaks against them."""
    found, rest = texts.find(text)
    if not found:
        return None
    beside = notices.tokens(rest)
    ids = list(dict.fromkeys(match.spdx for match in found))
    if "LGPL-3.0-only" in ids and "GPL-3.0-only" in ids:
        ids.remove("GPL-3.0-only")  # whose terms it takes over
    noticed = [notice for notice in notices.find(beside) if notice.confidence > notices.LOOSE]
    ids = [_or_later(spdx, noticed) for spdx in ids]
    ids = [_with_exception(spdx, joined) for spdx in ids]
    confidence = min(match.containment for match in found)
    for notice in noticed:
        if not _ids_of(notice.spdx) <= {id for spdx in ids for id in _ids_of(spdx)}:
            ids.append(notice.spdx)
            confidence = min(confidence, notice.confidence)
    is_choice = len(ids) == 2 and len(beside) < _CHOICE_CHARS and bool(_CHOICE.search(beside))
    if _RESTRICTS.search(beside) or (
        beside.count(" ") > _OPEN_WORDS and len(_SPEAKS_OF_LICENSES.findall(beside)) > _OPEN_MENTIONS
    ):
        confidence = min(confidence, DOUBTFUL)
    return Found(join(ids, " OR " if is_choice else " AND "), round(confidence, 3))


def join(ids: Sequence[str], joint: str) -> str:
    """The ids in one expression; what is an expression with the other joint gets parentheses."""
    other = " AND " if joint == " OR " else " OR "
    return joint.join(f"({spdx})" if other in spdx and len(ids) > 1 else spdx for spdx in ids)


def _ids_of(expression: str) -> set[str]:
    return set(re.split(r" (?:AND|OR|WITH) |[()]+", expression)) - {""}


def _with_exception(spdx: str, joined: str) -> str:
    for exception, pattern in notices.EXCEPTIONS:
        bases = ("Apache-2.0",) if exception == "LLVM-exception" else ("GPL-", "LGPL-")
        if spdx.startswith(bases) and " " not in spdx and pattern.search(joined):
            return f"{spdx} WITH {exception}"
    return spdx


def _or_later(spdx: str, noticed: list[notices.Notice]) -> str:
    """The id of a GNU text as the notices beside it say."""
    later = f"{spdx.removesuffix('-only')}-or-later"
    return later if any(later in _ids_of(notice.spdx) for notice in noticed) else spdx


def _noticed(found: list[notices.Notice], joined: str) -> Found | None:
    ids = list(dict.fromkeys(_with_exception(notice.spdx, joined) for notice in found))
    return Found(join(ids, " AND "), min(notice.confidence for notice in found)) if ids else None


def _by_name(text: str) -> Found | None:
    """A short file that only names its licence: `MIT`, or a title and a version without the text."""
    lines = [line.strip(" #*=-\t\r") for line in text[:_NAME_CHARS].splitlines()]
    lines = [line for line in lines if line][:2]
    for name in (" ".join(lines), lines[0] if lines else ""):
        if len(text) < _NAME_CHARS and (known := normal(_DATE.sub("", name))):
            return Found(known, notices.LOOSE)
    return None
