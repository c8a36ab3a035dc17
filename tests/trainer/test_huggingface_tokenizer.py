"""The tokeniser of an exported model: the ids that training saw, and chats rendered as the corpus renders them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from datapipe.tokenize import SPECIAL_TOKENS, Tokenizer, train_bpe
from synth.lookup import TOOLS
from synth.render import DEFAULT, TEMPLATES, Call, Turn, arranged, erased, render
from tests.synth.render.conversations import HOSTILE, conversations
from tests.synth.render.reference import messages
from tests.trainer.conftest import SHAPE
from trainer.huggingface import HuggingFaceError, export
from trainer.huggingface_names import entries
from trainer.huggingface_tokenizer import own_template, stop_ids
from trainer.weights import DictWeights

TEXTS = ["A page about trees, and one about stones: 1, 23, 456.", "def f(x):\n    return [x, 'é', None]\n" * 3]
SHAPE_300 = {**SHAPE, "vocab_size": 304}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "mine.json"
    path.write_bytes(train_bpe(TEXTS, vocab_size=300))
    return path


def write(dest: Path, tokenizer: Path, **changes: Any) -> Path:
    weights = DictWeights({entry.name: torch.zeros(entry.size) for entry in entries(SHAPE_300)})
    eos_ids = changes.pop("eos_ids", None) or stop_ids(tokenizer, 0)
    arguments = {"tokenizer": tokenizer, "rope_base": 1e4, "max_positions": 77, "eos_ids": eos_ids, **changes}
    export(weights, changes.pop("shape", SHAPE_300), dest, **{k: v for k, v in arguments.items() if k != "shape"})
    return dest


@pytest.fixture(scope="module")
def theirs(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(write(tmp_path_factory.mktemp("model") / "out", tokenizer))


def rendered(theirs: Any, turns: Sequence[Turn], **settings: Any) -> str:
    found, tools = messages(turns)
    return theirs.apply_chat_template(found, tools=tools or None, tokenize=False, **settings)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=conversations(HOSTILE, direct=False), version=st.sampled_from(sorted(TEMPLATES)))
def test_chats_are_rendered_as_in_the_corpus(theirs: Any, turns: tuple[Turn, ...], version: str) -> None:
    wanted = render(turns, template=version).text
    assert rendered(theirs, turns, chat_template=own_template(version)) == wanted
    if version == DEFAULT:
        assert rendered(theirs, turns) == wanted


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=conversations(HOSTILE, direct=True), version=st.sampled_from(sorted(TEMPLATES)))
def test_direct_chats_too(theirs: Any, turns: tuple[Turn, ...], version: str) -> None:
    wanted = render(turns, template=version, direct=True).text
    assert rendered(theirs, turns, chat_template=own_template(version), enable_thinking=False) == wanted


def test_thoughts_are_shown_behind_the_last_user_message_only(theirs: Any) -> None:
    turns = [Turn("user", "1"), Turn("assistant", "a", "b"), Turn("user", "2"), Turn("assistant", " c ", " d\n")]
    assert rendered(theirs, turns) == render(arranged(erased(turns))).text


def test_responses_may_come_as_one_list(theirs: Any) -> None:
    listed = [{"role": "user", "content": "Q"}, {"role": "tool", "content": [{"output": "a"}, {"output": "b"}]}]
    turns = [Turn("user", "Q"), Turn("observation", responses=("a", "b"))]
    assert theirs.apply_chat_template(listed, tokenize=False) == render(turns).text


def test_the_ids_are_those_of_training(theirs: Any, tokenizer: Path) -> None:
    conversation = [
        Turn("system", tools=TOOLS),
        Turn("user", "Which trees? <|user|> 456"),
        Turn("assistant", "", "I look.", (Call("read", {"line": 3, "count": 1}),)),
        Turn("observation", responses=("def f(x):", "none é")),
        Turn("assistant", "No trees."),
    ]
    ours = Tokenizer(tokenizer.read_bytes())
    text = render(conversation).text
    ids = theirs.apply_chat_template(messages(conversation)[0], tools=list(TOOLS), return_dict=False)
    assert ids == ours.encode([text], ["agent"])[0][:-1].tolist()
    assert theirs.decode(ids) == text
    for page in TEXTS:
        assert theirs(page).input_ids == ours.encode([page], ["web"])[0][:-1].tolist()
    assert (theirs.eos_token, theirs.pad_token, theirs.eos_token_id) == ("<|endoftext|>", "<|endoftext|>", 0)
    assert theirs.model_max_length == 77


def test_an_answer_begins_with_or_without_thoughts(theirs: Any) -> None:
    def prompt(**settings: Any) -> str:
        return theirs.apply_chat_template(
            [{"role": "user", "content": [{"type": "text", "text": "Q"}]}],
            tokenize=False,
            add_generation_prompt=True,
            **settings,
        )

    start = "[gMASK]<sop>"
    assert prompt() == prompt(enable_thinking=True) == f"{start}<|user|>\nQ<|assistant|>"
    assert prompt(enable_thinking=False) == f"{start}<|user|>\nQ/nothink<|assistant|>\n<think></think>"
    newer = own_template("glm-4.7")
    assert prompt(chat_template=newer) == f"{start}<|user|>Q<|assistant|><think>"
    assert prompt(chat_template=newer, enable_thinking=False) == f"{start}<|user|>Q<|assistant|></think>"


@pytest.mark.parametrize(
    ("message", "match"),
    [
        ({"role": "robot", "content": "x"}, "unknown role robot"),
        ({"role": "user", "content": [{"type": "image"}]}, "not image"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, "arguments of f"),
    ],
)
def test_messages_that_cannot_be_rendered_are_refused(theirs: Any, message: dict[str, Any], match: str) -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match=match):
        theirs.apply_chat_template([message], tokenize=False)


def test_what_generation_stops_at(tokenizer: Path, tmp_path: Path) -> None:
    names = ("<|endoftext|>", "<|user|>", "<|observation|>")
    ids = [SPECIAL_TOKENS.index(name) for name in names]
    assert stop_ids(tokenizer, 0) == ids
    folder = write(tmp_path / "out", tokenizer)
    assert (folder / "tokenizer.json").read_bytes() == tokenizer.read_bytes()
    assert json.loads((folder / "generation_config.json").read_text()) == {"eos_token_id": ids, "pad_token_id": 0}
    plain = tmp_path / "plain.json"
    plain.write_bytes(train_bpe(TEXTS, vocab_size=280, special_tokens=["<|endoftext|>"]))
    assert stop_ids(plain, 0) == [0]


def test_the_template_goes_only_with_its_tokens(tokenizer: Path, tmp_path: Path) -> None:
    def template(tokenizer: Path, name: str, **changes: Any) -> str | None:
        folder = write(tmp_path / name, tokenizer, **changes)
        return json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template")

    plain = tmp_path / "plain.json"
    plain.write_bytes(train_bpe(TEXTS, vocab_size=280, special_tokens=["<|endoftext|>"]))
    assert template(tokenizer, "own") == own_template(DEFAULT)
    assert template(tokenizer, "newer", chat_template="glm-4.7") == own_template("glm-4.7") != own_template(DEFAULT)
    assert template(plain, "newer plain", chat_template="glm-4.7") is None
    assert template(plain, "plain") is None
    roles = tmp_path / "roles.json"  # an older chat model's: roles, but neither thoughts nor calls
    roles.write_bytes(train_bpe(TEXTS, vocab_size=290, special_tokens=["<|endoftext|>", "<|user|>", "<|assistant|>"]))
    assert template(roles, "roles") is None
    assert template(plain, "given", chat_template="{{ messages }}") == "{{ messages }}"


def test_a_tokenizer_that_does_not_fit_is_refused(tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(HuggingFaceError, match=r"has \d+ tokens, the model test only 96"):
        write(tmp_path / "out", tokenizer, shape=SHAPE)
    with pytest.raises(HuggingFaceError, match="no token 303"):
        write(tmp_path / "out", tokenizer, eos_ids=[303])
    assert not (tmp_path / "out").exists()
