"""Repository documents: every file once, in order, with what is said of it; the same whatever order the files come in."""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.pack import best_fit
from datapipe.schema import DROP, code_origin, document_id, documents
from synth.joined import text_sha
from synth.repository import generator
from tests.synth.repository import trees


def docs(texts: Mapping[str, str], name: str = "owner/thing", version: str = "1f", **about: object) -> pa.Table:
    rows = [
        {
            "origin": code_origin(name, version, path),
            "text": text,
            "lang": trees.lang(path),
            "license": "MIT",
            "kind": "code",
            "meta": json.dumps({"role": trees.role(path)}),
            **about,
        }
        for path, text in texts.items()
    ]
    return documents(rows)


def made(*tables: pa.Table, **params: float) -> list[dict]:
    return generator.reduce(pa.concat_tables(map(generator.emit, tables)), **params).to_pylist()


TEXTS = {
    "pkg/b.py": "import pkg.a\n\n\n",
    "pkg/a.py": "A = 1",
    "pkg/__init__.py": "from .b import B\n",
    "tests/test_a.py": "from pkg import a\n",
    "README.md": "# Thing\n",
    "web/app.ts": "import {x} from './x'\n",
    "web/x.ts": "export const x = 1\n",
}


def test_a_repository_that_fits_a_row_is_one_text_in_dependency_order() -> None:
    [row] = made(docs(TEXTS))
    assert row["text"] == (
        "<!-- repository: owner/thing -->\n\n<!-- path: README.md -->\n# Thing\n\n# path: pkg/a.py\nA = 1\n\n"
        "# path: tests/test_a.py\nfrom pkg import a\n\n# path: pkg/b.py\nimport pkg.a\n\n# path: pkg/__init__.py\nfrom .b import B\n\n"
        "// path: web/x.ts\nexport const x = 1\n\n// path: web/app.ts\nimport {x} from './x'\n"
    )
    assert row["origin"] == "owner/thing@1f:part-1-of-1"
    assert row["id"] == document_id(row["origin"])
    assert (row["kind"], row["lang"], row["license"], row[DROP]) == ("repo", "python", "MIT", None)
    meta = json.loads(row["meta"])
    parents = meta.pop("parents")
    assert parents[1] == [document_id("owner/thing@1f:pkg/a.py"), text_sha("A = 1")]
    assert len(parents) == 7
    assert meta.pop("version") >= 4
    assert [meta.pop(name) for name in ("seed", "author", "teacher", "verdicts")] == [None, None, None, {}]
    assert meta == {
        "generator": "repository",
        "repository": "owner/thing",
        "revision": "1f",
        "part": 1,
        "parts": 1,
        "files": 7,
        "roles": {"documentation": 1, "source": 6},
        "imports": 4,
        "imports_in_cycles": 0,
        "imports_divided": 0,
    }


def test_licences_and_their_confidence_are_those_of_all_files() -> None:
    one, two = {"a.py": "import b"}, {"b.py": "import a"}
    either = {"license": "MIT OR Apache-2.0", "meta": json.dumps({"license_confidence": 0.8})}
    sure = {"meta": json.dumps({"license_confidence": 0.9})}
    [row] = made(docs(one, **sure), docs(two, **either))
    meta = json.loads(row["meta"])
    assert (row["license"], meta["license_confidence"], meta["imports_in_cycles"]) == (
        "MIT AND (MIT OR Apache-2.0)",
        0.8,
        1,
    )
    [row] = made(docs(one), docs(two, license=None))
    assert row["license"] is None


def test_what_is_left_out_has_a_reason() -> None:
    big = {f"{number}.py": "x" * 60 for number in range(4)}
    tables = [
        docs({"a.py": "1"}, "small"),
        docs(big, "large"),
        docs(dict.fromkeys(["1.py", "2.py", "3.py", "4.py", "5.py"], ""), "many"),
        docs({"a.py": "2", "b.py": ""}, "twice"),
        docs({"a.py": "1"}, "twice"),
        documents([{"origin": "https://example.org/a.py", "text": "far"}]),
    ]
    rows = made(*tables, max_files=4, max_chars=200)
    reasons = {row["origin"]: row[DROP] for row in rows}
    assert reasons == {
        "small@1f:part-1-of-1": "repository.too_few_files",
        "large@1f:part-1-of-1": "repository.too_large",
        "many@1f:part-1-of-1": "repository.too_large",
        "twice@1f:a.py": "repository.repeated_path",
        "twice@1f:part-1-of-1": None,
        "https://example.org/a.py": "repository.no_place",
    }
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    [kept] = (row["text"] for row in rows if row[DROP] is None)
    assert "# path: a.py\n1\n" in kept
    assert next(row["text"] for row in rows if row["origin"] == "twice@1f:a.py") == "2"


