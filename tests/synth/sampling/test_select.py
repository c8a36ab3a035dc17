"""The steps of the manifest: prompts with long responses stay, four of each; conversations that are no text to learn go."""

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from datapipe.schema import DROP, documents
from synth.render import Turn
from synth.rows import Made
from synth.rows import documents as rows_of
from synth.sampling import select
from synth.sampling.select import PROMPTS, check, responses

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def row(prompt: str, answer: str, name: str) -> dict[str, Any]:
    return Made("qa", 0).row(
        name, [Turn("user", prompt), Turn("assistant", answer)], kind="qa", parents=[], task={}, verdicts={}
    )


def corpus() -> pa.Table:
    """Ten prompts with one to ten words of answer, six answers each."""
    return rows_of(
        row(f"Question {n}", " ".join(WORDS[: n + 1]), f"{n}/{each}") for n in range(10) for each in range(6)
    )


def settled(docs: pa.Table, receivers: int = 1, **params: Any) -> pa.Table:
    sent = PROMPTS.emit(docs)
    keys = sent["key"].to_numpy() % receivers
    own = {name: params[name] for name in ("per_prompt", "seed") if name in params}
    reduced = [PROMPTS.reduce(sent.filter(pa.array(keys == receiver)), **own) for receiver in range(receivers)]
    more = {name: params[name] for name in ("keep_share",) if name in params}
    return PROMPTS.apply(docs, PROMPTS.merge(reduced, **more))


def test_the_longer_half_of_the_prompts_stays_with_four_responses_each() -> None:
    marked = settled(corpus())
    assert Counter(marked[DROP].to_pylist()) == {None: 20, select.SHORT: 30, select.ENOUGH: 10}
    for found in marked.to_pylist():
        number = int(found["origin"].partition(":")[2].partition("/")[0])
        assert (found[DROP] == select.SHORT) == (number < 5)
    kept = Counter(r["origin"].partition("/0")[0][:12] for r in marked.to_pylist() if r[DROP] is None)
    assert sum(kept.values()) == 20


def test_the_same_for_any_order_and_number_of_receivers() -> None:
    docs = corpus()
    wanted = settled(docs)[DROP].to_pylist()
    assert settled(docs, receivers=7)[DROP].to_pylist() == wanted
    turned = docs.take(pa.array(range(docs.num_rows - 1, -1, -1)))
    assert settled(turned)[DROP].to_pylist()[::-1] == wanted
    assert settled(docs, seed=1)[DROP].to_pylist() != wanted
    assert Counter(settled(docs, keep_share=1.0, per_prompt=1)[DROP].to_pylist()) == {None: 10, select.ENOUGH: 50}


def test_rows_that_are_no_conversation_stay() -> None:
    docs = documents([{"text": "plain", "origin": "a"}])
    assert settled(docs)[DROP].to_pylist() == [None]
    assert responses(docs).to_pylist() == [None]


def test_conversations_that_are_no_text_to_learn() -> None:
    loop = "and again " * 30
    plain = row("Q", loop, "r")
    made = [
        row("Q", "A", "a"),
        plain,
        {**row("Q", "A", "c"), "text": "broken"},
        {**row("Q", "A", "d"), "meta": json.dumps({})},
    ]
    shown = Made("qa", 0).row(
        "e",
        [Turn("user", "Q"), Turn("assistant", loop, learn=False), Turn("user", "R"), Turn("assistant", "A")],
        kind="qa",
        parents=[],
        task={},
        verdicts={},
    )
    docs = pa.Table.from_pylist([*made, shown], schema=rows_of([plain]).schema)
    assert responses(docs).to_pylist() == [None, "sampling.repetitive", "sampling.bad_format", None, None]
    assert responses(docs, min_chars=2).to_pylist()[0] == "sampling.too_short"


@pytest.mark.parametrize("params", [{"keep_share": 0.0}, {"keep_share": 1.5}, {"per_prompt": 0}])
def test_numbers_that_keep_nothing_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(params))} is "):
        check(**params)
