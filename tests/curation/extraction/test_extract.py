"""Main text of real pages, and bad pages as data."""

import gzip
import html as entities
import json
import pydoc
import re
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from curation.extraction.extract import again, check, html
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


@pytest.mark.data
def test_articles_of_real_pages(shared_data: Path) -> None:
    truth = json.loads((shared_data / "extraction" / "ground-truth.json").read_text())
    files = sorted((shared_data / "extraction" / "html").glob("*.html.gz"))[:20]
    texts = extracted(*(gzip.decompress(file.read_bytes()).decode("utf-8", "replace") for file in files))
    scores = [f1(text, truth[file.name.split(".")[0]]["articleBody"]) for file, text in zip(files, texts, strict=True)]
    assert sum(scores) / len(scores) > 0.95
    assert min(scores) > 0.7


@pytest.mark.data
@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
def test_documentation_keeps_its_formulas_and_its_code(shared_data: Path, engine: str) -> None:
    with tarfile.open(shared_data / "mathhtml" / "mpmath.tar.gz") as archive:
        members = [
            member
            for member in archive
            if re.search(r"(hyperbolic|qfunctions|trigonometric|optimization)\.html$", member.name)
        ]
        pages = [archive.extractfile(member).read().decode() for member in members]  # type: ignore[union-attr]
    table = html(documents([{"text": page, "origin": str(index)} for index, page in enumerate(pages)]), engine=engine)
    texts, facts = table["text"].to_pylist(), [json.loads(meta) for meta in table["meta"].to_pylist()]
    assert sum(text.count(r"\(") for text in texts) == sum(source.count(r"\(") for source in pages) > 50
    assert sum(text.count(r"\[") for text in texts) == sum(source.count(r"\[") for source in pages) > 5
    assert sum(fact["formulas"] for fact in facts) == sum(text.count(r"\(") + text.count(r"\[") for text in texts)
    assert sum(fact["code_blocks"] for fact in facts) == sum(source.count("<pre>") for source in pages) > 40
    code = [line.rstrip() for source in pages for line in code_lines(source)]
    lines = {line.rstrip() for text in texts for line in text.split("\n")}
    assert len(code) > 300
    assert [line for line in code if line not in lines] == []


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


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
def test_tables_formulas_and_code_wherever_they_stand(engine: str) -> None:
    table = "<table><tr><th>Name</th><th>Value</th></tr><tr><td><p>alpha</p></td><td><p>1</p></td></tr></table>"
    formula = "<math display='block'><msup><mi>x</mi><mn>2</mn></msup></math>"
    body = (
        f"<article>{ARTICLE}<ol><li><p>First step.</p><pre>a = [\n\n  1]</pre></li><li>Then{table}</li></ol>"
        f"<blockquote>{table}</blockquote>{formula}<p>where {formula.replace(' display=', ' data-x=')} is</p></article>"
    )
    text = extracted(page(body), engine=engine)[0]
    rows = "| Name | Value |\n|---|---|\n| alpha | 1 |"
    assert "\na = [\n\n  1]\n" in text
    assert text.count(rows) == 2
    assert "\n\\[x^2\\]\n" in text
    assert r"where \(x^2\) is" in text


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="engine is 'best': type trafilatura or fast"):
        extracted(page(ARTICLE), engine="best")


@pytest.mark.parametrize("name", ["max_seconds", "max_memory_mb"])
def test_limits_below_zero_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1: type .*, 0 for no limit"):
        check(**{name: -1})  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [float("inf"), float("nan")])
def test_a_timer_takes_no_such_limit(seconds: float) -> None:
    """Every page would end the process."""
    with pytest.raises(ValueError, match=r"max_seconds is (inf|nan): .* 0 for no limit"):
        check(max_seconds=seconds)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "extract.empty"),
        (" \n\x00 ", "extract.empty"),
        ("just words, no page", "extract.empty"),
        (page(""), "extract.empty"),
        ("<p>x</p>" * 5_000, "extract.too_large"),
        ("x" * 1_000_001, "extract.too_large"),
        ("é" * 1_000_001, "extract.too_large"),
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


