"""An object store on a bad day: a proxy on the loopback, in front of the `s3` fixture, whose faults a test scripts.

    faulty_s3.fail("shard", "slow_down", times=3)      # the next three GETs of keys with "shard" in them answer 503

Requests are logged as (method, key, range), faults included. Forwards whole bodies; nothing else of HTTP than S3 reads need.
"""

import http.client
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

# An error, no answer for a while, half a body and then nothing for a while, half a body, half a body said to be whole, a TCP reset.
Fault = Literal["slow_down", "internal_error", "hang", "stall", "cut", "short", "reset"]
ERRORS = {"slow_down": (503, "SlowDown"), "internal_error": (500, "InternalError")}


class Request(NamedTuple):
    method: str
    key: str
    range: tuple[int, int] | None  # first byte, byte after the last


@dataclass
class Plan:
    """`times` more requests of `method` for keys that contain `key` meet this fault."""

    key: str
    fault: Fault
    times: int
    method: str


class FaultyProxy:
    """The store at `base`, reached through AWS_ENDPOINT_URL. `hang_seconds` is how long a hanging request takes, `delay_seconds` any."""

    hang_seconds = 1.0

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self.reset("")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def reset(self, base: str) -> None:
        """Forget the faults and requests of the test before."""
        self.base = base
        self.delay_seconds = 0.0
        self.requests: list[Request] = []
        self._plans: list[Plan] = []

    def fail(self, key: str, fault: Fault, *, times: int = 1, method: str = "GET") -> None:
        with self._lock:
            self._plans.append(Plan(key, fault, times, method))

    def gets(self, key: str = "") -> list[tuple[int, int] | None]:
        """The ranges that were asked for, in order."""
        return [request.range for request in self.requests if request.method == "GET" and key in request.key]

    def wait_for_gets(self, count: int, key: str = "") -> None:
        """Until so many have begun."""
        deadline = time.monotonic() + 20
        while len(self.gets(key)) < count:
            assert time.monotonic() < deadline, f"{self.gets(key)} after 20 s, not {count} requests"
            time.sleep(0.005)

    def next_fault(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            for plan in self._plans:
                if plan.times and plan.method == request.method and plan.key in request.key:
                    plan.times -= 1
                    return plan.fault
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    proxy: FaultyProxy

    def do_GET(self) -> None:
        fault = self.proxy.next_fault(self._asked())
        time.sleep(self.proxy.delay_seconds)
        if fault == "hang":
            time.sleep(self.proxy.hang_seconds)
            self.close_connection = True
        elif fault == "reset":
            self._reset()
        elif fault in ERRORS:
            status, code = ERRORS[fault]
            body = f"<Error><Code>{code}</Code><Message>not now</Message></Error>".encode()
            self._answer(status, {"Content-Type": "application/xml"}, body, len(body))
        else:
            self._forward(fault)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _forward(self, fault: Fault | None) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        data = answer.read()
        length = int(answer.headers.get("Content-Length") or len(data))
        if fault in ("stall", "cut", "short"):
            data = data[: len(data) // 2]
        self._answer(answer.status, dict(answer.headers), data, len(data) if fault == "short" else length)
        upstream.close()
        if fault in ("stall", "cut"):
            time.sleep(self.proxy.hang_seconds if fault == "stall" else 0)
            self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], data: bytes, length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _reset(self) -> None:
        """Close so that the other side gets a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True
        self.connection.close()

    def _asked(self) -> Request:
        first, _, last = (self.headers.get("Range") or "").removeprefix("bytes=").partition("-")
        return Request(
            self.command, unquote(urlsplit(self.path).path), (int(first), int(last) + 1) if first and last else None
        )

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def proxy_of_session(s3: str) -> Iterator[FaultyProxy]:
    """One for all tests: every new endpoint costs half a second for a client."""
    proxy = FaultyProxy(os.environ["AWS_ENDPOINT_URL"])
    yield proxy
    proxy.close()


@pytest.fixture
def faulty_s3(s3: str, proxy_of_session: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """The object store through a proxy, under a folder of this test's own; subprocesses inherit the way."""
    proxy_of_session.reset(f"{s3}/{os.urandom(6).hex()}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy_of_session.url)
    return proxy_of_session
