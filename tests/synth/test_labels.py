"""Labels from a teacher: what counts as a score, what is written, and that a killed run costs no answer twice."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from curation import draw
from curation.steps import StepError
from datapipe.schema import documents
from synth.labels import label_documents, label_of, read_labels
from synth.teacher import Answer, TeacherError
from tests.synth.chat_server import ChatServer, Reply, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("It explains bees.\n\nScore: 4", 4),
        ("**Score: 4**\n", 4),
        ("score : 0", 0),
        ("Score: 0/5.", 0),
        ("Score: 2\nSo I say\nScore: 2", 2),
        ("Score: 2\nno,\nScore: 3", "two_scores"),
        ("<think>Score: 1\nor rather</think>Score: 5", 5),
        ("Score: 7", "out_of_range"),
        ("The score: 3 of 5, I think", "no_score"),
        ("Score: 3.5", "no_score"),
        ("Score: " + "1" * 5_000, "no_score"),
        ("", "no_score"),
    ],
)
def test_a_score_is_a_line_of_its_own(text: str, label: int | str) -> None:
    assert label_of(Answer(text, "stop", 1, 1)) == label


def test_an_answer_that_was_cut_off_or_failed_has_no_label() -> None:
    assert label_of(Answer("It explains", "length", 1, 1)) == "length"
    assert label_of(Answer("Score: 1", "length", 1, 1)) == "length"  # it may have been 10
    assert label_of(Answer("Score: 3", "content_filter", 1, 1, "refused")) == "refused"


def sample(path: Path, texts: list[str]) -> str:
    """As the engine leaves a drawn sample."""
    docs = documents([{"text": text, "origin": str(index)} for index, text in enumerate(texts)])
    table = draw.drawn(docs, sample=1.0, max_chars=4_000, seed=0)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return str(path)


def teacher(server: ChatServer, **about: Any) -> dict[str, Any]:
    return {"base_url": server.base_url, "model": "org/m", **about}


def read(path: Path) -> pa.Table:
    with pa.ipc.open_file(str(path)) as reader:
        return reader.read_all()


def by_number(prompt: str, times: int) -> Reply:
    """The score of document `bee n` is n modulo 6; those of a multiple of 7 are refused, and every third needs a second try."""
    number = int(prompt.partition("bee ")[2].split()[0])
    if number % 7 == 0:
        return Reply("I cannot judge that.")
    return Reply(status=500) if number % 3 == 0 and not times else Reply(f"Bees again.\nScore: {number % 6}")


def test_documents_are_labelled_and_bad_answers_counted(tmp_path: Path) -> None:
    texts = [f"bee {index}" for index in range(30)] + ["bee 1"]
    paths = [
        sample(tmp_path / "a.arrow", texts[:10]),
        sample(tmp_path / "b.arrow", texts),
    ]  # the first ten twice: receivers never do
    output = tmp_path / "labels.arrow"
    with serving(by_number) as server:
        counts = label_documents(
            output=str(output),
            sample=paths[1:],
            teacher=teacher(server, concurrency=4),
            cache=str(tmp_path / "cache"),
            first_pause=0.01,
        )
        found = read(output)
        assert counts["documents"] == 31
        assert counts["labels"] == found.num_rows == 26
        assert counts["reasons"] == {"no_score": 5}
        assert counts["asked"] == {"requests": 38, "tries_lost.http_5xx": 8}
        assert found["id"].to_pylist() == sorted(found["id"].to_pylist())
        assert {row["text"]: row["label"] for row in found.to_pylist()} == {
            f"bee {n}": n % 6 for n in range(30) if n % 7
        }
        assert server.most_at_once <= 4
        assert len(server.requests) == 30 + 8
        again = label_documents(
            output=str(tmp_path / "again.arrow"),
            sample=paths[1:],
            teacher=teacher(server),
            cache=str(tmp_path / "cache"),
        )
        assert again == {**counts, "asked": {"kept": 30}}
        assert (tmp_path / "again.arrow").read_bytes() == output.read_bytes()
        assert len(server.requests) == 38


def test_only_the_smallest_draws_are_asked_about(tmp_path: Path) -> None:
    path = sample(tmp_path / "a.arrow", [f"bee {index}" for index in range(1, 30)])
    with serving(lambda prompt, times: Reply()) as server:
        counts = label_documents(
            output=str(tmp_path / "o.arrow"),
            sample=[path],
            teacher=teacher(server),
            cache=str(tmp_path),
            max_examples=5,
        )
    table = read(Path(path))
    assert counts["documents"] == counts["labels"] == 5
    smallest = table.take(pa.array(np.argsort(table["draw"].to_numpy())[:5]))
    assert set(read(tmp_path / "o.arrow")["id"].to_pylist()) == set(smallest["id"].to_pylist())


def test_a_teacher_that_gives_up_says_how_far_it_came(tmp_path: Path) -> None:
    path = sample(tmp_path / "a.arrow", [f"bee {index}" for index in range(40)])
    with serving() as server:
        given = teacher(server, price_out=1e6, max_cost=60, max_tokens=10, concurrency=3)
        with pytest.raises(TeacherError, match=r"have cost 60 of max_cost 60.* 6 of 40 texts have an answer"):
            label_documents(output=str(tmp_path / "o.arrow"), sample=[path], teacher=given, cache=str(tmp_path / "c"))
        assert len(server.requests) == 6
    assert not (tmp_path / "o.arrow").exists()


def test_a_try_that_was_lost_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.teacher.account.MOST_PROBES", 4)
    path = sample(tmp_path / "a.arrow", [f"bee {index}" for index in range(100)])
    with serving() as server:
        given = teacher(server, max_attempts=1)
    with pytest.raises(TeacherError, match=r"tries in a row were lost.* 0 of 100 texts have an answer"):
        label_documents(
            output=str(tmp_path / "o.arrow"), sample=[path], teacher=given, cache=str(tmp_path / "c"), first_pause=0.01
        )


def test_what_ends_one_request_ends_all(tmp_path: Path) -> None:
    path = sample(tmp_path / "a.arrow", [f"bee {index}" for index in range(40)])
    with serving(lambda prompt, times: Reply(status=401) if "bee 7\n" in prompt else Reply(delay=0.02)) as server:
        with pytest.raises(TeacherError, match="HTTP 401"):
            label_documents(
                output=str(tmp_path / "o.arrow"),
                sample=[path],
                teacher=teacher(server, concurrency=2),
                cache=str(tmp_path / "c"),
            )
        place = next(index for index, prompt in enumerate(server.prompts) if "bee 7\n" in prompt)
        assert len(server.requests) <= place + 3


def test_killed_in_the_middle_no_answer_is_paid_twice(tmp_path: Path) -> None:
    texts = [f"bee {index}" for index in range(60)]
    arguments = {
        "output": str(tmp_path / "o.arrow"),
        "sample": [sample(tmp_path / "a.arrow", texts)],
        "cache": str(tmp_path / "cache"),
    }
    with serving(lambda prompt, times: Reply(delay=0.02)) as server:
        arguments["teacher"] = teacher(server, concurrency=4)
        code = f"from synth.labels import label_documents\nlabel_documents(**{arguments!r})"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        deadline = time.monotonic() + 60
        while len(server.requests) < 25 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        asked = len(server.requests)
        assert 25 <= asked < 60
        counts = label_documents(**arguments)
        assert counts["labels"] == 60
        assert len(server.requests) <= 60 + 4  # what was under way
        assert counts["asked"]["kept"] >= asked - 4


def test_labels_made_elsewhere(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1, "unanimous": True}, {"text": "b", "label": 0.5, "id": "x"}]
    path = tmp_path / "labels.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(json.dumps(row).encode() for row in rows) + b"\n\n"))
    found = read_labels(str(path)).to_pylist()
    assert {row["text"]: row["label"] for row in found} == {"a": 1.0, "b": 0.5}
    assert "x" in {row["id"] for row in found}
    packed = tmp_path / "labels.jsonl.zst"
    packed.write_bytes(zstandard.compress(gzip.decompress(path.read_bytes())))
    assert read_labels(str(packed)).to_pylist() == found


GOOD_LINE = b'{"text": "a", "label": 1}\n'
LINE = r'\.jsonl, line 2: .*a label is a line like \{"text": "\.\.\.", "label": 3\}'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", None, r"^`labels: \{file: \.\.\.\}`: .*a\.jsonl: no such file: check the path"),
        ("a.jsonl", GOOD_LINE + b'{"text": "b"}', LINE),
        ("a.jsonl", GOOD_LINE + b'{"label": 1}', LINE),
        ("a.jsonl", GOOD_LINE + b'{"text": "b", "label": "good"}', LINE),
        ("a.jsonl", GOOD_LINE + b'{"id": "x", "text": null, "label": 1}', LINE.replace(".*", ".*text None.*")),
        ("a.jsonl", GOOD_LINE + rb'{"id": "x", "text": "\ud800", "label": 1}', LINE.replace(".*", ".*surrogates.*")),
        ("a.jsonl", GOOD_LINE + b'{"text": "b", "label": NaN}', LINE.replace(".*", ".*label nan.*")),
        ("a.jsonl", GOOD_LINE + b'{"text": "b", "label": ' + b"1" * 400 + b"}", LINE),
        ("a.jsonl", GOOD_LINE + b"[" * 100_000, LINE),
        ("a.jsonl", GOOD_LINE + b"text,label", LINE),
        ("a.jsonl", GOOD_LINE + b"3", LINE),
        (
            "a.jsonl",
            GOOD_LINE + b'{"text": "\xe9t\xe9", "label": 1}',
            r"line 2: byte \d+ is not UTF-8: save the file as UTF-8",
        ),
        ("a.jsonl.gz", GOOD_LINE, r"a\.jsonl\.gz cannot be unpacked .*: copy or pack it again"),
        ("a.jsonl.gz", gzip.compress(GOOD_LINE, mtime=0)[:-9], "cannot be unpacked"),
        ("a.jsonl.gz", gzip.compress(GOOD_LINE, mtime=0)[:10] + b"\xff" * 30, "cannot be unpacked"),
        ("a.jsonl.zst", GOOD_LINE, "cannot be unpacked"),
    ],
)
def test_a_file_of_labels_that_is_none(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StepError, match=said):
        read_labels(str(tmp_path / name))


def test_a_prompt_that_is_gone_when_it_is_needed(tmp_path: Path) -> None:
    given = {"base_url": "http://x/v1", "model": "m", "prompt": str(tmp_path / "gone.txt")}
    for content, said in ((None, "no such file"), (b"Judge \xe9 {text}", "is not UTF-8"), (b"Judge", "has 0 places")):
        if content is not None:
            (tmp_path / "gone.txt").write_bytes(content)
        with pytest.raises(TeacherError, match=said):
            label_documents(output=str(tmp_path / "o"), sample=[], teacher=given, cache=str(tmp_path))


def test_a_teacher_that_says_no_score_is_not_asked_about_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.labels.ASKED_FIRST", 20)
    path = sample(tmp_path / "sample.arrow", [f"bee {n}" for n in range(60)])
    with serving(lambda prompt, times: Reply("A fine text about bees.")) as server:
        said = r"of the first 20 answers 0 hold a line `Score: N` \(no_score 20\).*of 60 texts have an answer"
        with pytest.raises(TeacherError, match=said):
            label_documents(
                output=str(tmp_path / "labels.arrow"),
                sample=[path],
                teacher=teacher(server, concurrency=2),
                cache=str(tmp_path),
            )
        assert len(server.requests) < 25
