import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers import languages
from datapipe.readers.languages import content, model, table

HUMANEVAL = {
    **{"cpp": "c++", "cs": "c#", "d": "d", "go": "go", "java": "java", "jl": "julia", "js": "javascript", "lua": "lua"},
    **{
        "php": "php",
        "pl": "perl",
        "r": "r",
        "rb": "ruby",
        "rkt": "racket",
        "rs": "rust",
        "scala": "scala",
        "sh": "shell",
    },
    **{"swift": "swift", "ts": "typescript"},
}

PATTERNS = sorted({rule[1] for rules in content._RULES.values() for rule in rules if isinstance(rule, tuple)})


def name_of(path: str, text: str = "x\n") -> str | None:
    language = languages.detect(path, text.encode())
    return language.name if language else None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.py", "python"),
        ("B.PY", "python"),
        ("x.tar.gz", None),
        ("README", "text"),
        ("LICENSE", "text"),
        ("CMakeLists.txt", "cmake"),
        ("notes.txt", "text"),
        ("Dockerfile", "dockerfile"),
        ("sub/go.mod", "go module"),
        ("config.h.in", "c"),
        ("CMakeLists.txt.in", "cmake"),
        ("page.tpl.html", "html"),
        (".gitignore", "ignore list"),
        (".bashrc", "shell"),
        ("data.xyz", None),
    ],
)
def test_names(path: str, name: str | None) -> None:
    assert name_of(path) == name


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("a.h", "#ifndef A_H\nint f(void);\n#endif\n", "c"),
        ("a.h", '#ifdef __cplusplus\nextern "C" {\n#endif\nint f(void);\n', "c"),
        ("a.h", "#pragma once\nnamespace a {\n}\n", "c++"),
        ("a.h", " * class of things\nint f(void);\n", "c"),
        ("a.h", "/* a header\n   using the library */\n", "c"),
        ("a.h", "using std::size_t;\n", "c++"),
        ("a.h", "using A = int;\n", "c++"),
        ("a.h", "#include <vector>\n", "c++"),
        ("a.h", "#include <stdio.h>\n", "c"),
        ("a.h", "#import <Foundation/Foundation.h>\n@interface A : NSObject\n@end\n", "objective-c"),
        ("a.m", "function y = f(x)\n  y = x;\nend\n", "matlab"),
        ("a.m", "#import <A.h>\n@implementation A\n@end\n", "objective-c"),
        ("a.m", "f[x_] := x^2\n", "wolfram"),
        ("a.pl", "use strict;\nmy $x = 1;\n", "perl"),
        ("a.pl", ":- module(a, [b/1]).\nb(X) :- c(X).\n", "prolog"),
        ("a.t", "use v6;\nuse Test;\n", "raku"),
        ("a.ts", "export const a: number = 1\n", "typescript"),
        ("a.ts", '<?xml version="1.0"?>\n<!DOCTYPE TS>\n', "xml"),
        ("a.v", "module top(input a);\nendmodule\n", "verilog"),
        ("a.v", "Require Import List.\nTheorem t : True.\n", "rocq"),
        ("a.d", "main.o: main.c main.h\n", "makefile"),
        ("a.d", "import std.stdio;\nvoid main() {}\n", "d"),
        ("a.fs", "open System\nlet x = 1\n", "f#"),
        ("a.fs", "#version 330\nvoid main() {}\n", "glsl"),
        ("a.cl", "(defun f (x) x)\n", "common lisp"),
        ("a.cl", "__kernel void f(__global int *a) {}\n", "opencl"),
        ("a.cls", "\\NeedsTeXFormat{LaTeX2e}\n", "tex"),
        ("a.cls", "public with sharing class A {\n}\n", "apex"),
        ("a.md", "# Title\n", "markdown"),
        ("a.md", '(define_insn "add"\n', "machine description"),
        ("a.1", ".TH LS 1\n.SH NAME\n", "roff"),
        ("a.1", "version one\n", None),
        ("a.rs", "fn main() {}\n", "rust"),
        ("a.inc", "<?php\n$x = 1;\n", "php"),
        ("a.spec", "Name: a\nVersion: 1\n", "rpm spec"),
    ],
)
def test_suffixes_that_languages_share(path: str, text: str, name: str | None) -> None:
    assert name_of(path, text) == name


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("run", "#!/bin/sh\necho\n", "shell"),
        ("run", "#!/usr/bin/env -S python3.11 -u\n", "python"),
        ("run", "#!/usr/bin/env LANG=C perl\n", "perl"),
        ("run", "#! /usr/local/bin/ruby2.7\n", "ruby"),
        ("run", "#!/usr/bin/env\n", None),
        ("a.cgi", "#!/usr/bin/perl -w\n", "perl"),
        ("vector", "// -*- C++ -*-\n", "c++"),
        ("x", "; -*- mode: Scheme; tab-width: 2 -*-\n", "scheme"),
        ("x", "text\n\n\n\n\n\n\n# vim: set ft=ruby sw=2:\n", "ruby"),
        ("x.py", "#!/bin/sh\n'''exec' python3 $0 '''\n", "python"),  # shell hands it over
        ("x.py", "#!/usr/bin/env perl\n", "perl"),
        ("x.ts", "#!/usr/bin/env node\nexport {}\n", "typescript"),
        ("x.py", "<!DOCTYPE html>\n<html>\n", "html"),
        ("x.js", '<?xml version="1.0"?>\n', "xml"),
        ("x.php", "<!DOCTYPE html>\n<?php ?>\n", "php"),
        ("x.svg", '<?xml version="1.0"?>\n', "svg"),
        ("x", "#lang racket\n", "racket"),
    ],
)
def test_first_lines(path: str, text: str, name: str | None) -> None:
    assert name_of(path, text) == name


