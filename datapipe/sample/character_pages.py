"""Characters as a fourth site of the crawl: letters, digits and signs, by the interpreter's copy of the Unicode Character Database.

A page per character of HTML's named entities and of three old alphabets of eight bits, one per category, and one per encoding. They
speak of each other by case, by decomposition, and by what is encoded where. 520 pages take 0.1 CPU seconds.
"""

import html
import unicodedata
from collections.abc import Iterator
from encodings.aliases import aliases
from html.entities import codepoint2name

from datapipe.sample.environment import PYTHON_LICENSE, stable_rank
from datapipe.sample.index_pages import slug
from datapipe.sample.site_pages import reference_page
from datapipe.sample.warc import RECORD_OVERHEAD_BYTES, Capture

CHARACTERS = "https://characters.example/"
ALPHABETS = {"ISO 8859-2": "iso8859_2", "ISO 8859-5": "iso8859_5", "ISO 8859-7": "iso8859_7"}
ENCODINGS = {
    **ALPHABETS,
    "ISO 8859-1": "latin_1",
    "ISO 8859-9": "iso8859_9",
    "ISO 8859-13": "iso8859_13",
    "ISO 8859-15": "iso8859_15",
    "Windows 1250": "cp1250",
    "Windows 1251": "cp1251",
    "Windows 1252": "cp1252",
    "Windows 1253": "cp1253",
    "DOS 437": "cp437",
    "DOS 850": "cp850",
    "DOS 866": "cp866",
    "KOI8-R": "koi8_r",
    "KOI8-U": "koi8_u",
    "Mac Roman": "mac_roman",
    "Mac Greek": "mac_greek",
    "Mac Cyrillic": "mac_cyrillic",
    "HP Roman-8": "hp_roman8",
}
CATEGORIES = {
    "Lu": "Uppercase letter",
    "Ll": "Lowercase letter",
    "Lm": "Modifier letter",
    "Lo": "Other letter",
    "Mn": "Combining mark",
    "Nd": "Decimal digit",
    "No": "Other number",
    "Pc": "Connecting punctuation",
    "Pd": "Dash",
    "Ps": "Opening bracket",
    "Pe": "Closing bracket",
    "Pi": "Opening quotation mark",
    "Pf": "Closing quotation mark",
    "Po": "Other punctuation",
    "Sm": "Mathematical symbol",
    "Sc": "Currency symbol",
    "Sk": "Modifier symbol",
    "So": "Other symbol",
}
Facts = dict[str, list[str]]  # name -> values as HTML
MIN_CODE = 0x80  # below, nearly every encoding has the same byte


def character_captures(*, max_bytes: int) -> Iterator[Capture]:
    """The pages, up to `max_bytes`, in stable pseudo-random order."""
    size_bytes = 0
    for capture in sorted(_captures(), key=lambda capture: stable_rank(capture.uri)):
        size_bytes += len(capture.body) + RECORD_OVERHEAD_BYTES
        if size_bytes > max_bytes:
            return
        yield capture


def characters() -> list[str]:
    """Those that have a page, with the parts that they decompose to and their other case, in the order of their code points."""
    upper_half = bytes(range(0xA0, 0x100))
    found = {chr(code) for code in (*codepoint2name, *range(0x21, 0x7F))}
    found |= {character for codec in ALPHABETS.values() for character in upper_half.decode(codec, "ignore")}
    found |= {part for character in found for part in unicodedata.normalize("NFD", character)}
    found |= {other for character in found for other in (character.upper(), character.lower()) if len(other) == 1}
    return sorted(character for character in found if unicodedata.category(character) in CATEGORIES)


def _captures() -> Iterator[Capture]:
    known = characters()
    for character in known:
        yield _capture("character", _title(character), *_told(character, frozenset(known)))
    for code, name in CATEGORIES.items():
        members = [character for character in known if unicodedata.category(character) == code]
        facts = {"Code": [code], "Number of characters": [str(len(members))]}
        lead = f"{name} is the category of {len(members)} characters on this site."
        yield _capture("category", name, lead, facts, {"Characters": [_to(one) for one in members]})
    for name, codec in ENCODINGS.items():
        members = [character for character in known if _byte(character, codec)]
        facts = {
            "Aliases": sorted(alias for alias, meant in aliases.items() if meant == codec),
            "Number of characters": [str(len(members))],
        }
        lead = f"{name} is an encoding of eight bits that has {len(members)} of the characters on this site beside those of ASCII."
        yield _capture("encoding", name, lead, facts, {"Characters": [_to(one) for one in members]})


def _told(character: str, known: frozenset[str]) -> tuple[str, Facts, Facts]:
    code = ord(character)
    category = CATEGORIES[unicodedata.category(character)]
    parts = [part for part in unicodedata.normalize("NFD", character) if part != character and part in known]
    spelled = unicodedata.normalize("NFKC", character)
    other = character.lower() if character.isupper() else character.upper()
    value = unicodedata.numeric(character, None)
    stored = {name: byte for name, codec in ENCODINGS.items() if (byte := _byte(character, codec))}
    facts = {
        "Character": [html.escape(character)],
        "Code point": [f"U+{code:04X}"],
        "Category": [_of("category", category)],
        "HTML name": [codepoint2name[code]] if code in codepoint2name else [],
        f"{'Lowercase' if character.isupper() else 'Uppercase'} form": [_to(other)]
        if other in known - {character}
        else [],
        "Base letter": [_to(part) for part in parts[:1]],
        "Accents": [_to(part) for part in parts[1:]],
        "Written out as": [html.escape(spelled)] if spelled != character and len(spelled) > 1 else [],
        "Numeric value": [f"{value:g}"] if value is not None else [],
    }
    named = "HTML has a name for it" if code in codepoint2name else "HTML has no name for it"
    where = f"in {len(stored)} old encodings of eight bits" if code >= MIN_CODE else "in ASCII and all that add to it"
    lead = f"The character {character} is {where}, and {named}."
    return lead, facts, {"Encodings": [f"{_of('encoding', name)}, as 0x{byte:02X}" for name, byte in stored.items()]}


def _byte(character: str, codec: str) -> int:
    """The byte of a character in an encoding, 0 where it has none or the one that it has in all."""
    encoded = character.encode(codec, "ignore")
    return encoded[0] if len(encoded) == 1 and ord(character) >= MIN_CODE else 0


def _title(character: str) -> str:
    return unicodedata.name(character).capitalize()


def _to(character: str) -> str:
    return _of("character", _title(character))


def _of(kind: str, name: str) -> str:
    return f'<a href="/{kind}/{slug(name)}/">{name}</a>'


def _capture(kind: str, title: str, lead: str, facts: Facts, lists: Facts) -> Capture:
    page = reference_page(title, lead, facts, lists, site="Characters", license=PYTHON_LICENSE)
    return Capture(f"{CHARACTERS}{kind}/{slug(title)}/", page.encode(), license=PYTHON_LICENSE)
