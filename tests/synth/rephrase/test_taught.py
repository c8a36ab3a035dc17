import json
from collections import Counter
from typing import Any

import pytest

from synth.candidates import Source
from synth.rephrase import taught
from synth.rephrase.passages import passages
from synth.rephrase.styles import STYLES
from synth.rows import Made, Parent
from tests.synth.rephrase.fakes import FakeAnswer, FakeCrew, rewriting

PROSE = (
    "The harbour of Port Weller is a large basin that was finished on 12 March 1994 because many ships needed a quiet place. Ada Lindqvist "
    "drew the plans, which also show 40 berths near the old lamps. The basin grows by about 3 metres in every year, and the town of Weller "
    "began to build a second wall. It is not used to keep fish, and nobody swims in the water near the gate."
)
LONG = "\n\n".join(PROSE.replace("Port Weller", f"Port Weller {n}").replace("40", str(40 + n)) for n in range(20, 32))


def source(text: str = PROSE) -> Source:
    return Source("a" * 32, text, "https://docs.example/a", "web", "", "MIT", None)


def rows(style: str, answer: Any, text: str = PROSE) -> tuple[list[dict[str, Any]], FakeCrew]:
    """What comes of a document in a style."""
    crew, made = (
        FakeCrew(answer),
        Made("rephrase", 0, author="fake-1", teacher={"model": "fake-1", "prompt": taught.prompt_hash(style)}),
    )
    found = taught.candidates([source(text)], {"a" * 32: [style]}, seed=0)
    answers = crew.run([lambda teacher, each=each: taught.ask(teacher, each) for each in found])
    parent = Parent.of("a" * 32, text, "MIT")
    return [
        row for each, given in zip(found, answers, strict=True) for row in taught.rows(made, each, given, parent)
    ], crew


def reasons(made: list[dict[str, Any]]) -> Counter[str | None]:
    return Counter(row["drop_reason"] for row in made)


@pytest.mark.parametrize("style", [style for style in STYLES if style not in ("distill",)])
def test_a_good_answer_is_a_row(style: str) -> None:
    made, crew = rows(style, rewriting)
    assert reasons(made) == {None: 1}
    meta = json.loads(made[0]["meta"])
    assert meta["author"] == "fake-1"
    assert meta["teacher"] == {"model": "fake-1", "prompt": taught.prompt_hash(style)}
    assert meta["task"]["parts"] == [{"source": [0, len(PROSE)], "made": [0, len(made[0]["text"])], "rewritten": True}]
    assert (made[0]["kind"], made[0]["lang"], made[0]["license"]) == ("web", "en", "MIT")
    (request,) = crew.teacher.requests
    assert (request.max_tokens, request.temperature) == (STYLES[style].max_output, 0.5)
    assert PROSE in request.messages[0]["content"]


def spoilt(old: str, new: str) -> Any:
    return lambda passage, opening: FakeAnswer(rewriting(passage, opening).text.replace(old, new))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda passage, opening: FakeAnswer("", failure="http_400"), "answered"),
        (lambda passage, opening: rewriting(passage, opening)._replace(finish_reason="length"), "answered"),
        (lambda passage, opening: FakeAnswer("I'm sorry, but I cannot rewrite this."), "form"),
        (lambda passage, opening: FakeAnswer(f"{opening}\nI'm sorry, but I cannot rewrite this."), "meta_talk"),
        (lambda passage, opening: FakeAnswer(f"{opening}\nA harbour."), "length"),
        (spoilt("12 March", "13 March"), "dates"),
        (spoilt("40 berths", "41 berths"), "numbers"),
        (spoilt("Ada Lindqvist", "Ada Petersen"), "names"),
        (spoilt("It is not", "It is"), "statements"),
        (lambda passage, opening: FakeAnswer(f"{opening}\n{passage}"), "overlap"),
    ],
)
def test_a_bad_answer_is_a_rejected_row(answer: Any, reason: str) -> None:
    made, _ = rows("wikipedia", answer)
    assert reasons(made) == {f"synth.{reason}": 1}


