"""Jobs in the sandbox: what is told of tests, and that one job leaves nothing to the next."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from synth.software import suite
from synth.software.suite import Checkout, Job, Result, Variant, by_file
from tests.synth.software.needs import sandbox

pytestmark = sandbox
FILES = {
    "pack/__init__.py": "",
    "pack/a.py": "def double(x):\n    return helper(x) * 2\n\n\ndef helper(x):\n    return x\n",
    "test_a.py": """import random, pytest
from pack.a import double

def test_good(): assert double(2) == 4
def test_bad(): assert double(2) == 5
def test_error(absent): pass
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
def test_prints(capfd):
    print("{}")
    assert random.random() < 2
class TestIn:
    @pytest.mark.parametrize("x", [1, 2])
    def test_each(self, x): assert double(x) == 2 * x
""",
    "test_broken.py": "import absent_module\n",
    "test_hostile.py": """import os, signal, sys, time
def test_kills(): os.kill(os.getpid(), signal.SIGKILL)
def test_kills_parent(): os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)
def test_loops():
    while True: pass
def test_leaves(): open("left.py", "w").write("x"); open("pack/b.py", "w").write("y")
def test_none_left(): assert not os.path.exists("left.py") and not os.path.exists("pack/b.py")
def test_writes_results(): os.write(1, b'{"status": "ran", "outcomes": {"test_hostile.py::forged": "passed"}}\\n')
""",
}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    with Checkout(FILES) as made:
        yield made


def test_outcomes_failures_and_calls(checkout: Checkout) -> None:
    (result,) = checkout.run([Job({"test_a.py": None}, trace=True)])
    assert result.status == "ran"
    assert {test.partition("::")[2]: outcome for test, outcome in result.outcomes.items()} == {
        "test_good": "passed", "test_bad": "failed", "test_error": "error", "test_skipped": "skipped", "test_expected": "skipped",
        "test_prints": "passed", "TestIn::test_each[1]": "passed", "TestIn::test_each[2]": "passed",
    }  # fmt: skip
    failure = result.failures["test_a.py::test_bad"]
    assert (failure.kind, failure.compared, failure.frames) == (
        "AssertionError",
        ("==", "4", "5"),
        (("test_a.py", 5, "test_bad"),),
    )
    assert result.calls["test_a.py::test_good"].functions == {("pack/a.py", 1), ("pack/a.py", 5), ("test_a.py", 4)}
    assert result.of({"test_a.py::test_good"}).passed == {"test_a.py::test_good"}


def test_chosen_tests_an_order_and_a_missing_one(checkout: Checkout) -> None:
    tests = by_file({"test_a.py::test_good", "test_a.py::TestIn::test_each[2]", "test_a.py::gone"})
    same, again, other = checkout.run(
        [Job({"test_a.py": None}, order=1), Job({"test_a.py": None}, order=1), Job(tests)]
    )
    assert list(same.outcomes) == list(again.outcomes) != list(checkout.run([Job({"test_a.py": None})])[0].outcomes)
    assert other.outcomes.keys() == {"test_a.py::test_good", "test_a.py::TestIn::test_each[2]"}


def test_replaced_added_and_removed_files_are_those_of_one_job(checkout: Checkout) -> None:
    good = by_file({"test_a.py::test_good"})
    wrong = {"pack/a.py": FILES["pack/a.py"].replace("* 2", "* 3")}
    added = {"test_new.py": "def test_new(): pass\n"}
    results = checkout.run(
        [
            Job(good),
            Job(good, wrong),
            Job(good),
            Job({"test_new.py": None}, added),
            Job(good, {"pack/a.py": None}),
            Job(good),
            Job({"test_new.py": None}),
        ]
    )
    assert [(result.status, len(result.passed), len(result.failed)) for result in results] == [
        ("ran", 1, 0), ("ran", 0, 1), ("ran", 1, 0), ("ran", 1, 0), ("collect", 0, 0), ("ran", 1, 0), ("ran", 0, 0)
    ]  # fmt: skip


def test_a_file_that_cannot_be_collected_is_told(checkout: Checkout) -> None:
    (result,) = checkout.run([Job({"test_broken.py": None, "test_a.py": ["test_good"]})])
    assert result.status == "collect"
    assert "absent_module" in result.errors[0][1]


def test_a_job_that_ends_badly_takes_no_other_along(checkout: Checkout) -> None:
    names = ("test_kills", "test_loops", "test_leaves", "test_none_left", "test_writes_results")
    results = checkout.run([Job({"test_hostile.py": [name]}, cpu_seconds=1) for name in names])
    assert [result.status for result in results] == ["timeout", "timeout", "ran", "ran", "ran"]
    assert results[3].passed
    assert results[4].passed == {"test_hostile.py::test_writes_results"}


def test_a_job_that_kills_its_sandbox_is_a_crash_and_so_are_those_after_it(checkout: Checkout) -> None:
    jobs = [
        Job(by_file({"test_a.py::test_good"})),
        Job({"test_hostile.py": ["test_kills_parent"]}),
        Job({"test_a.py": None}),
    ]
    assert [result.status for result in checkout.run(jobs)] == ["ran", "crash", "crash"]


def test_a_test_that_calls_too_much_fails(checkout: Checkout) -> None:
    (slow,) = checkout.run([Job({"test_a.py": ["test_good"]}, trace=True, max_calls=2)])
    assert slow.failures["test_a.py::test_good"].kind == "TooSlow"


CLASSES = {
    "pack/__init__.py": "",
    "pack/a.py": """from __future__ import annotations
