"""The scripted searcher: it finds what can be found, knows nothing but what it was shown, and gives up when it must."""

import asyncio

import pytest

from synth.search.agent import SILENT, Scripted, Trace, attempt
from synth.search.engine import Engine
from synth.search.knowledge import Knowledge, reading
from synth.search.library import Library
from synth.search.policy import Searcher
from synth.search.task import Clue, Condition, Page, Query, Span
from synth.search.tools import Result
from synth.search.voice import WORDINGS, Voice
from synth.search.world import World
from tests.synth.search.shipping import SITE, ships


@pytest.fixture(scope="module")
def place():
    world = World(ships())
    with Engine(world.pages.values()) as engine:
        yield Library(world), engine


def clue(subject: int, relation: str, object: int | Condition) -> Clue:
    return Clue(subject, relation, object, "", ())


def search(place, query: Query, *, max_calls: int = 40, seed: int = 0, name: str = "a") -> tuple[Trace, Searcher]:
    library, engine = place
    searcher = Searcher(query, library, seed=seed, name=name, max_calls=max_calls)
    return asyncio.run(attempt(Scripted(searcher.moves()), "Which?", engine)), searcher


def value(place, title: str, relation: str) -> str:
    library, _ = place
    page = next(page.id for page in library.pages.values() if page.title == title)
    return library.world.objects(page, relation)[0]


def mentions(place, title: str) -> Condition:
    told = value(place, title, "description").lower().rstrip(".").split()
    return Condition("mentions", tuple(word for word in told if len(word) > 5)[:4])


def test_it_follows_a_link_forward(place) -> None:
    library, _ = place
    yard = library.pages[value(place, "Hesper", "builder")]
    query = Query(2, (clue(1, "description", mentions(place, "Hesper")), clue(1, "builder", 0)), 0, "founded")
    trace, _ = search(place, query)
    assert trace.text == value(place, yard.title, "founded")
    assert next(call.name for turn in trace.turns for call in turn.calls) == "search"
    assert yard.id in trace.pages()


def test_it_finds_who_links_to_a_page(place) -> None:
    yard = place[0].pages[value(place, "Hesper", "builder")].title
    length = value(place, "Hesper", "length").split()[0]
    clues = (
        clue(1, "description", mentions(place, yard)),
        clue(0, "builder", 1),
        clue(0, "length", Condition("between", (length, length, "m"))),
    )
    trace, _searcher = search(place, Query(2, clues, 0, ""))
    found = next(page.id for page in place[0].pages.values() if page.title == trace.text)
    assert value(place, trace.text, "length").split()[0] == length
    assert place[0].world.objects(found, "builder") == [next(p.id for p in place[0].pages.values() if p.title == yard)]


def test_it_steps_back_from_a_dead_end(place) -> None:
    """Several barques fit the words; only one of them has the builder with these slipways."""
    library, _ = place
    world = library.world
    hesper = next(page.id for page in library.pages.values() if page.title == "Hesper")
    slips = value(place, library.pages[value(place, "Hesper", "builder")].title, "slipways")
    clues = (
        clue(0, "description", Condition("mentions", ("barque", "leith"))),
        clue(0, "builder", 1),
        clue(1, "slipways", Condition("equals", (slips,))),
        clue(0, "launched", Condition("equals", (world.objects(hesper, "launched")[0],))),
    )
    trace, _searcher = search(place, Query(2, clues, 0, "figurehead"), max_calls=80)
    assert trace.text == value(place, "Hesper", "figurehead")
    thoughts = " ".join(turn.think for turn in trace.turns)
    assert "Hesper" in thoughts


def test_dead_ends_are_counted_and_told(place) -> None:
    library, _ = place
    world = library.world
    captains = [page.id for page in library.pages.values() if "/captain/" in page.url]
    born = sorted(world.objects(captain, "born")[0] for captain in captains)[-1]
    clues = (
        clue(1, "description", Condition("mentions", ("barque",))),
        clue(1, "links to", 0),
        clue(0, "born", Condition("between", (born, born, ""))),
    )
    trace, searcher = search(place, Query(2, clues, 0, "certificate"), max_calls=100)
    assert (
        world.objects(next(c for c in captains if world.objects(c, "born")[0] == born), "certificate")[0] == trace.text
    )
    assert searcher.dead_ends > 0
    told = [wording.partition("{")[0] for wording in WORDINGS["dead_end"]]
    assert any(words and words in turn.think for turn in trace.turns for words in told) or "dead end" in str(
        trace.turns
    )


