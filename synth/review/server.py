"""A server for one page, on this machine only: files, and functions from JSON to JSON.

What keeps others out. It listens on the loopback address. Whoever calls a function must know a key that is drawn at every start. It stands
in the fragment of the address that is printed, which no browser sends anywhere; the page keeps it in the storage of its tab, which belongs
to this port alone (a cookie would go to every other server on 127.0.0.1), and sends it in a header, which no other site can. A request must
name this host (no DNS rebinding), and one that does anything must come from this page and be JSON. The files hold nothing to hide. The
page may load nothing from elsewhere and run no script but its own file (Content-Security-Policy), and what documents say is only ever
set as text. Not covered: programs that run as the same user, and whoever may read that user's command lines while a browser starts.
"""

import hmac
import http.server
import json
import secrets
import socketserver
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
KEY_HEADER = "X-Review-Key"
MAX_BODY_BYTES = 1 << 20
FILES = {
    "/": ("page.html", "text/html"),
    "/review.css": ("review.css", "text/css"),
    "/review.js": ("review.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that cannot be met, for a reason that the person at the page can act on."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves `functions`, each under /api/NAME. `url` is the address to open; 0 for `port` takes a free one."""

    daemon_threads = True

    def __init__(self, functions: Mapping[str, Callable[..., Any]], port: int = 0) -> None:
        self.functions = functions
        self.key = secrets.token_urlsafe(24)
        super().__init__((HOST, port), _Handler)

    @property
    def hosts(self) -> tuple[str, str]:
        return f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.hosts[0]}/#{self.key}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that a connection may be idle

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            return self._refuse(421, "not this host")
        path = urllib.parse.urlsplit(self.path).path
        if path not in FILES:
            return self._refuse(404, "no such page")
        name, kind = FILES[path]
        self._send(200, Path(__file__).with_name(name).read_bytes(), f"{kind}; charset=utf-8")

    def do_POST(self) -> None:
        """A function called with the members of a JSON object."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            return self._refuse(413, f"a request has a length of at most {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(int(length))
        if reason := self._is_foreign():
            return self._refuse(403, reason)
        function = self.server.functions.get(self.path.removeprefix("/api/"))
        if function is None:
            return self._refuse(404, "no such function")
        try:
            answer = function(**json.loads(body))
        except Refused as error:
            return self._refuse(409, str(error))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return self._refuse(400, f"{type(error).__name__}: {error}")
        except OSError as error:  # the log cannot be written
            return self._refuse(507, f"nothing was kept: {error}")
        self._send(200, json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace"), "application/json")

    def _is_foreign(self) -> str:
        """Why a request that does something does not come from the page; empty when it does."""
        if self.headers.get("Host") not in self.server.hosts:
            return "not this host"
        if self.headers.get("Origin", "") not in [f"http://{host}" for host in self.server.hosts]:
            return "not from this page"
        if self.headers.get_content_type() != "application/json":
            return "not JSON"
        key = self.headers.get(KEY_HEADER, "")
        if not hmac.compare_digest(key.encode(), self.server.key.encode()):
            return "open the address that was printed when the server started: it holds a key"
        return ""

    def _refuse(self, status: int, reason: str) -> None:
        self._send(status, json.dumps({"error": reason}).encode("utf-8", "backslashreplace"), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal belongs to the person who reviews."""
