"""A crew against a server that answers after 100 ms: how near it comes to as many requests at a time as it may have, and what storms cost.

The ideal is requests x delay / requests at a time; connecting, the first and the last wave count. The bar is 90 % of it, in one process and
by two workers of Ray. In a storm half of the tries are lost (429, 500, cut connections, half an answer): no row may be lost, and no answer
charged twice. The server and the crew share this machine's cores with whatever else runs there: the best of `--repeat` rounds counts, and
in each round a bare client of the same HTTP library is measured too. It keeps no file, and is slower than a crew all the same on a busy
machine, because its requests go out in bursts (`synth.teacher.gate`). Per request a crew takes 170 to 190 µs of one core, the client 120 to
150, the server 36.
"""

import argparse
import asyncio
import functools
import itertools
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from datapipe.engine import Engine, RayData, Task
from synth.bench.chat_server import counts, serving
from synth.teacher import Answer, Crew, Request, Settings, Teacher

DELAY_SECONDS = 0.1
BAR = 0.9
STORM = 0.5


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m synth.bench teacher", description=__doc__)
    parser.add_argument("--requests", type=int, default=12_000)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="of Ray; 0 leaves that out")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args(argv)
    best: dict[str, float] = {}
    engine = RayData(given.workers or None)
    measures: dict[str, Callable[[int, int], float]] = {"bare": _bare, "one process": _one_process}
    if given.workers:
        measures["ray"] = functools.partial(_on_ray, engine, given.workers)
    try:
        for _, (name, measure) in itertools.product(range(given.repeat), measures.items()):
            best[name] = max(best.get(name, 0.0), measure(given.requests, given.concurrency))
    finally:
        engine.close()
    missed = [name for name, ratio in best.items() if ratio < BAR and name != "bare"]
    lost = _storm(given.requests // 6, given.concurrency)
    return int(bool(missed or lost))


def ask_many(
    *, output: str, base_url: str, concurrency: int, first: int, count: int, pause: float = 1.0
) -> dict[str, Any]:
    """A task: `count` requests from number `first` on."""
    import synth.teacher.endpoint  # noqa: F401  what a worker does once is not what is measured

    settings = Settings.of({"base_url": base_url, "model": "m", "concurrency": concurrency, "price_out": 1e6})
    with Crew(settings, str(Path(output).parent), first_pause=pause) as crew:
        start, cpu = time.time(), time.process_time()
        answers = crew.run(_row(number) for number in range(first, first + count))
        return {
            "start": start,
            "end": time.time(),
            "cpu": time.process_time() - cpu,
            "lost": sum(not answer.is_whole for answer in answers),
            "cost": crew.used()["cost"],
            "asked": dict(crew.asked),
        }


def _row(number: int) -> Callable[[Teacher], Awaitable[Answer]]:
    request = Request(({"role": "user", "content": f"Is {number} a number?"},), 10)
    return lambda teacher: teacher.ask(request)


async def _ask_bare(base_url: str, concurrency: int, count: int) -> dict[str, Any]:
    """The same requests without a crew: no file, no limits, no second try."""
    numbers = iter(range(count))

    async def take(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = {"model": "m", "messages": [{"role": "user", "content": f"Is {number} a number?"}], "max_tokens": 10}
            async with session.post(base_url + "/chat/completions", json=body) as response:
                await response.json(content_type=None)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        start, cpu = time.time(), time.process_time()
        await asyncio.gather(*(take(session) for _ in range(concurrency)))
        return {"start": start, "end": time.time(), "cpu": time.process_time() - cpu}


def _bare(count: int, concurrency: int) -> float:
    with serving(delay=DELAY_SECONDS) as base_url:
        return _told("a bare client", [asyncio.run(_ask_bare(base_url, concurrency, count))], count, concurrency)


def _one_process(count: int, concurrency: int) -> float:
    with serving(delay=DELAY_SECONDS) as base_url, tempfile.TemporaryDirectory() as folder:
        done = ask_many(output=f"{folder}/out", base_url=base_url, concurrency=concurrency, first=0, count=count)
    return _told("one process", [done], count, concurrency)


def _on_ray(engine: Engine, workers: int, count: int, concurrency: int) -> float:
    with serving(delay=DELAY_SECONDS) as base_url, tempfile.TemporaryDirectory() as folder:
        each = count // workers
        arguments = {"base_url": base_url, "concurrency": concurrency, "count": each}
        tasks = [Task(ask_many, f"{folder}/{n}", {**arguments, "first": n * each}, waits=True) for n in range(workers)]
        done = engine.run(tasks, lambda index: None)
    return _told(f"{workers} workers of Ray", done, each * workers, concurrency)


def _told(where: str, done: list[dict[str, Any]], count: int, concurrency: int) -> float:
    """Share of the ideal, printed. Workers that begin one after the other count from the first."""
    seconds = max(each["end"] for each in done) - min(each["start"] for each in done)
    ratio = count * DELAY_SECONDS / concurrency / seconds
    cpu = sum(each["cpu"] for each in done) / count
    print(
        f"{where}: {count:,} requests, {concurrency} at a time, {1e3 * DELAY_SECONDS:g} ms each: {seconds:.2f} s, "
        f"{100 * ratio:.1f} % of the ideal, {1e6 * cpu:.0f} µs CPU per request",
        flush=True,
    )
    return ratio


def _storm(count: int, concurrency: int) -> int:
    """Rows that were lost or charged twice, and charges that do not match."""
    with serving(delay=0.01, storm=STORM) as base_url, tempfile.TemporaryDirectory() as folder:
        done = ask_many(
            output=f"{folder}/out", base_url=base_url, concurrency=concurrency, first=0, count=count, pause=0.01
        )
        seen = counts(base_url)
    lost = {name.partition(".")[2]: number for name, number in done["asked"].items() if "." in name}
    told = ", ".join(f"{name} {number:,}" for name, number in sorted(lost.items()))
    charged = round(done["cost"] / 10)
    print(
        f"storm: {count:,} rows, {seen['tries']:,} tries, {done['end'] - done['start']:.1f} s; tries lost: {told}; rows lost: "
        f"{done['lost']}, charged {charged:,}, answered {seen['answers']:,}, of them twice {seen['twice']}"
    )
    return int(done["lost"]) + seen["twice"] + abs(charged - count) + abs(seen["answers"] - count)


if __name__ == "__main__":
    import sys

    raise SystemExit(main(sys.argv[1:]))