def test_it_gives_up_without_an_answer(place) -> None:
    impossible = Query(1, (clue(0, "description", Condition("mentions", ("zeppelin",))),), 0, "length")
    trace, _ = search(place, impossible)
    assert trace.ended == SILENT
    query = Query(2, (clue(1, "description", mentions(place, "Hesper")), clue(1, "builder", 0)), 0, "founded")
    trace, _ = search(place, query, max_calls=1)
    assert trace.ended == SILENT
    assert trace.num_calls == 1


def test_it_is_not_told_what_is_hidden(place) -> None:
    secret = Clue(0, "length", Condition("at_least", ("1", "m")), "hidden value", (Span("page", 3, 4),))
    told = reading(Query(1, (secret,), 0, "x"))
    searcher = Searcher(Query(1, (secret,), 0, "x"), place[0], seed=0, name="a", max_calls=1)
    assert searcher._query == told
    assert "hidden" not in repr(told)
    assert told.clues[0].spans == ()


def test_it_knows_a_fact_when_its_characters_were_shown(place) -> None:
    library, _ = place
    page = next(page for page in library.pages.values() if page.title == "Hesper")
    line = page.text.index("**Launched**")
    length = len("**Launched**: 1850-01-11")
    known = Knowledge(library)
    known.learn(Result("", (Span(page.id, line, length - 1),)))
    assert not known.is_told(page.id, "launched")
    known.learn(Result("", (Span(page.id, line + 4, length),)))  # together the line was seen
    assert known.values(page.id, "launched") == library.world.objects(page.id, "launched")
    assert not known.is_told(page.id, "length")
    known.learn(Result("", (Span(page.id, 0, len(page.text)),)))
    assert known.is_told(page.id, "length")
    assert known.unread_line(page.id) is None


def test_windows_one_after_the_other_are_one_text(place) -> None:
    library, _ = place
    page = next(page for page in library.pages.values() if page.title == "Hesper")
    end = page.text.index("\n", page.text.index("**Launched**"))
    known = Knowledge(library)
    known.learn(Result("", (Span(page.id, 0, end),)))
    assert known.unread_line(page.id) == page.text.count("\n", 0, end) + 2
    known.learn(Result("", (Span(page.id, end + 1, len(page.text) - end - 1),)))
    assert known.unread_line(page.id) is None


def test_it_knows_a_fact_from_whichever_page_states_it() -> None:
    lamp = Page("b" * 32, f"{SITE}/lamp", "Lamp", "# Lamp\n\n**Height**: 31 m\n", None)
    rows = f"| Lamp | Height |\n|---|---|\n| [Lamp]({lamp.url}) | 31 m |\n"
    table = [Page(sign * 32, f"{SITE}/{sign}", f"Table {sign}", f"# Table {sign}\n\n{rows}", None) for sign in "ac"]
    library = Library(World([lamp, *table]))
    for page in (lamp, *table):
        known = Knowledge(library)
        known.learn(Result("", (Span(page.id, 0, len(page.text)),)))
        assert known.values(lamp.id, "height") == ["31 m"]


def makers(*pages: tuple[str, str]) -> tuple[Library, Engine]:
    made = [
        Page(f"{n:032x}", f"{SITE}/{title.lower()}", title, f"# {title}\n\n{text}", None)
        for n, (title, text) in enumerate(pages)
    ]
    return Library(World(made)), Engine(made)


def test_it_takes_no_page_without_the_link_or_without_what_is_asked() -> None:
    vulcan, filler = f"[Vulcan]({SITE}/vulcan)", "words of no use to anybody at all " * 20
    place = makers(
        ("Vulcan", "A forge that made anchors of gilded iron.\n"),
        ("First", f"**Rival of**: {vulcan}\n**Weight**: 1 t\n\n{filler}\n\nmaker Vulcan maker Vulcan maker Vulcan\n"),
        ("Second", f"**Maker**: {vulcan}\n\n{filler}\n\nmaker Vulcan maker Vulcan\n"),
        (
            "Third",
            f"**Maker**: {vulcan}\n**Weight**: 3 t\n\nOf all that was ever made there this is the heaviest.\n\n{filler * 4}\n",
        ),
    )
    query = Query(
        2, (clue(1, "description", Condition("mentions", ("gilded", "iron"))), clue(0, "maker", 1)), 0, "weight"
    )
    trace, _ = search(place, query)
    assert trace.text == "3 t"
    read = [call.arguments["page"] for turn in trace.turns for call in turn.calls if call.name == "open"]
    assert f"{SITE}/second" in read  # it came first
    assert len(read) == len(set(read))


