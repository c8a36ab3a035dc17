"""OpenCoder's rules for source files (Huang et al. 2024, section 2.1 and appendix A): the strict profile beside `filter.code`.

Thresholds are those of the configuration that the authors released. General rules hold for every file; those of functions, variables, logic
and printing for the languages that they wrote them for; what else differs by language stands in `LANGUAGES`. Where their measures are loose
or need a parser, ours is:

- A word is what stands between white space, its length that of its letters, digits and underscores. A line of code shows something outside
  of comments and documentation (`curation.code.source`). Letters and digits are shares of what is no white space.
- `pass`, `import` and `return` count at the beginning of a line: theirs finds `pass` in `password`.
- No logic: functions, classes, imports and returns per line of code. Of what this rule drops, and of test files of Go, one in five stays,
  drawn by its id.
- Only Python is parsed (`curation.code.parse`), and last. They parse JavaScript and HTML too.
- Base 64 is looked for in words of 50 characters and more, repeated n-grams as in `curation.rules.repetition`, with the punctuation on.

Prose (Markdown and its like) they judge by rules for text: here it gets the general ones. Their mark of generated files is the word
`generate` in the first 200 characters, which takes many a good file: `generated_marks` is the parameter to look at first. 18 MB per CPU
second, 10 with the parser; it keeps 58 % of the Python files of installed packages.
"""

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import draw
from curation.code import measures
from curation.code.deepseek import line_statistics, visible_text
from curation.code.parse import parses
from curation.code.source import CODE, COMMENT, Source, sources
from curation.reasons import first_reason
from curation.rules import repetition, surface
from curation.rules.per_language import per_language
from curation.rules.surface import share

GENERATED_MARKS = ("auto-generated", "autogen", "generate", "do not edit")
_PRINT = "print printf println Println Printf log cout WriteLine Write"
TOP_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE_NGRAMS = {5: 0.80, 6: 0.70, 7: 0.70, 8: 0.70, 9: 0.70, 10: 0.60}
KEPT = 0.2  # of what two of the rules drop

_TEXT = {"max_long_string_lines": 1.0, "max_string_chars": 1.0, "max_assert_lines": 1.0}
_DATA = {**_TEXT, "max_todo_lines": 1.0, "max_chars": 5_000, "min_distinct_words": 0.4}
_HTML = {"max_comments": 1.0, "max_long_word_chars": 1.0, "min_visible_words": 0.2, "min_visible_chars": 100}
LANGUAGES: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("json", "yaml", "toml", "xml", "ini", "csv"), _DATA),
    "html": {**_TEXT, **_HTML, "max_todo_lines": 1.0, "duplicate_ngrams": dict.fromkeys(DUPLICATE_NGRAMS, 0.60)},
    "shell": _TEXT,
    "sql": {"max_digits": 0.3},
    "go": {"max_assert_lines": 1.0},
}
WITH_FUNCTIONS = frozenset(["python", "c", "c++", "c#", "go", "java", "javascript", "typescript"])
WITH_VARIABLES = WITH_FUNCTIONS - {"c", "c++"}
_PYTHON, _C, _GO = frozenset(["python"]), frozenset(["c", "c++"]), frozenset(["go"])
_STATEMENTS = "import from using use package require class interface struct return"
_CODE_NAME = re.compile(r"[a-z][\w+#.-]*")


class Limits(NamedTuple):
    """The parameters of `filter.opencoder`. Shares lie between 0 and 1; a rule is off at 0 (`min_`) or 1 (`max_`)."""

    max_bytes: int = 3_000_000
    min_chars: int = 50
    max_chars: int = 3_000_000
    min_lines: int = 10  # blank ones among them
    max_lines: int = 100_000
    min_mean_line: float = 5.0  # characters
    max_mean_line: float = 100.0
    max_line: int = 1000
    min_words: int = 30
    min_mean_word: float = 2.0  # letters, digits and underscores
    max_mean_word: float = 10.0
    min_distinct_words: float = 0.0
    min_letters: float = 0.5  # of what is no white space
    max_digits: float = 0.2
    max_whitespace: float = 0.5  # of all characters
    max_replacements: float = 0.01
    generated_marks: Sequence[str] = GENERATED_MARKS  # whatever their case, in so many characters from the beginning:
    generated_prefix: int = 200
    xml_prefix: int = 100  # an XML declaration in so many characters
    max_encoded: float = 0.5  # of all characters, in runs that look like data
    max_encoded_run: int = 1024
    max_comments: float = 0.8  # of all characters, documentation among them
    max_todo_lines: float = 0.01  # lines with such a comment, of those that are not blank
    max_string_chars: float = 0.6  # of the characters of code, as the next three
    max_long_word_chars: float = 0.4  # in strings
    long_word: int = 20  # a word of more characters
    max_hex_chars: float = 0.4
    max_long_string_lines: float = 0.2  # of the lines of code, as all others of lines
    long_string: int = 20  # more words of strings in a line
    max_assert_lines: float = 0.4
    max_duplicate_lines: float = 0.7
    top_ngrams: Mapping[int, float] = TOP_NGRAMS
    duplicate_ngrams: Mapping[int, float] = DUPLICATE_NGRAMS
    min_visible_words: float = 0.0  # of HTML
    min_visible_chars: int = 0
    max_function_lines: float = 0.2
    max_print_lines: float = 0.4
    max_no_logic: float = 0.5
    has_variables: bool = True
    max_pass_lines: float = 0.05  # of Python, as the next two
    max_import_lines: float = 0.3
    max_one_line_functions: float = 0.1
    max_mains: int = 1  # of C and C++, as the next
    max_preprocessor_lines: float = 0.8
    parse: bool = True  # Python
    seed: int = 0  # of what stays by chance


