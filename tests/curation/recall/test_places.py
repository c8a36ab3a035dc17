"""Folders of sites: told from addresses, counted, and opened where enough of them was found."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.recall import places
from curation.recall.places import counted, folder_of, hit, most_hits

LIMITS = {"site_share": 0.1, "folder_share": 0.5, "min_pages": 2}


@pytest.mark.parametrize(
    ("origin", "folder"),
    [
        ("https://mathoverflow.net/questions/1/a-title", "mathoverflow.net/questions"),
        ("HTTP://WWW.Example.org:8080/a/b", "example.org/a"),
        ("https://example.org./x.html", "example.org/"),
        ("https://example.org", "example.org/"),
        ("https://example.org/?q=/a/b", "example.org/"),
        ("https://example.org//a/b", "example.org/a"),
        ("http://[broken/a/b", None),
        ("http:///a/b", None),
        ("ftp://example.org/a/b", None),
        ("files/a.jsonl#12", None),
        ("", None),
    ],
)
def test_a_page_lies_in_the_first_folder_of_its_site(origin: str, folder: str | None) -> None:
    assert folder_of(origin) == folder


def rows(*folders: tuple[str, int, int]) -> pa.Table:
    """Counts as they are sent: (folder, pages, hits)."""
    origins = [f"http://{folder}/{n}" for folder, pages, _ in folders for n in range(pages)]
    return counted(origins, np.concatenate([np.arange(pages) < hits for _, pages, hits in folders]))


def test_pages_and_hits_are_counted_and_sites_share_a_key() -> None:
    table = rows(("b.org/x", 3, 1), ("a.org/x", 2, 2), ("a.org/y", 1, 0))
    assert table.select(["folder", "pages", "hits"]).to_pylist() == [
        {"folder": "a.org/x", "pages": 2, "hits": 2},
        {"folder": "a.org/y", "pages": 1, "hits": 0},
        {"folder": "b.org/x", "pages": 3, "hits": 1},
    ]
    keys = table["key"].to_pylist()
    assert keys[0] == keys[1] != keys[2]
    assert counted(["file#1"], np.array([True])).num_rows == 0


def test_a_folder_is_hit_when_site_and_folder_are() -> None:
    table = rows(
        ("a.org/maths", 4, 3),
        ("a.org/talk", 6, 3),  # half is not more than half
        ("b.org/maths", 4, 4),
        ("b.org/news", 36, 0),  # a tenth of the site is not more than a tenth
        ("c.org/one", 1, 1),  # too few pages
        ("c.org/two", 2, 2),
    )
    assert hit(table, **LIMITS)["folder"].to_pylist() == ["a.org/maths", "c.org/two"]  # type: ignore[arg-type]


@given(st.permutations(range(8)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    table = pa.concat_tables([rows(("a.org/x", 2, 1), (f"b{n}.org/", 3, 3)) for n in range(4)])
    expected = hit(table, **LIMITS)  # type: ignore[arg-type]
    assert expected.num_rows == 4
    assert hit(table.take(pa.array(order)), **LIMITS).equals(expected)  # type: ignore[arg-type]


def test_the_verdict_is_bounded_by_the_folders_with_most_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_FOLDERS", 2)
    table = rows(("a.org/", 3, 1), ("b.org/", 3, 3), ("c.org/", 3, 2))
    assert most_hits(table)["folder"].to_pylist() == ["b.org/", "c.org/"]
