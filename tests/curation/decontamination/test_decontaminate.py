"""Items of benchmarks in documents: found whatever their dress, not found where they are not, cut out cleanly."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import words
from curation.decontamination import ngram_index
from curation.decontamination.decontaminate import DECONTAMINATE, apply, benchmark_of, check, merge
from curation.steps import StepError
from datapipe.schema import LOSS_SPANS, documents

ITEM = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)
OTHER_ITEM = (
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. How much did she earn "
    "for her work on that day?"
)
PAGE = "Nothing on this page was ever part of an examination, it tells of boats and of the people who build them. " * 8


def reference(*texts: str, file: str = "evals/gsm8k_test.jsonl.gz") -> pa.Table:
    return documents([{"origin": f"{file}#{index}", "text": text} for index, text in enumerate(texts)])


def docs_of(*texts: str | None) -> pa.Table:
    return documents([{"origin": str(index), "text": text} for index, text in enumerate(texts)])


def reasons(texts: list[str], items: pa.Table, **params: Any) -> list[str | None]:
    of_apply = {name: params.pop(name) for name in ("action", "margin", "min_chars", "max_pieces") if name in params}
    return apply(docs_of(*texts), merge([], reference=items, **params), **of_apply)["drop_reason"].to_pylist()


def test_an_item_is_found_whatever_its_dress_and_named() -> None:
    dressed = [
        ITEM,
        PAGE + ITEM.upper().replace(" ", "\n    ") + PAGE,
        "# " + ITEM.replace(" ", "\n# ").replace(",", " --"),
        f"${ITEM.replace('48', '1,048.50')}$",
        ITEM.replace("clips", "“clips”"),
    ]
    docs = apply(docs_of(*dressed, PAGE, None, ""), merge([], reference=reference(OTHER_ITEM, ITEM)))
    assert docs["drop_reason"].to_pylist() == ["decontaminate.gsm8k_test"] * 5 + [None] * 3
    metas = [json.loads(meta) for meta in docs["meta"].to_pylist()]
    assert metas == [{"contaminated": ["evals/gsm8k_test.jsonl.gz#1"]}] * 5 + [{}] * 3


def test_accents_written_in_two_ways_are_one() -> None:
    item = "Élodie a mangé trois pâtés à la fête de son école et ses frères en ont mangé après elle"
    decomposed = ngram_index.unicodedata.normalize("NFD", item)
    assert decomposed != item
    assert reasons([decomposed], reference(item)) == reasons([item], reference(decomposed))
    assert reasons([decomposed], reference(item)) == ["decontaminate.gsm8k_test"]


def test_numbers_count_where_they_are_told_to() -> None:
    changed = ITEM.replace("48", "517")
    item = reference(ITEM)
    assert reasons([changed], item, min_share=0.8) == ["decontaminate.gsm8k_test"]
    assert reasons([changed], item, min_share=0.8, mask_numbers=False) == [None]
    assert reasons([ITEM], item, min_share=1.0, mask_numbers=False) == ["decontaminate.gsm8k_test"]


def test_enough_is_a_share_of_the_item_or_a_long_run() -> None:
    text = " ".join(f"word{chr(97 + index // 26)}{chr(97 + index % 26)}" for index in range(112))
    item = reference(text)  # 100 n-grams
    held = [" ".join(text.split()[: 12 + grams]) for grams in (9, 10, 29, 30, 60)]
    found = [reason is not None for reason in reasons(held, item, min_share=0.5, enough_matches=30)]
    assert found == [False, False, False, True, True]
    found = [reason is not None for reason in reasons(held, item, min_share=0.1, enough_matches=1000)]
    assert found == [False, True, True, True, True]
    twice = " ".join(held[:1] * 4)  # the same n-grams again are no more evidence
    assert reasons([twice], item, min_share=0.1) == [None]


def test_no_ngram_reaches_across_the_border_of_documents() -> None:
    half = ITEM.index("April,")
    rest = [ITEM[:half], ITEM[half:]]
    assert reasons(rest, reference(ITEM), min_share=1e-9, ngram=13) == [None, "decontaminate.gsm8k_test"]
    pieces = [" ".join(ITEM.split()[start : start + 12]) for start in range(0, 30, 12)]
    assert reasons(pieces, reference(ITEM), min_share=1e-9) == [None] * 3
    first = "7 men and 12 women walk for 3 hours along a road which is 20 miles long"
    assert reasons(["it ends in 41", first], reference(first), min_share=1.0) == [None, "decontaminate.gsm8k_test"]
    numbers = reference("1 2 3 one two three four five six seven eight nine ten eleven twelve thirteen")
    assert reasons(["1 2", "3 one two three four five six seven eight nine ten eleven"], numbers) == [None, None]


def test_short_items_must_be_there_whole_and_with_their_numbers() -> None:
    short = "What is the greatest common factor of 32 and 48?"
    verdict = merge([], reference=reference(short, "What is it?", ITEM))
    counts = json.loads(verdict.schema.metadata[b"counts"])
    assert (counts["items"], counts["too_short"]) == (3, 1)
    texts = [f"{PAGE} {short} {PAGE}", short.replace("48", "40"), "the greatest common factor of 32 and 48 is 16"]
    assert apply(docs_of(*texts), verdict)["drop_reason"].to_pylist() == ["decontaminate.gsm8k_test", None, None]


def test_boilerplate_of_a_benchmark_speaks_for_none_of_its_items() -> None:
    header = (
        "import the usual things and then write a function that passes all of the tests which follow below this line "
    )
    items = [f"{header} {random.Random(n).sample('abcdefghijklmnopqrstuvwxyz', 20)}" for n in range(12)]
    assert reasons([header * 2], reference(*items), max_items=10, min_share=0.2) == [None]
    assert reasons([header * 2], reference(*items), max_items=12, min_share=0.2) == ["decontaminate.gsm8k_test"]
    assert reasons([items[3]], reference(*items)) == ["decontaminate.gsm8k_test"]
    waves = [" ".join(f"\\sin {n + more}^\\circ +" for n in range(20)) for more in (0, 30)]  # two words, over and over
    assert reasons(waves, reference(waves[0], ITEM)) == ["decontaminate.gsm8k_test", None]


def test_the_reason_is_the_benchmark_with_most_of_its_ngrams_there() -> None:
    items = pa.concat_tables([reference(ITEM, file="b/gsm.jsonl"), reference(ITEM + OTHER_ITEM, file="z.jsonl.zst")])
    assert reasons([ITEM, ITEM + OTHER_ITEM], items) == ["decontaminate.gsm", "decontaminate.z"]
    assert benchmark_of("s3://bucket/evals/math_test.jsonl.gz#77") == "math_test"
    assert benchmark_of("https://site.org/a/b/") == "b"
    assert benchmark_of("#3") == "reference"
    nameless = reference(ITEM).select(["id", "text"])
    assert reasons([ITEM], nameless) == ["decontaminate.reference"]
    copies = pa.concat_tables([reference(ITEM, file=f"copy{letter}.jsonl") for letter in "lkjihgfedcba"])
    found = apply(docs_of(ITEM), merge([], reference=copies))
    assert json.loads(found["meta"][0].as_py())["contaminated"] == [f"copy{letter}.jsonl#0" for letter in "abcdefghij"]


def test_the_index_depends_on_no_order_and_results_on_no_partition() -> None:
    items = pa.concat_tables([reference(ITEM, OTHER_ITEM, PAGE), reference(ITEM, file="copy.jsonl")])
    verdict = merge([], reference=items)
    assert merge([], reference=items.take(pa.array([3, 1, 0, 2]))).equals(verdict, check_metadata=True)
    docs = docs_of(ITEM, PAGE, OTHER_ITEM + PAGE, "none of it")
    whole = apply(docs, verdict, action="cut")
    parts = [apply(docs.slice(row, 1), verdict, action="cut") for row in (2, 0, 3, 1)]
    assert pa.concat_tables(parts).sort_by("id").equals(whole.sort_by("id"))
    assert apply(docs[:0], verdict).num_rows == 0


def test_cutting_removes_the_item_and_keeps_the_rest() -> None:
    page = f"{PAGE}\n\n{ITEM}\n\n{PAGE}"
    verdict = merge([], reference=reference(ITEM))
    docs = apply(docs_of(page, ITEM, PAGE), verdict, action="cut", margin=20, min_chars=100)
    left, dropped, same = docs["text"].to_pylist()
    assert docs["drop_reason"].to_pylist() == [None, "decontaminate.gsm8k_test", None]
    assert (dropped, same) == (ITEM, PAGE)
    first, second = left.split("\n\n")
    assert "Natalia" not in left
    assert PAGE.startswith(first)
    assert PAGE.endswith(second)
    assert set(first.split() + second.split()) <= set(PAGE.split())
    fragment = " ".join(OTHER_ITEM.split()[:14])  # too little of an item: stays, though the other one is cut
    docs = apply(docs_of(f"{ITEM} {PAGE} {fragment}"), merge([], reference=reference(ITEM, OTHER_ITEM)), action="cut")
    assert PAGE.rstrip().endswith(docs["text"][0].as_py().removesuffix(f"  {fragment}"))
    assert docs["text"][0].as_py().endswith(fragment)
    assert len(PAGE) - 45 < len(first) < len(PAGE) - 10
    assert json.loads(docs["meta"][0].as_py()) == {"contaminated": ["evals/gsm8k_test.jsonl.gz#0"]}
    assert reasons([page], reference(ITEM), action="cut", min_chars=len(PAGE)) == ["decontaminate.gsm8k_test"]
    often = "\n".join([PAGE, ITEM] * 4)
    assert reasons([often], reference(ITEM), action="cut", margin=20, max_pieces=3) == ["decontaminate.gsm8k_test"]
    assert reasons([often], reference(ITEM), action="cut", margin=20, max_pieces=4) == [None]


def test_a_number_is_cut_as_a_whole() -> None:
    item = "the prize for whoever solves this problem before the end of the week is exactly 1 000 000,50"
    docs = apply(docs_of(f"{PAGE}{item} {PAGE}"), merge([], reference=reference(item)), action="cut", margin=0)
    assert docs["text"][0].as_py() == f"{PAGE.rstrip()}\n\n{PAGE}"


def test_loss_spans_move_with_the_text_even_where_it_is_composed_first() -> None:
    page = f"e\u0301te\u0301 {PAGE}{ITEM} {PAGE}the answer"
    spans = [{"start": len(page) - len("the answer"), "length": len("the answer")}]
    docs = documents(
        [{"origin": "a", "text": page, LOSS_SPANS: spans}, {"origin": "b", "text": ITEM, LOSS_SPANS: None}]
    )
    docs = apply(docs, merge([], reference=reference(ITEM)), action="cut", margin=0)
    (span,), text = docs[LOSS_SPANS][0].as_py(), docs["text"][0].as_py()
    assert text[span["start"] : span["start"] + span["length"]] == "the answer"
    assert text.startswith("\u00e9t\u00e9")
    assert docs[LOSS_SPANS][1].as_py() is None


def test_an_item_behind_what_words_look_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MAX_CHARS", 2_000)
    monkeypatch.setattr(ngram_index, "OVERLAP_CHARS", 300)
    long = PAGE * 7
    for place in (0, 1_650, 1_690, 1_750, 1_850, 1_990, 4_000, len(long)):
        text = f"{long[:place]} {ITEM} {long[place:]}"
        docs = apply(docs_of("x", text), merge([], reference=reference(ITEM), min_share=0.9), action="cut", margin=0)
        assert docs["drop_reason"].to_pylist() == [None, None]
        assert "Natalia" not in docs["text"][1].as_py()
        assert "April" not in docs["text"][1].as_py()


@given(st.lists(st.text(alphabet=st.sampled_from("ab1 .,-é中\n_"), max_size=60), max_size=5), st.booleans())
def test_ngrams_are_those_of_a_plain_definition(texts: list[str], mask: bool) -> None:
    found = {
        (part.text_G[i], part.hash_G[i])
        for part in ngram_index.grams(texts, [ngram_index.Kind(3, mask)])
        for i in range(len(part.hash_G))
    }
    expected = set()
    for index, text in enumerate(texts):
        tokens = plain_words(text, mask)
        expected |= {(index, words.hash_ngram(tokens[start : start + 3])) for start in range(len(tokens) - 2)}
    assert found == expected


def plain_words(text: str, mask: bool) -> list[str]:
    """Runs of letters and digits, every ideograph alone; with `mask`, runs of numbers as one 0."""
    spaced = "".join(f" {char} " if char == "中" else char if char.isalnum() or char == "_" else " " for char in text)
    tokens: list[str] = []
    for token in spaced.split():
        number = mask and token[0].isdigit()
        if not (number and tokens[-1:] == ["0"]):
            tokens.append("0" if number else token)
    return tokens


def test_errors_name_the_value_and_what_to_type() -> None:
    with pytest.raises(ValueError, match="reference: evals"):
        merge([])
    for texts, said in (
        (("too short", ""), "^none of the 2 items .*check that its reader"),
        ((), "none of the 0 items"),
    ):
        with pytest.raises(StepError, match=said):
            merge([], reference=reference(*texts))
    for params, message in [
        ({}, "name a corpus of benchmark items"),
        ({"reference": "evals", "action": "delete"}, "'delete': type drop, or cut"),
        ({"reference": "evals", "ngram": 5}, "ngram 5 and short_ngram 8"),
        ({"reference": "evals", "min_share": 30.0}, "min_share is 30.0"),
        ({"reference": "evals", "max_items": 0}, "max_items 0"),
        ({"reference": "evals", "margin": -1}, "margin -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            check(**params)
    check(reference="evals", ngram=8, action="cut")
    assert DECONTAMINATE.emit is None
    assert DECONTAMINATE.reference_documents is None


@pytest.mark.data
def test_gsm8k_with_one_number_changed_is_found_and_training_problems_are_not(shared_data: Path) -> None:
    def rows(*path: str) -> list[dict[str, Any]]:
        with gzip.open(shared_data.joinpath(*path), "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    pairs = rows("neardup", "gsm8k_vs_gsmhard.jsonl.gz")
    changed = apply(docs_of(*(pair["b"] for pair in pairs)), merge([], reference=reference(*(p["a"] for p in pairs))))
    named = [json.loads(meta).get("contaminated", []) for meta in changed["meta"].to_pylist()]
    right = sum(f"evals/gsm8k_test.jsonl.gz#{index}" in items for index, items in enumerate(named))
    assert right >= 0.98 * len(pairs)
    test = [row["question"] for row in rows("evals", "gsm8k_test.jsonl.gz")]
    train = [row["question"] for row in rows("evals", "gsm8k_train_0-2000.jsonl.gz")]
    flagged = [reason for reason in reasons(train, reference(*test)) if reason]
    assert len(flagged) <= 0.001 * len(train)
