"""Every limit of a rule has a statistic, with the rule's own default; the values are those the rules decide by."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.rules.c4 import c4
from curation.rules.fineweb import fineweb
from curation.rules.gopher import gopher_quality, gopher_repetition
from curation.rules.length import length
from curation.rules.line_rules import lines
from curation.rules.statistics import STATISTICS, Statistic, measure
from datapipe.schema import documents

RULES: dict[str, Callable[..., Any]] = {
    "filter.length": length,
    "filter.gopher_quality": gopher_quality,
    "filter.gopher_repetition": gopher_repetition,
    "filter.c4": c4,
    "filter.fineweb": fineweb,
    "filter.lines": lines,
}
# Limits that are not on a number of a whole document, or say what a number counts.
NOT_MEASURED = {
    "filter.c4.min_words_per_line",
    "filter.c4.max_word_chars",
    "filter.c4.max_removed_words",
}
TEXTS = [
    "The quick brown fox and the lazy dog.\n\nThe quick brown fox and the lazy dog.\nShort",
    "#tag ... " * 30,
    "- one\n- two\n- three\nIN CAPITALS\n" * 4,
    "",
    "北京是中国的首都。它很大。\n" * 9,
    "a b c d e f g h i j " * 10 + "z" * 300,
]


def limits() -> list[tuple[str, Statistic, str, str, float]]:
    """(statistic, itself, side, step.parameter, default)."""
    return [
        (name, statistic, side, *limit)
        for name, statistic in STATISTICS.items()
        for side, limit in (("below", statistic.minimum), ("above", statistic.maximum))
        if limit
    ]


@pytest.mark.parametrize(("parameter", "default"), [limit[3:] for limit in limits()])
def test_a_default_is_the_rules(parameter: str, default: float) -> None:
    step, name, *key = parameter.removeprefix("filter.").split(".")
    value = inspect.signature(RULES[f"filter.{step}"]).parameters[name].default
    assert (value[int(key[0])] if key else value) == default


def test_every_limit_of_a_rule_has_a_statistic() -> None:
    shown = {".".join(parameter.split(".")[:3]) for _, _, _, parameter, _ in limits()}
    wanted = {
        f"{step}.{name}"
        for step, rule in RULES.items()
        for name in inspect.signature(rule).parameters
        if name.startswith(("min_", "max_")) or name.endswith("_ngrams")
    }
    assert wanted - NOT_MEASURED == shown


def off(step: str) -> dict[str, Any]:
    """Parameters of a rule that drop nothing."""
    loose: dict[str, Any] = {}
    for name in inspect.signature(RULES[step]).parameters:
        if name.endswith("_ngrams"):
            loose[name] = {}
        elif name.startswith("min_"):
            loose[name] = -1
        elif name.startswith("max_"):
            loose[name] = 10**9
    return loose


@pytest.mark.parametrize(("name", "statistic", "side", "parameter", "_"), limits())
def test_a_rule_with_this_limit_alone_drops_what_the_statistic_says(
    name: str, statistic: Statistic, side: str, parameter: str, _: float
) -> None:
    table = documents([{"text": text, "origin": f"o{index}"} for index, text in enumerate(TEXTS)])
    [measured] = measure(table["text"])
    values = measured[name]
    if name in ("hash_signs_per_word", "ellipses_per_word"):  # one limit for both
        values = np.maximum(measured["hash_signs_per_word"], measured["ellipses_per_word"])
    step, parameter, *key = parameter.removeprefix("filter.").split(".")
    for value in sorted({0.0, *values.tolist()}):
        settings = {**off(f"filter.{step}"), parameter: {int(key[0]): value} if key else value}
        if step == "c4":
            settings |= {"terminal_punctuation": False, "curly_bracket": False}
        judged = RULES[f"filter.{step}"](table, **settings)
        reasons = judged["drop_reason"] if isinstance(judged, pa.Table) else judged
        dropped = [reason is not None and reason != "fineweb.empty" for reason in reasons.to_pylist()]
        expected = values < value if side == "below" else values > value
        if step == "fineweb":
            expected &= np.array([text != "" for text in TEXTS])
        assert dropped == expected.tolist(), value


def test_which_side_a_statistic_is_cut_on() -> None:
    assert STATISTICS["words"].drops == "either"
    assert STATISTICS["stop_words"].drops == "below"
    assert STATISTICS["short_lines"].drops == "above"
    assert list(measure(pa.array([], pa.large_string()))) == []
