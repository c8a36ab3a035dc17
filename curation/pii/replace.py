"""Personal data in a text becomes placeholders: e-mail and IP addresses, phone, card and bank account numbers, keys and passwords.

A document is searched for a kind only where RE2 found a trace of it (in Arrow, all documents at once, linear time), so documents
without personal data cost little: 20,000 pieces of news or source code of 2 kB pass per CPU second, 10,000 web pages of which every tenth
has an address or a phone number. What the finders take and what they leave is told by `curation.pii.numbers`, `curation.pii.national` and
`curation.pii.keys`, and here for addresses. Found in 17 M characters of source code: 6 e-mail addresses, no number, and one key that is
none; in 7 M of arithmetic problems 3 figures behind the word "phone". What names nobody stays:

- addresses at domains reserved for examples (RFC 2606), `git@` hosts, and file names that look like an address (`logo@2x.png`);
- IP addresses of private, reserved and documentation networks; four numbers that read as a version or a section number: three of them
  below 20, part of a name (`Chrome/3.0.195.27`), or after a word such as "version".

All patterns are bounded, so the time is linear in the text: at most 2.5 s of CPU for a megabyte made against them. Not covered: names and
postal addresses of people, addresses spelt out ("jane at example dot org"), and what is broken by markup. `loss_spans` move along with
the text.
"""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.edits import Edit, moved, replaced
from curation.pii import keys as pii_keys
from curation.pii import numbers as pii_numbers
from curation.steps import COUNTS
from datapipe.schema import LOSS_SPANS, LOSS_SPANS_TYPE, with_column

Ranges = list[tuple[int, int]]


class Kind(NamedTuple):
    """One kind of personal data."""

    placeholder: str
    trace: str  # an RE2 pattern that every text with this kind has
    find: Callable[[str], Ranges]  # [start, end) of each, in order


_DOMAIN = re.compile(r"@((?:[A-Za-z0-9-]{1,63}+\.){1,8}([A-Za-z]{2,24}))(?![A-Za-z0-9-])")
_LOCAL_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+'-"
_MAX_LOCAL_CHARS = 64  # RFC 5321
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|org|net|edu))?|invalid|test|localhost)$", re.IGNORECASE)
_FILE_ENDINGS = frozenset(
    "png jpg jpeg gif svg webp avif ico bmp css scss js mjs map json html htm php pdf mp4 zip gz tgz".split()  # noqa: SIM905
)
_NO_PERSON = frozenset(("git",))

_IPV4 = re.compile(r"\d(?<![\w.]\d)\d{0,2}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?!\w|\.\w)")
_IPV6 = re.compile(r"[23](?<![\w:.][23])[0-9A-Fa-f]{3}(?:::?[0-9A-Fa-f]{1,4}){1,7}(?:::)?(?![\w:])")
_VERSION_WORD = re.compile(
    r"(?:\bversions?|\bver|\bv|\brelease|\bbuild|\bfirmware|\bsections?|\bsec|\bchapter|\bclause|\bparagraph|\boid|\brev|§)[\s.:#=]{0,3}$",
    re.IGNORECASE,
)
_VERSION_NUMBERS = 20  # four numbers of which three are below are a version: 0.2 % of the addresses are such
_SEARCHES, _SEARCHED_CHARS = 12, 1_000_000


def find_emails(text: str) -> Ranges:
    found = []
    for match in _DOMAIN.finditer(text):
        before = text[max(0, match.start() - _MAX_LOCAL_CHARS) : match.start()]
        local = before[len(before.rstrip(_LOCAL_CHARS)) :].lstrip("._%+'-")
        domain, ending = match.groups()
        stays = local.lower() in _NO_PERSON or ending.lower() in _FILE_ENDINGS or _RESERVED.search(domain)
        if local and not stays:
            found.append((match.start() - len(local), match.end()))
    return pii_numbers.disjoint(found)


def find_ips(text: str) -> Ranges:
    found = [match.span() for match in _IPV4.finditer(text) if _is_public(match[0]) and not _is_version(match)]
    return sorted(found + [match.span() for match in _IPV6.finditer(text) if _is_public(match[0])])


KINDS = {  # in the order in which they are looked for
    "key": Kind("<KEY>", pii_keys.TRACE, pii_keys.find),
    "card": Kind("<CARD>", r"\d{4}[ -]?\d{4,6}[ -]?\d{4}", pii_numbers.find_cards),
    "iban": Kind("<IBAN>", r"[A-Z]{2}\d{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}", pii_numbers.find_ibans),
    "email": Kind("<EMAIL>", r"[A-Za-z0-9._%+'-]@[A-Za-z0-9-]+\.", find_emails),
    "ip": Kind("<IP>", r"\d\.\d{1,3}\.\d{1,3}\.\d|[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]", find_ips),
    "phone": Kind("<PHONE>", pii_numbers.PHONE_TRACE, pii_numbers.find_phones),
}


