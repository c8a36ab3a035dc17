from synth.rephrase.pieces import Quote, shown
from synth.rephrase.told import inside, once, told_facts
from tests.synth.rephrase.pages import MANUAL, passage, source


def test_every_part_of_a_fact_has_its_place() -> None:
    facts = told_facts(source(), seed=0)
    words = [(told.kind, *told.words(MANUAL)) for told in facts]
    assert (
        "parameter",
        "shelf.store.put(key, value)",
        "key",
        "The name under which the value can be found again.",
    ) in words
    assert (
        "raises",
        "shelf.store.put(key, value)",
        "KeyError",
        "If the key holds a slash or is longer than 40 characters.",
    ) in words
    assert ("returns", "shelf.store.get(key)", "", "the value that was written last under the key.") in words
    assert len(facts) == 8


def test_facts_that_would_be_shown_under_one_name_are_left_out() -> None:
    twice = MANUAL.replace("shelf.store.get(key)", "shelf.store.count()")
    assert {told.words(twice)[0] for told in told_facts(source(twice), seed=0)} == {
        "shelf.store.put(key, value)",
        "shelf.store.sweep(age)",
    }


def test_methods_of_two_classes_that_only_their_class_tells_apart_are_left_out() -> None:
    page = (
        "class Shelf(object)\n- add(item)\n- {}\n- drop(item)\n- Takes an item out and puts the others closer together.\n"
        "class Box(object)\n- add(item)\n- {}\n"
    )
    text = page.format("Puts an item beside those that are there.", "Lays an item on top of whatever is inside.")
    assert [told.words(text)[0] for told in told_facts(source(text, kind="web"), seed=0)] == ["drop"]


def test_an_answer_that_goes_on_elsewhere_is_left_out() -> None:
    cut = MANUAL.replace(
        "How many days a value may stay without being read.", "How many days a value may stay there, or"
    )
    assert "age" not in {told.words(cut)[1] for told in told_facts(source(cut), seed=0)}


def test_inside_and_once() -> None:
    facts = told_facts(source(), seed=0)
    begin = MANUAL.index("shelf.store.get(key)")
    assert all(begin <= told.begin for told in inside(facts, begin, len(MANUAL)))
    assert len(inside(facts, begin + 1, len(MANUAL))) == len(inside(facts, begin, len(MANUAL))) - 1
    assert once(facts, MANUAL) == facts
    assert once([facts[0], facts[0], facts[1]], MANUAL) == [facts[1]]


def test_prose_facts() -> None:
    text = passage(
        "A beehive is a box in which bees are kept by people who want honey.\n\nMore about boxes is said elsewhere in this text."
    )
    (told,) = text.facts
    assert told.subject == Quote(0, 2, 7)
    assert shown(told.evidence, [text.text]).startswith("A beehive is")
