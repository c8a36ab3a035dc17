"""Imports of Rust files: `mod`, and every path that begins at `crate`, `super`, `self` or, in a `use`, at a crate of the repository.

Imports are `mod name` (`mod outer/name` inside an inline module), `mod name file.rs` for one with a `path` attribute, and paths such as
`crate::a::b`, of `use` (`crate::a::*`) or in the middle of code. Declared are the names of items, and of what a `use` brings from
elsewhere `name = path` and `* = path`. A path means the file that declares what it ends at, whoever passes it on by `pub use`; where
that is not to be seen, the file of its longest beginning that is a module. Of `a::*` only what the code names is a dependency: used are
the words that may be such names, of files that have a `*`. A parent module depends on the modules that it declares. Crates are found
by the name in their Cargo.toml (declared: the name and the path of the library, if any). Not covered: macros that make modules or
items, macros in sight by their place in the text. Some 16 MB per CPU second.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree, folder, joined, upwards

MAX_PATHS = 1000  # of one `use`, and of those in the code that begin at what it brings
MAX_DEPTH = 32  # of its braces
MAX_USE = 5000  # characters of one
MAX_INLINE = 200  # modules inside a file that are told apart
MAX_MANIFEST = 32_000  # characters; tomllib needs quadratic time for a dotted key
MAX_WRITTEN = 50_000  # characters of its paths
MAX_STARS = 1000  # `a::*` of a file
MAX_LOOKED_FOR = 300_000  # names of a file, once for every `a::*` of it
MAX_ASKED = 1000  # modules that are asked for one name
MAX_PASSED = 32  # times that a name is passed on by itself, for each is a recursion
MAX_ATTRIBUTES = 300  # characters before a `mod`

_MOD = re.compile(r"mod(?<!\wmod)[ \t]++(?:r#)?(?P<name>\w++)\s*+(?P<end>[;{])")
_BEFORE_MOD = re.compile(r"(?P<indent>[ \t]*+)(?:pub(?:\([^)\n]*+\))?[ \t]++)?")
_PATH_ATTRIBUTE = re.compile(r"""#\[path\s*+=\s*+"([^"\n]++)"\]\s*+(?:#\[[^\n]*\]\s*+)*+$""")
_USE = re.compile(r"use(?<!\wuse)\s++(?:::)?(?=[\w{])|extern crate ")
_PATHS = tuple(
    re.compile(rf"{start}::(?<!\w{start}::)(?:r#)?\w++(?:::(?:r#)?\w++)*+(?!::[{{*])")
    for start in ("crate", "super", "self")
)
_TOKEN = re.compile(r"//[^\n]*|[{},]|(\*|(?:r#)?\w+)(?:\s+as\s+(\w+))?")
_ITEM = re.compile(
    r"^(?:[ \t]++pub(?:\([^)\n]*+\))?[ \t]++(?!fn)|(?:pub(?:\([^)\n]*+\))?[ \t]++)?)"
    r'(?:(?:unsafe|async|default|auto|extern(?: "C")?)[ \t]++)*+'
    r"(?:const fn|fn|struct|enum|trait|type|static|const|union|mod|macro_rules!)[ \t]++(?:r#)?(?!mut |fn )(\w++)",
    re.MULTILINE,
)
_NAME = re.compile(r"(?<![\w.:])(?:[A-Z]\w*+|[a-z_]\w*+(?=[(!]|::))")
_BELOW = re.compile(r"(?<![\w.:])([a-z_]\w*+)::((?:\w++::)*+\w++)")
_VISIBLE = re.compile(r"(?:[ \t]*+pub(?:\([^)\n]*+\))?[ \t]++)?")
_ELSEWHERE = ("std", "core", "alloc")  # which a module may pass on
_ROOTS = ("lib.rs", "main.rs")
_ROOT_FOLDERS = ("bin", "tests", "examples", "benches")  # every file in one is a crate


