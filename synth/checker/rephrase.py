"""Rephrased rows: made again from their quotations, and whether what is said of something was said of it in the source.

Of rows without a teacher each quotation is cut from its parent here, in views of the checker's own, and their concatenation is the row.
Words of the generator's own may hold no number but those that count items. What an item says of its subject has to stand behind that
subject in the source, and no other item's subject between the two (`Tie`). Gaps are filled again; of tables told in sentences every cell
has to stand in its row and below its column's name. Of rows of a teacher, what the passage does not have is found (`paraphrase`), and
passages kept are compared. Not covered: denials and swaps in a teacher's words, the wording of questions.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from synth.checker import paraphrase
from synth.checker.row import Documents, Row, Undecided

_LOWER_FIRST = """
A An The If When Whether Either All Each One Any Some How List Number This
"""
_VIEWS = ("raw", "line", "cell", "bare_cell", "clause")


class Part(NamedTuple):
    """A quotation, or own words where `document` is -1, with its place in the row's text."""

    text: str
    at: int
    document: int = -1
    start: int = 0
    length: int = 0
    view: str = ""

    @property
    def is_quote(self) -> bool:
        return self.document >= 0


class Tie(NamedTuple):
    """What one item quotes of the first parent: the subject stands first there, what is said of it last."""

    subject: Part
    said: Part


def checked(row: Row, documents: Documents) -> Iterator[str]:
    """Disagreements about a row of generator `rephrase`."""
    if row.task["mode"] == "taught":
        yield from _taught(row, documents[row.parents[0]].text)
        return
    texts = [documents[parent].text for parent in row.parents]
    parts = _parts(row.task["pieces"], texts)
    if isinstance(parts, str):
        yield parts
        return
    if "".join(part.text for part in parts) != row.text:
        yield "the pieces do not give the text"
        return
    begin, length = row.task["passage"]
    if any(
        part.document == 0 and not begin <= part.start <= part.start + part.length <= begin + length for part in parts
    ):
        yield "a quotation lies outside of the passage"
    if len({part.document for part in parts if part.is_quote}) != len(texts):
        yield "a parent is not quoted"
    yield Undecided("length")
    yield from _own_words(parts)
    yield from _STYLES[row.task["style"]](row, parts, texts)


def _parts(pieces: Sequence[Any], texts: Sequence[str]) -> list[Part] | str:
    found, at = [], 0
    for piece in pieces:
        if isinstance(piece, str):
            part = Part(piece, at)
        else:
            document, start, length, view = piece
            if view not in _VIEWS:
                return f"a quotation is shown as {view!r}"
            if not 0 <= document < len(texts) or start < 0 or length < 1 or start + length > len(texts[document]):
                return f"the quotation {piece} lies outside of its document"
            part = Part(_seen(texts[document][start : start + length], view), at, document, start, length, view)
        found.append(part)
        at += len(part.text)
    return found


def _seen(cut: str, view: str) -> str:
    """Characters of a document as a view shows them."""
    if view == "raw":
        return cut
    if view == "bare_cell":
        cut = cut.replace("\\|", "|")
    line = re.sub(r"\s+", " ", cut).strip()
    if view == "cell":
        return re.sub(r"(?<!\\)\|", "\\\\|", line)
    if view == "clause":
        if line.endswith(".") and len(line) > 1 and line[-2] not in ". ":
            line = line[:-1]
        first = re.match(r"\w+", line)
        return line[0].lower() + line[1:] if first and first[0] in _LOWER_FIRST.split() else line
    return line


def _own_words(parts: Sequence[Part]) -> Iterator[str]:
    """Own words behind the heading count at most as far as there are quotations, and have no name and no address."""
    most = sum(part.is_quote for part in parts)
    for part in parts[1:]:
        if not part.is_quote and any(int(digits) > most for digits in re.findall(r"\d+", part.text)):
            yield f"own words have a number: {part.text[:60]!r}"
        if not part.is_quote and (paraphrase.names(part.text) or paraphrase.addresses(part.text)):
            yield f"own words have a name: {part.text[:60]!r}"


def _lines(parts: Sequence[Part]) -> list[list[Part]]:
    """The quotations of every line of the text that has any; what is quoted is on one line."""
    lines: list[list[Part]] = [[]]
    for part in parts:
        if part.is_quote:
            lines[-1].append(part)
        elif "\n" in part.text:
            lines.append([])
    return [line for line in lines if line]


