"""Paths of documents that may be written to a folder, and those that may not."""

import pytest

from synth.software.tree import Repository, safe_path, with_packages, without_clashes

BAD = ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a/.git/config", "a\\b", "a\x00b", "a\nb", "C:x", "x" * 300]
BAD += ["a/" * 30 + "b", "__pycache__/x.pyc", "a\u202eb"]


@pytest.mark.parametrize("path", BAD)
def test_a_path_that_may_not_be_written(path: str) -> None:
    assert not safe_path(path)
    assert without_clashes({path: "", "kept.py": ""}) == {"kept.py": ""}


def test_a_name_that_is_a_folder_of_others_is_left_out() -> None:
    assert without_clashes({"a": "", "a/b": "", "ab": ""}) == {"a/b": "", "ab": ""}


def test_packages_get_their_empty_files_back() -> None:
    """As readers leave a repository, whose empty files are no documents."""
    files = {
        "p/__init__.py": "a = 1",
        "p/sub/deep/a.py": "",
        "p/sub/a.py": "",
        "p/data/a.json": "",
        "setup.py": "from . import x",
        "tests/test_a.py": "def f():\n    from .tools import x",
        "docs/conf.py": "import p",
        "other/inner/a.py": "",
    }
    added = {"p/sub/__init__.py": "", "p/sub/deep/__init__.py": "", "tests/__init__.py": ""}
    assert with_packages(files) == files | added
    assert with_packages(files | added) == files | added


def test_tests_sources_and_the_rest() -> None:
    files = dict.fromkeys(
        [
            "p/a.py",
            "p/tests/test_a.py",
            "p/tests/tools.py",
            "p/a_test.py",
            "conftest.py",
            "setup.py",
            "docs/conf.py",
            "p/data.json",
        ],
        "",
    )
    repository = Repository("p", "1", files, {})
    assert repository.test_files == ["p/a_test.py", "p/tests/test_a.py"]
    assert repository.source_files == ["p/a.py"]
