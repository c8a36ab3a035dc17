"""The server of the review page as an attacker meets it: another site, another host name, no key, no token."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth.review.log import Log
from synth.review.server import MAX_BODY_BYTES, TOKEN_HEADER, Refused, Server


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
    own = {"Cookie": f"{server.cookie}={server.key}", "Origin": f"http://{host}", "Content_Type": "application/json"}
    return own | {TOKEN_HEADER.replace("-", "_"): server.token} | other


def post(server: Server, name: str, given: Any, **other: str) -> tuple[int, Any]:
    status, _, data = ask(server, "POST", f"/api/{name}", json.dumps(given).encode(), **page_headers(server, **other))
    return status, json.loads(data)


def test_it_listens_on_the_loopback_address_only(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_printed_address_gives_a_cookie_that_no_script_and_no_other_site_has(server: Server) -> None:
    status, headers, _ = ask(server, "GET", server.url.partition(server.hosts[0])[2])
    assert (status, headers["Location"]) == (303, "/")
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/", "/review.js", "/?key=wrong", "/?key="])
def test_nothing_is_shown_without_the_key(server: Server, path: str) -> None:
    status, _, data = ask(server, "GET", path)
    assert status == 403
    assert b"address that was printed" in data


def test_the_page_holds_the_token_and_may_load_nothing_from_elsewhere(server: Server) -> None:
    status, headers, data = ask(server, "GET", "/", Cookie=f"{server.cookie}={server.key}")
    assert status == 200
    assert server.token.encode() in data
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(
        rb"<script(?![^>]* src=)|\son\w+=|https?://", data
    )  # no script but its own file, nothing from elsewhere


@pytest.mark.parametrize("path", ["/../session.py", "/session.py", "/etc/passwd", "/%2e%2e/log.py", "//page.html"])
def test_no_other_file_is_served(server: Server, path: str) -> None:
    assert ask(server, "GET", path, Cookie=f"{server.cookie}={server.key}")[0] == 404


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
        {"Cookie": ""},
        {"Cookie": "tokenloom-review=guess"},
        {"Content_Type": "text/plain"},  # what a form of another site can send
        {TOKEN_HEADER.replace("-", "_"): ""},
        {TOKEN_HEADER.replace("-", "_"): "guess"},
    ],
)
def test_requests_of_others_do_nothing(server: Server, other: dict[str, str]) -> None:
    called: list[int] = []
    server.functions = {"add": lambda **given: called.append(1)}
    assert post(server, "add", {"one": 1, "other": 2}, **other)[0] == 403
    assert called == []


def test_a_page_asked_by_another_host_name_is_refused(server: Server) -> None:
    assert ask(server, "GET", "/", Host="evil.example", Cookie=f"{server.cookie}={server.key}")[0] == 421


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


def test_two_reviews_on_one_machine_keep_their_keys_apart(server: Server) -> None:
    """A browser sends the cookies of 127.0.0.1 to every port, and one of the same name takes the place of the other."""
    with Server({}) as other:
        assert other.cookie != server.cookie
        both = f"{other.cookie}={other.key}; {server.cookie}={server.key}"
        assert ask(server, "GET", "/", Cookie=both)[0] == 200


def test_a_log_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = Log(tmp_path / "file" / "reviews.jsonl")
    server.functions = {"keep": lambda: log.add("ada", "one", "accept")}
    status, told = post(server, "keep", {})
    assert status == 507
    assert "nothing was kept" in told["error"]
    assert str(tmp_path / "file") in told["error"]
