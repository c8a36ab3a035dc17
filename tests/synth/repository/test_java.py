"""Java: imports of all forms, and types that are used without one."""

import time

from synth.repository import java
from tests.synth.repository.trees import edges

A = "package p.a;\n/** Uses {@link p.b.Doc}. */\nimport p.b.One;\nimport p.c.*;\nimport static p.d.Tool.run;\nimport p.e.Outer.Inner;\n"


def test_what_a_file_says() -> None:
    said = java.scan(
        "package p.q ;\nimport a.B;\nimport static a.C.*; // import x.Y;\n"
        '@Deprecated public final class D { String s = "import z.Z;"; y.z.Y.W y = x.Z; }\ninterface E {}\n class F {}'
    )
    assert said.imports == ["a.B", "a.C.*"]
    assert said.declares == ["p.q.D", "p.q.E"]
    assert said.uses == ["B", "C", "D", "Deprecated", "E", "F", "String", "W", "Y", "Z", "a.C", "x.Z", "y.z.Y"]


def test_dependencies_of_a_file() -> None:
    texts = {
        "src/p/a/A.java": A + "class A { One one; Star star; Near near; Inner inner; Hidden hidden; p.f.Far far; }",
        "src/p/a/Near.java": "package p.a; class Near { A a; }",
        "src/p/a/Apart.java": "package p.a; class Apart { /* Near */ }",
        "src/p/b/One.java": "package p.b; public class One {}",
        "src/p/a/One.java": "package p.a; class One {}",
        "src/p/b/Doc.java": "package p.b; public class Doc {}",
        "src/p/b/Hidden.java": "package p.b; public class Hidden {}",
        "src/p/c/Star.java": "package p.c;\npublic class Star {}\nclass Second {}",
        "src/p/c/Near.java": "package p.c; public class Near {}",
        "src/p/c/Unused.java": "package p.c; public class Unused {}",
        "src/p/d/Tool.java": "package p.d; public class Tool {}",
        "src/p/f/Far.java": "package p.f; public class Far {}",
        "src/p/e/Outer.java": "package p.e; public class Outer { public static class Inner {} }",
    }
    texts = {path: text.replace("; ", ";\n", 1) for path, text in texts.items()}
    own, near = "src/p/a/A.java", "src/p/a/Near.java"
    others = ("a/Near", "b/One", "c/Star", "d/Tool", "e/Outer", "f/Far")
    assert edges(texts) == {(own, near), *((f"src/p/{name}.java", own) for name in others)}


def test_of_several_declarations_the_nearest_counts() -> None:
    texts = {f"{place}/p/T.java": "package p;\nclass T {}" for place in ("linux", "windows")}
    texts |= {f"{place}/p/U.java": "package p;\nclass U { T t; }" for place in ("windows", "linux")}
    assert edges(texts) == {("linux/p/T.java", "linux/p/U.java"), ("windows/p/T.java", "windows/p/U.java")}


def test_thousands_of_imports_and_one_of_thousands_of_steps_cost_little() -> None:
    imports = "".join(f"import a{number}.*;\n" for number in range(8000))
    uses = " ".join(f"N{number}" for number in range(8000))
    texts = {
        "p/A.java": f"package p;\n{imports}import {'a.' * 30_000}B;\nclass A {{ Near near; {uses} }}\n",
        "p/Near.java": "package p;\nclass Near {}\n",
    }
    begin = time.process_time()
    assert edges(texts) == {("p/Near.java", "p/A.java")}
    assert time.process_time() - begin < 0.7
