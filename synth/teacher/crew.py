"""Rows that ask a model, many at a time, and what came of it.

A row is a coroutine function of a `Teacher`, as long as it likes: a question, a conversation with tools, eight tries. All rows of a worker
share one event loop, and no batch waits for its slowest request. What a row does between its questions holds the loop up: run in a thread
(`asyncio.to_thread`) what takes long.

A row that fails gets an `Answer` with a `failure` and goes on as it sees fit. Only a teacher that cannot go on (wrong key, money spent,
server gone) ends all: what is under way is still waited for and kept.
"""

import asyncio
import contextlib
import functools
import gc
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from datapipe.engine import shared
from datapipe.store import StoreError
from synth.teacher.account import Account, Limits
from synth.teacher.answers import Answers
from synth.teacher.protocol import Answer, Request, Teacher, TeacherError, held_to_schema
from synth.teacher.settings import CASSETTE, OFFLINE, Settings

T = TypeVar("T")
FIRST_PAUSE_SECONDS = 1.0
MOST_UNCOLLECTED = 10_000  # objects
BULK_ROWS = 100_000  # at once, of a teacher that answers all together


class Backend(Protocol):
    """Whoever answers; an asynchronous context. `key` names the request."""

    async def answer(self, request: Request, key: str) -> Answer: ...


class Crew:
    """A context. `cache`: the folder of answers, which may serve many crews. `first_pause`: after a first failure, in seconds.

    Raises TeacherError when `settings` name a prompt, function or key that is not there.
    """

    def __init__(self, settings: Settings, cache: str, *, first_pause: float = FIRST_PAUSE_SECONDS) -> None:
        self.settings, self.first_pause = settings, first_pause
        self.asked: Counter[str] = Counter()  # requests that were sent, answers from the file, tries that were lost
        self._used: dict[str, Answer] = {}
        self._ended, self._ends = 0, Counter[str]()  # rows, and their answers by how they ended
        is_cassette = settings.backend == CASSETTE
        self._answers = Answers.of_cassette(settings.cassette) if is_cassette else Answers.of_model(cache, self.model)
        spent = sum(
            settings.cost(answer.prompt_tokens, answer.completion_tokens) for answer in self._answers.found.values()
        )
        self.limits = Limits(
            self.model,
            settings.concurrency,
            settings.requests_per_minute,
            settings.tokens_per_minute,
            settings.max_cost,
            first_pause,
        )
        name = f"{settings.backend} {settings.base_url} {self.limits}"
        self.account = shared(name, functools.partial(Account, self.limits, spent))

    @property
    def model(self) -> str:
        return self.settings.name

    def __enter__(self) -> "Crew":
        self._answers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.__exit__(kind, error, trace)

    def run(
        self,
        work: Iterable[Callable[[Teacher], Awaitable[T]]],
        *,
        accept: int = 0,
        is_accepted: Callable[[T], bool] = bool,
    ) -> list[T]:
        """What the rows return, in their order. Raises TeacherError when the teacher cannot go on.

        With `accept` the last one is the one that makes so many accepted ones: the same rows whatever is answered first. No more are
        begun than will be needed by what came of the others; the few too many have cost answers that a larger number finds.
        """
        rows = iter(work)
        most = self.settings.concurrency if self.settings.backend != OFFLINE else BULK_ROWS
        first = list(itertools.islice(rows, most))
        with _collecting_seldom():
            return asyncio.run(self._run(_Rows(itertools.chain(first, rows), accept, is_accepted), len(first)))

    def used(self) -> dict[str, Any]:
        """What the answers that were used have cost, whenever they were paid for: the same for a run that was interrupted."""
        answers = self._used.values()
        counts = {
            name: sum(getattr(answer, name) for answer in answers)
            for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
        }
        cost = self.settings.cost(counts["prompt_tokens"], counts["completion_tokens"])
        return {"answers": len(answers), **counts, "cost": round(cost, 6)}

    async def _run(self, rows: "_Rows[T]", at_once: int) -> list[T]:
        async def take(asking: _Asking) -> None:
            async for index, row in rows:
                teacher = _Listening(asking)
                try:
                    rows.end(index, await row(teacher), teacher.heard)
                except TeacherError as error:
                    rows.stop(error)

        async with self._open() as asking:
            takers = [asyncio.create_task(take(asking)) for _ in range(at_once)]
            try:
                await asyncio.gather(*takers)
            finally:
                for taker in takers:
                    taker.cancel()
                await asyncio.gather(*takers, return_exceptions=True)
        self._ended += rows.num_ended
        self._ends.update(rows.ends())
        self._used.update(rows.heard())
        if rows.error:
            raise TeacherError(f"{rows.error}{self._told()}")
        return rows.results()

    def _told(self) -> str:
        """What rows have come to, for whoever has to decide whether going on is worth it."""
        if not self._ended:
            return ""
        ends = ", ".join(f"{end} {count:,}" for end, count in self._ends.most_common())
        return f" {self._ended:,} rows have ended so far; their answers: {ends or 'none'}."

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator["_Asking"]:
        async with _backend(self) as backend:
            yield _Asking(self.settings, self._answers, backend, self.asked)


