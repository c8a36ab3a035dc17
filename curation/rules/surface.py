"""What the rules measure on the surface of a text, for all documents of a chunk at once.

Every measure takes a `Surface` and gives float64 (D,), one value per document; what several of them need (words, lines, hashes) is found
when first asked for. A word is what stands between white space, and every ideograph; a line holds more than white space. A share of
nothing is 0.

Words, lines and their classes of English take about 35 µs for 2,200 characters, hashes 25 more, each measure on top of them 1 to 15.

Suffixes as in `curation.words`, and L lines.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa

from curation import words
from curation.words import Chunk, Spans

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher's (Rae et al. 2021, appendix A.1.1)
BULLETS = ("•", "-")
SHORT_LINE_CHARS = 30  # FineWeb's (Penedo et al. 2024, section 3.6)
LONG_LINE_CHARS = 200  # mC4's (Xue et al. 2021, section 3.1)

_BLANK = words.SPACE | words.NEWLINE
CLOSING = [ord(char) for char in "\"')]}»”’」』）】"]  # may stand between the end of a sentence and the space behind it
_WIDE = 0x3000  # sentences that end in a mark of a script written without spaces need none behind it


class Surface:
    """The documents of one chunk and what was found in them so far."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.num_docs = len(chunk.starts_D)

    @cached_property
    def words(self) -> Spans:
        return words.blank_separated(self.chunk)

    @cached_property
    def word_classes_S(self) -> np.ndarray:
        return words.classes_in(self.chunk, self.words)

    @cached_property
    def words_D(self) -> np.ndarray:
        """Words, those of punctuation only among them."""
        return self.count(self.words.doc_S)

    @cached_property
    def lines(self) -> Spans:
        return words.lines(self.chunk)

    @cached_property
    def lines_D(self) -> np.ndarray:
        return self.count(self.lines.doc_S)

    @cached_property
    def paragraphs(self) -> Spans:
        return words.paragraphs(self.chunk, self.lines)

    @cached_property
    def line_words_L1(self) -> np.ndarray:
        """int64 (L+1,): words `line_words_L1[i]` to `line_words_L1[i + 1]` stand in line i."""
        return np.append(np.searchsorted(self.words.start_S, self.lines.start_S), len(self.words.start_S))

    @property
    def first_char_L(self) -> np.ndarray:
        """Where each line's first character other than white space is."""
        return self.words.start_S[self.line_words_L1[:-1]]

    @property
    def last_char_L(self) -> np.ndarray:
        """Where each line's last character other than white space is."""
        return self.words.end_S[self.line_words_L1[1:] - 1] - 1

    @cached_property
    def lower_case(self) -> str:
        """The chunk in lower case, character by character."""
        return "\n".join(self.chunk.texts).replace("İ", "i").lower()  # the one character whose lower case is two

    @cached_property
    def char_sums_C1(self) -> np.ndarray:
        return words.char_sums(self.chunk)

    @cached_property
    def word_hashes_S(self) -> np.ndarray:
        return words.hash_spans(self.char_sums_C1, self.words)

    @cached_property
    def repeated_L(self) -> np.ndarray:
        """bool (L,): the same line came before in the document."""
        return self._repeated(self.lines)

    @cached_property
    def repeated_P(self) -> np.ndarray:
        """bool (P,): the same paragraph came before in the document."""
        return self._repeated(self.paragraphs)

    def _repeated(self, spans: Spans) -> np.ndarray:
        return words.repeats(words.hash_spans(self.char_sums_C1, spans), spans.doc_S)

    def count(self, doc_S: np.ndarray) -> np.ndarray:
        """int64 (D,): how many of these documents' indices, which ascend, are each document's."""
        return np.diff(self._firsts(doc_S))

    def total(self, values_S: np.ndarray, doc_S: np.ndarray) -> np.ndarray:
        """int64 (D,): sums of integers or flags by document; `doc_S` ascends."""
        before_S1 = np.zeros(len(values_S) + 1, np.int64)
        np.cumsum(values_S, out=before_S1[1:])
        return np.diff(before_S1[self._firsts(doc_S)])

    def _firsts(self, doc_S: np.ndarray) -> np.ndarray:
        """int64 (D+1,): where each document begins. Looking for it is ten times as fast as counting, for documents are few."""
        return np.searchsorted(doc_S, np.arange(self.num_docs + 1))

    def count_text(self, wanted: str) -> np.ndarray:
        """int64 (D,): occurrences of a text that do not overlap."""
        return np.fromiter((text.count(wanted) for text in self.chunk.texts), np.int64, self.num_docs)

    def share_of_words(self, flags_S: np.ndarray) -> np.ndarray:
        return share(self.count(self.words.doc_S[flags_S]), self.words_D)

    def share_of_lines(self, flags_L: np.ndarray) -> np.ndarray:
        return share(self.count(self.lines.doc_S[flags_L]), self.lines_D)


