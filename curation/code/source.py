"""What rules and signals of source code look at: comments, strings and code apart, lines of code, brackets, functions.

All for the documents of a chunk at once, found when first asked for. A character is code, part of a comment, of a string, or of
documentation: in Python a string that begins its line. A line of code shows something that is neither comment nor documentation. A function
is a block with parameters: a line that begins with `def`, or a `{` behind the `)` of a name that is not `if`, `for` or their like. So
function values count; declarations, and functions whose body is an expression, do not. 20 MB per CPU second for all of it.

Suffixes as in `curation.rules.surface`, and T for tokens (comments and strings), B for brackets, F for functions.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curation import span_hash, words
from curation.code import syntax
from curation.rules.surface import Surface, share
from curation.words import Chunk, Spans

CODE, COMMENT, STRING, DOCUMENTATION = range(4)
INDENTED = frozenset(["python"])  # languages whose blocks are told by their lines
_CONTROL = "if for while switch catch match foreach synchronized using lock return elif with except until unless guard"
CHUNK_CHARS = 1 << 18  # twice what the rules for text take: there are more passes, whose beginnings cost
_BEFORE_VALUE = [ord(char) for char in "=,(:)"]  # what stands before the parameters of a function without a name
_MAX_HEAD = 200  # characters from the `)` of a function's parameters to its `{`: result types, `const`, `throws`

_BLANK = words.SPACE | words.NEWLINE
UPPER, LOWER, DIGIT, UNDERSCORE, VOWEL, OPENING, CLOSING = (np.uint8(1 << bit) for bit in range(7))
_SETS = {
    UPPER: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    LOWER: "abcdefghijklmnopqrstuvwxyz",
    DIGIT: "0123456789",
    UNDERSCORE: "_",
    VOWEL: "aeiouyAEIOUY",
    OPENING: "([{",
    CLOSING: ")]}",
}
_FLAGS = bytes(sum(int(flag) for flag, chars in _SETS.items() if chr(code) in chars) for code in range(256))


class Brackets(NamedTuple):
    """Those of code, in the order of the text."""

    place_B: np.ndarray  # int64, of the character
    step_B: np.ndarray  # int8, 1 opens and -1 closes
    depth_B: np.ndarray  # int64, how many are open around it in its document; negative where too many were closed
    doc_B: np.ndarray  # int64


class Functions(NamedTuple):
    """In the order of the text."""

    line_F: np.ndarray  # int64, index of the line of the `def`, or of the `{`
    doc_F: np.ndarray  # int64


class Source(Surface):
    """The source files of one chunk and what was found in them so far."""

    def __init__(self, chunk: Chunk, languages: Sequence[str | None]) -> None:
        super().__init__(chunk)
        self.languages = languages

    def is_in(self, languages: frozenset[str]) -> np.ndarray:
        """bool (D,): the language is one of these."""
        return np.fromiter((language in languages for language in self.languages), bool, self.num_docs)

    @cached_property
    def _cut(self) -> tuple[np.ndarray, list[int]]:
        """(int64, where code and tokens begin and end, in turns; how many tokens each document has)."""
        lengths, tokens_D = [0], []
        for text, language in zip(self.chunk.texts, self.languages, strict=True):
            first, *rest = syntax.pieces(text, language)
            lengths[-1] += first
            lengths += rest
            lengths[-1] += 1  # the line feed behind a document
            tokens_D.append(len(rest) // 2)
        return np.cumsum(lengths), tokens_D

    @cached_property
    def tokens(self) -> Spans:
        """Comments and strings."""
        edges, tokens_D = self._cut
        return Spans(edges[0:-1:2], edges[1::2], np.repeat(np.arange(self.num_docs), tokens_D))

    @cached_property
    def kind_T(self) -> np.ndarray:
        """uint8 (T,): COMMENT, STRING or DOCUMENTATION."""
        codes_C, tokens = self.chunk.codes_C, self.tokens
        first_T, second_T = codes_C[tokens.start_S], codes_C[tokens.start_S + 1]
        is_string_T = np.logical_or.reduce([first_T == ord(quote) for quote in syntax.QUOTES])
        is_string_T |= (
            (first_T == ord("/")) & (second_T != ord("/")) & (second_T != ord("*"))
        )  # JavaScript's expressions
        kind_T = np.where(is_string_T, np.uint8(STRING), np.uint8(COMMENT))
        line_T = self.line_of(tokens.start_S)
        begins_T = is_string_T & (self.indented_L[line_T] == tokens.start_S) if len(line_T) else is_string_T
        kind_T[begins_T & self.is_in(INDENTED)[tokens.doc_S]] = DOCUMENTATION
        return kind_T

    @cached_property
    def kind_C(self) -> np.ndarray:
        """uint8 (C,): CODE, COMMENT, STRING or DOCUMENTATION."""
        edges, _ = self._cut
        kinds = np.zeros(len(edges), np.uint8)
        kinds[1::2] = self.kind_T
        return np.repeat(kinds, np.diff(edges, prepend=0))

    @cached_property
    def code_C(self) -> np.ndarray:
        """bool (C,): characters of code, line feeds behind documents among them."""
        return self.kind_C == CODE

    @cached_property
    def ascii_C(self) -> np.ndarray:
        """uint8 (C,): flags of characters of ASCII, UPPER to CLOSING."""
        flags_C = np.frombuffer(self.chunk.low_bytes.translate(_FLAGS), np.uint8)
        if len(self.chunk.beyond):
            flags_C = flags_C.copy()
            flags_C[self.chunk.beyond] = 0
        return flags_C

    @cached_property
    def shown_chars_D(self) -> np.ndarray:
        """int64 (D,): characters other than white space."""
        return self.chunk.chars_D - self.count_chars((self.chunk.classes_C & _BLANK) != 0)

    def chars_of(self, *kinds: int) -> np.ndarray:
        """int64 (D,): characters of tokens of these kinds."""
        mine_T = np.logical_or.reduce([self.kind_T == kind for kind in kinds])
        return self.total(self.tokens.chars_S[mine_T], self.tokens.doc_S[mine_T])

    @cached_property
    def code_chars_D(self) -> np.ndarray:
        """int64 (D,): characters outside of comments and documentation, white space among them."""
        return self.chunk.chars_D - self.chars_of(COMMENT, DOCUMENTATION)

    def line_of(self, place_S: np.ndarray) -> np.ndarray:
        """int64 (S,): index of the line that a character other than white space stands in."""
        return np.searchsorted(self.lines.start_S, place_S, "right") - 1

    @cached_property
    def indented_L(self) -> np.ndarray:
        """int64 (L,): where each line's first character other than white space is."""
        return self.first_char_L

    @cached_property
    def code_L(self) -> np.ndarray:
        """bool (L,): lines of code."""
        if not len(self.lines.start_S):
            return np.zeros(0, bool)
        shown_C = (self.code_C | (self.kind_C == STRING)) & ((self.chunk.classes_C & _BLANK) == 0)
        return np.logical_or.reduceat(shown_C, self.lines.start_S)

    @cached_property
    def shown_L(self) -> np.ndarray:
        """bool (L,): lines of code or documentation."""
        return self.code_L | (self.kind_C[self.indented_L] == DOCUMENTATION)

    @cached_property
    def code_lines_D(self) -> np.ndarray:
        return self.count(self.lines.doc_S[self.code_L])

    def share_of_code_lines(self, flags_L: np.ndarray) -> np.ndarray:
        """float64 (D,): of the lines of code, those that are flagged."""
        return share(self.count(self.lines.doc_S[flags_L & self.code_L]), self.code_lines_D)

    @cached_property
    def runs(self) -> Spans:
        """Words without punctuation, those of comments and strings too."""
        return words.word_runs(self.chunk)

    @cached_property
    def code_run(self) -> np.ndarray:
        """int64: indices of the runs of code."""
        return np.flatnonzero(self.code_C[self.runs.start_S])

    @cached_property
    def run_hashes_S(self) -> np.ndarray:
        return span_hash.hash_spans(self.chunk, self.runs)

    @cached_property
    def head_L(self) -> np.ndarray:
        """int64 (L,): index of the run that each line of code begins with, -1 where it begins with something else."""
        if not len(self.runs.start_S):
            return np.full(len(self.lines.start_S), -1)
        head_L = np.minimum(np.searchsorted(self.runs.start_S, self.indented_L), len(self.runs.start_S) - 1)
        begins_L = self.code_L & (self.runs.start_S[head_L] == self.indented_L)
        begins_L &= self.kind_C[self.indented_L] == CODE
        return np.where(begins_L, head_L, -1)

    @cached_property
    def _head_hashes_L(self) -> np.ndarray:
        """uint64 (L,): of the run that each line of code begins with, 0 where it begins with something else."""
        return np.where(self.head_L >= 0, np.append(self.run_hashes_S, np.uint64(0))[self.head_L], np.uint64(0))

    def begins_with(self, wanted: str) -> np.ndarray:
        """bool (L,): lines of code that begin with one of these words."""
        return _are_among(self._head_hashes_L, wanted)

    def runs_among(self, wanted: str) -> np.ndarray:
        """bool (S,): runs that are one of these words."""
        return _are_among(self.run_hashes_S, wanted)

    def count_chars(self, flags_C: np.ndarray) -> np.ndarray:
        """int64 (D,): flagged characters; by slices, which is several times as fast as a sum over the chunk."""
        return np.fromiter(map(np.count_nonzero, map(flags_C.__getitem__, self._places_D)), np.int64, self.num_docs)

    @cached_property
    def _places_D(self) -> list[slice]:
        """Where the characters of each document stand."""
        return list(map(slice, self.chunk.starts_D.tolist(), self.chunk.ends_D.tolist()))

    @cached_property
    def brackets(self) -> Brackets:
        place_B = np.flatnonzero(((self.ascii_C & (OPENING | CLOSING)) != 0) & self.code_C)
        opens_B = (self.ascii_C[place_B] & OPENING) != 0
        step_B = np.where(opens_B, np.int8(1), np.int8(-1))
        first_D = np.searchsorted(place_B, self.chunk.starts_D)
        doc_B = np.repeat(np.arange(self.num_docs), np.diff(first_D, append=len(place_B)))
        before_B = np.cumsum(step_B, dtype=np.int64) - step_B
        base_D = np.append(before_B, 0)[first_D]
        return Brackets(place_B, step_B, before_B - base_D[doc_B] - ~opens_B, doc_B)

    def depth_at(self, place_S: np.ndarray, doc_S: np.ndarray) -> np.ndarray:
        """int64 (S,): brackets that are open before each place."""
        place_B, step_B, depth_B, doc_B = self.brackets
        before = np.searchsorted(place_B, place_S) - 1
        there = (before >= 0) & (doc_B[before] == doc_S) if len(doc_B) else np.zeros(len(place_S), bool)
        return np.where(there, depth_B[before] + (step_B[before] > 0), 0) if len(doc_B) else np.zeros(len(place_S), int)

    @cached_property
    def functions(self) -> Functions:
        """By lines in Python, by blocks elsewhere."""
        line_F = np.flatnonzero(self.begins_with("def async") & self.is_in(INDENTED)[self.lines.doc_S])
        word_F = self.head_L[line_F]  # `async` may also begin a loop
        word_F += self.begins_with("async")[line_F]
        line_F = line_F[_are_among(self.run_hashes_S[word_F], "def")]
        line_F = np.sort(np.concatenate([line_F, self.line_of(self._function_blocks)]))
        return Functions(line_F, self.lines.doc_S[line_F])

    @property
    def _function_blocks(self) -> np.ndarray:
        """int64: places of `{` that open the body of a function."""
        codes_C = self.chunk.codes_C
        place_B, _, depth_B, doc_B = self.brackets
        body = 1 + np.flatnonzero((codes_C[place_B[1:]] == ord("{")) & (codes_C[place_B[:-1]] == ord(")")))
        near = (doc_B[body] == doc_B[body - 1]) & (place_B[body] - place_B[body - 1] <= _MAX_HEAD)
        body = body[near & ~self.is_in(INDENTED)[doc_B[body]]]
        if not len(body):
            return body
        ends = np.flatnonzero(codes_C == ord(";"))
        body = body[np.searchsorted(ends, place_B[body]) == np.searchsorted(ends, place_B[body - 1])]
        # Brackets of one document and depth alternate between opening and closing ones.
        order = np.argsort(doc_B * (2 * len(doc_B)) + depth_B, kind="stable")
        rank_B = np.empty(len(order), np.int64)
        rank_B[order] = np.arange(len(order))
        opening = place_B[order[np.maximum(rank_B[body - 1] - 1, 0)]]
        before = codes_C[opening - 1]
        is_apart = before == ord(" ")
        before = np.where(is_apart, codes_C[opening - 2], before)
        run = np.searchsorted(self.runs.end_S, opening - is_apart, "right") - 1
        is_named = (run >= 0) & (self.runs.end_S[run] == opening - is_apart)
        is_value = np.isin(before, _BEFORE_VALUE) | ((before == ord(">")) & ~is_apart)
        is_function = np.where(is_named, ~_are_among(self.run_hashes_S[run], _CONTROL), is_value)
        return place_B[body[is_function]]


