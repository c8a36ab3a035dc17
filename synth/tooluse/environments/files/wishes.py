"""What people want with files, and how they say it."""

import re
from typing import Any

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environment import Facts, Holds, Slot, Wish
from synth.tooluse.environments.files.policy import is_protected
from synth.tooluse.environments.files.tools import MAX_HITS, search
from synth.tooluse.state import State

_DEFINITION = re.compile(r"^(?:async def|def|class) (\w{4,})", re.M)
_NAMED_VALUE = re.compile(r"^([A-Z][A-Z_]{3,}) = (\d+)$", re.M)


def person(state: State, draw: Draw) -> Facts:
    return {}


def _file(state: State, draw: Draw, what: str, protected: bool = False) -> str | None:
    paths = [row[0] for row in state.rows("SELECT path FROM files ORDER BY path") if is_protected(row[0]) == protected]
    return draw.pick(paths, what) if paths else None


def _beside(path: str, name: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"


def _name(path: str) -> tuple[str, str]:
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return (stem, dot + suffix) if stem else (suffix, "")


def rename(state: State, draw: Draw, me: Facts) -> Wish | None:
    path = _file(state, draw, "rename", draw.chance(25, "protected"))
    if path is None:
        return None
    stem, suffix = _name(path)
    new = _beside(path, f"{draw.pick(('old_', 'legacy_', 'core_', 'new_', 'draft_'), 'prefix')}{stem}{suffix}")
    ask = "[Rename|Please rename|Move|Can you move] {path} to {new_path}[.|, please.]"
    call = Call("move_file", {"path": path, "new_path": new})
    if is_protected(path):
        return Wish(
            "refusal", "rename_protected", ask, {"path": path, "new_path": new}, refused=call, rule="protected",
            thought="[The policy protects {path}.|{path} is a licence file; it stays where it is.]",
            done="[I must not move {path}: licence files stay where they are.|Sorry, {path} is protected and stays as it is.]",
        )  # fmt: skip
    return Wish(
        "write", "rename", ask, {"path": path, "new_path": new}, gold=(call,),
        goal=(Holds("SELECT COUNT(*) FROM files WHERE path = ?", (new,), ((1,),)), Holds("SELECT COUNT(*) FROM files WHERE "
                                                                                         "path = ?", (path,), ((0,),))),
        thought="[Nothing speaks against it.|One call does it.|Both paths are given.]",
        done="[{path} is {new_path} now.|Renamed to {new_path}.|Moved: {new_path}.]",
    )  # fmt: skip


def duplicate(state: State, draw: Draw, me: Facts) -> Wish | None:
    path = _file(state, draw, "copy")
    if path is None:
        return None
    new = f"{draw.pick(('backup', 'archive', 'attic', 'examples'), 'folder')}/{path.rpartition('/')[2]}"
    return Wish(
        "write", "copy", "[Copy|Please put a copy of|Make a copy of] {path} [to|at|as] {new_path}.", {"path": path, "new_path": new},
        gold=(Call("copy_file", {"path": path, "new_path": new}),),
        goal=(Holds("SELECT COUNT(*) FROM files a JOIN files b USING (text) WHERE a.path = ? AND b.path = ?", (path, new), ((1,),)),),
        thought="[A copy, so the file itself stays.|Both paths are given.]", done="[The copy is at {new_path}.|{path} is "
                                                                                  "copied to {new_path}.]",
    )  # fmt: skip


def remove(state: State, draw: Draw, me: Facts) -> Wish | None:
    """The file that defines something: found by search, read, confirmed, deleted."""
    case = _defined(state, draw, "remove")
    if case is None or is_protected(case["path"]):
        return None
    return Wish(
        "write", "delete", "[Delete|Please delete|Get rid of|Remove] the file that [defines|has the definition of] "
                           "`{words}`[.|, it's obsolete.]", {"words": case["name"]},
        look=(Call("search", {"words": case["name"]}), Call("read_file", {"path": case["path"]})),
        gold=(Call("delete_file", {"path": case["path"]}),), goal=(Holds("SELECT COUNT(*) FROM files WHERE path = "
                                                                         "?", (case["path"],), ((0,),)),),
        will=f"[delete {case['path']}|remove {case['path']} from the repository]",
        thought=f"[Only {case['path']} defines {{words}}.|{{words}} is defined in {case['path']}; deleting needs a yes.]",
        done=f"[{case['path']} is deleted.|Deleted: {case['path']}.]",
    )  # fmt: skip


def _defined(state: State, draw: Draw, what: str) -> dict[str, Any] | None:
    """A function or class that one file defines and no other names."""
    found = []
    for path, text in state.rows("SELECT path, text FROM files ORDER BY path"):
        for name in dict.fromkeys(_DEFINITION.findall(text)):
            if len(state.rows("SELECT 1 FROM files WHERE instr(text, ?)", name)) == 1:
                line = next(
                    n
                    for n, line in enumerate(text.split("\n"), 1)
                    if re.match(rf"(?:async def|def|class) {name}\b", line)
                )
                found.append({"name": name, "path": path, "line": line})
    return draw.pick(found, what) if found else None


def locate(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _defined(state, draw, "locate")
    if case is None or len(search(state, case["name"])) >= MAX_HITS:
        return None
    return Wish(
        "question", "locate", "[Where is|Which file defines|In which file is] `{words}`[ defined|][?|, please?]", {"words": case["name"]},
        look=(Call("search", {"words": case["name"]}),), needs=(case["path"], ("line", case["line"])), answer=case["path"],
        goal=(Holds("SELECT path FROM files WHERE instr(text, ?)", (case["name"],), ((case["path"],),)),),
        thought=f"[Line {case['line']} of {case['path']} has the definition.|The definition is on line {case['line']}.]",
        done=f"[`{{words}}` is defined in {{answer}}, line {case['line']}.|In {{answer}}, on line {case['line']}.]",
    )  # fmt: skip


def tune(state: State, draw: Draw, me: Facts) -> Wish | None:
    """A named number gets another value, in whatever file it stands."""
    found = []
    for path, text in state.rows("SELECT path, text FROM files ORDER BY path"):
        for name, value in _NAMED_VALUE.findall(text):
            if text.count(f"{name} = {value}") == 1 and len(search(state, name)) < MAX_HITS:
                found.append((path, name, value))
    if not found:
        return None
    path, name, value = draw.pick(found, "constant")
    new = str(int(value) + 1 + draw.below(50, "value"))
    line = f"{name} = {new}"
    return Wish(
        "write", "set_value", "[Set|Change|Please set] {words} to {value}[ wherever it is defined|][.|, please.]",
        {"words": name, "value": new}, look=(Call("search", {"words": name}),),
        gold=(Call("set_constant", {"path": path, "name": name, "value": new}),),
        goal=(Holds("SELECT instr(text, ?) > 0 FROM files WHERE path = ?", (line, path), ((1,),)),),
        thought=f"[{{words}} is {value} in {path}.|The definition stands in {path}, with {value}.]",
        done=f"[{{words}} is {{value}} now, in {path}.|Changed in {path}: {line}.]",
    )  # fmt: skip


def note(state: State, draw: Draw, me: Facts) -> Wish | None:
    path = _file(state, draw, "note")
    if path is None:
        return None
    line = draw.say(
        "# [todo|note|reminder]: [check|review|test|document] [this|the end|the edge cases|the defaults] [again|before the "
        "release|next week]",
        {},
        "line",
    )
    return Wish(
        "write", "append", "[Add the line|Append|Please add] “{line}” [at the end of|to the end of] {path}.", {"path": path, "line": line},
        look=(Call("read_file", {"path": path}),), gold=(Call("append_line", {"path": path, "line": line}),),
        goal=(Holds("SELECT instr(text, ?) > 0 FROM files WHERE path = ?", (line, path), ((1,),)),),
        thought="[The file is read; the line goes to its end.|Read, as the policy asks. Now the line.]",
        done="[{path} ends with that line now.|The line is in {path}.]",
    )  # fmt: skip


def create(state: State, draw: Draw, me: Facts) -> Wish | None:
    folder = draw.pick(("docs", "notes", "scripts", "config"), "folder")
    path = f"{folder}/{draw.pick(('todo', 'ideas', 'owners', 'plan', 'review'), 'name')}_{draw.number(3, 'n')}.txt"
    text = draw.say(
        "[Owner|Contact|Reviewer]: {name}",
        {"name": draw.pick(("core team", "release team", "docs team", "nobody yet"), "team")},
        "text",
    )
    return Wish(
        "write", "create", "[Create|Make|Please write] a file {path} [with the text|that says|containing] "
                           "“{text}”.", {"path": path, "text": text},
        gold=(Call("write_file", {"path": path, "text": text}),), goal=(Holds("SELECT text FROM files WHERE path = "
                                                                              "?", (path,), ((text,),)),),
        thought="[Path and text are given.|A new file; nothing is overwritten.]", done="[{path} is written.|Created {path}.]",
    )  # fmt: skip


def longest(state: State, draw: Draw, me: Facts) -> Wish | None:
    counted = sorted(
        ((text.count("\n") + 1, path) for path, text in state.rows("SELECT path, text FROM files")), reverse=True
    )
    if len(counted) < 2 or counted[0][0] == counted[1][0]:
        return None
    lines, path = counted[0]
    sql = "SELECT path FROM files ORDER BY length(text) - length(replace(text, char(10), '')) DESC LIMIT 1"
    return Wish(
        "question", "longest", "[Which file has the most lines|What is the longest file by lines|Which one is the longest "
                               "file][?| in the repository?]",
        {"folder": ""}, look=(Call("list_files", {"folder": ""}),), needs=(path, ("lines", lines)), answer=path,
        goal=(Holds(sql, (), ((path,),)),),
        thought=f"[{lines} lines is the largest number.|The largest number of lines is {lines}.]",
        done=f"[{{answer}}, with {lines} lines.|The longest is {{answer}}: {lines} lines.]",
    )  # fmt: skip


SLOTS: dict[str, Slot] = {}
