import time

import pytest

from synth.search.markdown import LINK, cells, lines, plain
from synth.search.mine import first_sentence, label, mine
from synth.search.task import Fact, Page
from tests.synth.search.bridges import SITE, bridges, link, page

IDS = {page.url: page.id for page in bridges()}


def mined(text: str, name: str = "Elm Bridge") -> list[tuple[str, str, str, str]]:
    facts = mine(page(name, text), IDS.get)
    check_spans(page(name, text), facts)
    return [(fact.relation, fact.object, fact.how, fact.subject.removeprefix("id-")) for fact in facts]


def check_spans(source: Page, facts: list[Fact]) -> None:
    for fact in facts:
        written = source.text[fact.span.start : fact.span.start + fact.span.length]
        if fact.is_page:
            assert fact.object in [IDS.get(found[2]) for found in LINK.finditer(written)]
        else:
            assert fact.object in " ".join(plain(written).split())


def test_pairs_are_values_pages_or_words_apart_by_semicolons() -> None:
    text = f"**Material**: iron; red  brick\n**Crosses**: {link('Orra')}; [a ford](https://elsewhere.example/)"
    assert mined(text) == [
        ("material", "iron", "infobox", "elm-bridge"),
        ("material", "red brick", "infobox", "elm-bridge"),
        ("crosses", "a ford", "infobox", "elm-bridge"),
        ("crosses", "id-orra", "infobox", "elm-bridge"),
    ]


def test_pairs_below_more_headings_are_about_something_else() -> None:
    assert mined("## One\n\n## Two\n\n**Material**: iron") == []


@pytest.mark.parametrize("name", ["f(x)", "a very long name that is no label", "self.name", "42", "x = y"])
def test_what_is_no_label_names_no_relation(name: str) -> None:
    assert label(name) == ""
    assert mined(f"**{name}**: iron") == []


def test_rows_are_about_the_page_they_link_to() -> None:
    text = f"| Year | Work | Note |\n|---|---|---|\n| 1904 | {link('Fir Bridge')} | short |\n| 1905 | Unknown | none |"
    assert sorted(mined(text)) == [
        ("note", "short", "table", "fir-bridge"),
        ("work", "id-fir-bridge", "table", "elm-bridge"),
        ("year", "1904", "table", "fir-bridge"),
    ]


def test_rows_without_a_header_state_nothing() -> None:
    assert mined(f"| 1904 | {link('Fir Bridge')} |\n| 1905 | x |") == []


def test_links_are_named_by_their_heading_or_the_words_before_them() -> None:
    listed = f"- {link('Fir Bridge')}\n- Near {link('Gum Bridge')}"
    text = f"## Neighbours\n\n{listed}\n\nIt is based on {link('Ivy Bridge')}, see {link('Orra')}."
    assert [fact[:2] for fact in mined(text) if fact[0] != "description"] == [
        ("neighbours", "id-fir-bridge"),
        ("links to", "id-gum-bridge"),
        ("based on", "id-ivy-bridge"),
        ("links to", "id-orra"),
    ]


def test_a_link_that_is_a_relation_already_is_no_loose_one() -> None:
    assert [fact[0] for fact in mined(f"**Crosses**: {link('Orra')}\n\nOver {link('Orra')}.")] == ["crosses"]


def test_links_to_nowhere_and_to_the_page_itself_are_no_facts() -> None:
    assert mined(f"A bridge, [here]({SITE}gone) and {link('Elm Bridge')}, not {link('Elm Bridge')}.")[1:] == []


def test_a_list_of_everything_links_to_nothing() -> None:
    ids = {f"{SITE}{number}": f"id-{number}" for number in range(80)}
    source = page("All", " ".join(f"[p]({url})" for url in ids))
    assert [fact for fact in mine(source, ids.get) if fact.relation == "links to"] == []


def test_the_first_sentence_defines() -> None:
    assert mined("Menu\n\nA bridge by J. Doe, e.g. for carts. It is old.") == [
        ("description", "A bridge by J. Doe, e.g. for carts.", "definition", "elm-bridge")
    ]
    assert mined("int open(const char *name, int flags);\n\n[A link of several words](https://x.example/)") == []
    assert first_sentence("No stop here") == "No stop here"


def test_lines_know_their_place() -> None:
    text = "# A\n\n  - b [c](https://d.example/)\n\n| H |\n|---|\n| x \\| y |\n| z |\n\ntext"
    found = list(lines(text))
    assert [line.kind for line in found] == ["heading", "item", "header", "row", "row", "text"]
    assert all(text[line.value_start :].startswith(line.value) for line in found)
    assert cells(found[3].value) == ["x | y"]


def test_hostile_pages_cost_little() -> None:
    started = time.process_time()
    for text in (
        "[" * 500_000,
        "**" * 300_000,
        "| " * 300_000,
        "[a](https://" * 50_000,
        "a. " * 200_000,
        "## \n" * 100_000,
    ):
        mine(page("Elm Bridge", text), IDS.get)
    assert time.process_time() - started < 5