def _are_among(hashes_S: np.ndarray, wanted: str) -> np.ndarray:
    """bool (S,): the hash is that of one of these words. Nearly all are ruled out by their lowest byte."""
    hashes, is_likely = _wanted(wanted)
    likely = np.flatnonzero(is_likely[hashes_S.astype(np.uint8)])
    found_S = np.zeros(len(hashes_S), bool)
    found_S[likely] = (hashes_S[likely, None] == hashes).any(axis=1)
    return found_S


@lru_cache(maxsize=64)
def _wanted(wanted: str) -> tuple[np.ndarray, np.ndarray]:
    """(uint64, the words' hashes; bool (256,), their lowest bytes)."""
    hashes = np.array([span_hash.hash_text(word) for word in wanted.split()], np.uint64)
    is_likely = np.zeros(256, bool)
    is_likely[hashes.astype(np.uint8)] = True
    return hashes, is_likely


def sources(docs: pa.Table) -> Iterator[Source]:
    """The files of a table in order, a chunk at a time; `docs` has text and lang."""
    languages, first = docs["lang"].to_pylist(), 0
    for chunk in words.chunks(docs["text"], CHUNK_CHARS):
        yield Source(chunk, languages[first : first + len(chunk.starts_D)])
        first += len(chunk.starts_D)
