"""The words of our own in rows without a teacher: a small grammar, drawn from by keys, so that few rows have the same frame.

A phrase is a template with {names} of quotations. `Voice` draws: the same place of the same row always gets the same phrase.
"""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from synth.evidence import FactKind, keyed

T = TypeVar("T")

# {clause}: the answer as a part of a sentence; {answer}: as it stands there. A phrase that ends in either gets a full stop if it has none.
STATEMENTS: dict[FactKind, tuple[str, ...]] = {
    "definition": ("{evidence}",),
    "term": ("{subject}: {answer}", "{subject} is described as follows: {answer}", "On {subject}: {answer}"),
    "section": ("{subject}: {answer}", "On “{subject}”: {answer}"),
    "summary": (
        "`{subject}`: {answer}",
        "What `{subject}` does: {answer}",
        "`{subject}` is described like this: {answer}",
        "About `{subject}`: {answer}",
    ),
    "returns": (
        "`{subject}` returns {clause}",
        "The value of `{subject}` is {clause}",
        "What `{subject}` returns: {answer}",
        "A call of `{subject}` gives back {clause}",
    ),
    "raises": (
        "`{subject}` raises `{detail}`: {answer}",
        "`{detail}` comes from `{subject}`: {answer}",
        "When `{subject}` raises `{detail}`: {answer}",
    ),
    "parameter": (
        "`{detail}`, a parameter of `{subject}`: {answer}",
        "`{subject}` takes `{detail}`: {answer}",
        "The argument `{detail}` of `{subject}`: {answer}",
    ),
    "example": (
        "`{subject}` gives `{answer}`",
        "Python shows `{answer}` for `{subject}`",
        "The result of `{subject}` is `{answer}`",
    ),
}
OPEN: dict[FactKind, tuple[str, ...]] = {
    "definition": (
        "What does the text say {subject} is?",
        "How is {subject} defined?",
        "Give the definition of {subject}.",
        "What is meant by {subject}?",
    ),
    "term": ("How is {subject} described?", "What does the entry on {subject} say?", "What is said about {subject}?"),
    "section": ("What does the part on “{subject}” say first?", "How does the part called “{subject}” begin?"),
    "summary": (
        "What does `{subject}` do?",
        "What is `{subject}` for?",
        "How is `{subject}` described?",
        "In one sentence: what is the purpose of `{subject}`?",
        "What would one use `{subject}` for?",
    ),
    "returns": (
        "What does `{subject}` return?",
        "What comes back from `{subject}`?",
        "What is the return value of `{subject}`?",
        "What does a caller of `{subject}` get?",
    ),
    "raises": (
        "When does `{subject}` raise `{detail}`?",
        "Under which condition does `{subject}` raise `{detail}`?",
        "What makes `{subject}` fail with `{detail}`?",
    ),
    "parameter": (
        "What is `{detail}` in a call of `{subject}`?",
        "What does the argument `{detail}` of `{subject}` stand for?",
        "Which meaning has the parameter `{detail}` of `{subject}`?",
    ),
    "example": (
        "What does `{subject}` evaluate to?",
        "What does Python print for `{subject}`?",
        "What is the result of `{subject}`?",
    ),
}
REVERSE: dict[FactKind, tuple[str, ...]] = {
    "definition": ("What is this the definition of: {answer}?", "Which term means {clause}?"),
    "term": ("Which entry reads: {answer}", "What is described by these words: {answer}"),
    "section": ("Which part begins with these words: {answer}",),
    "summary": ("Which function or class is described like this: {answer}", "What is there for this purpose: {answer}"),
    "returns": ("What returns {clause}?", "Which call gives back {clause}?"),
    "raises": ("Which exception is raised by `{subject}` here: {answer}",),
    "parameter": ("Which argument of `{subject}` is this: {answer}",),
    "example": ("Which expression of the text gives `{answer}`?",),
}
TRUE_OR_FALSE = ("True or false? {statement}", "Is this right? {statement}", "Does the text say so? {statement}")
YES = ("True.", "Yes, that is right.", "Yes.")  # each belongs to the phrase that asked
NO = ("False. {statement}", "No, that is wrong. {statement}", "No. It says: {statement}")
CHOICE = ("{question}\n{options}", "{question} Choose one:\n{options}", "{question} Which of these is it?\n{options}")
BLANK = (
    "Fill in what is missing: {statement}",
    "Complete the sentence: {statement}",
    "What belongs in the gap? {statement}",
)
GAP = "____"
PAIRS = (
    ("Question: ", "Answer: ", "\n\n"),
    ("Q: ", "A: ", "\n\n"),
    ("**Question:** ", "**Answer:** ", "\n\n"),
    ("", "", "\n\n"),
    ("- ", "  ", "\n"),
)
OPTIONS = ("A) ", "a. ", "(A) ", "A: ")

