"""Tests, documentation, READMEs and files without imports: what they stand near."""

import time

import pytest

from synth.repository.companions import companions, rank_key, with_folders
from synth.repository.file import File
from tests.synth.repository.trees import tree


def found(*paths: str) -> set[tuple[str, str]]:
    files = tree(dict.fromkeys(paths, "")).files
    return {(files[one].path, files[other].path) for one, other in companions(files)}


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("pkg/x.py", "tests/test_x.py"),
        ("pkg/x.py", "pkg/x_test.py"),
        ("pkg/x.py", "tests/x.py"),
        ("x.go", "x_test.go"),
        ("src/main/java/p/Thing.java", "src/test/java/p/ThingTest.java"),
        ("src/main/java/p/Thing.java", "src/test/java/p/TestThing.java"),
        ("lib/x.ts", "lib/x.spec.ts"),
        ("lib/x.tsx", "lib/__tests__/x.test.tsx"),
        ("lib/x/index.js", "lib/x/x.test.js"),
        ("App/Thing.cs", "App.Tests/ThingTests.cs"),
    ],
)
def test_a_test_goes_with_the_file_it_is_named_after(path: str, test: str) -> None:
    assert found(path, test, "other/unrelated.py") == {(path, test)}


def test_of_several_files_of_the_name_the_one_in_like_folders_is_meant() -> None:
    assert found("a/core/x.py", "b/core/x.py", "tests/b/test_x.py", "x.rs") == {("b/core/x.py", "tests/b/test_x.py")}


def test_of_hundreds_of_files_of_the_name_too_the_one_in_like_folders_is_meant() -> None:
    files = [f"packages/p{number}/src/x.ts" for number in range(300)]
    tests = [f"packages/p{number}/src/x.test.ts" for number in (7, 99, 299)]
    assert found(*files, *tests) == {(test.replace(".test", ""), test) for test in tests}


def test_names_that_say_nothing_find_nothing() -> None:
    assert not found(
        "x.rs",
        "tests/test_x.py",
        "a/index.js",
        "a/README.md",
        "index.md",
        "main.py",
        "main.md",
        "test_nothing.py",
        "latest.py",
        "contest.py",
    )


def test_documentation_goes_with_its_module() -> None:
    assert found("net/dag.py", "doc/reference/net.algorithms.dag.rst", "net/flow/__init__.py", "doc/flow.md") == {
        ("net/dag.py", "doc/reference/net.algorithms.dag.rst"),
        ("net/flow/__init__.py", "doc/flow.md"),
    }


def test_folder_by_folder_readme_and_metadata_first() -> None:
    paths = ["b/README.rst", "b/a.py", "README.md", "pyproject.toml", "A.py", "b/c/d.py", "a/z.py", "b.py"]
    expected = ["README.md", "pyproject.toml", "A.py", "b.py", "a/z.py", "b/README.rst", "b/a.py", "b/c/d.py"]
    assert sorted(paths, key=rank_key) == expected


def test_files_without_imports_join_the_largest_component_of_their_folder_or_above() -> None:
    paths = ["a/1", "a/2", "a/3", "b/1", "b/2", "a/x", "b/x", "b/c/d/x", "e/x", "x"]
    edges = {(0, 1), (1, 2), (3, 4)}
    labels = [0, 0, 0, 3, 3, 5, 6, 7, 8, 9]
    assert with_folders([File(path) for path in paths], labels, edges) == [0, 0, 0, 3, 3, 0, 3, 3, 0, 0]
    assert with_folders([File("a"), File("b/c")], [0, 1], ()) == [-1, -1]


def test_thousands_of_files_of_one_name_take_no_quadratic_time() -> None:
    files = [File(f"a{n}/{'test_' * (n % 2)}x.py", "python") for n in range(16_000)]
    started = time.process_time()
    assert len(companions(files)) == 8_000
    assert time.process_time() - started < 6
