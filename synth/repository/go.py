"""Imports of Go files.

An import names a package, which is a folder. A dependency is the file of it that declares what the importing file takes from it
(`name.Type`); where that is not to be seen (imported for its effects, or into the file's own scope) it is the package's first file. Files
of one package see each other without imports: there a dependency is an exported name. A folder's import path is that of the nearest
go.mod above, and the repository's name where there is none. Imports are `path` or `path name`; declared are `package name` and exported
top-level names; used are `Name` and `name.Name`. Not covered: lower-case names within a package, build constraints, `replace`.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree, folder, upwards

MAX_IMPORTS = 64  # declarations of them; they stand before all others

_IMPORTS = re.compile(r"import(?<![^\n]import)[ \t]*+(?:\(((?:[^)/]++|//[^\n]*+|/)*+)\)|([^\n]*+))")
_SPEC = re.compile(r"""(?:^|;)[ \t]*+(?:([\w.]++)[ \t]++)?["`]([^"`\s]++)["`]""", re.MULTILINE)
_PACKAGE = re.compile(r"^package[ \t]++(\w++)", re.MULTILINE)
_ONE = re.compile(r"^(?:func|type|var|const)[ \t]++([A-Z]\w*+(?:[ \t]*+,[ \t]*+\w++)*+)", re.MULTILINE)
_BLOCK = re.compile(r"^(?:type|var|const)[ \t]*+\(\n((?:[^)\n][^\n]*+\n|\n)*+)", re.MULTILINE)
_IN_BLOCK = re.compile(r"^\t([A-Z]\w*+(?:[ \t]*+,[ \t]*+\w++)*+)", re.MULTILINE)
_MODULE = re.compile(r"^module[ \t]++\"?([^\s\"]++)", re.MULTILINE)
_USED = re.compile(r"^(?:\.\.\.)?(?:([a-z_]\w*+)\.)?([A-Z]\w*+)", re.MULTILINE)
_FIRST = "package "


def scan(text: str) -> Mentions:
    statements = lexing.in_code(text, list(itertools.islice(_IMPORTS.finditer(text), MAX_IMPORTS)), lexing.GO)
    specs = [spec.groups() for match in statements for spec in _SPEC.finditer(match[1] or match[2] or "")]
    code = lexing.without_hidden(text, lexing.GO)
    lists = [*_ONE.findall(code), *(names for block in _BLOCK.findall(code) for names in _IN_BLOCK.findall(block))]
    declares = {name.strip() for names in lists for name in names.split(",")}
    if package := _PACKAGE.search(code):
        declares.add(_FIRST + package[1])
    known = "\n".join(text for spec in specs for text in spec if text)  # a package's name is part of its path, or given
    used = _USED.findall(lexing.words(code, dotted=True))
    uses = {f"{package}.{name}" if package else name for package, name in used if package in known}
    imports = lexing.in_order(f"{path} {name}" if name else path for name, path in specs)
    return Mentions(imports, sorted(declares), sorted(uses))


def scan_module(text: str) -> Mentions:
    """A go.mod declares its module's path."""
    return Mentions(declares=_MODULE.findall(text)[:1])


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    packages: dict[str, list[int]] = defaultdict(list)  # by folder
    for number in sorted(members, key=lambda number: tree.files[number].path):
        packages[folder(tree.files[number].path)].append(number)
    modules = {
        folder(file.path): file.mentions.declares[0]
        for file in tree.files
        if file.path.endswith("go.mod") and file.mentions.declares
    }
    folders: dict[str, str] = {}  # by import path
    names: dict[str, dict[str, int]] = {}  # by folder: which file declares a name
    for place in sorted(packages, key=lambda place: (place.count("/"), place)):
        folders.setdefault(_import_path(tree, modules, place), place)
        names[place] = {}
        for number in packages[place]:
            if not tree.files[number].path.endswith("_test.go"):
                for name in tree.files[number].mentions.declares:
                    names[place].setdefault(name, number)
    for number in members:
        yield from ((found, number) for found in _found(tree, number, folders, names))


def _import_path(tree: Tree, modules: dict[str, str], place: str) -> str:
    vendored = f"/{place}".rpartition("/vendor/")
    if vendored[1]:
        return vendored[2]
    root = next((above for above in upwards(place) if above in modules), None)
    if root is not None:
        return f"{modules[root]}/{place[len(root) :].lstrip('/')}".rstrip("/")
    host = "" if "." in tree.name.partition("/")[0] else "github.com/"
    return f"{host}{tree.name}/{place}".rstrip("/")


def _found(tree: Tree, number: int, folders: dict[str, str], names: dict[str, dict[str, int]]) -> Iterator[int]:
    file = tree.files[number]
    own = names[folder(file.path)]
    yield from (own[use] for use in file.mentions.uses if use in own)
    taken = [use.split(".") for use in file.mentions.uses if "." in use]
    for imported in file.mentions.imports:
        path, _, alias = imported.partition(" ")
        if path in folders:
            declared = names[folders[path]]
            package = alias or next((name[len(_FIRST) :] for name in declared if name.startswith(_FIRST)), "")
            found = [declared[name] for qualifier, name in taken if qualifier == package and name in declared]
            yield from found or list(declared.values())[:1]