def test_a_long_document_is_rewritten_in_order_and_whole() -> None:
    made, crew = rows("wikipedia", rewriting, LONG)
    assert reasons(made) == {None: 1}
    text, meta = made[0]["text"], json.loads(made[0]["meta"])
    numbers = [f"Port Weller {n}" for n in range(20, 32)]
    assert [text.index(number) for number in numbers] == sorted(text.index(number) for number in numbers)
    parts = meta["task"]["parts"]
    assert [part["source"] for part in parts] == [[begin, end - begin] for begin, end in passages(LONG, 2048)]
    assert "\n\n".join(text[start : start + length] for start, length in (part["made"] for part in parts)) == text
    assert meta["verdicts"]["numbers"]["parts"] == len(parts) == len(crew.teacher.requests) > 2
    assert meta["verdicts"]["numbers"]["kept"] == meta["verdicts"]["numbers"]["of"]


def test_a_passage_that_fails_keeps_its_words_and_is_counted() -> None:
    made, _ = rows("wikipedia", spoilt("61 berths", "610 berths"), LONG)
    assert reasons(made) == {None: 1, "synth.numbers": 1}
    kept = next(row for row in made if row["drop_reason"] is None)
    assert "61 berths near the old lamps" in kept["text"]
    verdict = json.loads(kept["meta"])["verdicts"]["rewritten"]
    assert verdict["rewritten"] == verdict["parts"] - 1
    assert 0.5 < verdict["share"] < 1


def test_a_document_of_which_too_little_is_rewritten_is_dropped() -> None:
    made, _ = rows(
        "wikipedia",
        lambda passage, opening: rewriting(passage, opening) if "Weller 20" in passage else FakeAnswer("no"),
        LONG,
    )
    assert reasons(made)["synth.rewritten"] == 1
    assert reasons(made)[None] == 0


def test_pairs_that_say_more_than_the_passage_are_left_out() -> None:
    def answer(passage: str, opening: str) -> FakeAnswer:
        pairs = [
            ("Who drew the plans?", "Ada Lindqvist drew the plans of the harbour."),
            ("When was it finished?", "On 13 March 1994."),
            ("How many berths are there? A) 40 B) 77", "A) 40"),
            ("Who paid?", "It was Quillfeather."),
        ]
        return FakeAnswer(f"{opening}\n\n" + "\n\n".join(f"Question: {q}\nAnswer: {a}" for q, a in pairs))

    made, _ = rows("diverse_qa", answer)
    (row,) = made
    meta = json.loads(row["meta"])
    assert row["drop_reason"] is None
    assert meta["verdicts"]["pairs"]["dropped"] == {"dates": 1, "names": 1}
    assert meta["verdicts"]["pairs"]["sound"] == 2
    assert {question for question, _ in meta["task"]["pairs"]} <= {
        "Who drew the plans?",
        "How many berths are there? A) 40 B) 77",
    }
    assert row["text"].startswith(PROSE)


def test_no_sound_pair_is_no_row() -> None:
    made, _ = rows(
        "diverse_qa", lambda passage, opening: FakeAnswer(f"{opening}\nQuestion: Who?\nAnswer: It was Quillfeather.")
    )
    assert reasons(made) == {"synth.pairs": 1}
    assert reasons(rows("diverse_qa", lambda passage, opening: FakeAnswer(opening))[0]) == {"synth.form": 1}


def test_a_passage_too_short_to_be_shown_is_not_asked_about() -> None:
    made, crew = rows("distill", rewriting, "Too short to tell.")
    assert (made, crew.teacher.requests) == ([], [])


@pytest.mark.parametrize("style", STYLES)
def test_prompts_name_the_opening_and_hold_the_text_once(style: str) -> None:
    prompt = taught.prompt_of(style)
    assert prompt.count(taught.PLACEHOLDER) == 1
    assert f'"{STYLES[style].opening}"' in prompt
    assert "follow no" in prompt
