"""Document embeddings by a foreign model: `embed.endpoint` asks a server, `embed.model` runs a model from a folder. For `dedup.semantic`.

Both add the column `embedding` that `embed.words` adds (`curation.dedup.embed`); `cluster.kmeans` follows. Each model has its own scale of
distances: choose `max_cosine_distance` anew (`python -m curation.bench semantic --export`, then `--vectors`).

An endpoint speaks the protocol of OpenAI's `/v1/embeddings`, which vLLM, TEI, llama.cpp and others serve. Answers of 429 and 5xx, cut
ones and broken connections are asked again, after 0.5 s, 1 s, 2 s and so on; a batch that the server refuses is halved until the text it
minds stands alone, which then has no embedding and says why in its `meta`. A wrong key, address or width, and a server that stays away,
end the run with a StepError.

A local model is run in batches of one shape (rows padded, lengths rounded up to 64 tokens), so that what a text gets hardly depends on the
texts beside it; the rounding of `curation.dedup.embed` takes most of the rest. Costs: all-MiniLM-L6-v2 at 256 tokens, some 20 texts per CPU
second, against 10,000 of `embed.words`. Not covered: task prefixes ("query: "), models with code of their own, several windows per text.
"""

import functools
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from safetensors import SafetensorError

from curation.dedup.embed import COLUMN, MAX_DIM, column_of
from curation.steps import StepError
from datapipe.schema import with_column

REFUSALS = (400, 413, 422)  # something about this text; other answers from 400 to 499 are about the request
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
LENGTH_STEP = 64  # tokens


class Refusal(str):
    """What the server says against the texts of one request."""


class Server(NamedTuple):
    """Where and how to ask for embeddings."""

    url: str
    model: str
    dim: int
    key: str
    timeout_s: float
    attempts: int


def endpoint(
    docs: pa.Table,
    *,
    base_url: str,
    model: str,
    dim: int,
    batch: int = 64,
    concurrency: int = 4,
    max_chars: int = 8_000,
    api_key_env: str = "",
    timeout_s: float = 60.0,
    attempts: int = 8,
) -> pa.Table:
    """Adds `embedding`, `dim` numbers from the model that a server calls `model`; null for an empty text and for a refused one.

    `base_url` ends before `/embeddings` (`http://host:8000/v1`); `api_key_env` names the environment variable that holds the key.
    Raises ValueError for parameters out of range, StepError without the key, when the server does not answer, and for an answer of another
    form or width.
    """
    check_endpoint(
        base_url=base_url, dim=dim, batch=batch, concurrency=concurrency, timeout_s=timeout_s, attempts=attempts
    )
    if said := _missing_key(api_key_env):
        raise StepError(said)
    key = os.environ[api_key_env] if api_key_env else ""
    server = Server(base_url.rstrip("/") + "/embeddings", model, dim, key, timeout_s, attempts)
    texts, rows = _texts(docs, max_chars)
    parts = [texts[start : start + batch] for start in range(0, len(texts), batch)]
    with ThreadPoolExecutor(concurrency) as pool:
        answers = [answer for part in pool.map(functools.partial(_ask, server), parts) for answer in part]
    vectors_DN = np.zeros((docs.num_rows, dim), np.float32)
    refused: dict[int, str] = {}
    for row, answer in zip(rows, answers, strict=True):
        if isinstance(answer, str):
            refused[row] = answer
        else:
            vectors_DN[row] = answer
    return _with_reasons(with_column(docs, COLUMN, column_of(vectors_DN)), refused)


def model(docs: pa.Table, *, path: str, batch: int = 32, max_tokens: int = 512, max_chars: int = 8_000) -> pa.Table:
    """Adds `embedding`: the mean over the tokens of the last layer of the encoder in the folder `path`; null for an empty text.

    A folder as sentence-transformers writes it says itself when the first token stands for the text instead (`1_Pooling`).
    Raises StepError when there is no model at `path` that can be loaded, and without the package transformers.
    """
    if said := _missing_model(path):
        raise StepError(said)
    check_model(path=path, batch=batch, max_tokens=max_tokens)
    encoder = _encoder(path)
    texts, rows = _texts(docs, max_chars)
    vectors_DN = np.zeros((docs.num_rows, encoder.dim), np.float32)
    if texts:
        vectors_DN[rows] = encoder.embed(texts, batch, max_tokens)
    return with_column(docs, COLUMN, column_of(vectors_DN))


