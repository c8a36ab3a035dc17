"""YAML 1.2 scalars, and problems that name file and line."""

from pathlib import Path

import pytest

from curriculum.document import Document, ManifestError


def read(tmp_path: Path, text: str) -> Document:
    (tmp_path / "m.yaml").write_text(text)
    return Document(tmp_path / "m.yaml", "m.yaml")


def test_scalars_follow_yaml_1_2(tmp_path: Path) -> None:
    data = read(tmp_path, "a: no\nb: 3e-4\nc: 1_000_000\nd: true\ne: ~\nf: 0x10\ng: '5'\nh: 12:30\ni: -1.5\n").data
    assert data == {
        "a": "no",
        "b": 3e-4,
        "c": 1_000_000,
        "d": True,
        "e": None,
        "f": "0x10",
        "g": "5",
        "h": "12:30",
        "i": -1.5,
    }


def test_a_problem_names_the_line_of_its_value(tmp_path: Path) -> None:
    document = read(tmp_path, "name: x\nstages:\n  - name: a\n    mix:\n      web: 2\n")
    document.problem(("stages", 0, "mix", "web"), "is too much.", "Use 1.")
    with pytest.raises(ManifestError) as caught:
        document.check()
    assert caught.value.problems == ["m.yaml:5  stages[0].mix.web: is too much.\n    Use 1."]


def test_a_place_that_does_not_exist_takes_the_line_of_its_parent(tmp_path: Path) -> None:
    document = read(tmp_path, "name: x\nstages:\n  - name: a\n")
    document.problem(("stages", 0, "tokens"), "is missing.")
    assert document.problems[0].startswith("m.yaml:3  stages[0].tokens")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "m.yaml:1  the key 'a' stands twice (again at line 2)"),
        ("a: [1\n", "is not YAML"),
        ("- 1\n", "is not a mapping"),
        ("", "is not a mapping"),
        ("a: *b\n", "is not YAML"),
    ],
)
def test_broken_files_are_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        Document(tmp_path / "absent.yaml")
