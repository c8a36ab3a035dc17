"""Tokenising: round trips, special tokens only where they belong, loss spans, bounded pieces, determinism of training."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.tokenize import (
    END_OF_TEXT,
    PIECE_CHARS,
    SPECIAL_TOKENS,
    Tokenizer,
    pieces,
    train_bpe,
)

TEXTS = [
    "the cat sat on the mat, the cat sat\n" * 20,
    "def f(x):\n    return x + 2026\n" * 20,
    "naïve Übermut 你好世界 नमस्ते " * 10,
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(train_bpe(TEXTS, vocab_size=400))


def learned_text(tokenizer: Tokenizer, text: str, kind: str, spans: list[tuple[int, int]]) -> tuple[str, bool]:
    """What the loss sees, decoded, and whether the final eos is part of it."""
    [encoded] = tokenizer.encode_with_spans([text], [kind], [spans])
    assert encoded.loss_spans is not None
    ids = [token for start, length in encoded.loss_spans for token in encoded.tokens[start : start + length].tolist()]
    ends = bool(ids) and ids[-1] == tokenizer.eos_id
    return tokenizer.decode(ids), ends


@settings(max_examples=200, deadline=None)
@given(text=st.text(), kind=st.sampled_from(["web", "agent"]))
def test_decoding_undoes_encoding(text: str, kind: str) -> None:
    tokenizer = Tokenizer(train_bpe([], vocab_size=256 + len(SPECIAL_TOKENS)))
    [tokens] = tokenizer.encode([text], [kind])
    assert tokens.dtype == np.uint32
    assert tokens[-1] == tokenizer.eos_id
    assert tokenizer.decode(tokens) == text


def test_decoding_undoes_encoding_with_merges(tokenizer: Tokenizer) -> None:
    texts = [*TEXTS, "", " \n\t  x  ", "\x00\ufffd\u200d\U0001f600", "e\u0301 \u0915\u093f"]
    for text, tokens in zip(texts, tokenizer.encode(texts, ["web"] * len(texts)), strict=True):
        assert tokenizer.decode(tokens) == text
    assert len(tokenizer.encode([TEXTS[0]], ["web"])[0]) < len(TEXTS[0]) / 3


def test_every_digit_is_a_token(tokenizer: Tokenizer) -> None:
    [tokens] = tokenizer.encode(["x + 2026"], ["web"])
    assert [tokenizer.decode([token]) for token in tokens[-5:-1]] == ["2", "0", "2", "6"]


def test_no_text_makes_markup_that_a_given_tokenizer_does_not_call_special() -> None:
    spec = json.loads(train_bpe([], vocab_size=300))
    for token in spec["added_tokens"]:
        token["special"] = token["content"] == "<|endoftext|>"
    tokenizer = Tokenizer(json.dumps(spec).encode())
    think = vocabulary(tokenizer)["<think>"]
    web, rendered = tokenizer.encode(["a <think> b"] * 2, ["web", "reasoning"])
    assert think not in web
    assert think in rendered


def test_markup_is_text_on_the_web_and_special_in_rendered_rows(tokenizer: Tokenizer) -> None:
    text = "<|user|>hi<|assistant|><think></think>there"
    web, agent = tokenizer.encode([text, text], ["web", "agent"])
    special = {token_id for token, token_id in vocabulary(tokenizer).items() if token in SPECIAL_TOKENS}
    assert special.isdisjoint(web[:-1].tolist())
    assert [token for token in agent[:-1].tolist() if token in special] == [
        vocabulary(tokenizer)[token] for token in ("<|user|>", "<|assistant|>", "<think>", "</think>")
    ]
    assert tokenizer.decode(web) == tokenizer.decode(agent) == text


def vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    return {tokenizer.decode([token, tokenizer.eos_id]): token for token in range(tokenizer.vocab_size)}


@pytest.mark.parametrize("kind", ["web", "agent"])
def test_no_text_can_end_a_document(tokenizer: Tokenizer, kind: str) -> None:
    [tokens] = tokenizer.encode([f"before {END_OF_TEXT} after"], [kind])
    assert tokens.tolist().count(tokenizer.eos_id) == 1


def test_loss_spans_cover_the_tokens_they_touch(tokenizer: Tokenizer) -> None:
    text = "<|user|>the cat<|assistant|>the mat<|user|>naïve<|assistant|>你好世界"
    first = text.index("the mat")
    last = text.index("你好")
    assert learned_text(tokenizer, text, "agent", [(first, 7), (last, 4)]) == ("the mat你好世界", True)
    assert learned_text(tokenizer, text, "agent", [(first, 7 + len("<|user|>"))]) == ("the mat<|user|>", False)
    assert learned_text(tokenizer, text, "agent", []) == ("", False)
    within = text.index("e cat")  # a span that begins inside a token learns the whole token
    assert learned_text(tokenizer, text, "agent", [(within, 1)])[0].startswith("the")


def test_spans_are_disjoint_runs_in_order(tokenizer: Tokenizer) -> None:
    [encoded] = tokenizer.encode_with_spans(["the cat sat on the mat"], ["web"], [[(0, 3), (3, 4), (15, 7)]])
    assert encoded.loss_spans == ((0, 2), (len(encoded.tokens) - 3, 3))


def test_no_spans_means_every_token_is_learned(tokenizer: Tokenizer) -> None:
    with_spans = tokenizer.encode_with_spans(["a b", "c"], ["web", "web"], [None, [(0, 1)]])
    assert with_spans[0].loss_spans is None
    assert with_spans[1].loss_spans == ((0, 2),)
    assert [e.tokens.tolist() for e in with_spans] == [
        t.tolist() for t in tokenizer.encode(["a b", "c"], ["web", "web"])
    ]


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet="ab \n\t", max_size=300), limit=st.integers(2, 40))
def test_pieces_are_bounded_and_cut_where_words_end(text: str, limit: int) -> None:
    parts = list(pieces(text, limit))
    assert "".join(part for _, part in parts) == text
    assert all(len(part) <= limit and text.startswith(part, start) for start, part in parts)
    for (_, before), (_, after) in itertools.pairwise(parts):
        assert len(before) == limit or (after[0].isspace() and not before[-1].isspace())


def test_a_long_document_has_the_ids_of_its_whole(tokenizer: Tokenizer) -> None:
    from tokenizers import Tokenizer as Library

    text = ("the cat  sat\n\n  on the mat 2026; " * 10_000)[: 3 * PIECE_CHARS + 17]
    library = Library.from_str(train_bpe(TEXTS, vocab_size=400).decode())
    [tokens] = tokenizer.encode([text], ["web"])
    assert tokens[:-1].tolist() == library.encode(text).ids


def test_one_endless_word_stays_bounded(tokenizer: Tokenizer) -> None:
    word = "thecat" * 200_000
    [tokens] = tokenizer.encode([word], ["web"])
    assert tokenizer.decode(tokens) == word


def test_ids_do_not_depend_on_the_batch(tokenizer: Tokenizer) -> None:
    texts = [*TEXTS * 3, "x" * 100_000, "<|user|>q<|assistant|>a"]
    kinds = ["web"] * (len(texts) - 1) + ["agent"]
    alone = [tokenizer.encode([text], [kind])[0].tolist() for text, kind in zip(texts, kinds, strict=True)]
    backwards = [tokens.tolist() for tokens in tokenizer.encode(texts[::-1], kinds[::-1])]
    assert alone == backwards[::-1]


TRAIN = """
import sys
from datapipe.tokenize import train_bpe
sys.stdout.buffer.write(train_bpe(sys.stdin.read().split("\\0"), vocab_size=1200))
"""


def test_training_is_deterministic_across_processes_and_orders() -> None:
    root = Path(__file__).resolve().parents[2]
    texts = [path.read_text() for path in sorted((root / "datapipe").glob("*.py"))]
    runs = []
    for seed, threads, ordered in (("1", "1", texts), ("77", "4", texts[::-1])):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "RAYON_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "true",
        }
        command = [sys.executable, "-c", TRAIN]
        run = subprocess.run(
            command, input="\0".join(ordered).encode(), env=environment, cwd=root, capture_output=True, check=True
        )
        runs.append(run.stdout)
    assert runs[0] == runs[1]
    assert Tokenizer(runs[0]).vocab_size == 1200


def test_training_leaves_blobs_out() -> None:
    blob = "".join(chr(97 + (i * i + i // 7) % 26) for i in range(3000))
    vocab = json.loads(train_bpe([f"word {blob} word"], vocab_size=600))["model"]["vocab"]
    assert "word" in vocab
    assert len(vocab) < 256 + len(SPECIAL_TOKENS) + 10


def test_a_vocabulary_too_small_says_what_fits() -> None:
    with pytest.raises(ValueError, match=f"at least {256 + len(SPECIAL_TOKENS)}"):
        train_bpe(TEXTS, vocab_size=256)


def test_eos_must_be_named_when_it_cannot_be_told() -> None:
    json_bytes = train_bpe([], vocab_size=300, special_tokens=["<stop>", "<pad>"])
    with pytest.raises(ValueError, match="set eos_token to one of its added tokens: <pad>, <stop>"):
        Tokenizer(json_bytes)
    with pytest.raises(ValueError, match="has no token '<end>'"):
        Tokenizer(json_bytes, eos_token="<end>")
    assert Tokenizer(json_bytes, eos_token="<stop>").eos_id == 0


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[]", b"{}", b"not json"])
def test_not_a_tokenizer_file(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a tokenizer\.json"):
        Tokenizer(data)


def test_a_files_own_truncation_and_postprocessing_are_left_out() -> None:
    spec = json.loads(train_bpe(TEXTS, vocab_size=400))
    spec["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    spec["post_processor"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    tokenizer = Tokenizer(json.dumps(spec).encode())
    assert tokenizer.decode(tokenizer.encode([TEXTS[0]], ["web"])[0]) == TEXTS[0]
    assert learned_text(tokenizer, "the cat", "web", [(3, 1)])[0] == " cat"


def test_a_given_tokenizer(shared_data: Path) -> None:
    tokenizer = Tokenizer.open(str(shared_data / "tokenizer" / "gpt-neox-20b-tokenizer.json"))
    assert (tokenizer.eos_token, tokenizer.eos_id, tokenizer.vocab_size) == ("<|endoftext|>", 50279, 50280)
    text = "def f(x):\n        return x  # naïve <|endoftext|> <|user|>"
    for tokens in tokenizer.encode([text, text], ["code", "agent"]):
        assert tokenizer.decode(tokens) == text
        assert tokens.tolist().count(tokenizer.eos_id) == 1
    assert learned_text(tokenizer, text, "code", [(10, 16)])[0].strip() == "return x"
