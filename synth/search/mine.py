"""Facts of a page, each with the characters that state it.

    infobox     **License**: MIT                         (page, license, MIT); values are apart by semicolons
    table       | Date | Version | and rows below        (page linked in the row, date, ...), and (page, version, page linked in the row)
    definition  the first sentence below the title       (page, description, ...)
    link        - [re](...) below the heading Modules    (page, modules, page); by the words before it; else (page, links to, page)

What names a relation is the page's own label, so precision rests on labels: one of more than five words, or with signs of code in it, names
nothing. A link that leads to no page of ours is no relation to a page; where it is a value (a home page), its words are the value.
8 MB of Markdown with 14,000 facts take 0.5 CPU seconds. Not covered: sentences (see `synth.search.sentences`), cells that span rows.
"""

import re
from collections.abc import Callable, Iterator

from synth.search.markdown import LINK, Line, cells, lines, plain
from synth.search.task import Fact, Page, Span

DESCRIPTION, LINKS_TO = "description", "links to"
MAX_VALUE_CHARS, MAX_LABEL_CHARS, MAX_LABEL_WORDS = 300, 40, 5
MAX_LOOSE_LINKS = 60  # per page: what links to more is a list of everything
MAX_FACTS = 1_000  # per page
MAX_INFOBOX_HEADINGS = 2  # below more, a pair is about what the heading names

Find = Callable[[str], str | None]  # a URL -> the id of the page there

_LABEL = re.compile(r"[^\W\d_][\w '’/&-]*")
_CODE = re.compile(r"[_(){}=<>\\]|\w\.\w")
_CODE_LINE = re.compile(r"[_*={}<>]|;\Z")
_GENERIC_HEADINGS = frozenset(
    {"contents", "see also", "references", "external links", "further reading", "overview", "notes", "index", "details"}
)
_SEPARATOR = re.compile(r"; (?![^\[]*\]\()")  # not within the words of a link
_SENTENCE = re.compile(r"(.+?[.!?])(?:\s|\Z)", re.S)
_ABBREVIATED = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Dr|Mr|Mrs|St|Inc|Ltd|No|v)|\b[A-Z])\.\Z")
_BEFORE = re.compile(
    r"\b(depends on|part of|based on|subclass of|written in|replaced by|derived from|alternative to|similar to|superseded by|successor of"
    r"|fork of|wrapper for|wrapper around|extends|implements|requires|deprecated in favou?r of|directed by|written by|produced by"
    r"|composed by|founded by|performed by|published by|designed by|developed by|starring)\W{0,3}(?:the |an? )?\Z",
    re.I,
)


def mine(page: Page, find: Find) -> list[Fact]:
    """The facts that a page states, in text order and without repetitions, at most `MAX_FACTS`."""
    found: dict[tuple[str, str, str], Fact] = {}
    loose: list[Fact] = []
    for fact in _stated(page, find):
        if fact.is_page and fact.object == fact.subject:
            continue
        if fact.relation == LINKS_TO:
            loose.append(fact)
        elif len(found) < MAX_FACTS:
            found.setdefault(fact[:3], fact)
    related = {(fact.subject, fact.object) for fact in found.values()}
    links = {fact[:3]: fact for fact in reversed(loose) if (fact.subject, fact.object) not in related}
    if len(links) <= MAX_LOOSE_LINKS:
        found |= links
    return sorted(found.values(), key=lambda fact: (fact.span, fact))


def label(words: str) -> str:
    """What a heading, a header cell or the name of a pair says as the name of a relation; "" where it names none."""
    text = " ".join(words.split()).rstrip(":").casefold()
    is_name = len(text) <= MAX_LABEL_CHARS and len(text.split()) <= MAX_LABEL_WORDS and _LABEL.fullmatch(text)
    return text if is_name and not _CODE.search(words) else ""


