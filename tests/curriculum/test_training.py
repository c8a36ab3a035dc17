"""The trainer as a process of its own; what it learns is tested with it, in tests/trainer."""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.plan import Plan
from curriculum.training import TrainingError, run_trainer
from tests.plans import make_source, make_stage


def test_the_site_file_reaches_the_trainer_and_its_end_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = make_stage([make_source("web", 8)], [Fraction(1)])
    (tmp_path / "plan.json").write_text(Plan("test", "1", 0, "m", "l", {}, {}, {}, (stage,)).to_json())
    site = tmp_path / "site.toml"
    site.write_text("[cache]\nsize = 8\n")
    with pytest.raises(TrainingError, match="ended with exit code 1; its message stands above"):
        run_trainer(str(tmp_path), on_step=print, site=str(site))
    assert capfd.readouterr().err.startswith(f"{site}: [cache] size = 8")
