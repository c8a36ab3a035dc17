"""What the benchmarks eat: document lengths of the web, tokens of real text, and shards of them."""

import sysconfig
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from curriculum import mixture
from curriculum.plan import BatchSegment, MixtureSegment, Plan, Source, Stage
from datapipe import pack
from datapipe.shards import Piece, ShardWriter
from datapipe.tokenize import Tokenizer, train_bpe

SHARES = {"web": Fraction(60, 100), "code": Fraction(28, 100), "math": Fraction(12, 100)}
TEXT_BYTES = 24 << 20
VOCABULARY = 100_000
BEYOND = 0.1  # of the tokens, in `widened`
MAX_ID = 1 << 17
TRAINED_ON = 4  # every so-manieth text trains the tokenizer

Sources = Mapping[str, tuple[np.ndarray, np.ndarray]]  # name -> tokens uint32, tokens per document


def web_lengths(count: int, seed: int = 0) -> np.ndarray:
    """Tokens per document: three log-normals (short web, web, long tail; mean about 2,000, median 666), at least 16."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=[0.7, 0.2, 0.1])
    lengths = rng.lognormal(np.array([6.3, 6.6, 8.5])[kind], np.array([1.1, 1.4, 1.2])[kind])
    return np.maximum(lengths.astype(np.int64), 16)


def text_tokens() -> tuple[np.ndarray, np.ndarray, float]:
    """The Python sources of this installation through a byte-level BPE trained on some of them.

    Tokens uint32 (n,), tokens per file int64, and characters per token. About 30 CPU seconds.
    """
    texts = list(installed_sources())
    tokenizer = Tokenizer(train_bpe(texts[::TRAINED_ON], vocab_size=VOCABULARY))
    encoded = []
    for first in range(0, len(texts), 256):
        some = texts[first : first + 256]
        encoded += tokenizer.encode_with_spans(some, ["code"] * len(some), [None] * len(some))
    lengths = np.array([len(each.tokens) for each in encoded])
    tokens = np.concatenate([np.asarray(each.tokens, np.uint32) for each in encoded])
    return tokens, lengths, sum(map(len, texts)) / tokens.size


def installed_sources() -> Iterator[str]:
    """Texts of Python files, `TEXT_BYTES` characters of them; no empty ones."""
    left = TEXT_BYTES
    for file in sorted(Path(sysconfig.get_path("purelib")).rglob("*.py")):
        text = file.read_text(encoding="utf-8", errors="ignore")
        left -= len(text)
        if left < 0:
            return
        if text:
            yield text


def three_sources(tokens: np.ndarray, count: int) -> Sources:
    """`count` tokens in the proportions of `SHARES`, as documents of web lengths. They begin again where `tokens` ends: record
    batches are compressed one by one and do not notice."""
    found = {}
    for seed, (name, share) in enumerate(SHARES.items()):
        lengths = web_lengths(int(count * share) // 500, seed)
        lengths = lengths[np.cumsum(lengths) <= int(count * share)]
        found[name] = np.resize(np.roll(tokens, -seed * 100_003), int(lengths.sum())), lengths
    return found


def widened(sources: Sources) -> Sources:
    """The same sources in a vocabulary of more than 65,536: the rarest ids, which are `BEYOND` of the tokens, move beyond that number."""
    if any(tokens.max() >> 16 for tokens, _ in sources.values()):
        raise ValueError("some tokens have ids beyond 65,536 already")
    counts = np.sum([np.bincount(tokens, minlength=MAX_ID) for tokens, _ in sources.values()], axis=0)
    rarest_first = np.argsort(counts)
    moved = rarest_first[np.cumsum(counts[rarest_first]) <= BEYOND * counts.sum()]
    ids = np.arange(MAX_ID, dtype=np.uint32)
    ids[moved] += 1 << 16
    return {name: (ids[tokens], lengths) for name, (tokens, lengths) in sources.items()}


def write_shards(root: Path, sources: Sources, *, seq_len: int, batch_rows: int, shard_tokens: int = 1 << 24) -> Plan:
    """Pack the documents of each source (concat) into shards, and plan one stage that is about one epoch of them."""
    drawn = []
    for seed, (name, (tokens, lengths)) in enumerate(sources.items()):
        packing = pack.concat(lengths, seq_len)
        source = Source(
            name=name,
            corpus=name,
            bucket="all",
            folder=f"{seq_len}/{name}",
            rows=packing.num_rows,
            num_shards=max(1, round(tokens.size / shard_tokens)),
            seed=seed,
            first_rank=0,
            rows_planned=packing.num_rows,
            tokens_planned=tokens.size,
        )
        _write_source(root, source, tokens, packing)
        drawn.append(source)
    return one_stage(drawn, seq_len=seq_len, batch_rows=batch_rows)


def one_stage(sources: list[Source], *, seq_len: int, batch_rows: int) -> Plan:
    """A plan of one stage that sees its sources about once, each in proportion to its rows."""
    rows = sum(source.rows for source in sources)
    bounds = mixture.bounds([Fraction(source.rows, rows) for source in sources])
    segments = (MixtureSegment(0, tuple(bounds), (0,) * len(sources)),)
    batch = (BatchSegment(0, batch_rows),)
    stage = Stage("bench", seq_len, "concat", rows // batch_rows, batch, tuple(sources), segments, 1e4, 0.0, 0.0, 1)
    return Plan("bench", "1", 1, "", "bench", {}, {}, {}, (stage,))


def _write_source(root: Path, source: Source, tokens: np.ndarray, packing: pack.Packing) -> None:
    stream = np.zeros(packing.num_rows * packing.seq_len, np.uint32)
    stream[: tokens.size] = tokens
    rows = zip(stream.reshape(-1, packing.seq_len), packing.rows(), strict=True)
    for shard in source.shards:
        with ShardWriter(str(root / shard.path), seq_len=packing.seq_len, sources=(source.name,)) as writer:
            for _ in range(shard.rows):
                row_tokens, row = next(rows)
                writer.add(row_tokens, [_piece(source.name, *each) for each in row])


def _piece(name: str, document: int, offset: int, start: int, length: int) -> Piece:
    origin = f"https://{name}.example/a/page/of/usual/length/{document}.html"
    return Piece(f"{document:032x}", start, length, None, origin, 0, offset)
