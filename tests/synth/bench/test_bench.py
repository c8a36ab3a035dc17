"""The bench of synthesis: its parts are found, and what it says is what happened."""

import re

import pytest

from synth.bench import teacher
from synth.bench.__main__ import PARTS, main
from synth.bench.chat_server import counts, serving
from synth.teacher import Settings


def test_parts_are_listed_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert all(part in capsys.readouterr().out for part in PARTS)
    assert main(["teechers"]) == 2
    assert "type one of teacher" in capsys.readouterr().err
    assert main(["all", "--requests", "3"]) == 2


def test_a_small_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "BAR", 0.0)
    monkeypatch.setattr(teacher, "STORM", 0.3)
    options = ["--requests", "120", "--concurrency", "20", "--workers", "0", "--repeat", "1"]
    assert main(["teacher", *options]) == 0
    told = capsys.readouterr().out
    assert re.search(r"one process: 120 requests, 20 at a time, 100 ms each: \d\.\d\d s, \d+\.\d % of the ideal", told)
    assert re.search(r"storm: 20 rows, \d+ tries, .* rows lost: 0, charged 20, answered 20, of them twice 0", told)
    monkeypatch.setattr(teacher, "BAR", 1.01)
    assert main(["teacher", *options]) == 1


def test_a_lost_row_or_a_charge_that_is_none_misses_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"start": 0.0, "end": 1.0, "cpu": 1.0, "lost": 1, "cost": 400.0, "asked": {}}
    monkeypatch.setattr(teacher, "counts", lambda base_url: {"tries": 50, "answers": 40, "twice": 0})
    monkeypatch.setattr(teacher, "ask_many", lambda **arguments: done)
    assert teacher._storm(40, 5) == 1
    done["lost"] = 0
    assert teacher._storm(40, 5) == 0
    done["cost"] = 410.0
    assert teacher._storm(40, 5) == 1


def test_the_server_counts_what_it_answers() -> None:
    with serving(delay=0.0, storm=1.0) as base_url:
        assert Settings.of({"base_url": base_url, "model": "m"})
        assert counts(base_url) == {"tries": 0, "answers": 0, "twice": 0}
