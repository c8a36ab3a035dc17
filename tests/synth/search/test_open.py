"""Verdicts against the texts: each has a question that passes it and one that does not."""

import asyncio

import pytest

from synth.render import Turn
from synth.search.agent import ANSWERED, Scripted, Trace, attempt
from synth.search.engine import Engine
from synth.search.library import Library, contains, query_words
from synth.search.open import difficulty, single_hop, solvable, unique_open
from synth.search.policy import Searcher
from synth.search.task import Clue, Condition, Page, Query, Task
from synth.search.tools import Result
from synth.search.world import World

SITE = "https://lamps.example"
LIST = (
    "a" * 32,
    "Lamps of the north",
    "# Lamps of the north\n\nLamps that hang in northern harbours.\n\n## Lamps\n\n- [Alpha](/alpha)\n",
)
ALPHA = ("b" * 32, "Alpha", "# Alpha\n\nA lamp of amber glass for the pier.\n\n**Height**: 31 m\n")
FILLER = [(f"{n:032x}", f"Other {n}", f"# Other {n}\n\nA thing of no use to sailors, number {n}.\n") for n in range(12)]


def place(*pages: tuple[str, str, str]) -> tuple[Library, Engine]:
    made = [
        Page(id, f"{SITE}/{title.lower().replace(' ', '-')}", title, text.replace("](/", f"]({SITE}/"), None)
        for id, title, text in pages
    ]
    return Library(World(made)), Engine(made)


def task(*, asked: str = "height", answer: str = "31 m", question: str = "What towers above the quay?") -> Task:
    clues = (
        Clue(1, "description", Condition("mentions", ("northern", "harbours")), "", ()),
        Clue(1, "lamps", 0, "b" * 32, ()),
        Clue(0, "description", Condition("mentions", ("amber", "glass")), "", ()),
    )
    return Task(Query(2, clues, 0, asked), ("b" * 32, "a" * 32), question, answer, ())


RIVAL = "# Beta\n\n- item\n\n**Height**: 45 m\n\nits panes are of glass, once amber\n"
LINKED = "\nNext to [Beta](/beta) it is small.\n"


@pytest.mark.parametrize(
    ("about_beta", "on_the_list", "passed"),
    [
        (RIVAL, LINKED, False),  # nothing was mined that says so, but a reader may think so
        (RIVAL, "\nNext to Beta it is small.\n", False),  # a title is a link to a reader
        (RIVAL, "", True),  # not on the list at all
        (RIVAL.replace("# Beta", "# beta"), "\nNext to beta it is small.\n", True),  # any beta
        (RIVAL.replace("# Beta", "# beta 2"), "\nNext to beta 2 it is small.\n", False),
        (RIVAL.replace("amber", "green"), LINKED, True),  # the clue does not hold
        (
            RIVAL.replace("- item", "A lamp of green glass for the mole."),
            LINKED,
            True,
        ),  # it says something else of the same
        (RIVAL.replace("45 m", "31 m"), LINKED, True),  # the same answer
    ],
)
def test_unique_open_sees_what_was_not_mined(about_beta: str, on_the_list: str, passed: bool) -> None:
    listed = (LIST[0], LIST[1], LIST[2] + on_the_list)
    title = about_beta.partition("\n")[0][2:]
    library, engine = place(listed, ALPHA, ("c" * 32, title, about_beta), *FILLER)
    assert library.world.answers(task().query) == {"31 m"}  # unique in the closed world in any case
    verdict = unique_open(task(), library, engine)
    assert verdict["passed"] is passed
    assert verdict["rivals"] == ([] if passed else ["c" * 32])
    assert verdict["looked_at"] == len([page for page, _ in engine.ranked("amber glass", 50) if page.title != "Alpha"])


def test_unique_open_takes_a_value_that_merely_stands_there() -> None:
    clues = (*task().query.clues[:2], Clue(0, "colour", Condition("equals", ("Amber",)), "Amber", ()))
    wanted = task()._replace(query=task().query._replace(clues=clues))
    alpha = (ALPHA[0], ALPHA[1], ALPHA[2] + "**Colour**: Amber\n")
    for text, passed in ((RIVAL, False), (RIVAL.replace("amber", "ambers"), True)):
        library, engine = place((*LIST[:2], LIST[2] + LINKED), alpha, ("c" * 32, "Beta", text), *FILLER)
        assert unique_open(wanted, library, engine)["passed"] is passed


def test_unique_open_looks_at_all_pages_with_the_links_of_the_target() -> None:
    """Sixty pages are nearer to the clue's words than the rival, whose own words are many."""
    listed = (*LIST[:2], f"{LIST[2]}- [Beta](/beta)\n")
    nearer = [(f"{n:032x}", f"Near {n}", f"# Near {n}\n\n- amber glass\n") for n in range(60)]
    for text, passed in ((RIVAL, False), (RIVAL.replace("amber", "green"), True)):
        library, engine = place(listed, ALPHA, ("c" * 32, "Beta", text + "\n- more of it\n" * 99), *nearer)
        assert library.world.answers(task().query) == {"31 m"}
        assert "c" * 32 not in {page.id for page, _ in engine.ranked("amber glass", 50)}
        assert unique_open(task(), library, engine)["passed"] is passed