def _tied(ties: Sequence[Tie]) -> Iterator[str]:
    """Each is said behind its subject, and before that of any other item; words that an entry defines begin no other entry."""
    for tie in ties:
        between = [
            other.subject.text
            for other in ties
            if tie.subject.start < other.subject.start <= tie.said.start
            and other.subject.text != tie.subject.text
            and _is_code(other.subject.text) == _is_code(tie.subject.text)
        ]
        if tie.said.start < tie.subject.start or between:
            yield f"{tie.said.text[:40]!r} is not said of {tie.subject.text!r}"


def _is_code(name: str) -> bool:
    return re.search(r"[._(]\w", name) is not None


def _tie(quotes: Sequence[Part]) -> Tie:
    return Tie(
        min(quotes, key=lambda part: part.start), max(quotes, key=lambda part: (part.start + part.length, part.start))
    )


def _list(row: Row, parts: Sequence[Part], texts: Sequence[str]) -> Iterator[str]:
    lines = _lines(parts)
    if len(lines) != row.task["facts"]:
        yield f"{len(lines)} items, not {row.task['facts']}"
    yield from _tied([_tie(line) for line in lines])


def _outline(row: Row, parts: Sequence[Part], texts: Sequence[str]) -> Iterator[str]:
    """A line that is less indented, or marked as a heading, names the subject of those below it."""
    ties, subject, facts = [], None, 0
    kinds = [_is_nested(row.text, line[0].at) for line in _lines(parts)]
    for nested, line in zip(kinds, _lines(parts), strict=True):
        if not nested:
            subject = line[0]
        elif subject is not None:
            facts += 1
            ties.append(_tie([subject, *line]))
    if facts != row.task["facts"]:
        yield f"{facts} items, not {row.task['facts']}"
    yield from _tied(ties)


def _is_nested(text: str, at: int) -> bool:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    if line.startswith((" ", "\t")):
        return True
    return re.match(r"[-*] ", line) is not None and not re.search(r"^(?:[-*] ).*\n {2,}\S", text, re.M)


def _table(row: Row, parts: Sequence[Part], texts: Sequence[str]) -> Iterator[str]:
    lines = _lines(parts)
    if len(lines) != row.task["facts"] or any(len(line) != row.task["columns"] for line in lines):
        yield "the table has other rows or columns than the task"
    for line in lines:
        if line[0].start > line[-1].start:
            yield f"{line[-1].text[:40]!r} stands before {line[0].text!r}"
    yield from _tied([Tie(line[0], line[-1]) for line in lines])


def _prose(row: Row, parts: Sequence[Part], texts: Sequence[str]) -> Iterator[str]:
    """Every cell stands in the row of its sentence's first cell, and in the column whose name is quoted beside it."""
    text, quotes = texts[0], [part for part in parts if part.is_quote]
    head = _line_number(text, min(part.start for part in quotes))
    cells = [part for part in quotes if _line_number(text, part.start) != head]
    keys: dict[int, int] = {}
    for part in quotes:
        keys.setdefault(_line_number(text, part.start), _column(text, part))
    if len(keys) - 1 != row.task["rows"]:
        yield f"{len(keys) - 1} rows, not {row.task['rows']}"
    names = [part for part in quotes if _line_number(text, part.start) == head]
    if len(names) != len(cells):
        yield "a cell has no name"
        return
    for name, cell in zip(names, cells, strict=True):
        if _column(text, name) != _column(text, cell):
            yield f"{cell.text!r} does not stand below {name.text!r}"
    numbers = [_line_number(text, cell.start) for cell in cells]
    if numbers != sorted(numbers):
        yield "a cell stands in another row"


def _line_number(text: str, at: int) -> int:
    return text.count("\n", 0, at)


def _column(text: str, part: Part) -> int:
    line = text[text.rfind("\n", 0, part.start) + 1 : part.start]
    return len(re.findall(r"(?<!\\)\|", line))


def _cloze(row: Row, parts: Sequence[Part], texts: Sequence[str]) -> Iterator[str]:
    """Passage and gaps follow each other without hole; the words behind fill the gaps, in order, and stand elsewhere in it."""
    text, gaps = texts[0], [tuple(gap) for gap in row.task["gaps"]]
    raw = [(part.start, part.start + part.length) for part in parts if part.view == "raw"]
    ends = [end for _, end in raw[:-1]]
    if [(start, start + length) for start, length in gaps] != list(
        zip(ends, [start for start, _ in raw[1:]], strict=True)
    ):
        yield "the gaps are not what is missing of the passage"
        return
    words = [_seen(text[start : start + length], "line") for start, length in gaps]
    key = [part.text for part in parts if part.view == "line"][-len(gaps) :]
    if key != words:
        yield "the solution does not fill the gaps"
    rest = "".join(text[start:end] for start, end in raw)
    if lost := [word for word in words if word not in rest]:
        yield f"{lost[0]!r} stands nowhere else in the passage"
    bank = [part.text for part in parts if part.view == "line"][: -len(gaps)]
    if bank and sorted(bank) != sorted(set(words)):
        yield "the words to choose from are not those of the gaps"