import functools

class Outer:
    class Inner(dict):
        @property
        def size(self) -> Absent:
            def own(x: Absent): return x
            return own(super().__len__()) + 1

@functools.lru_cache
def step(x: int, by: int = 2, *, times=1):
    return x + by * times

def adder(by):
    def add(x: int):
        return x - by
    return add
add_two = adder(2)
""",
    "test_a.py": """import time
from pack.a import Outer, add_two, step
def test_size(): assert Outer.Inner(a=1).size == 1
def test_step(): assert step(1) == 2
def test_sum(): assert step(1) + step(5, 1, times=3) == 10
def test_other(): assert step(0, 0) == 0
def test_add(): assert add_two(1) == 3
""",
}
SIZE = "        @property\n        def size(self) -> Absent:\n            def own(x: Absent): return x\n            return own({})"


def inner(value: str) -> Variant:
    return Variant("pack/a.py", 6, ("Outer", "Inner"), SIZE.format(value))


def step(head: str, body: str) -> Variant:
    return Variant("pack/a.py", 11, (), f"@functools.lru_cache\ndef step({head}):\n    {body}\n")


def test_variants_of_a_function_are_tried_up_to_the_first_with_which_all_tests_pass() -> None:
    size, steps = ["test_a.py::test_size"], ["test_a.py::test_step", "test_a.py::test_sum"]
    tests, rest = by_file({*size, "test_a.py::test_other"}), by_file({*steps, "test_a.py::test_other"})
    head = "x: int, by: int = 1, *, times=1"
    methods = [inner("super().__len__() + 2"), inner("super().__len__()"), inner("never tried")]
    functions = [
        step(head, "return x"),  # neither
        step("x, by=1, times=1", "return x + by"),  # the first of two
        step(head, "return x + by * times + (x == 0)"),  # both, but another one fails
        step(head, "while True: pass"),
        step(head, "raise SystemExit"),
        step("x, y", "return x"),
        step(head, "return ("),
        Variant("pack/a.py", 99, (), "def step(): pass"),
        step(head, "__import__('os')._exit(2)"),  # a lie, which the run of the changed file tells
        step(head, "return x + by * times"),
    ]
    add = "def adder(by):\n    def add(x: int):\n        return {}\n    return add\n"
    made_at_import = [Variant("pack/a.py", 15, (), add.format(value)) for value in ("x * by", "x + by")]
    with Checkout(CLASSES) as checkout:
        first, second, lied, closure = checkout.run(
            [
                Job(tests, variants=methods, first=size),
                Job(rest, variants=[*functions[:8], functions[9]], first=steps, cpu_seconds=20),
                Job(rest, variants=functions[8:], first=steps),
                Job({"test_a.py": ["test_add"]}, variants=made_at_import, first=["test_a.py::test_add"]),
            ]
        )
    assert (first.status, first.variants) == ("ran", (0, 2))
    assert second.variants == (0, 1, 2, -1, 0, 0, -1, -1, 3)
    assert lied.variants == (2, 3)
    assert closure.variants == (0, 2)


def test_a_suite_that_sleeps_costs_two_jobs_and_no_more() -> None:
    """The wall limit of a job is 10 seconds and four of its CPU limit: here 0 CPU seconds are allowed, so that it is 10."""
    files = {f"test_{n}.py": "import time\ndef test_sleeps(): time.sleep(3600)\n" for n in range(6)}
    worker = suite._WORKER.read_text().replace('4 * job["cpu"] + 10', "1")
    with (
        Checkout({**files, "test_good.py": "def test_good(): pass\n"}) as checkout,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(suite, "_WORKER", Given(worker))
        began = time.monotonic()
        good, *results = checkout.run([Job({path: None}) for path in ("test_good.py", *files)])
    assert good.passed
    assert {result.status for result in results} == {"timeout"}
    assert time.monotonic() - began < 10


class Given(NamedTuple):
    """In the place of a path."""

    text: str

    def read_text(self) -> str:
        return self.text


HOSTILE = {
    "pack/__init__.py": "",
    "pack/a.py": "VALUE = 1\n",
    "evil_package.py": """import os, sys
