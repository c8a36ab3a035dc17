"""Facts in running English text: definitions, glossary entries, and what a section says first.

Works on what extraction leaves: paragraphs on one line (web pages) and hard-wrapped ones (books, docstrings) alike. The patterns are
narrow on purpose: a missed definition costs nothing, a wrong one teaches nonsense. English only; other languages match nothing.
"""

import re
from collections.abc import Iterator

from synth.evidence import Fact, FactKind, fold

Span = tuple[int, int]  # [begin, end) in characters

WRAP_CHARS = 100  # a longer line is a paragraph of its own
SHORT_LINE_CHARS = 50  # a shorter line ends its paragraph: a heading, or the last line of a wrapped one
MAX_SENTENCE_CHARS = 400
MIN_ANSWER_CHARS = 15

_LINE = re.compile(r"^([ \t]*)(\S[^\n]*)$", re.M)
_OPENS_PARAGRAPH = re.compile(r"(?:[-*+•|#@:]|\d+[.)]|>>>|\.\.\.|\.\. |def |class |\"\"\"|''')")
_BULLET = re.compile(r"(?:[-*+•]|\d+[.)])\s+")
_HANGING = re.compile(r"(?:[-*+•:]|\d+[.)])\s")
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s+(?:[A-Z0-9]|[\"'(`*]+\w)|\s*$)")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|Fig|Eq|No|Sec|Dr|Mr|Mrs|St|approx|resp)|\b[A-Z])\.$")

_CODE = r"`{1,2}[^`\n]{1,60}`{1,2}"
_WORD = r"[A-Za-z][\w+#./-]*"
_NAME = r"[A-Z][\w+#/-]*(?:\s+(?:(?:of|the|and|for|in)\s+)?[A-Z0-9][\w+#/-]*){0,4}"
_TERM = r"[A-Z][a-z-]+(?:\s+[a-z-]+)?"
_ACRONYM = r"(?:\s+\([A-Z][\w ./-]{1,30}\))?"
_BODY = r"(?P<answer>(?:an?|the|one\s+of)\s.+)"
DEFINITIONS = (  # tried in this order on every sentence; `lead` is what the question puts before the subject
    re.compile(
        rf"(?P<lead>An?)\s+(?P<subject>{_WORD}(?:\s+[a-z][\w-]*){{0,3}}){_ACRONYM}\s+(?P<verb>is)\s+{_BODY}", re.S
    ),
    re.compile(rf"(?P<lead>The\s+)?(?P<subject>{_NAME}|{_CODE}){_ACRONYM}\s+(?P<verb>is|are)\s+{_BODY}", re.S),
    re.compile(rf"(?P<lead>)(?P<subject>{_TERM}){_ACRONYM}\s+(?P<verb>is|are)\s+{_BODY}", re.S),
    re.compile(
        rf"(?P<lead>(?:The\s+)?)(?P<subject>{_NAME}|{_CODE})\s+(?P<verb>stands\s+for|refers\s+to|means)\s+(?P<answer>.+)",
        re.S,
    ),
)
_GLOSSARY = re.compile(
    r"(?P<subject>`{1,2}[^`\n]{1,60}`{1,2}|\*\*[^*\n]{1,60}\*\*|[\w.+/-]+(?: [\w.+/-]+){0,3})\s?(?::| --?| –| —)\s+(?P<answer>\S.+)",
    re.S,
)
_LISTED_TERM = re.compile(
    r"^(?P<subject>[A-Z`*][^\n:]{1,60}?):?[ \t]*\n\n?:[ \t]+(?P<answer>\S)", re.M
)  # Markdown definition list
_IDENTIFIER = re.compile(r"[`*]|^\w*[_A-Z.]\w*[_A-Z.]\w*$")
_HEADING = re.compile(
    r"^(?:#{1,4} +(?P<marked>[^\n#]{3,60}?) *#*|(?P<underlined>[A-Z][^\n]{2,60})\n(?:={3,}|-{3,}|~{3,}))\n+", re.M
)
_IS_NAME = re.compile(r"[(_]|\w\.\w")  # an entry of a reference manual: synth.api reads those


def paragraphs(text: str, region: Span) -> Iterator[Span]:
    """Paragraphs of `text` inside `region`, without their indentation, in order. A list item goes on where it is indented deeper."""
    begin = end = previous_indent = -1
    for line in _LINE.finditer(text, *region):
        indent, chars = len(line[1].expandtabs()), len(line[2])
        adjacent = begin >= 0 and line.start() == end + 1 and not _OPENS_PARAGRAPH.match(line[2])
        hangs = adjacent and indent > previous_indent and _HANGING.match(text, begin)
        if not (adjacent and (indent == previous_indent or hangs)):
            if begin >= 0:
                yield begin, end
            begin = line.start(2)
        end, previous_indent = line.end(), indent
        if not SHORT_LINE_CHARS <= chars <= WRAP_CHARS:
            yield begin, end
            begin = -1
    if begin >= 0:
        yield begin, end


