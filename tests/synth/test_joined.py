"""What a document made of several says of itself."""

import json
from typing import Any

import pytest

from curation.license import is_allowed
from synth.joined import joined_row, license_of_all


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        (["MIT", "MIT"], "MIT"),
        (["MIT", "Apache-2.0", "MIT"], "Apache-2.0 AND MIT"),
        (["MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        (["MIT OR Apache-2.0", "ISC"], "ISC AND (MIT OR Apache-2.0)"),
        # What binds tighter needs no parentheses.
        (["MIT", "GPL-2.0-only WITH Classpath-exception-2.0"], "GPL-2.0-only WITH Classpath-exception-2.0 AND MIT"),
        (["BSD-3-Clause AND ISC", "MIT"], "BSD-3-Clause AND ISC AND MIT"),
        (["MIT AND BSD-3-Clause", "MIT", "ISC AND MIT"], "BSD-3-Clause AND ISC AND MIT"),
        (["MIT AND (ISC OR Zlib)", "MIT"], "(ISC OR Zlib) AND MIT"),
        (["MIT", None], None),
        (["", "MIT"], None),
        ([None], None),
    ],
)
def test_the_licence_of_all_parts(stated: list[str | None], wanted: str | None) -> None:
    assert license_of_all(stated) == wanted


def test_a_choice_of_a_part_stays_a_choice() -> None:
    joined = license_of_all(["GPL-3.0-only OR MIT", "Zlib"])
    assert joined is not None
    assert is_allowed(joined, frozenset({"mit", "zlib"}))
    assert not is_allowed(joined, frozenset({"mit"}))


def part(text: str, lang: str | None, license: str | None) -> dict[str, Any]:
    return {"text": text, "lang": lang, "license": license, "corpus": "books", "kind": "book"}


def test_a_joined_document() -> None:
    rows = [part("four", "en", "MIT"), part("fi ve", "de", "ISC"), part("x", "en", "MIT"), part("12345", None, "MIT")]
    row = joined_row("book", rows, "whole", {"parts": 4})
    assert (row["lang"], row["license"], row["raw"]) == (None, "ISC AND MIT", None)  # of 5, 5 and 5: no name, de, en
    assert (row["text"], row["origin"], row["corpus"], row["kind"]) == ("whole", "book", "books", "book")
    assert json.loads(row["meta"]) == {"parts": 4}
    assert joined_row("book", rows[:3], "", {})["lang"] == "de"
    assert joined_row("book", [*rows, part("yz", "en", None)], "", {})["license"] is None
    assert joined_row("book", [*rows, part("yz", "en", None)], "", {})["lang"] == "en"
