"""A server of chat completions that costs next to nothing: every answer comes after the same delay, and some tries meet a storm.

It runs as a process of its own and serves thousands of requests per second from one core. What happens to a try depends on its body and on
how often that came before, so that a storm is the same each time. `GET /counts` tells what was asked, answered and how often a body was
answered twice: an answer is what a service would send a bill for.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import xxhash

STORM = ("429", "500", "cut", "half")
ANSWER = {
    "model": "served",
    "choices": [{"message": {"role": "assistant", "content": "It is."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 10},
}


class ChatServer(asyncio.Protocol):
    """One connection."""

    delay, storm = 0.0, 0.0
    seen: Counter[int] = Counter()  # noqa: RUF012  tries by hash of the body, of all connections
    answered: Counter[int] = Counter()  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if len(body) < length:
            return
        self.received = body[length:]
        if head.startswith(b"GET"):
            self._send(200, json.dumps(self._counts()).encode())
            return
        key = xxhash.xxh3_64_intdigest(body[:length])
        self.seen[key] += 1
        asyncio.get_running_loop().call_later(self.delay, self._answer, key, self.seen[key])

    def _answer(self, key: int, times: int) -> None:
        if self.transport.is_closing():
            return
        draw = xxhash.xxh3_64_intdigest(times.to_bytes(8, "little"), key)
        trouble = STORM[draw % len(STORM)] if (draw >> 8) % 1_000 < 1_000 * self.storm else ""
        body = json.dumps(ANSWER).encode()
        if trouble in ("429", "500"):
            self._send(int(trouble), b"{}", "Retry-After: 0.01\r\n" if trouble == "429" else "")
        elif trouble == "cut":
            self.transport.abort()
        elif trouble == "half":
            self._send(200, body[: len(body) // 2])
        else:
            self.answered[key] += 1
            self._send(200, body)

    def _send(self, status: int, body: bytes, more: str = "") -> None:
        self.transport.write(f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _counts(self) -> dict[str, int]:
        answered = self.answered.values()
        return {"tries": self.seen.total(), "answers": sum(answered), "twice": sum(count > 1 for count in answered)}


@contextlib.contextmanager
def serving(*, delay: float, storm: float = 0.0) -> Iterator[str]:
    """The address of a server, up to and with /v1."""
    # as a file: of the package around it, it needs nothing
    command = [sys.executable, "-P", __file__, "--delay", str(delay), "--storm", str(storm)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def counts(base_url: str) -> dict[str, Any]:
    """What a server has seen."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/counts") as answer:
        told: dict[str, Any] = json.loads(answer.read())
        return told


async def _serve(delay: float, storm: float) -> None:
    ChatServer.delay, ChatServer.storm = delay, storm
    server = await asyncio.get_running_loop().create_server(ChatServer, "127.0.0.1", 0, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float)
    parser.add_argument("--storm", type=float)
    given = parser.parse_args()
    asyncio.run(_serve(given.delay, given.storm))
