"""The whole path of source code, from repositories to documents in dependency order, in CPU seconds of one process and its children.

    python -m curriculum.bench_code                              the packages that are installed here
    python -m curriculum.bench_code 'FOLDER/*'                   every folder in FOLDER is a repository
    python -m curriculum.bench_code --reader git 'FOLDER/*'      so is every clone and bare repository; bundles go by their own names
    python -m curriculum.bench_code --reader package 'FOLDER/*'

Read, languages, licences and roles, rules, exact and near duplicates, a quality model and its tiers, then what the tiers leave as whole
repositories in the order of their imports; everything but tokens, written to Parquet after every exchange as in a build. Rates are of the
source that is read (all files with a language), also for steps that see less of it because others came before. Good code is the
standard library; reading it is not counted, learning from it is. Memory is the peak of this process.
"""

import argparse
import json
import resource
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from curriculum.curating import curate_files
from datapipe.engine import InProcess, Task

CORPORA = {
    "code": """\
kind: code
source: {{reader: {reader}, paths: {paths}}}
steps:
  - filter.role
  - filter.license: {{unknown: keep}}
  - filter.code
  - dedup.exact: {{prefer: stars}}
  - dedup.minhash: {{threshold: 0.85, prefer: stars}}
  - score.code: {{reference: good_code}}
  - bucket.rank: {{columns: [code_quality], by: lang, labels: {{high: 16, medium: 6, low: 0}}, epochs: {{high: 2, medium: 1, low: 0}}}}
""",
    "good_code": """\
kind: code
source: {{reader: tree, paths: ["{stdlib}"]}}
steps: [filter.role, filter.code]
""",
    "repos": "kind: repo\nsource: {{generator: repository, from: [code]}}\n",
}

PHASES = {
    "code/filter.code": "read, language, licence, role, rules, hash",
    "code/dedup.exact": "exact copies, signatures",
    "code/dedup.minhash": "near copies, sample",
    "code/score.code": "learn, score",
    "code/bucket.rank": "tiers",
    "repos/candidates": "imports",
    "repos/generate": "order, repositories",
}


class Timed(InProcess):
    """Runs tasks here, one after the other, and says how long those of each corpus and phase took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, tasks: Sequence[Task], on_done: Callable[[int], None]) -> list[dict[str, Any]]:
        results = []
        for index, task in enumerate(tasks):
            started = cpu_seconds()
            results += super().run([task], lambda _: None)
            phase = "/".join(task.output.split("/corpora/")[1].split("/")[:2]).rpartition("-")[0]
            self.seconds[phase] = self.seconds.get(phase, 0.0) + cpu_seconds() - started
            on_done(index)
        return results


def cpu_seconds() -> float:
    """Of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m curriculum.bench_code", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "paths",
        nargs="*",
        default=[f"{sysconfig.get_path('purelib')}/*"],
        help="of repositories (default: installed packages)",
    )
    parser.add_argument(
        "--reader", choices=("tree", "git", "package"), default="tree", help="of what lies there (default: tree)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokenloom-bench-") as name:
        folder = Path(name)
        names = {
            "reader": arguments.reader,
            "paths": json.dumps([str(Path(path).absolute()) for path in arguments.paths]),
            "stdlib": f"{sysconfig.get_path('stdlib')}/[a-ce-rt-z]*",  # neither dist- nor site-packages,
        }
        for corpus, text in CORPORA.items():
            (folder / f"{corpus}.yaml").write_text(text.format(**names))
        engine = Timed()
        started, wall = cpu_seconds(), time.perf_counter()
        said = curate_files([str(folder / "repos.yaml")], str(folder / "out"), "", engine, lambda *_: None)
        spent, wall = cpu_seconds() - started, time.perf_counter() - wall
    show(said["corpora"], engine.seconds, spent, wall)


def show(corpora: dict[str, Any], seconds: dict[str, float], spent: float, wall: float) -> None:
    read_mb = corpora["code"]["steps"][0]["chars_out"] / 1e6
    print("What is left")
    for step in [*corpora["code"]["steps"], *corpora["repos"]["steps"]]:
        print(f"{step['step']:>18} {step['documents_out']:>8,} documents {step['chars_out'] / 1e6:>8.1f} M characters")
    print("CPU seconds")
    for phase, said in PHASES.items():
        print(f"{phase:>18} {seconds[phase]:>8.1f} s {read_mb / seconds[phase]:>8.0f} MB/s   {said}")
    reference = sum(took for phase, took in seconds.items() if phase not in PHASES)
    whole = spent - reference
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{read_mb:,.0f} MB of source in {whole:.1f} CPU seconds ({wall:.0f} s on the wall, {reference:.1f} s for the reference left out): "
        f"{read_mb / whole:.1f} MB per CPU second; peak memory {peak_mb:,.0f} MB"
    )


if __name__ == "__main__":
    main()