def scan(text: str) -> Mentions:
    found, inline = _modules(text)
    declares: set[str] = set()
    brought: dict[str, str] = {}  # by a `use` of this module
    paths = sorted((match for pattern in (_USE, *_PATHS) for match in pattern.finditer(text)), key=re.Match.start)
    for match in lexing.in_code(text, paths, lexing.RUST):
        depth = sum(begin <= match.start() < end for begin, end, _ in inline)
        if match.re is _USE:
            written = [(_outside(path, depth), name) for path, name in _expanded(_tree(text, match.end()))]
            found.update(path for path, _ in written)
            brought.update((name, path) for path, name in written)
            if _VISIBLE.fullmatch(lexing.before(text, match.start())):
                declares.update(f"{name} = {path}" for path, name in written)
        else:
            found.add(_outside(match[0].replace("r#", ""), depth))
    code = lexing.without_hidden(text, lexing.RUST)
    declares.update(_ITEM.findall(code))
    for name, rest in sorted(set(_BELOW.findall(code)))[:MAX_PATHS]:
        if name in brought:
            found.add(f"{brought[name]}::{rest}")
    names = _NAME.findall(code) if any(path.endswith("*") for path in found) else ()
    uses = set(names) - declares  # which hide those of `a::*`
    return Mentions(sorted(found), sorted(declares), sorted(uses))


def _tree(text: str, begin: int) -> str:
    """What a `use` names, up to its semicolon; nothing where that is not to be seen."""
    return text[begin : max(begin, text.find(";", begin, begin + MAX_USE))]


def _modules(text: str) -> tuple[set[str], list[tuple[int, int, str]]]:
    """The `mod` imports, and where inline modules begin and end, with their names."""
    found: set[str] = set()
    inline: list[tuple[int, int, str]] = []
    for mod in lexing.in_code(text, list(_MOD.finditer(text)), lexing.RUST):
        before = _BEFORE_MOD.fullmatch(lexing.before(text, mod.start()))
        if before and mod["end"] == ";":
            within = [name for begin, end, name in inline if begin <= mod.start() < end]
            line = text.rfind("\n", 0, mod.start()) + 1
            path = _PATH_ATTRIBUTE.search(text, max(0, line - MAX_ATTRIBUTES), line)
            found.add(f"mod {'/'.join([*within, mod['name']])} {path[1] if path else ''}".rstrip())
        elif before and len(inline) < MAX_INLINE:
            end = text.find(f"\n{before['indent']}}}", mod.end())  # under its beginning, as rustfmt sets it
            inline.append((mod.end(), end if end >= 0 else len(text), mod["name"]))
    return found, inline


def scan_manifest(text: str) -> Mentions:
    """A Cargo.toml declares the crate's name, as code writes it, and the path of its library."""
    try:
        manifest = tomllib.loads(text) if len(text) <= MAX_MANIFEST else {}
    except (ValueError, RecursionError):
        return Mentions()
    package, library = manifest.get("package"), manifest.get("lib")
    library = library if isinstance(library, dict) else {}
    name = library.get("name", package.get("name") if isinstance(package, dict) else None)
    path = library.get("path", "src/lib.rs")
    return Mentions(declares=[name.replace("-", "_"), path] if isinstance(name, str) and isinstance(path, str) else [])


def _outside(path: str, depth: int) -> str:
    """A path as the file's own module would write it that stands in `depth` inline modules."""
    steps = path.split("::")
    while depth and steps[0] == "super":
        depth -= 1
        steps = steps[1:] if steps[1:2] == ["super"] else ["self", *steps[1:]]
        if steps[0] == "self":
            break
    return "::".join(steps)


