"""The rules of the house, as tests: who may import whom, which library may be named where, how large a file may be."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("datapipe", "curation", "synth", "curriculum", "trainer", "kernels")
ALLOWED = {
    "datapipe": {"datapipe"},
    "kernels": {"kernels"},
    "curation": {"curation", "datapipe.schema"},
    "synth": {"synth", "curation", "datapipe"},
    "curriculum": {"curriculum", "synth", "curation", "datapipe"},
    "trainer": {
        "trainer",
        "curriculum.plan",
        "curriculum.plan_changes",
        "curriculum.feed",
        "curriculum.model_shape",
        "curriculum.parallel",
        "kernels",
    },
}
FEED_SIDE = (
    "curriculum/plan.py",
    "curriculum/plan_changes.py",
    "curriculum/mix_changes.py",
    "curriculum/feed.py",
    "curriculum/mixture.py",
    "curriculum/order.py",
    "curriculum/permute.py",
    "curriculum/collate.py",
    "curriculum/follow.py",
    "datapipe/arrow_file.py",
    "datapipe/arrow_message.py",
    "datapipe/block_cache.py",
    "datapipe/block_folder.py",
    "datapipe/lru.py",
    "datapipe/ragged.py",
    "datapipe/s3.py",
    "datapipe/s3_reads.py",
    "datapipe/site.py",
    "datapipe/store.py",
    "datapipe/stored.py",
    "datapipe/shards.py",
)
FEED_IMPORTS = {
    "numpy",
    "pyarrow",
    "xxhash",
    "zstandard",
    "s3fs",
    "fsspec",
    "botocore",
    "aiobotocore",
    "aiohttp",
    "curriculum",
    "datapipe",
}
ONLY_IN = {"ray": "datapipe/engine.py", "megatron": "trainer/", "triton": "kernels/"}
MAX_LINES = 500


def sources() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


@functools.cache
def walked(file: Path) -> list[ast.AST]:
    """The nodes of a file that rules are about, in one walk for all of them."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom, ast.ExceptHandler))]


def imports(file: Path) -> set[str]:
    """Full names of everything a file imports, at any depth; `from a import b` counts as a.b."""
    found = set()
    for node in walked(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, allowed: set[str]) -> bool:
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_only_its_own_floor_and_those_below(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    ours = {name for name in imports(file) if name.partition(".")[0] in PACKAGES}
    assert not {name for name in ours if not within(name, ALLOWED[package])}


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_named_in_its_place_only(library: str) -> None:
    named = {str(file.relative_to(ROOT)) for file in sources() if within_library(file, library)}
    assert not {name for name in named if not name.startswith(ONLY_IN[library])}


def within_library(file: Path, library: str) -> bool:
    return any(name.partition(".")[0] == library for name in imports(file))


def test_what_a_training_node_reads_with_needs_little() -> None:
    for name in FEED_SIDE:
        outside = {n.partition(".")[0] for n in imports(ROOT / name)} - set(sys.stdlib_module_names)
        assert outside <= FEED_IMPORTS, name


def test_a_training_node_needs_no_pipeline_libraries() -> None:
    """`trainer`, the feed and `kernels` import where ray, polars, fasttext, trafilatura and triton are absent."""
    code = (
        "import sys\n"
        "for name in ('ray', 'polars', 'fasttext', 'trafilatura', 'triton'): sys.modules[name] = None\n"
        "import trainer, curriculum.feed, curriculum.plan, kernels\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_plan_loads_neither_ray_nor_torch() -> None:
    code = (
        "import sys; from curriculum import cli; sys.argv = ['tokenloom', 'plan', 'quickstart', '--json']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print({'ray', 'torch', 'polars', 'trafilatura', 'fasttext', 's3fs'} & set(sys.modules), file=sys.stderr)\n"
        "assert not {'ray', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_files_stay_short_and_have_names_that_say_something() -> None:
    files = [*sources(), *(ROOT / "tests").rglob("*.py")]
    assert not {str(file) for file in files if len(file.read_text().splitlines()) > MAX_LINES}
    assert not {
        str(file) for file in files if file.name in {"utils.py", "common.py", "base.py", "helpers.py", "misc.py"}
    }


def test_no_file_catches_everything() -> None:
    for file in sources():
        for node in walked(file):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{file}:{node.lineno}"
                names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
                assert not names & {"Exception", "BaseException"}, f"{file}:{node.lineno}"
