"""The repository documents of a source tree, and whether each import that a tool resolves is respected in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import networkx
import pyarrow as pa

from curriculum.bench_imports.tools import TOOLS, Pairs
from datapipe import readers
from datapipe.schema import DROP, code_place
from synth.repository import generator, imports, render
from synth.repository.file import File, Tree


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
    for tool in TOOLS:
        names = {path for path, (lang, _) in files.items() if lang in tool.langs}
        if names and not tool.is_installed():
            print(f"  {tool.resolve.__name__}: not compared, for `{tool.needs}` fails")
        elif names:
            found = tool.resolve(root.resolve(), sorted(names))
            wanted = {(a, b) for a, b in found if a != b and a in files and b in names}
            if not wanted:
                print(f"  {tool.resolve.__name__}: not compared, for the tool resolves no import between files")
                continue
            _say(tool.resolve.__name__, wanted, {(a, b) for a, b in ours if b in names}, whole, cut)


def _say(tool: str, wanted: Pairs, ours: Pairs, whole: Mapping, cut: Mapping) -> None:
    before = {(a, b) for a, b in wanted if whole[a] < whole[b]}
    in_cycle = _in_cycles(wanted, wanted)
    in_ours = _in_cycles(wanted | ours, wanted) - in_cycle
    wrong = wanted - before - in_cycle - in_ours
    together = {(a, b) for a, b in wanted if cut[a][0][0] == cut[b][0][0]}
    respected = sum(cut[a] < cut[b] or (a, b) in in_cycle for a, b in together)
    print(
        f"  {tool}: {len(wanted)} imports, {len(wanted & ours) / max(1, len(wanted)):.2%} are edges, {len(ours - wanted)} edges more; "
        f"whole: {len(before)} before, {len(in_cycle - before)} later in a cycle, {len(in_ours - before)} later in one that edges of "
        f"ours close, {len(wrong)} later without one; rows: {len(together)} in one part, "
        f"{respected / max(1, len(together)):.2%} of these before or in a cycle"
    )
    for one, other in sorted(wrong)[:5]:
        print(f"    {other} comes before {one}")
    for one, other in sorted(wanted - ours)[:5]:
        print(f"    no edge: {other} imports {one}")


def _in_cycles(edges: Pairs, pairs: Pairs) -> Pairs:
    """Those of the pairs whose two files need each other."""
    cycles = networkx.strongly_connected_components(networkx.DiGraph(edges))
    cycle = {path: number for number, paths in enumerate(cycles) for path in paths}
    return {(one, other) for one, other in pairs if cycle[one] == cycle[other]}