def _expanded(tree: str) -> list[tuple[str, str]]:
    """The paths of a `use` and what they are called: `a::{b, c::d as e}` is a::b, b and a::c::d, e."""
    found: list[tuple[str, str]] = []
    prefixes: list[list[str]] = []  # of the open braces
    steps: list[str] = []
    name, num_chars = "", 0
    for token in _TOKEN.finditer(tree + ","):
        if token[0] == "{":
            prefixes.append(list(steps))
            name = ""
        elif token[0] in ",}":
            if name:
                found.append(("::".join(steps), name))
                num_chars += len(found[-1][0])
            if token[0] == "}" and prefixes:
                prefixes.pop()
            steps, name = list(prefixes[-1]) if prefixes else [], ""
        elif token[1]:
            step = token[1].removeprefix("r#")
            if step != "self" or not steps:
                steps.append(step)
            name = token[2] or steps[-1]
        if len(found) > MAX_PATHS or num_chars > MAX_WRITTEN or len(prefixes) > MAX_DEPTH:
            break
    return found


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    crates = _Crates(tree, members)
    for number in members:
        path, mentions, num_names = tree.files[number].path, tree.files[number].mentions, 0
        for imported in mentions.imports:
            if imported.startswith("mod "):
                found = {crates.child(path, imported.split(" ")[1])}
            elif imported.endswith("*"):
                module = crates.find(path, imported.removesuffix("*").removesuffix("::"))
                num_names += len(mentions.uses)
                names = mentions.uses if module and num_names <= MAX_LOOKED_FOR else ()
                found = {crates.named(module or "", name) for name in names} - {None}
                if not found or not imported.startswith(("super", "self")):
                    found.add(module)
            else:
                found = {crates.find(path, imported)}
            yield from ((tree.at[one], number) for one in found if one)


