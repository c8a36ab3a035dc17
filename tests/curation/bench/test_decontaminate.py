from pathlib import Path

import pytest

from curation.bench import decontaminate as bench


@pytest.mark.data
def test_the_benchmark_finds_what_it_plants(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--data", str(shared_data), "--docs", "40", "--items", "5"]) == 0
    printed = capsys.readouterr().out
    assert "623 of 623 (100.0%)" in printed
    assert "0 of 40" in printed
    assert "humaneval-rkt             5         100.0%         100.0%         100.0%         100.0%" in printed
    assert "docs/CPU-s" in printed


def test_without_data_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--data", str(tmp_path)]) == 0
    assert "name its folder with --data" in capsys.readouterr().out


def test_plants_change_what_they_say() -> None:
    assert bench.other_lines("a b  c", "") == "A\nB\nC"
    assert bench.other_number("2 and 3 x", "") == "2 and 4263 x"
    assert bench.other_number("none", "") == "none"
    assert bench.in_a_page("ITEM", "some words here") == "some\n\nITEM\n\n words here"
