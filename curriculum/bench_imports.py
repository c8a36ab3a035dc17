"""Are imports respected? Repository documents against what Python, the C preprocessor and the TypeScript compiler resolve themselves.

    python -m curriculum.bench_imports FOLDER...      every FOLDER is a source tree of one repository

Said of every repository: files, and those that are not in exactly one document (none may be). Of each tool: the imports between files
that it resolves, how many of these are edges of ours, and how many edges are ours alone. Then where the imported file stands: before,
later in a cycle, or later without one (none may be). `whole` makes one document of the repository, so that every import counts; `rows`
cuts it to rows of 32,768 tokens, where only imports within one part do.

Python: `ast` and importlib's finders, from the nearest folder that is no package, the root and `src`. C and C++: `gcc -H`, which follows
one branch of a condition, with every folder named include. JavaScript and TypeScript: the package `typescript` where node finds it
(NODE_PATH). A tool that is not installed is left out.
"""

import argparse
import ast
import functools
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import networkx
import pyarrow as pa

from datapipe import readers
from datapipe.schema import DROP, code_place
from synth.repository import generator, imports, render
from synth.repository.file import File, Tree

Pairs = set[tuple[str, str]]  # (imported file, importing file)
_NODE = r"""
const ts = require('typescript'), path = require('path'), root = process.argv[1];
const names = JSON.parse(require('fs').readFileSync(0, 'utf8')), found = [];
const options = {moduleResolution: ts.ModuleResolutionKind.Node10, allowJs: true, resolveJsonModule: true};
for (const name of names) {
  const file = path.join(root, name);
  for (const {fileName} of ts.preProcessFile(ts.sys.readFile(file) ?? '', true, true).importedFiles) {
    let to = ts.resolveModuleName(fileName, file, options, ts.sys).resolvedModule?.resolvedFileName;
    const run = to?.replace(/\.d\.ts$/, '.js');  // what a JavaScript file loads; its types stand beside it
    if (to && /\.[cm]?jsx?$/.test(name) && ts.sys.fileExists(run)) to = run;
    if (to) found.push([path.relative(root, to), name]);
  }
}
console.log(JSON.stringify(found));
"""


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
    if not shutil.which("gcc"):
        return set()
    include = [f"-I{place}" for place in (root, *sorted(root.rglob("include"))) if place.is_dir()]
    found = set()
    for name in names:
        run = subprocess.run(["gcc", "-H", "-MM", "-MG", *include, root / name], capture_output=True, text=True)
        for included in re.findall(r"^\. (.+)$", run.stderr, re.MULTILINE):
            found.add((os.path.relpath(included, root), name))
    return found


def by_typescript(root: Path, names: Sequence[str]) -> Pairs:
    if not shutil.which("node"):
        return set()
    run = subprocess.run(["node", "-e", _NODE, str(root)], input=json.dumps(names), capture_output=True, text=True)
    return {(one, other) for one, other in json.loads(run.stdout or "[]")}


TOOLS: dict[Callable[[Path, Sequence[str]], Pairs], tuple[str, ...]] = {
    by_python: ("python",),
    by_preprocessor: ("c", "c++"),
    by_typescript: ("javascript", "typescript", "tsx", "jsx"),
}


def documents(tables: Sequence[pa.Table], row_tokens: int) -> list[str]:
    made = generator.reduce(pa.concat_tables(tables), row_tokens=row_tokens, min_files=1)
    return [row["text"] for row in made.to_pylist() if not row[DROP]]


def places(texts: Sequence[str], files: Mapping[str, tuple[str | None, str]]) -> dict[str, list[tuple[int, int]]]:
    """(document, character) of every file, found by the line with its path and its whole text."""
    found: dict[str, list[tuple[int, int]]] = {path: [] for path in files}
    headed = {render.header(path, lang): path for path, (lang, _) in files.items()}
    for number, text in enumerate(texts):
        begin = 0
        for line in text.splitlines(keepends=True):
            path = headed.get(line)
            if path is not None and text.startswith(render.with_header(path, *files[path]), begin):
                found[path].append((number, begin))
            begin += len(line)
    return found


def report(root: Path) -> None:
    splits = readers.list_splits({"reader": "tree", "paths": [str(root)], "kind": "code"}, "")
    rows = [row for split in splits for table in readers.read(split, "x") for row in table.to_pylist()]
    docs = [row for row in rows if not row[DROP]]
    files = {code_place(row["origin"])[2]: (row["lang"], row["text"]) for row in docs}  # type: ignore[index]
    emitted = [generator.emit(pa.Table.from_pylist(docs))]
    cut, whole = (places(documents(emitted, tokens), files) for tokens in (32_768, 10**9))
    wrong = sum(len(found) != 1 for where in (cut, whole) for found in where.values())
    print(f"{root.name}: {len(files)} files of {len(rows)}, {wrong} not in exactly one document")
    tree = Tree(
        root.name, [File(p, lang, "source", 0, imports.scan(p, lang, text)) for p, (lang, text) in files.items()]
    )
    ours = {(tree.files[one].path, tree.files[other].path) for one, other in imports.edges(tree)}
    for tool, langs in TOOLS.items():
        names = [path for path, (lang, _) in files.items() if lang in langs]
        wanted = {(a, b) for a, b in tool(root.resolve(), names) if a != b and a in files} if names else set()
        if wanted:
            _say(tool.__name__, wanted, {(a, b) for a, b in ours if b in set(names)}, whole, cut)


def _say(tool: str, wanted: Pairs, ours: Pairs, whole: Mapping, cut: Mapping) -> None:
    cycles = networkx.strongly_connected_components(networkx.DiGraph(wanted | ours))
    cycle = {path: number for number, paths in enumerate(cycles) for path in paths}
    before = {(a, b) for a, b in wanted if whole[a] < whole[b]}
    in_cycle = {(a, b) for a, b in wanted - before if cycle[a] == cycle[b]}
    together = {(a, b) for a, b in wanted if cut[a][0][0] == cut[b][0][0]}
    respected = sum(cut[a] < cut[b] or cycle[a] == cycle[b] for a, b in together)
    print(
        f"  {tool}: {len(wanted)} imports, {len(wanted & ours) / len(wanted):.2%} are edges, {len(ours - wanted)} edges more; whole: "
        f"{len(before)} before, {len(in_cycle)} later in a cycle, {len(wanted - before - in_cycle)} later without one; rows: "
        f"{len(together)} in one part, {respected / max(1, len(together)):.2%} of these before or in a cycle"
    )
    for one, other in sorted(wanted - before - in_cycle)[:5]:
        print(f"    {other} comes before {one}")
    for one, other in sorted(wanted - ours)[:5]:
        print(f"    no edge: {other} imports {one}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        report(folder)
