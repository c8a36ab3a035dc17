"""A teacher that answers as it is told, and one that paraphrases a little, so that guards have something honest to pass."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class FakeAnswer(NamedTuple):
    text: str
    finish_reason: str = "stop"
    failure: str | None = None


class FakeTeacher:
    """`answer` gets the passage and the opening line that the prompt asks for."""

    def __init__(self, answer: Callable[[str, str], FakeAnswer]) -> None:
        self.answer, self.requests = answer, []  # type: ignore[var-annotated]

    async def ask(self, request: Any) -> FakeAnswer:
        await asyncio.sleep(0)
        self.requests.append(request)
        content = request.messages[0]["content"]
        passage = content.split("\n========\n")[1]
        opening = re.findall(r'line that reads "([^"]+)"', content)[-1]
        return self.answer(passage, opening)


class FakeCrew:
    """What a generator gets as `teacher`: runs all work at once."""

    model = "fake-1"

    def __init__(self, answer: Callable[[str, str], FakeAnswer]) -> None:
        self.teacher = FakeTeacher(answer)
        self.waves: list[int] = []

    def run(self, work: Iterable[Callable[[FakeTeacher], Awaitable[T]]]) -> list[T]:
        works = list(work)
        self.waves.append(len(works))

        async def all_of() -> list[T]:
            return list(await asyncio.gather(*(each(self.teacher) for each in works)))

        return asyncio.run(all_of())


_REWORDED = (
    (r"\bis a\b", "is one kind of"),
    (r"\bbecause\b", "since"),
    (r"\bused to\b", "employed to"),
    (r"\bmany\b", "a lot of"),
    (r"\bwhich\b", "that"),
    (r"\bshows\b", "displays"),
    (r"\bbegan\b", "started"),
    (r"\bgrows\b", "increases"),
    (r"\babout\b", "roughly"),
    (r"\bnear\b", "close to"),
    (r"\balso\b", "as well"),
    (r"\blarge\b", "big"),
    (r"\bold\b", "aged"),
    (r"\bin\b", "within"),
    (r"\bthe\b", "this"),
)


def reworded(text: str) -> str:
    """The text with common words exchanged; all it states stays."""
    for pattern, word in _REWORDED:
        text = re.sub(pattern, word, text)
    return text


def rewriting(passage: str, opening: str) -> FakeAnswer:
    """A good answer in any style."""
    sentences = re.split(r"(?<=[.!?])\s+", passage.strip())
    if opening.startswith("Questions"):
        pairs = [
            f"Question: What comes with {s.split()[0]} number {n}?\nAnswer: {s}" for n, s in enumerate(sentences, 1)
        ]
        return FakeAnswer(f"{opening}\n\n" + "\n\n".join(pairs))
    if opening.startswith("Facts"):
        return FakeAnswer(f"{opening}\n" + "\n".join(f"- {reworded(s)}" for s in sentences))
    return FakeAnswer(f"{opening}\n\n{reworded(passage)}")
