"""Main text of web pages, with code blocks, formulas and tables kept (`curation.extraction.page_tree`).

Two engines look for the main text: `trafilatura` (Barbaresi 2021), and `fast`, resiliparse (Bevendorff et al. 2018), which is four times
as fast and takes more of a page's surroundings along (F1 0.919 for 0.976 on labelled pages). Both see the same rewritten page.
Formulas become LaTeX, \\( \\) within a line and \\[ \\] on lines of their own; those that are text already stay as they are written.
Code blocks keep their lines and indentation; rows of tables are `| cell | cell |`.

Bad pages are data: each costs one drop reason. The engines run in a process of their own (`curation.extraction.process`), where the
kernel ends what takes too much CPU or memory, in C too, and where a crash is one page's. That process has 70 to 80 MB, after 200 pages as
after 2,000. About 70 pages of 200 kB per CPU second, 5 % more CPU than trafilatura alone, and 280 with `fast`; 0.25 ms of each are the way
there and back. A page that ends the process costs 0.25 s for the next start. trafilatura takes time by the square of some pages: 15,000
paragraphs of bold, italic and links are over the limit of 10 s. `python -m curation.bench extract` measures.
Not covered: pages that a script renders, PDF, languages of pages (see filter.language), and engines that open files or sockets of their
own (the process may do what the worker may).
"""

import json
import math
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from curation.extraction.exchange import ENGINES, LINKED, TOO_LARGE, Page, Settings
from curation.extraction.process import PROCESS
from curation.reasons import mark
from datapipe.schema import with_column

COUNTED = ("code_blocks", "formulas")


def html(
    docs: pa.Table,
    *,
    engine: str = "trafilatura",
    favor_precision: bool = False,
    include_tables: bool = True,
    max_chars: int = 5_000_000,
    max_elements: int = 100_000,
    max_seconds: float = 10.0,
    max_memory_mb: int = 1_000,
) -> pa.Table:
    """Replaces `text`, the page's HTML, with its main text, and adds to `meta` what the page says of itself.

    `favor_precision`: less text, but less that does not belong (trafilatura only). Dropped are pages
        of more than `max_chars` characters or `max_elements` elements (`extract.too_large`),
        that take more than `max_seconds` of CPU, or 60 s and 30 `max_seconds` on the wall (`extract.timeout`; 0: no limit of either),
        that crash an engine, or take more than `max_memory_mb` beside what it had at its start (`extract.crashed`; 0: no limit; the
        largest pages that the other defaults allow take 500), that the parser refuses, also for want of memory (`extract.failed`),
        and in which nothing is found (`extract.empty`). The text of a dropped page stays as it was.
    `meta` gets `title`, `html_lang` and `published` (a day) where the page has them, and `code_blocks` and `formulas`, how many are
    in the text, where there are any. ValueError for what `check` refuses, StepError when an engine does not load.
    """
    check(engine=engine, max_seconds=max_seconds, max_memory_mb=max_memory_mb)
    settings = Settings(engine, favor_precision, include_tables, max_elements, max_seconds, max_memory_mb)
    return through(docs, settings, max_chars)


def through(docs: pa.Table, settings: Settings, max_chars: int) -> pa.Table:
    """Pages through an engine: `text` and `meta` from what came of each, and its drop reason. Links are relative to `origin`."""
    sources = docs["text"].cast(pa.large_binary())
    lengths = pc.utf8_length(docs["text"]).to_pylist()
    texts: list[str | None] = []
    metas, reasons = docs["meta"].to_pylist(), []
    for index, (source, length) in enumerate(zip(sources, lengths, strict=True)):
        if (length or 0) > max_chars:
            page = Page(reason=TOO_LARGE)
        else:
            url = (docs["origin"][index].as_py() or "") if settings.engine == LINKED else ""
            page = PROCESS.extract(settings._replace(url=url), source.as_py() or b"")
        reasons.append(page.reason)
        texts.append(page.text if page.reason is None else None)
        if page.facts:
            metas[index] = json.dumps(
                {**json.loads(metas[index] or "{}"), **page.facts}, ensure_ascii=False, sort_keys=True
            )
    docs = with_column(docs, "text", pc.coalesce(pa.array(texts, pa.large_string()), docs["text"]))
    docs = with_column(docs, "meta", pa.array(metas, pa.string()))
    return mark(docs, pa.array(reasons, pa.string()))


def again(
    docs: pa.Table,
    *,
    pages: Callable[[pa.Table], list[str]],
    engine: str = "trafilatura",
    favor_precision: bool = False,
    include_tables: bool = True,
    max_chars: int = 5_000_000,
    max_elements: int = 100_000,
    max_seconds: float = 10.0,
    max_memory_mb: int = 1_000,
) -> pa.Table:
    """Replaces `text` with the main text of the page that a document was read from, whatever earlier steps made of it.

    For the few pages that are worth it, after a search that could do with a plainer text of all of them: GLM-4.5 parses the pages on
    code again that it found among extracted texts (GLM-4.5 report, section 2.2). `pages` comes from the engine
    (`datapipe.readers.read_raw`), the other parameters are those of `html`. From S3 a page costs a request for its bytes, neighbours
    share one.
    """
    raw = with_column(docs, "text", pa.array(pages(docs), pa.large_string()))
    raw = with_column(raw, "meta", pa.array(map(_without_counts, docs["meta"].to_pylist()), pa.string()))
    return html(
        raw,
        engine=engine,
        favor_precision=favor_precision,
        include_tables=include_tables,
        max_chars=max_chars,
        max_elements=max_elements,
        max_seconds=max_seconds,
        max_memory_mb=max_memory_mb,
    )


def _without_counts(meta: str | None) -> str:
    """What an earlier extraction counted is not true of the text to come."""
    facts = json.loads(meta or "{}")
    return json.dumps({key: facts[key] for key in facts if key not in COUNTED}, ensure_ascii=False, sort_keys=True)


def check(*, engine: str = "trafilatura", max_seconds: float = 10.0, max_memory_mb: int = 1_000) -> None:
    """Raises ValueError for an engine there is not, and for a limit that is none."""
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}: type {' or '.join(ENGINES)}")
    if not 0 <= max_seconds < math.inf:
        raise ValueError(f"max_seconds is {max_seconds}: type seconds of CPU per page, 0 for no limit")
    if max_memory_mb < 0:
        raise ValueError(f"max_memory_mb is {max_memory_mb}: type MB that a page may take, 0 for no limit")
