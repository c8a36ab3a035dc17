"""A crew for a test: whom it asks, and that all is asked at once."""

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from synth.teacher import Answer, Crew, Request, Settings, Teacher
from tests.synth.chat_server import ChatServer


def settings(server: ChatServer, **about: Any) -> Settings:
    return Settings.of({"base_url": server.base_url, "model": "m", **about})


def request(text: str = "What is a bee?", max_tokens: int = 10) -> Request:
    return Request(({"role": "user", "content": text},), max_tokens)


def asking(each: Request) -> Callable[[Teacher], Awaitable[Answer]]:
    return lambda teacher: teacher.ask(each)


def ask(given: Settings, folder: Path, *requests: Request) -> tuple[list[Answer], Counter[str]]:
    """All at once, of a new crew."""
    with Crew(given, str(folder), first_pause=0.01) as crew:
        return crew.run(map(asking, requests)), crew.asked