Rules = Iterator[tuple[str, np.ndarray]]


def _opencoder(docs: pa.Table, **params: Any) -> pa.Array:
    """One reason per row, null = keep; a file fails the first rule it breaks. The parameters are those of `Limits`."""
    limits = Limits(**params)
    bytes_D = pc.fill_null(pc.binary_length(docs["text"]), 0).to_numpy()
    lucky_D = draw.draws_of(docs["id"], limits.seed) < np.uint64(math.ldexp(KEPT, 64))
    is_test_D = np.array([origin.endswith("_test.go") for origin in docs["origin"].to_pylist()], bool)
    reasons, first = [pa.array([], pa.string())], 0
    for of in sources(docs):
        mine = slice(first, first := first + of.num_docs)
        failed = [
            ("bytes", bytes_D[mine] > limits.max_bytes),
            ("test_file", is_test_D[mine] & ~lucky_D[mine] & of.is_in(_GO)),
            *_of_text(of, limits),
            *_of_beginning(of, limits),
            *_of_code(of, limits),
            *_of_languages(of, limits, lucky_D[mine]),
            *_of_html(of, limits),
        ]
        failed += _of_repetition(of, limits, ~_any(failed))
        if limits.parse:
            failed.append(("does_not_parse", _broken(of, ~_any(failed))))
        reasons.append(first_reason(of.num_docs, [(f"opencoder.{name}", flags_D) for name, flags_D in failed]))
    return pa.concat_arrays(reasons)


