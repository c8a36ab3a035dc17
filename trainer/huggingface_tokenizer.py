"""What goes with the tokenizer of an exported model: its settings, its chat template, and what generation stops at.

tokenizer.json itself is copied byte for byte, so its hash is the plan's. Training leaves out what such a file may add of
itself (post-processing, truncation, padding; see datapipe.tokenize); transformers does not. A tokenizer that this repository
trained adds nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.huggingface_config import HuggingFaceError

TEMPLATE_VERSIONS = ("glm-4.5", "glm-4.7")
STOPS = ("<|user|>", "<|observation|>")  # an assistant hands over with one of these
CHAT_TOKENS = (
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|assistant|>",
    *STOPS,
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
)


def own_template(version: str = "glm-4.5") -> str:
    """The chat template of this folder in one of the versions of `synth.render`: the one that the corpora were rendered in."""
    text = Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8")
    return text.replace('version = "glm-4.5"', f'version = "{version}"', 1)


def stop_ids(tokenizer: Path, eos_id: int) -> list[int]:
    """What a chat model's generation stops at: end of text, and the roles it hands over to, where the tokenizer has them."""
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(tokenizer))
    return [eos_id, *(token for token in map(model.token_to_id, STOPS) if token is not None)]


def tokenizer_config(
    path: Path, shape: Mapping[str, Any], config: Mapping[str, Any], chat_template: str | None
) -> dict[str, Any]:
    """The content of tokenizer_config.json for the tokenizer.json at `path` and a model of `shape` with that config.json.

    chat_template  Jinja; or the version of this folder's own (None: that of GLM-4.5), which goes with a tokenizer that has its tokens
    """
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(path))
    num_tokens = model.get_vocab_size(with_added_tokens=True)
    if num_tokens > shape["vocab_size"]:
        raise HuggingFaceError(f"{path} has {num_tokens} tokens, the model {shape['name']} only {shape['vocab_size']}.")
    end = config["eos_token_id"][0]
    token = model.id_to_token(end)
    if token is None:
        raise HuggingFaceError(f"eos_ids: {path} has no token {end}.")
    if chat_template is None or chat_template in TEMPLATE_VERSIONS:
        has_tokens = all(model.token_to_id(tag) is not None for tag in CHAT_TOKENS)
        chat_template = own_template(chat_template or TEMPLATE_VERSIONS[0]) if has_tokens else None
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": token,
        "pad_token": token,
        "model_max_length": config["max_position_embeddings"],
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        **({"chat_template": chat_template} if chat_template else {}),
    }