def replace(
    docs: pa.Table, *, kinds: Sequence[str] = tuple(KINDS), placeholders: Mapping[str, str] | None = None
) -> pa.Table:
    """The documents with placeholders for personal data; `meta` counts them by kind: `"pii": {"email": 2}`.

    `kinds`: which to look for, of key, card, iban, email, ip, phone. `placeholders`: another text by kind, for instance
    `{email: email@example.com}`. A second run with the same parameters changes nothing, unless a placeholder
    is empty, or hundreds of finds stand in a row without a blank.
    Raises ValueError as `check` does.
    """
    check(kinds=kinds, placeholders=placeholders)
    named = {name: (placeholders or {}).get(name, kind.placeholder) for name, kind in KINDS.items() if name in kinds}
    texts, traces = docs["text"], dict[int, list[str]]()
    for name in named:
        has_trace = pc.fill_null(pc.match_substring_regex(texts, KINDS[name].trace), False)
        for row in np.flatnonzero(has_trace.to_numpy()).tolist():
            traces.setdefault(row, []).append(name)
    changed: dict[int, str] = {}
    edits: dict[int, list[Edit]] = {}
    counts: dict[int, Counter[str]] = {}
    for row in sorted(traces):
        text = texts[row].as_py()
        if found := _found(text, traces[row], named):
            edits[row] = [Edit(start, end, named[name]) for start, end, name in found]
            changed[row] = replaced(text, edits[row])
            counts[row] = Counter(name for _, _, name in found)
    if not changed:
        return docs
    total = sum(counts.values(), Counter[str]())
    return _changed(docs, changed, counts, edits).replace_schema_metadata({COUNTS: json.dumps(total)})


def _found(text: str, traced: Sequence[str], named: Mapping[str, str]) -> list[tuple[int, int, str]]:
    """(start, end, kind) of all personal data in order. `traced`: the kinds that the text has a trace of, `named`: all, with placeholders.

    A placeholder is a border: what is between two is searched as if it stood alone. So is what is left beside a find, for every kind and
    until there is nothing: the text with placeholders is then one in which nothing is found, whatever touched each other. Where numbers
    touch by the dozen each search may find one, in quadratic time: after `_SEARCHES` and a number that falls with the text's length
    (212 in a text of 5,000 characters) the rest of such a row is left to a second run.
    """
    again = tuple(name for name in named if name in traced or name == "phone")  # its trace may be a border
    most, found = _SEARCHES + _SEARCHED_CHARS // max(1, len(text)), list[tuple[int, int, str]]()
    pieces = [(start, end, tuple(traced), 1) for start, end in _between_placeholders(text, named.values())]
    while pieces:
        start, end, kinds, depth = pieces.pop()
        piece = text[start:end]
        for name in kinds:
            ranges = [(a, b) for a, b in KINDS[name].find(piece) if piece[a:b] != named[name]]
            found += [(start + a, start + b, name) for a, b in ranges]
            if ranges and depth < most:
                order = again[again.index(name) :] + again[: again.index(name)]
                borders = [start, *(start + border for one in ranges for border in one), end]
                pieces += [(a, b, order, depth + 1) for a, b in zip(borders[::2], borders[1::2], strict=True) if a < b]
            if ranges:
                break
    return sorted(found)


def _between_placeholders(text: str, placeholders: Iterable[str]) -> Ranges:
    """[start, end) of what is no placeholder. One that ends in a letter or digit is one if none follows, and so at its start."""
    whole = [
        rf"{'(?<![A-Za-z0-9])' * one[0].isalnum()}{re.escape(one)}{'(?![A-Za-z0-9])' * one[-1].isalnum()}"
        for one in sorted(placeholders, key=len, reverse=True)
        if one
    ]
    borders = [0, *(border for match in re.finditer("|".join(whole) or "(?!)", text) for border in match.span())]
    borders.append(len(text))
    return [(start, end) for start, end in zip(borders[::2], borders[1::2], strict=True) if start < end]


def check(*, kinds: Sequence[str] = tuple(KINDS), placeholders: Mapping[str, str] | None = None) -> None:
    """Raises ValueError for kinds there are not, and for placeholders that are no text."""
    if isinstance(kinds, str):
        raise ValueError(f"pii.replace: kinds is the text {kinds!r}, but it is a list: type [{kinds}]")
    for name in (*kinds, *(placeholders or {})):
        if name not in KINDS:
            raise ValueError(f"pii.replace: {name!r} is no kind of personal data here: type some of {', '.join(KINDS)}")
    for name, text in (placeholders or {}).items():
        if not isinstance(text, str):
            raise ValueError(
                f"pii.replace: the placeholder of {name} is {text!r}: type a text such as {KINDS[name].placeholder}"
            )


def _changed(
    docs: pa.Table,
    changed: Mapping[int, str],
    counts: Mapping[int, Mapping[str, int]],
    edits: Mapping[int, Sequence[Edit]],
) -> pa.Table:
    texts, metas = docs["text"].to_pylist(), docs["meta"].to_pylist()
    for row, text in changed.items():
        texts[row] = text
        metas[row] = json.dumps(_counted(json.loads(metas[row] or "{}"), counts[row]))
    if LOSS_SPANS in docs.column_names:
        spans = docs[LOSS_SPANS].to_pylist()
        for row, made in edits.items():
            spans[row] = None if spans[row] is None else moved(spans[row], made)
        docs = with_column(docs, LOSS_SPANS, pa.array(spans, LOSS_SPANS_TYPE))
    docs = with_column(docs, "text", pa.array(texts, pa.large_string()))
    return with_column(docs, "meta", pa.array(metas, pa.string()))


def _counted(meta: dict[str, object], counts: Mapping[str, int]) -> dict[str, object]:
    before = meta.get("pii")
    total = Counter(before if isinstance(before, dict) else {}) + Counter(counts)
    return {**meta, "pii": {name: total[name] for name in KINDS if name in total}}


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _is_version(match: re.Match[str]) -> bool:
    start = match.start()
    before = match.string[max(0, start - 16) : start]
    large = sum(int(number) >= _VERSION_NUMBERS for number in match[0].split("."))
    return large < 2 or bool(re.search(r"[A-Za-z][/_#-]$", before) or _VERSION_WORD.search(before))
