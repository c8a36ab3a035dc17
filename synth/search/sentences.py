"""Facts in the opening of an encyclopedic page, where sentences have a form of their own.

    Ventura Pons (born 25 July 1945) is a Spanish film director.    born: 25 July 1945; kind: Spanish film director
    Mektoub is a 1997 film directed by Nabil Ayouch.                year: 1997; directed by: Nabil Ayouch, the page where there is one
    ... names of other pages, of two words or more                  mentions: the page

Only the first `MAX_OPENING_CHARS` before the second heading are read. English only. By hand, on 100 facts of 2Wiki passages: 96 are
stated as mined. Not covered: pronouns, and who is meant where two pages have one title.
"""

import re
from collections.abc import Callable, Iterator

from synth.search.markdown import LINK, lines
from synth.search.mine import label
from synth.search.task import Fact, Page, Span
from synth.search.values import date

MAX_OPENING_CHARS = 1_500
MAX_KIND_WORDS = 8
MAX_SUBJECT_CHARS = 60
MENTIONS = "mentions"

Named = Callable[[str], str | None]  # a title -> the id of the only page that has it

_CAPITAL = r"(?:(?:[A-Z]\.)+|(?:Jr|Sr|St|Dr)\.|[^\W\d_a-z][\w’'-]*)"
_SMALL = r"(?:of|de|von|van|der|del|di|da|le|la)(?: the)?"
_NAME = rf"{_CAPITAL}(?: (?:{_SMALL} )?{_CAPITAL}){{0,5}}"
_DAY = r"(?:\d{1,2} [A-Z][a-z]{2,8},? \d{4}|[A-Z][a-z]{2,8} \d{1,2}, \d{4}|[A-Z][a-z]{2,8} \d{4}|\d{4})"
_LIFE = re.compile(
    rf"\(\s*(?:[^()]{{0,60}}?[;,] )?(?P<born>{_DAY})(?:,? in [^()–]{{3,40}})?\s?[–-]\s?(?P<died>{_DAY})\b"
)
_BORN = re.compile(rf"\(\s*(?:[^()]{{0,40}}?\b)?born\s+(?:on )?(?P<born>{_DAY})(?:,? in (?P<place>{_NAME}))?")
_DIED = re.compile(rf"\(\s*(?:d\.|died)\s+(?P<died>{_DAY})")
_IS = re.compile(r"\b(?:is|was) (?:an?|the) (?P<kind>(?:[\w’'-]+ ){0,10}[\w’'-]+)")
_KIND_END = re.compile(
    r" (?:who|whose|which|that|where|when|by|in|of|from|for|on|at|to|and|as|with|adapted|based|born|built|directed|found|founded|held"
    r"|located|made|produced|published|recorded|released|set|shot|starring|used|written)\b"
)
_RELATED = re.compile(
    r"\b(?:brother|child|daughter|first|husband|member|mother|father|name|one|part|second|sister|son|wife|grand\w+|great-\S+)\b"
)
_BY = re.compile(
    rf"\b(?P<verb>directed|written|produced|composed|founded|performed|published|designed|developed) by (?P<who>{_NAME}(?: and {_NAME})?)"
)
_STARRING = re.compile(rf"\b(?:stars|starring) (?P<who>{_NAME}(?:(?:, | and |, and ){_NAME}){{0,5}})")
_CHILD = re.compile(rf"\b(?:son|daughter|child) of (?:King |Queen |Duke |Emperor |Count )?(?P<who>{_NAME})")
_PLACED = re.compile(rf"\b(?P<verb>located|situated|born|based) in (?:the )?(?P<place>{_NAME})")
_RELEASED = re.compile(rf"\breleased (?:on|in) (?P<day>{_DAY})")
_TITLE = re.compile(rf"{_CAPITAL}(?: (?:(?:{_SMALL}|the|and) )?{_CAPITAL}){{1,6}}")
_APART = re.compile(r", and |, | and ")