def surfaces(texts: pa.ChunkedArray | pa.Array) -> Iterator[Surface]:
    """The documents of a text column in order, a chunk at a time; a null reads as an empty text."""
    return map(Surface, words.chunks(texts))


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is no whole."""
    return part / np.maximum(whole, 1)


def word_count(of: Surface) -> np.ndarray:
    """Words that are more than punctuation."""
    return of.count(of.words.doc_S[(of.word_classes_S & words.PLAIN) != 0]).astype(np.float64)


def mean_word_length(of: Surface) -> np.ndarray:
    """Mean number of characters of words that are more than punctuation."""
    real_S = (of.word_classes_S & words.PLAIN) != 0
    docs = of.words.doc_S[real_S]
    return share(of.total(of.words.chars_S[real_S], docs), of.count(docs))


def hash_signs(of: Surface) -> np.ndarray:
    """`#` per word."""
    return share(of.count_text("#"), of.words_D)


def ellipses(of: Surface) -> np.ndarray:
    """`...` and `…` per word."""
    return share(of.count_text("...") + of.count_text("…"), of.words_D)


def bullet_lines(of: Surface) -> np.ndarray:
    """Share of lines that start with a bullet."""
    first_L = of.chunk.codes_C[of.first_char_L]
    return of.share_of_lines(np.isin(first_L, [ord(bullet) for bullet in BULLETS]))


def ellipsis_lines(of: Surface) -> np.ndarray:
    """Share of lines that end in `...` or `…`."""
    codes_C, last_L = of.chunk.codes_C, of.last_char_L
    return of.share_of_lines(ends_in_dots(of, last_L) | (codes_C[last_L] == ord("…")))


def ends_in_dots(of: Surface, last_L: np.ndarray) -> np.ndarray:
    """bool (L,): the three characters up to each place are dots."""
    # Before the first character an index wraps to the line feed that ends the chunk.
    return np.logical_and.reduce([of.chunk.codes_C[last_L - back] == ord(".") for back in range(3)])


def alphabetic_words(of: Surface) -> np.ndarray:
    """Share of words with a letter."""
    return of.share_of_words((of.word_classes_S & words.LETTER) != 0)


def stop_words(of: Surface, wanted: Sequence[str] = STOP_WORDS) -> np.ndarray:
    """How many of the wanted words occur: as given, capitalised, or in capitals; one of several ideographs as these in a row."""
    wanted = list(dict.fromkeys(wanted))  # twice the same word is one
    short_S = np.flatnonzero(of.words.chars_S <= max(map(len, wanted), default=0))
    short = Spans(of.words.start_S[short_S], of.words.end_S[short_S], of.words.doc_S[short_S])
    hashes_S = words.hash_spans(of.char_sums_C1, short)
    found_D = np.zeros(of.num_docs)
    for word in wanted:
        parts = _parts(word)
        if len(parts) > 1:
            hashes_G, first_G = words.ngrams(of.word_hashes_S, of.words.doc_S, len(parts))
            first_G = first_G[hashes_G == np.uint64(words.hash_ngram(parts))]
            found_D += of.count(of.words.doc_S[first_G]) > 0
            continue
        there_S = np.zeros(len(hashes_S), bool)
        for form in {word, word.capitalize(), word.upper()}:
            there_S |= hashes_S == np.uint64(words.hash_text(form))
        found_D += of.count(short.doc_S[there_S]) > 0
    return found_D


@lru_cache(maxsize=4096)
def _parts(word: str) -> tuple[str, ...]:
    """What `Surface.words` makes of a word: every ideograph is one."""
    spans = words.blank_separated(words.chunk_of([word]))
    return tuple(word[start:end] for start, end in zip(spans.start_S.tolist(), spans.end_S.tolist(), strict=True))


def duplicate_lines(of: Surface) -> np.ndarray:
    """Share of lines that came before in the document."""
    return of.share_of_lines(of.repeated_L)


def duplicate_line_chars(of: Surface) -> np.ndarray:
    """Characters in lines that came before, as a share of all."""
    return share(_repeated_chars(of, of.lines, of.repeated_L), of.chunk.chars_D)


def duplicate_chars_of_lines(of: Surface) -> np.ndarray:
    """Characters in lines that came before, as a share of all but line feeds: FineWeb's measure."""
    return share(_repeated_chars(of, of.lines, of.repeated_L), of.chunk.chars_D - of.count_text("\n"))