SHAPES = {
    "rows and columns spanned": "<table>"
    + ("<tr>" + "<td rowspan=60000 colspan=99999>1</td>" * 20 + "</tr>") * 200
    + "</table>",
    "links in a paragraph": "<p>" + "<a href=x>yyyy</a> " * 20_000 + "</p>",
    "entities": "<p>" + "&amp;&lt;&nbsp;" * 100_000,
    "one word": "<p>" + "w" * 900_000,
    "no end of a comment": "<!--" + ARTICLE * 2_000,
    "nulls": "\x00<p>" * 20_000,
    "a script": "<script>" + "var a = '<b>';\n" * 60_000 + "</script>",
    "displays without an end": "<div>" + "\\[ x " * 150_000 + "</div>",
    "rows of spans": "<pre>" + "<span>x</span>\n" * 15_000 + "</pre>",
    "nested roots": "<math>" + "<msqrt>" * 5_000,
    "linked data": '<script type="application/ld+json">' + "[" * 200_000 + ' "articleBody" </script>',
    "signs of ours": "<p>\U000106000\U00010601 \U0001060099\U00010601</p><pre>a\nb</pre>",
    "a class": f"<div class='{'content ' * 100_000}'>",
}


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
def test_pathological_pages_cost_one_record_each(engine: str) -> None:
    table = documents([{"text": page(ARTICLE + shape + ARTICLE), "origin": name} for name, shape in SHAPES.items()])
    table = pa.concat_tables([table, documents([{"text": page(ARTICLE), "origin": "sound"}])])
    result = html(table, engine=engine, max_chars=1_000_000, max_seconds=1.0)
    reasons = result["drop_reason"].to_pylist()
    assert set(reasons) <= {None, "extract.empty", "extract.timeout", "extract.too_large"}
    assert reasons[-1] is None
    assert result["text"][len(SHAPES)].as_py().startswith("A sentence")


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
@pytest.mark.parametrize(
    "shape",
    [
        "<p " + " ".join(f"a{number}=x" for number in range(50_000)) + ">",
        "<table>" + ("<tr>" + "<td rowspan=60 colspan=9>1</td>" * 40 + "</tr>") * 900 + "</table>",
    ],
)
def test_time_runs_out_in_c_too(engine: str, shape: str) -> None:
    """Attributes compared with all before them, and spanned cells: half a minute and more without a Python instruction."""
    table = documents([{"text": page(text + ARTICLE), "origin": text} for text in ("a", shape, "c")])
    result = html(table, engine=engine, max_seconds=0.4)
    assert result["drop_reason"].to_pylist() == [None, "extract.timeout", None]
    assert result["text"][1] == table["text"][1]


def test_memory_runs_out_for_one_page_only() -> None:
    """A page that writes a mark of ours thousands of times gets its passage as often."""
    bomb = "<pre>" + "x = 1\n" * 100_000 + "</pre><p>" + "\U000106000\U00010601 " * 1_000 + "</p>"
    table = documents([{"text": page(text + ARTICLE), "origin": text} for text in ("a", bomb, "c")])
    result = html(table, max_memory_mb=150)
    assert result["drop_reason"].to_pylist() == [None, "extract.crashed", None]
    assert result["text"][1] == table["text"][1]


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
def test_the_same_for_any_order_of_rows(engine: str) -> None:
    pages = [page(f"<article>{ARTICLE}<pre>{number}\n  x</pre><p>end {number}</p></article>") for number in range(6)]
    forward, backward = extracted(*pages, engine=engine), extracted(*reversed(pages), engine=engine)
    assert forward == backward[::-1]
    assert len(set(forward)) == 6


def test_the_title_joins_what_meta_holds() -> None:
    table = documents([{"text": page(ARTICLE), "origin": "a", "meta": '{"status": 200}'}])
    assert json.loads(html(table)["meta"][0].as_py()) == {"status": 200, "title": "A title"}


def test_formulas_that_are_text_count_too() -> None:
    table = documents(
        [{"text": page(f"{ARTICLE}<p>Let \\(x\\) and $$y$$ be.</p><pre>sed 's/\\(x\\)/y/'</pre>"), "origin": "a"}]
    )
    assert json.loads(html(table)["meta"][0].as_py()) == {"title": "A title", "formulas": 2, "code_blocks": 1}


def test_a_fragment_is_a_page_too() -> None:
    assert extracted(ARTICLE)[0].startswith("A sentence that belongs")


def test_a_page_is_parsed_again_whatever_became_of_its_text() -> None:
    sources = [page(ARTICLE + "<pre>if x:\n    y</pre>"), page(ARTICLE), page("")]
    table = documents([{"text": text, "origin": str(index)} for index, text in enumerate(sources)])
    first = html(table)
    flat = first.set_column(1, "text", pa.array(["one line"] * 3, pa.large_string())).drop_columns("drop_reason")
    second = again(flat, pages=lambda docs: [sources[int(origin)] for origin in docs["origin"].to_pylist()])
    assert second["text"].to_pylist()[:2] == first["text"].to_pylist()[:2]
    assert second["meta"].to_pylist() == first["meta"].to_pylist()
    assert second["drop_reason"].to_pylist() == [None, None, "extract.empty"]


def test_what_the_first_extraction_counted_is_forgotten() -> None:
    table = documents(
        [{"text": "x", "origin": "0", "meta": json.dumps({"code_blocks": 3, "formulas": 2, "title": "T"})}]
    )
    found = again(table, pages=lambda _: [page(ARTICLE)])
    assert json.loads(found["meta"][0].as_py()) == {"title": "A title"}
