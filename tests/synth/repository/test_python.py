"""Imports of Python: against the parser and the import system of Python itself, and the ways in which an import can be written."""

import ast
import functools
import importlib.machinery
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.repository import python
from tests.synth.repository.trees import edges

SITE = Path(networkx.__file__).parent.parent


class Finder:
    """Where Python's own path finder finds a module, in a folder that nothing is imported from."""

    def __init__(self, root: Path):
        self._root = str(root)
        self.find = functools.cache(self._find)
        loader = (importlib.machinery.SourceFileLoader, [".py"])
        self._in = functools.cache(lambda place: importlib.machinery.FileFinder(place, loader))

    def _find(self, name: str) -> tuple[str | None, list[str]] | None:
        """(file, folders of submodules)"""
        parent = name.rpartition(".")[0]
        found = self.find(parent) if parent else (None, [self._root])
        spaces: list[str] = []
        for place in found[1] if found else ():
            spec = self._in(place).find_spec(name)
            if spec and spec.loader:
                return spec.origin, list(spec.submodule_search_locations or ())
            spaces += (spec.submodule_search_locations or ()) if spec else ()
        return (None, spaces) if spaces else None


def named(path: str, source: bytes) -> Iterator[list[str]]:
    """What each import of a file may name, the likelier first."""
    module = path.removesuffix(".py").replace("/", ".")
    package = module.removesuffix(".__init__") if module.endswith(".__init__") else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ([alias.name] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = (
                importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                if node.level
                else node.module
            )
            yield from ([f"{start}.{alias.name}", str(start)] for alias in node.names)


def by_python(root: Path, paths: list[str]) -> set[tuple[str, str]]:
    finder, found = Finder(root), set()
    for path in paths:
        for names in named(path, (root / path).read_bytes()):
            origin = next((where[0] for name in names if (where := finder.find(name)) and where[0]), None)
            if origin and origin.startswith(f"{root}/"):
                found.add((origin.removeprefix(f"{root}/"), path))
    return {(one, other) for one, other in found if one != other and one in paths}


@pytest.mark.parametrize("package", ["networkx", "docutils", "jinja2"])
def test_the_imports_of_an_installed_package_are_those_that_python_resolves(package: str) -> None:
    paths = [str(file.relative_to(SITE)) for file in sorted((SITE / package).rglob("*.py"))]
    expected = by_python(SITE, paths)
    assert len(expected) > 20
    assert edges({path: (SITE / path).read_text("utf-8") for path in paths}) == expected


STATEMENTS = {
    "import a.b": {"a.b"},
    "import a.b as c, d": {"a.b", "d"},
    "import a; import b": {"a", "b"},
    "import a, \\\n    b": {"a", "b"},
    "if x: import a": {"a"},
    "try: import a\nexcept ImportError: import b": {"a", "b"},
    "    from .a import (b,  # c, (d)\n        e as f,\n    )": {".a:b", ".a:e"},
    "from . import a": {".:a"},
    "from .import a": {".:a"},
    "from .. a import b": {"..a:b"},
    "from a \\\n  import b": {"a:b"},
    "from a import *": {"a:*"},
    "from a import b;x = 1": {"a:b"},
    "cimport a\nfrom b cimport c": {"a", "b:c"},
    "# import a": set(),
    '"""\nimport a\n"""\nimport b': {"b"},
    "'''\nimport a": set(),
    "s = 'import a'": set(),
    "x = '''it''' # '''\nimport a\n'''\nimport b'''": {"a"},
    'r"\\"; import a': set(),
    "important = imports\nreimport a": set(),
    "import": set(),
    "from a import": set(),
    ">>> import a": set(),
    "import a\r\nfrom b import c\r\n": {"a", "b:c"},
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_forms_of_an_import(text: str) -> None:
    assert set(python.scan(text).imports) == STATEMENTS[text]


NAMES = st.sampled_from(["a", "b.c", "d_1"])
LINES = st.one_of(
    NAMES.map(lambda name: f"import {name}"),
    st.builds(lambda name, more: f"from .{name} import ({more},\n x)", NAMES, NAMES),
    st.sampled_from(['"""', "'''", "# it's", "x = 'a\\'b'", "if x: pass", 'f"{y}"', "\\", "def f(): import z", ")"]),
)


@given(st.lists(LINES, max_size=12).map("\n".join))
def test_whatever_parses_is_read_as_the_parser_reads_it(text: str) -> None:
    try:
        parsed = ast.parse(text)
    except SyntaxError:
        python.scan(text)
        return
    expected = set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            expected |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            expected |= {f"{'.' * node.level}{node.module or ''}:{alias.name}" for alias in node.names}
    assert set(python.scan(text).imports) == expected


def test_a_name_is_looked_for_above_the_importing_file_first() -> None:
    texts = {
        "src/pkg/__init__.py": "",
        "src/pkg/json.py": "import json, names",
        "src/pkg/names.py": "from pkg import json",
        "tests/names.py": "",
        "tests/test_names.py": "import names, pkg.names, json, tool",
        "tools/json.py": "",
        "tools/tool.py": "import json",
        "deep/er/one.py": "",
        "near/one.py": "",
        "user/two.py": "import one",
        "space/deep/module.py": "from space.deep import other",
        "space/deep/other.pyi": "",
    }
    assert edges(texts) == {
        ("src/pkg/json.py", "src/pkg/names.py"),
        ("tests/names.py", "tests/test_names.py"),
        ("src/pkg/names.py", "tests/test_names.py"),
        ("tools/tool.py", "tests/test_names.py"),
        ("tools/json.py", "tools/tool.py"),
        ("tests/names.py", "src/pkg/json.py"),
        ("near/one.py", "user/two.py"),
        ("space/deep/other.pyi", "space/deep/module.py"),
    }


def test_a_folder_of_a_package_is_one_though_its_empty_init_was_not_read() -> None:
    texts = {
        "pkg/__init__.py": "from .utils import copy",
        "pkg/utils/copy.py": "import copy",
        "pkg/utils/log.py": "import copy, tool",
        "pkg/utils/tool.py": "from pkg.utils import copy",
        "pkg/backends/jinja2.py": "",
        "pkg/render.py": "import jinja2, tool",
    }
    assert edges(texts) == {
        ("pkg/utils/copy.py", "pkg/__init__.py"),
        ("pkg/utils/tool.py", "pkg/utils/log.py"),
        ("pkg/utils/copy.py", "pkg/utils/tool.py"),
    }


def test_a_relative_import_that_leaves_the_repository_leads_nowhere() -> None:
    assert edges({"a/b.py": "from ... import x\nfrom .... import a\nfrom .. import c", "c.py": "", "x.py": ""}) == {
        ("c.py", "a/b.py")
    }
