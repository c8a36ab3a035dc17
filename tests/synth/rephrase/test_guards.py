from typing import Any

import pytest

from synth.rephrase import guards
from synth.rephrase.guards import Limits

SOURCE = (
    "The harbour of Port Weller was finished on 12 March 1994 and cost 1,500 thalers. Ada Lindqvist drew the plans; they lie at "
    "https://plans.example/weller today. The engineers did not ask for a second bridge, because 40 ships of the company could pass "
    "under the first one. In summer many visitors come to see the old lamps which were made in Norway by a smith called Olsen."
)
MADE = (
    "Port Weller has a harbour that was completed on March 12, 1994; 1500 thalers were paid for it. Its plans, drawn by Ada Lindqvist, "
    "can be read at https://plans.example/weller nowadays. A second bridge was not asked for by the engineers, as the company's 40 "
    "ships fitted under the one that was there. Olsen, a smith in Norway, made the old lamps, and in summer a lot of "
    "visitors look at them."
)
LIMITS = Limits(kept=0.8)


def failed(made: str, source: str = SOURCE, limits: Limits = LIMITS) -> list[str]:
    return [name for name, verdict in guards.judged(source, made, limits).items() if not verdict["passed"]]


def test_a_faithful_rewrite_passes() -> None:
    assert failed(MADE) == []


@pytest.mark.parametrize(
    ("old", "new", "guard"),
    [
        ("1500 thalers", "1600 thalers", "numbers"),
        ("company's 40 ships", "company's 40 large and 17 small ships", "numbers"),
        ("March 12, 1994", "March 13, 1994", "dates"),
        ("Ada Lindqvist", "Ada Petersen", "names"),
        ("plans.example/weller", "plans.example/waller", "addresses"),
        ("nowadays", "nowadays (see harbour.plan_2)", "codes"),
        ("nowadays.", "nowadays.\n\n```\nf(\n```\n", "code"),
        ("was not asked for", "was asked for", "statements"),
        ("Port Weller has", "Here is a rewritten version: Port Weller has", "meta_talk"),
        ("nowadays", "nowadays, as an AI language model knows", "meta_talk"),
    ],
)
def test_each_guard_finds_what_it_is_for(old: str, new: str, guard: str) -> None:
    assert old in MADE
    assert guard in failed(MADE.replace(old, new))


def test_too_short_too_long_too_like_and_too_different() -> None:
    assert "length" in failed(MADE[:80])
    assert "length" in failed(" ".join([MADE] * 4))
    assert failed(SOURCE) == ["overlap"]
    other = (
        "Quiet rivers run slowly through green valleys while grey herons wait patiently among tall reeds for silver fish. "
        * 4
    )
    assert "overlap" in failed(other)


def test_another_language_fails() -> None:
    german = (
        "Der Hafen von Port Weller wurde am 1994-03-12 fertig und kostete 1500 Taler. Ada Lindqvist zeichnete die Pläne; sie liegen heute "
        "unter https://plans.example/weller bereit. Eine zweite Brücke wollten die Ingenieure nicht, weil die 40 Schiffe unter der ersten "
        "hindurch passten. Im Sommer kommen viele Besucher, um die alten Lampen zu sehen, die der Schmied Olsen gemacht hat."
    )
    verdict = guards.same_language(SOURCE, german)
    assert verdict == {"passed": False, "source": "en", "made": "de", "sure": True}
    assert guards.same_language(SOURCE, "Hafen 12")["passed"]  # nobody can tell


def test_what_is_missing_is_listed_and_fails_below_the_share() -> None:
    short = "The plans of the harbour of Port Weller were drawn by Ada Lindqvist, and in summer visitors come to see the old lamps."
    verdicts = guards.judged(SOURCE, short, LIMITS)
    assert verdicts["numbers"] | {"passed": False, "kept": 0, "of": 2, "missing": ["1500", "40"]} == verdicts["numbers"]
    assert not verdicts["dates"]["passed"]
    assert verdicts["names"]["missing"] == ["norway", "olsen"]
    assert not verdicts["names"]["passed"]
    assert guards.judged(SOURCE, short, LIMITS._replace(kept=0.0))["numbers"]["passed"]


def test_a_number_in_the_place_of_another_is_exchanged() -> None:
    source = "Tom has 5 apples. Lisa has 7 pears. Every basket holds 12 plums."
    verdict = guards.judged(source, "Tom owns 7 apples, and Lisa 7 pears; a basket can hold 12 plums.", LIMITS)[
        "numbers"
    ]
    assert verdict["exchanged"]
    assert not verdict["passed"]
    assert not guards.judged(source, "Tom owns 5 apples, Lisa 7 pears (yes, 7); 12 plums a basket.", LIMITS)["numbers"][
        "exchanged"
    ]


def test_words_that_are_known_are_no_new_names() -> None:
    made = "Overview: Facts are here. See Overview."
    assert not guards.marks_kept("nothing", made, 0.0)["names"]["passed"]
    assert guards.marks_kept("nothing", made, 0.0, words=frozenset({"overview", "facts"}))["names"]["passed"]
    assert guards.marks_kept("nothing", "See Weller 3.", 0.0, also="“Weller 3”")["names"]["passed"]


def test_verdicts_of_parts_are_added() -> None:
    a: dict[str, dict[str, Any]] = {"numbers": {"passed": True, "kept": 1, "of": 2, "missing": ["5"]}}
    b: dict[str, dict[str, Any]] = {"numbers": {"passed": False, "kept": 3, "of": 3, "missing": []}}
    assert guards.merged([a, b]) == {"numbers": {"passed": False, "parts": 2, "kept": 4, "of": 5, "missing": ["5"]}}
    assert not guards.passed(b)
