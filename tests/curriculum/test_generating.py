"""Corpora that a generator makes with a teacher, or so many documents of: the number, the keys, and what a second run costs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.steps import Step
from curriculum.curating import curate_files
from curriculum.document import ManifestError
from curriculum.segment import BuildError
from datapipe.engine import Engine, InProcess, RayData
from synth import GENERATORS
from synth.review.log import Log
from tests.synth.chat_server import Reply, serving

ROOT = Path(__file__).resolve().parents[2]
STEP = Step("corpus", "tests.curriculum.asking_generator:ASKING", 1)
SCRIPTED = {"backend": "scripted", "function": "tests.synth.teacher.scripts:is_good"}
NUMBER = 80  # of documents, of which three of four are good


@pytest.fixture(autouse=True)
def asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GENERATORS, "asking", STEP)


def write(folder: Path, **source: Any) -> str:
    """The corpus file of `made`, which reads 80 short documents of `web` for five receivers."""
    (folder / "data").mkdir(exist_ok=True)
    rows = [json.dumps({"text": f"this is the text of {index}", "id": str(index)}) for index in range(NUMBER)]
    (folder / "data" / "web.jsonl").write_text("\n".join(rows))
    web = {"kind": "web", "source": {"reader": "jsonl", "paths": ["web.jsonl"], "id_key": "id"}}
    made = {"kind": "qa", "source": {"generator": "asking", "from": ["web"], "split_bytes": 400} | source}
    for name, corpus in (("web", web), ("made", made)):
        (folder / f"{name}.yaml").write_text(json.dumps(corpus))
    return str(folder / "made.yaml")


def run(folder: Path, file: str, engine: Engine | None = None, out: str = "out") -> dict[str, Any]:
    seen: list[str] = []
    curated = curate_files(
        [file],
        str(folder / out),
        str(folder / "data"),
        engine or InProcess(),
        lambda job, phase, *_: seen.append(phase),
    )
    return {**curated["corpora"]["made"], "phases": list(dict.fromkeys(filter(None, seen)))}


def kept(folder: Path, corpus: dict[str, Any], out: str = "out") -> list[str]:
    tables = pa.concat_tables(pq.read_table(folder / out / part) for part in corpus["parts"])
    return sorted(tables["text"].to_pylist())


@pytest.mark.parametrize("teacher", [None, SCRIPTED])
def test_exactly_so_many_are_accepted(tmp_path: Path, teacher: dict[str, Any] | None) -> None:
    asked = {"teacher": teacher} if teacher else {}
    for accept in (1, 7, 41, 58):
        corpus = run(tmp_path, write(tmp_path, accept=accept, **asked), out=f"out{accept}")
        found = kept(tmp_path, corpus, f"out{accept}")
        assert len(set(found)) == accept
        assert all(int(text.rpartition(" ")[2]) % 4 for text in found)
        assert corpus["steps"][0]["about"]["wanted"] == accept
        assert corpus["steps"][0]["documents_out"] == accept
        assert set(corpus["steps"][0]["reasons"]) <= {"synth.bad"}


def test_where_there_are_not_so_many_it_is_all_of_them(tmp_path: Path) -> None:
    corpus = run(tmp_path, write(tmp_path, accept=1_000, teacher=SCRIPTED))
    assert len(kept(tmp_path, corpus)) == 60
    assert corpus["steps"][0]["about"]["wanted"] == 1_000
    assert corpus["steps"][0]["reasons"] == {"synth.bad": 20}
    assert corpus["steps"][0]["about"]["teacher"]["answers"] == NUMBER


def test_what_some_cannot_deliver_others_do(tmp_path: Path) -> None:
    corpus = run(tmp_path, write(tmp_path, accept=58, teacher=SCRIPTED))
    rounds = [phase for phase in corpus["phases"] if phase.startswith("generate (")]
    assert rounds
    assert all(phase.endswith("of 58)") for phase in rounds)


def test_the_rows_are_the_same_on_ray(tmp_path: Path, ray_engine: RayData) -> None:
    file = write(tmp_path, accept=41, teacher=SCRIPTED)
    first = run(tmp_path, file)
    second = run(tmp_path, file, ray_engine, "ray")
    assert {**first, "phases": 0} == {**second, "phases": 0}
    for part in first["parts"]:
        assert (tmp_path / "out" / part).read_bytes() == (tmp_path / "ray" / part).read_bytes()


def test_edits_redo_what_they_touch(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(lambda prompt, times: Reply("yes")) as server:
        teacher = {"base_url": server.base_url, "model": "m"}
        first = run(tmp_path, write(tmp_path, teacher=teacher, accept=20, log=str(log)))
        asked = len(server.requests)
        assert run(tmp_path, write(tmp_path, teacher={**teacher, "concurrency": 3}, accept=20, log=str(log))) == first
        assert len(server.requests) == asked < NUMBER
        more = run(tmp_path, write(tmp_path, teacher=teacher, accept=30, log=str(log)))
        assert len(server.requests) > asked  # only what is new
        assert set(kept(tmp_path, first)) < set(kept(tmp_path, more))
        other = run(tmp_path, write(tmp_path, teacher={**teacher, "model": "n"}, accept=20, log=str(log)))
        plain = run(tmp_path, write(tmp_path, log=str(log)))
        assert len({corpus["key"] for corpus in (first, more, other, plain)}) == 4
        assert len({json.dumps(request["messages"]) for request in server.requests if request["model"] == "m"}) == sum(
            request["model"] == "m" for request in server.requests
        )
        assert log.read_text().count("emit") == 1
        assert plain["steps"][0]["about"] == {}


def test_a_file_that_a_generator_reads_is_looked_for_in_the_data_and_decides(tmp_path: Path) -> None:
    log = tmp_path / "data" / "reviews.jsonl"
    write(tmp_path, accept=5)
    read = {"kind": "qa", "source": {"generator": "reviewed", "from": ["made"], "log": log.name}}
    file = tmp_path / "read.yaml"
    file.write_text(json.dumps(read))

    def ids() -> list[str]:
        told = curate_files([str(file)], str(tmp_path / "out"), str(tmp_path / "data"), InProcess(), lambda *_: None)
        (part,) = told["corpora"]["read"]["parts"]
        return pq.read_table(tmp_path / "out" / part)["id"].to_pylist()

    with pytest.raises(ManifestError, match=r"source\.log: \S*data/reviews\.jsonl: no such file"):
        ids()
    log.write_text("")
    before = ids()
    for rejected in (1, 2):
        Log(log).add("ada", before[rejected - 1], "reject", reason="unclear")
        assert ids() == before[rejected:]


def test_the_ledger_says_what_the_answers_cost_and_what_was_sent(tmp_path: Path) -> None:
    def reply(prompt: str, times: int) -> Reply:
        return Reply("yes") if times or int(prompt.rpartition(" ")[2]) % 8 else Reply(status=500)

    with serving(reply) as server:
        teacher = {"base_url": server.base_url, "model": "m", "price_out": 1e6, "concurrency": 80}
        corpus = run(tmp_path, write(tmp_path, teacher=teacher, split_bytes=10_000))
        told = {
            "answers": 80,
            "prompt_tokens": 80 * 5,
            "cached_tokens": 0,
            "completion_tokens": 800,
            "reasoning_tokens": 0,
        }
        about = corpus["steps"][0]["about"]["teacher"]
        assert {**about, "prompt_tokens": 400} == {"model": "m", **told, "cost": 800.0}
        (path,) = (tmp_path / "out" / "corpora" / "made").rglob("teacher.json")
        assert json.loads(path.read_text()) == {"requests": 90, "tries_lost.http_5xx": 10}
        step = next((tmp_path / "out" / "corpora" / "made").rglob("_step.json"))
        assert json.loads(step.read_text())["about"]["teacher"] == about


def test_a_budget_holds_over_all_workers(tmp_path: Path, ray_engine: RayData) -> None:
    """Two workers, ten tokens at 1 each per answer."""
    with serving(lambda prompt, times: Reply("yes", delay=0.02)) as server:
        teacher = {"base_url": server.base_url, "model": "m", "price_out": 1e6, "max_cost": 305}
        with pytest.raises(BuildError, match=r"^corpus made: asking: m: answers have cost \d+ of max_cost 305"):
            run(tmp_path, write(tmp_path, teacher=teacher), ray_engine)
        assert len(server.requests) <= 61  # five tokens each may be expected, as `max_tokens` says
        assert len({request["messages"][0]["content"] for request in server.requests}) == len(server.requests)


def test_a_teacher_that_is_wrong_is_told_with_the_corpus(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply(status=401)) as server:
        teacher = {"base_url": server.base_url, "model": "m"}
        with pytest.raises(BuildError, match=r"^corpus made: asking: .*HTTP 401"):
            run(tmp_path, write(tmp_path, teacher=teacher))


def test_more_than_was_asked_for_is_broken_code(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"asking was asked for \d+ documents and made"):
        run(tmp_path, write(tmp_path, accept=10, too_many=True))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"teacher": "glm"}, r"source\.teacher: is 'glm', no mapping\.\s+Write `teacher: \{base_url"),
        ({"teacher": {"model": "m"}}, r"teacher\.base_url is missing"),
        (
            {"teacher": {**SCRIPTED, "prompt": "knowledge"}},
            r"source\.teacher\.prompt: a generator has prompts of its own",
        ),
        ({"accept": -3}, r"source\.accept"),
        ({"accept": "many"}, r"source\.accept"),
        ({"generator": "qa", "accept": 3}, r"source\.accept: is not a parameter"),
        ({"generator": "qa", "teacher": SCRIPTED}, r"source\.teacher: is not a parameter"),
    ],
)
def test_mistakes_are_told_with_the_manifest(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        run(tmp_path, write(tmp_path, **wrong))


CHILD = """
import sys
from pathlib import Path
from synth import GENERATORS
from tests.curriculum.test_generating import STEP, run
GENERATORS["asking"] = STEP
run(Path(sys.argv[1]), sys.argv[2])
"""


def test_killed_at_half_and_again_costs_one_pass_in_all(tmp_path: Path) -> None:
    with serving(lambda prompt, times: Reply("yes", delay=0.02)) as server:
        file = write(tmp_path, teacher={"base_url": server.base_url, "model": "m", "concurrency": 4})
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), file], cwd=ROOT)
        deadline = time.monotonic() + 60
        while len(server.requests) < NUMBER // 2 and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert NUMBER // 2 <= len(server.requests) < NUMBER
        killed = run(tmp_path, file)
        assert len(server.requests) <= NUMBER + 4  # what was under way
        whole = run(tmp_path, file, out="whole")
        assert {**killed, "phases": 0} == {**whole, "phases": 0}
