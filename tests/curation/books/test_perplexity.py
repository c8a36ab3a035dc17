"""`score.perplexity`: worse texts score worse, halves that are broken show, and the same reference gives the same scores."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.books import perplexity
from curation.books.perplexity import PERPLEXITY, check, windows
from curation.quality.agreement import auc
from curation.steps import StepError
from datapipe.schema import documents
from tests.curation.books.real_books import handbook_paragraphs
from tests.curation.conftest import Drive

NOUNS = ["sea", "ship", "wind", "mast", "captain", "sailor", "shore", "island", "storm", "harbour", "rope", "wave"]
VERBS = ["sees", "leaves", "reaches", "fears", "loves", "finds"]
RANDOM = random.Random(4)


def prose(sentences: int) -> str:
    return " ".join(
        f"The {RANDOM.choice(NOUNS)} {RANDOM.choice(VERBS)} the {RANDOM.choice(NOUNS)}." for _ in range(sentences)
    )


def noise(text: str, share: float = 0.04) -> str:
    """As a poor scan reads: letters taken for others, spaces lost."""

    def read(char: str) -> str:
        if RANDOM.random() >= (share if char.isalpha() else share / 4 if char == " " else 0):
            return char
        return RANDOM.choice("il1tfrncesoa5") if char.isalpha() else ""

    return "".join(map(read, text))


def shuffled(text: str) -> str:
    words = text.split()
    RANDOM.shuffle(words)
    return " ".join(words)


def docs(texts: list[str]) -> pa.Table:
    return documents([{"origin": f"{number:04}", "text": text} for number, text in enumerate(texts)])


def scored(reference: list[str], texts: list[str], **params: float) -> pa.Table:
    taken = {name: value for name, value in params.items() if name != "worst_share"}
    verdict = PERPLEXITY.merge([], reference=docs(reference), **taken)
    return PERPLEXITY.apply(
        docs(texts),
        verdict,
        **{name: value for name, value in params.items() if name in ("window_chars", "worst_share")},
    )


def values(reference: list[str], texts: list[str], column: str = "perplexity", **params: float) -> np.ndarray:
    return scored(reference, texts, **params)[column].to_numpy()


def test_texts_of_all_lengths_compare() -> None:
    reference = [prose(400)]
    short, long, bad = values(reference, [prose(20), prose(5_000), noise(prose(20), 0.1)])
    assert abs(short - long) < 0.1
    assert bad > long + 1


def test_a_broken_half_shows_in_the_worst_share_and_one_page_does_not() -> None:
    reference = [prose(400)]
    good, page, half = prose(4_000), prose(3_900) + noise(prose(80), 0.3), prose(2_000) + noise(prose(2_000), 0.3)
    table = scored(reference, [good, page, half], window_chars=2_000)
    mean, worst = table["perplexity"].to_numpy(), table["perplexity_worst"].to_numpy()
    assert worst[0] < mean[0] + 0.3
    assert worst[1] < mean[1] + 0.3
    assert worst[2] > mean[2] + 1
    all_of_it = values(reference, [half], "perplexity_worst", window_chars=2_000, worst_share=1)
    assert all_of_it[0] < mean[2]


def test_texts_are_scored_alike_alone_and_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, reference = [prose(number) for number in (1, 40, 0, 7, 300)], [prose(100)]
    together = scored(reference, texts, window_chars=700)
    monkeypatch.setattr(perplexity, "BATCH_CHARS", 1)
    assert scored(reference, texts, window_chars=700).equals(together)


def test_windows_are_the_text_and_none_is_small() -> None:
    for length in (0, 1, 99, 100, 149, 150, 151, 1_000, 1_049, 1_050, 1_051):
        found = windows("x" * length, 100)
        assert "".join(found) == "x" * length
        assert len(found) == 1 or min(map(len, found)) >= 50
        assert max(map(len, found)) <= 150


def test_nothing_to_judge_is_null_and_nothing_to_learn_an_error() -> None:
    table = scored([prose(50)], ["", " \n ", "The sea."])
    assert (
        table["perplexity"].is_null().to_pylist()
        == table["perplexity_worst"].is_null().to_pylist()
        == [True, True, False]
    )
    assert scored([prose(50)], [])["perplexity"].type == pa.float32()
    with pytest.raises(StepError, match="no text to learn from"):
        PERPLEXITY.merge([], reference=docs(["", " "]))


def test_the_model_is_the_same_for_any_order_and_bounded() -> None:
    texts = [prose(300) for _ in range(10)]
    table = docs(texts)
    first = PERPLEXITY.merge([], reference=table, window_chars=500, train_chars=20_000)
    second = PERPLEXITY.merge(
        [], reference=table.take(pa.array([*range(9, -1, -1)])), window_chars=500, train_chars=20_000
    )
    assert first.equals(second)
    assert 2_000 < first["tokens"][0].as_py() < 20_000 / 4
    assert PERPLEXITY.merge([], reference=table, window_chars=500, train_chars=20_000, seed=1) != first


def test_the_step_as_the_engine_runs_it(drive: Drive) -> None:
    reference = docs([prose(400)])
    step = PERPLEXITY._replace(emit=lambda docs: pa.table({"key": pa.array([], pa.uint64())}), reduce=lambda rows: rows)
    table = docs([prose(30), noise(prose(30), 0.2)])
    out = drive(step, table, reference=reference, column="odd")
    assert out.column_names[-2:] == ["odd", "odd_worst"]
    by_text = dict(zip(out["text"].to_pylist(), out["odd"].to_pylist(), strict=True))
    assert by_text[table["text"][1].as_py()] > by_text[table["text"][0].as_py()]


@pytest.mark.parametrize(
    ("params", "said"),
    [({"reference": ""}, "good documents"), ({"window_chars": 10}, "window_chars is 10"), ({"train_chars": 10}, "train_chars is 10"),
     ({"max_ngrams": 0}, "max_ngrams is 0"), ({"worst_share": 0}, "worst_share is 0"), ({"seed": -1}, "seed -1")],
)  # fmt: skip
def test_bad_parameters_are_refused(params: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(**{"reference": "books", **params})


@pytest.mark.data
def test_degraded_paragraphs_score_worse_than_themselves(shared_data: Path) -> None:
    """Of real paragraphs held out of training; against the same model without context, and against length."""
    english, french = (handbook_paragraphs(shared_data, language) for language in ("en-US", "fr-FR"))
    held = english[::6]
    model_of = PERPLEXITY.merge([], reference=docs([text for at, text in enumerate(english) if at % 6]))
    table = PERPLEXITY.apply(docs(held), model_of)
    good = table["perplexity"].to_numpy()
    for spoil, least_auc in (
        (noise, 0.84),
        (shuffled, 0.95),
        (lambda text: text.encode().decode("latin-1").encode().decode("cp437"), None),
    ):
        bad = PERPLEXITY.apply(docs([spoil(text) for text in held]), model_of)["perplexity"].to_numpy()
        changed = np.array([spoil(text) != text for text in held])
        assert (bad > good)[changed].mean() > 0.99
        if least_auc:
            assert auc(np.concatenate([bad, good]), np.arange(2 * len(good)) < len(good)) > least_auc
    foreign = PERPLEXITY.apply(docs([text for text in french if " les " in text and " des " in text][::6]), model_of)[
        "perplexity"
    ].to_numpy()
    assert auc(np.concatenate([foreign, good]), np.arange(len(foreign) + len(good)) < len(foreign)) > 0.98
