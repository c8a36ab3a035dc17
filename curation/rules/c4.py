"""The C4 rules (Raffel et al. 2020, section 2.2, and the code that made the data set): lines are removed, then pages are judged.

In this order, as the published code has it: citation marks are cut out; a line goes if it has a word of more than 1,000 characters, does
not end in terminal punctuation (or ends in `...`), or has fewer than 3 words; of the lines left, one with "lorem ipsum" drops the page, one
with "javascript" goes, one with a curly bracket drops the page, one with a phrase of a privacy or cookie notice goes. A page needs
5 sentences in what is left. The lines that stay are joined by one line feed: blank lines go too.

Words and sentences are those of `curation.rules.surface`: abbreviations count as ends of sentences, so a page may pass here that a trained
splitter gives 4. FineWeb uses these rules without terminal punctuation, which costs 30 % of the tokens (Penedo et al. 2024, section 3.5).

Of a document of more than 2 M characters, lines behind them stay as they are. 80 µs for 2,200 characters. The bad-word
list of C4 is not here: see `filter.words`.
"""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import words
from curation.reasons import first_reason, mark
from curation.rules import surface
from curation.rules.per_language import per_language
from curation.rules.surface import Surface, share
from datapipe.schema import LOSS_SPANS, with_column

CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
POLICY_PHRASES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


@per_language
def c4(
    docs: pa.Table,
    *,
    remove_citations: bool = True,
    terminal_punctuation: bool = True,
    terminal_marks: str = ".?!\"'",
    min_words_per_line: int = 3,
    max_word_chars: int = 1_000,
    lorem_ipsum: bool = True,
    javascript: bool = True,
    curly_bracket: bool = True,
    policy_phrases: Sequence[str] = POLICY_PHRASES,
    min_sentences: int = 5,
    max_removed_words: float = 1.0,
) -> pa.Table:
    """C4's rules: `text` without the lines that go, and the reason of pages that go.

    A line must end in one of the characters of `terminal_marks` if `terminal_punctuation` is on. `lorem_ipsum`, `javascript`,
    `curly_bracket`: whether the rule of this name holds. `policy_phrases`: a line with one of them, in whatever case, goes. 0 switches
    `min_words_per_line` and `min_sentences` off. `max_removed_words`: greatest share of the words that may go with lines before the
    page is dropped (RefinedWeb's is 0.05, Penedo et al. 2023, appendix G.2); 1 never drops.
    Reasons: `c4.lorem_ipsum`, `c4.curly_bracket`, `c4.few_sentences`, `c4.removed_words`. The text of a dropped page is not changed.
    """
    if LOSS_SPANS in docs.column_names and docs[LOSS_SPANS].null_count < docs.num_rows:
        raise ValueError("filter.c4 moves characters, and these documents have loss spans: leave the step out")
    reasons, texts = [pa.array([], pa.string())], []
    heads, tails = _parts(docs["text"], remove_citations)
    for of in surface.surfaces(pa.array(heads, pa.large_string())):
        keep_L = ~_long_words(of, max_word_chars)
        if terminal_punctuation:
            last_L = of.last_char_L
            keep_L &= np.isin(of.chunk.codes_C[last_L], [ord(mark) for mark in terminal_marks])
            keep_L &= ~surface.ends_in_dots(of, last_L)
        keep_L &= np.diff(of.line_words_L1) >= min_words_per_line
        lorem_L = keep_L & surface.lines_with(of, ["lorem ipsum"] if lorem_ipsum else [])
        keep_L &= ~surface.lines_with(of, ["javascript"] if javascript else [])
        curly_L = keep_L & surface.lines_with(of, ["{"] if curly_bracket else [])
        keep_L &= ~surface.lines_with(of, [phrase.lower() for phrase in policy_phrases if phrase.strip()])
        docs_L, num_docs = of.lines.doc_S, of.num_docs
        sentences_D = words.per_document(surface.line_sentences(of) * keep_L, docs_L, num_docs)
        kept_words_D = words.per_document(np.diff(of.line_words_L1) * keep_L, docs_L, num_docs)
        failed = [
            ("c4.lorem_ipsum", of.count(docs_L[lorem_L]) > 0),
            ("c4.curly_bracket", of.count(docs_L[curly_L]) > 0),
            ("c4.few_sentences", sentences_D < min_sentences),
            ("c4.removed_words", share(of.words_D - kept_words_D, of.words_D) > max_removed_words),
        ]
        reasons.append(first_reason(num_docs, failed))
        texts += _kept_lines(of, keep_L)
    for doc, tail in tails.items():
        texts[doc] += "\n" + tail
    found = pa.concat_arrays(reasons)
    text = pc.if_else(pc.is_null(found), pa.array(texts, pa.large_string()), docs["text"])
    return mark(with_column(docs, "text", text), found)


def _parts(texts: pa.ChunkedArray, remove_citations: bool) -> tuple[list[str], dict[int, str]]:
    """(what the rules look at, of each document; the rest of the long ones by document), without citation marks if asked."""
    heads, tails = [], {}
    for doc, scalar in enumerate(texts):
        text = scalar.as_py() or ""
        if remove_citations and "[" in text:
            text = CITATION.sub("", text)
        if len(text) > words.MAX_CHARS:
            cut = text.rfind("\n", 0, words.MAX_CHARS) + 1 or words.MAX_CHARS
            text, tails[doc] = text[:cut], text[cut:]
        heads.append(text)
    return heads, tails


def _long_words(of: Surface, max_chars: int) -> np.ndarray:
    """bool (L,): the line has a word of more characters."""
    long = np.flatnonzero(of.words.chars_S > max_chars)
    found_L = np.zeros(len(of.lines.start_S), bool)
    found_L[np.searchsorted(of.lines.start_S, of.words.start_S[long], "right") - 1] = True
    return found_L


def _kept_lines(of: Surface, keep_L: np.ndarray) -> list[str]:
    """The text of every document without the other lines, and without white space at the ends of those that stay."""
    docs_L = of.lines.doc_S[keep_L]
    starts_D = of.chunk.starts_D
    first = (of.first_char_L[keep_L] - starts_D[docs_L]).tolist()
    last = (of.last_char_L[keep_L] + 1 - starts_D[docs_L]).tolist()
    bounds = np.searchsorted(docs_L, np.arange(of.num_docs + 1)).tolist()
    return [
        "\n".join([text[first[line] : last[line]] for line in range(bounds[doc], bounds[doc + 1])])
        for doc, text in enumerate(of.chunk.texts)
    ]
