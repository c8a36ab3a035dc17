"""The trainer as processes of its own: its messages, its end, and signals; what it learns is tested with it, in tests/trainer."""

import dataclasses
import os
import signal
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from curriculum import training
from curriculum.launch import Launch, LaunchError
from curriculum.plan import Plan
from curriculum.training import Terminated, TrainingError, run_trainer
from tests.plans import make_source, make_stage

# A stand-in: a line per second from rank 0; on a signal each rank ends its step and notes which signals came.
STAND_IN = """
import os, signal, sys, time
from pathlib import Path
rank, came = os.environ.get("RANK", "0"), []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: came.append(number))
Path(sys.argv[1], f"group-{rank}").write_text(f"{os.getpid()} {os.getpgid(0)}")
while not all(Path(sys.argv[1], f"group-{other}").exists() for other in range(int(os.environ.get("WORLD_SIZE", "1")))):
    time.sleep(0.05)
for step in range(200):
    if rank == "0":
        print('{"step": %d}' % step, flush=True)
    time.sleep(0.3)
    if came:
        if rank == "0":
            print('{"step": "ending"}', flush=True)
        time.sleep(0.7)
        Path(sys.argv[1], f"came-{rank}").write_text(" ".join(signal.Signals(number).name for number in came))
        if rank == "0":
            try:
                os.write(1, b'{"step": "saved"}\\n')
            except BrokenPipeError:
                pass
        sys.exit(143)
"""


@dataclasses.dataclass(frozen=True)
class StandIn(Launch):
    """A launch whose trainer is a script."""

    script: str = ""

    def command(self) -> list[str]:
        own = super().command()
        return [*own[: own.index("trainer.run") - 1], self.script, *self.arguments]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    (tmp_path / "stand_in.py").write_text(STAND_IN)

    def use(processes: int) -> None:
        launch = StandIn((str(tmp_path),), processes=processes, script=str(tmp_path / "stand_in.py"))
        monkeypatch.setattr(training, "plan_launch", lambda root, **_: launch)

    return use


def on_first_step(number: int, lines: list[Any]) -> Callable[[dict[str, Any]], None]:
    """Remembers the lines, and sends this process a signal with the first one."""

    def on_step(line: dict[str, Any]) -> None:
        lines.append(line["step"])
        if len(lines) == 1:
            os.kill(os.getpid(), number)

    return on_step


@pytest.mark.parametrize("processes", [1, 2])
def test_sigterm_reaches_every_rank_once_and_is_waited_for(
    tmp_path: Path, stand_in: Callable[[int], None], processes: int
) -> None:
    stand_in(processes)
    before, lines = signal.getsignal(signal.SIGTERM), []
    with pytest.raises(Terminated, match="SIGTERM; the same command continues") as end:
        run_trainer(str(tmp_path), on_step=on_first_step(signal.SIGTERM, lines))
    assert end.value.exit_code == 143
    assert lines[-1] == "saved"
    for rank in range(processes):
        assert (tmp_path / f"came-{rank}").read_text() == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_handed_on_once_as_what_makes_it_save(
    tmp_path: Path, stand_in: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """The trainer is in a group of its own: what a terminal sends to ours does not reach it a second time."""
    stand_in(1)
    lines: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        run_trainer(str(tmp_path), on_step=on_first_step(signal.SIGINT, lines))
    assert lines[-1] == "saved"
    assert (tmp_path / "came-0").read_text() == "SIGTERM"
    pid, group = (tmp_path / "group-0").read_text().split()
    assert pid == group
    assert "once more to stop at once" in capfd.readouterr().err


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, stand_in: Callable[[int], None]) -> None:
    stand_in(1)
    lines: list[Any] = []

    def on_step(line: dict[str, Any]) -> None:
        lines.append(line["step"])
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_trainer(str(tmp_path), on_step=on_step)
    assert "saved" not in lines
    assert not (tmp_path / "came-0").exists()


def test_its_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = make_stage([make_source("web", 8)], [Fraction(1)])
    (tmp_path / "plan.json").write_text(
        Plan("test", "1", 0, "m", "l", {}, {}, {}, (stage,)).to_json().replace("stages", "stagse")
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(TrainingError, match="ended with exit code 1; its message stands above"):
        run_trainer(str(tmp_path), on_step=print)
    assert capfd.readouterr().err


def test_nothing_is_started_on_other_machines(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text("[parallel]\nnodes = 2\nprocesses_per_node = 8\n")
    with pytest.raises(TrainingError, match=r"2 nodes.*tokenloom train .* --print"):
        run_trainer(str(tmp_path), on_step=print, site=str(site))
    site.write_text("[parallel]\nnodes = 2\n")
    with pytest.raises(LaunchError):
        run_trainer(str(tmp_path), on_step=print, site=str(site))
