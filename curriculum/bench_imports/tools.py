"""Which file of a repository each import of a file means, as the languages' own tools resolve it.

Python: `ast` and importlib's finders, from the nearest folder that is no package, the root and `src`. C and C++: `gcc -H`, which follows
one branch of a condition, with every folder named include. JavaScript and TypeScript: the package `typescript` where node finds it
(NODE_PATH). Go: go/types, for every package-level name that a file uses the file that declares it, on this platform; names of its own
package count. Java: javac's types, for every type that a file names, of its own package too; where several source roots declare one, that
of the nearest. Rust: name resolution of rustc (`-Zunpretty=hir-tree`, which a released compiler prints under RUSTC_BOOTSTRAP) of every
library that cargo builds offline: for every path the file that defines what it means at last, whatever re-exports it; `mod` too.
"""

import ast
import functools
import importlib.machinery
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Pairs = set[tuple[str, str]]  # (imported file, importing file)
HERE = Path(__file__).parent
_GO_LIST = ["go", "list", "-e", "-mod=mod", "-json=Dir,ImportPath,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles"]
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)
_FOR_TESTS = re.compile(r"^\[(?:target\.[^\n]*\.)?dev-dependencies.*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_OWNER = re.compile(r"DefId\(\d+:\d+ ~ (\S+)\) => ")
_MEANS = re.compile(r"\s+DefId\(\d+:\d+ ~ (.+)\),")
_SPAN = re.compile(r" {16}span: (\S+\.rs):\d+:\d+: \S+ \(#0\)")  # no expansion of a macro
_INNER = re.compile(r" +inner_span: (\S+\.rs):\d+:\d+: ")  # of a module, whose `span` is that of `mod name;`


def by_python(root: Path, names: Sequence[str]) -> Pairs:
    loader = (importlib.machinery.SourceFileLoader, [".py"])
    finder = functools.cache(lambda place: importlib.machinery.FileFinder(place, loader))

    @functools.cache
    def find(name: str, start: tuple[str, ...]) -> tuple[str | None, list[str]] | None:
        """(file, folders of submodules)"""
        parent = name.rpartition(".")[0]
        above = find(parent, start) if parent else (None, list(start))
        spaces: list[str] = []
        for place in above[1] if above else ():
            spec = finder(place).find_spec(name)
            if spec and spec.loader:
                return spec.origin, list(spec.submodule_search_locations or ())
            spaces += (spec.submodule_search_locations or ()) if spec else ()
        return (None, spaces) if spaces else None

    found = set()
    for name in names:
        top = (root / name).parent
        while top != root and (top / "__init__.py").exists():
            top = top.parent
        start = tuple(str(place) for place in (top, root, root / "src") if place.is_dir())
        for modules in _modules(root / name, top):
            origin = next((where[0] for one in modules if (where := find(one, start)) and where[0]), None)
            if origin:
                found.add((os.path.relpath(origin, root), name))
    return found


def _modules(path: Path, top: Path) -> Iterator[list[str]]:
    """What each import of a file may name, the likelier first."""
    try:
        parsed = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = ".".join(path.relative_to(top).parts[:-1])
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            yield from ([alias.name] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                if node.level > package.count(".") + 1 or not package:
                    continue  # it leaves the package
                start = importlib.util.resolve_name("." * node.level + start, package)
            yield from ([f"{start}.{alias.name}", start] for alias in node.names)


def by_preprocessor(root: Path, names: Sequence[str]) -> Pairs:
    include = [f"-I{place}" for place in (root, *sorted(root.rglob("include"))) if place.is_dir()]
    found = set()
    for name in names:
        said = _said(["gcc", "-H", "-MM", "-MG", *include, root / name], error=True)
        for included in re.findall(r"^\. (.+)$", said, re.MULTILINE):
            found.add((os.path.relpath(included, root), name))
    return found


def by_typescript(root: Path, names: Sequence[str]) -> Pairs:
    said = _said(["node", HERE / "typescript_imports.js", root], json.dumps(names))
    return {(one, other) for one, other in json.loads(said or "[]")}


def by_go(root: Path, names: Sequence[str]) -> Pairs:
    packages = ""
    for module in sorted(root.rglob("go.mod")):
        with tempfile.TemporaryDirectory() as alone:  # without its requirements, for which the network would be asked
            head = re.findall(r"^(?:module|go)\s.*$", module.read_text(), re.MULTILINE)
            Path(alone, "go.mod").write_text("\n".join(head))
            offline = {"GOPROXY": "off", "GO111MODULE": "on", "GOFLAGS": ""}
            packages += _said([*_GO_LIST, f"-modfile={alone}/go.mod", "./..."], at=module.parent, env=offline)
    said = _said(["go", "run", HERE / "go_uses.go"], packages, env={"GO111MODULE": "off", "GOFLAGS": ""})
    return {(os.path.relpath(one, root), os.path.relpath(other, root)) for one, other in json.loads(said or "[]")}


def by_java(root: Path, names: Sequence[str]) -> Pairs:
    members: dict[str, list[str]] = {}  # by source root
    for name in names:
        package = _PACKAGE.search((root / name).read_text(errors="replace"))
        folders = "/" + os.path.dirname(name)
        source = folders.removesuffix("/" + package[1].replace(".", "/") if package else "").lstrip("/")
        if not name.endswith("module-info.java"):
            members.setdefault(source or ".", []).append(name)
    found = set()
    for source, files in members.items():
        near = sorted(members, key=lambda other: (-len(os.path.commonpath([other, source])), other != source, other))
        said = _said(["java", HERE / "JavaUses.java", ":".join(near)], "\n".join(files), at=root)
        found |= {(one, other) for one, other in (line.split("\t") for line in said.splitlines())}
    return found


def by_rust(root: Path, names: Sequence[str]) -> Pairs:
    found: Pairs = set()
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place).resolve() / "copy"  # cargo writes a lock beside a manifest
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".git", "target"))
        for manifest in copy.rglob("Cargo.toml"):
            manifest.write_text(_FOR_TESTS.sub("", manifest.read_text()))
        for manifest in sorted(copy.rglob("Cargo.toml")):
            workspace = _said(
                ["cargo", "locate-project", "--workspace", "--message-format", "plain"], at=manifest.parent
            )
            build = f"cargo rustc -q --offline --lib --target-dir {place}/target".split()
            for features, test in itertools.product((["--all-features"], []), (["--profile", "test"], [])):
                command = [*build, *features, *test, "--", "-Zunpretty=hir-tree"]
                said = _said(command, at=manifest.parent, env={"RUSTC_BOOTSTRAP": "1"})
                if said:
                    top = Path(workspace.strip()).parent
                    found |= {tuple(os.path.relpath(top / one, copy) for one in pair) for pair in _resolved(said)}  # type: ignore[misc]
                    break
    return found


