"""What pages state, read a second time: title and address of a page, and its facts as rows (subject, relation, object, is it a page).

The rules are those that `synth.search.pages`, `.markdown` and `.mine` state; here a page is one pass over its lines with a small state.
Facts in sentences (`synth.search.sentences`) are not mined again: `IN_SENTENCES` are their relations.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from synth.checker.row import Document

LINKS_TO, DESCRIPTION = "links to", "description"
IN_SENTENCES = frozenset(
    {"born", "died", "born in", "kind", "year", "starring", "child of", "released", "mentions", "based in", "located in", "situated in"}
    | {
        f"{verb} by"
        for verb in ("directed", "written", "produced", "composed", "founded", "performed", "published", "designed", "developed")
    }
)  # fmt: skip
LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\((https?://[^()\s]{1,2000})\)")
_BEFORE = """
depends on|part of|based on|subclass of|written in|replaced by|derived from|alternative to|similar to|superseded by|successor of
fork of|wrapper for|wrapper around|extends|implements|requires|deprecated in favor of|deprecated in favour of|directed by|written by
produced by|composed by|founded by|performed by|published by|designed by|developed by|starring
"""
_NO_LIST = [
    "contents",
    "see also",
    "references",
    "external links",
    "further reading",
    "overview",
    "notes",
    "index",
    "details",
]
_SHORT = ("e.g.", "i.e.", "etc.", "vs.", "cf.", "Dr.", "Mr.", "Mrs.", "St.", "Inc.", "Ltd.", "No.", "v.")


class Page(NamedTuple):
    id: str
    url: str
    title: str
    text: str


class Fact(NamedTuple):
    subject: str
    relation: str
    object: str
    is_page: bool


class Library:
    """Pages of a world, found by id and by address."""

    def __init__(self, documents: Iterable[Document], most_chars: int = 200_000) -> None:
        self.pages: dict[str, Page] = {}
        self._places: dict[str, str] = {}
        self._other_places: dict[str, str] = {}  # by the addresses that pages call canonical
        for document in sorted(documents, key=lambda one: one.id, reverse=True):
            text = document.text
            if len(text) > most_chars:
                text = text[: text.rfind("\n", 0, most_chars) + 1]
            said = json.loads(document.meta or "{}")
            title = _title(text, str(said.get("title") or ""))
            if title and (place := address(document.origin)):
                self.pages[document.id] = Page(document.id, document.origin, title, text)
                self._places[place] = document.id
                if other := address(str(said.get("canonical") or "")):
                    self._other_places[other] = document.id

    def find(self, url: str) -> str | None:
        place = address(url)
        return self._places.get(place) or self._other_places.get(place)

    def facts(self) -> set[Fact]:
        return {fact for page in self.pages.values() for fact in mined(page, self.find)}


def address(url: str) -> str:
    """What names a page: host, port, path without an index file and final slashes, query; "" of what is no address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    folder, slash, file = parts.path.rpartition("/")
    if re.fullmatch(r"(index|default)\.(html?|php)", file):
        file = ""
    place = f"{folder}{slash}{file}".rstrip("/")
    shown_port = "" if port in (None, 80, 443) else f":{port}"
    return parts.hostname + shown_port + place + (f"?{parts.query}" if parts.query else "")


def words(markdown: str) -> str:
    """Markdown without links, stars, back quotes and escaped bars."""
    text = LINK.sub(lambda link: link[1], markdown)
    for sign, instead in (("\\|", "|"), ("**", ""), ("`", "")):
        text = text.replace(sign, instead)
    return text


def _title(text: str, window: str) -> str:
    heading = next((line for line in text[:5_000].split("\n") if re.match(r"#{1,3} .", line)), "")
    shown = " ".join(words(heading.lstrip("#")[1:]).split())
    window = " ".join(window.split())
    if shown and shown.casefold() in window.casefold():
        return shown[:120]
    return (re.sub(r"\s+[—·|–]\s+[^—·|–]*$", "", window) or shown)[:120]


def label(text: str) -> str:
    """A relation's name, "" of what is none: at most five words and 40 characters, letters first, no signs of code."""
    name = " ".join(text.split()).rstrip(":").casefold()
    if len(name) > 40 or name.count(" ") > 4 or not name or not name[0].isalpha():
        return ""
    if set(text) & set("_(){}=<>\\") or re.search(r"\w\.\w", text):
        return ""
    return name if all(sign.isalnum() or sign in " '’/&-_" for sign in name) else ""


def mined(page: Page, find: Callable[[str], str | None]) -> set[Fact]:
    """The facts of one page: at most 1,000, and mere links only where there are at most 60 besides."""
    named: dict[Fact, None] = {}
    loose: dict[Fact, None] = {}
    for fact in _Reader(page, find).facts():
        if fact.is_page and fact.object == fact.subject:
            continue
        if fact.relation == LINKS_TO:
            loose[fact] = None
        elif len(named) < 1_000:
            named[fact] = None
    related = {(fact.subject, fact.object) for fact in named}
    rest = [fact for fact in loose if (fact.subject, fact.object) not in related]
    return {*named, *(rest if len(rest) <= 60 else ())}


