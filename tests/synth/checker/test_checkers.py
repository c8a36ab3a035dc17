"""The checkers share no code with the generators, and every generator has one or is known to have none."""

import ast
from pathlib import Path

from synth.checker.checkers import CHECKERS
from synth.generators import GENERATORS, IN_WORDS_OF_SOURCES

FOLDER = Path(__file__).resolve().parents[3] / "synth" / "checker"
OURS = ("synth", "curation", "curriculum", "datapipe", "trainer", "kernels")
MAY = ("synth.checker.", "synth.software.sandbox")
NEEDED = frozenset({"fastjsonschema", "sympy", "tantivy", "xxhash"})


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_nothing_of_ours_is_imported_but_the_sandbox() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) >= 15
    names = {name for file in files for name in imported(file)}
    assert {name for name in names if name.partition(".")[0] in OURS and not name.startswith(MAY)} == set()
    foreign = {name.partition(".")[0] for name in names} - set(OURS)
    import sys

    assert foreign - set(sys.stdlib_module_names) == NEEDED


def test_modules_are_imported_by_name_in_one_place_alone() -> None:
    """What a tool does to a state is defined by its function: those modules, and no others."""
    places = {
        (file.name, ast.unparse(node))
        for file in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__")
    }
    assert places == {
        ("tooluse.py", "importlib.import_module(f\"synth.tooluse.environments.{task['environment']}.tools\")")
    }


def test_every_generator_has_a_checker_or_nothing_to_prove() -> None:
    assert set(GENERATORS) - set(CHECKERS) == {*IN_WORDS_OF_SOURCES, "messages", "reviewed"}
    assert set(CHECKERS) <= set(GENERATORS)
