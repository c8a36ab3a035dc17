"""Pages on code out of a crawl of news and documentation: found by tags or by a classifier, ranked, parsed again."""

import gzip
import html
import json
import pydoc
import re
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curriculum.curating import curate_files
from datapipe.engine import InProcess

CORPORA = {
    "code_web": """\
kind: web
source: {reader: html, paths: ["crawl/*.html"]}
steps:
  - score.code_tags
  - extract.html: {engine: fast, include_tables: false}
  - filter.length: {min_chars: 200}
  - score.quality: {reference: programming, column: on_code}
  - filter.any_score: {least: {code_tags: 1, on_code: 0.5}}
  - dedup.exact
  - score.quality: {reference: programming, min_auc: 0}
  - bucket.rank: {labels: {high: 17, medium: 6, low: 0}, epochs: {high: 2, medium: 1, low: 0}}
  - extract.again
""",
    "programming": 'kind: web\nsource: {reader: jsonl, paths: ["programming.jsonl"]}\n',
}
MODULES = (
    "json",
    "gzip",
    "bisect",
    "heapq",
    "textwrap",
    "shlex",
    "calendar",
    "statistics",
    "queue",
    "argparse",
    "decimal",
)
NEWS = 60


@pytest.fixture(scope="module")
def crawl(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """News pages, pages of SQLite's documentation, and documentation of modules in pieces."""
    data = tmp_path_factory.mktemp("data")
    (data / "crawl").mkdir()
    for file in sorted((shared_data / "extraction" / "html").glob("*.html.gz"))[:NEWS]:
        (data / "crawl" / f"news-{file.name[:-3]}").write_bytes(gzip.decompress(file.read_bytes()))
    with tarfile.open(shared_data / "wiki" / "sqlite3-doc.tar.gz") as archive:
        pages = [member for member in archive if member.name.endswith(".html") and 4_000 < member.size < 60_000]
        for member in pages[::6]:
            data.joinpath("crawl", "sqlite-" + Path(member.name).name).write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr]
    pieces = [
        text[at : at + 3_000]
        for name in MODULES
        for text in [re.sub("0x[0-9a-f]+", "", pydoc.plain(pydoc.render_doc(pydoc.locate(name))))]
        for at in range(0, len(text), 3_000)
    ]
    (data / "programming.jsonl").write_text("\n".join(json.dumps({"text": piece}) for piece in pieces))
    return data


@pytest.mark.data
def test_pages_on_code_are_found_ranked_and_parsed_again(crawl: Path, tmp_path: Path) -> None:
    for name, text in CORPORA.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    said = curate_files(
        [str(tmp_path / "code_web.yaml")], str(tmp_path / "out"), str(crawl), InProcess(), lambda *_: None
    )
    corpus = said["corpora"]["code_web"]
    steps = {step["step"]: step for step in corpus["steps"]}
    assert steps["filter.any_score"]["reasons"]["any_score.none"] > 0.8 * NEWS
    assert set(corpus["buckets"]) == {"high", "medium"}
    kept = pq.read_table([tmp_path / "out" / part for part in corpus["parts"]]).to_pylist()
    assert sum("news-" in row["origin"] for row in kept) <= 3
    blocks = [
        (row["text"], block)
        for row in kept
        for block in code_blocks((crawl / row["raw"]["file"]).read_text("utf-8", "replace"))
    ]
    whole = sum(block in text for text, block in blocks)
    assert len(blocks) > 50
    assert whole == len(blocks)


def code_blocks(page: str) -> list[str]:
    """The lines of every <pre> of a page, without markup."""
    found = (
        html.unescape(re.sub(r"<[^>]+>", "", block)) for block in re.findall(r"(?is)<pre\b[^>]*>(.*?)</pre>", page)
    )
    return [block.strip("\n").rstrip().replace("\xa0", " ") for block in found if block.strip()]
