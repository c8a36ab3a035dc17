"""Exact deduplication through the whole exchange."""

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from curation.dedup import exact
from curation.dedup.exact import EXACT, URL, digest, emit, normalised, normalised_url
from datapipe.schema import documents


def corpus() -> pa.Table:
    rows = []
    for group in range(12):
        for copy in range(group % 4 + 1):
            text = ["Some  Text\n", "some text ", "SOME\tTEXT", "ｓome text"][copy] + f" {group}"
            rows.append({"text": text, "origin": f"{group}/{copy}", "license": "MIT" if copy == 2 else None})
    return documents(rows)


def test_one_copy_stays_and_a_known_licence_goes_first(drive: Callable[..., pa.Table]) -> None:
    docs = corpus()
    result = drive(EXACT, docs)
    kept = result.filter(pc.is_null(result["drop_reason"]))
    assert sorted(map(normalised, kept["text"].to_pylist())) == sorted(f"some text {group}" for group in range(12))
    by_group: dict[str, list[dict[str, str]]] = {}
    for row in docs.to_pylist():
        by_group.setdefault(row["origin"].split("/")[0], []).append(row)
    expected = [min(rows, key=lambda row: (row["license"] is None, row["id"]))["id"] for rows in by_group.values()]
    assert kept["id"].to_pylist() == sorted(expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_verdict_does_not_depend_on_partitions_receivers_or_order(
    drive: Callable[..., pa.Table], seed: int
) -> None:
    docs = corpus()
    expected = drive(EXACT, docs, partitions=1, receivers=1)
    assert drive(EXACT, docs, partitions=seed + 2, receivers=3 - seed, shuffle=seed).equals(expected)
    assert set(expected["drop_reason"].to_pylist()) == {None, "dedup.exact"}


def test_what_counts_as_the_same_text() -> None:
    assert normalised(" Ａ\u00a0B\n\nc ") == "a b c"
    assert normalised("ﬁne") == normalised("FINE")
    assert normalised("a b") != normalised("ab")


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_has_the_digest_of_its_normal_form(text: str) -> None:
    assert digest(text) == xxhash.xxh3_128_digest(normalised(text).encode())


@given(
    st.text(st.sampled_from("aZ \nÉéΣςİ\u0301\u00b4\u212aǅﬁ½\u00a0\u0085\u1680\u2028中"), max_size=12),
    st.integers(0, 60),
)
def test_any_text_has_the_digest_of_its_normal_form(text: str, plain: int) -> None:
    """Among much ASCII, and alone; a final sigma is told by the letters around it, also ASCII's."""
    for whole in (text + "Ab " * plain, "\tx'" * plain + text, text):
        assert digest(whole) == xxhash.xxh3_128_digest(normalised(whole).encode())


@given(st.text(st.sampled_from("aΣ \n\u0301\u00b4ﬁ\u2003"), max_size=60))
def test_a_huge_text_has_the_digest_of_its_normal_form(text: str) -> None:
    whole = xxhash.xxh3_128_digest(normalised(text).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "SLICE_CHARS", 3)
        assert digest(text) == whole


def test_no_documents(drive: Callable[..., pa.Table]) -> None:
    assert emit(corpus()[:0]).num_rows == 0
    assert drive(EXACT, corpus()[:0]).num_rows == 0


def test_two_captures_of_a_page_with_one_text_leave_one(drive: Callable[..., pa.Table]) -> None:
    """They have one origin, so one id: what is dropped is told by place, not by id."""
    docs = documents([{"text": "the same", "origin": "http://a/"}] * 2)
    for partitions in (1, 2):
        result = drive(EXACT, docs, partitions=partitions)
        assert sorted(result["drop_reason"].to_pylist(), key=str) == [None, "dedup.exact"]
        assert result["cluster_size"].to_pylist() == [2, 2]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://WWW.Example.org:443/a/?b=2&a=1#top", "example.org/a?a=1&b=2"),
        ("http://example.org/a?a=1&utm_source=x&fbclid=y&b=2", "example.org/a?a=1&b=2"),
        ("http://example.org", "example.org"),
        ("http://www.example.org.:80/a", "example.org/a"),
        ("http://bücher。example。/", "xn--bcher-kva.example"),
        ("http://www.com/", "www.com"),
        ("http://www.www.com./", "www.com"),
        ("http://www./", "www"),
        ("http://./a", "http://./a"),
        ("http://example.org/a/index.html", "example.org/a/index.html"),
        ("http://example.org:8080/%7Euser/x%20y", "example.org:8080/~user/x%20y"),
        ("http://example.org/ä b", "example.org/%C3%A4%20b"),
        ("http://bücher.example/", "xn--bcher-kva.example"),
        ("http://example.org/a;jsessionid=1F?x=", "example.org/a?x="),
        ("http://example.org/inside?inside=1", "example.org/inside?inside=1"),
        ("http://example.org/%c3%a4%2fb%zz", "example.org/%C3%A4%2Fb%zz"),
        ("http://example.org/?sid=1f9a0c3d5e7b2468&PHPSESSID=&b=1", "example.org?b=1"),
        (
            "http://example.org/story?sid=12&session=3",
            "example.org/story?session=3&sid=12",
        ),  # its number, and its place in a programme
        ("http://[::1", "http://[::1"),
        ("http://example.org:99999/", "http://example.org:99999/"),
        ("repo@1:src/a.py", "repo@1:src/a.py"),
        ("warc/a.warc.gz#120", "warc/a.warc.gz#120"),
    ],
)
def test_what_counts_as_the_same_address(url: str, expected: str) -> None:
    assert normalised_url(url) == expected


