"""The review verbs: what goes out to other tools and comes back, and what is said when there is nothing to review."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from curriculum.cli import app
from curriculum.curating import CURATED
from datapipe.schema import documents
from synth.review.log import Log
from synth.search.generator import emit, reduce
from tests.synth.review.conftest import COASTS, SITE, coast, lighthouse

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, ["synth", *map(str, arguments)])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `curate` leaves it, with pages and search questions."""
    root = tmp_path_factory.mktemp("built")
    texts = {f"{SITE}/light/{number}": lighthouse(number) for number in range(48)}
    texts |= {f"{SITE}/coast/{which.lower()}": coast(which) for which in COASTS}
    rows = [
        {"origin": url, "text": text, "corpus": "pages", "kind": "web", "license": "MIT"} for url, text in texts.items()
    ]
    pages = documents(rows)
    made = reduce(emit(pages), accept=2, min_calls=2)
    questions = made.filter(pa.compute.is_null(made["drop_reason"]))
    corpora = {}
    for name, table in (("pages", pages), ("search", questions)):
        pq.write_table(table, root / f"{name}.parquet")
        corpora[name] = {"parts": [f"{name}.parquet"]}
    (root / CURATED).write_text(json.dumps({"corpora": corpora}))
    return root


def test_questions_go_to_label_studio_and_decisions_come_back(run: Run, out: Path, tmp_path: Path) -> None:
    queue = tmp_path / "queue.json"
    told = run("review-export", out, queue)
    assert told.exit_code == 0, told.output
    assert "2 questions" in told.output
    assert (tmp_path / "queue.json.xml").read_text().startswith("<View>")
    records = json.loads(queue.read_text())
    for record in records[:1]:
        result = [{"from_name": "decision", "value": {"choices": ["accept"]}}]
        record["annotations"] = [{"completed_by": 1, "result": result}]
    queue.write_text(json.dumps(records))
    log = tmp_path / "reviews.jsonl"
    told = run("review-import", out, queue, "--log", log)
    assert told.exit_code == 0, told.output
    assert "1 accept" in told.output
    assert [entry.action for entry in Log(log).entries()] == ["accept"]  # nobody has read the other


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["review-export", "OUT", "QUEUE", "--format", "excel"], "label-studio, argilla"),
        (["review-export", "OUT", "QUEUE", "--corpus", "pages"], "no search question"),
        (["review-import", "OUT", "QUEUE"], "queue.json"),
    ],
)
def test_mistakes_say_what_to_type(run: Run, out: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    names = {"OUT": str(out), "QUEUE": str(tmp_path / "queue.json")}
    told = run(*[names.get(argument, argument) for argument in arguments])
    assert told.exit_code == 2
    # The box around an error cuts a long path anywhere.
    assert "".join(said.split()) in "".join(told.output.replace("│", "").split())


def test_help_teaches(run: Run) -> None:
    told = run("review", "--help")
    assert "Example" in told.output
    assert "generator: reviewed" in " ".join(told.output.split())
