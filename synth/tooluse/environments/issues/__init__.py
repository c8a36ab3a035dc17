"""An issue tracker of a real repository: issues are about its files, which documents give. Labels, milestones, assignees, duplicates."""

import re
from collections.abc import Sequence
from typing import Any

from synth.draw import Draw
from synth.tooluse.environment import Environment, Source, World
from synth.tooluse.environments import names
from synth.tooluse.environments.issues.policy import NOTES, RULES
from synth.tooluse.environments.issues.tools import (
    LABELS,
    SCHEMA,
    add_label,
    assign,
    close_issue,
    comment,
    find_person,
    get_issue,
    list_issues,
    list_milestones,
    open_issue,
    remove_label,
    search_issues,
    set_milestone,
)
from synth.tooluse.environments.issues.wishes import (
    SLOTS,
    close,
    give,
    merge,
    person,
    report,
    schedule,
    tag,
    untag,
    whose,
)
from synth.tooluse.tools import tools

MIN_FILES = 4
TEAMS = ("core", "docs", "release")
_DEFINITION = re.compile(r"^(?:async def|def|class) (\w{4,})", re.M)
KINDS = (
    "Crash in {name} with empty input", "{name} is slow for large input", "Docs of {name} are out of date", "Wrong result from {name}",
    "{name} ignores its second argument", "Add tests for {name}", "{name} leaks a file handle", "Unclear error message from {name}",
    "{name} fails on Windows", "Type hints of {name} are wrong", "{name} does not accept None", "Deprecate {name}",
)  # fmt: skip


def populate(draw: Draw, sources: Sequence[Source]) -> World | None:
    """Ten to sixteen issues about what the files of one repository define; None where no repository has four files with definitions."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        if source.path and _DEFINITION.search(source.text):
            groups.setdefault(source.group, []).append(source)
    large = [files for _, files in sorted(groups.items()) if len({file.path for file in files}) >= MIN_FILES]
    if not large:
        return None
    files = {
        file.path: file
        for file in sorted(draw.pick(large, "repository"), key=lambda file: (file.path, file.parent.id), reverse=True)
    }
    defined = [(name, path) for path in sorted(files) for name in dict.fromkeys(_DEFINITION.findall(files[path].text))]
    people = [
        [name.split()[0].lower() + draw.number(2, "login", name), name, draw.pick(TEAMS, "team", name)]
        for name in names.names(draw, 5)
    ]
    milestones = [[f"{1 + draw.below(5, 'major')}.{minor}", f"2026-{minor + 4:02d}-01"] for minor in range(3)]
    issues: list[list[Any]] = []
    labels: list[list[Any]] = []
    number, used = 20 + draw.below(400, "first"), set()
    for name, path in draw.shuffled(defined, "about")[: 10 + draw.below(7, "count")]:
        number += 1 + draw.below(9, "gap", name, path)
        title = draw.pick(KINDS, "kind", name, path).format(name=name)
        if title in used:
            continue
        used.add(title)
        assignee = draw.pick([None, *(row[0] for row in people[:4])], "assignee", name, path)
        state = draw.pick(("open", "open", "open", "closed: fixed"), "state", name, path)
        issues.append(
            [
                number,
                title,
                f"Seen in {path}: `{name}`.",
                path,
                state,
                assignee,
                draw.pick([None, milestones[0][0]], "milestone", name, path),
            ]
        )
        labels += [
            [number, label] for label in draw.shuffled(LABELS, "labels", name, path)[: draw.below(3, "n", name, path)]
        ]
    tables = {
        "today": [["2026-04-01"]],
        "people": people,
        "milestones": milestones,
        "issues": issues,
        "labels": labels,
        "comments": [],
    }
    paths = sorted({issue[3] for issue in issues})
    return World(tables, parents=tuple(files[path].parent for path in paths))


ISSUES = Environment(
    "issues", "You keep the issue tracker of a repository in order.", SCHEMA,
    tools((search_issues, get_issue, list_issues, find_person, list_milestones),
          (open_issue, assign, add_label, remove_label, set_milestone, comment, close_issue)),
    RULES, populate, person, (give, tag, untag, schedule, close, merge, report, whose), SLOTS, NOTES,
)  # fmt: skip