@given(st.text(max_size=40))
def test_any_text_has_an_address(text: str) -> None:
    for url in (text, f"http://{text}", f"http://a/{text}"):
        assert isinstance(normalised_url(url), str)


@pytest.mark.parametrize("seed", range(3))
def test_the_latest_capture_of_an_address_stays(drive: Callable[..., pa.Table], seed: int) -> None:
    dates = ["2023-12-31T23:59:00Z", "2024-01-01T00:00:00Z", "2019-05-05T10:10:10Z"]
    rows = [
        {
            "text": "x" * (3 - n),
            "origin": f"http://a.org/{'?utm_id=1' * (n % 2)}",
            "meta": f'{{"charset": "utf-8", "date": "{date}"}}',
        }
        for n, date in enumerate(dates)
    ]
    rows += [{"text": "undated and long", "origin": "http://www.a.org/"}, {"text": "y", "origin": "http://b/"}]
    result = drive(URL, documents(rows), shuffle=seed, partitions=seed + 1)
    kept = result.filter(pc.is_null(result["drop_reason"]))
    assert sorted(kept["text"].to_pylist()) == ["xx", "y"]
    assert set(result["drop_reason"].to_pylist()) == {None, "dedup.url"}


@pytest.mark.parametrize(
    ("captures", "kept"),
    [
        ([("2024-01-01T10:10:10Z", "longer"), ("2024-01-01T10:10:11Z", "late")], "late"),
        ([("2024-01-01T10:10:10Z", "brief"), ("2024-01-01T10:10:10Z", "longer")], "longer"),
        ([("2024-01-01T10:10:10Z", "aaa"), ("2024-01-01T10:10:10Z", "bbb")], "aaa"),  # the smaller id
        ([("2024-01-01T10:10Z", "longer"), ("2024-01-01T10:10:01Z", "late")], "late"),
        ([("2024-01-01T10:10:59Z", "longer"), ("2024-01-01T10:11Z", "late")], "late"),
        ([("2024-01-31T23:59:59Z", "longer"), ("2024-02-01T00:00:00Z", "late")], "late"),
        ([("1970-01-01T00:00:00Z", "old"), ("", "undated")], "old"),
        ([("1970-01-01T00:00:00Z", "longer"), ("1980-12-31T23:59:59Z", "late")], "longer"),  # both before the web
        ([("2055-12-31T23:59:58Z", "longer"), ("2055-12-31T23:59:59Z", "late")], "late"),
        ([("9999-12-31T23:59:59Z", "far"), ("2055-12-31T23:59:59Z", "longer")], "far"),
    ],
)
def test_the_order_of_captures(drive: Callable[..., pa.Table], captures: list[tuple[str, str]], kept: str) -> None:
    rows = [
        {"text": text, "origin": f"http://a.org/#{text}", "meta": json.dumps({"date": date})} for date, text in captures
    ]
    for receivers in (1, 3):
        result = drive(URL, documents(rows), receivers=receivers, partitions=2)
        assert result.filter(pc.is_null(result["drop_reason"]))["text"].to_pylist() == [kept]


def test_of_undated_captures_the_longest_stays(drive: Callable[..., pa.Table]) -> None:
    docs = documents([{"text": "x" * n, "origin": f"http://a/#{n}"} for n in (2, 5, 3)])
    result = drive(URL, docs)
    assert result.filter(pc.is_null(result["drop_reason"]))["text"].to_pylist() == ["xxxxx"]
