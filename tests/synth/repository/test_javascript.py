"""Imports of JavaScript and TypeScript: their forms, and where Node and TypeScript look."""

import json

import pytest

from synth.repository import javascript
from tests.synth.repository.trees import edges

STATEMENTS = {
    "import a from './a'": {"./a"},
    'import {a,\n  b} from "./a"; import "./b"': {"./a", "./b"},
    "export * from './a'; export {x} from './b'": {"./a", "./b"},
    "const a = require('./a'), b = require.resolve( './b' )": {"./a", "./b"},
    "const a = await import(/* webpackChunkName: 'x' */ './a')": {"./a"},
    "import x = require('./a')": {"./a"},
    "let t: import('./a').T": {"./a"},
    "// import './a'\n/* require('./b') */ ` ${x} require('./c') `": set(),
    "'require(\"./a\")' + \"from './b'\"": set(),
    "x = /['\"]/; import './a'; y = a / b / c; import './b'": {"./a", "./b"},
    "return /[/'\"]/.test(x) ? require('./a') : 1 // '": {"./a"},
    "Array.from('./a'); my.require('./b'); myrequire('./c'); reimport('./d')": set(),
    "require(name); import(name)": set(),
    "/* import './a'": set(),
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_forms_of_an_import(text: str) -> None:
    assert set(javascript.scan(text).imports) == STATEMENTS[text]


def found(importing: str, specifier: str, **texts: str) -> set[str]:
    """The files that `importing` depends on when it imports `specifier`; a name of `texts` is a path with `__` for its dots."""
    files = {path.replace("__", "."): text for path, text in texts.items()}
    return {one for one, other in edges({**files, importing: f"import '{specifier}'"}) if other == importing}


@pytest.mark.parametrize(
    ("specifier", "expected"),
    [
        ("./b", "src/b.ts"),
        ("./b.js", "src/b.js"),
        ("./g.js", "src/g.ts"),
        ("./h", "src/h.js"),
        ("./c.js", "src/c.js"),
        ("./d", "src/d/index.tsx"),
        (".", "src/index.js"),
        ("..", "index.js"),
        ("../lib/e.json", "lib/e.json"),
        ("./f", "src/f/entry.js"),
        ("./b?raw", "src/b.ts"),
        ("../../x", None),
        ("./nothing", None),
        ("b", None),
    ],
)
def test_relative_imports(specifier: str, expected: str | None) -> None:
    paths = (
        "src/b.ts",
        "src/b.js",
        "src/c.js",
        "src/d/index.tsx",
        "src/index.js",
        "index.js",
        "lib/e.json",
        "src/f/entry.js",
        "x.js",
        "src/g.ts",
        "src/h.d.ts",
        "src/h.js",
    )
    texts = {path.replace(".", "__"): "" for path in paths} | {"src/f/package__json": json.dumps({"main": "./entry"})}
    assert found("src/a.js", specifier, **texts) == ({expected} if expected else set())


PACKAGE = {
    "name": "@scope/core",
    "exports": {
        ".": {"types": "./gone.d.ts", "import": "./src/main.js"},
        "./*": "./src/any/*.js",
        "./parts/*": "./src/parts/*.js",
        "./no": None,
    },
    "imports": {"#inner": {"default": "./src/inner.js"}},
}


@pytest.mark.parametrize(
    ("importing", "specifier", "expected"),
    [
        ("packages/app/a.js", "@scope/core", "packages/core/src/main.js"),
        ("packages/app/a.js", "@scope/core/parts/one", "packages/core/src/parts/one.js"),
        ("packages/app/a.js", "@scope/core/src/inner", "packages/core/src/inner.js"),
        ("packages/app/a.js", "@scope/core/no", None),
        ("packages/app/a.js", "@scope/other", None),
        ("packages/app/a.js", "#inner", None),
        ("packages/core/src/b.js", "#inner", "packages/core/src/inner.js"),
        ("packages/core/src/b.js", "@scope/core", "packages/core/src/main.js"),
    ],
)
def test_packages_of_the_repository(importing: str, specifier: str, expected: str | None) -> None:
    texts = {f"packages/core/src/{name}__js": "" for name in ("main", "inner", "parts/one", "any/parts/one")}
    texts["packages/core/package__json"] = json.dumps(PACKAGE)
    assert found(importing, specifier, **texts) == ({expected} if expected else set())


def test_paths_of_a_configuration_with_comments() -> None:
    config = '{ // roots\n"compilerOptions": {"baseUrl": "./src", /* "x" */ "paths": {"@/*": ["gone/*", "app/*"], "one": ["app/b.ts"],},}}'
    texts = {"web/tsconfig__json": config, "web/src/app/b__ts": "", "web/src/c__ts": ""}
    assert found("web/src/a.ts", "@/b", **texts) == {"web/src/app/b.ts"}
    assert found("web/src/a.ts", "one", **texts) == {"web/src/app/b.ts"}
    assert found("web/src/a.ts", "c", **texts) == {"web/src/c.ts"}
    assert found("a.ts", "@/b", **texts) == set()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, '{"name": 3, "main": {}, "exports": [[{}]]}', '{"main": "."}', '{"main": ".."}'],
)
def test_a_damaged_package_says_nothing(text: str) -> None:
    assert found("a.js", "./p", p__js="", **{"package__json": text, "q/package__json": text}) == {"p.js"}
    assert found("a.js", "./q", **{"q/package__json": text, "q/index__js": ""}) == {"q/index.js"}


def test_types_are_what_a_typed_file_imports() -> None:
    texts = {
        "a.js": "",
        "a.d.ts": "",
        "b.js": "import {a} from './a.js'",
        "b.d.ts": "import {a} from './a.js'",
    }
    assert edges(texts) == {("a.js", "b.js"), ("a.d.ts", "b.d.ts")}
