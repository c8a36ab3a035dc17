"""The file of answers: what survives a kill, and what belongs to whom."""

import os
import threading
from pathlib import Path

import pytest

from synth.render import Call
from synth.teacher import Answer
from synth.teacher.answers import SUFFIX, TOGETHER, Answers


def answer(text: str) -> Answer:
    return Answer(text, "stop", 1, 2)


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = Answer(
        "a", "tool_calls", 1, 2, "bad_call", True, "hm", (Call("f", {"x": [1, "é"]}), Call("g", {})), "m-1", 3, 4
    )
    with Answers(str(tmp_path), "m") as answers:
        answers.add("k", kept)
    assert Answers(str(tmp_path), "m").found == {"k": kept}


def test_a_cut_line_costs_one_answer(tmp_path: Path) -> None:
    with Answers(str(tmp_path), "m") as answers:
        for index in range(3):
            answers.add(str(index), answer("a"))
    (file,) = tmp_path.iterdir()
    assert file.name == f"m{SUFFIX}"
    file.write_bytes(file.read_bytes()[:-20])
    with Answers(str(tmp_path), "m") as answers:
        assert list(answers.found) == ["0", "1"]
        answers.add("2", answer("b"))
    assert list(Answers(str(tmp_path), "m").found) == ["0", "1", "2"]


def test_an_answer_is_on_disk_when_it_was_written(tmp_path: Path) -> None:
    with Answers(str(tmp_path), "m") as answers:
        answers.add("k", answer("a"))
        answers.write()
        assert list(Answers(str(tmp_path), "m").found) == ["k"]


def test_no_answer_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.answers.SYNC_SECONDS", 0.0)
    is_slow, begun = threading.Event(), threading.Event()

    def fsync(file: int) -> None:
        begun.set()
        assert is_slow.wait(20)

    monkeypatch.setattr("synth.teacher.answers.os.fsync", fsync)
    with Answers(str(tmp_path), "m") as answers:
        for key in "abc":
            answers.add(key, answer("a"))
            answers.write()
        assert begun.wait(20)
        assert list(Answers(str(tmp_path), "m").found) == ["a", "b", "c"]
        is_slow.set()


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """Else all would be paid for again."""
    folder = str(tmp_path / "run [2]*?")
    with Answers.of_model(folder, "m") as answers:
        answers.add("key", answer("a"))
        answers.write()
    assert Answers.of_model(folder, "m").found == {"key": answer("a")}


def test_a_disk_that_takes_a_part_gets_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    with Answers.of_model(str(tmp_path), "m") as answers:
        answers.add("key", answer("a"))
        answers.write()
    monkeypatch.undo()
    assert Answers.of_model(str(tmp_path), "m").found == {"key": answer("a")}


def test_nothing_is_written_where_nothing_was_added(tmp_path: Path) -> None:
    with Answers(str(tmp_path / "none"), "m"):
        pass
    assert not (tmp_path / "none").exists()


def test_no_two_models_share_a_file_of_answers(tmp_path: Path) -> None:
    models = ["a/b", "a-b", "a%2Fb", "a%b", "a", "a:b", "glm-4.5-air"]
    for model in models:
        with Answers.of_model(str(tmp_path), model) as answers:
            answers.add(model, answer("a"))
    assert [list(Answers.of_model(str(tmp_path), model).found) for model in models] == [[model] for model in models]
    assert (tmp_path / f"glm-4.5-air{SUFFIX}").exists()


def test_answers_of_a_model_with_a_longer_name_are_not_its_own(tmp_path: Path) -> None:
    for name in ("m-mini", "m", "m[1]"):
        with Answers(str(tmp_path), name) as answers:
            answers.add(name, Answer("a", "stop", 1, 2))
    assert [list(Answers(str(tmp_path), name).found) for name in ("m", "m-mini", "m[1]")] == [
        ["m"],
        ["m-mini"],
        ["m[1]"],
    ]


def test_answers_in_an_object_store(s3: str) -> None:
    folder = f"{s3}/answers"
    with Answers(folder, "m") as answers:
        for index in range(TOGETHER + 3):
            answers.add(f"{index}", Answer(f"été \ud800 {index}", "stop", 1, 2))
            answers.write()
        assert len(Answers(folder, "m").found) == TOGETHER
    again = Answers(folder, "m").found
    assert len(again) == TOGETHER + 3
    assert again["7"].completion_tokens == 2
    assert Answers(folder, "other").found == {}
    with Answers(folder, "org%2Fm") as answers:
        answers.add("a", Answer("a", "stop", 1, 2))
    assert list(Answers(folder, "org%2Fm").found) == ["a"]
