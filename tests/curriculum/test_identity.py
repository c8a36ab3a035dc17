"""Keys follow the content of files, not their names."""

from pathlib import Path

from curation.steps import Step
from curriculum.identity import identity, resolved
from curriculum.segment import Bound

LANGUAGE = Step("map", "curation.languages.language:language", 1)


def test_the_content_of_a_model_counts_and_not_its_path(tmp_path: Path) -> None:
    for name, content in {"a.bin": b"one", "b.bin": b"one", "c.bin": b"two"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c = (
        identity(Bound("x", LANGUAGE, {"model": str(tmp_path / f"{n}.bin"), "min_score": 0.5}), "") for n in "abc"
    )
    assert a == b != c
    assert a["min_score"] == 0.5
    assert identity(Bound("x", LANGUAGE, {"model": "not-there"}), "") == {"model": "not-there"}


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "weights").write_bytes(b"w")
    step = Bound("x", LANGUAGE, {"path": str(tmp_path / "one")})
    before = identity(step, "")
    assert before == identity(step._replace(params={"path": str(tmp_path / "two")}), "")
    (tmp_path / "one" / "deep" / "weights").write_bytes(b"v")
    assert identity(step, "") != before


def test_relative_paths_start_from_the_data() -> None:
    assert resolved("labels.jsonl", "data") == "data/labels.jsonl"
    assert resolved("/a/labels.jsonl", "data") == "/a/labels.jsonl"
    assert resolved("s3://b/labels.jsonl", "data") == "s3://b/labels.jsonl"