def sentences(text: str, paragraph: Span) -> Iterator[Span]:
    """Sentences of a paragraph that end in a full stop, question or exclamation mark; a bullet before the first is left out."""
    begin, end = paragraph
    bullet = _BULLET.match(text, begin, end)
    begin = bullet.end() if bullet else begin
    for stop in _SENTENCE_END.finditer(text, begin, end):
        if _ABBREVIATION.search(text, max(begin, stop.start() - 8), stop.start() + 1):
            continue
        yield begin, stop.end()
        begin = stop.end()
        while begin < end and text[begin].isspace():
            begin += 1


def definitions(text: str, region: Span) -> Iterator[Fact]:
    """Sentences of the form "A zone is a ...", "QUIC is a ...", "`x` is the ...", "DNS stands for ..."."""
    for paragraph in paragraphs(text, region):
        for begin, end in sentences(text, paragraph):
            if end - begin > MAX_SENTENCE_CHARS or text[end - 1] != ".":
                continue
            match = next((m for pattern in DEFINITIONS if (m := pattern.match(text, begin, end - 1))), None)
            if match and len(match["answer"]) >= MIN_ANSWER_CHARS:
                subject = fold(match["subject"])
                yield _fact("definition", match, subject, _asked(match, subject), (begin, end))


def glossary(text: str, region: Span) -> Iterator[Fact]:
    """Entries "term: description" in lists, or anywhere if the term is marked as code or looks like an identifier; definition lists."""
    for begin, end in paragraphs(text, region):
        bullet = _BULLET.match(text, begin, end)
        first = bullet.end() if bullet else begin
        match = _GLOSSARY.match(text, first, end) if end - first <= MAX_SENTENCE_CHARS else None
        if match and len(match["answer"]) >= MIN_ANSWER_CHARS and (bullet or _IDENTIFIER.search(match["subject"])):
            yield _fact("term", match, match["subject"].strip("`*"), "", (first, end))
    yield from _definition_lists(text, region)


def _definition_lists(text: str, region: Span) -> Iterator[Fact]:
    for entry in _LISTED_TERM.finditer(text, *region):
        begin = entry.start("answer")
        paragraph = next(paragraphs(text, (text.rindex("\n", 0, begin) + 1, region[1])), (begin, begin))
        first = next(sentences(text, (begin, paragraph[1])), None)
        if first and MIN_ANSWER_CHARS <= first[1] - begin <= MAX_SENTENCE_CHARS:
            subject, start = entry["subject"].strip("`*"), entry.start()
            yield Fact(begin, first[1] - begin, "term", subject, "", start, first[1] - start)


def sections(text: str, region: Span) -> Iterator[Fact]:
    """The first sentence under a heading (Markdown `##` or an underlined title)."""
    for heading in _HEADING.finditer(text, *region):
        paragraph = next(paragraphs(text, (heading.end(), region[1])), None)
        first = next(sentences(text, paragraph), None) if paragraph else None
        title = fold(heading["marked"] or heading["underlined"]).strip("*`")
        if _IS_NAME.search(title):
            continue
        if first and 2 * MIN_ANSWER_CHARS <= first[1] - first[0] <= MAX_SENTENCE_CHARS and text[first[0]].isupper():
            yield Fact(first[0], first[1] - first[0], "section", title, "", first[0], first[1] - first[0])


def _asked(match: re.Match[str], subject: str) -> str:
    """What follows "What" in the question: "is a zone", "are generators", "does DNS stand for"."""
    lead = fold(match["lead"] or "").lower()
    named = f"{lead} {subject}".strip()
    verb = fold(match["verb"])
    if verb in ("is", "are"):
        return f"{verb} {named if lead or not _is_plain_term(subject) else named[0].lower() + named[1:]}"
    return f"does {named} {verb.replace('stands', 'stand').replace('refers', 'refer').replace('means', 'mean')}"


def _is_plain_term(subject: str) -> bool:
    """A common noun that has its capital only from the beginning of the sentence ("Regular expressions")."""
    return " " in subject and subject[1:].islower()


def _fact(kind: FactKind, match: re.Match[str], subject: str, detail: str, evidence: Span) -> Fact:
    start, end = match.span("answer")
    return Fact(start, end - start, kind, subject, detail, evidence[0], evidence[1] - evidence[0])
