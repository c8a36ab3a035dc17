"""What peers measure in source code, on files from stdin: `python code.py`, run by `python -m curation.bench code` in the peers'
environments.

Imports nothing of ours. Every line of stdin is a JSON object of text and ending, a file. Prints one JSON object: CPU seconds of every
filter or tagger that this environment has, over all files.
"""

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

BATCH = 1_000  # files at a time, as data-juicer works


def juicer(files: list[dict[str, str]]) -> Iterator[tuple[str, Callable[[], None]]]:
    """data-juicer's filters for code, without a tokenizer of their own, which a hub would have to give."""
    from data_juicer.ops.filter.alphanumeric_filter import AlphanumericFilter
    from data_juicer.ops.filter.average_line_length_filter import AverageLineLengthFilter
    from data_juicer.ops.filter.character_repetition_filter import CharacterRepetitionFilter
    from data_juicer.ops.filter.maximum_line_length_filter import MaximumLineLengthFilter
    from data_juicer.ops.filter.special_characters_filter import SpecialCharactersFilter

    def judge(filter_: Any) -> None:
        for first in range(0, len(files), BATCH):
            texts = [file["text"] for file in files[first : first + BATCH]]
            samples = {"text": texts, "__dj__stats__": [{} for _ in texts]}
            list(filter_.process_batched(filter_.compute_stats_batched(samples)))

    for kind in (
        AlphanumericFilter,
        AverageLineLengthFilter,
        MaximumLineLengthFilter,
        SpecialCharactersFilter,
        CharacterRepetitionFilter,
    ):
        yield f"data-juicer {kind.__name__}", functools.partial(judge, kind())


def dolma(files: list[dict[str, str]]) -> Iterator[tuple[str, Callable[[], None]]]:
    """dolma's taggers for code."""
    from dolma.core.data_types import DocumentWithMetadata
    from dolma.core.registry import TaggerRegistry

    docs = [
        DocumentWithMetadata(source="", version="", id="", text=file["text"], metadata={"ext": file["ending"]})
        for file in files
    ]

    def judge(tagger: Any) -> None:
        for doc in docs:
            tagger.predict(doc)

    for name in ("code_starcoder_taggers_v2", "code_redpajama_taggers_v1", "code_copyright_comments_v1"):
        yield f"dolma {name}", functools.partial(judge, TaggerRegistry.get(name)())


def main() -> None:
    files = [json.loads(line) for line in sys.stdin]
    seconds, versions = {}, {}
    for library, package, judges in (("data_juicer", "py-data-juicer", juicer), ("dolma", "dolma", dolma)):
        if find_spec(library) is None:
            continue
        versions[library] = version(package)
        for name, judge in judges(files):
            start = time.process_time()
            judge()
            seconds[name] = time.process_time() - start
    json.dump({"seconds": seconds, "versions": versions}, sys.stdout)


if __name__ == "__main__":
    main()
