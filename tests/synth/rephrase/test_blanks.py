import re

from synth.rephrase import blanks
from synth.rephrase.pieces import Quote, spoken
from tests.synth.rephrase.pages import MANUAL, passage, voices


def test_filled_gaps_give_the_passage_back() -> None:
    for voice in voices():
        draft = blanks.cloze(passage(), voice)
        assert draft
        gaps = [Quote(0, start, length, "raw") for start, length in draft.details["gaps"]]
        key = spoken(draft.made, [MANUAL]).split("\n")
        assert [line.split(". ")[1] for line in key] == [spoken([gap], [MANUAL]) for gap in gaps]
        body = spoken(draft.pieces, [MANUAL])
        marked = re.compile(r"____ \(\d\)|\(\d\) ____|\[\d\]____|____\d____")
        assert len(marked.findall(body)) == len(gaps)
        words = iter(line.split(". ")[1] for line in key)
        assert MANUAL.strip() in marked.sub(lambda match, words=words: next(words), body)


def test_the_first_place_of_a_name_stays() -> None:
    draft = blanks.cloze(passage(), voices(1)[0])
    assert draft
    assert min(start for start, _ in draft.details["gaps"]) > MANUAL.index("shelf.store.put")
    assert draft.verdicts["gaps"]["passed"]


def test_a_word_that_stands_nowhere_else_cannot_be_filled_in() -> None:
    only = MANUAL.index("shelf.store.count")
    verdict = blanks._fillable(passage(), [Quote(0, only, len("shelf.store.count"), "line")])
    assert verdict == {"passed": False, "count": 1, "lost": ["shelf.store.count"]}


def test_one_word_alone_makes_no_puzzle() -> None:
    once = MANUAL.replace("call shelf.store.sweep after", "sweep after")
    assert blanks.cloze(passage(once), voices(1)[0]) is None
