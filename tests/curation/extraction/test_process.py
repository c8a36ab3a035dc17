"""Whatever a page does to the process it is read in, it costs one record; and the process never outlives its worker."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curation.extraction import process as extraction_process
from curation.extraction.exchange import CRASHED, FAILED, TIMEOUT, Page, Settings
from curation.extraction.process import PageProcess
from curation.steps import StepError

SENTENCE = "A sentence that belongs to the text of this page, with a comma. " * 5
# A page that holds one of the words does that to the process. Where it does not say so, in C and out of reach of Python.
HOSTILE = """
import ctypes, os, pathlib, signal, sys, time
from curation.extraction import engines, serve

load, link, kept = engines.load, int(sys.argv[1]), []

def killed(number, times=1):
    # From outside, the first times; a file counts.
    count = pathlib.Path(__file__).with_name("killed")
    seen = int(count.read_text()) if count.exists() else 0
    count.write_text(str(seen + 1))
    if seen < times:
        os.kill(os.getpid(), number)
        time.sleep(1_000)

def refuse():
    raise ValueError(kept)

def refuse_later():
    kept.append(1)
    if len(kept) > 1:
        refuse()

DEEDS = {
    "SEGFAULT": lambda: ctypes.string_at(0),
    "ABORT": os.abort,
    "ERROR": lambda: {}["missing"],
    "EXIT": lambda: os._exit(0),
    "MEMORY": lambda: bytearray(200 * 2**20),
    "LOOP": lambda: sum(range(10**13)),
    "HANG": lambda: time.sleep(1_000),
    "SPEAK": lambda: (print("x" * 100_000), os.write(1, b"y" * 100_000)),
    "NAP": lambda: time.sleep(0.5),
    "GARBAGE": lambda: os.write(link, b"no message, but longer than eight bytes"),
    "REFUSE": refuse,
    "WORN": refuse_later,
    "OUTSIDE": lambda: killed(signal.SIGKILL),
    "ENDED": lambda: killed(signal.SIGTERM, 2),
    "PERSECUTED": lambda: killed(signal.SIGKILL, 1_000),
    "SURROGATE": lambda: None,
}

def hostile(engine, **options):
    main_text = load(engine, **options)
    def look(page, max_elements):
        serve._WALL_SECONDS, serve._WALL_PER_CPU = float(os.environ.get("WALL", 3)), 0.0  # of the next page
        for word, deed in DEEDS.items():
            if word in page:
                deed()
        found = main_text(page, max_elements)
        return found._replace(facts={"title": chr(0xD800)}) if "SURROGATE" in page else found
    return look

engines.load = hostile
if "KILLED" in os.environ:
    killed(signal.SIGKILL, int(os.environ["KILLED"]))
if "UNSOUND" in os.environ:
    engines.load = lambda engine, **options: lambda page, max_elements: DEEDS[os.environ["UNSOUND"]]()
serve.main()
"""
SETTINGS = Settings(max_seconds=0.4, max_memory_mb=100)


def page(word: str) -> bytes:
    return f"<html><head></head><body><article><p>{SENTENCE}</p><p>{word}</p></article></body></html>".encode()


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageProcess]:
    """A process in which pages do what they say."""
    (tmp_path / "hostile_child.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extraction_process, "MODULE", "hostile_child")
    pages = PageProcess()
    yield pages
    pages.close()


def wait_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def runs(pid: int) -> bool:
    """Whether there is such a process that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("SEGFAULT", CRASHED),
        ("ABORT", CRASHED),
        ("ERROR", CRASHED),
        ("EXIT", CRASHED),
        ("MEMORY", CRASHED),
        ("GARBAGE", CRASHED),
        ("SURROGATE", CRASHED),
        ("LOOP", TIMEOUT),
        ("HANG", TIMEOUT),
    ],
)
def test_a_page_that_ends_the_process_costs_itself(hostile: PageProcess, word: str, reason: str) -> None:
    assert hostile.extract(SETTINGS, page(word)) == Page(reason=reason)
    assert hostile.pid is None
    assert hostile.extract(SETTINGS, page("the end")).text == f"{SENTENCE.strip()}\nthe end"


