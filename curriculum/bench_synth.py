"""The generators that need no model, on the corpora of the quickstart: rows, CPU seconds, and how alike the rows are.

    python -m curriculum.bench_synth [--data quickstart/sample] [--out FOLDER] [CORPUS ...]

The corpora of manifests/corpora/quickstart with the sizes below, made in this process, without Ray, one after the other; what they read is
curated before and not counted. CPU seconds are those of this process and of all that it started (sandboxes, tests). The bar is 8 minutes
for all together, with as many accepted rows as are asked for. Variety (`synth.variety`): of what is asked (an issue, say), of what the
assistant writes, and of its last words alone. Exit code 1 when a bar is missed.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from curriculum.built import documents_of
from curriculum.corpus import load_corpus_files
from curriculum.curating import curate_files, with_needed
from curriculum.manifest import MANIFESTS
from datapipe.engine import InProcess
from synth.render import parse
from synth.variety import asked, variety, written

QUICKSTART = MANIFESTS / "corpora" / "quickstart"
WANTED = {"search": 500, "tools": 300, "software": 40, "reasoning": 1200, "rephrased": 800}  # tasks
SIZES: dict[str, dict[str, Any]] = {name: {"accept": wanted} for name, wanted in WANTED.items()}
SIZES["software"] |= {"per_repository": 8, "max_test_files": 4}
SIZES["tools"] = {"worlds": 68, "tasks": 5}  # of which some are dropped; a task with several questions is several rows
MAX_CPU_SECONDS = 480.0


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m curriculum.bench_synth", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "corpora", nargs="*", default=list(SIZES), metavar="CORPUS", help=f"of {', '.join(SIZES)}; all by default"
    )
    parser.add_argument("--data", default="quickstart/sample", help="what `tokenloom sample` wrote")
    parser.add_argument(
        "--out", help="a folder to keep; generated corpora that are finished there cost nothing and are not measured"
    )
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options.corpora, options.data, options.out or folder)
    show(results)
    seconds = sum(result["cpu_seconds"] for result in results)
    missing = [result["corpus"] for result in results if result["tasks"] < WANTED[result["corpus"]]]
    print(f"{seconds:.0f} CPU s of {MAX_CPU_SECONDS:.0f}; fewer tasks than wanted: {', '.join(missing) or 'none'}")
    return int(seconds > MAX_CPU_SECONDS or bool(missing))


def measure(corpora: Sequence[str], data: str, out: str) -> list[dict[str, Any]]:
    """Curates what the corpora read, then each of them; a result per corpus."""
    folder = Path(out, "files")
    folder.mkdir(parents=True, exist_ok=True)
    for path in QUICKSTART.glob("*.yaml"):
        corpus = yaml.safe_load(path.read_text(encoding="utf-8"))
        corpus["source"].update(SIZES.get(path.stem, {}))
        (folder / path.name).write_text(json.dumps(corpus))
    files = {name: folder / f"{name}.yaml" for name in corpora}
    loaded = load_corpus_files(with_needed(list(files.values())))
    read = sorted({source for name in corpora for source in loaded[name].generated_from})
    curate_files([str(folder / f"{name}.yaml") for name in read], out, data, InProcess(), _silent)
    results = []
    for name, file in files.items():
        before = _cpu_seconds()
        curated = curate_files([str(file)], out, data, InProcess(), _silent)["corpora"][name]
        seconds = _cpu_seconds() - before
        results.append(_result(name, out, curated, seconds))
    curate_files([str(file) for file in files.values()], out, data, InProcess(), _silent)  # the folder names them all
    return results


def _result(name: str, out: str, curated: dict[str, Any], seconds: float) -> dict[str, Any]:
    first = curated["steps"][0]
    questions, words, answers, kinds = [], [], [], Counter[str]()
    tasks: set[str] = set()
    trajectories = licensed = 0
    for table in documents_of(out, name):
        for row in table.select(["origin", "text", "kind", "license", "meta"]).to_pylist():
            text, kind, meta = row["text"], row["kind"], json.loads(row["meta"])
            task = meta.get("task") or {}
            tasks.add(row["origin"].rpartition("-")[0] if "turn" in meta else row["origin"])
            kinds[str(task.get("kind") or task.get("style") or kind)] += 1
            turns = parse(text) if kind in ("qa", "agent", "reasoning") else ()
            questions.append(asked(turns) if turns else text)
            words.append(written(turns) if turns else text)
            answers.append(turns[-1].text if turns else text)
            trajectories += any(turn.calls for turn in turns)
            licensed += bool(row["license"])
    return {
        "corpus": name,
        "cpu_seconds": seconds,
        "candidates": first["documents_in"],
        "tasks": len(tasks),
        "rows": len(words),
        "trajectories": trajectories,
        "licensed": licensed,
        "reasons": first["reasons"],
        "kinds": dict(kinds.most_common()),
        "asked": variety(questions),
        "written": variety(words),
        "answered": variety(answers),
    }


def show(results: Sequence[dict[str, Any]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    columns = (
        "corpus",
        "tasks",
        "rows",
        "CPU s",
        "ms/task",
        "",
        "distinct 1 / 2 / 4",
        "forms",
        "commonest form",
        "ten commonest",
    )
    table = Table(*columns)
    for result in results:
        for part, before in (("asked", ""), ("written", "asked"), ("answered", "written")):
            told = result[part]
            if before and told == result[before]:
                continue  # a plain text is all three
            grams = " / ".join(f"{told[f'distinct_{size}']:.3f}" for size in (1, 2, 4))
            left = [str(result["corpus"]), str(result["tasks"]), str(result["rows"]), f"{result['cpu_seconds']:.1f}"]
            left.append(f"{1000 * result['cpu_seconds'] / max(1, result['tasks']):.0f}")
            ends = [part, grams, str(told["forms"]), f"{told.get('top_form', 0):.1%}", f"{told.get('top_10', 0):.1%}"]
            table.add_row(*(left if part == "asked" else [""] * len(left)), *ends)
    console.print(table)
    for result in results:
        kinds = ", ".join(f"{kind} {count}" for kind, count in list(result["kinds"].items())[:12])
        reasons = ", ".join(
            f"{reason} {count}" for reason, count in sorted(result["reasons"].items(), key=lambda each: -each[1])[:8]
        )
        told = f"{result['trajectories']} rows with calls of tools, {result['licensed']} with a licence; {kinds}"
        console.print(f"[b]{result['corpus']}[/b]: {told}\n  dropped: {reasons or 'nothing'}", highlight=False)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _silent(job: str, phase: str, done: int, tasks: int) -> None:
    """No progress: the parts are short."""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
