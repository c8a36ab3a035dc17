"""Text to token ids and back: a byte-level BPE trained in the run, or a given tokenizer.json.

Unusual here:
- Markup such as `<|user|>` becomes special tokens only in rendered rows (kinds `qa`, `agent`, `reasoning`), and only the strings of
  `SPECIAL_TOKENS` do. Everywhere else it is text, so a web page cannot forge a turn, and nothing written in a text ends a document.
  `encode_sequences` is the other way to a special token: the caller names it by its id, between texts (datapipe/fim.py).
- A text is encoded in pieces of at most `PIECE_CHARS` characters, cut before whitespace, where a GPT-like pre-tokeniser cuts too: the
  ids are those of the whole text. A run of more than `PIECE_CHARS` characters without whitespace is cut inside. Cost stays linear and
  memory bounded for any document, and ids never depend on the batch a text came in.
- Truncation, padding and post-processing that a tokenizer.json may carry are left out: they cut documents or add tokens unasked.

Cost: 2 million characters per second and core (English and code, 8k entries), 1.3 million with loss spans; training 0.35 s per million
characters. Not covered: SentencePiece and tiktoken files; added tokens that swallow the spaces beside them.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

END_OF_TEXT = "<|endoftext|>"
CHAT_TOKENS = (  # prefix, roles and tags of the GLM-4.5 chat template (GLM-4.5 report §3: function calls in tags, few escapes)
    *("[gMASK]", "<sop>", "/nothink"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
    *("<tool_response>", "</tool_response>"),
)
FILL_IN_TOKENS = ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>")
SPECIAL_TOKENS = (END_OF_TEXT, *CHAT_TOKENS, *FILL_IN_TOKENS)
RENDERED_KINDS = frozenset({"qa", "agent", "reasoning"})

PIECE_CHARS = 65_536
_BATCH_CHARS = 1 << 20  # texts handed to the library at once: its Encoding objects take some 100 bytes per token
_EOS_NAMES = (END_OF_TEXT, "</s>", "<|end_of_text|>", "<|eos|>", "<eos>", "<EOS>", "[EOS]", "<｜end▁of▁sentence｜>")

# Names of fill-in tokens: of GLM, StarCoder, Qwen, DeepSeek, CodeGemma, Code Llama, Mistral.
_FILL_IN_NAMES = re.compile(r"(?i)fim|prefix|suffix|middle|\b(?:pre|suf|mid)\b")

# GPT-2's pattern (Radford et al. 2019, encoder.py) with every digit alone and combining marks kept on their letters.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"
# A "word" this long is an encoded blob or a ruler: it teaches no merge worth having and costs the trainer quadratic time.
_BLOB = re.compile(r"[^\W\d_]{256,}|(?:[^\w\s]|_){256,}")
_LAST_WORD_END = re.compile(r"(?s).*\S(?=\s)")

Span = tuple[int, int]  # start, length


class Encoded(NamedTuple):
    tokens: np.ndarray  # uint32 (tokens,), the last one is eos
    loss_spans: tuple[Span, ...] | None  # in tokens; None = every token is learned


def train_bpe(texts: Iterable[str], *, vocab_size: int, special_tokens: Sequence[str] = SPECIAL_TOKENS) -> bytes:
    """A byte-level BPE over `texts` as the bytes of a tokenizer.json: any text can be encoded, and decodes to itself.

    The same texts in any order give the same bytes: word counts add up exactly, and the library breaks ties between pairs by their ids.
    The vocabulary is smaller than `vocab_size` when the texts run out of pairs. ValueError when it has no room for bytes and specials.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    smallest = 256 + len(special_tokens)
    if vocab_size < smallest:
        raise ValueError(
            f"vocab_size {vocab_size} has no room for 256 bytes and {len(special_tokens)} special tokens: at least {smallest}"
        )
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, normalized=False, special=True) for token in special_tokens],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator((_BLOB.sub(" ", piece) for text in texts for _, piece in pieces(text)), trainer)
    return model.to_str().encode()


def pieces(text: str, limit: int = PIECE_CHARS) -> Iterator[tuple[int, str]]:
    """(offset, piece): the text in pieces of at most `limit` characters, cut where a word ends and whitespace begins.

    Without such a place a piece has exactly `limit` characters.
    """
    start = 0
    while len(text) - start > limit:
        cut = _LAST_WORD_END.match(text, start, start + limit + 1)
        end = cut.end() if cut else start + limit
        yield start, text[start:end]
        start = end
    yield start, text[start:]


