"""A server of chat completions on the loopback that answers as a test scripts it, and remembers what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """An answer of the model, or with `status` or `body` something else; `cut` closes the connection in the middle of it."""

    text: str = "Score: 3"
    status: int = 200
    finish_reason: str = "stop"
    body: bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012
    delay: float = 0.0
    cut: bool = False
    usage: bool = True
    refusal: str | None = None
    message: dict[str, Any] = {}  # noqa: RUF012  more of what the assistant says
    details: dict[str, Any] = {}  # noqa: RUF012  more of the usage

    def data(self, prompt: str) -> bytes:
        if self.body is not None:
            return self.body
        message = {"role": "assistant", "content": self.text, "refusal": self.refusal, **self.message}
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": 10, **self.details}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return json.dumps({"model": "served", "choices": [choice], **({"usage": usage} if self.usage else {})}).encode()


class ChatServer:
    """`reply(prompt, times)` is called for every request; `times` counts how often this prompt was asked before."""

    def __init__(self, reply: Callable[[str, int], Reply]) -> None:
        self.reply = reply
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.authorisations: set[str | None] = set()
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"chat": self}))
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def prompts(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.requests]

    def begin(self, request: dict[str, Any]) -> Reply:
        with self._lock:
            prompt = request["messages"][-1]["content"]
            times = self.prompts.count(prompt)
            self.requests.append(request)
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        return self.reply(prompt, times)

    def end(self) -> None:
        with self._lock:
            self._at_once -= 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(reply: Callable[[str, int], Reply] = lambda prompt, times: Reply()) -> Iterator[ChatServer]:
    server = ChatServer(reply)
    try:
        yield server
    finally:
        server.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1_024  # of five, as the class has it, those that come at once try again after seconds


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    chat: ChatServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.chat.authorisations.add(self.headers.get("Authorization"))
        reply = self.chat.begin(request)
        time.sleep(reply.delay)
        data = reply.data(request["messages"][-1]["content"])
        self.chat.end()
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(data) + (9 if reply.cut else 0))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = reply.cut

    def log_message(self, format: str, *arguments: object) -> None:
        pass