PATHS = st.builds("".join, st.lists(st.sampled_from(["a/", "b/", "tests/", "test_"]), max_size=3))
FILES = st.dictionaries(
    st.tuples(
        st.sampled_from(["r1", "r2"]),
        st.builds("{}{}".format, PATHS, st.sampled_from(["x.py", "y.py", "x.md", "z", "é.c"])),
    ),
    st.tuples(st.sampled_from(["import x", "from . import y", "", '#include "é.c"']), st.integers(0, 900)),
    min_size=1,
)


@settings(deadline=None)
@given(FILES, st.integers(0, 2**32))
def test_every_file_is_in_exactly_one_document_for_any_order_of_rows(files, seed: int) -> None:
    tables = [
        docs({path: f"{begin}\n# {index}.{'é' * size}\n"}, name)
        for index, ((name, path), (begin, size)) in enumerate(files.items())
    ]
    params = {"row_tokens": 400, "min_files": 1}
    emitted = pa.concat_tables(map(generator.emit, tables))
    found = generator.reduce(emitted, **params)
    order = list(range(emitted.num_rows))
    random.Random(seed).shuffle(order)
    assert generator.reduce(emitted.take(order), **params).equals(found)
    texts = [(row["origin"].partition("@")[0], row["text"]) for row in found.to_pylist()]
    assert not any(found[DROP].to_pylist())
    for index, ((name, path), (begin, size)) in enumerate(files.items()):
        body = f"path: {path}{' -->' if path.endswith('.md') else ''}\n{begin}\n# {index}.{'é' * size}\n"
        assert [repository for repository, text in texts if body in text] == [name]
    metas = [json.loads(meta) for meta in found["meta"].to_pylist()]
    assert sum(meta["files"] for meta in metas) == len(files)
    assert all(len(text) <= 1000 or meta["files"] == 1 for (_, text), meta in zip(texts, metas, strict=True))
    assert {(meta["repository"], meta["part"]) for meta in metas} == {
        (meta["repository"], part) for meta in metas for part in range(1, meta["parts"] + 1)
    }


def test_all_rows_of_a_repository_meet() -> None:
    keys = [
        generator.emit(docs({path: ""}, name, version))["key"][0].as_py()
        for path in "ab"
        for name in "xy"
        for version in "12"
    ]
    assert keys[:4] == keys[4:]
    assert len(set(keys)) == 4


def test_documents_are_written_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {f"{number}.py": "x" * 700 for number in range(9)}
    rows = generator.emit(docs(texts))
    whole = generator.reduce(rows, row_tokens=400)
    monkeypatch.setattr(generator, "BATCH_CHARS", 1000)
    cut = generator.reduce(rows, row_tokens=400)
    assert cut.equals(whole)
    assert cut["text"].num_chunks > whole["text"].num_chunks
    assert pc.sum(pc.utf8_length(cut["text"])).as_py() > 9 * 700


@pytest.mark.parametrize(
    ("params", "said"),
    [({"row_tokens": 10}, "1000 characters"), ({"min_files": 0}, "min_files 0"), ({"max_chars": 0}, "max_chars")],
)
def test_limits_that_leave_nothing_are_refused(params: dict[str, int], said: str) -> None:
    generator.check()
    with pytest.raises(ValueError, match=said):
        generator.check(**params)


def test_an_empty_partition_has_the_columns_of_a_full_one() -> None:
    empty = generator.emit(documents([]))
    assert empty.schema.equals(generator.emit(docs(TEXTS)).schema)
    assert generator.reduce(empty).schema.equals(generator.reduce(generator.emit(docs(TEXTS))).schema)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3_000), min_size=2, max_size=12), st.integers(500, 2_000))
def test_only_a_file_that_no_row_holds_is_longer_than_one(sizes: list[int], row_tokens: int) -> None:
    texts = {f"m{number}.py": f"import m{number - 1}\n" + "x" * size for number, size in enumerate(sizes)}
    for row in made(docs(texts), row_tokens=row_tokens, chars_per_token=2.0):
        assert len(row["text"]) <= row_tokens * 2 or json.loads(row["meta"])["files"] == 1


@pytest.mark.data
def test_with_real_tokens_packing_cuts_no_file_that_fits_a_row(shared_data: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(shared_data / "tokenizer" / "gpt-neox-20b-tokenizer.json"))
    root = Path(generator.__file__).parents[2]
    texts = {str(file.relative_to(root)): file.read_text() for file in sorted(root.glob("datapipe/**/*.py"))}
    rows = made(docs(texts), row_tokens=2048, chars_per_token=2.0)
    packed = best_fit(np.array([len(one.ids) + 1 for one in tokenizer.encode_batch([r["text"] for r in rows])]), 2048)
    cut = [number for number, pieces in Counter(packed.document.tolist()).items() if pieces > 1]
    alone = [re.findall("^# path: (.+)\n", rows[number]["text"], re.MULTILINE) for number in cut]
    assert {len(paths) for paths in alone} == {1}
    assert all(
        len(tokenizer.encode(texts[path]).ids) > 1900 for [path] in alone
    )  # the two lines above a file take the rest
