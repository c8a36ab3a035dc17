"""Keeping documents by licence: SPDX expressions against a list of allowed ids.

`A OR B` is allowed when one of them is, `A AND B` when both are, `A WITH exception` when A is (an exception only adds permissions), `A+`
(or any later version) when A is. Ids compare without regard to case. The default list holds permissive licences and public-domain
dedications that ask for no more than attribution. A reader says how sure it is of a licence it found (`meta.license_confidence`); what
is stated elsewhere carries no such number and is trusted. Some 0.8 M documents per CPU
second. This is a filter for engineers, not legal advice.
"""

import functools
import re
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

PERMISSIVE = (
    "0BSD",
    "AFL-3.0",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-2.0",
    "BlueOak-1.0.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSL-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-PDDC",
    "CC0-1.0",
    "CNRI-Python",
    "curl",
    "ECL-2.0",
    "FSFAP",
    "FTL",
    "HPND",
    "ICU",
    "ISC",
    "libpng-2.0",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MIT-Modern-Variant",
    "NCSA",
    "OLDAP-2.8",
    "OpenSSL",
    "PHP-3.01",
    "PostgreSQL",
    "PSF-2.0",
    "Python-2.0",
    "Python-2.0.1",
    "TCL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "UPL-1.0",
    "W3C",
    "WTFPL",
    "X11",
    "Xnet",
    "Zlib",
    "zlib-acknowledgement",
    "ZPL-2.1",
)

_TOKEN = re.compile(r"\s*([()]|[A-Za-z0-9][A-Za-z0-9.:+-]*)")
_WORDS = ("AND", "OR", "WITH")
_CONFIDENCE = r'"license_confidence": ?(?P<confidence>\d+(?:\.\d+)?)'
MAX_CHARS, MAX_PARENTHESES = 4000, 50  # of an expression


class LicenseError(ValueError):
    """A text that is no SPDX licence expression."""


def license(
    docs: pa.Table,
    *,
    allow: Sequence[str] = PERMISSIVE,
    unknown: Literal["drop", "keep"] = "drop",
    min_confidence: float = 0.9,
) -> pa.Array:
    """One reason per row, null = keep: `license.denied`, `license.unknown` (null or empty), `license.unreadable` (no SPDX expression),
    `license.doubtful` (allowed, but `meta.license_confidence`, 0..1, is below `min_confidence`).

    `unknown: keep` keeps the second and third. Raises ValueError for another value, for an `allow` that is not a list, and for a
    `min_confidence` outside 0..1.
    """
    check(allow=allow, unknown=unknown, min_confidence=min_confidence)
    allowed = frozenset(name.lower() for name in allow)
    reasons = [_reason(license, allowed, unknown == "keep") for license in docs["license"].to_pylist()]
    stated = pc.struct_field(pc.extract_regex(docs["meta"].combine_chunks(), _CONFIDENCE), "confidence")
    is_doubtful = pc.fill_null(pc.less(stated.cast(pa.float64()), min_confidence), False)
    is_kept = pc.is_null(pa.array(reasons, pa.string()))
    return pc.if_else(pc.and_(is_kept, is_doubtful), "license.doubtful", pa.array(reasons, pa.string()))


def check(*, allow: Sequence[str] = PERMISSIVE, unknown: str = "drop", min_confidence: float = 0.9) -> None:
    """Raises ValueError for what cannot be meant."""
    if unknown not in ("drop", "keep"):
        raise ValueError(f"filter.license: unknown is {unknown!r}; type drop or keep")
    if isinstance(allow, str):
        raise ValueError(f"filter.license: allow is the text {allow!r}, but it is a list: type [{allow}]")
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"filter.license: min_confidence is {min_confidence}; type a share from 0 to 1, such as 0.9")


def is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Whether a licence expression is satisfied by the `allowed` ids (in lower case). Raises LicenseError when it is none."""
    if expression.count("(") > MAX_PARENTHESES or len(expression) > MAX_CHARS:
        raise LicenseError(
            f"{expression[:40]!r}... is too long; at most {MAX_CHARS} characters and {MAX_PARENTHESES} parentheses are read"
        )
    tokens = _tokens(expression)
    value, rest = _alternatives(tokens, allowed)
    if rest:
        raise LicenseError(f"{expression!r}: {rest[0]!r} stands where the licence expression should end")
    return value


@functools.lru_cache(maxsize=4096)
def _reason(expression: str | None, allowed: frozenset[str], keep_unknown: bool) -> str | None:
    if expression is None or not expression.strip():
        return None if keep_unknown else "license.unknown"
    try:
        return None if is_allowed(expression, allowed) else "license.denied"
    except LicenseError:
        return None if keep_unknown else "license.unreadable"


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    place = 0
    while place < len(expression.rstrip()):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise LicenseError(f"{expression!r}: character {place} belongs to no licence expression")
        word = match[1].upper()
        tokens.append(word if word in _WORDS else match[1])
        place = match.end()
    return tokens


def _alternatives(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    """`all-of {OR all-of}`: its value and the tokens behind it."""
    value, rest = _all_of(tokens, allowed)
    while rest[:1] == ["OR"]:
        other, rest = _all_of(rest[1:], allowed)
        value = value or other
    return value, rest


def _all_of(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    """`single {AND single}`."""
    value, rest = _single(tokens, allowed)
    while rest[:1] == ["AND"]:
        other, rest = _single(rest[1:], allowed)
        value = value and other
    return value, rest


def _single(tokens: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    """`( alternatives )`, `id`, or `id WITH exception`."""
    head, rest = tokens[:1], tokens[1:]
    if head == ["("]:
        value, rest = _alternatives(rest, allowed)
        if rest[:1] != [")"]:
            raise LicenseError("a parenthesis is not closed")
        return value, rest[1:]
    if not head or head[0] in _WORDS or head[0] == ")":
        raise LicenseError(f"a licence id is missing before {head[0] if head else 'the end'!r}")
    if rest[:1] == ["WITH"]:
        if not rest[1:] or rest[1] in (*_WORDS, "(", ")"):
            raise LicenseError("an exception is missing after WITH")
        rest = rest[2:]
    return head[0].removesuffix("+").lower() in allowed, rest