def stated(page: Page, named: Named) -> Iterator[Fact]:
    """The facts of a page's opening, in text order of their sentences."""
    for start, text in _opening(page.text):
        seen: set[str] = set()
        for relation, value, place in _found(text, page.title):
            target = named(value)
            if target == page.id:
                continue
            seen.add(target or "")
            span = Span(page.id, start + place, len(value))
            yield Fact(page.id, relation, target or value, target is not None, span, "sentence")
        for place, name in _names(text, named):
            target = named(name)
            if target and target != page.id and target not in seen and name not in page.title:
                seen.add(target)
                yield Fact(page.id, MENTIONS, target, True, Span(page.id, start + place, len(name)), "sentence")


def _names(text: str, named: Named) -> Iterator[tuple[int, str]]:
    """Titles of pages among capitalised words, each with its place: at every word the longest."""
    for run in _TITLE.finditer(text):
        words = [(word.start(), word.end()) for word in re.finditer(r"\S+", run[0])]
        first = 0
        while first < len(words):
            ends = [
                last for last in range(len(words), first + 1, -1) if named(run[0][words[first][0] : words[last - 1][1]])
            ]
            if ends:
                yield run.start() + words[first][0], run[0][words[first][0] : words[ends[0] - 1][1]]
            first = ends[0] if ends else first + 1


def _opening(text: str) -> Iterator[tuple[int, str]]:
    """Lines of prose before the second heading, with their places. What links stand in is left to `synth.search.mine`."""
    num_headings = 0
    for line in lines(text[:MAX_OPENING_CHARS]):
        num_headings += line.kind == "heading"
        if num_headings > 1:
            return
        if line.kind == "text":
            yield line.value_start, LINK.sub(lambda link: " " * len(link[0]), line.value)


def _found(text: str, title: str) -> Iterator[tuple[str, str, int]]:
    """(relation, value, place in the text). Life and kind are told by a sentence that begins with the title."""
    if title.split()[:1] and title.split()[0].casefold() in re.findall(r"[^\s(]+", text[:MAX_SUBJECT_CHARS].casefold()):
        yield from _life_and_kind(text)
    for match in _BY.finditer(text):
        yield from _people(f"{match['verb']} by", match)
    for match in _STARRING.finditer(text):
        yield from _people("starring", match)
    for match in _CHILD.finditer(text):
        yield from _people("child of", match)
        break
    for match in _PLACED.finditer(text):
        yield label(f"{match['verb']} in"), match["place"], match.start("place")
        break
    for match in _RELEASED.finditer(text):
        yield "released", match["day"], match.start("day")
        break


def _life_and_kind(text: str) -> Iterator[tuple[str, str, int]]:
    for pattern in (_LIFE, _BORN, _DIED):
        if life := pattern.search(text, 0, 300):
            days = [day for group in pattern.groupindex if group != "place" and (day := date(life[group]))]
            if pattern is _LIFE and not any(day.month for day in days):
                continue  # "(1957–1998)" may be the time of anything
            groups = {"born": "born", "died": "died", "place": "born in"}
            for group in pattern.groupindex:
                if life[group] and (group == "place" or date(life[group])):
                    yield groups[group], life[group], life.start(group)
            break
    if (found := _IS.search(text, 0, 400)) and (kind := _kind(found["kind"])):
        year = re.match(r"(1[89]\d\d|20\d\d) ", kind)
        yield "kind", kind, found.start("kind")
        if year:
            yield "year", year[1], found.start("kind")


def _people(relation: str, match: "re.Match[str]") -> Iterator[tuple[str, str, int]]:
    place = match.start("who")
    for name in _APART.split(match["who"]):
        start = match["who"].index(name)
        if len(name.split()) > 1:
            yield relation, name, place + start


def _kind(words: str) -> str:
    """What something is, up to the first word that tells more of it; "" for what is too long to be a kind."""
    kind = words[: end.start()] if (end := _KIND_END.search(words)) else words
    return kind if len(kind.split()) <= MAX_KIND_WORDS and len(kind) >= 4 and not _RELATED.search(kind) else ""
