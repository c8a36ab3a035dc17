"""The files of a real repository: find, read, move, copy, change, delete. All of it comes from documents of one repository."""

from collections.abc import Sequence

from synth.draw import Draw
from synth.tooluse.environment import Environment, Source, World
from synth.tooluse.environments.files.policy import NOTES, RULES
from synth.tooluse.environments.files.tools import (
    SCHEMA,
    append_line,
    copy_file,
    delete_file,
    list_files,
    move_file,
    read_file,
    replace_text,
    search,
    set_constant,
    write_file,
)
from synth.tooluse.environments.files.wishes import (
    SLOTS,
    create,
    duplicate,
    locate,
    longest,
    note,
    person,
    remove,
    rename,
    tune,
)
from synth.tooluse.tools import tools

MIN_FILES, MAX_FILES = 4, 12
MAX_CHARS = 1_500  # of a file; a longer one is cut at a line


def populate(draw: Draw, sources: Sequence[Source]) -> World | None:
    """The files of the repository with most of them, 4 to 12; None where no repository has so many."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        if source.path and source.text.strip() and "\r" not in source.text:
            groups.setdefault(source.group, []).append(source)
    large = [files for _, files in sorted(groups.items()) if len({file.path for file in files}) >= MIN_FILES]
    if not large:
        return None
    files = {
        file.path: file
        for file in sorted(draw.pick(large, "repository"), key=lambda file: (file.path, file.parent.id), reverse=True)
    }
    chosen = sorted(draw.shuffled(sorted(files), "files")[: MIN_FILES + draw.below(MAX_FILES - MIN_FILES + 1, "count")])
    rows = [[path, _cut(files[path].text)] for path in chosen]
    return World({"today": [["2026-06-01"]], "files": rows}, parents=tuple(files[path].parent for path in chosen))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[: text.rfind("\n", 0, MAX_CHARS) + 1] or text[:MAX_CHARS]


FILES = Environment(
    "files", "You work on the files of a repository, for its maintainers.", SCHEMA,
    tools((list_files, read_file, search), (move_file, copy_file, write_file, replace_text, set_constant, append_line, delete_file)),
    RULES, populate, person, (rename, duplicate, remove, locate, tune, note, create, longest), SLOTS, NOTES,
)  # fmt: skip