class _Reader:
    """One pass over the lines of a page."""

    def __init__(self, page: Page, find: Callable[[str], str | None]) -> None:
        self.page, self.find = page, find
        self.section, self.headings, self.defined = "", 0, False
        self.columns: list[str] = []  # of the table that is being read

    def facts(self) -> Iterator[Fact]:
        lines = self.page.text.split("\n")
        skip = -1
        for number, line in enumerate(lines):
            if number == skip or not line.strip() or len(line) > 20_000:
                continue
            if _is_row(line):
                below = lines[number + 1] if number + 1 < len(lines) else ""
                if re.fullmatch(r"(?:\|-{3,})+\|", below):
                    skip = number + 1
                    self.columns = self.columns or []
                    self.columns = [label(words(cell)) for cell in _cells(line)]
                else:
                    yield from self._row(line)
                continue
            self.columns = []
            yield from self._line(line)

    def _line(self, line: str) -> Iterator[Fact]:
        heading = re.match(r"(#{1,6}) (.+)$", line)
        pair = re.match(r"\s*(?:- )?\*\*(.{1,400}?)\*\*: (.+)$", line)
        item = re.match(r"\s*- (.+)$", line)
        if heading:
            self.headings += 1
            self.section = label(words(heading[2])) if len(heading[1]) > 1 else ""
            yield from self._links(heading[2], is_item=False)
        elif pair and self.headings <= 2:
            if relation := label(words(pair[1])):
                for value in re.split(r"; (?![^\[]*\]\()", pair[2]):
                    yield from self._value(self.page.id, relation, value)
        elif pair:
            yield from self._links(pair[2], is_item=False)
        elif item:
            yield from self._links(item[1], is_item=True)
        else:
            text = line.lstrip()
            if not self.defined and self.headings < 3 and (sentence := _definition(text)):
                self.defined = True
                yield Fact(self.page.id, DESCRIPTION, sentence, False)
            yield from self._links(text, is_item=False)

    def _value(self, subject: str, relation: str, written: str) -> Iterator[Fact]:
        link = LINK.fullmatch(written.strip())
        if link and (target := self.find(link[2])):
            yield Fact(subject, relation, target, True)
            return
        value = " ".join(words(written).split())
        if len(value) <= 300 and any(sign.isalnum() or sign == "_" for sign in value):
            yield Fact(subject, relation, value, False)

    def _row(self, line: str) -> Iterator[Fact]:
        cells = _cells(line)
        if len(self.columns) < len(cells):
            return
        links = [LINK.fullmatch(cell) for cell in cells]
        targets = [self.find(link[2]) if link else None for link in links]
        about = next((place for place, target in enumerate(targets) if target), None)
        if about is None:
            return
        subject = str(targets[about])
        yield Fact(self.page.id, self.columns[about] or LINKS_TO, subject, True)
        for place, cell in enumerate(cells):
            if place != about and self.columns[place]:
                yield from self._value(subject, self.columns[place], cell)

    def _links(self, text: str, *, is_item: bool) -> Iterator[Fact]:
        found = [(link, target) for link in LINK.finditer(text) if (target := self.find(link[2]))]
        heads = is_item and len(found) == 1 and found[0][0].start() == 0
        of_list = self.section if heads and self.section and self.section not in _NO_LIST else ""
        for link, target in found:
            yield Fact(self.page.id, of_list or _said_before(text[: link.start()]) or LINKS_TO, target, True)


def _said_before(text: str) -> str:
    """The verb before a link, with at most three signs and an article between."""
    near = text[-40:]
    for verb in (verb for line in _BEFORE.split("\n") for verb in line.split("|") if verb):
        found = re.search(rf"\b{verb}\W{{0,3}}(?:the |an? )?\Z", near, re.I)
        if found:
            return verb
    return ""


def _is_row(line: str) -> bool:
    return line.startswith("| ") and line.endswith(" |") and not re.match(r"#", line)


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line[1:-1])]


def _definition(line: str) -> str:
    """The first sentence of a line of prose, "" where it is none."""
    if LINK.fullmatch(line.strip()):
        return ""
    text = words(line)[:2_000]
    ends = [found.start() + 1 for found in re.finditer(r"[.!?](?=\s|\Z)", text) if found.start() > 0]
    sentence = next(
        (text[:end] for end in ends if not _is_short(text[:end])), text[: ends[-1]] if ends else words(line)
    )
    sentence = " ".join(sentence.split())
    plain = sum(sign.isalpha() or sign.isspace() for sign in sentence)
    is_prose = len(sentence.split()) >= 3 and sentence[0].isupper() and plain >= 0.85 * len(sentence)
    is_code = set(sentence) & set("_*={}<>") or sentence.endswith(";")
    return sentence if is_prose and not is_code and len(sentence) <= 300 else ""


def _is_short(text: str) -> bool:
    """Whether a text ends in an abbreviation or an initial."""
    last = re.search(r"(?<!\w)(?:\w\.)?\w+\.\Z", text)
    return last is not None and (last[0] in _SHORT or re.search(r"\b[A-Z]\.\Z", text) is not None)
