"""Tables of values and tables that arrange a page."""

import pytest

from curation.extraction.engines import parse
from curation.extraction.kept import Kept
from curation.extraction.tables import arranges, keep_tables, open_layout_tables, written


def table(inner: str, attributes: str = "") -> str:
    return f"<html><body><div><table{attributes}>{inner}</table></div></body></html>"


VALUES = "<tr><th>Name</th><th>Value</th></tr><tr><td>a</td><td>1</td></tr>"


@pytest.mark.parametrize(
    ("inner", "attributes", "wanted"),
    [
        (VALUES, "", False),
        (VALUES, " role=presentation", True),
        (VALUES.replace("1", "<p>1</p>"), "", False),
        (VALUES.replace("1", f"<p>{'long ' * 50}</p>"), "", False),
        (VALUES.replace("1", f"<p>{'long ' * 250}</p>"), "", True),
        ("<tr><td>a</td><td><p>1</p></td></tr><tr><td>b</td><td>2</td></tr>", "", False),
        (f"<tr><td>a</td><td><p>{'long ' * 50}</p></td></tr><tr><td>b</td><td>2</td></tr>", "", True),
        ("<tr><td><p>one</p></td><td>row</td></tr>", "", True),
        ("<tr><td><div>one</div></td></tr><tr><td>column</td></tr>", "", True),
        ("<tr><td><h2>heading</h2></td><td>1</td></tr><tr><td>b</td><td>2</td></tr>", "", True),
        ("<tr><td><table><tr><td>1</td></tr></table></td><td>1</td></tr><tr><td>b</td><td>2</td></tr>", "", True),
    ],
)
def test_which_tables_arrange(inner: str, attributes: str, wanted: bool) -> None:
    assert arranges(parse(table(inner, attributes)).find(".//table")) is wanted


def test_opened_tables_are_divisions_and_cells_of_values_are_one_line() -> None:
    tree = parse(
        table(
            f"<tr><td><h2>h</h2></td><td><table>{VALUES.replace('1', '<p>1</p><ul><li>x</li><li>y</li></ul>')}</table></td></tr>"
        )
    )
    open_layout_tables(tree)
    assert [len(list(tree.iter(name))) for name in ("table", "tr", "td", "p", "li")] == [1, 2, 2, 0, 0]
    assert " ".join(tree.find(".//table").text_content().split()) == "NameValuea 1 x; y"


@pytest.mark.parametrize(
    ("inner", "wanted"),
    [
        (VALUES, "| Name | Value |\n|---|---|\n| a | 1 |"),
        ("<tr><td>a<br>b</td><td>x|y</td></tr>", r"| a b | x\|y |"),
        ("<caption>All <b>of</b> it</caption>" + VALUES, "All of it\n| Name | Value |\n|---|---|\n| a | 1 |"),
        ("<tr><td rowspan=2>a</td><td>1</td></tr><tr><td>2</td></tr><tr><td>b</td></tr>", "| a | 1 |\n|  | 2 |\n| b |"),
        ("<tr><td rowspan=3>a</td><td>1</td></tr>" + "<tr><td>2</td></tr>" * 3, "| a | 1 |\n|  | 2 |\n|  | 2 |\n| 2 |"),
        ("<tr><td colspan=2>a</td><td>1</td></tr><tr><td></td><td></td></tr>", "| a |  | 1 |"),
        ("<tr><td colspan=x rowspan=-1>a</td><td rowspan=99999999999>1</td></tr>", "| a | 1 |"),
        ("<tr></tr>", ""),
    ],
)
def test_rows(inner: str, wanted: str) -> None:
    assert written(parse(table(inner)).find(".//table")) == wanted


def test_tables_in_lists_are_kept_and_tables_of_links_are_not() -> None:
    links = "<table>" + "<tr><td><a href='/'>a page of this site</a></td><td>1</td></tr>" * 3 + "</table>"
    page = f"<html><body><div><table>{VALUES}</table><ul><li>item<table>{VALUES}</table>end</li><li>{links}</li></ul></div></body></html>"
    for everywhere, left in ((False, 2), (True, 1)):
        tree, kept = parse(page), Kept()
        keep_tables(tree, kept, everywhere=everywhere)
        assert len(list(tree.iter("table"))) == left
        text, counts = kept.restore(tree.find(".//li").text_content())
        assert text == "item\n| Name | Value |\n|---|---|\n| a | 1 |\nend"
        assert counts["table"] == 1
