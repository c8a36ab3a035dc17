from dataclasses import replace
from importlib.metadata import distribution

import pytest

from datapipe.sample import pages
from datapipe.sample.budget import Account
from datapipe.sample.environment import Package

PACKAGE = Package(
    "Some.Thing", "1.0", "MIT", "a summary", (), "# Title\n\ntext", "text/markdown", distribution("pytest")
)


def rendered(names: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], Account]:
    monkeypatch.setattr(pages, "module_names", lambda: names)
    account = Account("web", 10_000_000)
    return {page["module"]: page["html"] for page in pages.render_modules(account)}, account


def test_a_module_that_breaks_the_process_is_counted_and_the_next_ones_are_rendered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The main module of venv exits: it misses its arguments.
    html, account = rendered(["textwrap", "venv.__main__", "no_such_module", "shlex"], monkeypatch)
    assert list(html) == ["textwrap", "shlex"]
    assert account.skipped == {
        "module failed when imported or rendered": 1,
        "module not importable on this platform": 1,
    }
    assert "<h1>" in html["shlex"]
    assert "wrap" in html["textwrap"]


def test_module_pages_hold_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "a-secret-value")
    html, _ = rendered(["os", "platform", "sys", "logging"], monkeypatch)
    text = "".join(html.values())
    assert "<strong>environ</strong>" in text
    for private in ("a-secret-value", " at 0x", pages.sys.prefix, pages.sys.base_prefix + "/", pages.sys.executable):
        assert private not in text


def test_modules_are_public_and_harmless() -> None:
    names = pages.module_names()
    assert {"json", "json.decoder", "math", "__future__"} <= set(names)
    assert not {"antigravity", "this", "tkinter", "test", "turtle", "_pydecimal", "idlelib"} & set(names)


def test_a_few_pages_come_in_older_encodings_with_the_right_header() -> None:
    packages = [replace(PACKAGE, name=f"p{number}") for number in range(12)]
    captures = list(pages.project_captures(packages, max_bytes=10**6))
    charsets = [capture.content_type.partition("charset=")[2] for capture in captures]
    assert (charsets.count("iso-8859-1"), charsets.count("utf-16"), charsets.count("utf-8")) == (6, 3, 3)
    assert all(
        "<h1>Title</h1>" in capture.body.decode(charset) for capture, charset in zip(captures, charsets, strict=True)
    )


def test_descriptions_are_rendered_by_their_markup_language_and_long_ones_left_to_the_books() -> None:
    rst = replace(PACKAGE, description="Title\n=====\n\n*text*", description_type="text/x-rst")
    plain = replace(PACKAGE, description="a < b", description_type="text/plain")
    assert "<em>text</em>" in pages.description_html(rst)
    assert pages.description_html(plain) == "<pre>a &lt; b</pre>"
    assert list(pages.project_captures([replace(PACKAGE, description="word " * 10_000)], max_bytes=10**6)) == []
