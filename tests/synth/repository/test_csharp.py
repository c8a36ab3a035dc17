"""C#: a dependency is a type that a file may see and names."""

from synth.repository import csharp
from tests.synth.repository.trees import edges


def test_what_a_file_says() -> None:
    said = csharp.scan(
        "using System.IO;\nusing static A.B;\nusing C = D.E;\nglobal using F;\n// using X;\n"
        'namespace N.M {\n class One { string s = @"using Y;\\"; }'
        "\n enum Two {} }\nnamespace O;\nrecord struct Three(int x);\ndelegate void Four(int x);"
    )
    assert said.imports == ["A.B", "D.E", "System.IO", "global F"]
    assert said.declares == ["N.M.One", "N.M.Two", "O.Four", "O.Three"]
    assert "Y" not in said.uses


def test_only_types_in_sight_that_are_named_are_dependencies() -> None:
    texts = {
        "a.cs": "using Lib;\nnamespace App.Sub { class A { Tool t; Base b; Far f; } }",
        "lib/tool.cs": "namespace Lib { public class Tool {} }",
        "lib/unused.cs": "namespace Lib { public class Unused {} }",
        "app/base.cs": "namespace App { public partial class Base {} }",
        "app/base2.cs": "namespace App { public partial class Base { int x; } }",
        "far.cs": "namespace Elsewhere { public class Far {} public class Shared {} }",
        "globals.cs": "global using Elsewhere.Deep;",
        "deep.cs": "namespace Elsewhere.Deep;\nclass Below { Shared s; }",
        "user.cs": "class User { Below b; }",
    }
    assert edges(texts) == {
        ("lib/tool.cs", "a.cs"),
        ("app/base.cs", "a.cs"),
        ("app/base2.cs", "a.cs"),
        ("far.cs", "deep.cs"),
        ("deep.cs", "user.cs"),
    }
