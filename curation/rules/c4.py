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

import json
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import words
from curation.reasons import first_reason, mark
from curation.rules import surface
from curation.rules.per_language import per_language
from curation.rules.surface import Surface, share
from curation.steps import COUNTS
from datapipe.schema import LOSS_SPANS, with_column

CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
POLICY_PHRASES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
LINE_RULES = ("lines_long_word", "lines_without_end", "lines_few_words", "lines_javascript", "lines_policy")  # in order
_JAVASCRIPT = LINE_RULES.index("lines_javascript")


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
    Counted, of the pages that stay: the lines that went by the first rule that took them (LINE_RULES), `documents_changed`, and
    `chars_removed`, among them citation marks, blank lines and white space at the ends of lines.
    """
    if LOSS_SPANS in docs.column_names and docs[LOSS_SPANS].null_count < docs.num_rows:
        raise ValueError("filter.c4 moves characters, and these documents have loss spans: leave the step out")
    reasons, texts, counts = [pa.array([], pa.string())], [], Counter(dict.fromkeys(LINE_RULES, 0))
    heads, tails = _parts(docs["text"], remove_citations)
    for of in surface.surfaces(pa.array(heads, pa.large_string())):
        rule_L = _first_rule(
            _long_words(of, max_word_chars),
            _without_end(of, terminal_marks) if terminal_punctuation else np.zeros(len(of.lines.start_S), bool),
            np.diff(of.line_words_L1) < min_words_per_line,
            surface.lines_with(of, ["javascript"] if javascript else []),
            surface.lines_with(of, [phrase.lower() for phrase in policy_phrases if phrase.strip()]),
        )
        keep_L = rule_L == len(LINE_RULES)
        lorem_L = surface.lines_with(of, ["lorem ipsum"] if lorem_ipsum else []) & (rule_L >= _JAVASCRIPT)
        curly_L = surface.lines_with(of, ["{"] if curly_bracket else []) & (rule_L > _JAVASCRIPT)
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
        lines = np.bincount(rule_L[pc.is_null(reasons[-1]).to_numpy(False)[docs_L]], minlength=len(LINE_RULES))
        counts.update(dict(zip(LINE_RULES, lines.tolist(), strict=False)))
        texts += _kept_lines(of, keep_L)
    for doc, tail in tails.items():
        texts[doc] += "\n" + tail
    found = pa.concat_arrays(reasons)
    text = pc.if_else(pc.is_null(found), pa.array(texts, pa.large_string()), docs["text"])
    counts.update(_changes(docs["text"], text))
    return mark(with_column(docs, "text", text), found).replace_schema_metadata({COUNTS: json.dumps(counts)})


def _first_rule(*failed: np.ndarray) -> np.ndarray:
    """int8 (L,): the first of LINE_RULES that takes the line, given the lines that each would take; their number where none does."""
    rule_L = np.full(len(failed[0]), len(failed), np.int8)
    for rule in reversed(range(len(failed))):
        rule_L[failed[rule]] = rule
    return rule_L


def _changes(before: pa.ChunkedArray, after: pa.ChunkedArray) -> dict[str, int]:
    differ = pc.not_equal(before, after)
    lengths = (pc.sum(pc.utf8_length(texts.filter(differ))).as_py() or 0 for texts in (before, after))
    return {"documents_changed": pc.sum(differ).as_py() or 0, "chars_removed": next(lengths) - next(lengths)}


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


def _without_end(of: Surface, marks: str) -> np.ndarray:
    """bool (L,): the line ends in none of the marks, or in dots."""
    last_L = of.last_char_L
    return ~np.isin(of.chunk.codes_C[last_L], [ord(mark) for mark in marks]) | surface.ends_in_dots(of, last_L)


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
