"""What the rules measure in source code, for all files of a chunk at once. Every measure gives float64 (D,); a share of nothing is 0."""

import re

import numpy as np

from curation import span_hash, words
from curation.code.source import CODE, COMMENT, DIGIT, DOCUMENTATION, INDENTED, STRING, Source
from curation.rules.surface import share
from curation.words import Spans

TODO = "todo TODO Todo fixme FIXME Fixme"

_CLOSED = 2  # characters of a line of code that says nothing: `}`, `},`, `);`
_LEAST_ENCODED = 64  # characters of one run
_LEAST_ENCODED_WORD = 50
_LEAST_ESCAPES = 8
_ESCAPED = re.compile(  # eight or more of `\x0f`, `0x0f,` or `\u000f` in a row
    r"[0\\](?:x[0-9a-fA-F]{2},?\s*+(?:[0\\]x[0-9a-fA-F]{2},?\s*+){7,}|u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4}){7,})"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{50,}+=*+")


def whitespace(of: Source) -> np.ndarray:
    """White space as a share of all characters."""
    return share(of.chunk.chars_D - of.shown_chars_D, of.chunk.chars_D)


def letters(of: Source) -> np.ndarray:
    """Letters as a share of what is no white space."""
    return share(of.count_chars((of.chunk.classes_C & words.LETTER) != 0), of.shown_chars_D)


def digits(of: Source) -> np.ndarray:
    """Digits of ASCII as a share of what is no white space."""
    return share(of.count_chars((of.ascii_C & DIGIT) != 0), of.shown_chars_D)


def replacements(of: Source) -> np.ndarray:
    """Characters that stand for bytes that were none (U+FFFD), as a share of all."""
    return share(of.count_text("\ufffd"), of.chunk.chars_D)


def word_letters(of: Source) -> np.ndarray:
    """Mean number of letters, digits and underscores of words that have some."""
    is_word_S = (of.word_classes_S & words.WORD) != 0
    return share(of.count_chars((of.chunk.classes_C & words.WORD) != 0), of.count(of.words.doc_S[is_word_S]))


def distinct_words(of: Source) -> np.ndarray:
    """Different words as a share of all."""
    return of.share_of_words(~words.repeats(of.word_hashes_S, of.words.doc_S))


def comments(of: Source) -> np.ndarray:
    """Characters of comments and documentation as a share of all."""
    return share(of.chars_of(COMMENT, DOCUMENTATION), of.chunk.chars_D)


def strings(of: Source) -> np.ndarray:
    """Characters of strings as a share of the code's."""
    return share(of.chars_of(STRING), of.code_chars_D)


def _string_words(of: Source) -> np.ndarray:
    """int64: indices of the words that begin in a string."""
    return np.flatnonzero(of.kind_C[of.words.start_S] == STRING)


def long_string_lines(of: Source, least: int) -> np.ndarray:
    """Share of the lines of code with more than `least` words in strings."""
    words_L = np.bincount(of.line_of(of.words.start_S[_string_words(of)]), minlength=len(of.lines.start_S))
    return of.share_of_code_lines(words_L > least)


def long_string_words(of: Source, least: int) -> np.ndarray:
    """Characters of words in strings of more than `least` characters, addresses apart, as a share of the code's."""
    own = _string_words(of)
    own = own[of.words.chars_S[own] > least]
    if not len(own):
        return np.zeros(of.num_docs)
    is_address = [
        "://" in text[start:end]
        for text, start, end in zip(
            (of.chunk.texts[doc] for doc in of.words.doc_S[own].tolist()),
            (of.words.start_S[own] - of.chunk.starts_D[of.words.doc_S[own]]).tolist(),
            (of.words.end_S[own] - of.chunk.starts_D[of.words.doc_S[own]]).tolist(),
            strict=True,
        )
    ]
    own = own[~np.array(is_address)]
    return share(of.total(of.words.chars_S[own], of.words.doc_S[own]), of.code_chars_D)


def hexadecimals(of: Source) -> np.ndarray:
    """Characters of hexadecimal numbers (`0x...`) of code and strings as a share of the code's."""
    runs, own_S = of.runs, _hexadecimal(of)
    own_S[own_S] = np.isin(of.kind_C[runs.start_S[own_S]], (CODE, STRING))
    return share(of.total(runs.chars_S[own_S], runs.doc_S[own_S]), of.code_chars_D)


def _hexadecimal(of: Source) -> np.ndarray:
    """bool (S,): runs that begin with `0x`."""
    own_S = of.chunk.codes_C[of.runs.start_S] == ord("0")
    own_S[own_S] = (of.chunk.codes_C[of.runs.start_S[own_S] + 1] | 32) == ord("x")
    return own_S


def encoded(of: Source) -> tuple[np.ndarray, np.ndarray]:
    """(share of the characters, characters of the longest run) in what looks like data: base 64 of 64 characters, bytes as escapes.

    Base 64 is looked for in words of 50 characters; those of neighbouring lines are one run.
    """
    own = np.flatnonzero(of.words.chars_S >= _LEAST_ENCODED_WORD)
    docs_R: list[int] = []
    sizes_R: list[int] = []
    last_end = -2
    for doc, start, end in zip(
        *(each[own].tolist() for each in (of.words.doc_S, of.words.start_S, of.words.end_S)), strict=True
    ):
        base = int(of.chunk.starts_D[doc])
        match = _BASE64.search(of.chunk.texts[doc], start - base, end - base)
        if match:
            joins = match.start() == start - base == last_end + 1 - base and docs_R[-1] == doc
            if joins:
                sizes_R[-1] += 1 + len(match[0])
            else:
                docs_R.append(doc)
                sizes_R.append(len(match[0]))
            last_end = base + match.end()
    numbers_D = of.count(of.runs.doc_S[_hexadecimal(of)])
    for doc, text in enumerate(of.chunk.texts):
        if numbers_D[doc] + text.count("\\") < _LEAST_ESCAPES:
            continue
        found = [len(match[0]) for match in _ESCAPED.finditer(of.chunk.texts[doc])]
        docs_R += [doc] * len(found)
        sizes_R += found
    docs, sizes = np.array(docs_R, np.int64), np.array(sizes_R, np.int64)
    docs, sizes = docs[sizes >= _LEAST_ENCODED], sizes[sizes >= _LEAST_ENCODED]
    longest_D = np.zeros(of.num_docs)
    np.maximum.at(longest_D, docs, sizes)
    return share(words.per_document(sizes, docs, of.num_docs), of.chunk.chars_D), longest_D


def lines_with(of: Source, flags_S: np.ndarray, kind: int) -> np.ndarray:
    """bool (L,): a flagged run stands in the line, in characters of this kind."""
    at = of.runs.start_S[flags_S]
    found_L = np.zeros(len(of.lines.start_S), bool)
    found_L[of.line_of(at[of.kind_C[at] == kind])] = True
    return found_L


def assert_lines(of: Source) -> np.ndarray:
    """Share of the lines of code with a word that begins with `assert`, large or small."""
    long = np.flatnonzero(of.runs.chars_S >= len("assert"))
    start_S = of.runs.start_S[long]
    hashes_S = span_hash.hash_spans(of.chunk, Spans(start_S, start_S + len("assert"), of.runs.doc_S[long]))
    hashed = [np.uint64(span_hash.hash_text(word)) for word in ("assert", "Assert", "ASSERT")]
    flags_S = np.zeros(len(of.runs.start_S), bool)
    flags_S[long] = np.logical_or.reduce([hashes_S == each for each in hashed])
    return of.share_of_code_lines(lines_with(of, flags_S, CODE))


def duplicate_lines(of: Source) -> np.ndarray:
    """Share of the lines of code that stand there more than once, but for those of one or two characters."""
    start_L, end_L = of.indented_L, of.last_char_L + 1
    own = np.flatnonzero(of.code_L & (end_L - start_L > _CLOSED))
    trimmed = Spans(start_L[own], end_L[own], of.lines.doc_S[own])
    order, starts = words.occurrences(span_hash.hash_spans(of.chunk, trimmed), trimmed.doc_S)
    sizes = np.diff(starts, append=len(order))
    again = np.zeros(len(own), bool)
    again[order[np.repeat(sizes > 1, sizes)]] = True
    return share(of.count(trimmed.doc_S[again]), of.code_lines_D)


def function_lines(of: Source) -> np.ndarray:
    """Functions per line of code."""
    return share(of.count(of.functions.doc_F), of.code_lines_D)


def statements(of: Source) -> np.ndarray:
    """int64: indices of the lines of Python that begin a statement, documentation among them."""
    if not len(of.lines.start_S):
        return np.zeros(0, np.int64)
    begins_C = of.code_C.copy()
    begins_C[of.tokens.start_S] = True
    begins_L = begins_C[of.indented_L] & of.shown_L & of.is_in(INDENTED)[of.lines.doc_S]
    begins_L[1:] &= of.chunk.codes_C[of.last_char_L[:-1]] != ord("\\")
    begin = np.flatnonzero(begins_L)
    return begin[of.depth_at(of.indented_L[begin], of.lines.doc_S[begin]) == 0]


def one_line_functions(of: Source) -> np.ndarray:
    """Functions of Python whose body is one `return`, per line of code."""
    logical, doc_L = statements(of), of.lines.doc_S
    is_def_L = np.zeros(len(doc_L), bool)
    is_def_L[of.functions.line_F] = True
    found = is_def_L[logical[:-1]] & of.begins_with("return")[logical[1:]]
    found &= doc_L[logical[:-1]] == doc_L[logical[1:]]
    return share(of.count(doc_L[logical[:-1][found]]), of.code_lines_D)


def odd_indents(of: Source) -> np.ndarray:
    """Statements of Python whose white space breaks the rules of its blocks, as a share of all: deeper without a head, not deeper behind
    one, or back to a depth that no block around has. A head is a line that ends in `:`; behind a comment it is taken for whatever fits."""
    logical, doc_L = statements(of), of.lines.doc_S
    if not len(logical):
        return np.zeros(of.num_docs)
    shown = np.flatnonzero(of.shown_L)
    last = of.last_char_L[shown[np.cumsum(of.shown_L)[logical] - 2]]  # of the line before each
    is_head = (of.chunk.codes_C[last] == ord(":")) & (of.kind_C[last] == CODE)
    is_unknown = of.kind_C[last] == COMMENT
    indent = (of.indented_L - of.lines.start_S)[logical]
    doc = doc_L[logical]
    step = np.diff(indent, prepend=0)
    first = np.flatnonzero(np.diff(doc, prepend=-1))
    step[first], is_head[first], is_unknown[first] = indent[first], False, False
    # Where each step deeper is of one size, every multiple of it is a block around: no need to look for what is odd if nothing else is.
    deeper = np.flatnonzero(step > 0)
    unit_D = np.ones(of.num_docs, np.int64)
    unit_D[doc[deeper[::-1]]] = step[deeper[::-1]]  # the first of each document, which is written last
    unit = unit_D[doc]
    is_plain = np.where(step > 0, (is_head | is_unknown) & (step == unit), ~is_head & (indent % unit == 0))
    looks_odd_D = of.count(doc[~is_plain]) > 0
    # A line as deep as the one before, which is neither a head nor less deep than what stands before it, says nothing: most are skipped.
    step[first] = 1
    told = is_head | (step != 0)
    told[1:] |= step[:-1] < 0
    told &= looks_odd_D[doc]
    odd_D = np.zeros(of.num_docs, np.int64)
    before, open_blocks = -1, [0]
    for mine, depth, head, unknown in zip(
        *(each[told].tolist() for each in (doc, indent, is_head, is_unknown)), strict=True
    ):
        if mine != before:
            before, open_blocks = mine, [0]
        if depth > open_blocks[-1]:
            odd_D[mine] += not (head or unknown)
            open_blocks.append(depth)
            continue
        while depth < open_blocks[-1]:
            open_blocks.pop()
        odd_D[mine] += head or depth != open_blocks[-1]
    return share(odd_D, of.count(doc))


def mains(of: Source) -> np.ndarray:
    """int64 (D,): lines of code with a `main(`."""
    own = np.flatnonzero(of.runs_among("main"))
    called = own[of.chunk.codes_C[of.runs.end_S[own]] == ord("(")]
    flags_S = np.zeros(len(of.runs.start_S), bool)
    flags_S[called] = True
    return of.count(of.lines.doc_S[lines_with(of, flags_S, CODE)])


def assignments(of: Source) -> np.ndarray:
    """int64 (D,): `=` of code that gives something a value; in Python those outside of brackets, where it names no argument."""
    codes_C = of.chunk.codes_C
    place = np.flatnonzero(codes_C == ord("="))
    place = place[of.kind_C[place] == CODE]
    place = place[(codes_C[place + 1] != ord("=")) & ~np.isin(codes_C[place - 1], [ord(char) for char in "=!<>"])]
    doc = np.searchsorted(of.chunk.starts_D, place, "right") - 1
    outer = ~of.is_in(INDENTED)[doc] | (of.depth_at(place, doc) == 0)
    return of.count(doc[outer])
