"""datatrove's filters on documents from stdin: `python rules.py`, run by `python -m curation.bench rules` in the peers' environment.

Imports nothing of ours. The first line of stdin is a JSON object of settings, every other one a JSON string, a document. Each filter sees
each document as it came. For decisions the filters get the caller's words and sentences (regular expressions of the settings), for `stock`
documents their own, and the CPU time of those is measured too. Prints one JSON object.
"""

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)


def filters(settings: dict[str, Any]) -> dict[str, Callable[[Document], Any]]:
    return {
        "gopher_quality": GopherQualityFilter().filter,
        "gopher_repetition": GopherRepetitionFilter().filter,
        "c4": C4QualityFilter(filter_no_terminal_punct=True).filter,
        "c4_any_line": C4QualityFilter(filter_no_terminal_punct=False).filter,
        "fineweb": FineWebQualityFilter(char_duplicates_ratio=settings["char_duplicates_ratio"]).filter,
    }


def use_words_of_caller(settings: dict[str, Any]) -> None:
    word, boundary = re.compile(settings["word"]), re.compile(settings["sentence_end"])

    def split_into_words(text: str, _: str) -> list[str]:
        return word.findall(text)

    def split_into_sentences(text: str, _: str) -> list[str]:
        return boundary.split(text.strip())

    for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
        module.split_into_words = split_into_words
    c4_filters.split_into_sentences = split_into_sentences


def run(documents: list[str], settings: dict[str, Any]) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """(per filter, per document: None or the reason, and a digest of the text of what is kept; CPU seconds per filter)."""
    found: dict[str, list[Any]] = {}
    seconds: dict[str, float] = {}
    for name, judge in filters(settings).items():
        judge(Document(text="A text that loads what the filter needs. It has two sentences.", id=""))
        docs = [Document(text=text, id="") for text in documents]
        start = time.process_time()
        verdicts = [judge(doc) for doc in docs]
        seconds[name] = time.process_time() - start
        found[name] = [
            [None if verdict is True else verdict[1], hashlib.md5(doc.text.encode()).hexdigest()]
            for verdict, doc in zip(verdicts, docs, strict=True)
        ]
    return found, seconds


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    documents = [json.loads(line) for line in sys.stdin]
    stock, stock_seconds = run(documents[: settings["stock"]], settings)
    use_words_of_caller(settings)
    found, seconds = run(documents, settings)
    versions = {name: version(name) for name in ("datatrove", "spacy")}
    answer = {"found": found, "seconds": seconds, "stock": stock, "stock_seconds": stock_seconds, "versions": versions}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
