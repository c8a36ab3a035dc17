"""Questions that texts ask and answer themselves: pairs of question and answer, headings that ask, exercises with their solutions.

Both are spans of the text, shown with their line breaks folded. A question is kept if it says what it is about without its page (or the
page has a title to name), and if the answer is whole sentences. An exercise without a solution has no answer here: with a teacher it is
asked all the same, and what most answers say is labelled as no more than that.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from synth.draw import Stream
from synth.evidence import fold

MAX_QUESTIONS = 40  # of one text
MAX_QUESTION_CHARS = 400
MIN_WORDS = 4  # of a question that does not name its page
MIN_ANSWER_CHARS, MAX_ANSWER_CHARS = 20, 900
_BLOCK = r"(?:(?!\n[ \t]*\n|^[ \t]*(?:Q|A|Question|Answer|Exercise|Problem|Solution)\b[ \t]*[\d.]*[.:)]|^#).){1,2000}"
_PAIR = re.compile(
    rf"^[ \t]*(?:\*\*)?(?:Q|Question)[ \t]*[\d.]*[:.)](?:\*\*)?[ \t]*(?P<question>{_BLOCK})\s*"
    rf"^[ \t]*(?:\*\*)?(?:A|Answer)[ \t]*[\d.]*[:.)](?:\*\*)?[ \t]*(?P<answer>{_BLOCK})",
    re.M | re.S,
)
_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|\d{1,2}[.)][ \t]+|\*\*)?"
    r"(?P<question>(?:How|What|Why|When|Where|Which|Who|Can|Could|Does|Do|Is|Are|Should|Will)\b[^\n?]{8,140}\?)(?:\*\*)?[ \t]*#*\n"
    r"(?:[=~^\"'-]{3,}[ \t]*\n)?[ \t]*\n?(?P<answer>(?:(?![ \t]*\n|[#=~-]{3}|[^\n]{5,140}\?[ \t]*\n)[^\n]+(?:\n|\Z)){1,12})",
    re.M,
)
_EXERCISE = re.compile(
    rf"^[ \t]*(?:#+[ \t]*|\*\*)?(?:Exercise|Problem)[ \t]*[\d.]*[:.)]?(?:\*\*)?[ \t:]+(?P<question>{_BLOCK})"
    rf"(?:\s*^[ \t]*(?:#+[ \t]*|\*\*)?(?:Solution|Answer)[ \t]*[\d.]*[:.)]?(?:\*\*)?[ \t:]+(?P<answer>{_BLOCK}))?",
    re.M | re.S,
)
_POINTER = re.compile(
    r"\b(?:above|below|previous|following|earlier|here|figure|section|chapter|example|listing)\b|"
    r"\b(?:this|these|those|its)\b|^(?:(?:why|what|how) (?:is|does|do|are|about) )?(?:it|that|they)\b",
    re.I,
)
_NEWS = re.compile(r"what's new|what is new|changelog|\bversion \d", re.I)
_MARKUP = re.compile(r"\]\(|https?:|\|.*\||::$|>>>|[<{}]|^[-*] |[:.] [-*•] |(?:^|\s)\$ ")
_OWN_VOICE = re.compile(
    r"\b(?:us|our|my|me|I|[Ww]e(?:'\w+| (?:are|do|hope|plan|recommend|think|want|will)))\b"
)  # of the page's authors
_TASK = re.compile(
    r"\b(?:Compute|Find|Show|Prove|Write|Solve|Determine|Calculate|Evaluate|Give|Explain|Implement|How|What|Why|Which)\b"
)
_NAMING = (
    "[{question} (This is about {title}.)|About {title}: {question}|A question on {title}. {question}|"
    "In the context of {title}: {question}]"
)
_THOUGHTS = (
    "[{Title} answers this question itself. It begins: “{first}”|The question is one that {title} asks and answers: “{first}”|"
    "I recall the passage of {title} on this: “{first}” What follows belongs to the answer.]"
)


class Found(NamedTuple):
    """Spans are (start, length) in characters of the text; of the answer (0, 0) where there is none."""

    how: str  # pair, heading, exercise
    question: str
    question_span: tuple[int, int]
    answer: str
    answer_span: tuple[int, int]


def found(text: str) -> list[Found]:
    """The questions of a text in the order in which they stand."""
    seen: dict[int, Found] = {}
    for how, pattern in (("pair", _PAIR), ("exercise", _EXERCISE), ("heading", _HEADING)):
        for match in pattern.finditer(text):
            begin, end = match.span("question")
            question = fold(match["question"])
            answer_span = _trimmed(text, *match.span("answer"))
            answer = fold(text[answer_span[0] : sum(answer_span)])
            if how != "exercise" or (_TASK.search(question) and len(question) >= 20):
                seen.setdefault(begin, Found(how, question, (begin, end - begin), answer, answer_span))
    return [seen[begin] for begin in sorted(seen)][:MAX_QUESTIONS]


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int]:
    """The span without blanks around it, cut behind the last sentence that fits."""
    if begin < 0:
        return 0, 0
    end = begin + len(text[begin:end].rstrip())
    if end - begin > MAX_ANSWER_CHARS:
        ends = [match.end() for match in re.finditer(r"[.!?](?=\s)", text[begin : begin + MAX_ANSWER_CHARS])]
        end = begin + (ends[-1] if ends else 0)
    return begin, end - begin


def verdicts(asked: Found, title: str) -> dict[str, dict[str, Any]]:
    """What has to hold of a question, and of the answer that its text gives; `answered` comes last, because a teacher can mend it."""
    answer = asked.answer
    named = title.strip("“”`").casefold() in asked.question.casefold()
    alone = (
        bool(title)
        and (named or asked.question.count(" ") >= MIN_WORDS - 1)
        and not _POINTER.search(asked.question)
        and not _NEWS.search(asked.question)
    )
    readable = not _MARKUP.search(asked.question) and not _MARKUP.search(answer)
    whole = bool(re.search(r"[.!?)”\"`]$", answer)) and not re.match(r"[a-z,;)]", answer)
    whole = whole and MIN_ANSWER_CHARS <= len(answer) <= MAX_ANSWER_CHARS
    return {
        "self_contained": {"passed": alone, "title": title},
        "readable": {"passed": readable and len(asked.question) <= MAX_QUESTION_CHARS, "chars": len(asked.question)},
        "impersonal": {"passed": asked.how == "exercise" or not _OWN_VOICE.search(answer)},
        **({"whole": {"passed": whole, "chars": len(answer)}} if answer else {"answered": {"passed": False}}),
    }


def worded(asked: Found, title: str, draw: Stream) -> tuple[str, str]:
    """(question, thoughts). The page is named unless the question does that."""
    about = title.strip("“”`")
    named = asked.question
    if about.casefold() not in asked.question.casefold():
        named = draw.say(_NAMING, {"question": asked.question, "title": title})
    first = re.split(r"(?<=[.!?])\s", asked.answer)[0] if asked.answer else ""
    return named, draw.say(_THOUGHTS, {"title": title, "Title": title[:1].upper() + title[1:], "first": first})


def questions(text: str, title: str, draw: Stream) -> Iterator[tuple[Found, str, str, dict[str, dict[str, Any]]]]:
    """Every question of a text with its wording, thoughts and verdicts."""
    for asked in found(text):
        yield asked, *worded(asked, title, draw), verdicts(asked, title)
