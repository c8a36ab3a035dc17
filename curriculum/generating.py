"""What a generator makes: candidates of the corpora it reads, an exchange, and of every receiver's candidates documents.

    parts ─emit─> exchange ─reduce─> documents        with `teacher`, `accept` or both: a phase of its own, written before steps see them

`accept: N` counts accepted documents over the whole corpus. Every receiver has a quota; what one cannot deliver, those that delivered
all of theirs make up for in another round, until there are exactly N or no candidate is left. Quotas depend on counts alone, so the
rows are the same for any number of workers. In a round a receiver makes its earlier documents again; no question costs twice, for
answers are kept. Small corpora have one receiver, and need one round.
"""

import contextlib
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from curation.steps import StepError, load
from curriculum.segment import Bound, BuildError, Generated, bound, tables_of
from curriculum.waves import Job, Phase
from datapipe import exchange, store
from datapipe.engine import Task
from datapipe.schema import DROP
from synth.teacher import Crew, Settings

ASKED = "teacher.json"  # what was sent for the documents of a folder, lost tries included: not the same for every run


class Making(NamedTuple):
    """A generator whose documents are made in a phase of their own, and how."""

    generator: Bound
    num_receivers: int
    accept: int  # documents; 0: all
    place: str  # folder of the documents
    cache: str  # folder of answers
    template: str  # of conversations

    @property
    def has_teacher(self) -> bool:
        return bool(self.generator.params.get("teacher"))


class Made(NamedTuple):
    """Inputs of the first segment, and what the report shows of their making."""

    inputs: list[Generated]
    about: dict[str, Any]


def emit_candidates(*, output: str, part: str, generator: Bound, num_receivers: int, cache: str = "") -> dict[str, Any]:
    """What a generator sees in one part of a corpus it reads, written as an exchange."""
    num_rows = 0
    function = load(generator.step).emit
    with _crew(generator, function, cache) as crew, exchange.Sender(output, num_receivers) as sender:
        emit = bound(function, generator, teacher=crew)
        for table in tables_of(part, ""):
            rows = emit(table)
            sender.send(rows, exchange.receiver_of(rows["key"].to_numpy(), num_receivers))
            num_rows += rows.num_rows
    return {"rows": num_rows}


def make_documents(
    *, output: str, generator: Bound, exchanged: list[str], receiver: int, accept: int, cache: str
) -> dict[str, Any]:
    """The documents of one receiver, rejected ones among them; of the others `accept`, or all there are (0: all)."""
    function = load(generator.step).reduce
    with _crew(generator, function, cache) as crew:
        made = bound(function, generator, teacher=crew, accept=accept)(exchange.read_slice(exchanged, receiver))
        told = {"used": crew.used(), "asked": dict(sorted(crew.asked.items()))} if crew else {}
    accepted = made[DROP].null_count if DROP in made.column_names else made.num_rows
    if accept and accepted > accept:
        raise ValueError(f"{generator.name} was asked for {accept} documents and made {accepted}")
    exchange.write_table(output, made)
    return {"accepted": accepted, **told}


def make(making: Making, exchanged: list[str]) -> Job:
    """The job from candidates to `Made`."""
    quotas = _spread(making.accept, list(range(making.num_receivers)))
    made: dict[int, dict[str, Any]] = {}
    asked: Counter[str] = Counter()
    pending = [receiver for receiver, quota in quotas.items() if quota or not making.accept]
    label = "generate"
    while pending:
        tasks = [_task(making, exchanged, receiver, quotas[receiver]) for receiver in pending]
        results = yield Phase(label, tasks)
        made.update(zip(pending, results, strict=True))
        for result in results:
            asked.update(result.get("asked", {}))
        if asked:
            store.write_bytes(store.join(making.place, ASKED), _json(dict(sorted(asked.items()))))
        accepted = sum(result["accepted"] for result in made.values())
        unspent = [r for r in quotas if (made[r]["accepted"] if r in made else 0) == quotas[r]]
        more = _spread(making.accept - accepted, unspent)
        pending = [receiver for receiver, quota in more.items() if quota]
        quotas.update({receiver: quotas[receiver] + more[receiver] for receiver in pending})
        label = f"generate ({accepted:,} of {making.accept:,})"
    inputs = [
        Generated(making.generator, exchanged, receiver, making.template, _path(making, receiver, quotas[receiver]))
        for receiver in sorted(made)
    ]
    return Made(inputs, _about(making, list(made.values())))


def _task(making: Making, exchanged: list[str], receiver: int, quota: int) -> Task:
    path = _path(making, receiver, quota)
    arguments = {"generator": making.generator, "exchanged": exchanged, "receiver": receiver, "accept": quota}
    return Task(make_documents, path, {**arguments, "cache": making.cache}, (path,), waits=making.has_teacher)


def _path(making: Making, receiver: int, quota: int) -> str:
    return store.join(making.place, f"made-{receiver:05d}{f'-{quota}' if quota else ''}.arrow")


def _spread(count: int, receivers: list[int]) -> dict[int, int]:
    """So many documents, in parts that are as equal as can be; the first receivers get the rest."""
    count = max(0, count)
    return {
        receiver: count // len(receivers) + (index < count % len(receivers)) for index, receiver in enumerate(receivers)
    }


def _about(making: Making, made: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What answers were used, whichever run paid for them, and how many documents were wanted."""
    about: dict[str, Any] = {"wanted": making.accept} if making.accept else {}
    if making.has_teacher:
        used: Counter[str] = Counter()
        for each in made:
            used.update(each.get("used", {}))
        about["teacher"] = {"model": Settings.of(making.generator.params["teacher"]).name, **dict(used)}
        about["teacher"]["cost"] = round(used["cost"], 6)
    return about


@contextlib.contextmanager
def _crew(generator: Bound, function: Callable[..., Any], cache: str) -> Iterator[Crew | None]:
    """Whoever the manifest says can be asked, for a function that asks; an error is the corpus's."""
    given = generator.params.get("teacher")
    if not given or "teacher" not in inspect.signature(function).parameters:
        yield None
        return
    try:
        crew = Crew(Settings.of(given), cache)
    except (ValueError, StepError) as error:  # what was checked with the manifest may be gone since
        raise BuildError(f"corpus {generator.corpus}: {generator.name}: {error}") from error
    with crew:
        yield crew


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