def test_a_page_is_judged_by_a_process_that_has_seen_no_other(hostile: PageProcess) -> None:
    """What the process has become by earlier pages drops none; a page that is to blame is asked twice, and no more."""
    assert hostile.extract(SETTINGS, page("WORN")).reason is None
    first = hostile.pid
    assert hostile.extract(SETTINGS, page("WORN")).reason is None
    assert hostile.pid not in (None, first)
    assert hostile.extract(SETTINGS, page("REFUSE")).reason == FAILED
    assert hostile.extract(SETTINGS, page("")).reason is None


def test_no_limits(hostile: PageProcess) -> None:
    assert hostile.extract(Settings(max_seconds=0, max_memory_mb=0), page("MEMORY")).reason is None


def test_limits_hold_whatever_the_worker_does_with_their_signals(hostile: PageProcess) -> None:
    numbers = [signal.SIGPROF, signal.SIGALRM]
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        assert hostile.extract(SETTINGS, page("LOOP")).reason == TIMEOUT
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_no_time_runs_out_between_pages(hostile: PageProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALL", "1.0")
    for word in ("one", "two"):
        assert hostile.extract(SETTINGS, page(word)).reason is None
    pid = hostile.pid
    time.sleep(1.3)
    assert hostile.extract(SETTINGS, page("three")).reason is None
    assert hostile.pid == pid


def test_what_libraries_print_stays_out_of_the_answers(hostile: PageProcess) -> None:
    assert hostile.extract(SETTINGS, page("SPEAK")).text.endswith("SPEAK")
    pid = hostile.pid
    assert hostile.extract(SETTINGS, page("next")).text.endswith("next")
    assert hostile.pid == pid


def test_killed_while_it_waits_or_works_costs_no_page(hostile: PageProcess) -> None:
    assert hostile.extract(SETTINGS, page("one")).reason is None
    pid = hostile.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert hostile.extract(SETTINGS, page("two")).text.endswith("two")
    second = hostile.pid
    assert second not in (None, pid)
    killer = threading.Timer(0.2, os.kill, (second, signal.SIGKILL))
    killer.start()
    assert hostile.extract(SETTINGS, page("NAP")).text.endswith("NAP")
    assert hostile.pid not in (None, second)


@pytest.mark.parametrize("word", ["OUTSIDE", "ENDED"])
def test_killed_at_its_first_page_costs_no_page(hostile: PageProcess, word: str) -> None:
    assert hostile.extract(SETTINGS, page(word)).text.endswith(word)


def test_a_page_at_which_every_process_is_killed_costs_itself(hostile: PageProcess, tmp_path: Path) -> None:
    """It may be what the machine's memory runs out for."""
    assert hostile.extract(SETTINGS, page("PERSECUTED")) == Page(reason=CRASHED)
    assert (tmp_path / "killed").read_text() == "3"
    assert hostile.extract(SETTINGS, page("next")).reason is None


def test_killed_while_it_starts(hostile: PageProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILLED", "2")
    assert hostile.extract(SETTINGS, page("one")).reason is None
    hostile.close()
    monkeypatch.setenv("KILLED", "1000")
    with pytest.raises(
        StepError, match=r"^the process of engine trafilatura was killed 3 times while it started.*fewer --cpus$"
    ):
        hostile.extract(SETTINGS, page("two"))
    assert (hostile.pid, (tmp_path / "killed").read_text()) == (None, "6")


def test_interrupted_between_a_page_and_its_answer(hostile: PageProcess) -> None:
    """Ctrl-C goes on, and no answer is taken for another page's."""
    patient = Settings(max_seconds=60)
    assert hostile.extract(patient, page("one")).reason is None
    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            hostile.extract(patient, page("LOOP"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert hostile.extract(patient, page("two")).text.endswith("two")


def test_ctrl_c_is_for_the_worker(hostile: PageProcess) -> None:
    assert hostile.extract(SETTINGS, page("one")).reason is None
    pid = hostile.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    assert hostile.extract(SETTINGS, page("two")).reason is None
    assert hostile.pid == pid


def test_threads_take_turns(hostile: PageProcess) -> None:
    texts: dict[int, str] = {}

    def work(start: int) -> None:
        for number in range(start, 60, 3):
            texts[number] = hostile.extract(SETTINGS, page(f"number {number}")).text

    threads = [threading.Thread(target=work, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [texts[number].rpartition(" ")[2] for number in range(60)] == [str(number) for number in range(60)]


def test_a_fork_has_a_process_of_its_own() -> None:
    pages = extraction_process.PROCESS
    pages.extract(SETTINGS, page("one"))
    pid = pages.pid
    reader, writer = os.pipe()
    fork = os.fork()
    if not fork:
        text = pages.extract(SETTINGS, page("two")).text
        os.write(writer, f"{pages.pid != pid} {text[-3:]}".encode())
        pages.close()
        os._exit(0)
    os.waitpid(fork, 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.read() == "True two"
    assert pages.extract(SETTINGS, page("one")).text.endswith("one")
    assert pages.pid == pid


WORKER = """
import sys
from curation.extraction import process
process.MODULE = "hostile_child"
settings = process.Settings(max_seconds=1.0)
page = b"<html><body><p>" + b"Words, and more of them. " * 20
assert process.PROCESS.extract(settings, page).reason is None
assert not {"lxml", "trafilatura", "resiliparse"} & set(sys.modules)
print(process.PROCESS.pid, flush=True)
WHAT
"""


@pytest.mark.parametrize(
    "what",
    [
        "sys.stdin.read()",
        "process.PROCESS.extract(settings, page + b'LOOP')",
        "process.PROCESS.extract(settings, page + b'HANG')",
    ],
)
def test_a_killed_worker_leaves_nothing_behind(hostile: PageProcess, what: str) -> None:
    """While the process waits, while it works in C, and while it hangs. It is found from another folder."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER.replace("WHAT", what)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    assert runs(pid)
    worker.kill()
    worker.communicate()
    assert wait_until(lambda: not runs(pid))


def test_a_worker_that_ends_takes_its_process_along(hostile: PageProcess) -> None:
    worker = [sys.executable, "-c", WORKER.replace("WHAT", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert not runs(int(subprocess.run(worker, env=env, stdout=subprocess.PIPE, check=True).stdout))


@pytest.mark.parametrize(
    ("engine", "library"), [("trafilatura", "trafilatura"), ("fast", "resiliparse"), ("fast", "lxml")]
)
def test_a_missing_library_is_named_and_drops_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, library: str
) -> None:
    pytest.importorskip("resiliparse")
    message = f"No module named {library!r}"
    (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError({message!r}, name={library!r})")
    monkeypatch.syspath_prepend(tmp_path)
    pages = PageProcess()
    other = ", or use trafilatura" if library == "resiliparse" else ""
    wanted = rf"^engine: {engine} cannot be loaded \(No module named '{library}'\): pip install {library}{other}$"
    for _ in range(2):
        with pytest.raises(StepError, match=wanted):
            pages.extract(Settings(engine), page(""))
    pages.close()


@pytest.mark.parametrize("how", ["ERROR", "SEGFAULT", "REFUSE"])
def test_an_engine_that_fails_on_an_ordinary_page_drops_none(
    hostile: PageProcess, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("UNSOUND", how)
    with pytest.raises(StepError, match=r"fails on an ordinary page \(extract\.\w+\).*Try: .*-c 'import trafilatura"):
        hostile.extract(SETTINGS, page(""))
    assert hostile.pid is None


def test_a_process_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction_process, "MODULE", "no.such.module")
    with pytest.raises(StepError, match=r"^engine trafilatura fails on an ordinary page .*No module named 'no'"):
        PageProcess().extract(SETTINGS, page(""))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(StepError, match=r"^no process for pages can be started .*/no/such/python.*ulimit -a"):
        PageProcess().extract(SETTINGS, page(""))
