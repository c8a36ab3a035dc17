"""What is code, comment, string and documentation; brackets and functions, against the parser on the standard library."""

import ast
import sysconfig
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import words
from curation.code.source import CODE, COMMENT, DOCUMENTATION, STRING, Source, sources

PYTHON = '''"""Module."""
import os  # why

def f(a, b=(1, 2)):
    """Doc
    more."""
    x = "s" + \\
        "t"
    return x
async def g(): return 1
async with a: pass
'''
JAVASCRIPT = """import a from 'a';
class B { // not (x) {
  method(x) { if (x) { return {y: [1]}; } }
}
const h = (a) => { for (const b of a) { call(b, function () { }); } };
foo(); const o = { k: 1 };
"""


def source(text: str, language: str | None) -> Source:
    return Source(words.chunk_of([text]), [language])


def of_kind(of: Source, kind: int) -> str:
    return "".join(char for char, own in zip(of.chunk.texts[0], of.kind_C.tolist(), strict=False) if own == kind)


def test_every_character_has_a_kind() -> None:
    of = source(PYTHON, "python")
    assert of_kind(of, COMMENT) == "# why"
    assert of_kind(of, DOCUMENTATION) == '"""Module.""""""Doc\n    more.""""t"'
    assert of_kind(of, STRING) == '"s"'
    assert of_kind(of, CODE).startswith("\nimport os  \n\ndef f(a, b=(1, 2)):\n")
    assert of.chars_of(COMMENT, STRING).tolist() == [len("# why") + 3]
    assert of.code_lines_D.tolist() == [6]


def test_lines_of_code_and_the_words_that_begin_them() -> None:
    of = source(PYTHON, "python")
    assert of.lines_D.tolist() == [11 - 1]
    assert of.begins_with("import def").sum() == 2
    assert of.begins_with("return").sum() == 1
    assert of.begins_with("Module Doc more").sum() == 0
    assert of.runs_among("async").sum() == 2


def test_functions_of_python_and_of_braces() -> None:
    of = source(PYTHON, "python")
    assert [PYTHON.split("\n")[line + 1] for line in of.functions.line_F.tolist()][:1] == ["def f(a, b=(1, 2)):"]
    assert len(of.functions.line_F) == 2
    assert len(source(JAVASCRIPT, "javascript").functions.line_F) == 3  # method, the arrow, the callback
    go = "func (r *T) Name(a int) (int, error) {\n\tif a > (1) {\n\t}\n\tswitch (a) {\n\t}\n}\n"
    assert len(source(go, "go").functions.line_F) == 1
    c = "int f(void);\nstatic int g(int a) {\n  while (a) { a = h((b)); }\n}\n"
    assert len(source(c, "c").functions.line_F) == 1


def test_brackets_have_the_depth_around_them() -> None:
    of = source("f(a[0], '(', {}) )\ng(", "javascript")
    assert of.brackets.depth_B.tolist() == [0, 1, 1, 1, 1, 0, -1, -1]
    assert of.depth_at(np.array([0, 2, 4]), np.zeros(3, np.int64)).tolist() == [0, 1, 2]


def test_documents_of_a_chunk_do_not_touch_each_other() -> None:
    """An open string, comment or bracket ends with its file."""
    texts = ["x = '''open (", "y = (1)\n# c", "/* open {", "", "z", "f(a)", "{ b }"]
    languages = ["python", "python", "c", "c", None, "c", "c"]
    together = Source(words.chunk_of(texts), languages)
    for index, (text, language) in enumerate(zip(texts, languages, strict=True)):
        alone = source(text, language)
        assert together.chars_of(COMMENT)[index] == alone.chars_of(COMMENT)[0]
        assert together.chars_of(STRING)[index] == alone.chars_of(STRING)[0]
        assert together.code_lines_D[index] == alone.code_lines_D[0]
        assert together.count(together.functions.doc_F)[index] == len(alone.functions.doc_F)
        assert together.brackets.depth_B[together.brackets.doc_B == index].tolist() == alone.brackets.depth_B.tolist()


def test_a_table_is_read_in_order_and_nothing_is_fine() -> None:
    table = pa.table(
        {"text": pa.array(["a\n" * 200_000, None, "# b"], pa.large_string()), "lang": ["python", None, "python"]}
    )
    assert [language for of in sources(table) for language in of.languages] == ["python", None, "python"]
    assert list(sources(table.slice(0, 0))) == []
    for of in sources(table):
        assert len(of.functions.line_F) == len(of.brackets.place_B) == 0


def test_functions_are_those_of_the_parser() -> None:
    """All functions of 50 modules of the standard library, file by file."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = [path.read_text("utf-8") for path in sorted(folder.glob("*.py"))[:50]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = [ast.walk(ast.parse(text)) for text in texts]
    wanted = [sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in each) for each in nodes]
    table = pa.table({"text": pa.array(texts, pa.large_string()), "lang": ["python"] * len(texts)})
    assert [count for of in sources(table) for count in of.count(of.functions.doc_F).tolist()] == wanted


@pytest.mark.parametrize("text", ["", "\n", "   \n\n", "\ufeff", "é = 'ü' # ß", "𝒳(𝒴)", "\x00", "{" * 1000, ")" * 1000])
@pytest.mark.parametrize("language", ["python", "c", "html", None])
def test_odd_texts_are_read(text: str, language: str | None) -> None:
    of = source(text, language)
    assert len(of.kind_C) == len(text) + 1
    assert len(of.functions.line_F) == 0
    assert of.share_of_code_lines(of.begins_with("x")).tolist() == [0]
