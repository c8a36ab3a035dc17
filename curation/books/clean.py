"""`clean.book`: what a printed page adds to a text and takes from it, undone, so that a book reads from its first sentence to its last.

In this order: ligatures and soft hyphens, page furniture (`pages`), front and back matter (`matter`), hard-wrapped lines (`wrapping`).
Every part acts on evidence in the text alone and leaves alone what has none, so Markdown and extracted pages pass unchanged but for
their contents and copyright page. Cleaning twice is cleaning once.

Costs: 2 MB per CPU second of wrapped text, 4 of Markdown, 20 of extracted pages. Not covered: footnotes between pages, columns, OCR
errors (see `score.perplexity`).
"""

import json
import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from curation.books import matter, pages, wrapping
from curation.reasons import mark
from curation.steps import COUNTS
from datapipe.schema import LOSS_SPANS, with_column

MOST_MATTER = 0.5  # share of a text that may go as front and back matter
MOST_ROUNDS = 8
COUNTED = (
    "documents_changed",
    "chars_removed",
    "ligatures",
    "furniture_lines",
    "form_feeds",
    *(f"{kind}_chars" for kind in matter.KINDS),
    "matter_refused",
    "lines_joined",
    "hyphens_removed",
)
_BLANKS = re.compile(r"\n{4,}")


def book(
    docs: pa.Table,
    *,
    furniture: bool = True,
    front_matter: bool = True,
    join_lines: bool = True,
) -> pa.Table:
    """`text` cleaned, by those of the three parts that are on. A text of which nothing is left has the reason `clean.empty`.

    Counted are `COUNTED`: what went, by kind, in the documents that changed. ValueError for documents with loss spans, which count
    characters that move here.
    """
    if LOSS_SPANS in docs.column_names and docs[LOSS_SPANS].null_count < docs.num_rows:
        raise ValueError("clean.book moves characters, and these documents have loss spans: leave the step out")
    counts = Counter(dict.fromkeys(COUNTED, 0))
    texts: list[str] = []
    for text in docs["text"].to_pylist():
        cleaned, found = clean(text or "", furniture=furniture, front_matter=front_matter, join_lines=join_lines)
        texts.append(cleaned)
        if cleaned != text:
            counts.update(found)
            counts.update(documents_changed=1, chars_removed=len(text or "") - len(cleaned))
    cleaned_texts = pa.array(texts, pa.large_string())
    is_empty = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(cleaned_texts)), 0)
    reasons = pc.if_else(is_empty, pa.scalar("clean.empty"), pa.scalar(None, pa.string()))
    return mark(with_column(docs, "text", cleaned_texts), reasons).replace_schema_metadata({COUNTS: json.dumps(counts)})


def clean(
    text: str, *, furniture: bool = True, front_matter: bool = True, join_lines: bool = True
) -> tuple[str, Counter[str]]:
    """(one text, cleaned; what was removed). Each part may uncover work for another, so they go on until nothing changes."""
    counts = Counter[str]()
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    original, most_chars = text, MOST_MATTER * len(text)
    for _ in range(MOST_ROUNDS):
        before = text
        text, found = wrapping.without_ligatures(text)
        counts.update(found)
        if furniture:
            text, found = pages.without_furniture(text)
            counts.update(found)
        if front_matter:
            text, found = matter.without_matter(text, most_chars)
            if found["matter_refused"]:
                text, counts = clean(original, furniture=furniture, front_matter=False, join_lines=join_lines)
                if text != original:  # joined lines may be judged otherwise
                    text, found = clean(text, furniture=furniture, join_lines=join_lines)
                return text, counts + found
            counts.update(found)
            most_chars -= sum(count for name, count in found.items() if name != "archive_chars")
        if join_lines:
            text, found = wrapping.joined_paragraphs(text)
            counts.update(found)
        text = _BLANKS.sub("\n\n\n", text).strip("\n")
        if text == before:
            break
    return text, counts
