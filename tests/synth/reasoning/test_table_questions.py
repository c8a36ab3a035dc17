from fractions import Fraction

from synth.draw import Stream
from synth.reasoning.compare import is_right
from synth.reasoning.expression import exact, parse
from synth.reasoning.queries import run
from synth.reasoning.table_questions import Asked, questions
from synth.reasoning.tables import read

TABLE = read("""\
| City | People | Size | Coast |
|---|---|---|---|
| Aber | 100 | 2.5 | yes |
| Brun | 300 | 1.0 | no |
| Cole | 250 | 4.0 | yes |
| Dorn | 50 | 3.25 | partly |
| Esk | 75 | 9.5 | no |
""")


def asked() -> list[Asked]:
    assert TABLE is not None
    return [one for number in range(12) for one in questions(TABLE, "“Cities”", Stream(0, number), limit=8)]


def test_questions_show_the_table_and_have_the_answer_of_their_query() -> None:
    assert TABLE is not None
    for one in asked():
        assert TABLE.text in one.question
        assert "“Cities”" in one.question
        assert one.question.endswith(("?", "?.", "decimal?"))
        again = run(TABLE, one.query)
        assert again is not None
        assert one.answer == again or (one.compare == "number" and Fraction(one.answer) == Fraction(again))
        assert one.again is not None
        assert is_right(one.compare, one.answer, one.again)


def test_every_kind_is_asked_in_many_words() -> None:
    kinds = {one.query["ask"][0] for one in asked()}
    assert kinds == {"cell", "count", "distinct", "sum", "mean", "span", "most", "least", "rank", "less", "larger"}
    last_lines = {one.question.rsplit("\n", 1)[1] for one in asked()}
    assert len(last_lines) > 0.8 * len(asked())


def test_sums_in_the_thoughts_are_true_and_of_rows_that_are_used() -> None:
    assert TABLE is not None
    checked = 0
    for one in asked():
        if one.query["ask"][0] in ("sum", "mean", "less", "span"):
            left, right = one.thoughts.rsplit("\n", 1)[1].removeprefix("Largest less smallest: ").split(" = ")
            assert exact(parse(left)) == exact(parse(right)) == Fraction(one.answer)
            checked += 1
        assert one.thoughts.count("\n") >= one.num_rows
    assert checked > 10


def test_no_query_is_asked_twice_of_a_table_and_none_that_is_obvious() -> None:
    assert TABLE is not None
    for number in range(20):
        queries = [one.query for one in questions(TABLE, "T", Stream(1, number), limit=8)]
        assert len({str(query) for query in queries}) == len(queries) <= 8
    assert not any(one.query["ask"] == ["distinct", "City"] for one in asked())
    assert not any(one.query["ask"] == ["count"] and one.query["where"][0][:2] == ["City", "="] for one in asked())
