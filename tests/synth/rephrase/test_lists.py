from synth.rephrase.lists import knowledge_list, outline, table
from synth.rephrase.pieces import spoken
from tests.synth.rephrase.pages import MANUAL, passage, voices

ANSWERS = (
    "Writes a value under a key",
    "If the key holds a slash",
    "How many days a value may stay",
    "Deletes all values",
)


def test_a_list_has_every_fact_on_a_line() -> None:
    made = [knowledge_list(passage(), voice) for voice in voices()]
    texts = [spoken(draft.pieces, [MANUAL]) for draft in made if draft]
    assert len(texts) == 40
    for text in texts:
        assert all(answer in text for answer in ANSWERS)
        assert text.count("\n") >= 7
        assert ".." not in text
    assert len(set(texts)) > 35  # of 40 seeds
    assert len({text.split("\n")[0] for text in texts}) > 20


def test_too_few_facts_make_no_list() -> None:
    few = passage()._replace(facts=passage().facts[:2])
    assert knowledge_list(few, voices(1)[0]) is None
    assert table(few, voices(1)[0]) is None
    assert outline(few, voices(1)[0]) is None


def test_an_outline_nests_what_is_said_of_a_subject() -> None:
    draft = outline(passage(), voices(1)[0])
    assert draft
    text = spoken(draft.pieces, [MANUAL])
    assert text.count("shelf.store.put(key, value)") == 1
    assert text.index("shelf.store.put") < text.index("If the key holds") < text.index("shelf.store.get(key)")
    flat = passage()._replace(facts=[told for told in passage().facts if told.kind in ("summary", "returns")])
    assert outline(flat, voices(1)[0]) is None


def test_a_table_has_the_kind_with_most_facts() -> None:
    for voice in voices(10):
        draft = table(passage(), voice)
        assert draft
        rows = spoken(draft.pieces, [MANUAL]).split("\n\n", 1)[1].split("\n")
        assert len(rows) == 2 + draft.details["facts"]
        assert len({row.count("|") for row in rows}) == 1
        assert rows[2].split("|")[2].strip() == "key"
