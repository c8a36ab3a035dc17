"""Imports of JavaScript and TypeScript files: `import`, `export ... from`, `import()` and `require()` of a literal.

An import is the specifier itself. It is found as Node and TypeScript do together: a file, a file without its ending (`./a.js` may be
a.ts), a folder by its package.json or index file; a bare name by the package of that name in this repository (workspaces, a package's
own name) or by `paths` and `baseUrl` of the nearest tsconfig.json; `#name` by `imports` of the nearest package.json. Not covered:
conditions beyond the first that leads to a file, `extends` of a tsconfig.json, bundlers' own aliases. Some 105 MB per CPU second.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree, folder, found_from_folders, joined, upwards

SUFFIXES = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".d.ts", ".json", ".vue", ".svelte")
_COMPILED = {".js": (".ts", ".tsx", ".d.ts", ".jsx"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
_TYPED = (".ts", ".tsx", ".mts", ".cts")  # for such a file ./a.js is a.ts or a.d.ts, even where both are there
_ENTRIES = ("source", "module", "main", "types", "typings", "browser")

_LITERAL = r"""\s*+(?:"([^"\n]++)"|'([^'\n]++)')"""
_IMPORTS = (
    re.compile(r"from(?<![\w$.]from)" + _LITERAL),
    re.compile(r"import(?<![\w$.]import)(?:\s*+\(\s*+(?:/\*.{0,200}?\*/\s*+)*+)?" + _LITERAL),
    re.compile(r"require(?<![\w$.]require)(?:\.resolve)?\s*+\(" + _LITERAL),
)
_COMMA_BEFORE_END = re.compile(r",(?=\s*[}\]])")


def scan(text: str) -> Mentions:
    found = sorted((match for pattern in _IMPORTS for match in pattern.finditer(text)), key=re.Match.start)
    return Mentions(lexing.in_order(match[1] or match[2] for match in lexing.in_code(text, found, lexing.JAVASCRIPT)))


def scan_package(text: str) -> Mentions:
    """A package.json declares `name`, the files it may be entered by, and its `exports` and `imports`, as one JSON object."""
    return _declared(_object(text), ("name", *_ENTRIES, "exports", "imports"))


def scan_config(text: str) -> Mentions:
    """A tsconfig.json or jsconfig.json, which may hold comments, declares `baseUrl` and `paths`, as one JSON object."""
    plain = lexing.JAVASCRIPT.sub(lambda match: " " if match[0].startswith("/") else match[0], text)
    options = _object(_COMMA_BEFORE_END.sub("", plain)).get("compilerOptions")
    return _declared(options if isinstance(options, dict) else {}, ("baseUrl", "paths"))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _declared(values: Mapping[str, Any], names: Sequence[str]) -> Mentions:
    kept = {name: values[name] for name in names if name in values}
    return Mentions(declares=[json.dumps(kept, sort_keys=True)] if kept else [])


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    for typed in (False, True):
        chosen = [number for number in members if tree.files[number].path.endswith(_TYPED) is typed]
        yield from found_from_folders(tree, chosen, _Resolver(tree, typed).find)


class _Resolver:
    def __init__(self, tree: Tree, typed: bool):
        self._tree, self._typed = tree, typed
        self._packages: dict[str, dict[str, Any]] = {}  # by folder
        self._configs: dict[str, dict[str, Any]] = {}
        self._named: dict[str, str] = {}  # folder of each package's name, the first by path
        for file in sorted(tree.files):
            place, name = folder(file.path), file.path.rpartition("/")[2]
            if file.mentions.declares and name == "package.json":
                self._packages[place] = about = json.loads(file.mentions.declares[0])
                if isinstance(about.get("name"), str):
                    self._named.setdefault(about["name"], place)
            elif file.mentions.declares and name in ("tsconfig.json", "jsconfig.json"):
                self._configs.setdefault(place, json.loads(file.mentions.declares[0]))

    def find(self, place: str, specifier: str) -> int | None:
        """The file that an import in the folder `place` means."""
        specifier = re.split(r"[?!]", specifier)[0]  # what a bundler is told
        if specifier.startswith("."):
            return self._file(joined(place, specifier))
        if specifier.startswith("#"):
            package = next((above for above in upwards(place) if above in self._packages), None)
            return None if package is None else self._mapped(package, self._packages[package].get("imports"), specifier)
        found = self._by_config(place, specifier)
        return self._by_package(specifier) if found is None else found

    def _file(self, place: str | None) -> int | None:
        """A file or a folder by the rules of both, or nothing."""
        if place is None:
            return None
        found = self._plain_file(place)
        if found is None and place in self._packages:
            found = self._entry(place)
        return self._tree.first(f"{place}/index{suffix}".lstrip("/") for suffix in SUFFIXES) if found is None else found

    def _plain_file(self, place: str) -> int | None:
        bare, dot, ending = place.rpartition(".")
        others = [bare + suffix for suffix in _COMPILED.get(dot + ending, ())]
        first = (*others, place) if self._typed else (place, *others)
        return self._tree.first(path for path in (*first, *(place + suffix for suffix in SUFFIXES)))

    def _entry(self, place: str) -> int | None:
        about = self._packages[place]
        found = self._mapped(place, about.get("exports"), ".")
        for name in _ENTRIES:
            if found is None and isinstance(about.get(name), str):
                entry = joined(place, about[name])
                found = self._file(entry) if entry != place else None
        return found

    def _by_package(self, specifier: str) -> int | None:
        parts = specifier.split("/")
        count = 2 if specifier.startswith("@") else 1
        place = self._named.get("/".join(parts[:count]))
        if place is None:
            return None
        if len(parts) == count:
            return self._file(place)
        below = "/".join(parts[count:])
        found = self._mapped(place, self._packages[place].get("exports"), f"./{below}")
        return self._file(joined(place, below)) if found is None else found

    def _by_config(self, place: str, specifier: str) -> int | None:
        above = next((above for above in upwards(place) if above in self._configs), None)
        if above is None:
            return None
        config = self._configs[above]
        base = joined(above, config["baseUrl"]) if isinstance(config.get("baseUrl"), str) else None
        found = self._mapped(above if base is None else base, config.get("paths"), specifier)
        return self._file(joined(base, specifier)) if found is None and base is not None else found

    def _mapped(self, place: str, table: Any, name: str) -> int | None:
        """The first file that `table` (exports, imports or paths) leads to from `name`."""
        if name == "." and not (isinstance(table, dict) and "." in table):
            table = {".": table}
        if not isinstance(table, dict):
            return None
        for key in sorted(table, key=lambda key: (-len(key), key)):  # the longest key is the most specific
            before, star, after = key.partition("*")
            fits = name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after)
            if name == key or (star and fits):
                rest = name[len(before) : len(name) - len(after)] if star else ""
                for target in _targets(table[key]):
                    found = self._file(joined(place, target.replace("*", rest)))
                    if found is not None:
                        return found
        return None


def _targets(value: Any, depth: int = 0) -> Iterator[str]:
    """Every path in nested conditions and lists, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and depth < 8:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _targets(inner, depth + 1)