def duplicate_paragraphs(of: Surface) -> np.ndarray:
    """Share of paragraphs that came before in the document."""
    return share(of.count(of.paragraphs.doc_S[of.repeated_P]), of.count(of.paragraphs.doc_S))


def duplicate_paragraph_chars(of: Surface) -> np.ndarray:
    """Characters in paragraphs that came before, as a share of all."""
    return share(_repeated_chars(of, of.paragraphs, of.repeated_P), of.chunk.chars_D)


def _repeated_chars(of: Surface, spans: Spans, repeated_S: np.ndarray) -> np.ndarray:
    return of.total(spans.chars_S[repeated_S], spans.doc_S[repeated_S])


def punctuated_lines(of: Surface) -> np.ndarray:
    """Share of lines that end a sentence: their last character is a `.`, `!`, `?` or its like in another script."""
    return of.share_of_lines((of.chunk.classes_C[of.last_char_L] & words.STOP) != 0)


def short_lines(of: Surface, chars: int = SHORT_LINE_CHARS) -> np.ndarray:
    """Share of lines of at most so many characters."""
    return of.share_of_lines(of.lines.chars_S <= chars)


def long_lines(of: Surface, chars: int = LONG_LINE_CHARS) -> np.ndarray:
    """Lines of at least so many characters."""
    return of.count(of.lines.doc_S[of.lines.chars_S >= chars]).astype(np.float64)


def newlines(of: Surface) -> np.ndarray:
    """Line feeds per word."""
    return share(of.count_text("\n"), of.words_D)


def upper_case_lines(of: Surface) -> np.ndarray:
    """Share of lines with a cased letter and none in lower case."""
    texts, spans = of.chunk.texts, of.lines
    first_L = (spans.start_S - of.chunk.starts_D[spans.doc_S]).tolist()
    last_L = (spans.end_S - of.chunk.starts_D[spans.doc_S]).tolist()
    docs_L = spans.doc_S.tolist()
    upper = [texts[doc][first:last].isupper() for doc, first, last in zip(docs_L, first_L, last_L, strict=True)]
    return of.share_of_lines(np.array(upper, bool))


def sentences(of: Surface) -> np.ndarray:
    """Sentences of all lines."""
    return of.total(line_sentences(of), of.lines.doc_S).astype(np.float64)


def line_sentences(of: Surface) -> np.ndarray:
    """int64 (L,): sentences of each line, at least one.

    A sentence ends in a mark that ends sentences (Unicode's Sentence_Terminal), and what closes quotes or brackets, before white space. An
    abbreviation with a full stop counts as an end, `...` does not.
    """
    codes_C = of.chunk.codes_C
    end = np.flatnonzero((of.chunk.classes_C & words.STOP) != 0)
    wide = codes_C[end] >= _WIDE
    dots = (codes_C[end] == ord(".")) & (codes_C[end - 1] == ord("."))
    for _ in range(2):  # a quote inside brackets, at most
        end = end + np.isin(codes_C[end + 1], CLOSING)  # a document's last character is followed by a line feed
    ends_one = ((of.chunk.classes_C[end + 1] & _BLANK) != 0) | (
        wide & ((of.chunk.classes_C[end + 1] & words.STOP) == 0)
    )
    end = end[ends_one & ~dots]
    line_E = np.searchsorted(of.lines.start_S, end, "right") - 1
    inside_E = end < of.last_char_L[line_E] if len(end) else np.zeros(0, bool)
    return np.bincount(line_E[inside_E], minlength=len(of.lines.start_S)) + 1


def lines_with(of: Surface, phrases: Sequence[str]) -> np.ndarray:
    """bool (L,): one of the phrases (in lower case) occurs in the line, in whatever case."""
    found_L = np.zeros(len(of.lines.start_S), bool)
    places = []
    for phrase in phrases:
        place = of.lower_case.find(phrase)
        while place >= 0:
            places.append(place)
            place = of.lower_case.find(phrase, place + 1)
    found_L[np.searchsorted(of.lines.start_S, np.array(places, np.int64), "right") - 1] = True
    return found_L
