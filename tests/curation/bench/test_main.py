import subprocess
import sys
import types
from pathlib import Path

import pytest

from curation.bench import __main__ as bench

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Stand-ins for two parts, of which `slow` misses a bar; what they were called with."""
    calls: dict[str, list[list[str]]] = {"fast": [], "slow": []}

    def part(name: str, code: int) -> types.ModuleType:
        module = types.ModuleType(f"curation.bench.{name}")

        def main(argv: list[str]) -> int:
            calls[name].append(argv)
            return code

        module.main = main  # type: ignore[attr-defined]
        return module

    monkeypatch.setattr(bench, "PARTS", {"slow": "a slow one", "fast": "a fast one"})
    monkeypatch.setitem(sys.modules, "curation.bench.fast", part("fast", 0))
    monkeypatch.setitem(sys.modules, "curation.bench.slow", part("slow", 1))
    return calls


def test_a_part_gets_the_rest_of_the_arguments_and_gives_the_exit_code(parts: dict[str, list[list[str]]]) -> None:
    assert bench.main(["fast", "--docs", "5"]) == 0
    assert bench.main(["slow"]) == 1
    assert parts == {"fast": [["--docs", "5"]], "slow": [[]]}


def test_all_runs_every_part_and_names_what_missed(
    parts: dict[str, list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["all"]) == 1
    assert parts == {"fast": [[]], "slow": [[]]}, "a missed bar stops nothing"
    assert "bars missed in: slow" in capsys.readouterr().out


def test_without_a_part_they_are_listed(parts: dict[str, list[list[str]]], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 0
    assert "a slow one" in capsys.readouterr().out
    assert not parts["slow"]


def test_a_wrong_part_is_refused_with_those_there_are(
    parts: dict[str, list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["dedupe"]) == 2
    assert bench.main(["all", "--docs", "5"]) == 2
    printed = capsys.readouterr().err
    assert "no part 'dedupe': type one of slow, fast, or all" in printed
    assert "got --docs 5" in printed


def test_the_front_loads_no_part_and_no_library() -> None:
    code = (
        "import sys; from curation import bench; print({'numpy', 'pyarrow', 'curation.bench.dedup'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
