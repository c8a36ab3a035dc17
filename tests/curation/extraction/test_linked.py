"""Pages as Markdown with links, pairs and tables, and bad pages as data."""

import gzip
import json
import re
import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest

from curation.extraction.extract import html
from curation.extraction.linked import check, linked
from datapipe.schema import documents

URL = "https://site.example/docs/page.html"
PROSE = "<p>" + "A sentence that belongs to the text of this page. " * 8 + "</p>"


def written(body: str, head: str = "", **options: object) -> str:
    table = linked(
        documents([{"text": f"<html><head>{head}</head><body>{body}</body></html>", "origin": URL}]), **options
    )  # type: ignore[arg-type]
    assert table["drop_reason"].to_pylist() == [None]
    return str(table["text"][0].as_py())


@pytest.mark.parametrize(
    ("anchor", "wanted"),
    [
        ('<a href="a.html">words</a>', "[words](https://site.example/docs/a.html)"),
        ('<a href="/a#b">two\n words</a>', "[two words](https://site.example/a#b)"),
        ('<a href="//host.example/x y(1)">w</a>', "[w](https://host.example/x%20y%281%29)"),
        ('<a href="a"><b>b</b>old [1]</a>', "[bold (1)](https://site.example/docs/a)"),
        ('<a href="#part">here</a>', "here"),
        ('<a href="page.html#part">here</a>', "here"),
        ('<a href="mailto:a@b.example">mail</a>', "mail"),
        ('<a href="javascript:alert(1)">run</a>', "run"),
        ('<a href="http://[::1">broken</a>', "broken"),
        ('<a name="x">anchor</a>', "anchor"),
    ],
)
def test_links_are_absolute_or_words(anchor: str, wanted: str) -> None:
    assert written(f"<main><p>See {anchor} there.</p></main>") == f"See {wanted} there."


def test_a_base_says_what_links_are_relative_to() -> None:
    assert "(https://other.example/v/a)" in written(
        '<main><p>x <a href="a">w</a></p></main>', '<base href="https://other.example/v/">'
    )


def test_a_sign_or_a_picture_is_no_link() -> None:
    heading = '<h2>Head <a class="headerlink" href="#h">¶</a></h2>'
    assert written(f'<main>{heading}<p><a href="a"><img src="i.png"></a>text</p></main>') == "## Head\n\ntext"


@pytest.mark.parametrize(
    "pairs",
    [
        "<dl><dt>Licence</dt><dd>MIT</dd><dt>Author:</dt><dd>Ann</dd><dd>Bo</dd></dl>",
        "<dl><div><dt>Licence</dt><dd>MIT</dd></div><div><dt>Author</dt><dd><ul><li>Ann</li><li>Bo</li></ul></dd></div></dl>",
        "<table class='infobox'><tr><th>Licence</th><td>MIT</td></tr><tr><th>Author</th><td>Ann; Bo</td></tr></table>",
    ],
)
@pytest.mark.parametrize("around", ["<main><h1>Title</h1>{}</main>", "<aside>{}</aside><main><h1>Title</h1></main>"])
def test_pairs_are_lines(pairs: str, around: str) -> None:
    lines = [line for line in written(around.format(pairs)).split("\n") if line]
    assert lines == ["# Title", "**Licence**: MIT", "**Author**: Ann; Bo"]


def test_a_sidebar_says_and_does_not_link() -> None:
    side = "<aside><p>License: MIT</p><ul><li><a href='/other'>Other page</a></li></ul><p>Just words.</p></aside>"
    assert written(f"{side}<main><h1>T</h1><p>Text.</p></main>") == "# T\n\n**License**: MIT\n\nText."


def test_navigation_goes_and_content_stays() -> None:
    beside = [
        "<nav><a href='/'>Home</a></nav>",
        "<div class='cookie-banner'>We use cookies</div>",
        "<div role='search'>Find</div>",
        "<footer>Imprint</footer>",
        "<p hidden>secret</p>",
        "<div style='display: none'>hidden</div>",
        "<button>Press</button>",
    ]
    for part in beside:
        assert written(f"{part}<main>{PROSE}{part}</main>{part}") == written(f"<main>{PROSE}</main>")
    assert written(f"<div class='nav-wrapper navigation'>{PROSE}</div>").startswith("A sentence")


def test_a_heading_before_the_content_heads_it() -> None:
    lead = "<div class='head'><h1>Jinja2 3.1</h1><p>A template engine.</p></div>"
    text = "<main><h1>Jinja</h1><p>Text.</p></main>"
    assert written(lead + text, "<title>Jinja2 · The index</title>").startswith(
        "# Jinja2 3.1\n\nA template engine.\n\n# Jinja"
    )
    assert written(lead + text, "<title>Jinja · The index</title>").startswith("# Jinja\n")
    assert written(f"<header>{lead}</header><main><p>Text.</p></main>") == "Text."


