"""The server of the review page as an attacker meets it: another site, another host name, no key."""

import http.client
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth.review.log import Log
from synth.review.server import FILES, KEY_HEADER, MAX_BODY_BYTES, Refused, Server


def add(one: int, other: int) -> dict[str, int]:
    return {"sum": one + other}


def refuse() -> None:
    raise Refused("not today")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server({"add": add, "refuse": refuse, "text": lambda text: {"text": text}})
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), data


def page_headers(server: Server, **other: str) -> dict[str, str]:
    """What a request of the page itself carries."""
    host = server.hosts[0]
    own = {"Origin": f"http://{host}", "Content_Type": "application/json"}
    return own | {KEY_HEADER.replace("-", "_"): server.key} | other


def post(server: Server, name: str, given: Any, **other: str) -> tuple[int, Any]:
    status, _, data = ask(server, "POST", f"/api/{name}", json.dumps(given).encode(), **page_headers(server, **other))
    return status, json.loads(data)


def test_it_listens_on_the_loopback_address_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_key_is_never_in_what_a_browser_sends_for_a_page_or_gets(server: Server) -> None:
    """It is the fragment of the address; no file holds it, and there is no cookie, which other ports would see."""
    address = urllib.parse.urlsplit(server.url)
    assert (address.path, address.query, address.fragment) == ("/", "", server.key)
    for path in FILES:
        status, headers, data = ask(server, "GET", path)
        assert status == 200
        assert server.key.encode() not in data
        assert "Set-Cookie" not in headers


def test_the_page_may_load_nothing_from_elsewhere(server: Server) -> None:
    _, headers, data = ask(server, "GET", "/")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(
        rb"<script(?![^>]* src=)|\son\w+=|https?://", data
    )  # no script but its own file, nothing from elsewhere


@pytest.mark.parametrize("path", ["/../session.py", "/session.py", "/etc/passwd", "/%2e%2e/log.py", "//page.html"])
def test_no_other_file_is_served(server: Server, path: str) -> None:
    assert ask(server, "GET", path)[0] == 404


def test_a_function_is_called(server: Server) -> None:
    assert post(server, "add", {"one": 1, "other": 2}) == (200, {"sum": 3})
    assert post(server, "text", {"text": "</script>\ud800"}) == (200, {"text": "</script>\ud800"})


@pytest.mark.parametrize(
    "other",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Host": "evil.example"},  # a name that was made to point here
        {"Host": "evil.example", "Origin": "http://evil.example"},  # and its page, which then is of the same origin
        {"Origin": "http://127.0.0.1:1"},  # another server on this machine
        {"Content_Type": "text/plain"},  # what a form of another site can send
        {KEY_HEADER.replace("-", "_"): ""},
        {KEY_HEADER.replace("-", "_"): "guess"},
        {KEY_HEADER.replace("-", "_"): "gu\u00e9ss"},
    ],
)
def test_requests_of_others_do_nothing(server: Server, other: dict[str, str]) -> None:
    called: list[int] = []
    server.functions = {"add": lambda **given: called.append(1)}
    assert post(server, "add", {"one": 1, "other": 2}, **other)[0] == 403
    assert called == []


def test_a_page_asked_by_another_host_name_is_refused(server: Server) -> None:
    assert ask(server, "GET", "/", Host="evil.example")[0] == 421


@pytest.mark.parametrize(
    ("name", "given", "status", "said"),
    [
        ("refuse", {}, 409, "not today"),
        ("add", {"one": 1}, 400, "TypeError"),
        ("add", [1, 2], 400, "TypeError"),
        ("nothing", {}, 404, "no such function"),
    ],
)
def test_errors_say_what_is_wrong(server: Server, name: str, given: Any, status: int, said: str) -> None:
    answered, error = post(server, name, given)
    assert answered == status
    assert said in error["error"]


def test_a_body_that_is_no_json_or_too_long_is_refused(server: Server) -> None:
    assert ask(server, "POST", "/api/add", b"{", **page_headers(server))[0] == 400
    assert ask(server, "POST", "/api/add", b"[" * 100_000, **page_headers(server))[0] == 400
    assert (
        ask(server, "POST", "/api/add", b"", **page_headers(server, Content_Length=str(MAX_BODY_BYTES + 1)))[0] == 413
    )
    assert post(server, "add", {"one": 1, "other": 2})[0] == 200  # and the server goes on


def test_another_site_gets_no_leave_to_send_the_key(server: Server) -> None:
    """A header of its own makes a browser ask first, and no answer allows it."""
    asked = {"Origin": "http://127.0.0.1:1", "Access_Control_Request_Headers": KEY_HEADER}
    _, headers, _ = ask(server, "OPTIONS", "/api/add", None, **asked)
    assert not [name for name in headers if name.startswith("Access-Control")]


def test_a_log_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = Log(tmp_path / "file" / "reviews.jsonl")
    server.functions = {"keep": lambda: log.add("ada", "one", "accept")}
    status, told = post(server, "keep", {})
    assert status == 507
    assert "nothing was kept" in told["error"]
    assert str(tmp_path / "file") in told["error"]
