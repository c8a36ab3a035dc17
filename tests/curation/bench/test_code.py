"""The measurement of code models: spoiled files differ as they should, a model learns to see it, peers are asked."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from curation.bench import code as bench
from curation.bench.code import SPOILED, File, alone, areas, examined, files_here, main, peer, table

TEXT = '''import os  # the system


def first_word(text, default):
    """The first word."""
    for part in text.split():
        return part
    return default


class Reader:
    def read_all(self, folder):
        return [os.path.join(folder, name) for name in os.listdir(folder)]
'''


def package(root: Path, name: str) -> None:
    (root / name).mkdir()
    for place in range(6):
        text = TEXT.replace("word", f"{name}_word") * 2 + f"\n\nNUMBER = {place}\n" * place
        (root / name / f"{name}{place}.py").write_text(text)


@pytest.fixture
def files(tmp_path: Path) -> list[File]:
    for place in range(12):
        package(tmp_path, f"package{chr(97 + place)}")
    return files_here([tmp_path], 60)


def test_files_are_drawn_with_their_package(files: list[File]) -> None:
    assert len(files) == 60
    assert {file.lang for file in files} == {"python"}
    assert all(file.path.startswith(f"{file.package}/{file.package}") for file in files)
    assert table(files)["origin"][0].as_py() == f"{files[0].package}@1:{files[0].path}"


@pytest.mark.parametrize("way", SPOILED)
def test_every_way_of_spoiling_changes_what_it_says(way: str) -> None:
    spoiled = SPOILED[way](File("p", "a.py", "python", TEXT), np.random.Generator(np.random.Philox(1)))
    assert spoiled != TEXT
    expected = {
        "shuffled": lambda: sorted(spoiled.split("\n")) == sorted(TEXT.split("\n")),
        "renamed": lambda: "first_word" not in spoiled and "class" in spoiled and len(spoiled) < len(TEXT),
        "squeezed": lambda: "#" not in spoiled and "\n\n" not in spoiled and "\n def " in spoiled,
        "cut": lambda: TEXT.startswith(spoiled) and len(spoiled) >= 200,
        "in conflict": lambda: "\n=======\n" in spoiled and set(TEXT.split("\n")) <= set(spoiled.split("\n")),
    }
    assert expected[way]()


def test_a_model_sees_what_was_spoiled_in_packages_it_does_not_know(files: list[File]) -> None:
    of = examined(files)
    found = areas(of, of.examples)
    assert len(found) == len(SPOILED) + 1
    assert found[-1] > 0.9 > alone(of, of.chars_N)[-1]


def test_peers_answer_with_their_seconds(files: list[File], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = tmp_path / "peer.py"
    answer = {"seconds": {"theirs": 2.0}, "versions": {"peer": "1"}}
    asked.write_text(
        f"import sys, json\nassert len(list(sys.stdin)) == {len(files)}\nprint('''{json.dumps(answer)}''')"
    )
    monkeypatch.setattr(bench, "PEER", asked)
    size = sum(len(file.text) for file in files) / 1e6
    assert peer(sys.executable, files) == {"theirs": pytest.approx(size / 2)}
    asked.write_text("raise SystemExit('no such library')")
    with pytest.raises(SystemExit, match="no such library"):
        peer(sys.executable, files)


def test_all_of_it_runs(
    files: list[File], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "MIN_RATE", 0.0)
    assert main(["--folders", str(tmp_path), "--files", "40"]) == 0
    said = capsys.readouterr().out
    assert "filter.opencoder without parser" in said
    assert "python: too few packages here to learn from" in said
