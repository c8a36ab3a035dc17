"""Main text of real pages, and bad pages as data."""

import gzip
import html as entities
import json
import pydoc
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from curation.extract import html, tidy
from datapipe.schema import documents

ARTICLE = "<p>" + "A sentence that belongs to the text of this page, with a comma. " * 5 + "</p>"


def page(body: str) -> str:
    return f"<html><head><title> A\n title </title></head><body>{body}</body></html>"


def extracted(*pages: str, **options: object) -> list[str]:
    table = documents([{"text": text, "origin": str(index)} for index, text in enumerate(pages)])
    return html(table, **options)["text"].to_pylist()  # type: ignore[arg-type]


def four_grams(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return Counter(tuple(words[start : start + 4]) for start in range(max(1, len(words) - 3)))


def f1(found: str, wanted: str) -> float:
    left, right = four_grams(found), four_grams(wanted)
    return 2 * (left & right).total() / (left.total() + right.total())


def test_articles_of_real_pages(shared_data: Path) -> None:
    truth = json.loads((shared_data / "extraction" / "ground-truth.json").read_text())
    files = sorted((shared_data / "extraction" / "html").glob("*.html.gz"))[:20]
    texts = extracted(*(gzip.decompress(file.read_bytes()).decode("utf-8", "replace") for file in files))
    scores = [f1(text, truth[file.name.split(".")[0]]["articleBody"]) for file, text in zip(files, texts, strict=True)]
    assert sum(scores) / len(scores) > 0.95
    assert min(scores) > 0.7


def test_documentation_keeps_its_formulas_its_code_lines_and_its_headings(shared_data: Path) -> None:
    with tarfile.open(shared_data / "mathhtml" / "mpmath.tar.gz") as archive:
        members = [member for member in archive if re.search(r"functions/\w+\.html$", member.name)]
        pages = [archive.extractfile(member).read().decode() for member in members]  # type: ignore[union-attr]
    texts = extracted(*pages)
    assert sum(text.count(r"\(") for text in texts) == sum(source.count(r"\(") for source in pages) > 300
    code = [line.rstrip() for source in pages for line in code_lines(source)]
    lines = {line.rstrip() for text in texts for line in text.split("\n")}
    assert len(code) > 1_000
    assert sum(line in lines for line in code) / len(code) > 0.98


def code_lines(source: str) -> list[str]:
    blocks = re.findall(r"<pre>(.*?)</pre>", source, re.DOTALL)
    text = "\n".join(entities.unescape(re.sub(r"<[^>]*>", "", block)) for block in blocks)
    return [line for line in text.split("\n") if len(line.strip()) > 8]


def test_pages_by_pydoc_give_their_docstrings_line_by_line() -> None:
    import heapq

    text = extracted(pydoc.HTMLDoc().page("heapq", pydoc.HTMLDoc().document(heapq)))[0]
    wanted = [line.strip() for line in heapq.heappushpop.__doc__.split("\n") if line.strip()]  # type: ignore[union-attr]
    lines = [line.strip() for line in text.split("\n")]
    assert [line for line in wanted if line not in lines] == []
    assert "    if item > heap[0]:\n        item = heapreplace(heap, item)" in text


def test_navigation_goes_and_tables_of_values_stay() -> None:
    menu = "<nav><ul>" + "<li><a href='/x'>Menu entry</a></li>" * 20 + "</ul></nav>"
    table = "<table><tr><th>Name</th><th>Value</th></tr><tr><td>alpha</td><td>1</td></tr></table>"
    text = extracted(page(menu + f"<h1>Heading</h1>{ARTICLE}{table}{ARTICLE}"))[0]
    assert "Menu entry" not in text
    assert "Heading" in text
    assert "| alpha | 1 |" in text
    assert "alpha" not in extracted(page(menu + ARTICLE + table + ARTICLE), include_tables=False)[0]


def test_layout_tables_are_no_rows() -> None:
    text = extracted(page(f"<table><tr><td><a href='/'>Home</a></td><td>{ARTICLE}{ARTICLE}</td></tr></table>"))[0]
    assert text.startswith("A sentence that belongs")


def test_code_in_definition_lists_keeps_its_lines() -> None:
    example = "<pre>for x in xs:\n    print(x)</pre>"
    text = extracted(page(f"{ARTICLE}<dl><dt>name(x)</dt><dd><p>What it does.</p>{example}</dd></dl>{ARTICLE}"))[0]
    assert "for x in xs:\n    print(x)" in text


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "extract.empty"),
        (" \n\x00 ", "extract.empty"),
        ("just words, no page", "extract.empty"),
        (page(""), "extract.empty"),
        ("<p>x</p>" * 5_000, "extract.too_large"),
        ("x" * 1_000_001, "extract.too_large"),
    ],
)
def test_a_bad_page_costs_one_record(bad: str, reason: str) -> None:
    table = documents([{"text": text, "origin": text[:9]} for text in (page(ARTICLE), bad, page(ARTICLE * 2))])
    result = html(table, max_chars=1_000_000, max_elements=4_000)
    assert result["drop_reason"].to_pylist() == [None, reason, None]
    assert result["text"][1].as_py() == bad
    assert result["id"].equals(table["id"])


@pytest.mark.parametrize("tag", ["div", "b", "table><tr><td", "ul><li", "font", "dl><dd><pre"])
def test_deep_and_unclosed_pages_end(tag: str) -> None:
    assert len(extracted(page(f"<{tag}>" * 20_000 + "end"))) == 1


def test_the_title_joins_what_meta_holds() -> None:
    table = documents([{"text": page(ARTICLE), "origin": "a", "meta": '{"status": 200}'}])
    assert json.loads(html(table)["meta"][0].as_py()) == {"status": 200, "title": "A title"}


def test_a_fragment_is_a_page_too() -> None:
    assert extracted(ARTICLE)[0].startswith("A sentence that belongs")


def test_tidy() -> None:
    assert tidy("\n a  \n\n\n\nb\n |  | |\n| c |\n \n") == " a\n\nb\n| c |"
