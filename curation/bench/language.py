"""Language identification: how often it is right, what it costs, what scripts and windows add: `python -m curation.bench language`.

A locale's label is its language part (zh-TW: zh), but Norwegian Bokmaal, which lid.176 calls `no` (nb-NO: no). Labels count as wrong
whatever their score. CPU seconds of one process, the best of three, of the whole Arrow step and of the model alone on the same samples. The
last table joins paragraphs of one or two locales to documents and asks for `min_share: 0.8`. Needs the real data set beside the repository.
"""

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.languages import language as module
from curation.languages.language import language, prose
from datapipe.schema import DROP, documents

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = ("handbook_paragraphs", "eld_word-pairs_v3", "eld_single-words_v3")
LABELS = {"nb": "no"}
REPEAT = 3
NUM_JOINED = 300


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def label_of(locale: str) -> str:
    """The label of lid.176 for a locale or language code."""
    code = locale.partition("-")[0]
    return LABELS.get(code, code)


def docs_of(texts: list[str]) -> pa.Table:
    return documents([{"origin": str(index), "text": text} for index, text in enumerate(texts)])


def cpu_seconds(function: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPEAT):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def print_files(folder: Path, model: str) -> None:
    print(
        f"{'file':22} {'texts':>6} {'chars':>6} {'right':>7} {'wrong script':>13} {'texts/CPU-s':>12} {'model alone':>12}"
    )
    predict = module._load(model or module._packaged_model()).predict
    for name in FILES:
        rows = rows_of(folder / f"{name}.jsonl.gz")
        docs = docs_of([row["text"] for row in rows])
        found = language(docs, model=model, min_score=0.0)
        right = [label == label_of(row["lang"]) for label, row in zip(found["lang"].to_pylist(), rows, strict=True)]
        contradicted = [reason == "language.script" for reason in found[DROP].to_pylist()]
        wrongly = sum(a and b for a, b in zip(right, contradicted, strict=True))
        samples = [prose(row["text"], 2_000) + "\n" for row in rows]

        def step(docs: pa.Table = docs) -> Any:
            return language(docs, model=model)

        def model_alone(samples: list[str] = samples) -> Any:
            return [predict(sample, 1, 0.0, "replace") for sample in samples]

        rates = [len(rows) / cpu_seconds(function) for function in (step, model_alone)]
        print(
            f"{name:22} {len(rows):6} {sum(map(len, samples)) / len(rows):6.0f} {sum(right) / len(rows):7.2%} "
            f"{f'{sum(contradicted)}, {wrongly} right':>13} {rates[0]:12.0f} {rates[1]:12.0f}"
        )


def print_mixed(folder: Path, model: str) -> None:
    by_language: dict[str, list[str]] = {}
    for row in rows_of(folder / f"{FILES[0]}.jsonl.gz"):
        by_language.setdefault(label_of(row["lang"]), []).append(row["text"])
    draw = random.Random(0)
    one, halves, alternating = [], [], []
    for _ in range(NUM_JOINED):
        first, second = draw.sample(sorted(by_language), 2)
        count = draw.randint(2, 8)
        a, b = (draw.choices(by_language[code], k=count) for code in (first, second))
        one.append("\n\n".join(a))
        halves.append("\n\n".join(a + b))
        alternating.append("\n\n".join(text for pair in zip(a, b, strict=True) for text in pair))
    print(f"\ndropped as language.mixed, of {NUM_JOINED} documents:")
    for name, texts in (
        ("one language", one),
        ("two, one behind the other", halves),
        ("two, alternating", alternating),
    ):
        reasons = language(docs_of(texts), model=model, min_score=0.0, min_share=0.8)[DROP].to_pylist()
        print(f"{name:26} {reasons.count('language.mixed'):4}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data set")
    parser.add_argument("--model", default="", help="another fastText model (default: the packaged lid.176.ftz)")
    arguments = parser.parse_args(argv)
    folder = arguments.data / "langid"
    if not folder.is_dir():
        print(f"no real data at {arguments.data}: name its folder with --data")
        return 0
    print_files(folder, arguments.model)
    print_mixed(folder, arguments.model)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