_HEADS = {
    "list": (
        "What there is to know", "Facts", "Key facts", "What the text states", "In short", "Worth knowing", "The main points", "Notes",
        "Knowledge", "Collected facts", "To remember", "What can be learned here",
    ),
    "outline": ("Outline", "Overview", "Contents in brief", "What is where", "Structure", "At a glance", "Plan of the text"),
    "table": ("Table", "At a glance", "Overview", "Reference", "Summary table", "In tabular form", "Quick reference"),
    "prose": ("The table in words", "What the table says", "Read out", "Row by row", "In sentences", "The table, told"),
    "pairs": ("Questions", "Questions on the text", "Check what you read", "Some questions", "Quiz", "For review", "Questions and answers"),
    "cloze": ("Which words are missing?", "Fill in the gaps.", "Some words were taken out.", "Complete the text.", "A text with gaps:"),
    "key": ("Missing words:", "Answers:", "In the gaps:", "Solution:", "What was taken out:"),
    "bank": ("Words to choose from: ", "Choose from: ", "These fit: ", "To be filled in: "),
}  # fmt: skip
_TITLED = (
    "{head}: {title}",
    "{head} from {title}",
    "{head} ({title})",
    "{title}: {head}",
    "{head}",
    "{head} — {title}",
)
_FRAMES = ("# {0}\n\n", "## {0}\n\n", "{0}\n\n", "{0}\n", "**{0}**\n\n", "{0}:\n\n")
BULLETS = ("- ", "* ", "• ", "{n}. ", "{n}) ", "")
TABLE_NAMES: dict[FactKind, tuple[tuple[str, ...], ...]] = {
    "definition": (("Term", "Meaning"), ("Term", "Definition"), ("Word", "What it is")),
    "term": (("Entry", "Description"), ("Term", "Description"), ("Name", "What it says")),
    "section": (("Part", "Begins with"), ("Heading", "First sentence")),
    "summary": (("Name", "What it does"), ("Name", "Purpose"), ("Function or class", "Description"), ("Call", "Use")),
    "returns": (("Call", "Returns"), ("Function", "Return value"), ("Name", "What comes back")),
    "raises": (("Call", "Exception", "When"), ("Function", "Raises", "Condition")),
    "parameter": (("Call", "Parameter", "Meaning"), ("Function", "Argument", "Description")),
    "example": (("Expression", "Value"), ("Input", "Output"), ("Typed", "Shown")),
}
ROWS = (
    "{key_name} {key}: {cells}.",
    "For {key_name} {key} the table has {cells}.",
    "{key} ({key_name}): {cells}.",
    "Where {key_name} is {key}: {cells}.",
)
CELLS = ("{name} is {cell}", "{name}: {cell}", "{cell} as {name}", "{name} = {cell}")
CELL_JOINTS = ((", ", ", "), ("; ", "; "), (", ", " and "), (", ", ", and "))  # between cells, before the last
OUTLINES = (
    ("- ", "  - "),
    ("{n}. ", "   - "),
    ("## ", "- "),
    ("* ", "  * "),
    ("**", "- "),
    ("### ", "* "),
    ("{n}) ", "    - "),
)

_TABLES = (
    *STATEMENTS.values(),
    *OPEN.values(),
    *REVERSE.values(),
    TRUE_OR_FALSE,
    YES,
    NO,
    CHOICE,
    BLANK,
    ROWS,
    CELLS,
    *_HEADS.values(),
)
# Every word of the grammar, in lower case: to a guard they are no names.
OWN_WORDS = frozenset(
    word
    for phrase in [*itertools.chain(*_TABLES), *itertools.chain(*itertools.chain(*TABLE_NAMES.values()))]
    for word in re.findall(r"\w+", phrase.casefold())
)


class Voice(NamedTuple):
    """Draws phrases for one row."""

    seed: int
    row: str

    def draw(self, choices: Sequence[T], *place: object) -> T:
        return choices[self.number(len(choices), *place)]

    def number(self, limit: int, *place: object) -> int:
        """One of 0 to `limit` - 1."""
        return keyed(self.seed, self.row, "phrase", *place) % limit

    def head(self, what: str, title: str) -> str:
        """The line above a text, framed; `title` may be empty."""
        head = self.draw(_HEADS[what], "head").rstrip(":.")
        titled = self.draw(_TITLED, "titled") if title and head[-1] != "?" else "{head}"
        line = titled.replace("{head}", head, 1).replace("{title}", title, 1)
        framed = self.draw(_FRAMES, "frame").replace("{0}", line, 1).replace("?:", "?")
        return f"{framed.rstrip()}\n\n" if what == "table" else framed  # Markdown's want a blank line before them

    def words(self, what: str) -> str:
        return self.draw(_HEADS[what], what)
