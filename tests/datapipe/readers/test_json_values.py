"""Values are read whole however they lie on lines, and what is none costs itself alone."""

import io
import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.readers import json_values
from datapipe.readers.compression import MemberError
from datapipe.readers.json_values import Value, spans_lines


def values(data: bytes, max_bytes: int = 1 << 20) -> list[Value]:
    return list(json_values.values(io.BytesIO(data), max_bytes))


def said(data: bytes, max_bytes: int = 1 << 20) -> list[Any]:
    return [found.reason or found.value for found in values(data, max_bytes)]


records = st.lists(
    st.dictionaries(st.text(max_size=4), st.text(max_size=9) | st.lists(st.integers() | st.floats(allow_nan=False))),
    max_size=6,
)
FORMS = {
    "one array": lambda found: json.dumps(found),
    "printed": lambda found: json.dumps(found, indent=2, ensure_ascii=False),
    "objects": lambda found: "\n".join(json.dumps(one, indent=4) for one in found),
    "lines": lambda found: "".join(json.dumps(one) + "\n" for one in found),
    "pages": lambda found: "".join(json.dumps([one]) for one in found),
    "windows": lambda found: "\ufeff" + json.dumps(found, indent=1).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@settings(max_examples=25, deadline=None)
@given(found=records)
def test_any_form_gives_the_values_and_their_places(form: Any, piece: int, found: list[Any]) -> None:
    data = form(found).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_values, "PIECE_BYTES", piece)
        read = values(data)
    assert [one.value for one in read] == found
    assert [json.loads(data[one.offset :][: one.length]) for one in read] == found


@pytest.mark.parametrize("piece", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'[\n  {"a": 1},\n  {"a": b},\n  {"a": 3}\n]', [{"a": 1}, "invalid", {"a": 3}]),
        (b'[\n  {"a": [\n    {"x": oops},\n    {"y": 1}\n  ]},\n  {"a": 3}\n]', ["invalid", {"a": 3}]),
        (b'{\n "a": 1\n}\n{\n "a": \n}\n{\n "a": 3\n}', [{"a": 1}, "invalid", {"a": 3}]),
        (b'[{"a": "\xff"}, {"a": 2}]', ["not_utf8", {"a": 2}]),
        (b'[{"a": 1}, {"a": "cut', [{"a": 1}, "invalid"]),
        (b'[\n{"a": "' + b"x" * 200 + b'"},\n{"a": 2}]', ["too_long", {"a": 2}]),
        (b'[1, "two", null]', [1, "two", None]),
        (b"[[1, 2], []]", [[1, 2], []]),
        (b"]]\n{}", ["invalid", {}]),
        (b"", []),
        (b" \n ", []),
    ],
)
def test_what_is_no_value_costs_itself(
    monkeypatch: pytest.MonkeyPatch, piece: int, data: bytes, expected: list[Any]
) -> None:
    monkeypatch.setattr(json_values, "PIECE_BYTES", piece)
    assert said(data, 100) == expected


def test_depth_without_end_is_no_value() -> None:
    assert said(b"[" + b"[" * 200_000 + b'\n{"a": 1}') == ["invalid", {"a": 1}]


def test_a_value_without_end_is_not_held() -> None:
    class Endless(io.RawIOBase):
        read_bytes = 0

        def read1(self, size: int = -1) -> bytes:
            self.read_bytes += size
            return b"x" * size if self.read_bytes < 1 << 21 else b""

    stream = Endless()
    [found] = json_values.values(io.BytesIO(b'["' + b"x" * (1 << 20)), 1 << 16)
    assert found.reason == "too_long"
    assert [found.reason for found in json_values.values(stream, 1 << 16)] == ["invalid"]


class _Cut(io.BytesIO):
    def read1(self, size: int | None = -1) -> bytes:
        if not (data := super().read1(size)):
            raise MemberError(5, "truncated")
        return data


def test_what_lies_before_a_cut_is_told() -> None:
    stream = _Cut(b'[{"a": 1}, {"a": 2}, {"a":')
    found = json_values.values(stream, 100)
    assert [next(found).value, next(found).value] == [{"a": 1}, {"a": 2}]
    with pytest.raises(MemberError):
        next(found)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b'{"a": 1}\n', False), (b'{\n  "a": 1', True), (b"[1]\n", True), (b'\xef\xbb\xbf [\n', True), (b"{ \r\n", True),
        (b"", False), (b"x", False),
    ],
)  # fmt: skip
def test_what_spans_lines(head: bytes, expected: bool) -> None:
    assert spans_lines(head) is expected


def test_numbers_of_more_digits_than_python_reads_are_values_that_are_none() -> None:
    assert said(b'[{"a": ' + b"1" * 5_000 + b'},\n{"b": 2}]') == ["invalid", {"b": 2}]


def test_what_is_none_is_passed_over_without_holding_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of any length, and a line of nothing but spaces."""
    held: list[int] = []
    read = json_values._Buffer._read

    def counted(self: Any, num_bytes: int) -> None:
        read(self, num_bytes)
        held.append(len(self._text))

    monkeypatch.setattr(json_values._Buffer, "_read", counted)
    for filler in (b"x", b"\n" + b" " * 40):
        assert said(b"{a" + filler * (1 << 20) + b'\n{"b": 2}') == ["invalid", {"b": 2}]
        assert max(held) < 4 * json_values.PIECE_BYTES
    assert said(b"{a\n" + b" " * (1 << 20) + b'\n{"b": 2}') == ["invalid", {"b": 2}]
    assert max(held) < 4 * json_values.PIECE_BYTES


def test_errors_do_not_count_the_lines_of_all_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object too large is held whole when its lines come one by one, each with a comma behind it that is no value."""
    counted: list[int] = []

    class Decoder(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            try:
                return super().raw_decode(s, idx)
            except json.JSONDecodeError as error:
                counted.append(error.pos)
                raise

    monkeypatch.setattr(json_values.json, "JSONDecoder", Decoder)
    assert len(values(b'{"rows": [\n' + b'{"a": 1},\n' * 80_000 + b"]}", max_bytes=1 << 19)) == 160_001
    assert sum(position > 2 * json_values.PIECE_BYTES for position in counted) < 10


def test_a_number_that_a_piece_ends_in_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "PIECE_BYTES", 3)
    assert said(b"[12345, 6.75e+10]") == [12345, 6.75e10]


def test_what_is_nested_too_deep_is_not_tried_from_each_of_its_lines() -> None:
    assert len(found := said(b'{"a":\n' * 20_000 + b"1" + b"\n}" * 20_000 + b'\n{"b": 2}')) < 1_500
    assert found[-1] == {"b": 2}


def test_a_page_behind_a_broken_one_is_read_by_element_again() -> None:
    assert said(b'[{a}]\n[{"b": 1}, {"b": 2}, {"b": 3}]\n[]', max_bytes=12) == ["invalid", {"b": 1}, {"b": 2}, {"b": 3}]


def test_what_stands_between_a_broken_value_and_a_cut_is_told() -> None:
    found = json_values.values(_Cut(b'{a}\n{"b": 1}\n{c}\n{"d": 2}\n{"e": '), 1 << 20)
    assert [one.reason or one.value for one in islice(found, 4)] == ["invalid", {"b": 1}, "invalid", {"d": 2}]
    with pytest.raises(MemberError):
        next(found)
