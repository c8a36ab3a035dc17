"""Commands that start the trainer: here, and on many machines, where a shell with stand-ins for Slurm reads the script."""

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from curriculum.launch import Launch, LaunchError, gpus_here, plan_launch
from curriculum.plan import Plan
from datapipe.site import SiteError
from tests.plans import make_source, make_stage

MODEL: dict[str, Any] = {
    **{"layers": 4, "dense_layers": 1, "hidden": 128, "heads": 8, "kv_heads": 2, "dense_ffn": 384, "shared_ffn": 96},
    **{"experts": 8, "vocab_size": 4096},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TOKENLOOM_SITE", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    stage = make_stage([make_source("web", 8)], [Fraction(1)])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_text(Plan("test", "1", 0, "m", "l", {}, MODEL, {}, (stage,)).to_json())
    return tmp_path / "out"


def site(root: Path, text: str) -> str:
    path = root.parent / "site.toml"
    path.write_text(text)
    return str(path)


def test_alone_it_is_a_plain_command(root: Path) -> None:
    launch = plan_launch(str(root), shards="s3://b/out", threads=2, stop_after=3)
    options = ["--shards", "s3://b/out", "--threads", "2", "--stop-after", "3"]
    assert launch.command() == [sys.executable, "-m", "trainer.run", "--root", str(root), *options]
    assert launch.printed() == " ".join(launch.command())


def test_several_processes_are_started_by_torchrun(root: Path) -> None:
    launch = plan_launch(str(root), processes=2)
    command = " ".join(launch.command())
    assert command.startswith(f"{sys.executable} -m torch.distributed.run --nproc-per-node 2 ")
    assert "--rdzv-backend c10d --rdzv-endpoint localhost:0 -m trainer.run --root" in command


def test_processes_come_from_the_call_then_the_site_then_the_gpus(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = site(root, "[parallel]\nprocesses_per_node = 3\n")
    assert plan_launch(str(root), site=path, processes=2).processes == 2
    assert plan_launch(str(root), site=path).processes == 3
    assert plan_launch(str(root)).processes == 1
    monkeypatch.setattr("curriculum.launch.gpus_here", lambda: 4)
    assert plan_launch(str(root)).processes == 4
    monkeypatch.setenv("TOKENLOOM_SITE", path)
    assert plan_launch(str(root)).processes == 3


def test_gpus_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [Path("/dev") / name for name in ("nvidia0", "nvidia1", "nvidia10", "nvidia3-x")]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: names if pattern == "nvidia[0-9]*" else [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_here() == 3
    for visible, count in (("", 0), ("1", 1), ("0,1", 2), ("0,1,2,3,4,5", 3)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpus_here() == count


def test_a_layout_that_cannot_run_is_refused_before_anything_starts(root: Path) -> None:
    path = site(root, "[parallel]\ntensor = 4\npipeline = 3\n")
    with pytest.raises(LaunchError) as refusal:
        plan_launch(str(root), site=path, processes=5)
    lines = str(refusal.value).splitlines()
    assert lines[0] == f"{path}: [parallel] tensor: 4 does not divide kv_heads (2): use 1 or 2."
    assert lines[1].startswith(f"{path}: [parallel] pipeline: 4 layers do not go into 3 stages")
    assert lines[2].startswith(f"{path}: [parallel] world: 5 processes are not a multiple of")
    assert "nodes * processes_per_node = 5" in lines[3]


def test_a_site_file_with_mistakes_is_told(root: Path) -> None:
    with pytest.raises(SiteError, match="size = 8"):
        plan_launch(str(root), site=site(root, "[cache]\nsize = 8\n"))


def test_many_nodes_want_their_processes_said(root: Path) -> None:
    path = site(root, "[parallel]\nnodes = 2\n")
    with pytest.raises(LaunchError, match=r"nodes = 2, but not how many.*\n.*processes_per_node = 8"):
        plan_launch(str(root), site=path)
    assert plan_launch(str(root), site=path, processes=4) == Launch(
        ("--root", str(root), "--site", path), nodes=2, processes=4
    )


def test_the_script_runs_under_slurm(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell reads it with stand-ins that print their arguments: every node's torchrun meets the others at the first node."""
    path = site(root, "[parallel]\nnodes = 4\nprocesses_per_node = 2\npipeline = 2\nexpert = 4\n")
    monkeypatch.chdir(root.parent)
    script = plan_launch("out", site="site.toml", shards="a b/shards", stop_after=7).printed()
    assert "#SBATCH --nodes=4\n#SBATCH --ntasks-per-node=1\n#SBATCH --gpus-per-node=2\n" in script
    bin_folder = root.parent / "bin"
    bin_folder.mkdir()
    for name, text in (("scontrol", "seq -f node%g 7 100000"), ("srun", 'printf "%s\\n" "$@"')):
        (bin_folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (bin_folder / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "42", "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=slurm, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    assert words[:2] == ["--kill-on-bad-exit=1", "torchrun"]
    pairs = dict(pairwise(words))
    assert (pairs["--nnodes"], pairs["--nproc-per-node"], pairs["-m"]) == ("4", "2", "trainer.run")
    assert (pairs["--rdzv-endpoint"], pairs["--rdzv-id"]) == ("node7:29500", "42")
    # Absolute, because a job starts in a folder of its own.
    assert (pairs["--root"], pairs["--site"], pairs["--stop-after"]) == (str(root), path, "7")
    assert pairs["--shards"] == str(root.parent / "a b" / "shards")


def test_the_same_without_slurm(root: Path) -> None:
    path = site(root, "[parallel]\nnodes = 2\nprocesses_per_node = 2\n")
    script = plan_launch(str(root), site=path, shards="s3://b/out").printed()
    [line] = [line for line in script.splitlines() if line.startswith("#   ")]
    assert line.startswith("#   torchrun --nnodes 2 --nproc-per-node 2 ")
    assert line.endswith(
        f"--rdzv-endpoint FIRST_NODE:29500 -m trainer.run --root {root} --shards s3://b/out --site {path}"
    )