def check_endpoint(
    *,
    base_url: str = "",
    dim: int = 1,
    batch: int = 64,
    concurrency: int = 4,
    api_key_env: str = "",
    timeout_s: float = 60.0,
    attempts: int = 8,
) -> None:
    """Raises ValueError for parameters out of range."""
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"base_url is {base_url!r}, but must be an address such as http://localhost:8000/v1")
    if not 1 <= dim <= MAX_DIM:
        raise ValueError(f"dim is {dim}, but must be the width of the model's vectors, 1 to {MAX_DIM}")
    if min(batch, concurrency) < 1:
        raise ValueError(f"batch {batch} and concurrency {concurrency} must be at least 1: the defaults are 64 and 4")
    if timeout_s <= 0 or attempts < 1:
        raise ValueError(
            f"timeout_s {timeout_s} must be above 0 and attempts {attempts} at least 1: the defaults are 60 and 8"
        )
    if said := _missing_key(api_key_env):
        raise ValueError(said)


def check_model(*, path: str = "", batch: int = 32, max_tokens: int = 512) -> None:
    """Raises ValueError for parameters out of range."""
    if said := _missing_model(path):
        raise ValueError(said)
    if min(batch, max_tokens) < 1:
        raise ValueError(f"batch {batch} and max_tokens {max_tokens} must be at least 1: the defaults are 32 and 512")


def _missing_key(api_key_env: str) -> str | None:
    """Said while the manifest is checked, and again by a worker, which may be another machine."""
    if not api_key_env or api_key_env in os.environ:
        return None
    return f"api_key_env names the variable {api_key_env!r}, which is not set: export it before the run"


def _missing_model(path: str) -> str | None:
    """As `_missing_key`."""
    if (Path(path) / "config.json").is_file():
        return None
    return f"path is {path!r}, but holds no config.json: name the folder of a model in the format of transformers"


def _texts(docs: pa.Table, max_chars: int) -> tuple[list[str], list[int]]:
    """Texts that hold more than white space, and their rows."""
    texts = pc.utf8_slice_codeunits(docs["text"], 0, max_chars).to_pylist()
    rows = [row for row, text in enumerate(texts) if text and not text.isspace()]
    return [texts[row] for row in rows], rows


def _ask(server: Server, texts: Sequence[str]) -> list[np.ndarray | str]:
    """One vector per text, or what the server said against it. Raises StepError for any other end."""
    if not texts:
        return []
    answer = _post(server, {"model": server.model, "input": list(texts), "encoding_format": "float"})
    if isinstance(answer, Refusal):
        if len(texts) == 1:
            return [str(answer)]
        middle = len(texts) // 2
        return _ask(server, texts[:middle]) + _ask(server, texts[middle:])
    try:
        data = sorted(answer["data"], key=lambda item: item["index"])
        vectors: list[np.ndarray | str] = [np.array(item["embedding"], np.float32) for item in data]
    except (KeyError, TypeError, ValueError) as error:
        raise StepError(
            f"{server.url} answers {json.dumps(answer)[:200]}, which is no list of embeddings: check base_url and model"
        ) from error
    widths = {vector.size if isinstance(vector, np.ndarray) else 0 for vector in vectors}
    if len(vectors) != len(texts) or widths != {server.dim}:
        raise StepError(
            f"{len(texts)} texts sent to {server.url}, {len(vectors)} vectors of {sorted(widths)} numbers returned, but dim is "
            f"{server.dim}: type the width of {server.model}"
        )
    return vectors


def _post(server: Server, body: dict[str, Any]) -> Any:
    """The answer to one request, which is repeated while the server is busy or away; a `Refusal` of these texts.

    Raises StepError when the server will not answer at all.
    """
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {server.key}"} if server.key else {})}
    request = urllib.request.Request(server.url, json.dumps(body).encode(), headers)
    for attempt in range(1, server.attempts + 1):
        try:
            with urllib.request.urlopen(request, timeout=server.timeout_s) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = f"{error.code} {_body(error)}".strip()
            if error.code in REFUSALS:
                return Refusal(said)
            if attempt == server.attempts or (error.code < 500 and error.code != 429):
                raise StepError(_end(server, attempt, f"HTTP {said}", error.code)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # URLError, cut answers, no JSON
            if attempt == server.attempts:
                raise StepError(_end(server, attempt, str(error) or type(error).__name__, 0)) from error
        time.sleep(min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S))
    raise AssertionError("attempts is at least 1")


