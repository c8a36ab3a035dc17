import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.schema import code_origin, code_place


@given(name=st.text(), version=st.text(), path=st.text())
def test_a_source_file_is_found_at_its_origin(name: str, version: str, path: str) -> None:
    place = code_place(code_origin(name, version, path))
    assert place is not None
    assert place[2] == path
    assert [len(part) for part in place[:2]] == [len(name), len(version)]


def test_what_divides_an_origin_is_replaced_in_names() -> None:
    assert code_origin("@scope/pad", "1:2.0", "a@b:c.js") == "_scope/pad@1_2.0:a@b:c.js"
    assert code_place("_scope/pad@1_2.0:a@b:c.js") == ("_scope/pad", "1_2.0", "a@b:c.js")


@pytest.mark.parametrize("origin", ["https://example.org/a", "file#3", "name@version", "", "a:b@c"])
def test_other_origins_are_no_source_files(origin: str) -> None:
    assert code_place(origin) is None
