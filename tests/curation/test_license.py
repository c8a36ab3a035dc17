import pytest

from curation.license import LicenseError, is_allowed, license
from datapipe.schema import documents

ALLOWED = frozenset({"mit", "apache-2.0", "gpl-2.0-only", "bsd-3-clause"})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT and BSD-3-Clause", True),
        ("GPL-3.0-only AND MIT OR Apache-2.0", True),  # AND binds tighter
        ("GPL-3.0-only AND (MIT OR Apache-2.0)", False),
        ("(MIT)", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("LGPL-3.0-only WITH LLVM-exception", False),
        ("Apache-2.0+", True),
        ("LicenseRef-Proprietary", False),
    ],
)
def test_expressions(expression: str, expected: bool) -> None:
    assert is_allowed(expression, ALLOWED) is expected


@pytest.mark.parametrize(
    "text", ["MIT License", "MIT OR", "AND MIT", "(MIT", "MIT)", "MIT WITH", "MIT / Apache", "()", "OR"]
)
def test_what_is_no_expression_is_an_error(text: str) -> None:
    with pytest.raises(LicenseError):
        is_allowed(text, ALLOWED)


def test_reasons() -> None:
    found = ["MIT", "GPL-3.0-only", None, " ", "see file COPYING"]
    table = documents([{"text": "x", "origin": str(i), "license": name} for i, name in enumerate(found)])
    dropped = [None, "license.denied", "license.unknown", "license.unknown", "license.unreadable"]
    assert license(table).to_pylist() == dropped
    assert license(table, unknown="keep").to_pylist() == [None, "license.denied", None, None, None]
    assert license(table, allow=["GPL-3.0-only"]).to_pylist() == ["license.denied", None, *dropped[2:]]


def test_wrong_parameters_say_what_to_type() -> None:
    table = documents([{"text": "x", "origin": "o"}])
    with pytest.raises(ValueError, match="type drop or keep"):
        license(table, unknown="maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"type \[MIT\]"):
        license(table, allow="MIT")


def test_a_doubtful_licence_is_dropped() -> None:
    metas = ['{"license_confidence": 0.95}', '{"license_confidence": 0.5}', "{}", '{"license_confidence": null}', None]
    table = documents([{"text": "x", "origin": str(i), "license": "MIT", "meta": meta} for i, meta in enumerate(metas)])
    assert license(table).to_pylist() == [None, "license.doubtful", None, None, None]
    assert license(table, min_confidence=0.5).to_pylist() == [None] * 5
    assert license(table, allow=["ISC"]).to_pylist() == ["license.denied"] * 5
    with pytest.raises(ValueError, match="min_confidence is 90; type a share from 0 to 1"):
        license(table, min_confidence=90)


@pytest.mark.parametrize("text", ["(" * 1000 + "MIT" + ")" * 1000, "MIT OR " * 1000 + "MIT"])
def test_endless_expressions_are_unreadable(text: str) -> None:
    table = documents([{"text": "x", "origin": "o", "license": text}])
    assert license(table).to_pylist() == ["license.unreadable"]
