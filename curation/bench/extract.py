"""Extraction of main text: quality and cost of our step beside the extractors it builds on. `python -m curation.bench extract`.

    F1        92 labelled pages; 4-grams of words as multisets, precision and recall averaged over pages, as the benchmark that the
              labels come from has it (github.com/scrapinghub/article-extraction-benchmark)
    code      <pre> blocks of two lines and more that are in the text with their lines and their indentation, of documentation by Sphinx
              (mpmath) and by hand (SQLite). White space at line ends does not count, a no-break space is a space.
    formulas  TeX between \\( \\) or \\[ \\] in the source of mpmath's documentation that is in the text. White space does not count.
    pages/s   per CPU second, on the labelled pages, eight at a time by every extractor in turn, the best of `--repeat` rounds

The bars that it checks: F1 0.970, code 95 %, formulas 98 %, and our step's CPU below 1.10 of trafilatura's own.
"""

import argparse
import functools
import gzip
import html
import json
import logging
import re
import resource
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from curation.extraction import extract
from curation.extraction.process import PROCESS
from datapipe.schema import documents

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MIN_F1, MIN_CODE, MIN_FORMULAS, MAX_OVERHEAD = 0.970, 0.95, 0.98, 1.10

_TEX = re.compile(r"\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")

BLOCK = 8  # pages that are timed together: a step is called with tables, and its cost per call is shared

Extractor = Callable[[Sequence[str]], list[str]]


class Row(NamedTuple):
    """One extractor's line of the table."""

    precision: float
    recall: float
    code: tuple[float, ...]  # by corpus
    formulas: float
    seconds: float  # for all labelled pages

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def extractors() -> dict[str, Extractor]:
    """By name: ours, and each library as its users call it. Those that are not installed are left out."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    found: dict[str, Extractor] = {
        "tokenloom": functools.partial(ours, "trafilatura"),
        "trafilatura": lambda pages: [
            trafilatura.extract(page, fast=True, include_comments=False) or "" for page in pages
        ],
    }
    try:
        from resiliparse.extract.html2text import extract_plain_text

        found["tokenloom fast"] = functools.partial(ours, "fast")
        found["resiliparse"] = lambda pages: [extract_plain_text(page, main_content=True) for page in pages]
    except ModuleNotFoundError:
        print("resiliparse is not installed: the fast engine is left out (pip install resiliparse)")
    try:
        import justext

        found["jusText"] = functools.partial(by_justext, justext.justext, justext.get_stoplist("English"))
    except ModuleNotFoundError:
        print("jusText is not installed and left out (pip install justext)")
    return found


def ours(engine: str, pages: Sequence[str]) -> list[str]:
    """The step on a table of pages; empty texts for pages it drops."""
    table = extract.html(table_of(tuple(pages)), engine=engine)
    return [
        "" if reason else text
        for text, reason in zip(table["text"].to_pylist(), table["drop_reason"].to_pylist(), strict=True)
    ]


@functools.cache
def table_of(pages: tuple[str, ...]) -> pa.Table:
    """Pages as documents. Made once, in the first round of timing: it is a reader's work, not the step's."""
    return documents([{"text": page, "origin": str(index)} for index, page in enumerate(pages)])


def by_justext(classify: Callable[..., Any], words: frozenset[str], pages: Sequence[str]) -> list[str]:
    """jusText with English stop words, whatever a page's language."""
    found = (classify(page.encode("utf-8", "replace"), words, encoding="utf-8") for page in pages)
    return ["\n".join(part.text for part in parts if not part.is_boilerplate) for parts in found]


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """4-grams of words; a shorter text is one shingle."""
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[start : start + 4]) for start in range(max(1, len(words) - 3)))


def precision_and_recall(found: str, wanted: str) -> tuple[float, float]:
    left, right = shingles(found), shingles(wanted)
    common = (left & right).total()
    return common / left.total(), common / right.total()


class _Blocks(HTMLParser):
    """The text of the outermost <pre> elements."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0
        self.blocks: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "pre":
            self.depth += 1
            if self.depth == 1:
                self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        self.depth = max(0, self.depth - 1) if tag == "pre" else self.depth

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.blocks[-1] += data


def code_blocks(page: str) -> list[str]:
    """The <pre> blocks of two lines and more, read by the standard library's parser."""
    parser = _Blocks()
    parser.feed(page)
    return [text for block in parser.blocks if "\n" in (text := plain_lines(block))]


def plain_lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\xa0", " ").splitlines()).strip("\n")


def kept_code(page: str, text: str) -> tuple[int, int]:
    """(blocks whose lines stand in the text one after the other, blocks)."""
    lines = f"\n{plain_lines(text)}\n"
    blocks = code_blocks(page)
    return sum(f"\n{block}\n" in lines for block in blocks), len(blocks)


def kept_formulas(page: str, text: str) -> tuple[int, int]:
    """(formulas of the page's source that are in the text, formulas)."""
    formulas = ["".join(html.unescape(_MARKUP.sub("", found)).split()) for found in _TEX.findall(page)]
    joined = "".join(text.split())
    return sum(formula in joined for formula in formulas), len(formulas)


def share(pairs: Sequence[tuple[int, int]]) -> float:
    kept, all_of_them = (sum(column) for column in zip(*pairs, strict=True))
    return kept / max(1, all_of_them)


