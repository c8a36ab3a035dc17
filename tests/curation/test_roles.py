import json

import pytest

from curation import roles
from datapipe.schema import documents


def test_reasons() -> None:
    metas = [json.dumps({"role": name}) for name in roles.ROLES]
    metas += ["{}", '{"role":"vendored","x":1}', '{"messages": [{"role": "user"}]}']
    table = documents([{"text": "x", "origin": str(i), "meta": meta} for i, meta in enumerate(metas)])
    dropped = ["role.legal", "role.data", "role.vendored", "role.generated", "role.minified"]
    assert roles.role(table).to_pylist() == [None] * 4 + dropped + [None, "role.vendored", None]
    assert roles.role(table, keep=["data"]).to_pylist()[:6] == [f"role.{name}" for name in roles.ROLES[:5]] + [None]
    assert roles.role(table.slice(0, 0)).to_pylist() == []


def test_a_document_without_meta_is_kept() -> None:
    table = documents([{"text": "x", "origin": "o", "meta": None}])
    assert roles.role(table).to_pylist() == [None]


def test_wrong_parameters_say_what_to_type() -> None:
    with pytest.raises(ValueError, match=r"type \[source\]"):
        roles.check(keep="source")
    with pytest.raises(ValueError, match="'sources'; the roles are source, test"):
        roles.check(keep=["sources"])


def test_the_roles_are_those_of_the_reader() -> None:
    reader = pytest.importorskip("datapipe.readers.roles")
    assert reader.ROLES == roles.ROLES
