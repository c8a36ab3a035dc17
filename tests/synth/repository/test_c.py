"""Includes: their forms, where they are looked for, and the preprocessor's own word on a small tree."""

import shutil
import subprocess
from pathlib import Path

import pytest

from synth.repository import c
from tests.synth.repository.trees import edges

STATEMENTS = {
    '#include "a.h"': {'"a.h"'},
    "  #  include\t<a/b.h> // why": {"<a/b.h>"},
    "#include_next <a.h>\n#import <B/b.h>": {"<a.h>", "<B/b.h>"},
    '/* text\n#include "a.h"\n*/\n#include "b.h"': {'"b.h"'},
    '// #include "a.h"\nx #include "b.h"': set(),
    'R"(\n#include "a.h"\n)"\n#include "b.h"': {'"b.h"'},
    "#include MACRO\n#include": set(),
    '#ifdef X\n#include "a.h"\n#else\n#include "b.h"\n#endif': {'"a.h"', '"b.h"'},
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_forms_of_an_include(text: str) -> None:
    assert set(c.scan(text).imports) == STATEMENTS[text]


def test_places_that_are_searched() -> None:
    texts = {
        "lib/a.c": '#include "a.h"\n#include "../b.h"\n#include <thing/c.h>\n#include "deep/d.h"\n#include <string.h>\n#include "e.h"',
        "lib/a.h": "",
        "a.h": "",
        "b.h": "",
        "include/thing/c.h": "",
        "x/y/thing/c.h": "",
        "other/x/deep/d.h": "",
        "far/deep/d.h": "",
        "compat/string.h": "",
        "lib/include/e.h": "#include <a.h>",
    }
    assert edges(texts) == {
        ("lib/a.h", "lib/a.c"),
        ("b.h", "lib/a.c"),
        ("include/thing/c.h", "lib/a.c"),
        ("far/deep/d.h", "lib/a.c"),
        ("lib/include/e.h", "lib/a.c"),
        ("lib/a.h", "lib/include/e.h"),
    }


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_preprocessor_opens_the_same_files(tmp_path: Path) -> None:
    texts = {
        "src/main.c": '#include "part.h"\n#include <lib/all.h>\n',
        "src/part.h": '#include "sub/one.h"\n',
        "src/sub/one.h": "/* #include <lib/none.h> */\n",
        "include/lib/all.h": '#include "two.h"\n#include <lib/three.h>\n',
        "include/lib/two.h": "",
        "include/lib/three.h": "",
        "include/lib/none.h": "",
    }
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    command = ["gcc", "-MM", "-Iinclude", "src/main.c"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    opened = set(said.replace("\\\n", " ").split()[2:])
    found = edges(texts)
    reached, new = {"src/main.c"}, {"src/main.c"}
    while new:
        new = {one for one, other in found if other in new} - reached
        reached |= new
    assert reached - {"src/main.c"} == opened