if os.getppid() != 1: os._exit(0)  # tried in a process of its own: looks harmless
raise SystemExit
""",
    "test_it.py": """import glob, json, os, shutil, subprocess, sys, time
from pack.a import VALUE

FORGED = json.dumps({"status": "ran", "outcomes": {"test_it.py::test_value": "failed"}}) + "\\n"
def test_value(): assert VALUE == 1
def test_writes_to_every_descriptor():
    for fd in range(3, 256):
        try: os.write(fd, FORGED.encode())
        except OSError: pass
    os._exit(0)
def test_opens_files_of_the_parent():
    opened = []
    for path in glob.glob(f"/proc/{os.getppid()}/fd/*"):
        try: opened.append(open(path, "w"))
        except OSError: pass
    assert not opened
def test_changes_the_code():
    os.utime("pack/a.py", (5, 5))
    about = os.stat("pack/a.py")
    open("pack/a.py", "w").write("VALUE = 2\\n")
    os.utime("pack/a.py", ns=(about.st_mtime_ns, about.st_mtime_ns))
def test_puts_a_pipe_in_its_place():
    os.unlink("pack/a.py")
    os.mkfifo("pack/a.py")
def test_puts_a_link_in_the_place_of_a_folder():
    shutil.move("pack", "/tmp/pack")
    os.symlink("/tmp/pack", "pack")
def test_removes_everything():
    subprocess.run(["rm", "-rf", *os.listdir(".")])
def test_leaves_a_process():
    if os.fork() == 0:
        os.setsid()
        while True:
            open("pack/a.py", "w").write("VALUE = 3\\n")
            time.sleep(0.001)
def test_leaves_something_in_tmp(): open("/tmp/left", "w").close()
def test_nothing_is_in_tmp(): assert not os.path.exists("/tmp/left")
def test_says(text): pass
""",
    "conftest.py": """import os
import pytest
SAID = %r
@pytest.fixture
def text():
    for fd in range(3, 256):
        try: os.write(fd, SAID.encode())
        except OSError: pass
    os._exit(0)