def _any(failed: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """bool (D,): one of the rules was broken."""
    return np.logical_or.reduce([flags_D for _, flags_D in failed])


def _of_text(of: Source, limits: Limits) -> Rules:
    lines_D, mean_line_D, longest_D = line_statistics(of.chunk)
    words_D, mean_word_D = surface.word_count(of), measures.word_letters(of)
    yield "few_chars", of.chunk.chars_D < limits.min_chars
    yield "many_chars", of.chunk.chars_D > limits.max_chars
    yield "few_lines", lines_D < limits.min_lines
    yield "many_lines", lines_D > limits.max_lines
    yield "short_mean_line", mean_line_D < limits.min_mean_line
    yield "long_mean_line", mean_line_D > limits.max_mean_line
    yield "long_line", longest_D > limits.max_line
    yield "few_words", words_D < limits.min_words
    yield "short_words", mean_word_D < limits.min_mean_word
    yield "long_words", mean_word_D > limits.max_mean_word
    if limits.min_distinct_words > 0:
        yield "few_distinct_words", measures.distinct_words(of) < limits.min_distinct_words
    yield "few_letters", measures.letters(of) < limits.min_letters
    yield "digits", measures.digits(of) > limits.max_digits
    yield "whitespace", measures.whitespace(of) > limits.max_whitespace
    yield "replacements", measures.replacements(of) > limits.max_replacements
    share_D, run_D = measures.encoded(of)
    yield "encoded", (share_D > limits.max_encoded) | (run_D > limits.max_encoded_run)


def _of_beginning(of: Source, limits: Limits) -> Rules:
    heads = [text[: limits.generated_prefix].lower() for text in of.chunk.texts]
    marks = [mark.lower() for mark in limits.generated_marks]
    yield "generated", np.array([any(mark in head for mark in marks) for head in heads], bool)
    yield "xml", np.array(["<?xml version=" in text[: limits.xml_prefix] for text in of.chunk.texts], bool)


def _of_code(of: Source, limits: Limits) -> Rules:
    yield "comments", measures.comments(of) > limits.max_comments
    todo_L = measures.lines_with(of, of.runs_among(measures.TODO), COMMENT)
    yield "todo_lines", share(of.count(of.lines.doc_S[todo_L]), of.lines_D) > limits.max_todo_lines
    yield "strings", measures.strings(of) > limits.max_string_chars
    yield "long_string_words", measures.long_string_words(of, limits.long_word) > limits.max_long_word_chars
    yield "hexadecimals", measures.hexadecimals(of) > limits.max_hex_chars
    yield "long_string_lines", measures.long_string_lines(of, limits.long_string) > limits.max_long_string_lines
    yield "assert_lines", measures.assert_lines(of) > limits.max_assert_lines
    yield "duplicate_lines", measures.duplicate_lines(of) > limits.max_duplicate_lines


def _of_languages(of: Source, limits: Limits, lucky_D: np.ndarray) -> Rules:
    functional_D, python_D, c_D = of.is_in(WITH_FUNCTIONS), of.is_in(_PYTHON), of.is_in(_C)
    if not functional_D.any():
        return
    functions_D = measures.function_lines(of)
    yield "function_lines", functional_D & (functions_D > limits.max_function_lines)
    print_L = measures.lines_with(of, of.runs_among(_PRINT), CODE)
    yield "print_lines", functional_D & (of.share_of_code_lines(print_L) > limits.max_print_lines)
    no_logic_D = functions_D + of.share_of_code_lines(of.begins_with(_STATEMENTS))
    yield "no_logic", functional_D & ~lucky_D & (no_logic_D > limits.max_no_logic)
    if limits.has_variables:
        yield "no_variables", of.is_in(WITH_VARIABLES) & (measures.assignments(of) == 0)
    if python_D.any():
        yield "pass_lines", python_D & (of.share_of_code_lines(of.begins_with("pass")) > limits.max_pass_lines)
        imports_D = of.share_of_code_lines(of.begins_with("import from"))
        yield "import_lines", python_D & (imports_D > limits.max_import_lines)
        yield "one_line_functions", python_D & (measures.one_line_functions(of) > limits.max_one_line_functions)
    if c_D.any():
        yield "mains", c_D & (measures.mains(of) > limits.max_mains)
        directives_D = of.share_of_code_lines(of.chunk.codes_C[of.indented_L] == ord("#"))
        yield "preprocessor_lines", c_D & (directives_D > limits.max_preprocessor_lines)


def _of_html(of: Source, limits: Limits) -> Rules:
    if limits.min_visible_words <= 0 and limits.min_visible_chars <= 0:
        return
    shown = [visible_text(text) for text in of.chunk.texts]
    words_D = np.array([len(text.split()) for text in shown], np.int64)
    yield "few_visible_words", share(words_D, of.words_D) < limits.min_visible_words
    yield "few_visible_chars", np.array([len(text) for text in shown], np.int64) < limits.min_visible_chars


def _of_repetition(of: Source, limits: Limits, among_D: np.ndarray) -> Rules:
    for kind, measure, shares in (
        ("top", repetition.top_ngrams, limits.top_ngrams),
        ("duplicate", repetition.duplicate_ngrams, limits.duplicate_ngrams),
    ):
        at_most = {int(n): limit for n, limit in shares.items()}
        for n, share_D in measure(of, at_most, among_D):
            yield f"{kind}_{n}_gram", share_D > at_most[n]


def _broken(of: Source, among_D: np.ndarray) -> np.ndarray:
    """bool (D,): Python that does not parse, of the files `among_D`."""
    asked = zip(of.chunk.texts, among_D & of.is_in(_PYTHON), strict=True)
    return np.fromiter((is_asked and not parses(text) for text, is_asked in asked), bool, of.num_docs)


def _stepped() -> Any:
    """The filter with the signature that the manifest is checked against."""
    signature = inspect.signature(_opencoder)
    keyword = inspect.Parameter.KEYWORD_ONLY
    fields = [
        inspect.Parameter(name, keyword, default=default, annotation=Limits.__annotations__[name])
        for name, default in Limits._field_defaults.items()
    ]
    documents = signature.parameters["docs"]
    _opencoder.__signature__ = signature.replace(parameters=[documents, *fields])  # type: ignore[attr-defined]
    return per_language(_opencoder, own=LANGUAGES, names=_CODE_NAME)


opencoder = _stepped()