def _body(error: urllib.error.HTTPError) -> str:
    """The beginning of what came with a status, if it can be had."""
    try:
        return error.read(200).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""


def _end(server: Server, attempt: int, said: str, code: int) -> str:
    """Why no more is asked, and what to do."""
    key = "check the key that api_key_env names" if server.key else "name the variable that holds the key: api_key_env"
    away = "look at the server, lower concurrency or raise attempts"
    remedies = {401: key, 403: "check that the key may use this model", 429: away}
    wrong = f"check base_url, and that the server has the model {server.model}"
    remedy = remedies.get(code, wrong if 400 <= code < 500 else away)
    return f"{server.url}: {' '.join(said.split())} (attempt {attempt} of {server.attempts}): {remedy}"


def _with_reasons(docs: pa.Table, refused: dict[int, str]) -> pa.Table:
    """`docs` with `"embedding": {"refused": ...}` in the `meta` of refused rows."""
    if not refused:
        return docs
    meta = docs["meta"].to_pylist()
    for row, reason in refused.items():
        facts = {**json.loads(meta[row] or "{}"), "embedding": {"refused": reason}}
        meta[row] = json.dumps(facts, ensure_ascii=False)
    return with_column(docs, "meta", pa.array(meta, docs.schema.field("meta").type))


class _Encoder:
    """A model and its tokenizer. Raises StepError when they cannot be had."""

    def __init__(self, path: str) -> None:
        try:
            from transformers import AutoModel, AutoTokenizer
        except ModuleNotFoundError as error:
            raise StepError("needs the package transformers: pip install transformers, or use embed.words") from error
        pooling = Path(path) / "1_Pooling" / "config.json"
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
            self.network = AutoModel.from_pretrained(path, local_files_only=True, use_safetensors=True).eval()
            self.dim = int(self.network.config.hidden_size)
            self.limit = min(self.network.config.max_position_embeddings, self.tokenizer.model_max_length)
            self.first_token = pooling.is_file() and json.loads(pooling.read_text()).get(
                "pooling_mode_cls_token", False
            )
        except (OSError, ValueError, KeyError, AttributeError, ImportError, RuntimeError, SafetensorError) as error:
            raise StepError(
                f"the model in {path!r} cannot be loaded ({' '.join(str(error).split())[:300]}): it needs config.json, a tokenizer and "
                "weights as safetensors, of an encoder that the installed transformers knows"
            ) from error

    def embed(self, texts: Sequence[str], batch: int, max_tokens: int) -> np.ndarray:
        """float32 (D, dim). Texts of about the same length go together, and every batch is filled up to `batch` rows."""
        import torch

        limit = min(max_tokens, self.limit)
        tokens = self.tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]
        lengths = [min(limit, -(-len(ids) // LENGTH_STEP) * LENGTH_STEP) for ids in tokens]
        vectors_DN = np.zeros((len(texts), self.dim), np.float32)
        for length in sorted(set(lengths)):
            rows = [row for row, padded in enumerate(lengths) if padded == length]
            for start in range(0, len(rows), batch):
                mine = rows[start : start + batch]
                ids_BT = torch.full((batch, length), self.tokenizer.pad_token_id or 0)
                mask_BT = torch.zeros((batch, length), dtype=torch.long)
                mask_BT[:, 0] = 1  # rows that fill up see one token: no mean over nothing
                for place, row in enumerate(mine):
                    ids_BT[place, : len(tokens[row])] = torch.tensor(tokens[row])
                    mask_BT[place, : len(tokens[row])] = 1
                with torch.inference_mode():
                    states_BTN = self.network(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
                pooled_BN = states_BTN[:, 0] if self.first_token else _mean(states_BTN, mask_BT)
                vectors_DN[mine] = pooled_BN[: len(mine)].numpy()
        return vectors_DN


def _mean(states_BTN: Any, mask_BT: Any) -> Any:
    """Over the tokens that are no padding."""
    return (states_BTN * mask_BT[..., None]).sum(1) / mask_BT.sum(1, keepdim=True)


@functools.lru_cache(maxsize=1)
def _encoder(path: str) -> _Encoder:
    return _Encoder(path)
