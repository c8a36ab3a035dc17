"""Rules and quality models of source code on what is installed on this machine: rates, beside peers, and what a model knows.

    python -m curation.bench code --peers .venv-peers/bin/python .venv-dolma/bin/python

Rates are of all characters of a file, though the models read only its beginning. Peers see the same files in the same run, each in an
environment of its own: data-juicer's filters for code and dolma's taggers for it. None of them parses. Bar: 10 MB per CPU second for each
of ours that does not parse.

What a model knows is measured with files that `filter.code` keeps and that were spoiled: it learns to tell whole files of some packages
from spoiled ones of others, and is asked about a third part of the packages. There are five ways of spoiling, one for each fifth of the
files. Areas under the ROC curve are given for each, means over three divisions of the packages, beside those of the length and of the
share of comments (whichever way round is better). Spoiled files stand in for bad ones, of which nobody gave labels: it shows that a model
sees broken order, names, layout, ends and merges, not that it has taste. Bar: an area of 0.9 over all ways in every language.
"""

import argparse
import itertools
import json
import re
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from curation.code import score, signals
from curation.code.deepseek import code
from curation.code.opencoder import opencoder
from curation.code.syntax import pieces
from curation.quality.agreement import auc
from curation.quality.ridge import Examples, fit, predict
from datapipe.schema import code_origin, documents

SUFFIXES = {".py": "python", ".h": "c++", ".hpp": "c++", ".js": "javascript"}
MIN_RATE = 10.0  # MB per CPU second
LEAST_CHARS, MOST_CHARS = 500, 200_000
PEER = Path(__file__).parent / "peers" / "code.py"
MIN_AREA = 0.9
PARTS = 3  # of the packages: whole ones, spoiled ones, those asked about
BUCKETS = 1 << 16
KEPT_WORDS = frozenset(
    [
        "return",
        "class",
        "import",
        "from",
        "self",
        "with",
        "while",
        "else",
        "elif",
        "True",
        "False",
        "None",
        "lambda",
        "yield",
        "raise",
        "async",
        "await",
        "pass",
        "break",
        "continue",
        "assert",
        "global",
        "nonlocal",
        "except",
        "finally",
        "this",
        "void",
        "const",
        "static",
        "struct",
        "public",
        "private",
        "template",
        "typename",
        "namespace",
        "include",
        "define",
        "function",
        "switch",
        "case",
        "default",
        "unsigned",
        "double",
        "float",
        "char",
        "long",
        "short",
        "virtual",
        "inline",
        "using",
        "endif",
        "ifdef",
        "ifndef",
        "pragma",
        "once",
        "extern",
        "enum",
        "auto",
        "bool",
        "true",
        "false",
        "nullptr",
        "null",
        "typeof",
        "export",
        "require",
    ]
)


class File(NamedTuple):
    package: str
    path: str
    lang: str
    text: str


def files_here(folders: Sequence[Path], most: int, seed: int = 0) -> list[File]:
    """At most `most` files of every language, drawn by `seed`; a package is the first folder below a root."""
    found: list[File] = []
    for suffix, lang in SUFFIXES.items():
        paths = sorted((path, root) for root in folders for path in root.rglob(f"*{suffix}"))
        order = np.random.Generator(np.random.Philox(seed)).permutation(len(paths)).tolist()
        own: list[File] = []
        for index in order:
            path, root = paths[index]
            if len(own) == most:
                break
            if not path.is_file() or not LEAST_CHARS <= path.stat().st_size <= MOST_CHARS:
                continue
            inner = path.relative_to(root)
            package = "/".join(inner.parts[:-1][: 1 if lang == "python" else 5])
            own.append(File(package, str(inner), lang, path.read_bytes().decode("utf-8", "replace")))
        found += own
    return found


def table(files: Sequence[File]) -> pa.Table:
    return documents(
        {"text": file.text, "origin": code_origin(file.package, "1", file.path), "lang": file.lang, "kind": "code"}
        for file in files
    )


def shuffled(file: File, rng: np.random.Generator) -> str:
    """The lines in another order."""
    lines = file.text.split("\n")
    return "\n".join(lines[place] for place in rng.permutation(len(lines)))


