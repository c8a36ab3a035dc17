import pytest

from synth.draw import Stream
from synth.reasoning.joined_tables import questions, run, run_again
from synth.reasoning.tables import Table, read


def table(source: str) -> Table:
    made = read(source)
    assert made is not None
    return made


CITIES = table("| City | Land |\n|--|--|\n| Aber | Wales |\n| Brun | Czechia |\n| Cole | Wales |\n| Dorn | - |\n")
LANDS = table(
    "| State | Capital | Rank |\n|--|--|--|\n| Wales | Cardiff | 1 |\n| Czechia | - | 2 |\n| - | None | 3 |\n"
)


@pytest.mark.parametrize(
    ("cell", "link", "key", "wanted", "answer"),
    [
        ("Aber", "Land", "State", "Capital", "Cardiff"),
        ("Aber", "Land", "State", "Rank", "1"),
        ("Brun", "Land", "State", "Capital", None),  # an empty cell
        ("Nowhere", "Land", "State", "Capital", None),
        ("Aber", "City", "State", "Capital", None),  # nothing is shared
    ],
)
def test_a_row_leads_to_a_row(cell: str, link: str, key: str, wanted: str, answer: str | None) -> None:
    query = {"where": [["City", "=", cell]], "ask": ["joined", link, key, wanted]}
    assert run(CITIES, LANDS, query) == answer
    assert run_again(CITIES, LANDS, query) == answer


def test_two_rows_have_no_single_answer() -> None:
    query = {"where": [["Land", "=", "Wales"]], "ask": ["joined", "Land", "State", "Capital"]}
    assert run(CITIES, LANDS, query) is None
    assert run_again(CITIES, LANDS, query) is None
    back = {"where": [["Capital", "=", "Cardiff"]], "ask": ["joined", "State", "Land", "City"]}
    assert run(LANDS, CITIES, back) is None
    assert run_again(LANDS, CITIES, back) is None


def test_questions_show_both_tables_and_the_way() -> None:
    found = [one for number in range(8) for one in questions([CITIES, LANDS], "“Lands”", Stream(0, number), limit=8)]
    assert found
    for one in found:
        assert one.first.text in one.asked.question
        assert one.second.text in one.asked.question
        assert one.asked.answer == one.asked.again == run(one.first, one.second, one.asked.query)
        assert one.asked.thoughts.endswith(f"So: {one.asked.answer}")
        assert "“Lands”" in one.asked.question
    assert {one.asked.answer for one in found} == {"Cardiff", "1", "2", "Brun"}


def test_tables_without_shared_cells_and_too_many_pairs_are_left() -> None:
    other = table("| A | B |\n|--|--|\n| x | 1 |\n| y | 2 |\n| z | 3 |\n")
    assert list(questions([CITIES, other], "T", Stream(0, 0), limit=8)) == []
    assert len(list(questions([CITIES, LANDS] * 20, "T", Stream(0, 0), limit=3))) <= 3


def test_a_column_is_not_looked_up_under_another_name_where_its_own_is_there() -> None:
    values = table(
        "| JSON | Graph | Python |\n|--|--|--|\n| Array | List | list |\n| Bool | Bool | bool |\n| Map | Obj | dict |\n"
    )
    others = table("| JSON | Graph |\n|--|--|\n| Array | List |\n| Bool | Bool |\n| null | Null |\n")
    found = [one for number in range(20) for one in questions([values, others], "T", Stream(0, number), limit=8)]
    assert found
    assert all(one.asked.query["ask"][1] == one.asked.query["ask"][2] for one in found)
    renamed = table("| Data | Use |\n|--|--|\n| Array | rows |\n| Bool | flags |\n| null | none |\n")
    other_names = [one for number in range(20) for one in questions([others, renamed], "T", Stream(0, number), limit=8)]
    assert {tuple(one.asked.query["ask"][1:3]) for one in other_names} >= {("JSON", "Data")}