def _resolved(hir: str) -> Iterator[tuple[str, str]]:
    """(file, file that means something in it) of all names in a crate's HIR. Steps within a path are left out, what it ends at counts."""
    files: dict[str, str] = {}  # of every item, by its path
    uses: set[tuple[str, str]] = set()  # (item used, item that uses it)
    owner, wanted, last = "", False, ""
    for line in hir.splitlines():
        if match := _OWNER.match(line):
            owner = match[1]
        elif match := _INNER.match(line):
            files[owner] = match[1]
        elif match := _SPAN.match(line):
            if files.setdefault(owner, match[1]) != match[1]:
                yield files[owner], match[1]
        elif match := _MEANS.fullmatch(line):
            if wanted and not owner.endswith("]::main"):  # which calls a library's tests
                uses.add((match[1], owner))
        elif " res: " in line:
            wanted = " hir_id: " not in last
        elif " segments: " in line or " owner_id: " in line:
            wanted = False
        last = line
    for pair in uses:
        used, user = (next((files[one] for one in _within(item) if one in files), None) for item in pair)
        if used and user:
            yield used, user


def _within(item: str) -> Iterator[str]:
    """An item and what holds it, nearest first."""
    while item:
        yield item
        item = item.rpartition("::")[0]


def _said(
    command: Sequence, given: str = "", *, at: Path | None = None, env: Mapping[str, str] = {}, error: bool = False
) -> str:
    run = subprocess.run(command, input=given, capture_output=True, text=True, cwd=at, env={**os.environ, **env})
    return run.stderr if error else run.stdout


class Tool(NamedTuple):
    resolve: Callable[[Path, Sequence[str]], Pairs]
    langs: Sequence[str]
    needs: str  # a command that succeeds where the tool is installed

    def is_installed(self) -> bool:
        command = self.needs.split()
        return bool(shutil.which(command[0])) and not subprocess.run(command, capture_output=True).returncode


TOOLS = (
    Tool(by_python, ("python",), "true"),
    Tool(by_preprocessor, ("c", "c++"), "gcc --version"),
    Tool(by_typescript, ("javascript", "typescript", "tsx", "jsx"), "node -e require('typescript')"),
    Tool(by_go, ("go",), "go version"),
    Tool(by_java, ("java",), "javac --version"),
    Tool(by_rust, ("rust",), "cargo --version"),
)