class Tokenizer:
    """A tokenizer.json, ready to encode batches of documents; every encoded document ends in `eos_id`.

    Turns the library's own threads off for the process, because its caller runs one process per core.
    """

    def __init__(self, json_bytes: bytes, *, eos_token: str | None = None, markers: Sequence[str] = ()) -> None:
        """markers: added tokens that no text may make, though the file does not call them special: those of DeepSeek are such.

        ValueError when the file is no tokenizer.json, when `eos_token` is absent or, not given, cannot be told, and when it lacks a marker.
        """
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        self._model = _load_model(json_bytes, (*CHAT_TOKENS, *FILL_IN_TOKENS, *markers))
        self._model.encode_special_tokens = (
            True  # special tokens found in a text are text: `_segments` alone makes them
        )
        self.vocab_size: int = self._model.get_vocab_size(with_added_tokens=True)
        added = {token.content: token_id for token_id, token in self._model.get_added_tokens_decoder().items()}
        self.eos_token = _find_eos(added, eos_token)
        self.eos_id: int = added[self.eos_token]
        self._added = added
        self.markers = self.marker_ids(markers)
        self._markup = {token: added[token] for token in (*CHAT_TOKENS, *FILL_IN_TOKENS) if token in added}
        self._markup_pattern = re.compile("|".join(map(re.escape, self._markup))) if self._markup else None

    @classmethod
    def open(cls, path: str, *, eos_token: str | None = None, markers: Sequence[str] = ()) -> "Tokenizer":
        """The tokenizer in the file at `path` (local or s3://)."""
        from datapipe import store

        try:
            return cls(store.read_bytes(path), eos_token=eos_token, markers=markers)
        except ValueError as error:
            error.add_note(f"while loading the tokenizer {path}")
            raise

    def marker_ids(self, names: Sequence[str]) -> list[int]:
        """Ids of these added tokens, in order. ValueError when one is missing, with the fill-in tokens that are there."""
        if missing := [name for name in names if name not in self._added]:
            candidates = sorted(name for name in self._added if _FILL_IN_NAMES.search(name))
            raise ValueError(
                f"the tokenizer has no token {', '.join(map(repr, missing))}; its added tokens with names like these: "
                f"{', '.join(candidates) or 'none'}"
            )
        return [self._added[name] for name in names]

    def encode(self, texts: Sequence[str], kinds: Sequence[str]) -> list[np.ndarray]:
        """Token ids of each text, uint32 (tokens,), ending in `eos_id`. `kinds` says per text whether markup is special."""
        return [encoded.tokens for encoded in self.encode_with_spans(texts, kinds, [None] * len(texts))]

    def encode_with_spans(
        self, texts: Sequence[str], kinds: Sequence[str], loss_spans: Sequence[Sequence[Span] | None]
    ) -> list[Encoded]:
        """Like `encode`, with the loss spans of each text (start, length in characters; None = all) turned into spans of tokens.

        A token is learned when it overlaps a span; the final eos when the last span reaches the end of the text.
        """
        wanted = [spans is not None for spans in loss_spans]
        parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in texts]
        segments = (
            segment
            for row, (text, kind) in enumerate(zip(texts, kinds, strict=True))
            for segment in self._segments(row, text, kind in RENDERED_KINDS)
        )
        for batch in _batches(segments):
            for segment, ids, offsets in self._encode_batch(batch, with_offsets=any(wanted[s.row] for s in batch)):
                parts[segment.row].append((ids, offsets + segment.start))
        eos = np.array([self.eos_id], np.uint32)
        encoded = []
        for text, row, spans in zip(texts, parts, loss_spans, strict=True):
            tokens = np.concatenate([*(ids for ids, _ in row), eos])
            offsets_T2 = np.concatenate([offsets for _, offsets in row])
            encoded.append(Encoded(tokens, None if spans is None else _token_spans(offsets_T2, spans, len(text))))
        return encoded

    def encode_sequences(self, sequences: Sequence[Sequence[str | int]]) -> list[np.ndarray]:
        """Token ids of each sequence, uint32 (tokens,), ending in `eos_id`: an int is a token, a text is encoded apart from what is beside
        it, and markup in it is text."""
        parts: list[list[np.ndarray]] = [[] for _ in sequences]
        segments = (segment for row, sequence in enumerate(sequences) for segment in _sequence_segments(row, sequence))
        for batch in _batches(segments):
            for segment, ids, _ in self._encode_batch(batch, with_offsets=False):
                parts[segment.row].append(ids)
        eos = np.array([self.eos_id], np.uint32)
        return [np.concatenate([*ids, eos]) for ids in parts]

    def decode(self, tokens: np.ndarray | Sequence[int]) -> str:
        """The text of `tokens` with special tokens spelt out; one final eos is left out, so decoding undoes `encode`."""
        ids = np.asarray(tokens).tolist()
        if ids and ids[-1] == self.eos_id:
            ids.pop()
        return self._model.decode(ids, skip_special_tokens=False)

    def _encode_batch(
        self, batch: list["_Segment"], *, with_offsets: bool
    ) -> Iterator[tuple["_Segment", np.ndarray, np.ndarray]]:
        """Each segment with its ids (tokens,) and their [begin, end) in characters of the segment (tokens, 2), empty unless wanted."""
        encode = self._model.encode_batch if with_offsets else self._model.encode_batch_fast
        encodings = iter(encode([segment.text for segment in batch if segment.token is None], add_special_tokens=False))
        for segment in batch:
            if segment.token is None:
                encoding = next(encodings)
                ids, offsets = encoding.ids, encoding.offsets if with_offsets else []
            else:
                ids, offsets = [segment.token], [(0, len(segment.text))]
            yield segment, np.array(ids, np.uint32), np.array(offsets, np.int64).reshape(-1, 2)

    def _segments(self, row: int, text: str, rendered: bool) -> Iterator["_Segment"]:
        """`text` as bounded pieces of plain text and, in a rendered row, special tokens between them."""
        position = 0
        for match in self._markup_pattern.finditer(text) if rendered and self._markup_pattern else ():
            for start, piece in pieces(text[position : match.start()]):
                yield _Segment(row, position + start, piece, None)
            yield _Segment(row, match.start(), match.group(), self._markup[match.group()])
            position = match.end()
        for start, piece in pieces(text[position:]):
            yield _Segment(row, position + start, piece, None)


