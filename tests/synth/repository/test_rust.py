"""Rust: modules and paths, and the compiler's own list of a crate's files."""

import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from synth.repository import rust
from tests.synth.repository.trees import edges

STATEMENTS = {
    "mod a;\npub(crate) mod b;\nmod r#c;": {"mod a", "mod b", "mod c"},
    '#[path = "x/y.rs"]\n#[cfg(unix)]\nmod a;': {"mod a x/y.rs"},
    "mod a {\n    pub mod b;\n    use super::c;\n}\nuse super::d;": {"mod a/b", "self::c", "super::d"},
    "use crate::a::{b, c::{self, D as E}, *};": {"crate::a::b", "crate::a::c", "crate::a::c::D", "crate::a::*"},
    "use a::{ // why, not\n    b,\n};": {"a::b"},
    "extern crate a; pub use ::b::c;": {"a", "b::c"},
    "fn f() { crate::a::g(self::h::X, super::super::i) }": {"crate::a::g", "self::h::X", "super::super::i"},
    '// mod a;\n/* use crate::a; */ let s = "mod b;"; let t = r#"\nmod c;\n"#; let l: &\'a str = \'x\'; use d;': {"d"},
    "modify(); reuse crate; my_crate::a": set(),
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_forms_of_an_import(text: str) -> None:
    assert set(rust.scan(text).imports) == STATEMENTS[text]


CRATE = {
    "one/Cargo.toml": '[package]\nname = "crate-one"\n',
    "one/src/lib.rs": "mod a;\npub mod b;\nmod tests {\n    use super::a::A;\n}\n"
    'mod outer {\n    mod inner;\n}\n#[path = "odd.rs"]\nmod even;\n',
    "one/src/a.rs": "use crate::b::deep::Deep;\nmod sub;\n",
    "one/src/a/sub.rs": "use super::A;\n",
    "one/src/b/mod.rs": "pub mod deep;\nuse self::deep::Deep;\nuse super::Root;\n",
    "one/src/b/deep.rs": "use super::super::a;\n",
    "one/src/outer/inner.rs": "",
    "one/src/odd.rs": "",
    "one/tests/it.rs": "use crate_one::b::deep::Deep;\n",
    "two/Cargo.toml": '[package]\nname = "two"\n[lib]\npath = "two.rs"\n',
    "two/two.rs": "use crate_one::a;\nuse std::fmt;\nmod inner;\n",
    "two/inner.rs": "",
}


def test_dependencies_of_two_crates() -> None:
    lib, a, b, deep = (f"one/src/{name}.rs" for name in ("lib", "a", "b/mod", "b/deep"))
    assert edges(CRATE) == {
        *((path, lib) for path in (a, b, "one/src/outer/inner.rs", "one/src/odd.rs")),
        (deep, a),
        ("one/src/a/sub.rs", a),
        (a, "one/src/a/sub.rs"),
        (deep, b),
        (lib, b),
        (a, deep),
        (deep, "one/tests/it.rs"),
        (a, "two/two.rs"),
        ("two/inner.rs", "two/two.rs"),
    }


PASSED_ON = {
    "Cargo.toml": '[package]\nname = "p"\n',
    "src/lib.rs": "mod a;\nmod b;\nmod c;\nmod d;\nmod e;\nmod std2 {\n    pub use std::fmt;\n}\n"
    "pub use crate::a::A;\npub use b::*;\npub struct Own;\n",
    "src/a.rs": "pub struct A;\npub fn lower() {}\npub fn unused() {}\n",
    "src/b.rs": "pub use crate::c::C as Renamed;\npub use crate::b::*;\npub struct B;\n",
    "src/c.rs": "pub enum C { One }\n",
    "src/d.rs": "use crate::{A, Renamed};\nuse crate::std2::std::fmt;\n",
    "src/e.rs": "use super::*;\nuse crate::b;\nfn f(a: A) { b::Renamed::One; /* Own */ }\n",
    "src/bin/old.rs": "mod m;\n",
    "src/bin/m.rs": "use p::Renamed::One;\n",
}


def test_what_a_module_passes_on_is_a_dependency_on_the_file_that_declares_it() -> None:
    modules = {(f"src/{name}.rs", "src/lib.rs") for name in "abcde"}
    assert edges(PASSED_ON) - modules == {
        ("src/c.rs", "src/b.rs"),
        *((f"src/{name}.rs", "src/d.rs") for name in "ac"),
        *((f"src/{name}.rs", "src/e.rs") for name in "abc"),
        ("src/bin/m.rs", "src/bin/old.rs"),
        ("src/c.rs", "src/bin/m.rs"),
    }


def test_a_module_that_uses_what_its_siblings_pass_on_does_not_hide_who_declares_it() -> None:
    texts = {
        "Cargo.toml": '[package]\nname = "p"\n',
        "src/lib.rs": "mod read;\nmod user;\n",
        "src/user.rs": "use crate::read::Slice;\n",
        "src/read/mod.rs": "mod a;\nmod other;\nmod slice;\npub use self::a::*;\npub use self::other::*;\npub use self::slice::*;\n",
        "src/read/a.rs": "use crate::read::Slice;\nuse super::*;\nstruct Own;\nfn f(own: Own, slice: Slice) {}\n",
        "src/read/other.rs": "pub struct Own;\n",
        "src/read/slice.rs": "pub struct Slice;\n",
    }
    found = edges(texts)
    assert {one for one, other in found if other == "src/user.rs"} == {"src/read/slice.rs"}
    assert {one for one, other in found if other == "src/read/a.rs"} == {"src/read/slice.rs"}
    assert ("src/read/mod.rs", "src/user.rs") not in found


def module_texts(lib: str, modules: Iterable[str]) -> dict[str, str]:
    texts = {f"src/m{number}.rs": text for number, text in enumerate(modules)}
    lib += "".join(f"mod m{number};\n" for number in range(len(texts)))
    return {"Cargo.toml": '[package]\nname = "p"\n', "src/lib.rs": lib, **texts}


def test_a_name_that_is_passed_on_hundreds_of_times_or_in_a_circle_ends_no_run() -> None:
    chain = [f"pub use crate::m{number + 1}::X;\n" for number in range(400)]
    assert len(edges(module_texts("", [*chain, "pub struct X;\n"]))) >= 800
    assert ("src/m400.rs", "src/m380.rs") in edges(module_texts("", [*[""] * 380, *chain[380:], "pub struct X;\n"]))
    circle = (f"pub use crate::m{(number + 1) % 3}::X;\n" for number in range(3))
    assert len(edges(module_texts("", circle))) >= 5


def test_hundreds_of_modules_that_have_all_names_of_each_other_cost_little() -> None:
    everything = "".join(f"pub use m{number}::*;\n" for number in range(600))
    modules = (f"pub use super::*;\nfn f(a: X{599 - n}, b: Y) {{}}\npub struct X{n};\n" for n in range(600))
    texts = module_texts(everything, modules)
    begin = time.process_time()
    found = edges(texts)
    assert time.process_time() - begin < 2
    assert {one for one, other in found if other == "src/m7.rs"} == {"src/m592.rs"}


def test_what_one_use_says_is_bounded() -> None:
    text = f"use {'a' * 2500}::{{{','.join(f'b{number}' for number in range(450))}}};\n"
    assert 10 < len(rust.scan(text).imports) < 30


@pytest.mark.skipif(shutil.which("rustc") is None, reason="needs rustc")
def test_the_compiler_reads_the_modules_that_are_found(tmp_path: Path) -> None:
    texts = {
        path: "\n".join(line for line in text.split("\n") if "mod " in line or line == "}" or "path" in line)
        for path, text in CRATE.items()
    }
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    command = ["rustc", "--crate-type", "lib", "--emit=dep-info=deps", "src/lib.rs"]
    subprocess.run(command, cwd=tmp_path / "one", capture_output=True, check=True)
    read = {line.rstrip(":") for line in (tmp_path / "one/deps").read_text().split("\n") if line.endswith(".rs:")}
    found = {path.removeprefix("one/") for pair in edges(texts) for path in pair if "two" not in path}
    assert found == read


@pytest.mark.parametrize(
    "text", ["", "[", "package = 3", "[package]\nname = 3", "lib = []\n[package]\nname='x'", "a = " + "[" * 10_000]
)
def test_a_damaged_manifest_says_nothing_wrong(text: str) -> None:
    assert set(rust.scan_manifest(text).declares) <= {"x", "src/lib.rs"}
