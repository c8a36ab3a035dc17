"""The words around a fact: a name for its source, the question, and the thoughts that lead to the answer.

The wording is ours, the facts are not: questions name only what the source names, and thoughts quote it. Which of several phrasings a
question gets is keyed by the document, so it never depends on what else is in the corpus.
"""

import json
import re

from synth.arithmetic import evaluate_session
from synth.evidence import API, Fact, FactKind, evidence, keyed, normalised
from synth.examples import source_of, with_imports

CODE_KINDS = frozenset({"code", "repo"})
MAX_TITLE_CHARS = 80
_PLAIN_TITLE = re.compile(
    r"(?!(?:package contents|modules|classes|functions|index|contents|home|menu|about)$)[\w`'\"(][^\[\]|<>{}“”]*[^.,;:(\[\]|<>{}“”]",
    re.I,
)

_SITE_NAME = re.compile(r"\s+[—·|]\s+[^—·|]*$")  # what follows the title of a page in its window title
# {where} begins with a space, or is empty where the subject's own name says it all.
QUESTIONS: dict[FactKind, tuple[str, ...]] = {
    "definition": (
        "What {detail}, according to {title}?",
        "According to {title}, what {detail}?",
    ),
    "term": (
        "How does {title} describe `{subject}`?",
        "What does {title} say about `{subject}`?",
    ),
    "section": (
        'How does the section "{subject}" of {title} begin?',
        'What does {title} say first under "{subject}"?',
    ),
    "summary": (
        "What does the documentation say about `{subject}`{where}?",
        "How is `{subject}`{where} described?",
        "Say in one sentence what `{subject}`{where} is for.",
    ),
    "returns": (
        "What does `{subject}`{where} return?",
        "What is the return value of `{subject}`{where}?",
    ),
    "raises": (
        "When does `{subject}`{where} raise `{detail}`?",
        "Under which condition does `{subject}`{where} raise `{detail}`?",
    ),
    "parameter": (
        "What is the parameter `{detail}` of `{subject}`{where}?",
        "What does the argument `{detail}` of `{subject}`{where} stand for?",
    ),
    "example": (
        "What does the last line of this Python session print?\n\n```python\n{session}\n```",
        "This session stands in {title}. What is the output of its last line?\n\n```python\n{session}\n```",
    ),
}
THOUGHTS: dict[FactKind, tuple[str, ...]] = {
    "definition": (
        "{Title} defines it: “{evidence}”",
        "I recall this sentence of {title}: “{evidence}” What follows the verb is the answer.",
    ),
    "term": ("The entry in {title} reads: “{evidence}”", "{Title} lists it: “{evidence}”"),
    "section": ("Under that heading {title} starts with: “{evidence}”",),
    "summary": ("Its docstring{where} begins: “{evidence}”", "Its documentation{where} opens with: “{evidence}”"),
    "returns": ("Its docstring{where} says: “{evidence}”", "What it returns is documented{where}: “{evidence}”"),
    "raises": (
        "Its docstring{where} names the condition: “{evidence}”",
        "About `{detail}` the documentation{where} says: “{evidence}”",
    ),
    "parameter": (
        "The parameters are documented{where}: “{evidence}”",
        "Its docstring{where} says of it: “{evidence}”",
    ),
    "example": ("The question is about `{subject}`. {Title} shows this session together with its output.",),
}


def source_title(origin: str, kind: str, text: str, meta: str) -> str:
    """What to call a document: the path of a source file, the title of a page, or the last part of its address; "" if none has words."""
    if kind in CODE_KINDS:
        name, _, path = origin.rpartition(":")
        return f"`{path}`" if "/" in path or not name else f"`{path}` of {name.partition('@')[0]}"
    named = _SITE_NAME.sub("", str(json.loads(meta or "{}").get("title") or ""))
    first_line, _, rest = text.lstrip().partition("\n")
    is_heading = first_line.startswith("#") or re.match(r"[=~-]{3}|\s*\n", rest) or kind in ("web", "math")
    for title in (named, first_line.strip(" \t#*=¶") if is_heading else None):
        if title and 3 <= len(title) <= MAX_TITLE_CHARS and _PLAIN_TITLE.fullmatch(title):
            return f"“{title}”"
    last = re.sub(r"\.\w{2,5}$", "", re.split(r"[/#]", origin.rstrip("/#"))[-1])
    return f"“{last}”" if re.search(r"[A-Za-z]{2}", last) else ""


def ask(fact: Fact, title: str, *, seed: int, document: str) -> str:
    """The question that the fact answers."""
    templates = QUESTIONS[fact.kind]
    return filled(templates[keyed(seed, document, "ask", fact.start) % len(templates)], fact, title)


def canonical(fact: Fact, title: str) -> str:
    """The question in its first phrasing, normalised: two questions ask the same if these are equal."""
    return normalised(filled(QUESTIONS[fact.kind][0], fact, title))


def think(text: str, fact: Fact, title: str, *, seed: int, document: str) -> str:
    """How to get to the answer: the evidence quoted, or the steps of a calculation."""
    if fact.kind == "example" and (steps := worked_steps(fact)) is not None:
        return (
            "\n".join(["Step by step:", *steps]) if steps else "The value is a literal, and Python shows it as it is."
        )
    templates = THOUGHTS[fact.kind]
    chosen = templates[keyed(seed, document, "think", fact.start) % len(templates)]
    return filled(chosen, fact, title, evidence(text, fact))


def worked_steps(fact: Fact) -> list[str] | None:
    """The steps of an example that consists of literals, else None."""
    result = evaluate_session(source_of(fact.detail).split("\n"))
    return result[1] if result else None


def named_source(fact: Fact, title: str) -> str:
    """The document, or the entry of a manual that the fact stands in."""
    return f"the documentation of `{fact.scope}`" if fact.scope else title


def filled(template: str, fact: Fact, title: str, quoted: str = "") -> str:
    """A phrasing with the words of the fact in the place of its {names}; `quoted` is the evidence."""
    source = named_source(fact, title)
    values = {
        "subject": fact.subject,
        "detail": fact.detail,
        "title": source,
        "Title": source[:1].upper() + source[1:],
        "where": "" if fact.kind in API and fact.scope else f" in {source}",
        "evidence": quoted,
        "session": with_imports(fact.detail) if fact.kind == "example" else "",
    }
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template)