def renamed(file: File, rng: np.random.Generator) -> str:
    """Names of four letters and more replaced by meaningless ones, each by the same wherever it stands; keywords may go with them."""
    names = sorted(set(re.findall(r"\b[A-Za-z_]\w{3,}\b", file.text)) - KEPT_WORDS)
    places = rng.permutation(len(names)).tolist()
    new = {
        name: f"{'abcdfghklmnpqrstvwxz'[place % 20]}{place // 20 or ''}"
        for name, place in zip(names, places, strict=True)
    }
    return re.sub(r"\b[A-Za-z_]\w{3,}\b", lambda match: new.get(match[0], match[0]), file.text)


def squeezed(file: File, rng: np.random.Generator) -> str:
    """Without comments, blank lines and indentation beyond one character a level."""
    lengths = pieces(file.text, file.lang)
    edges = np.cumsum([0, *lengths]).tolist()
    parts = [file.text[start:end] for start, end in itertools.pairwise(edges)]
    bare = "".join(part for index, part in enumerate(parts) if index % 2 == 0 or part[:1] in "\"'`")
    lines = [line for line in bare.split("\n") if line.strip()]
    return "\n".join(" " * ((len(line) - len(line.lstrip())) // 4) + line.strip() for line in lines)


def cut(file: File, rng: np.random.Generator) -> str:
    """The beginning, up to any character of the first half of what is read."""
    return file.text[: int(rng.integers(200, max(201, min(len(file.text), 8_000) // 2)))]


def in_conflict(file: File, rng: np.random.Generator) -> str:
    """A merge left undone, some lines twice."""
    lines = file.text.split("\n")
    place = int(rng.integers(0, max(1, min(len(lines), 100) - 5)))
    ours = lines[place : place + 5]
    lines[place : place + 5] = ["<<<<<<< HEAD", *ours, "=======", *ours[::-1], ">>>>>>> other"]
    return "\n".join(lines)


SPOILED: dict[str, Callable[[File, np.random.Generator], str]] = {
    "shuffled": shuffled,
    "renamed": renamed,
    "squeezed": squeezed,
    "cut": cut,
    "in conflict": in_conflict,
}


class Examined(NamedTuple):
    """Files of one language, whole ones and then the same spoiled."""

    examples: Examples
    is_whole_N: np.ndarray
    way_N: np.ndarray  # int64, -1 for a whole file
    chars_N: np.ndarray
    package_N: np.ndarray  # uint64


def examined(files: Sequence[File], seed: int = 0) -> Examined:
    rng, ways = np.random.Generator(np.random.Philox(seed)), list(SPOILED.values())
    spoiled = [file._replace(text=ways[index % len(ways)](file, rng)) for index, file in enumerate(files)]
    both = [*files, *spoiled]
    way = np.arange(len(files)) % len(ways)
    return Examined(
        score.features_of(table(both), ngram=2, buckets=BUCKETS, max_chars=8_000),
        np.repeat([True, False], len(files)),
        np.concatenate([np.full(len(files), -1), way]),
        np.array([len(file.text) for file in both], np.float64),
        np.array([xxhash.xxh3_64_intdigest(file.package.encode()) for file in both], np.uint64),
    )


def areas(of: Examined, examples: Examples) -> list[float]:
    """For each way of spoiling and for all: how well a model tells whole files from spoiled ones, of packages it did not see."""
    found = []
    part_N = of.package_N % np.uint64(PARTS)
    for turn in range(PARTS):
        learned_N = np.where(of.is_whole_N, part_N == turn, part_N == (turn + 1) % PARTS)
        asked_N = part_N == (turn + 2) % PARTS
        weights = fit(examples, of.is_whole_N.astype(np.float64), learned_N, num_slots=2 * BUCKETS, ridge=3.0)
        found.append(list(_by_way(of, predict(examples, weights), asked_N)))
    return np.mean(found, axis=0).tolist()


def _by_way(of: Examined, scores_N: np.ndarray, asked_N: np.ndarray) -> Iterator[float]:
    for way in [*range(len(SPOILED)), None]:
        mine_N = asked_N & (of.is_whole_N | (of.way_N == way) | (way is None))
        yield auc(scores_N[mine_N], of.is_whole_N[mine_N])


def alone(of: Examined, measure_N: np.ndarray) -> list[float]:
    """The same of one number, whichever way round is better."""
    return [max(area, 1 - area) for area in _by_way(of, measure_N, np.ones(len(measure_N), bool))]


def knowledge(files: Sequence[File]) -> bool:
    """Prints the table of one language; whether the bar is met."""
    of = examined(files)
    comments_N = of.examples.dense_NF[:, [signals.NAMES.index(name) for name in ("comments", "documentation")]].sum(
        axis=1
    )
    nothing = (each[:0] for each in of.examples[1:])
    rows = {
        "the product: signals and words": areas(of, of.examples),
        "signals": areas(of, Examples(of.examples.dense_NF, *nothing)),
        "words": areas(of, of.examples._replace(dense_NF=of.examples.dense_NF[:, :0])),
        "length": alone(of, of.chars_N),
        "share of comments": alone(of, comments_N),
    }
    packages = len({file.package for file in files})
    print(f"\n{files[0].lang}: {len(files):,} files of {packages} packages")
    print(f"{'':32}" + "".join(f"{name:>13}" for name in [*SPOILED, "all"]))
    for name, found in rows.items():
        print(f"{name:32}" + "".join(f"{area:13.3f}" for area in found))
    return rows["the product: signals and words"][-1] >= MIN_AREA


def rates(files: Sequence[File]) -> dict[str, float]:
    """MB per CPU second of each of ours."""
    docs, size = table(files), sum(len(file.text) for file in files) / 1e6
    half = len(files) // 2
    verdict = score.merge(
        [score.emit(docs[half : half + 500])],
        reference=docs[: min(half, 500)],
        folds=0,
        buckets=BUCKETS,
        min_examples=10_000,
    )
    found = {}
    for name, run in {
        "filter.code": lambda docs: code(docs),
        "filter.opencoder without parser": lambda docs: opencoder(docs, parse=False),
        "filter.opencoder": lambda docs: opencoder(docs),
        "score.code": lambda docs: score.apply(docs, verdict),
    }.items():
        run(docs[:5])
        start = time.process_time()
        run(docs)
        found[name] = size / (time.process_time() - start)
    return found


def peer(python: str, files: Sequence[File]) -> dict[str, float]:
    """MB per CPU second of what the environment has."""
    lines = (json.dumps({"text": file.text, "ending": file.path.rpartition(".")[2]}) for file in files)
    done = subprocess.run([python, str(PEER)], input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} {PEER.name} failed:\n{done.stderr[-2_000:]}")
    answer = json.loads(done.stdout)
    size = sum(len(file.text) for file in files) / 1e6
    print(f"{python}: {', '.join(f'{name} {number}' for name, number in answer['versions'].items())}")
    return {name: size / seconds for name, seconds in answer["seconds"].items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folders", type=Path, nargs="+", default=[Path(sysconfig.get_paths()["purelib"])], help="roots of packages"
    )
    parser.add_argument("--files", type=int, default=1_000, help="files of each language (default 1000)")
    parser.add_argument("--peers", nargs="*", default=[], help="Pythons that have data-juicer or dolma")
    arguments = parser.parse_args(argv)
    files = files_here(arguments.folders, arguments.files)
    print(f"{len(files):,} files, {sum(len(file.text) for file in files) / 1e6:.1f} MB")
    ours = rates(files)
    for name, rate in ours.items():
        print(f"{name:44} {rate:8.1f} MB per CPU s")
    for python in arguments.peers:
        for name, rate in peer(python, files).items():
            print(f"{name:44} {rate:8.1f} MB per CPU s")
    passed = all(rate >= MIN_RATE for name, rate in ours.items() if name != "filter.opencoder")
    good = [file for file, reason in zip(files, code(table(files)).to_pylist(), strict=True) if reason is None]
    for lang in sorted(set(SUFFIXES.values())):
        own = [file for file in good if file.lang == lang]
        if len({file.package for file in own}) >= 10 * PARTS:
            passed &= knowledge(own)
        else:
            print(f"\n{lang}: too few packages here to learn from")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
