"""Imports of Go files.

An import names a package, which is a folder. A dependency is the file of it that declares what the importing file takes from it
(`name.Type`); where that is not to be seen (imported for its effects) it is the package's first file. Files of one package see each
other without imports: there a dependency is a top-level name, unless the file has a variable or parameter of that name. What several files
declare, for one platform each, is a dependency on each. A folder's import path is that of the nearest go.mod above, and the
repository's name where there is none. Imports are `path` or `path name`; declared are `package name` and top-level names; used are
`name` and `name.Name`. Not covered: methods and fields, `replace`. Some 20 MB per CPU second.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree, folder, upwards

MAX_VARIANTS = 16  # files that declare one name
MAX_IMPORTS = 64  # declarations of them; they stand before all others
MAX_KNOWN = 5000  # characters of their paths in which a package's name may be part of a word

_IMPORTS = re.compile(r"import(?<![^\n]import)[ \t]*+(?:\(((?:[^)/]++|//[^\n]*+|/)*+)\)|([^\n]*+))")
_SPEC = re.compile(r"""(?:^|;)[ \t]*+(?:([\w.]++)[ \t]++)?["`]([^"`\s]++)["`]""", re.MULTILINE)
_PACKAGE = re.compile(r"^package[ \t]++(\w++)", re.MULTILINE)
_ONE = re.compile(r"^(?:func|type|var|const)[ \t]++([^\W\d]\w*+(?:[ \t]*+,[ \t]*+\w++)*+)", re.MULTILINE)
_BLOCK = re.compile(r"^(?:type|var|const)[ \t]*+\(\n((?:[^)\n][^\n]*+\n|\n)*+)", re.MULTILINE)
_IN_BLOCK = re.compile(r"^\t([^\W\d]\w*+(?:[ \t]*+,[ \t]*+\w++)*+)", re.MULTILINE)
_MODULE = re.compile(r"^module[ \t]++\"?([^\s\"]++)", re.MULTILINE)
_USED = re.compile(r"^(?:\.\.\.)?+([^\W\d]\w*+)(?:\.([A-Z]\w*+))?", re.MULTILINE)
_PARAMETERS = re.compile(r"[(,][ \t]*+((?:\w++,[ ]){0,32}+\w++)[ ](?=\w|\*\w|\[|\.\.\.)")
_METHOD = re.compile(r"^(func[ \t]*+\([^)\n]*+\))[ \t]*+\w++", re.MULTILINE)
_INTERFACE = re.compile(r"interface[ \t]*+\{(?:[^{}]++|\{\})++\}")
_SIGNATURE = re.compile(r"^[ \t]*+\w++\(", re.MULTILINE)
_KEYWORDS = frozenset(  # of the language's specification
    re.findall(
        r"\w+",
        "break case chan const continue default defer else fallthrough for func go goto if import interface map package range return "
        "select struct switch type var",
    )
)
_FIRST = "package "


def scan(text: str) -> Mentions:
    statements = lexing.in_code(text, list(itertools.islice(_IMPORTS.finditer(text), MAX_IMPORTS)), lexing.GO)
    specs = [spec.groups() for match in statements for spec in _SPEC.finditer(match[1] or match[2] or "")]
    code = lexing.without_hidden(text, lexing.GO)
    lists = [*_ONE.findall(code), *(names for block in _BLOCK.findall(code) for names in _IN_BLOCK.findall(block))]
    declares = {name.strip() for names in lists for name in names.split(",")} - {"init", "_"}
    if package := _PACKAGE.search(code):
        declares.add(_FIRST + package[1])
    paths = "\n".join(filter(None, itertools.chain(*specs)))  # a package's name is part of its path, or given
    known, within = set(re.findall(r"\w++", paths)), paths[:MAX_KNOWN]
    own = {*_KEYWORDS, *declares, *_local(code)}
    code = _METHOD.sub(r"\1", _PACKAGE.sub("", code))
    code = _INTERFACE.sub(lambda methods: _SIGNATURE.sub("(", methods[0]), code)
    uses = set()
    for first, name in _USED.findall(lexing.words(code, dotted=True)):
        if name and (first in known or first in within):
            uses.add(f"{first}.{name}")
        if first not in own:
            uses.add(first)
    imports = lexing.in_order(f"{path} {name}" if name else path for name, path in specs)
    return Mentions(imports, sorted(declares), sorted(uses))


def _local(code: str) -> Iterator[str]:
    """Names of variables and parameters of functions, and keywords."""
    for names in _PARAMETERS.findall(code):
        yield from names.split(", ")
    for before in code.split(":=")[:-1]:
        line = before[-lexing.MAX_BEFORE :]
        yield from line[max(map(line.rfind, "\n;{")) + 1 :].replace(",", " ").split()


def scan_module(text: str) -> Mentions:
    """A go.mod declares its module's path."""
    return Mentions(declares=_MODULE.findall(text)[:1])


