"""From files to documents: what the parts hold and what is counted of them."""

from synth.repository import arrange
from tests.synth.repository.trees import tree


def arranged(texts: dict[str, str], capacity: int = 10_000) -> list[tuple[list[str], int, int, int]]:
    found = tree(texts)
    parts = arrange.arranged(found, [max(1, len(text)) for text in texts.values()], capacity)
    return [([found.files[n].path for n in part.numbers], *part[1:]) for part in parts]


def test_components_one_after_the_other_each_in_its_order() -> None:
    texts = {
        "a/1.py": "import b.1",
        "a/2.py": "from a import 1x",
        "b/1.py": "",
        "a/0.md": "",
        "c/1.py": "import c.2",
        "c/2.py": "",
        "x": "",
    }
    [(paths, edges, broken, divided)] = arranged(texts)
    assert paths == ["x", "a/0.md", "a/2.py", "b/1.py", "a/1.py", "c/2.py", "c/1.py"]
    assert (edges, broken, divided) == (2, 0, 0)


def test_components_stay_apart_where_one_is_a_cycle() -> None:
    texts = {"a.py": "import b", "b.py": "import a", "c.py": "", "d.py": "import c"}
    assert arranged(texts)[0][0] == ["a.py", "b.py", "c.py", "d.py"]


def test_a_part_is_ordered_by_the_imports_within_it_and_counts_the_others() -> None:
    texts = {"a.py": "import b", "b.py": "import c", "c.py": "import a"}
    assert arranged(texts) == [(["a.py", "c.py", "b.py"], 3, 1, 0)]
    [(first, *counts), (second, *others)] = arranged(texts, 16)
    assert (len(first), len(second)) == (2, 1)
    assert (counts, others) == ([1, 0, 1], [0, 0, 1])


def test_a_test_that_is_imported_does_not_wait_for_the_file_of_its_name() -> None:
    [(paths, edges, broken, _)] = arranged({"a.py": "import test_b", "b.py": "import a", "test_b.py": ""})
    assert (paths, edges, broken) == (["test_b.py", "a.py", "b.py"], 2, 0)


def test_a_test_stands_in_the_row_of_its_file() -> None:
    texts = {"p/a.py": "#" * 40, "p/b.py": "#" * 40, "tests/test_b.py": "#" * 40, "tests/test_a.py": "#" * 40}
    assert [paths for paths, *_ in arranged(texts, 80)] == [
        ["p/a.py", "tests/test_a.py"],
        ["p/b.py", "tests/test_b.py"],
    ]