def _stated(page: Page, find: Find) -> Iterator[Fact]:
    heading, num_headings, is_defined = "", 0, False
    header: list[str] = []
    for line in lines(page.text):
        if line.kind != "row" or not header:
            header = cells(line.value) if line.kind == "header" else []
        if line.kind == "heading":
            num_headings += 1
            heading = label(line.name) if line.level > 1 else ""
        elif line.kind == "header":
            continue
        elif line.kind == "row":
            yield from _row(page, line, [label(plain(cell)) for cell in header], find)
            continue
        elif line.kind == "pair" and num_headings <= MAX_INFOBOX_HEADINGS:
            yield from _pair(page, line, find)
            continue
        elif line.kind == "text" and not is_defined and num_headings < 3 and (fact := _definition(page, line)):
            is_defined = True
            yield fact
        yield from _links(page, line, heading, find)


def _pair(page: Page, line: Line, find: Find) -> Iterator[Fact]:
    relation = label(line.name)
    span = Span(page.id, line.start, line.length)
    for value in _SEPARATOR.split(line.value) if relation else ():
        yield from _valued(page.id, relation, value, span, "infobox", find)


def _valued(subject: str, relation: str, written: str, span: Span, how: str, find: Find) -> Iterator[Fact]:
    """What a cell or a value of a pair says: one page, or words. Pages among other words are only linked to."""
    link = LINK.fullmatch(written.strip())
    target = find(link[2]) if link else None
    value = " ".join(plain(written).split())
    if target:
        yield Fact(subject, relation, target, True, span, how)
    elif 0 < len(value) <= MAX_VALUE_CHARS and re.search(r"\w", value):
        yield Fact(subject, relation, value, False, span, how)


def _row(page: Page, line: Line, header: list[str], find: Find) -> Iterator[Fact]:
    """A row is about the page that its first cell with a page names; without such a cell it is about nothing we know."""
    row = cells(line.value)
    targets = [find(link[2]) if (link := LINK.fullmatch(cell)) else None for cell in row]
    place = next((number for number, target in enumerate(targets) if target), None)
    if place is None or len(header) < len(row):
        return
    subject = str(targets[place])
    span = Span(page.id, line.start, line.length)
    yield Fact(page.id, header[place] or LINKS_TO, subject, True, span, "table" if header[place] else "link")
    for number, cell in enumerate(row):
        if number != place and header[number]:
            yield from _valued(subject, header[number], cell, span, "table", find)


def _links(page: Page, line: Line, heading: str, find: Find) -> Iterator[Fact]:
    """Links in prose and lists. An item that is headed by its only link is one of what the heading above names."""
    if "](" not in line.value:
        return
    links = [(link, target) for link in LINK.finditer(line.value) if (target := find(link[2]))]
    is_named = (
        line.kind == "item"
        and len(links) == 1
        and links[0][0].start() == 0
        and heading
        and heading not in _GENERIC_HEADINGS
    )
    for link, target in links:
        words = _BEFORE.search(line.value[max(0, link.start() - 40) : link.start()])
        relation = heading if is_named else words[1].lower() if words else LINKS_TO
        span = Span(page.id, line.value_start + link.start(), len(link[0]))
        yield Fact(page.id, relation, target, True, span, "link")


def _definition(page: Page, line: Line) -> Fact | None:
    """The first sentence of prose: three words or more, few signs, and no line that is a link."""
    sentence = " ".join(first_sentence(plain(line.value)).split())
    letters = sum(sign.isalpha() or sign.isspace() for sign in sentence)
    is_prose = len(sentence.split()) >= 3 and sentence[:1].isupper() and letters >= 0.85 * len(sentence)
    if (
        not is_prose
        or len(sentence) > MAX_VALUE_CHARS
        or _CODE_LINE.search(sentence)
        or LINK.fullmatch(line.value.strip())
    ):
        return None
    return Fact(page.id, DESCRIPTION, sentence, False, Span(page.id, line.start, line.length), "definition")


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends no abbreviation and no initial, or all."""
    end = 0
    for match in _SENTENCE.finditer(text[:2_000]):
        end = match.end(1)
        if not _ABBREVIATED.search(text[:end]):
            return text[:end]
    return text[:end] or text
