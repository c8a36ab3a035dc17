"""What `{file: NAME}` becomes, where it is looked for, and what is said when it is not there."""

from pathlib import Path
from typing import Any

import pytest

from curriculum.document import Document
from curriculum.listed import SHIPPED, filled_in


def filled(tmp_path: Path, value: Any) -> tuple[Any, list[str]]:
    (tmp_path / "corpus.yaml").write_text("kind: web\n")
    document = Document(tmp_path / "corpus.yaml", "corpus.yaml")
    return filled_in(document, ("steps", 0), value), document.problems


def test_lists_and_tables_take_the_place_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("# a comment\none\n\n  two words \n")
    (tmp_path / "own.yaml").write_text("fr: {min_words: 3}\n")
    value = {
        "words": [{"file": "own.txt"}, "three"],
        "languages": {"file": "own.yaml"},
        "de": {"words": {"file": "own.txt"}},
    }
    expected = {
        "words": ["one", "two words", "three"],
        "languages": {"fr": {"min_words": 3}},
        "de": {"words": ["one", "two words"]},
    }
    assert filled(tmp_path, value) == (expected, [])
    other = {"labels": {"file": "labels.jsonl"}, "n": 3, "names": [["a"], {"b": 1}]}
    assert filled(tmp_path, other) == (other, [])


def test_what_is_wrong_is_said_with_the_place(tmp_path: Path) -> None:
    _, [problem] = filled(tmp_path, {"words": [{"file": "url_word.txt"}]})
    assert "steps[0].words[0]: url_word.txt: no such file beside the corpus file, nor a shipped list." in problem
    assert "url_words.txt" in problem
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "is not UTF-8 (byte 3)" in filled(tmp_path, {"file": "latin.txt"})[1][0]
    (tmp_path / "bad.yaml").write_text("a: [")
    assert "is not YAML" in filled(tmp_path, {"file": "bad.yaml"})[1][0]


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.glob("*.*")))
def test_a_shipped_list_is_read(tmp_path: Path, name: str) -> None:
    content, problems = filled(tmp_path, {"file": name})
    assert not problems
    assert content
    assert isinstance(content, dict if name.endswith(".yaml") else list)
    if isinstance(content, list):
        assert content == sorted(set(content))