def test_the_longest_main_part_is_the_content() -> None:
    assert written(f"<main>short</main><main>{PROSE}</main>").startswith("A sentence")


def test_tables_lists_and_code() -> None:
    table = (
        "<table><tr><th>Date</th><th>Version</th></tr><tr><td>2022 | 23</td><td><a href='v1'>1</a></td></tr></table>"
    )
    assert (
        written(f"<main>{table}</main>")
        == "| Date | Version |\n|---|---|\n| 2022 \\| 23 | [1](https://site.example/docs/v1) |"
    )
    assert (
        written("<main><ul><li>a<ul><li>b</li></ul></li><li><p>c</p><p>d</p></li></ul></main>")
        == "- a\n  - b\n- c\n  d"
    )
    assert (
        written("<main><p>x</p><pre>def f():\n\n    <a href='y'>return</a></pre></main>")
        == "x\n\ndef f():\n\n    return"
    )


def test_what_a_page_says_of_itself_is_told() -> None:
    table = linked(
        documents([{"text": f"<html lang=en><title>T</title><main>{PROSE}</main>", "origin": URL, "meta": '{"x": 1}'}])
    )
    assert json.loads(table["meta"][0].as_py()) == {"x": 1, "title": "T", "html_lang": "en"}


@pytest.mark.parametrize(
    ("page", "reason", "options"),
    [
        ("<p>words</p>" * 100, "extract.too_large", {"max_chars": 500}),
        ("<p>words</p>" * 100, "extract.too_large", {"max_elements": 50}),
        ("<nav>Home</nav>", "extract.empty", {}),
        ("no markup at all", "extract.empty", {}),
    ],
)
def test_bad_pages_are_dropped(page: str, reason: str, options: dict[str, int]) -> None:
    table = linked(documents([{"text": page, "origin": URL}]), **options)  # type: ignore[arg-type]
    assert table["drop_reason"].to_pylist() == [reason]
    assert table["text"].to_pylist() == [page]


def test_hostile_pages_end() -> None:
    pages = [
        "<div>" * 50_000 + "x" + "</div>" * 50_000,
        "<a href='x'>" * 30_000,
        "<table><tr><th>" * 3_000 + "x",
        "<dl><dt>" * 20_000 + "x",
        "<p class='" + "nav " * 100_000 + "'>x</p>",
    ]
    started = time.monotonic()
    table = linked(
        documents([{"text": page, "origin": f"{URL}{number}"} for number, page in enumerate(pages)]), max_seconds=5
    )
    assert time.monotonic() - started < 60
    assert table.num_rows == len(pages)


def test_both_extractions_share_a_process() -> None:
    docs = documents([{"text": f"<main><h1>Title</h1>{PROSE}<p><a href='/a'>link</a></p></main>", "origin": URL}])
    assert "](" in linked(docs)["text"][0].as_py()
    assert "](" not in html(docs)["text"][0].as_py()


def test_limits_that_are_none() -> None:
    check()
    with pytest.raises(ValueError, match="max_seconds is -1"):
        check(max_seconds=-1)


def four_grams(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "", text).lower())
    return Counter(tuple(words[start : start + 4]) for start in range(max(1, len(words) - 3)))


@pytest.mark.data
def test_articles_of_real_pages_are_there(shared_data: Path) -> None:
    truth = json.loads((shared_data / "extraction" / "ground-truth.json").read_text())
    files = sorted((shared_data / "extraction" / "html").glob("*.html.gz"))[:30]
    pages = [gzip.decompress(file.read_bytes()).decode("utf-8", "replace") for file in files]
    texts = linked(documents([{"text": page, "origin": f"{URL}{number}"} for number, page in enumerate(pages)]))[
        "text"
    ].to_pylist()
    recalls = []
    for file, text in zip(files, texts, strict=True):
        wanted = four_grams(truth[file.name.split(".")[0]]["articleBody"])
        recalls.append((four_grams(text) & wanted).total() / wanted.total())
    assert sum(recalls) / len(recalls) > 0.97
    assert min(recalls) > 0.5


@pytest.mark.data
def test_a_real_manual_keeps_its_links(shared_data: Path) -> None:
    with tarfile.open(shared_data / "wiki" / "sqlite3-doc.tar.gz") as archive:
        names = ("sqlite3-doc/chronology.html", "sqlite3-doc/c3ref/open.html")
        pages = [
            (member.name, archive.extractfile(member).read().decode()) for member in archive if member.name in names
        ]  # type: ignore[union-attr]
    rows = [{"text": page, "origin": f"https://manual.example/{name}"} for name, page in pages]
    texts = "".join(linked(documents(rows))["text"].to_pylist())
    assert "| 2022-12-28 |" not in texts  # a link too
    assert "[3.40.1](https://manual.example/sqlite3-doc/releaselog/3_40_1.html) |" in texts
    assert texts.count("/releaselog/") > 200
    assert "[database connection](https://manual.example/sqlite3-doc/c3ref/sqlite3.html) handle" in texts