class _Segment(NamedTuple):
    row: int
    start: int  # characters from the beginning of the text
    text: str
    token: int | None  # id of a special token; None = to be encoded


def _sequence_segments(row: int, sequence: Sequence[str | int]) -> Iterator[_Segment]:
    for each in sequence:
        if isinstance(each, int):
            yield _Segment(row, 0, "", each)
        else:
            yield from (_Segment(row, start, piece, None) for start, piece in pieces(each))


def _batches(segments: Iterable[_Segment]) -> Iterator[list[_Segment]]:
    """The segments in order, in lists of bounded size."""
    batch: list[_Segment] = []
    size_chars = 0
    for segment in segments:
        batch.append(segment)
        size_chars += len(segment.text)
        if size_chars >= _BATCH_CHARS:
            yield batch
            batch, size_chars = [], 0
    if batch:
        yield batch


def _load_model(json_bytes: bytes, markers: Sequence[str]) -> Any:
    """The library's tokenizer without what would change the length of a document; `markers` are special, so that no text makes them."""
    from tokenizers import Tokenizer as Model

    try:
        spec = json.loads(json_bytes)
    except ValueError as error:
        raise ValueError(
            f"not a tokenizer.json of the `tokenizers` library ({error}): expected a JSON object"
        ) from None
    if not isinstance(spec, dict) or "model" not in spec:
        raise ValueError(
            "not a tokenizer.json of the `tokenizers` library: expected a JSON object with the key `model`"
        )
    for token in spec.get("added_tokens") or ():
        if token["content"] in markers:
            token["special"] = True
    return Model.from_str(json.dumps({**spec, "truncation": None, "padding": None, "post_processor": None}))


def _find_eos(added: dict[str, int], eos_token: str | None) -> str:
    """The token that ends a document: the one asked for, or the first known name among the added tokens."""
    candidates = [eos_token] if eos_token is not None else list(_EOS_NAMES)
    found = next((name for name in candidates if name in added), None)
    if found is None:
        listed = ", ".join(sorted(name for name in added if name.strip())) or "none"
        wanted = f"has no token {eos_token!r}" if eos_token is not None else "has no known end-of-text token"
        raise ValueError(f"the tokenizer {wanted}; set eos_token to one of its added tokens: {listed}")
    return found


def _token_spans(offsets_T2: np.ndarray, spans: Sequence[Span], text_chars: int) -> tuple[Span, ...]:
    """Runs of learned tokens as (start, length); `offsets_T2` holds each token's [begin, end) in characters, eos not included."""
    learned = np.zeros(len(offsets_T2) + 1, bool)
    for start, length in spans:
        learned[:-1] |= (offsets_T2[:, 0] < start + length) & (offsets_T2[:, 1] > start)
    learned[-1] = any(length > 0 and start + length >= text_chars for start, length in spans)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], learned.astype(np.int8), [0]])))
    return tuple((int(begin), int(end - begin)) for begin, end in edges.reshape(-1, 2))