def _quiz(row: Row, parts: Sequence[Part], texts: Sequence[str]) -> Iterator[str]:
    """The passage, then pairs: their quotations are tied as in a list, wrong options are others, the letter is that of the right one."""
    if parts[0].view != "raw" or len(row.task["questions"]) < 2:
        yield "it does not begin with the passage"
        return
    at, ties, paired = len(parts[0].text), [], 0
    for pair in row.task["questions"]:
        begin = row.text.find(pair["question"], at)
        ended = re.compile(re.escape(pair["answer"]) + r"(?=\n|\Z)").search(row.text, begin + len(pair["question"]))
        if begin < 0 or ended is None:
            yield f"the question {pair['question'][:60]!r} does not stand in the text"
            return
        answer, at = ended.span()
        asked = [part for part in parts if part.is_quote and begin <= part.at < begin + len(pair["question"])]
        given = [part for part in parts if part.is_quote and answer <= part.at < at]
        match pair["kind"]:
            case "choice":
                yield from _choice(pair, asked, given)
                subject = [part for part in asked if part.at < begin + pair["question"].index("\n")]
                ties.append(_tie([*subject, *given]))
            case "false":
                ties.append(_tie(given))
                wrong = [part for part in asked if part[2:5] not in {other[2:5] for other in given}]
                if not wrong or {_plain(part.text) for part in wrong} & {_plain(part.text) for part in given}:
                    yield f"what is wrong is said of it, too: {pair['question'][:60]!r}"
            case "true":
                ties.append(_tie(asked))
            case "open" | "reverse" | "gap":
                ties.append(_tie([*asked, *given]))
            case kind:
                yield f"a question of kind {kind!r}"
        paired += len(asked) + len(given)
    yield from _tied(ties)
    if paired + 1 != sum(part.is_quote for part in parts):
        yield "something is quoted in no question"
    counts = Counter(_plain(pair["question"]) for pair in row.task["questions"])
    if repeated := [question for question, count in counts.items() if count > 1]:
        yield f"asked twice: {repeated[0][:60]!r}"


def _choice(pair: dict[str, Any], asked: Sequence[Part], given: Sequence[Part]) -> Iterator[str]:
    options = [line for line in pair["question"].split("\n") if re.match(r"\(?[A-Da-d][).:] ", line)]
    if len(options) != 4 or pair["answer"] not in options or len(given) != 1:
        yield f"the answer {pair['answer'][:60]!r} is none of four options"
        return
    right = [part for part in asked if part[2:5] == given[0][2:5]]
    if len(right) != 1 or sum(_plain(given[0].text) in _plain(option) for option in options) != 1:
        yield "more than one option is right"


def _plain(text: str) -> str:
    return re.sub(r"[\s.!?;:]+\Z", "", " ".join(text.split()).casefold())


def _taught(row: Row, source: str) -> Iterator[str]:
    """A teacher's: what the passage has not; passages that were kept are as they were."""
    pairs, parts = row.task.get("pairs") or (), row.task["parts"]
    for part in parts:
        (begin, length), (at, size) = part["source"], part["made"]
        passage, made = source[begin : begin + length].strip(), row.text[at : at + size]
        if not part["rewritten"]:
            yield from [f"the passage at {begin} was to be kept"] * (made != passage)
        elif pairs:
            yield from [f"the passage at {begin} does not stand before its questions"] * (not made.startswith(passage))
        else:
            yield from paraphrase.changed(passage, made)
            yield from paraphrase.measured(passage, made, row.task["style"])
    if 2 * sum(part["source"][1] for part in parts if part["rewritten"]) < sum(part["source"][1] for part in parts):
        yield "less than half of the document is rewritten"
    for question, answer in pairs:
        if question not in row.text or answer not in row.text:
            yield f"the pair {question[:60]!r} is not in the text"
        yield from paraphrase.changed(f"{source}\n{question}", answer)


_STYLES = {
    "knowledge_list": _list,
    "outline": _outline,
    "table": _table,
    "prose": _prose,
    "cloze": _cloze,
    "diverse_qa": _quiz,
}
