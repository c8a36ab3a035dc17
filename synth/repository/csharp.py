"""Types that C# files use of each other.

`using N` names a namespace, not a file, and a namespace is often declared by hundreds of files, so a dependency is what a file both
may see and names: a type declared in one of its namespaces, in one that holds these, or in one it is `using`. Imports are `N`, and
`global N` for the whole repository; declared are qualified names of types; used are all capitalised words of the code. A type in
several files (partial) is a dependency on each. Not covered: extension methods whose class is never named, namespaces that a project
file adds, type names in lower case. Some 30 MB per CPU second.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from synth.repository import lexing
from synth.repository.file import Edge, Mentions, Tree

MAX_PARTS = 16  # files of one partial type that count

_USING = re.compile(r"using(?<!\wusing)\s++(?:static\s++)?(?:\w++\s*+=\s*+)?(?:global::)?([\w.]++)\s*+;")
_NAMESPACE = re.compile(r"namespace(?<!\wnamespace)\s++([\w.]++)")
_TYPES = (
    *(
        re.compile(rf"{word}(?<!\w{word})\s++([A-Z_]\w*+)")
        for word in ("class", "interface", "struct", "enum", "record")
    ),
    re.compile(r"delegate(?<!\wdelegate)\s++[\w.<>\[\],?]++\s++([A-Z_]\w*+)"),
)


def scan(text: str) -> Mentions:
    code = lexing.without_hidden(text, lexing.C_SHARP)
    is_global = (lexing.before(code, match.start()).strip() == "global" for match in _USING.finditer(code))
    imports = [
        ("global " if everywhere else "") + name
        for everywhere, name in zip(is_global, _USING.findall(code), strict=True)
    ]
    found = sorted((match for pattern in (_NAMESPACE, *_TYPES) for match in pattern.finditer(code)), key=re.Match.start)
    declares, namespace = [], ""
    for match in found:
        if match.re is _NAMESPACE:
            namespace = match[1]
        else:
            declares.append(f"{namespace}.{match[1]}".lstrip("."))
    return Mentions(lexing.in_order(imports), lexing.in_order(declares), lexing.capitalised(code))


def edges(tree: Tree, members: Sequence[int]) -> Iterator[Edge]:
    declared: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))  # simple name, namespace, files
    for number in sorted(members, key=lambda number: tree.files[number].path):
        for qualified in tree.files[number].mentions.declares:
            namespace, _, name = qualified.rpartition(".")
            declared[name][namespace].append(number)
    everywhere = {
        name.removeprefix("global ")
        for number in members
        for name in tree.files[number].mentions.imports
        if name.startswith("global ")
    }
    for number in members:
        mentions = tree.files[number].mentions
        seen = everywhere | set(mentions.imports) | {""}
        for qualified in mentions.declares:
            steps = qualified.split(".")[:-1]
            seen.update(".".join(steps[:count]) for count in range(1, len(steps) + 1))
        own = {qualified.rpartition(".")[2] for qualified in mentions.declares}
        for name in mentions.uses:
            if name in declared and name not in own:
                for namespace in declared[name].keys() & seen:
                    yield from ((other, number) for other in declared[name][namespace][:MAX_PARTS])
