"""The check of imports against the languages' own tools, on a repository that is small enough to see through."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from curriculum.bench_imports import report, tools

TEXTS = {
    "src/pkg/__init__.py": "from .b import B\n",
    "src/pkg/a.py": "import json\n",
    "src/pkg/b.py": "import pkg.a\nfrom . import a\n",
    "tests/test_a.py": "from pkg import a\nimport other\n",
    "tests/other.py": "import test_a\n",
    "broken.py": "import pkg.a (\n",
}


def written(root: Path, texts: Mapping[str, str]) -> Path:
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_what_python_resolves_is_compared_with_the_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.report(written(tmp_path / "thing", TEXTS))
    said = capsys.readouterr().out
    assert "thing: 6 files of 6, 0 not in exactly one document\n" in said
    assert (
        "by_python: 5 imports, 100.00% are edges, 1 edges more; whole: 4 before, 1 later in a cycle, "
        "0 later in one that edges of ours close, 0 later without one" in said
    )


def test_a_tool_that_is_not_installed_is_left_out_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "TOOLS", [tools.Tool(tools.by_go, ("go",), "false")])
    report.report(written(tmp_path, {"a.go": "package a\n\nvar A = 1\n", "b.go": "package a\n\nvar B = A\n"}))
    assert "  by_go: not compared, for `false` fails\n" in capsys.readouterr().out


@pytest.mark.skipif(not tools.TOOLS[3].is_installed(), reason="needs go")
def test_go_tells_the_file_that_declares_a_name(tmp_path: Path) -> None:
    texts = {
        "go.mod": "module m.org/m\n\ngo 1.16\n\nrequire x.org/x v1.0.0\n",
        "a/one.go": 'package a\n\nimport "x.org/x"\n\nvar One = x.X\n',
        "a/two.go": "package a\n\nvar two = One\n",
        "a/help_test.go": "package a\n\nvar Help = two\n",
        "a/far_test.go": 'package a_test\n\nimport . "m.org/m/a"\n\nvar _ = Help\n',
        "main.go": 'package main\n\nimport "m.org/m/a"\n\nfunc main() { _ = a.One }\n',
    }
    root = written(tmp_path, texts)
    assert tools.by_go(root, [name for name in texts if name.endswith(".go")]) - {(name, name) for name in texts} == {
        ("a/one.go", "a/two.go"),
        ("a/two.go", "a/help_test.go"),
        ("a/help_test.go", "a/far_test.go"),
        ("a/one.go", "main.go"),
    }


@pytest.mark.skipif(not tools.TOOLS[4].is_installed(), reason="needs javac")
def test_java_tells_the_file_that_declares_a_type(tmp_path: Path) -> None:
    texts = {
        "src/p/A.java": "package p; public class A { public static class In {} }",
        "src/q/B.java": "package q; class B extends p.A { In in; C c; other.Missing m; }",
        "src/q/C.java": "package q; class C {}",
        "test/q/T.java": "package q; class T { void t() { new C(); } }",
    }
    root = written(tmp_path, texts)
    found = tools.by_java(root, list(texts))
    assert {pair for pair in found if pair[0] != pair[1]} == {
        ("src/p/A.java", "src/q/B.java"),
        ("src/q/C.java", "src/q/B.java"),
        ("src/q/C.java", "test/q/T.java"),
    }


@pytest.mark.skipif(not tools.TOOLS[5].is_installed(), reason="needs cargo")
def test_rust_tells_the_file_that_declares_what_is_passed_on(tmp_path: Path) -> None:
    texts = {
        "Cargo.toml": '[package]\nname = "p"\nversion = "0.1.0"\n\n[dev-dependencies]\nmissing = "1"\n',
        "src/lib.rs": "mod a;\nmod b;\npub use a::A;\n",
        "src/a.rs": "pub struct A;\n",
        "src/b.rs": "#[test]\nfn f() { let _ = crate::A; }\n",
    }
    found = tools.by_rust(written(tmp_path, texts), list(texts))
    assert {pair for pair in found if pair[0] != pair[1]} == {
        ("src/a.rs", "src/lib.rs"),
        ("src/b.rs", "src/lib.rs"),
        ("src/a.rs", "src/b.rs"),
    }


def test_a_file_that_is_missing_or_there_twice_is_seen() -> None:
    text = "# repository: r\n\n# path: a.py\nx\n\n# path: b.py\ny\n\n# path: a.py\nx\n"
    files = {path: ("python", path) for path in ("c.py",)} | {"a.py": ("python", "x\n"), "b.py": ("python", "z")}
    found = report.places([text], files)
    assert {path: len(where) for path, where in found.items()} == {"a.py": 2, "b.py": 0, "c.py": 0}