def test_a_page_of_the_question_is_no_rival_for_naming_itself() -> None:
    listed = (*LIST[:2], LIST[2] + "\n**Height**: 3 m\n\nLamps of the north, of amber and of glass.\n")
    clues = (task().query.clues[1], Clue(0, "material", Condition("mentions", ("amber", "glass")), "", ()))
    library, engine = place(listed, (*ALPHA[:2], ALPHA[2] + "**Material**: amber glass\n"), *FILLER)
    wanted = task()._replace(query=task().query._replace(clues=clues))
    assert unique_open(wanted, library, engine)["passed"]


def test_single_hop_fails_for_the_question_a_clue_or_a_pair() -> None:
    library, engine = place(LIST, ALPHA, *FILLER)
    apart = task()
    verdict = single_hop(apart, library, engine, hits=1)
    assert verdict == {"passed": False, "hits": 1, "question": 0, "clue": 1, "pair": 1}  # by the clue on the target
    vague = apart._replace(query=apart.query._replace(clues=apart.query.clues[:2]))
    assert single_hop(vague, library, engine, hits=1) == {
        "passed": True,
        "hits": 1,
        "question": 0,
        "clue": 0,
        "pair": 0,
    }
    told = vague._replace(question="How high is the amber glass of the pier?")
    assert single_hop(told, library, engine, hits=1)["question"] == 1
    assert not single_hop(told, library, engine, hits=1)["passed"]
    pair = apart._replace(
        query=Query(
            3,
            (
                Clue(1, "x", Condition("mentions", ("northern",)), "", ()),
                Clue(2, "x", Condition("mentions", ("pier",)), "", ()),
            ),
            0,
            "height",
        ),
        pages=("b" * 32, "a" * 32, "a" * 32),
    )
    both = ("c" * 32, "Gamma", "# Gamma\n\nnorthern pier, 31 m of it\n")
    alone = [("d" * 32, "Delta", "# Delta\n\nnorthern northern\n"), ("e" * 32, "Eta", "# Eta\n\npier pier\n")]
    library, engine = place(LIST, ALPHA, both, *alone, *FILLER)
    assert single_hop(pair, library, engine, hits=1) == {
        "passed": False,
        "hits": 1,
        "question": 0,
        "clue": 0,
        "pair": 1,
    }


def test_single_hop_of_a_title_asks_for_the_page_itself() -> None:
    library, engine = place(LIST, ALPHA, *FILLER)
    named = task(asked="", answer="Alpha")
    verdict = single_hop(
        named._replace(query=named.query._replace(clues=named.query.clues[:2])), library, engine, hits=1
    )
    assert verdict["passed"]  # the list has the title on it, but does not say that it is the answer
    assert not single_hop(named, library, engine, hits=1)["passed"]


def test_solvable_and_difficulty_count_what_was_done() -> None:
    library, engine = place(LIST, ALPHA, *FILLER)
    searcher = Searcher(task().query, library, seed=0, name="a", max_calls=20)
    trace = asyncio.run(attempt(Scripted(searcher.moves()), "Which?", engine))
    assert solvable(task(), trace) == {"passed": True, "ended": ANSWERED, "calls": trace.num_calls}
    assert not solvable(task(answer="32 m"), trace)["passed"]
    assert not solvable(task(), trace._replace(ended="too_long"))["passed"]
    found = difficulty(task(), library, trace, trace.num_calls, 1)
    assert found | {"calls": 0, "pages_read": 0} == {
        "passed": True,
        "calls": 0,
        "pages_read": 0,
        "hops": 1,
        "links": 1,
        "clues": 3,
        "fan_out": 1.0,
        "distractors": 12,
        "distractors_listed": len({page for result in trace.results for page in result.listed} - {LIST[0], ALPHA[0]}),
    }
    assert not difficulty(task(), library, trace, trace.num_calls + 1, 1)["passed"]
    assert not difficulty(task(), library, trace, trace.num_calls, 2)["passed"]


def test_hops_are_counted_from_the_furthest_page() -> None:
    links = (Clue(0, "r", 1, "", ()), Clue(2, "r", 1, "", ()), Clue(2, "r", 3, "", ()), Clue(0, "r", 4, "", ()))
    library, _ = place(LIST, ALPHA)
    chained = Task(Query(5, links, 0, ""), ("b" * 32,) * 5, "", "", ())
    assert difficulty(chained, library, Trace((Turn("user", ""),), "", (Result(""),)), 0, 1)["hops"] == 3


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("a red fox", "Red", True),
        ("a redder fox", "red", False),
        ("infra-red", "red", True),
        ("", "red", False),
        ("x", "", False),
        ("ared red", "red", True),
        ("c++ x", "C++", True),
    ],
)
def test_words_are_whole(text: str, words: str, found: bool) -> None:
    assert contains(text, words) is found


def test_a_query_has_words_that_stand_on_pages() -> None:
    assert query_words("license", Condition("equals", ("MIT",))) == "license MIT"
    assert query_words("description", Condition("mentions", ("a", "b"))) == "a b"
    assert query_words("size", Condition("at_least", ("10", "MB"))) == "size"
    assert query_words("title", Condition("begins", ("ab",))) == ""
