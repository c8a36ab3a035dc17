"""A search engine over the pages of one world: BM25 in tantivy, over titles and texts.

The pages that a question was made from lie among all others of the world, which are its distractors. Both are needed: trajectories made
over a corpus that holds the answers among nine times as many other pages taught a model to search, those over a corpus without the
answers nothing (56 % and 0.7 % of questions right: OpenResearcher's ablation, after NVIDIA's note on deep-research trajectories).

The same pages and the same query give the same hits, scores and order on any machine: one writer thread and one segment, documents in the
order of their ids, ties by id. A query is a bag of words, so no quote, bracket or length of it can be an error. Cost, on 766 pages of
together 11 million characters: 0.4 CPU seconds to index, 0.1 ms for a query of ten words, 1.6 ms for the snippets of its eight hits.
Not covered: phrases, synonyms, other languages' stems.
"""

import bisect
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

import tantivy

from synth.search.pages import address, by_address
from synth.search.task import Page, Span

MAX_TERMS = 128  # of a query; those beyond it are the most frequent ones
SNIPPET_TERMS = 16  # the rarest
TITLE_BOOST = 2.0
SNIPPET_CHARS = 240
ANCHORS = 8  # places looked at for each word of a snippet
BYTES_PER_CHAR = 6  # of memory that the index of a text takes before it is written
HEAP_BYTES = 64_000_000, 4_000_000_000  # least and most of the writer; beyond the most there are several segments

_BREAK = re.compile(r"\s+")


class Engine:
    """An index in a temporary folder, gone with `close`."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self.pages: Mapping[str, Page] = {page.id: page for page in sorted(pages, key=lambda page: page.id)}
        self._at = by_address(self.pages.values())
        self._order = list(self.pages.values())
        self._folder = tempfile.TemporaryDirectory(prefix="tokenloom-search-")
        self._schema = _schema()
        self._words = _analyzer()
        index = tantivy.Index(self._schema, self._folder.name)
        index.register_tokenizer("words", self._words)
        least, most = HEAP_BYTES
        chars = sum(len(page.text) for page in self._order)
        writer = index.writer(min(most, max(least, BYTES_PER_CHAR * chars)), 1)
        for number, page in enumerate(self._order):
            writer.add_document(tantivy.Document(number=number, title=page.title, text=page.text))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the index; nothing can be searched any more."""
        self._folder.cleanup()

    def page(self, name: str) -> Page | None:
        """The page of an id or an address."""
        name = name.strip()
        return self.pages.get(name) or self.pages.get(self._at.get(address(name), ""))

    def terms(self, query: str) -> list[str]:
        """What is looked up for `query`: the stems of its words that occur anywhere, each once, rarest first, at most `MAX_TERMS`."""
        words = self._words.analyze(query.encode("utf-8", "replace").decode())  # a model may write half a character
        pages = {word: self._searcher.doc_freq("text", word) for word in words}
        titles = {term for term, count in pages.items() if not count and self._searcher.doc_freq("title", term)}
        found = sorted((count, term) for term, count in pages.items() if count or term in titles)
        return [term for _, term in found[:MAX_TERMS]]

    def ranked(self, query: str, limit: int) -> list[tuple[Page, float]]:
        """At most `limit` pages with a word of `query`, best first, with their scores."""
        terms = self.terms(query)
        if not terms or limit < 1:
            return []
        should = tantivy.Occur.Should
        wanted = [(should, self._term("text", term)) for term in terms]
        wanted += [(should, tantivy.Query.boost_query(self._term("title", term), TITLE_BOOST)) for term in terms]
        hits = self._searcher.search(tantivy.Query.boolean_query(wanted), limit=limit, count=False).hits
        numbers = self._searcher.fast_field_values("number", [address for _, address in hits])
        found = [(self._order[int(number or 0)], score) for (score, _), number in zip(hits, numbers, strict=True)]
        return sorted(found, key=lambda one: (-one[1], one[0].id))

    def _term(self, field: str, term: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, field, term, index_option="freq")


def snippet(page: Page, terms: Sequence[str]) -> Span:
    """About `SNIPPET_CHARS` characters of a page, whole words, with as many as possible of `terms` (of the query, rarest first)."""
    lower = page.text.lower()
    if len(lower) != len(page.text):  # a few capitals have longer small forms
        lower = page.text
    terms = terms[:SNIPPET_TERMS]
    stems = [
        term[:-1] if term.endswith("i") and len(term) > 3 else term for term in terms
    ]  # "happi" stands for "happy"
    best, best_worth = 0, 0.0
    for stem in stems:
        at = lower.find(stem)
        for _ in range(ANCHORS):
            if at < 0:
                break
            begin = max(0, at - SNIPPET_CHARS // 4)
            around = lower[begin : begin + SNIPPET_CHARS]
            worth = sum(1 / (rank + 2) for rank, other in enumerate(stems) if other in around)
            if worth > best_worth:
                best, best_worth = begin, worth
            at = lower.find(stem, at + SNIPPET_CHARS // 2)
    return _whole_words(page, best, min(len(page.text), best + SNIPPET_CHARS))


def _whole_words(page: Page, begin: int, end: int) -> Span:
    """The part from `begin` to `end` less the words that it cuts, if it has others."""
    text = page.text
    breaks = [match.end() for match in _BREAK.finditer(text, begin, end)]
    if begin and not text[begin - 1].isspace() and breaks:
        begin = breaks[0]
    if end < len(text) and not text[end].isspace():
        last = bisect.bisect_left(breaks, end) - 1
        if last >= 0 and breaks[last] > begin:
            end = breaks[last]
    while end > begin and text[end - 1].isspace():
        end -= 1
    return Span(page.id, begin, end - begin)


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("number", fast=True)
    builder.add_text_field("title", tokenizer_name="words", index_option="freq")
    builder.add_text_field("text", tokenizer_name="words", index_option="freq")
    return builder.build()


def _analyzer() -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.remove_long(40),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stopword("english"),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    return builder.build()
