"""Go: packages are folders, and a dependency is the file that declares the name."""

import time

from synth.repository import go
from tests.synth.repository.trees import edges

MAIN = """package main

import "fmt"
import (
	"example.org/m/util" // a (comment
	other "example.org/m/lib/v2"
	_ "example.org/m/effects"
	. `example.org/m/dots`
)

// import "example.org/m/none"
var s = `
import "example.org/m/none"
`

func main() { util.Two(); fmt.Println(other.Three, s, Local{}, Dot) }
"""


def test_what_a_file_says() -> None:
    said = go.scan(MAIN)
    assert said.imports == sorted(
        ["fmt", "example.org/m/util", "example.org/m/lib/v2 other", "example.org/m/effects _", "example.org/m/dots ."]
    )
    assert said.declares == ["main", "package main", "s"]
    assert {"util.Two", "other.Three", "fmt.Println", "Local"} <= set(said.uses)
    block = go.scan(
        "package p\n\nconst (\n\tA, B = 1, 2\n\tc = 3\n)\n\ntype S struct {\n\tField int\n}\n\nfunc (s S) Method() {}\nfunc Func() {}\n"
    )
    assert go.scan('package p\nimport "x/y"\nvar a = y.Z + b.C + z').uses == ["b", "y", "y.Z", "z"]
    assert block.declares == ["A", "B", "Func", "S", "c", "package p"]
    own = go.scan(
        "package M\n\nfunc (s S) M() {\n\ta, b := f(T)\n\tg(a, b.c)\n}\n\ntype I interface {\n\tN(x ...interface{}) int\n}\n"
        "\nfunc (T) f2(p, q int, r []T) { g(p, q, r, t * u) }\n"
    )
    assert own.uses == ["S", "T", "f", "g", "int", "t", "u"]


def test_dependencies_between_packages_and_within_one() -> None:
    texts = {
        "go.mod": "module example.org/m\n\ngo 1.21\n",
        "cmd/main.go": MAIN,
        "cmd/local.go": "package main\n\ntype Local struct{}\n",
        "util/a.go": "package util\n\nfunc One() {}\n",
        "util/b.go": "package util\n\nfunc Two() { One() }\n",
        "util/0_test.go": "package util\n\nfunc Two() {}\n",
        "util/b_test.go": "package util\n\nfunc Test() { Two() }\n",
        "lib/v2/two.go": "package lib\n\nfunc Two() {}\n",
        "lib/v2/three.go": "package lib\n\nvar Three = 3\n",
        "effects/e.go": "package effects\n",
        "dots/d.go": "package dots\n\nvar Dot = 1\n",
        "none/n.go": "package none\n",
        "lower/a.go": "package lower\n\nfunc main() {}\nfunc one() int { return two }\n",
        "lower/b_unix.go": "package lower\n\nvar two = 2\n",
        "lower/b_windows.go": "package lower\n\nvar two = 3\n",
        "lower/c.go": "package lower\n\nfunc (t T) two() int { one := 1; main(); return one }\ntype T int\n",
        "lower/a_test.go": "package lower\n\nvar Help = one()\n",
        "lower/b_test.go": 'package lower_test\n\nimport "example.org/m/lower"\n\nvar _ = lower.Help + alone\n',
        "lower/c_test.go": "package lower_test\n\nvar alone = one\n",
    }
    assert edges(texts) == {
        ("util/b.go", "cmd/main.go"),
        ("lib/v2/three.go", "cmd/main.go"),
        ("cmd/local.go", "cmd/main.go"),
        ("effects/e.go", "cmd/main.go"),
        ("dots/d.go", "cmd/main.go"),
        ("util/a.go", "util/b.go"),
        ("util/b.go", "util/b_test.go"),
        ("util/0_test.go", "util/b_test.go"),
        ("lower/b_unix.go", "lower/a.go"),
        ("lower/b_windows.go", "lower/a.go"),
        ("lower/a.go", "lower/c.go"),
        ("lower/a.go", "lower/a_test.go"),
        ("lower/a_test.go", "lower/b_test.go"),
        ("lower/c_test.go", "lower/b_test.go"),
    }


def test_import_paths_without_a_module_file_and_of_vendored_packages() -> None:
    texts = {
        "a.go": 'package a\n\nimport "github.com/owner/thing/b"\nimport "gopkg.in/yaml.v3"\n\nvar X = b.B + yaml.Y\n',
        "b/b.go": "package b\n\nvar B = 1\n",
        "vendor/gopkg.in/yaml.v3/y.go": "package yaml\n\nvar Y = 1\n",
    }
    assert (
        edges(texts)
        == edges(texts, "github.com/owner/thing")
        == {("b/b.go", "a.go"), ("vendor/gopkg.in/yaml.v3/y.go", "a.go")}
    )


def test_thousands_of_imports_in_one_declaration_cost_little() -> None:
    imports = "".join(f'\ta{number} "m/x"\n' for number in range(10_000))
    uses = " ".join(f"a{number}.N" for number in range(10_000))
    texts = {
        "go.mod": "module m\n",
        "x/x.go": "package x\nvar N = 1\n",
        "a.go": f"package p\nimport (\n{imports})\nvar x = {uses}\n",
    }
    begin = time.process_time()
    assert edges(texts) == {("x/x.go", "a.go")}
    assert time.process_time() - begin < 2