class _Crates:
    def __init__(self, tree: Tree, members: Sequence[int]):
        self._tree = tree
        self._libraries: dict[str, str] = {}  # by crate name
        self._elsewhere: dict[tuple[str, str], str] = {}  # (file, module): the file of a `path` attribute
        self._items: dict[str, set[str]] = {}  # of every file, what it declares itself
        self._passed: dict[
            str, dict[str, list[str]]
        ] = {}  # of every file, by name: paths of what it has from elsewhere
        self._known: dict[tuple[str, str], str | None] = {}  # by file and name; empty while it is looked for
        self._starred: dict[str, list[str]] = {}  # of every file, the modules of which it has all names
        for file in sorted(tree.files):
            if file.path.rpartition("/")[2] == "Cargo.toml" and file.mentions.declares:
                name, path = file.mentions.declares
                self._libraries.setdefault(name, joined(folder(file.path), path) or "")
        self._roots = set(self._libraries.values())
        for number in members:
            file = tree.files[number]
            self._items[file.path] = {name for name in file.mentions.declares if " " not in name}
            passed = self._passed[file.path] = {}
            for name, equals, path in (declared.partition(" = ") for declared in file.mentions.declares):
                if equals:
                    passed.setdefault(name, []).append(path)
            for imported in file.mentions.imports:
                if imported.startswith("mod ") and imported.count(" ") > 1:
                    _, name, path = imported.split(" ", 2)
                    self._elsewhere[file.path, name] = joined(folder(file.path), path) or ""
        said = (*self._items.values(), *self._passed.values())
        self._names = {name for names in said for name in names}  # of anything in these files
        self._names.update(name for _, name in self._elsewhere)
        self._names.update(step.removesuffix(".rs") for path in self._items for step in path.split("/"))

    def named(self, path: str, name: str, passed: int = 0) -> str | None:
        """The file that declares what is called `name` in the module of the file `path`, as far as that is to be seen.

        The module itself is asked, then those of which it has all names, in depth, first those that know the name themselves.
        """
        above: dict[str, str | None] = {path: None}  # of every module the one that has its names
        asked: list[str] = []
        waiting = [path] if name in self._names else []
        while waiting and len(asked) < MAX_ASKED:
            place = waiting.pop()
            found, is_new = self._known.get((place, name)), (place, name) not in self._known
            if is_new:
                asked.append(place)
                self._known[place, name] = ""  # while it is looked for
                found = self._declared(place, name, passed)
            if found:
                for other in asked:  # by way of those left out they may reach it too
                    del self._known[other, name]
                user: str | None = place
                while user is not None:
                    self._known[user, name] = found
                    user = above[user]
                return found
            if is_new:
                below = [module for module in self._stars(place, passed) if module not in above]
                above.update(dict.fromkeys(below, place))
                below.reverse()
                waiting += sorted(below, key=lambda module: self._says(module, name))
        self._known.update(((place, name), None) for place in asked)
        return None

    def _says(self, path: str, name: str) -> bool:
        return name in self._items.get(path, ()) or name in self._passed.get(path, ())

    def _declared(self, path: str, name: str, passed: int) -> str | None:
        if below := self.child(path, name):
            return below
        if name in self._items.get(path, ()):
            return path
        elsewhere = self._passed.get(path, {}).get(name, ()) if passed < MAX_PASSED else ()
        return next(filter(None, (self._resolved(path, written, passed + 1) for written in elsewhere)), None)

    def _stars(self, path: str, passed: int) -> list[str]:
        if path not in self._starred and passed < MAX_PASSED:
            self._starred[path] = []  # while they are looked for
            written = [one.removesuffix("*").removesuffix("::") for one in self._passed.get(path, {}).get("*", ())]
            modules = (self._resolved(path, one, passed + 1) for one in written[:MAX_STARS])
            self._starred[path] = list(filter(None, dict.fromkeys(modules)))
        return self._starred.get(path, [])

    def child(self, path: str, name: str) -> str | None:
        place = folder(path) if self._is_folder(path) else path.removesuffix(".rs")
        candidates = (
            self._elsewhere.get((path, name), ""),
            f"{place}/{name}.rs".lstrip("/"),
            f"{place}/{name}/mod.rs".lstrip("/"),
        )
        return next((candidate for candidate in candidates if candidate in self._tree.at), None)

    def find(self, path: str, imported: str) -> str | None:
        return self._resolved(path, imported, 0)

    def _resolved(self, path: str, imported: str, passed: int) -> str | None:
        start, *steps = imported.split("::")
        if start == "crate":
            return self._walk(self._root(path), steps, passed)
        if start in ("self", "super"):
            place: str | None = path
            while start == "super" and place:
                place = self._parent(place)
                if steps[:1] != ["super"]:
                    break
                steps = steps[1:]
            return self._walk(place, steps, passed)
        if child := self.child(path, start):
            return self._walk(child, steps, passed)
        if start in self._libraries:
            return self._walk(self._libraries[start], steps, passed)
        root = self._root(path)  # from which paths of the 2015 edition begin
        return self._walk(self.child(root, start), steps, passed) if root else None

    def _walk(self, place: str | None, steps: Sequence[str], passed: int) -> str | None:
        if place not in self._tree.at:
            return None
        for step in steps:
            below = self.named(place, step, passed)
            if (below in (None, place) and step in _ELSEWHERE) or self._known.get((place, step)) == "":
                return None  # from elsewhere, or back where it came from
            if below is None:
                break
            place = below
        return place

    def _is_folder(self, path: str) -> bool:
        """Whether the modules below a file's lie beside it."""
        return path.rpartition("/")[2] in ("mod.rs", *_ROOTS) or self._is_root(path)

    def _is_root(self, path: str) -> bool:
        above = folder(path)
        return (
            path in self._roots
            or path.rpartition("/")[2] in _ROOTS
            or (above.rpartition("/")[2] in _ROOT_FOLDERS and f"{above}/mod.rs" not in self._tree.at)
        )

    def _parent(self, path: str) -> str | None:
        if self._is_root(path):
            return None
        above = folder(folder(path)) if path.endswith("/mod.rs") else folder(path)
        candidates = (f"{above}/mod.rs", f"{above}/lib.rs", f"{above}/main.rs", f"{above}.rs")
        return next((name.lstrip("/") for name in candidates if name.lstrip("/") in self._tree.at), None)

    def _root(self, path: str) -> str | None:
        if self._is_root(path):
            return path
        candidates = (f"{above}/{name}".lstrip("/") for above in upwards(folder(path)) for name in _ROOTS)
        return next((name for name in candidates if name in self._tree.at), None)