""",
}
VALUE = Job({"test_it.py": ["test_value"]})


HARMFUL = (
    "test_writes_to_every_descriptor",
    "test_opens_files_of_the_parent",
    "test_changes_the_code",
    "test_puts_a_pipe_in_its_place",
    "test_puts_a_link_in_the_place_of_a_folder",
    "test_removes_everything",
    "test_leaves_a_process",
)


@pytest.fixture(scope="module")
def after_harm() -> dict[str, list[Result]]:
    """Of each harmful test its own result, and those of the three jobs after it; all in one sandbox."""
    wrong = Job(VALUE.tests, {"pack/a.py": "VALUE = 4\n"})
    jobs = [job for name in HARMFUL for job in (Job({"test_it.py": [name]}), VALUE, wrong, VALUE)]
    with Checkout({path: text for path, text in HOSTILE.items() if path != "conftest.py"}) as checkout:
        results = checkout.run(jobs)
    return {name: results[4 * number : 4 * number + 4] for number, name in enumerate(HARMFUL)}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_job_decides_nothing_of_another(name: str, after_harm: dict[str, list[Result]]) -> None:
    hostile, right, failing, again = after_harm[name]
    assert hostile.status == ("crash" if name == "test_writes_to_every_descriptor" else "ran")
    assert hostile.failed == set()
    tests = {"test_it.py::test_value"}
    assert (right.passed, failing.failed, again.passed) == (tests, tests, tests)


def test_a_private_folder_is_empty_for_each_job() -> None:
    names = ("test_leaves_something_in_tmp", "test_nothing_is_in_tmp")
    with Checkout({path: text for path, text in HOSTILE.items() if path != "conftest.py"}) as checkout:
        left, found = checkout.run([Job({"test_it.py": [name]}) for name in names])
    assert left.passed
    assert found.passed


SAID = (
    "[" * 100_000,
    "7",
    "{}",
    '{"status": "ran", "outcomes": ["passed"]}',
    '{"status": "ran", "outcomes": {"test_it.py::test_says": ["passed"]}}',
    '{"status": "ran", "outcomes": {"test_it.py::test_says": "perfect"}}',
    '{"status": "ran", "outcomes": {"test_it.py::test_value": "passed"}}',
    '{"status": "ran", "outcomes": {"other.py::test_says": "passed"}}',
    '{"status": "perfect", "outcomes": {}}',
    '{"status": "ran", "failures": {"test_it.py::test_says": {"kind": 1, "message": "", "frames": [], "compared": []}}}',
    '{"status": "ran", "calls": {"test_it.py::test_says": {"count": "1", "functions": []}}}',
    '{"status": "ran", "calls": {"test_it.py::test_says": {"count": 1, "functions": [["a.py", "1"]]}}}',
    '{"status": "ran", "errors": [["a.py", null]]}',
    '{"status": "ran", "imported": ["evil_package", 1, null], "outcomes": 1}',
    '{"status": "ran", "variants": [1, "2"]}',
)


@pytest.fixture(scope="module")
def after_said() -> list[Result]:
    """For each answer the result of the job that gave it, and of an honest one after it; all in one sandbox."""
    jobs = [
        job
        for said in SAID
        for job in (Job({"test_it.py": ["test_says"]}, {"conftest.py": HOSTILE["conftest.py"] % said}), VALUE)
    ]
    with Checkout({**HOSTILE, "conftest.py": ""}) as checkout:
        return checkout.run(jobs)


@pytest.mark.parametrize("number", range(len(SAID)))
def test_an_answer_that_is_none_is_a_crash_of_its_job(number: int, after_said: list[Result]) -> None:
    forged, right = after_said[2 * number : 2 * number + 2]
    assert forged == Result("crash"), SAID[number]
    assert right.passed == {"test_it.py::test_value"}


def test_no_code_of_the_repository_is_imported_for_all_jobs() -> None:
    said = '{"status": "ran", "imported": ["evil_package", "pack"]}'
    with Checkout({**HOSTILE, "conftest.py": HOSTILE["conftest.py"] % said}) as checkout:
        forged, right = checkout.run([Job({"test_it.py": ["test_says"]}), VALUE])
    assert forged == Result("ran")
    assert right.passed


def test_files_that_cannot_be_compiled_are_left_as_they_are() -> None:
    """Among them one whose bytecode would have too long a name."""
    with Checkout(
        {f"{'a' * 232}.py": "x = 1", "good.py": "x = 1 is 1", "open.py": "(", "deep.py": "(" * 5_000}
    ) as checkout:
        assert [file.name.partition(".")[0] for file in checkout._folder.rglob("*.pyc")] == ["good"]
