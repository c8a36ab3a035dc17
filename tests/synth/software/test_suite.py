"""Jobs in the sandbox: what is told of tests, and that one job leaves nothing to the next."""

from collections.abc import Iterator

import pytest

from synth.software.suite import Checkout, Job, Result, by_file
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


def test_a_test_that_calls_too_much_fails_and_jobs_until_one_passes_are_tried_in_order(checkout: Checkout) -> None:
    (slow,) = checkout.run([Job({"test_a.py": ["test_good"]}, trace=True, max_calls=2)])
    assert slow.failures["test_a.py::test_good"].kind == "TooSlow"
    tests = [["test_bad"], ["test_good"], ["test_good"]]
    tried = checkout.run([Job({"test_a.py": names}, until="x", stop=True) for names in tests])
    assert [result.status for result in tried] == ["ran", "ran", "untried"]
    assert tried[2] == Result("untried")


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


@pytest.mark.parametrize(
    "name",
    [
        "test_writes_to_every_descriptor",
        "test_opens_files_of_the_parent",
        "test_changes_the_code",
        "test_puts_a_pipe_in_its_place",
        "test_puts_a_link_in_the_place_of_a_folder",
        "test_removes_everything",
        "test_leaves_a_process",
    ],
)
def test_a_job_decides_nothing_of_another(name: str) -> None:
    wrong = Job(VALUE.tests, {"pack/a.py": "VALUE = 4\n"})
    with Checkout({path: text for path, text in HOSTILE.items() if path != "conftest.py"}) as checkout:
        hostile, right, failing, again = checkout.run([Job({"test_it.py": [name]}), VALUE, wrong, VALUE])
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


@pytest.mark.parametrize(
    "said",
    [
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
    ],
)
def test_an_answer_that_is_none_is_a_crash_of_its_job(said: str) -> None:
    with Checkout({**HOSTILE, "conftest.py": HOSTILE["conftest.py"] % said}) as checkout:
        forged, right = checkout.run([Job({"test_it.py": ["test_says"]}), VALUE])
    assert forged == Result("crash")
    assert right.passed == {"test_it.py::test_value"}


def test_no_code_of_the_repository_is_imported_for_all_jobs() -> None:
    said = '{"status": "ran", "imported": ["evil_package", "pack"]}'
    with Checkout({**HOSTILE, "conftest.py": HOSTILE["conftest.py"] % said}) as checkout:
        forged, right = checkout.run([Job({"test_it.py": ["test_says"]}), VALUE])
    assert forged == Result("ran")
    assert right.passed
