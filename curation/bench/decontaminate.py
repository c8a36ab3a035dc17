"""Decontamination, how much it finds and what it takes for granted: `python -m curation.bench decontaminate`.

Three tables. The rule beside the plain one (any shared 13-gram, numbers as they are): GSM8K items with one number changed (GSM-Hard)
should be found, training problems and text about other things should not. What of each benchmark is found when it is planted: as it is, in
capitals and broken into other lines, with one number changed, and inside a longer page. The cost: CPU seconds of one process, the best
of three. Needs the real data set beside the repository.
"""

import argparse
import gzip
import json
import re
import sysconfig
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.decontamination.decontaminate import apply, benchmark_of, merge
from datapipe.schema import DROP, documents

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TEXT_KEYS = ("question", "problem", "prompt", "text")  # of the files in evals/, the first that a record has
PLAIN: Mapping[str, Any] = {"min_share": 1e-9, "enough_matches": 1, "mask_numbers": False, "max_items": 1 << 30}
DOCUMENT_CHARS = 2_000
REPEAT = 3


def rows_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def items_of(path: Path) -> list[tuple[str, str]]:
    """(origin, text) of the items of a benchmark file."""
    keys = ("text",) if path.name.startswith("mbpp") else TEXT_KEYS
    rows = rows_of(path)
    return [(f"{path.name}#{i}", next(str(row[key]) for key in keys if key in row)) for i, row in enumerate(rows)]


def reference_of(items: list[tuple[str, str]]) -> pa.Table:
    return documents([{"origin": origin, "text": text} for origin, text in items])


def docs_of(texts: list[str]) -> pa.Table:
    return documents([{"origin": str(index), "text": text} for index, text in enumerate(texts)])


def library_texts(count: int) -> list[str]:
    """Pieces of the standard library's sources: text about other things."""
    texts: list[str] = []
    for file in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        text = file.read_text(encoding="utf-8", errors="replace")
        texts += [text[start : start + DOCUMENT_CHARS] for start in range(0, len(text), DOCUMENT_CHARS)]
        if len(texts) >= count:
            break
    return texts[:count]


def num_dropped(texts: list[str], verdict: pa.Table) -> int:
    column = apply(docs_of(texts), verdict)[DROP]
    return len(column) - int(column.null_count)


def as_it_is(text: str, page: str) -> str:
    return text


def other_lines(text: str, page: str) -> str:
    return re.sub(r"\s+", "\n", text.upper())


def other_number(text: str, page: str) -> str:
    """The last number of the item replaced; an item without one is left as it is."""
    found = list(re.finditer(r"\d+", text))
    return f"{text[: found[-1].start()]}{int(found[-1][0][:9]) * 7 + 4242}{text[found[-1].end() :]}" if found else text


def in_a_page(text: str, page: str) -> str:
    half = page.rfind(" ", 0, len(page) // 2)
    return f"{page[:half]}\n\n{text}\n\n{page[half:]}"


PLANTS: tuple[Callable[[str, str], str], ...] = (as_it_is, other_lines, other_number, in_a_page)


def print_rules(data: Path, evals: list[tuple[str, str]], unrelated: list[str]) -> None:
    pairs = rows_of(data / "neardup" / "gsm8k_vs_gsmhard.jsonl.gz")
    test = items_of(data / "evals" / "gsm8k_test.jsonl.gz")
    train = [text for _, text in items_of(data / "evals" / "gsm8k_train_0-2000.jsonl.gz")]
    changed = [pair["b"] for pair in pairs]
    print(f"{'rule':24} {'one number changed':>20} {'GSM8K train flagged':>22} {'unrelated flagged':>20}")
    for name, params in (("ours", {}), ("any shared 13-gram", PLAIN)):
        of_pairs = merge(
            [], reference=reference_of([(f"pairs#{i}", pair["a"]) for i, pair in enumerate(pairs)]), **params
        )
        named = [json.loads(meta) for meta in apply(docs_of(changed), of_pairs)["meta"].to_pylist()]
        found = sum(f"pairs#{index}" in meta.get("contaminated", ()) for index, meta in enumerate(named))
        flagged = num_dropped(train, merge([], reference=reference_of(test), **params))
        other = num_dropped(unrelated, merge([], reference=reference_of(evals), **params))
        print(
            f"{name:24} {f'{found} of {len(pairs)} ({found / len(pairs):.1%})':>20} "
            f"{f'{flagged} of {len(train)} ({flagged / len(train):.2%})':>22} {f'{other} of {len(unrelated)}':>20}"
        )


def print_planted(files: list[Path], verdict: pa.Table, pages: list[str], per_file: int) -> None:
    """Items found under the name of their benchmark or, where it is the same problem in another language, of a sibling's."""
    print(f"\n{'planted':20} {'items':>6} " + " ".join(f"{plant.__name__:>14}" for plant in PLANTS))
    for file in files:
        items = items_of(file)[:per_file]
        shares = []
        for plant in PLANTS:
            texts = [plant(text, pages[index % len(pages)]) for index, (_, text) in enumerate(items)]
            metas = [json.loads(meta) for meta in apply(docs_of(texts), verdict)["meta"].to_pylist()]
            shares.append(sum(bool(meta.get("contaminated")) for meta in metas) / len(items))
        print(f"{benchmark_of(file.name):20} {len(items):6} " + " ".join(f"{share:14.1%}" for share in shares))


def print_cost(verdict: pa.Table, merge_seconds: float, texts: list[str]) -> None:
    docs = docs_of(texts)
    times = []
    for _ in range(REPEAT):
        start = time.process_time()
        apply(docs, verdict)
        times.append(time.process_time() - start)
    counts = json.loads(verdict.schema.metadata[b"counts"])
    megabytes = sum(map(len, texts)) / 1e6
    print(f"\nindex: {counts}, {verdict.nbytes / counts['ngrams']:.1f} bytes per n-gram, {merge_seconds:.2f} CPU s")
    print(
        f"apply: {len(texts)} documents, {megabytes:.1f} MB: {len(texts) / min(times):.0f} docs/CPU-s, "
        f"{megabytes / min(times):.1f} MB/CPU-s"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data set")
    parser.add_argument("--docs", type=int, default=4_000, help="unrelated documents (default 4000)")
    parser.add_argument("--items", type=int, default=100, help="items planted per benchmark (default 100)")
    arguments = parser.parse_args(argv)
    if not (arguments.data / "evals").is_dir():
        print(f"no real data at {arguments.data}: name its folder with --data")
        return 0
    files = [file for file in sorted((arguments.data / "evals").glob("*.jsonl.gz")) if "_train" not in file.name]
    evals = [item for file in files for item in items_of(file)]
    unrelated = library_texts(arguments.docs)
    print_rules(arguments.data, evals, unrelated)
    start = time.process_time()
    verdict = merge([], reference=reference_of(evals))
    seconds = time.process_time() - start
    print_planted(files, verdict, unrelated[: arguments.items], arguments.items)
    print_cost(verdict, seconds, unrelated)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
