"""Imports of Java files, and the types that files of one package use of each other without any.

Imports are `a.b.C`, `a.b.*` and, of static ones, `a.b.C.name`; declared are the qualified names of top-level types; used are all
capitalised words of the code, and every `a.b.C` written out in it. `a.b.C` names the file that declares the longest beginning of it
that is a type, so nested types and static members are found. Of `a.b.*` and of the file's own package only the types that the code
names are dependencies. Where several files declare one type (variants for platforms) the one that shares most folders with the user
counts. Not covered: types that are used through `var` or return values only, nested types of a superclass. Some 50 MB per CPU second.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree

_IMPORT = re.compile(r"import\s++(?:static\s++)?(\w++(?:\.\w++){0,50}+(?:\.\*)?)\s*+;")
_PACKAGE = re.compile(r"package\s++([\w.]++)\s*+;")
_QUALIFIED = re.compile(r"^[a-z]\w*+(?:\.[a-z]\w*+)*+\.[A-Z]\w*+", re.MULTILINE)
_TYPE = re.compile(
    r"^(?:@[\w.]+(?:\([^)\n]*\))?[ \t]+)*(?:(?:public|final|abstract|sealed|non-sealed|strictfp|static)[ \t]+)*"
    r"(?:class|interface|enum|record|@interface)[ \t]+(\w+)",
    re.MULTILINE,
)


def scan(text: str) -> Mentions:
    code = lexing.without_hidden(text, lexing.JAVA)
    package = _PACKAGE.search(code)
    within = f"{package[1]}." if package else ""
    imports = lexing.in_order(_IMPORT.findall(code))
    written_out = set(_QUALIFIED.findall(lexing.words(code, dotted=True))) - set(imports)
    return Mentions(
        imports,
        lexing.in_order(within + name for name in _TYPE.findall(code)),
        [*lexing.capitalised(code), *sorted(written_out)],
    )


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    types: dict[str, list[int]] = defaultdict(list)  # by qualified name
    packages: dict[str, dict[str, str]] = defaultdict(dict)  # simple name to qualified name
    for number in members:
        for name in tree.files[number].mentions.declares:
            types[name].append(number)
            packages[name.rpartition(".")[0]][name.rpartition(".")[2]] = name
    for number in members:
        for name in _used(tree, number, types, packages):
            yield nearest(tree, number, types[name]), number


def _used(tree: Tree, number: int, types: dict[str, list[int]], packages: dict[str, dict[str, str]]) -> Iterator[str]:
    """Qualified names of the repository's types that a file uses."""
    mentions = tree.files[number].mentions
    named: set[str] = set()  # by a stronger rule than the ones that follow
    on_demand = [name.rpartition(".")[0] for name in mentions.declares[:1]]  # its own package comes first
    for imported in mentions.imports:
        steps = imported.split(".")
        while steps and ".".join(steps) not in types:
            steps.pop()
        if steps:
            named.add(steps[-1])
            yield ".".join(steps)
        elif imported.endswith(".*"):
            on_demand.append(imported[:-2])
    yield from (use for use in mentions.uses if "." in use and use in types)
    uses = set(mentions.uses)  # no frozenset: of a set and a view Python goes through the smaller
    for package in [*on_demand, "java.lang"]:
        known = packages.get(package, {})
        found = (known.keys() & uses) - named
        yield from (known[name] for name in found)
        named.update(found)


def nearest(tree: Tree, number: int, candidates: Sequence[int]) -> int:
    """The candidate that shares most leading folders with a file; of equals the shortest path."""
    if len(candidates) == 1:
        return candidates[0]
    steps = tree.files[number].path.split("/")

    def rank(other: int) -> tuple[int, int, str]:
        path = tree.files[other].path
        shared = 0
        for mine, its in zip(steps, path.split("/"), strict=False):
            if mine != its:
                break
            shared += 1
        return -shared, len(path), path

    return min(candidates[:64], key=rank)