def labelled_pages(data: Path) -> list[tuple[str, str]]:
    """(page, article) of the labelled pages, in the order of their names."""
    truth = json.loads((data / "extraction" / "ground-truth.json").read_text())
    files = sorted((data / "extraction" / "html").glob("*.html.gz"))
    return [
        (gzip.decompress(file.read_bytes()).decode("utf-8", "replace"), truth[file.name.split(".")[0]]["articleBody"])
        for file in files
    ]


def archived_pages(archive: Path, most: int) -> list[str]:
    """Pages with <pre> or formulas in an archive, in the order of their names, evenly thinned out to `most`."""
    with tarfile.open(archive) as files:
        members = sorted((member for member in files if member.name.endswith(".html")), key=lambda member: member.name)
        texts = [files.extractfile(member).read().decode("utf-8", "replace") for member in members]  # type: ignore[union-attr]
    pages = [text for text in texts if "<pre" in text or "\\(" in text]
    return pages[:: -(-len(pages) // most)] if pages else []


def seconds_for(found: dict[str, Extractor], pages: Sequence[str], repeat: int) -> dict[str, float]:
    """CPU seconds of each extractor for all pages: the least of `repeat` for each block of pages, extractors in turn.

    Every second round goes backwards: what runs behind a slow extractor finds its pages in no cache.
    """
    blocks = [pages[start : start + BLOCK] for start in range(0, len(pages), BLOCK)]
    for function in found.values():
        function(blocks[0])  # imports, patterns and word lists are had once per process
    best = {name: [float("inf")] * len(blocks) for name in found}
    for round_number in range(repeat):
        names = [*found] if round_number % 2 else [*reversed(found)]
        for index, block in enumerate(blocks):
            for name in names:
                start = cpu_seconds()
                found[name](block)
                best[name][index] = min(best[name][index], cpu_seconds() - start)
    return {name: sum(times) for name, times in best.items()}


def cpu_seconds() -> float:
    """CPU seconds of this process and of the one that our step's engines run in, which waits when this is called.

    Of children that live, `getrusage` says nothing; of a process that waits, its CPU clock (clock_getcpuclockid(3)) is exact.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    pid = PROCESS.pid
    return usage.ru_utime + usage.ru_stime + (time.clock_gettime(~pid << 3 | 2) if pid else 0.0)


def measure(data: Path, repeat: int, most: int) -> dict[str, Row]:
    """The table, by extractor."""
    found = extractors()
    labelled = labelled_pages(data)
    corpora = [
        archived_pages(data / "mathhtml" / "mpmath.tar.gz", most),
        archived_pages(data / "wiki" / "sqlite3-doc.tar.gz", most),
    ]
    seconds = seconds_for(found, [page for page, _ in labelled], repeat)
    rows = {}
    for name, function in found.items():
        texts = function([page for page, _ in labelled])
        scores = [precision_and_recall(text, article) for text, (_, article) in zip(texts, labelled, strict=True)]
        precision, recall = (sum(column) / len(scores) for column in zip(*scores, strict=True))
        pairs = [list(zip(pages, function(pages), strict=True)) for pages in corpora]
        code = tuple(share([kept_code(*pair) for pair in corpus]) for corpus in pairs)
        rows[name] = Row(precision, recall, code, share([kept_formulas(*pair) for pair in pairs[0]]), seconds[name])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=DATA, help="folder with extraction/, mathhtml/ and wiki/ (default: %(default)s)"
    )
    parser.add_argument("--repeat", type=int, default=3, help="rounds of timing, of which the best counts (default 3)")
    parser.add_argument(
        "--most", type=int, default=120, help="pages of each documentation at most, evenly taken (default 120)"
    )
    arguments = parser.parse_args(argv)
    missing = [name for name in ("extraction", "mathhtml", "wiki") if not (arguments.data / name).is_dir()]
    if missing:
        print(f"no {' and no '.join(missing)} in {arguments.data}: nothing measured. Say where with --data")
        return 0
    rows = measure(arguments.data, arguments.repeat, arguments.most)
    pages = len(list((arguments.data / "extraction" / "html").glob("*.html.gz")))
    print(
        f"{'':15} {'F1':>6} {'prec.':>6} {'recall':>6} {'code mpmath':>12} {'code SQLite':>12} {'formulas':>9} {'pages/s':>8} {'CPU':>6}"
    )
    for name, row in rows.items():
        code = " ".join(f"{value:12.1%}" for value in row.code)
        ratio = row.seconds / max(rows["trafilatura"].seconds, 1e-9)
        print(
            f"{name:15} {row.f1:6.3f} {row.precision:6.3f} {row.recall:6.3f} {code} {row.formulas:9.1%}"
            f" {pages / max(row.seconds, 1e-9):8.0f} {ratio:6.2f}"
        )
    mine = rows["tokenloom"]
    bars = {
        f"F1 at least {MIN_F1:.3f}": mine.f1 >= MIN_F1,
        f"code at least {MIN_CODE:.0%}": min(mine.code) >= MIN_CODE,
        f"formulas at least {MIN_FORMULAS:.0%}": mine.formulas >= MIN_FORMULAS,
        f"CPU below {MAX_OVERHEAD:.2f} of trafilatura's": mine.seconds < MAX_OVERHEAD * rows["trafilatura"].seconds,
    }
    for bar, holds in bars.items():
        print(f"{bar}: {'yes' if holds else 'NO'}")
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
