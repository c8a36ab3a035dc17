"""Each verdict of a mutant, and a case that fails it."""

from collections.abc import Iterator

import pytest

from synth.software import validate
from synth.software.mutate import Site
from synth.software.suite import Checkout
from synth.software.tree import Repository
from synth.software.validate import Baseline, Mutant
from tests.synth.software.needs import sandbox

pytestmark = sandbox
SOURCE = "def f(x):\n    return x + 1\n\n\ndef g(x):\n    return f(x) * 2\n\n\ndef unused():\n    return 1\n"
FILES = {
    "p/__init__.py": "",
    "p/a.py": SOURCE,
    "test_a.py": """import os, random
from p.a import f, g
def test_f(): assert f(1) == 2
def test_g(): assert g(1) == 4
def test_zero(): assert g(-1) == 0
def test_type(): assert isinstance(g(1), int)
def test_other(): pass
def test_seed(): assert hash("a") % 3 or os.environ["PYTHONHASHSEED"] == "0"
def test_order():
    global was
    assert random.Random(os.environ["PYTHONHASHSEED"]).random() < 2
    assert os.environ["PYTHONHASHSEED"] != "1"
def test_slow():
    for _ in range(30000): f(1)
def test_fails(): assert False
""",
}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    with Checkout(FILES) as made:
        yield made


@pytest.fixture(scope="module")
def found(checkout: Checkout) -> Baseline:
    return validate.baseline(checkout, Repository("p", "1", FILES, {}), seed=0, max_files=5)


def verdicts(checkout: Checkout, found: Baseline, old: str, new: str, first_line: int = 1) -> dict[str, bool]:
    site = Site("x", "f", first_line, 2, 0, 0, old, new)
    mutant = Mutant("p/a.py", (site,), SOURCE.replace(old, new))
    (checked,) = validate.check(checkout, found, [mutant], seed=0, max_tests=20)
    return {name: verdict["passed"] for name, verdict in checked.verdicts.items()}


def test_only_tests_that_pass_in_every_run_and_are_quick_count(found: Baseline) -> None:
    names = {test.partition("::")[2] for test in found.calls}
    assert names >= {"test_f", "test_g", "test_zero", "test_type", "test_other"}
    assert not names & {"test_order", "test_slow", "test_fails"}
    assert (found.num_slow, found.num_unstable >= 1) == (1, True)
    assert found.callers(("p/a.py", 5)) == [f"test_a.py::{name}" for name in ("test_g", "test_type", "test_zero")]


def test_a_bug_that_few_tests_notice_passes_everything(checkout: Checkout, found: Baseline) -> None:
    assert verdicts(checkout, found, "f(x) * 2", "f(x) * 2 + (x == -1)", 5) == dict.fromkeys(
        ("baseline_stable", "collects", "fails_before", "few_fail", "not_flaky", "passes_after"), True
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("x + 1", "x + 1 + 0", "fails_before"),
        ("def g", "def h", "collects"),
        ("x + 1", "[x for _ in iter(int, 1)]", "collects"),
        ("x + 1", "None", "few_fail"),
        ("x + 1", "x + 1 + (x == -1) * (__import__('os').environ['PYTHONHASHSEED'] == '0')", "not_flaky"),
        ("x + 1", "x + 1 + (x == -1) * (__import__('os').environ['PYTHONHASHSEED'] != '2')", "not_flaky"),
    ],
)
def test_a_mutant_that_is_dropped(
    checkout: Checkout, found: Baseline, old: str, new: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "JOB_CPU_SECONDS", 1)
    told = verdicts(checkout, found, old, new)
    assert [name for name, passed in told.items() if not passed][:1] == [reason]


def test_a_gold_patch_after_which_a_test_fails_is_no_gold_patch(
    checkout: Checkout, found: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "_repaired", lambda files, mutant: {"p/a.py": SOURCE.replace("* 2", "* 3")})
    assert verdicts(checkout, found, "f(x) * 2", "f(x) * 2 + (x == -1)", 5)["passes_after"] is False