class _Rows(Generic[T]):
    """Rows in their order, until enough of them, from the first on, have ended, or one cannot go on."""

    def __init__(
        self, work: Iterable[Callable[[Teacher], Awaitable[T]]], accept: int, is_accepted: Callable[[T], bool]
    ) -> None:
        self._work = enumerate(work)
        self._accept, self._is_accepted = accept, is_accepted
        self._found: dict[int, T] = {}
        self._heard: dict[int, dict[str, Answer]] = {}
        self._begun = 0
        self._accepted = self._ended = 0  # of the first rows, that have all ended
        self.error: TeacherError | None = None
        self._moved = asyncio.Event()

    def __aiter__(self) -> "_Rows[T]":
        return self

    async def __anext__(self) -> tuple[int, Callable[[Teacher], Awaitable[T]]]:
        while not self.error and not self._is_enough and self._accept and self._begun - self._ended >= self._ahead:
            self._moved.clear()
            await self._moved.wait()
        row = None if self.error or self._is_enough else next(self._work, None)
        if row is None:
            raise StopAsyncIteration
        self._begun += 1
        return row

    def end(self, index: int, result: T, heard: dict[str, Answer]) -> None:
        self._found[index], self._heard[index] = result, heard
        while self._ended in self._found and not self._is_enough:
            self._accepted += bool(self._is_accepted(self._found[self._ended]))
            self._ended += 1
        self._moved.set()

    def stop(self, error: TeacherError) -> None:
        self.error = self.error or error
        self._moved.set()

    @property
    def num_ended(self) -> int:
        return len(self._found)

    def ends(self) -> Counter[str]:
        """Answers of all rows that ended: their failures, else their finish reasons."""
        heard = (answer for answers in self._heard.values() for answer in answers.values())
        return Counter(answer.failure or answer.finish_reason for answer in heard)

    def results(self) -> list[T]:
        return [self._found[index] for index in range(self._ended)]

    def heard(self) -> dict[str, Answer]:
        """The answers that the rows of `results` got, by key: not those of rows that were begun in vain."""
        return {key: answer for index in range(self._ended) for key, answer in self._heard[index].items()}

    @property
    def _is_enough(self) -> bool:
        return bool(self._accept) and self._accepted == self._accept

    @property
    def _ahead(self) -> float:
        """Rows that may be under way: as many as are missing, by the share that was accepted so far."""
        return (self._accept - self._accepted) * (self._ended + 1) / (self._accepted + 1)


class _Listening:
    """The teacher of one row, which remembers what it answered."""

    def __init__(self, asking: "_Asking") -> None:
        self._asking = asking
        self.heard: dict[str, Answer] = {}  # by key

    async def ask(self, request: Request) -> Answer:
        key, answer = await self._asking.ask(request)
        if answer.is_final:
            self.heard[key] = answer
        return answer


class _Asking:
    """Answers that are kept, and a back end for the others. Equal requests are asked one after the other."""

    def __init__(self, settings: Settings, answers: Answers, backend: Backend, asked: Counter[str]) -> None:
        self._settings, self._answers, self._backend, self._asked = settings, answers, backend, asked
        self._is_writing = False  # the answers of this round
        self._unwritten: OSError | StoreError | None = (
            None  # why answers can no longer be kept: nobody shall pay for more
        )
        self._asked_now: dict[str, asyncio.Future[None]] = {}  # by key

    async def ask(self, request: Request) -> tuple[str, Answer]:
        """(key, answer). Raises OSError or StoreError when answers cannot be written."""
        key = self._settings.key(request)
        while (ended := self._asked_now.get(key)) is not None:
            await asyncio.wait([ended])
        answer = self._answers.found.get(key)
        if answer is not None:
            self._asked["kept"] += 1
            return key, answer
        if self._unwritten:
            raise self._unwritten
        self._asked_now[key] = ended = asyncio.get_running_loop().create_future()
        try:
            answer = held_to_schema(await self._backend.answer(request, key), request)
            if answer.is_final:
                self._keep(key, answer)
        finally:
            del self._asked_now[key]
            ended.set_result(None)
        return key, answer

    def _keep(self, key: str, answer: Answer) -> None:
        self._answers.add(key, answer)
        if not self._is_writing:
            self._is_writing = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._is_writing = False
        try:
            self._answers.write()
        except (OSError, StoreError) as error:  # in a callback of the loop nobody would hear of it
            self._unwritten = error


@contextlib.contextmanager
def _collecting_seldom() -> Iterator[None]:
    """A request makes many objects and hardly a cycle of them: looking for those as often as usual takes a twelfth of all it costs."""
    usual = gc.get_threshold()
    gc.set_threshold(MOST_UNCOLLECTED, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _backend(crew: Crew) -> Any:
    """The back end that the settings name, loaded when it is needed."""
    settings = crew.settings
    if settings.backend == CASSETTE and not settings.record:
        from synth.teacher.cassette import NotRecorded

        return NotRecorded(settings.cassette)
    if settings.base_url:
        from synth.teacher.endpoint import Endpoint

        return Endpoint(settings, crew.account, crew.limits, crew.asked)
    if settings.backend == OFFLINE:
        from synth.teacher.offline import Offline

        return Offline(settings, crew.asked)
    from synth.teacher.scripted import Scripted

    return Scripted(settings.function, crew.asked)
