"""`tokenloom synth export`: help that teaches, rows of a corpus, and what was left out."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from curriculum import cli
from synth.render import Turn
from synth.rows import Made, documents

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tokenloom(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tokenloom", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    made = Made("qa", 0)
    turns = [Turn("user", "Q"), Turn("assistant", "A", "t")]
    chat = made.row("c", turns, kind="qa", parents=[], task={"answer": "right"}, verdicts={})
    plain = made.document("d", "text", kind="web", parents=[], task={}, verdicts={})
    pq.write_table(documents([chat, plain]), tmp_path / "part-00000.parquet")
    (tmp_path / "curated.json").write_text(json.dumps({"corpora": {"chats": {"parts": ["part-00000.parquet"]}}}))
    return tmp_path


def test_a_corpus_is_written_in_another_form(tokenloom: Call, corpus: Path, tmp_path: Path) -> None:
    code, out, err = tokenloom("synth", "export", corpus, "chats", tmp_path / "o.jsonl.zst")
    assert code == 0, err
    assert "1 rows as openai" in out
    assert "1 rows have no form as openai and were left out" in err
    packed = zstandard.ZstdDecompressor().stream_reader(io.BytesIO((tmp_path / "o.jsonl.zst").read_bytes())).read()
    [record] = [json.loads(line) for line in packed.splitlines()]
    assert record["messages"][-1] == {"role": "assistant", "content": "A", "reasoning_content": "t"}
    code, out, _ = tokenloom("synth", "export", corpus, "chats", tmp_path / "s.jsonl", "--to", "slime", "--json")
    assert (code, json.loads(out)) == (0, {"written": 1, "no_such_form": 1})
    assert json.loads((tmp_path / "s.jsonl").read_text())["label"] == "right"


def test_mistakes_are_said(tokenloom: Call, corpus: Path, tmp_path: Path) -> None:
    code, _, err = tokenloom("synth", "export", corpus, "chats", tmp_path / "o", "--to", "alpaca")
    assert code != 0
    assert "openai" in err
    assert "swebench" in err
    code, _, err = tokenloom("synth", "export", tmp_path / "nothing", "chats", tmp_path / "o")
    assert code != 0
    assert "no such" in err
    code, _, err = tokenloom("synth", "export", corpus, "chat", tmp_path / "o")
    assert code != 0
    assert "Name one of chats" in err
    assert not (tmp_path / "o").exists()


def test_help_has_an_example(tokenloom: Call) -> None:
    code, out, _ = tokenloom("synth", "export", "--help")
    assert code == 0
    assert "Example: tokenloom synth export" in out
