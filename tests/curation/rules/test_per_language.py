"""Parameters by language: who is judged with what, the order of rows, and what a check says."""

import inspect
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from curation.rules.c4 import c4
from curation.rules.fineweb import fineweb
from curation.rules.gopher import gopher_quality, gopher_repetition
from curation.rules.per_language import per_language
from curation.steps import COUNTS
from datapipe.schema import documents

LISTS = Path(__file__).resolve().parents[3] / "manifests" / "lists"
KEEP_ALL = {"min_sentences": 0, "min_words_per_line": 1}
LANGS = ["fr", None, "en", "zh", "fr", "xx"]


@per_language
def limits(docs: pa.Table, *, least: int = 1, names: list[str] = ["a"]) -> pa.Array:  # noqa: B006
    """Says with what each row was judged."""
    return pa.array([f"{least} {names}"] * docs.num_rows, pa.string())


def docs() -> pa.Table:
    rows = [{"text": f"text {index}", "origin": f"o{index}", "lang": lang} for index, lang in enumerate(LANGS)]
    return documents(rows)


def test_a_language_overrides_and_rows_keep_their_order() -> None:
    found = limits(docs(), least=2, languages={"fr": {"least": 5}, "zh": {"names": ["b"]}, "de": {"least": 9}})
    assert found.to_pylist() == ["5 ['a']", "2 ['a']", "2 ['a']", "2 ['b']", "5 ['a']", "2 ['a']"]
    assert limits(docs()[:0], languages={"fr": {}}).to_pylist() == []
    assert limits(docs()).to_pylist() == ["1 ['a']"] * 6


def test_a_map_keeps_its_rows_too() -> None:
    table = docs()
    judged = c4(
        table,
        min_sentences=9,
        languages={"fr": {"min_sentences": 0, "terminal_punctuation": False, "min_words_per_line": 1}},
    )
    assert judged["id"].to_pylist() == table["id"].to_pylist()
    assert [reason is None for reason in judged["drop_reason"].to_pylist()] == [lang == "fr" for lang in LANGS]


def test_what_the_languages_count_is_added_up() -> None:
    once, apart = c4(docs(), **KEEP_ALL), c4(docs(), **KEEP_ALL, languages={"fr": {"max_word_chars": 900}, "de": {}})
    assert json.loads(once.schema.metadata[COUNTS])["lines_without_end"] == len(LANGS)
    assert apart.schema.metadata == once.schema.metadata


def test_the_signature_is_that_of_the_step_and_languages() -> None:
    names = list(inspect.signature(gopher_quality).parameters)
    assert names[:2] == ["docs", "min_words"]
    assert names[-1] == "languages"
    assert list(inspect.signature(gopher_quality.check).parameters) == names[1:]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"min_words": -1}, "min_words is -1; type a number of 0 or more such as 50"),
    ({"min_words": "fifty"}, "min_words is 'fifty'; type a number of 0 or more such as 50"),
    ({"stop_words": "the"}, r"stop_words is 'the'; type a list of texts"),
    ({"min_words": 10, "max_words": 5}, "min_words is 10 and max_words 5: no document is in between; swap them"),
    ({"max_words": 20}, "min_words is 50 and max_words 20"),
    ({"languages": ["fr"]}, "languages is"),
    ({"languages": {"french": {}}}, "languages has 'french', which is no code"),
    ({"languages": {False: {}}}, "languages has False, .* Norwegian stands in quotes"),
    ({"languages": {"fr": 3}}, "languages.fr is 3; type parameters"),
    ({"languages": {"fr": {"min_alpha": 0.7}}}, "languages.fr.min_alpha is not a parameter of this step; type min_alpha_ratio"),
    ({"languages": {"fr": {"min_alpha_ratio": float("nan")}}}, "languages.fr.min_alpha_ratio is nan; type a share"),
    ({"languages": {"fr": {"max_words": 20}}}, "languages.fr.min_words is 50 and max_words 20"),
]  # fmt: skip


@pytest.mark.parametrize(("params", "message"), WRONG)
def test_a_check_names_value_and_remedy(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gopher_quality.check(**params)


def test_a_check_passes_what_the_steps_take() -> None:
    gopher_quality.check(min_words=10, languages={"fr": {"stop_words": ["le"], "max_mean_word_length": 12}})
    gopher_repetition.check(top_ngrams={}, duplicate_ngrams={5: 0.2}, languages={"zh": {"top_ngrams": {"2": 0.25}}})
    c4.check(javascript=False, policy_phrases=[], terminal_marks="。")
    with pytest.raises(ValueError, match="javascript is 1; type true or false"):
        c4.check(javascript=1)


def shipped(name: str) -> Any:
    return yaml.safe_load((LISTS / f"fineweb2_{name}.yaml").read_text())


@pytest.mark.parametrize("step", [gopher_quality, gopher_repetition, fineweb], ids=lambda step: step.__name__)
def test_shipped_thresholds_are_parameters(step: Any) -> None:
    assert set(shipped(step.__name__)) == {"fr", "zh"}
    step.check(languages=shipped(step.__name__))


def test_shipped_thresholds_keep_what_english_ones_drop() -> None:
    chinese = "".join(chr(0x4E00 + 7 * index % 3001) for index in range(600)) + "的，了。"
    french = "Le chat de la voisine et le chien de la ferme sont dans le jardin. " * 5
    rows = [{"text": chinese, "origin": "z", "lang": "zh"}, {"text": french, "origin": "f", "lang": "fr"}]
    english = gopher_quality(documents(rows)).to_pylist()
    assert english == ["gopher_quality.short_words", "gopher_quality.few_stop_words"]
    assert gopher_quality(documents(rows), languages=shipped("gopher_quality")).to_pylist() == [None, None]
