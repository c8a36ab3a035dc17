"""Embeddings of a server and of a local model: values in their rows, refusals, repeats, and clear words when something is missing."""

import json
import pickle
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.dedup.embed import COLUMN, GRID, matrix_of
from curation.steps import StepError
from datapipe.schema import documents
from synth import embeddings
from synth.embeddings import check_endpoint, check_model, endpoint, model


class Server:
    """`/v1/embeddings`: [length of the text, 1, 0, 0], answers out of order; `status` decides what a request gets."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.width = 4
        self.status: Callable[[list[str]], int] = lambda texts: 200
        self.cut: Callable[[], bool] = lambda: (
            False
        )  # whether an answer ends too early: every other time within what was announced
        self.answer: dict[str, Any] | None = None  # instead of vectors
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(body)
                server.keys.append(self.headers["Authorization"])
                status = server.status(body["input"]) if self.path == "/v1/embeddings" else 404
                data = [
                    {"index": index, "embedding": [float(len(text)), 1.0, *[0.0] * (server.width - 2)]}
                    for index, text in enumerate(body["input"])
                ]
                good = server.answer or {"data": data[::-1]}
                answer = json.dumps(good if status == 200 else {"error": "too long"}).encode()
                self.send_response(status)
                if server.cut():
                    if len(server.asked) % 2:
                        self.send_header("Content-Length", str(len(answer)))
                    answer = answer[:20]
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(embeddings, "FIRST_WAIT_S", 0.001)
    made = Server()
    threading.Thread(target=made.http.serve_forever, daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def texts(*given: str | None) -> pa.Table:
    return documents({"text": text, "origin": str(number)} for number, text in enumerate(given))


def test_every_text_gets_the_vector_of_its_row(server: Server) -> None:
    docs = texts("a", "bbb", None, " \n", "cc", "", "dddddddd")
    result = endpoint(docs, base_url=server.url, model="m", dim=4, batch=2, max_chars=5)
    vectors, some = matrix_of(result)
    assert some.tolist() == [True, True, False, False, True, False, True]
    ratio = vectors[some, 0] / vectors[some, 1]
    assert ratio == pytest.approx([1, 3, 2, 5], rel=0.01)
    assert sorted(len(body["input"]) for body in server.asked) == [2, 2]
    assert {body["model"] for body in server.asked} == {"m"}
    assert result.drop_columns([COLUMN]).equals(docs)


def test_the_key_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDING_KEY", "s3cret")
    endpoint(texts("a"), base_url=server.url, model="m", dim=4, api_key_env="EMBEDDING_KEY")
    endpoint(texts("a"), base_url=server.url + "/", model="m", dim=4)
    assert server.keys == ["Bearer s3cret", None]
    with pytest.raises(StepError, match=r"'NO_SUCH_KEY', which is not set: export it"):
        endpoint(texts("a"), base_url=server.url, model="m", dim=4, api_key_env="NO_SUCH_KEY")
    with pytest.raises(ValueError, match=r"'NO_SUCH_KEY', which is not set: export it"):
        check_endpoint(base_url=server.url, api_key_env="NO_SUCH_KEY")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_text_the_server_refuses_has_no_embedding_and_says_why(server: Server, status: int) -> None:
    server.status = lambda given: status if "bad" in given else 200
    result = endpoint(texts("a", "bb", "bad", "dddd", "eeeee"), base_url=server.url, model="m", dim=4, batch=5)
    assert result[COLUMN].is_valid().to_pylist() == [True, True, False, True, True]
    meta = [json.loads(text) for text in result["meta"].to_pylist()]
    assert meta == [{}, {}, {"embedding": {"refused": f'{status} {{"error": "too long"}}'}}, {}, {}]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Server, status: int) -> None:
    server.status = lambda given: status if len(server.asked) < 3 else 200
    result = endpoint(texts("a"), base_url=server.url, model="m", dim=4)
    assert result[COLUMN].null_count == 0
    assert len(server.asked) == 3


def test_an_answer_that_was_cut_is_asked_for_again(server: Server) -> None:
    server.cut = lambda: len(server.asked) < 4
    result = endpoint(texts("a"), base_url=server.url, model="m", dim=4)
    assert result[COLUMN].null_count == 0
    assert len(server.asked) == 4


def test_an_answer_of_another_form_is_shown(server: Server) -> None:
    server.answer = {"error": "no such model"}
    with pytest.raises(StepError, match=r'"no such model"\}, which is no list of embeddings: check base_url and model'):
        endpoint(texts("a"), base_url=server.url, model="m", dim=4)


@pytest.mark.parametrize(
    ("status", "times", "remedy"),
    [
        (401, 1, "name the variable that holds the key: api_key_env"),
        (403, 1, "check that the key may use this model"),
        (404, 1, "check base_url, and that the server has the model m"),
        (429, 3, "lower concurrency or raise attempts"),
        (503, 3, "lower concurrency or raise attempts"),
    ],
)
def test_a_server_that_stays_away_ends_the_run(server: Server, status: int, times: int, remedy: str) -> None:
    server.status = lambda given: status
    said = rf'^{server.url}/embeddings: HTTP {status} \{{"error": "too long"\}} \(attempt {times} of 3\): .*{remedy}$'
    with pytest.raises(StepError, match=said) as caught:
        endpoint(texts("a"), base_url=server.url, model="m", dim=4, attempts=3)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # it comes from a worker
    assert len(server.asked) == times


def test_no_server_at_all(server: Server) -> None:
    with pytest.raises(StepError, match=r"refused.* \(attempt 2 of 2\): look at the server"):
        endpoint(texts("a"), base_url="http://127.0.0.1:9/v1", model="m", dim=4, attempts=2)


def test_answers_that_are_always_cut_end_the_run(server: Server) -> None:
    server.cut = lambda: True
    with pytest.raises(StepError, match=r"\(attempt 2 of 2\): look at the server"):
        endpoint(texts("a"), base_url=server.url, model="m", dim=4, attempts=2)


@pytest.mark.parametrize(
    ("answer", "dim", "said"),
    [
        (None, 5, r"vectors of \[4\] numbers returned, but dim is 5: type the width of m"),
        ({"data": []}, 4, r"1 texts sent to .*, 0 vectors of \[\] numbers"),
        ({"data": [{"index": 0, "embedding": [[1.0] * 2] * 4}]}, 4, r"vectors of \[8\] numbers returned"),
        ({"data": [{"index": 0, "embedding": "AACAPw=="}]}, 4, "which is no list of embeddings"),
    ],
)
def test_a_wrong_width_says_what_to_type(server: Server, answer: Any, dim: int, said: str) -> None:
    server.answer = answer
    with pytest.raises(StepError, match=said):
        endpoint(texts("a"), base_url=server.url, model="m", dim=dim)


def test_no_texts_no_request(server: Server) -> None:
    result = endpoint(texts("", None)[:2], base_url=server.url, model="m", dim=4)
    assert result[COLUMN].type == pa.binary(8)
    assert result[COLUMN].null_count == 2
    assert server.asked == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"base_url": "localhost:8000"}, r"base_url is 'localhost:8000'.*http://localhost:8000/v1"),
        ({"dim": 0}, "dim is 0"),
        ({"batch": 0}, "batch 0"),
        ({"attempts": 0}, "attempts 0 at least 1"),
        ({"timeout_s": 0.0}, r"timeout_s 0\.0 must be above 0"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        endpoint(texts("a"), **{"base_url": "http://h/v1", "model": "m", "dim": 4, **params})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights and a vocabulary of letters."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("model")
    letters = [f"{prefix}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" for prefix in ("", "##")]
    vocabulary = path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=57,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    transformers.BertModel(config).save_pretrained(path)
    transformers.BertTokenizerFast(vocab_file=str(vocabulary)).save_pretrained(path)
    return path


def test_a_local_model_gives_the_mean_of_its_tokens(folder: Path) -> None:
    import torch
    import transformers

    given = ["abc", "the quick brown fox", " ", "z" * 500]
    vectors, some = matrix_of(model(texts(*given), path=str(folder), batch=3))
    assert some.tolist() == [True, True, False, True]
    network = transformers.BertModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for row in (0, 1, 3):
        tokens = tokenizer([given[row]], return_tensors="pt", truncation=True, max_length=128)
        with torch.inference_mode():
            mean = network(**tokens).last_hidden_state[0].mean(0).numpy()
        assert np.allclose(vectors[row] / GRID, mean / np.linalg.norm(mean), atol=2e-3)


def test_a_text_gets_the_same_vector_beside_others(folder: Path) -> None:
    given = [chr(97 + number % 26) * (number * 7 % 90 + 1) + " fox" for number in range(40)]
    together, _ = matrix_of(model(texts(*given), path=str(folder), batch=8))
    backwards, _ = matrix_of(model(texts(*given[::-1]), path=str(folder), batch=8))
    alone = [matrix_of(model(texts(text), path=str(folder), batch=8))[0][0] for text in given[:10]]
    assert np.array_equal(together, backwards[::-1])
    assert np.array_equal(together[:10], np.stack(alone))


def test_the_folder_may_ask_for_the_first_token(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    first, _ = matrix_of(model(texts("abc def"), path=str(copy)))
    mean, _ = matrix_of(model(texts("abc def"), path=str(folder)))
    assert np.abs(first - mean).max() > 20


def test_no_model_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"holds no config\.json: name the folder"):
        model(texts("a"), path=str(tmp_path))
    with pytest.raises(ValueError, match=r"holds no config\.json: name the folder"):
        check_model(path=str(tmp_path))


@pytest.mark.parametrize(
    ("broken", "content"),
    [
        ("config.json", "{}"),
        (
            "config.json",
            '{"model_type": "bert", "hidden_size": 12, "num_attention_heads": 2}',
        ),  # not the width of the weights
        ("config.json", '{"model_type": "t5"}'),  # has no limit of positions
        ("model.safetensors", "{}"),
        ("tokenizer.json", "{}"),
        ("1_Pooling/config.json", "{"),
    ],
)
def test_a_model_that_cannot_be_loaded(folder: Path, tmp_path: Path, broken: str, content: str) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    (copy / "1_Pooling").mkdir()
    (copy / broken).write_text(content)
    with pytest.raises(StepError, match=r"cannot be loaded \(.*: it needs config\.json, a tokenizer and weights"):
        model(texts("a"), path=str(copy))
    (copy / "model.safetensors").unlink()
    with pytest.raises(StepError, match="cannot be loaded"):
        model(texts("a"), path=str(copy))


def test_without_transformers_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(StepError, match=r"pip install transformers, or use embed\.words"):
        model(texts("a"), path=str(tmp_path))
