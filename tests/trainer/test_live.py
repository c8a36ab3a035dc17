"""Training on a build that is still running: the same run as on the finished one, and a clear end when the build does not deliver."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curriculum import feed, follow
from curriculum.plan import Plan
from trainer import run
from trainer.run import train

MakePlan = Callable[..., Plan]
Copies = list[tuple[str, str]]
SLOW_BUILD = Path(__file__).with_name("slow_build.py")
PAUSE_SECONDS = 0.1


@pytest.fixture(autouse=True)
def step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one step are read at a time, as they are at full size; and what is not there is looked for often."""
    monkeypatch.setattr(feed, "WINDOW_TOKENS", 1)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.02)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feed.Feed.__init__.__kwdefaults__, "patience", 0.3)


def lines(root: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    read = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "speed")} for line in read]


def seconds(root: Path, part: str) -> list[float]:
    return [json.loads(line)["seconds"][part] for line in (root / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def finished(tmp_path: Path, make_plan: MakePlan) -> Path:
    """A finished build, trained on; and the plans that a build writes on the way there, as plan-1.json and plan-2.json."""
    root = tmp_path / "finished"
    root.mkdir()
    plan = make_plan(root=root)
    train(str(root))
    first, second = plan.stages
    open_stage = dataclasses.replace(second, sources=(), mixture=())
    (root / "plan-1.json").write_text(dataclasses.replace(plan, lock="", stages=(first, open_stage)).to_json())
    (root / "plan-2.json").write_text(dataclasses.replace(plan, lock="").to_json())
    return root


def copies(finished: Path, live: Path) -> tuple[Copies, Copies, Copies]:
    """What a build writes: the first plan; the shards of the first stage; the second plan, all other shards, the last plan."""

    def plan(name: str) -> tuple[str, str]:
        return str(finished / name), str(live / "plan.json")

    (finished / "mark.json").write_text("{}")
    stages: list[Copies] = []
    for stage in Plan.from_json((finished / "plan.json").read_text()).stages:
        made: Copies = []
        for path in [shard.path for source in stage.sources for shard in source.shards]:
            made += [
                (f"{finished / path}{ending}", f"{live / path}{ending}") for ending in (".docs.arrow", ".tokens.arrow")
            ]
            made.append((str(finished / "mark.json"), f"{live / path}.json"))
        stages.append(made)
    return [plan("plan-1.json")], stages[0], [plan("plan-2.json"), *stages[1], plan("plan.json")]


def start(files: Copies, pause_seconds: float = PAUSE_SECONDS) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, str(SLOW_BUILD), str(pause_seconds)], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(files))
    process.stdin.close()
    return process


def test_following_a_slow_build_is_the_run_on_the_finished_one(
    tmp_path: Path, finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = tmp_path / "live"
    first, *later = copies(finished, live)
    start(first, 0).wait()
    with start([*later[0], *later[1]]) as build, caplog.at_level("INFO"):
        done = train(str(live))
    assert build.returncode == 0
    assert "following a build that is still running: 1 of 2 stages are laid out" in caplog.text
    assert done["plan_edits"] == []
    assert lines(live) == lines(finished)
    waited = seconds(live, "build")
    assert min(waited[0], waited[3]) > 3 * PAUSE_SECONDS  # for the first shard, and for the stage that was open
    assert set(seconds(finished, "build")) == {0.0}
    for name in ("__0_0.distcp", ".metadata", "common.pt"):
        latest = Path("checkpoints", "step-00000006", "weights", name)
        assert (live / latest).read_bytes() == (finished / latest).read_bytes()
    kept = Plan.from_json((live / "checkpoints" / "step-00000006" / "plan.json").read_text())
    assert kept.digest() == Plan.from_json((finished / "plan.json").read_text()).digest()


def test_a_killed_build_ends_the_training_with_a_message_and_both_go_on(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live = tmp_path / "live"
    first, second, third = copies(finished, live)
    start([*first, *second, third[0]], 0).wait()
    with start(third[1:], 60) as build:
        build.kill()
    impatient(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["run", "--root", str(live)])
    assert run.main() == 1
    assert caplog.messages[-1].startswith("shard shards/long/")
    assert "is `tokenloom build` still running?" in caplog.messages[-1]
    assert lines(live) == lines(finished)[:3]
    start(third, 0).wait()
    assert train(str(live))["first_step"] == 3
    assert lines(live) == lines(finished)


def test_a_build_that_rewrites_what_is_learned_is_refused(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live = tmp_path / "live"
    first, second, _ = copies(finished, live)
    start([*first, *second], 0).wait()
    plan = Plan.from_json((finished / "plan.json").read_text())
    edited = dataclasses.replace(plan.stages[0], rope_base=5e4)
    monkeypatch.setattr(sys, "argv", ["run", "--root", str(live)])

    def rewrite(line: dict[str, Any]) -> None:
        (live / "plan.json").write_text(dataclasses.replace(plan, lock="", stages=(edited, plan.stages[1])).to_json())

    monkeypatch.setattr(run, "_log_line", rewrite)
    assert run.main() == 1
    assert "stages[0].rope_base: 10000.0 -> 50000.0" in caplog.messages[-1]


def steps_done(root: Path) -> int:
    metrics = root / "metrics.jsonl"
    return len(metrics.read_bytes().splitlines()) if metrics.exists() else 0


@pytest.mark.parametrize("step", [0, 3])
def test_sigterm_while_waiting_is_obeyed_at_once_and_the_same_command_goes_on(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the first step there is nothing to save; before step 3 the end of the stage is saved already."""
    from trainer import mcore_compat

    mcore_compat.install()
    from trainer.learn import Terminated

    live = tmp_path / "live"
    first, second, third = copies(finished, live)
    start([*first, *(second if step else ())], 0).wait()
    wait, told = follow.Follower._wait, list[str]()

    def waiting(self: follow.Follower, what: str, is_there: Callable[[], bool]) -> None:
        if not is_there() and not told:
            told.append(what)
            deadline = time.monotonic() + 60
            while steps_done(live) < step and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.1)  # now the steps before are done, and the next one is waited for
            os.kill(os.getpid(), signal.SIGTERM)
        wait(self, what, is_there)

    monkeypatch.setattr(follow.Follower, "_wait", waiting)
    with pytest.raises(Terminated, match=f"stopped by SIGTERM before step {step};"):
        train(str(live))
    assert len(told) == 1
    saved = [path.name for path in (live / "checkpoints").glob("step-*")]
    assert saved == (["step-00000003"] if step else [])
    start([*second, *third], 0).wait()
    assert train(str(live))["first_step"] == step
    assert lines(live) == lines(finished)
