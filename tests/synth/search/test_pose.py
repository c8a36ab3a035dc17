import itertools
import random
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from curation.extraction.linked_text import markdown
from synth.search.closed import alone
from synth.search.generalise import holds
from synth.search.leaks import leaked, names_of
from synth.search.pages import title_of
from synth.search.pose import TURNS_PER_QUESTION, Posed, _targets, check, host_of, pose
from synth.search.task import Condition, Page, Task
from synth.search.world import World
from tests.synth.search.bridges import bridges

WORLD = World(bridges())


def posed(number: int, world: World = WORLD, **options: float) -> list[Posed]:
    return list(itertools.islice(pose(world, seed=5, tries=400, **options), number))  # type: ignore[arg-type]


def is_good(one: Posed) -> bool:
    return all(verdict["passed"] for verdict in one.verdicts.values())


def test_questions_have_one_answer_and_say_no_name() -> None:
    good = [one for one in posed(100) if is_good(one)]
    assert len(good) >= 20
    for one in good:
        assert len(one.verdicts) == 6
        assert WORLD.answers(one.task.query) == {one.task.answer.casefold()}
        assert leaked(one.task.question, names_of(WORLD.pages[page] for page in one.task.pages)) == []
        assert alone(WORLD, one.task.query) >= 3
        for clue in one.task.query.clues:
            if isinstance(clue.object, Condition):
                assert holds(clue.object, clue.value)
            else:
                assert clue.value == one.task.pages[clue.object]


def test_every_page_of_a_task_is_an_instance_of_its_query() -> None:
    for one in posed(60):
        if is_good(one):
            assert one.task.pages in WORLD.bindings(one.task.query, 100)


def test_a_task_survives_its_json() -> None:
    for one in posed(20):
        assert Task.from_json(one.task.as_json()) == one.task


def test_the_same_seed_gives_the_same_questions_in_any_order_of_pages() -> None:
    pages = bridges()
    random.Random(7).shuffle(pages)
    assert posed(40, World(pages)) == posed(40)
    assert next(pose(WORLD, seed=6)) != next(pose(WORLD, seed=5))


def test_a_target_is_asked_the_same_once() -> None:
    asked = Counter((one.task.pages[0], one.task.query.asked) for one in posed(300) if is_good(one))
    assert max(asked.values()) == 1


def test_obfuscation_makes_clues_vaguer() -> None:
    exact, vague = (
        Counter(
            condition.how for one in posed(150, obfuscation=strength) if is_good(one) for condition in conditions(one)
        )
        for strength in (0.0, 1.0)
    )
    assert exact["equals"] > vague["equals"] > 0  # a search begins somewhere
    assert vague["century"] + vague["at_least"] > exact["century"] + exact["at_least"]


def conditions(one: Posed) -> list[Condition]:
    return [clue.object for clue in one.task.query.clues if isinstance(clue.object, Condition)]


def test_queries_stay_within_their_pages() -> None:
    assert {one.task.query.num_variables for one in posed(80, max_variables=2)} <= {1, 2}
    assert max(one.task.query.num_variables for one in posed(200)) > 2


def test_hosts_take_turns_and_the_one_with_fewest_questions_is_next() -> None:
    pages = [
        Page(f"{host}{number}", f"https://{host}.example/{number}", f"{host} {number}", "", None)
        for host, count in (("large", 400), ("small", 5))
        for number in range(count)
    ]
    world, taken = World(pages), Counter[str]()
    turns = _targets(world, 0, taken)
    drawn = list(itertools.islice(turns, 40))
    assert Counter(host_of(world, page) for page, _ in drawn) == {"large.example": 20, "small.example": 20}
    assert sorted(turn for page, turn in drawn if page.startswith("small")) == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    taken["small.example"] = 2
    later = Counter(host_of(world, page) for page, _ in itertools.islice(turns, 2 * TURNS_PER_QUESTION))
    assert later["large.example"] >= 2 * TURNS_PER_QUESTION - 2


def test_pages_of_a_query_differ_and_the_target_alone_fits_several() -> None:
    for one in posed(200):
        assert len(set(one.task.pages)) == len(one.task.pages)
        assert one.verdicts.get("structure", {"alone": 3})["alone"] >= 3
        assert (
            leaked(" ".join(word for condition in conditions(one) for word in condition.args), [one.task.answer]) == []
        )


def test_a_world_without_links_has_no_questions() -> None:
    pages = [
        Page(str(number), f"https://h.example/{number}", f"Page {number}", f"# Page {number}", None)
        for number in range(9)
    ]
    assert posed(9, World(pages)) == []
    assert posed(9, World([])) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"obfuscation": 1.5}, "from 0"),
        ({"max_variables": 6}, "2 to 5"),
        ({"max_variables": 1}, "2 to 5"),
        ({"min_variables": 4, "max_variables": 3}, "2 to max_variables, 3"),
    ],
)
def test_parameters_that_cannot_be_meant(options: dict[str, float], words: str) -> None:
    check()
    with pytest.raises(ValueError, match=words):
        check(**options)  # type: ignore[arg-type]


@pytest.mark.data
def test_a_real_manual_is_asked_about(shared_data: Path, tmp_path: Path) -> None:
    world = World(manual(shared_data / "wiki" / "sqlite3-doc.tar.gz"))
    assert len(world.facts) > 2_000
    tried = posed(150, world)
    good = [one for one in tried if is_good(one)]
    assert len(good) > 10
    assert {name for one in tried for name, verdict in one.verdicts.items() if not verdict["passed"]} >= {
        "unique_closed_world"
    }
    templates = Counter(one.template for one in good)
    assert max(templates.values()) < 0.4 * len(good)


def manual(archive: Path) -> list[Page]:
    """Half of the pages, whose links to the other half lead nowhere."""
    pages = []
    with tarfile.open(archive) as files:
        for member in files:
            if member.name.endswith(".html") and len(member.name) % 2:
                url = f"https://manual.example/{member.name}"
                found = markdown(files.extractfile(member).read().decode("utf-8", "replace"), 100_000, url=url)  # type: ignore[union-attr]
                assert found is not None
                text = found.kept.restore(found.text)[0]
                if title := title_of(text, found.facts.get("title", "")):
                    pages.append(Page(member.name, url, title, text, "blessing"))
    return pages


def test_the_title_of_a_page_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a page of a thousand lines it takes 3 ms, and a small world is drawn from 20,000 times."""
    looked: list[str] = []
    monkeypatch.setattr("synth.search.sample.lines", lambda text: looked.append(text) or iter(()))
    world = World(bridges())
    list(pose(world, seed=5, tries=2_000))
    assert 0 < len(looked) <= len(world.pages)