class _Packages:
    """The packages of a tree: a folder has one, and others for its tests and for files that are run alone."""

    def __init__(self, tree: Tree, members: Sequence[int]):
        self._files: dict[tuple[str, str, bool], list[int]] = defaultdict(list)  # of folder, package, test or not
        for number in sorted(members, key=lambda number: tree.files[number].path):
            file = tree.files[number]
            name = next((name for name in file.mentions.declares if name.startswith(_FIRST)), _FIRST)
            self._files[folder(file.path), name, file.path.endswith("_test.go")].append(number)
        self.of = {number: key for key, numbers in self._files.items() for number in numbers}
        self._declared: dict[tuple[str, str, bool], dict[str, list[int]]] = {}
        for key, numbers in self._files.items():
            declared = self._declared[key] = defaultdict(list)
            for number in numbers:
                for name in tree.files[number].mentions.declares:
                    declared[name].append(number)
        modules = {
            folder(file.path): file.mentions.declares[0]
            for file in tree.files
            if file.path.endswith("go.mod") and file.mentions.declares
        }
        self._by_path: dict[str, tuple[str, str, bool]] = {}  # what an import path means
        for key in sorted(self._files, key=lambda key: (key[0].count("/"), key[0], -len(self._files[key]), key[1])):
            if not key[2]:
                self._by_path.setdefault(_import_path(tree, modules, key[0]), key)

    def beside(self, number: int) -> list[dict[str, list[int]]]:
        """What the files of its own package declare, as far as a file sees them."""
        return self._seen(*self.of[number])

    def imported(self, number: int, path: str) -> tuple[str, list[dict[str, list[int]]], int] | None:
        """(name, what its files declare, the first of these) of the package that an import path means to a file."""
        key = self._by_path.get(path)
        if key is None:
            return None
        place, name, _ = key
        own_place, _, is_test = self.of[number]  # an external test sees what the internal ones declare
        declared = self._seen(place, name, is_test and own_place == place)
        return name[len(_FIRST) :], declared, self._files[key][0]

    def _seen(self, place: str, name: str, is_test: bool) -> list[dict[str, list[int]]]:
        """What a package's files declare, and its tests to tests."""
        return [self._declared.get((place, name, test), {}) for test in ((False, True) if is_test else (False,))]


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    packages = _Packages(tree, members)
    for number in members:
        for found in _found(tree.files[number].mentions, number, packages):
            yield found, number


def _found(mentions: Mentions, number: int, packages: _Packages) -> Iterator[int]:
    seen = packages.beside(number)
    taken: dict[str, list[str]] = defaultdict(list)  # by package
    for qualifier, dot, use in (use.partition(".") for use in mentions.uses):
        if dot:
            taken[qualifier].append(use)
    for imported in mentions.imports:
        path, _, alias = imported.partition(" ")
        if package := packages.imported(number, path):
            name, declared, first = package
            found = list(_declaring(taken.get(alias or name, ()), declared))
            if alias == ".":
                seen += declared
            else:
                yield from found or [first]
    yield from _declaring(mentions.uses, seen)


def _declaring(names: Sequence[str], places: Sequence[dict[str, list[int]]]) -> Iterator[int]:
    for declared in places:
        for name in names:
            if name in declared:
                yield from declared[name][:MAX_VARIANTS]


def _import_path(tree: Tree, modules: dict[str, str], place: str) -> str:
    vendored = f"/{place}".rpartition("/vendor/")
    if vendored[1]:
        return vendored[2]
    root = next((above for above in upwards(place) if above in modules), None)
    if root is not None:
        return f"{modules[root]}/{place[len(root) :].lstrip('/')}".rstrip("/")
    host = "" if "." in tree.name.partition("/")[0] else "github.com/"
    return f"{host}{tree.name}/{place}".rstrip("/")
