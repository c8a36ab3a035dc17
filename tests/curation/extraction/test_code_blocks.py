"""Code blocks as sites lay them out; each keeps its lines and its indentation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.extraction.code_blocks import keep_code
from curation.extraction.engines import parse
from curation.extraction.kept import Kept

LINES = "if x:\n    y = 1\n\n\n    return y"
HARD_SPACES = LINES.replace("    ", "\xa0 \xa0 ")
BROKEN, BROKEN_TWICE = LINES.replace("\n", "<br>"), LINES.replace("\n", "<br>\n")
BROKEN_HARD = BROKEN.replace("    ", "&nbsp;" * 4)


def blocks(body: str) -> list[str]:
    """The code blocks found in a page, in order."""
    tree, kept = parse(f"<html><head></head><body><div>{body}</div></body></html>"), Kept()
    keep_code(tree, kept)
    return [kept.restore(pre.text)[0] for pre in tree.iter("pre") if kept.restore(pre.text or "")[1]]


@pytest.mark.parametrize(
    "body",
    [
        f"<pre>{LINES}</pre>",
        f"<pre>\n\n{LINES}  \n \n</pre>",
        f"<pre><code class='language-python'>{LINES}</code></pre>",
        f"<pre>{HARD_SPACES}</pre>",
        f"<pre>{LINES}</pre>".replace("\n", "\r\n"),
        f"<xmp>{LINES}</xmp>",
        f"<listing>{LINES}</listing>",
        f"<pre>{BROKEN}</pre>",
        f"<pre>{BROKEN_TWICE}</pre>",
        "<pre>" + "".join(f"<div>{line}</div>" for line in LINES.split("\n")) + "</pre>",
        "<pre>" + "\n".join(f"<div>{line}</div>" for line in LINES.split("\n")) + "</pre>",
        "<pre><ol>" + "".join(f"<li><span>{line}</span></li>" for line in LINES.split("\n")) + "</ol></pre>",
        "<pre><code>" + "".join(f"<span class='line'>{line}</span>" for line in LINES.split("\n")) + "</code></pre>",
        "<pre>" + "".join(f"<code>{line}</code>" for line in LINES.split("\n")) + "</pre>",
        "<pre>"
        + "\n".join(f"<span class='lineno'>{number}</span>{line}" for number, line in enumerate(LINES.split("\n")))
        + "</pre>",
        f"<pre><button>Copy</button>{LINES}<script>x()</script></pre>",
        f"<figure class='highlight'><table><tr><td class='gutter'><pre>1\n2</pre></td>"
        f"<td class='code'><pre>{LINES}</pre></td></tr></table></figure>",
        f"<table class='highlighttable'><tr><td class='linenos'><pre>1\n2</pre></td><td><div><pre>{LINES}</pre></div></td></tr></table>",
        f"<table class='lntable'><tr><td class='lntd'><pre><span class='lnt'>1\n</span></pre></td>"
        f"<td class='lntd'><pre>{LINES}</pre></td></tr></table>",
        "<table>\n"
        + "\n".join(f"<tr>\n<td class='blob-num'></td>\n<td>{line}</td>\n</tr>" for line in LINES.split("\n"))
        + "</table>",
        "<table><tr><td class='gutter'><div>1</div></td><td class='code'><div class='container'>"
        + "".join(f"<div class='line'>{line}</div>" for line in LINES.split("\n"))
        + "</div></td></tr></table>",
        f"<code>{BROKEN_HARD}</code>",
        f"<tt>{BROKEN_TWICE}</tt>",
        f"<div class='w3-code'>{BROKEN_HARD}</div>",
        f"<div style='color: red; white-space: pre-wrap'>{LINES}</div>",
    ],
)
def test_layouts(body: str) -> None:
    assert blocks(body) == [LINES]


@pytest.mark.parametrize(
    "body",
    [
        "<p>a <code>x = 1</code> b</p>",
        "<pre> \n </pre>",
        "<p style='white-space: pre'>one line</p>",
        "<p style='white-space: pre-line'>two\nlines</p>",
        "<div style='white-space: pre'><p>two</p>\n<p>paragraphs</p></div>",
        "<div class='code'><p>prose<br>with breaks</p></div>",
        "<p class='zipcode'>a<br>b</p>",
        "<table><tr><td class='ln'>1</td></tr></table>",
    ],
)
def test_what_is_no_block_stays(body: str) -> None:
    assert blocks(body) == []


def test_a_block_within_a_block_comes_once() -> None:
    assert blocks("<pre>a\n<pre>b\nc</pre>d</pre>") == ["a\nb\nc\nd"]


def test_a_figure_around_code_is_no_picture() -> None:
    tree, kept = (
        parse(f"<html><body><figure><figcaption>f.py</figcaption><pre>{LINES}</pre></figure></body></html>"),
        Kept(),
    )
    keep_code(tree, kept)
    assert tree.find(".//figure") is None


@given(st.lists(st.text(alphabet="ab <&>\t\\\"'", max_size=12), min_size=1, max_size=8))
def test_any_lines_come_back(lines: list[str]) -> None:
    text = "\n".join(["first", *lines, "last"])
    source = text.replace("&", "&amp;").replace("<", "&lt;")
    assert blocks(f"<pre>{source}</pre>") == [text]
