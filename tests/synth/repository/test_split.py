"""Cutting into rows: what is kept whole, what is kept together, and how full rows are."""

from hypothesis import given
from hypothesis import strategies as st

from synth.repository.file import File
from synth.repository.split import parts


@st.composite
def repositories(draw: st.DrawFn) -> tuple[list[File], list[int], set[tuple[int, int]], int]:
    count = draw(st.integers(1, 30))
    folders = st.sampled_from(["", "a/", "a/b/", "c/"])
    files = [File(f"{draw(folders)}{number}") for number in range(count)]
    sizes = [draw(st.integers(0, 130)) for _ in files]
    node = st.integers(0, count - 1)
    edges = draw(st.sets(st.tuples(node, node), max_size=40))
    return files, sizes, {(one, other) for one, other in edges if one != other}, 100


@given(repositories(), st.randoms())
def test_every_file_is_in_one_part_and_no_part_outgrows_a_row(repository, shuffle) -> None:
    files, sizes, edges, capacity = repository
    sequence = list(range(len(files)))
    shuffle.shuffle(sequence)
    found = parts(files, sizes, sequence, edges, capacity)
    assert sorted(number for part in found for number in part) == list(range(len(files)))
    for part in found:
        assert sum(sizes[number] for number in part) <= capacity or len(part) == 1
    assert len(found) == 1 or sum(sizes) > capacity
    firsts = [min(sequence.index(number) for number in part) for part in found]
    assert firsts == sorted(firsts)


def split(paths: str, sizes: list[int], edges: set[tuple[int, int]], capacity: int = 100) -> list[list[int]]:
    files = [File(path) for path in paths.split()]
    return [sorted(part) for part in parts(files, sizes, range(len(files)), edges, capacity)]


def test_components_that_fit_are_kept_whole() -> None:
    assert split("a/1 a/2 a/3 a/4", [50] * 4, {(0, 2), (1, 3)}) == [[0, 2], [1, 3]]


def test_of_the_imports_of_a_large_component_the_rare_ones_hold() -> None:
    # 0 is what everybody imports, 1 and 4 are imported by one file each
    assert split("0 1 2 3 4 5", [50] * 6, {(0, n) for n in range(1, 6)} | {(1, 5), (4, 2)}) == [[0, 3], [1, 5], [2, 4]]


def test_a_link_within_a_folder_is_the_stronger_one() -> None:
    assert split("a/0 b/1 a/2", [50] * 3, {(0, 1), (0, 2)}) == [[0, 2], [1]]


def test_the_rest_goes_where_its_folder_is_and_then_where_it_fits_best() -> None:
    assert split("a/1 b/1 b/c/1", [70, 60, 30], set()) == [[0], [1, 2]]
    assert split("a/1 b/1 c/1", [70, 60, 30], set()) == [[0, 2], [1]]
    assert split("a/1 b/1 c/1", [60, 70, 35], set()) == [[0, 2], [1]]


def test_a_file_larger_than_a_row_stands_alone() -> None:
    assert split("a b c", [10, 101, 10], {(0, 1), (1, 2)}) == [[0, 2], [1]]
