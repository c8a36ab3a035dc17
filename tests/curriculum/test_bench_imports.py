"""The check of imports against the languages' own tools, on a repository that is small enough to see through."""

from pathlib import Path

import pytest

from curriculum import bench_imports

TEXTS = {
    "src/pkg/__init__.py": "from .b import B\n",
    "src/pkg/a.py": "import json\n",
    "src/pkg/b.py": "import pkg.a\nfrom . import a\n",
    "tests/test_a.py": "from pkg import a\nimport other\n",
    "tests/other.py": "import test_a\n",
    "broken.py": "import pkg.a (\n",
}


def test_what_python_resolves_is_compared_with_the_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "thing"
    for path, text in TEXTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    bench_imports.report(root)
    said = capsys.readouterr().out
    assert "thing: 6 files of 6, 0 not in exactly one document\n" in said
    assert (
        "by_python: 5 imports, 100.00% are edges, 1 edges more; whole: 4 before, 1 later in a cycle, 0 later without one"
        in said
    )


def test_a_file_that_is_missing_or_there_twice_is_seen() -> None:
    text = "# repository: r\n\n# path: a.py\nx\n\n# path: b.py\ny\n\n# path: a.py\nx\n"
    files = {path: ("python", path) for path in ("c.py",)} | {"a.py": ("python", "x\n"), "b.py": ("python", "z")}
    found = bench_imports.places([text], files)
    assert {path: len(where) for path, where in found.items()} == {"a.py": 2, "b.py": 0, "c.py": 0}