def test_a_mention_is_no_link() -> None:
    forge = ("Vulcan", "A forge that made anchors of gilded iron.\n")
    rival = ("First", f"**Rival of**: [Vulcan]({SITE}/vulcan)\n**Maker**: somebody else\n**Weight**: 1 t\n")
    query = Query(
        2, (clue(1, "description", Condition("mentions", ("gilded", "iron"))), clue(0, "maker", 1)), 0, "weight"
    )
    trace, _ = search(makers(forge, rival), query)
    assert trace.ended == SILENT
    linked = (rival[0], rival[1].replace("somebody else", f"[Vulcan]({SITE}/vulcan)"))
    assert search(makers(forge, linked), query)[0].text == "1 t"


def test_it_takes_no_page_twice() -> None:
    at = {name: f"[{name}]({SITE}/{name.lower()})" for name in ("Anvil", "Bellows", "Crucible")}
    place = makers(
        ("Anvil", f"A block of gilded iron for smiths.\n\n**Neighbour**: {at['Bellows']}\n**Weight**: 1 t\n"),
        (
            "Bellows",
            f"A bag of leather for the fire.\n\n**Neighbour**: {at['Anvil']}; {at['Crucible']}\n**Weight**: 2 t\n",
        ),
        ("Crucible", "A pot for the melt.\n\n**Weight**: 3 t\n"),
    )
    clues = (
        clue(2, "description", Condition("mentions", ("gilded", "iron"))),
        clue(2, "neighbour", 1),
        clue(1, "neighbour", 0),
    )
    trace, _ = search(place, Query(3, clues, 0, "weight"))
    assert trace.text == "3 t"


def test_it_reads_a_list_to_its_end_and_finds_labels_far_down() -> None:
    filler = "\n\n".join(f"Paragraph {number} says nothing that would matter to anybody." for number in range(80))
    rows = "".join(f"- [Ship {number}]({SITE}/s/{number})\n" for number in range(70))
    pages = [
        Page(
            "a" * 32,
            f"{SITE}/fleet",
            "Fleet",
            f"# Fleet\n\nThe fleet of the amber company, listed in full.\n\n## Vessels\n\n{rows}",
            None,
        ),
        *(
            Page(f"{n:032x}", f"{SITE}/s/{n}", f"Ship {n}", f"# Ship {n}\n\n{filler}\n\n**Tonnage**: {100 + n}\n", None)
            for n in range(70)
        ),
    ]
    world = World(pages)
    with Engine(pages) as engine:
        clues = (
            clue(1, "description", Condition("mentions", ("amber", "company"))),
            clue(1, "vessels", 0),
            clue(0, "title", Condition("equals", ("Ship 68",))),
        )
        trace, _ = search((Library(world), engine), Query(2, clues, 0, "tonnage"))
    assert trace.text == "168"
    assert "find" in {call.name for turn in trace.turns for call in turn.calls}


def test_wordings_differ_by_task_and_are_drawn_the_same_again(place) -> None:
    query = Query(2, (clue(1, "description", mentions(place, "Hesper")), clue(1, "builder", 0)), 0, "founded")
    traces = {name: search(place, query, name=name)[0] for name in "abcdef"}
    assert search(place, query, name="a")[0] == traces["a"]
    assert len({tuple(turn.think for turn in trace.turns) for trace in traces.values()}) == len(traces)


def test_every_wording_can_be_said() -> None:
    values = dict.fromkeys(
        [
            "page",
            "pages",
            "anchor",
            "Anchor",
            "clues",
            "query",
            "wanted",
            "count",
            "relation",
            "origin",
            "both",
            "patterns",
            "line",
            "reasons",
            "reason",
            "asked",
            "answer",
            "start",
            "results",
        ],
        "x",
    )
    for what, wordings in WORDINGS.items():
        said = {Voice(seed, "n")(what, **values) for seed in range(80)}
        assert len(said) == len(set(wordings)) or len(wordings) > 5