def test_a_nul_byte_is_no_source() -> None:
    assert languages.detect("a.py", b"a\0b") is None
    assert name_of("a.py", "") == "python"
    assert name_of("a", " \n") is None


def test_every_suffix_that_languages_share_has_rules() -> None:
    shared = {suffix for suffix, found in table.BY_SUFFIX.items() if len(found) > 1}
    assert shared <= content._RULES.keys()
    for suffix in content._RULES:
        rules, otherwise = content._rules(suffix)
        named = {name for name, *_ in rules} | ({otherwise} if otherwise else set())
        assert named <= {language.name for language in table.BY_SUFFIX[suffix]}, suffix


def test_an_anchor_is_for_all_of_a_pattern() -> None:
    for pattern in PATTERNS:
        bare = re.sub(r"\\[^A]|\[(?:\\.|[^\]])*\]", "", pattern)
        assert not re.search(r"(?s).(?:\^|\\A)", bare), pattern
        while "(" in bare:
            bare = re.sub(r"\([^()]*\)", "", bare)
        assert not (bare.startswith(("^", "\\A")) and "|" in bare), pattern


@given(
    st.sampled_from(PATTERNS),
    st.lists(
        st.sampled_from(
            ["#include <vector>", "\n", " ", "x", "std::a", "class A {", "@end", "% x", "(", ";", "<?xml ", "use v6"]
        )
    ),
)
def test_a_pattern_is_found_where_re_finds_it(pattern: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    assert bool(content._finder(pattern)(text)) == bool(re.search(pattern, text, re.M))


def test_the_words_of_a_rule_stand_wherever_its_pattern_fits() -> None:
    pieces = ("std::a", "constexpr int", "nullptr)", "static_cast<", "const_cast<", "operator+", "operator ()")
    (pattern, *marks) = next(rule[1:] for rule in content._RULES[".h"] if isinstance(rule, tuple) and len(rule) > 2)
    for piece in pieces:
        assert re.search(pattern, f"int {piece}")
        assert any(mark in piece for mark in marks)
        assert name_of("a.h", f"int {piece}") == "c++"
        assert name_of("a.h", f"int x{piece}") == "c"


def test_the_table_is_well_formed() -> None:
    names = [language.name for language in table.LANGUAGES]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in table.BY_SUFFIX)
    files = [file for language in table.LANGUAGES for file in language.files]
    assert len(files) == len(set(files))
    assert all(language.comment[0] for language in table.LANGUAGES)


@given(st.sampled_from(sorted(content._RULES)), st.binary(max_size=300))
def test_any_bytes_have_an_answer(suffix: str, data: bytes) -> None:
    text = data.replace(b"\0", b"").decode("latin-1")
    language, is_settled = content.by_suffix(suffix, text)
    assert is_settled or language is None


@pytest.mark.parametrize("suffix", sorted(content._RULES))
def test_rules_take_linear_time(suffix: str) -> None:
    for piece in ("a ", "(", "\n ", "x:", "[_", "class ", "\t\n", "a.", "{", "A_"):
        content.by_suffix(suffix, piece * (content.HEAD_BYTES // len(piece)))


def test_the_model_is_loaded_only_when_it_is_needed() -> None:
    code = (
        "import sys; from datapipe.readers import languages as l\n"
        "l.detect('a.py', b'x'); l.detect('a.h', b'int x;'); l.detect('run', b'#!/bin/sh'); l.detect('a.xyz', b'x' * 100)\n"
        "assert not {'magika', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_model_answers_for_content_alone() -> None:
    text = "import os\nfrom pathlib import Path\n\n\ndef main(argv):\n    for name in argv:\n        print(Path(name).stat())\n"
    assert name_of("script", text) == "python"
    assert name_of("word", "word") is None
    candidates = [table.BY_NAME["perl"], table.BY_NAME["raku"]]
    assert model.classify(text.encode(), candidates) is None  # not one of them
    assert model.classify(text.encode(), [table.BY_NAME["raku"]]) is None  # a language it does not know


@pytest.mark.data
@pytest.mark.parametrize("suffix", sorted(HUMANEVAL))
def test_programs_of_many_languages(shared_data: Path, suffix: str) -> None:
    with gzip.open(shared_data / "evals" / f"humaneval-{suffix}.jsonl.gz", "rt") as file:
        programs = [row["prompt"] + row["tests"] for row in map(json.loads, file)]
    assert {name_of(f"a.{suffix}", program) for program in programs} == {HUMANEVAL[suffix]}
