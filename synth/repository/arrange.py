"""From the files of a repository to its documents: which files, in which order, and what the imports between them became."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from synth.repository import companions, imports, order, split
from synth.repository.file import Edge, File, Tree


class Part(NamedTuple):
    numbers: list[int]  # of files, in the order of the text
    num_edges: int  # imports between them
    num_broken: int  # of these, imports whose file comes later: each is part of a cycle of this part
    num_divided: int  # imports of files that stand in another part


def arranged(tree: Tree, sizes: list[int], capacity: int) -> list[Part]:
    """Every file of the tree in exactly one part of at most `capacity` by `sizes`; a file that is larger stands alone."""
    files = tree.files
    imported = imports.edges(tree)
    needed = {dependency for dependency, _ in imported}  # a companion that is imported could close a cycle
    linked = imported | {pair for pair in companions.companions(files) if pair[1] not in needed}
    sequence, component = _neighbours(files, linked)
    place = {number: index for index, number in enumerate(sequence)}
    parts = split.parts(files, sizes, sequence, linked, capacity)
    part_of = {number: index for index, part in enumerate(parts) for number in part}
    within: dict[int, list[Edge]] = defaultdict(list)
    for dependency, dependant in linked:
        if part_of[dependency] == part_of[dependant]:
            within[part_of[dependency]].append((dependency, dependant))
    can_follow = {n for n, file in enumerate(files) if file.role == "documentation" or companions.is_test(file)}
    ordered = [_in_order(part, within[index], place, can_follow) for index, part in enumerate(parts)]
    return _counted([sorted(part, key=component.__getitem__) for part in ordered], imported)


def _neighbours(files: Sequence[File], edges: set[Edge]) -> tuple[list[int], list[int]]:
    """All files component by component, folder by folder; and the component of each file."""
    by_rank = sorted(range(len(files)), key=lambda number: companions.rank_key(files[number].path))
    labels = companions.with_folders(files, order.connected(len(files), edges), edges)
    first: dict[int, int] = {}  # of each component: the place of its first file
    for rank, number in enumerate(by_rank):
        first.setdefault(labels[number], rank)
    component = [first[label] for label in labels]
    return sorted(by_rank, key=component.__getitem__), component


def _in_order(part: list[int], edges: list[Edge], place: dict[int, int], can_follow: set[int]) -> list[int]:
    """The files of a part, each after those of the part that it depends on."""
    local = {number: index for index, number in enumerate(part)}
    within = [(local[dependency], local[dependant]) for dependency, dependant in edges]
    followers = {dependant for _, dependant in within if part[dependant] in can_follow}
    return [part[index] for index in order.ordered([place[number] for number in part], followers, within)]


def _counted(parts: list[list[int]], imported: set[Edge]) -> list[Part]:
    at = {number: (index, place) for index, part in enumerate(parts) for place, number in enumerate(part)}
    edges, broken, divided = ([0] * len(parts) for _ in range(3))
    for dependency, dependant in imported:
        (its_part, before), (part, place) = at[dependency], at[dependant]
        if its_part != part:
            divided[part] += 1
        else:
            edges[part] += 1
            broken[part] += before > place
    return [Part(*counts) for counts in zip(parts, edges, broken, divided, strict=True)]
