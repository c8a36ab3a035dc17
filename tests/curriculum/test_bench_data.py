"""What the benchmarks eat is what they say it is, and real text keeps the promise about its size."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from curriculum.bench_data import SHARES, three_sources, web_lengths, write_shards
from curriculum.feed import Feed
from datapipe.shards import docs_path, tokens_path
from datapipe.tokenize import Tokenizer


def test_sources_hold_documents_of_web_lengths_in_their_shares(tmp_path: Path) -> None:
    tokens = np.arange(70_000, dtype=np.uint32)
    sources = three_sources(tokens, 3_000_000)
    for name, share in SHARES.items():
        mine, lengths = sources[name]
        assert mine.size == lengths.sum() <= 3_000_000 * share
        assert mine.size > 0.9 * 3_000_000 * share
        assert (np.diff(mine.astype(np.int64)) % tokens.size == 1).all()  # one after the other, and round again
    plan = write_shards(tmp_path, sources, seq_len=4096, batch_rows=8, shard_tokens=1 << 20)
    assert [source.num_shards for source in plan.stages[0].sources] == [2, 1, 1]
    batch = Feed(plan, str(tmp_path)).batch(0, plan.steps - 1)
    assert batch.tokens.shape == (8, 4096)
    assert 1_800 < web_lengths(100_000).mean() < 2_200


@pytest.mark.data
def test_real_text_takes_less_than_nine_tenths_of_a_byte_per_token(shared_data: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.open(str(shared_data / "tokenizer" / "gpt-neox-20b-tokenizer.json"))
    with tarfile.open(shared_data / "books" / "debian-handbook-en-fr.tar.gz") as archive:
        files = [archive.extractfile(member) for member in archive.getmembers() if member.isfile()]
        texts = [file.read().decode("utf-8", "ignore") for file in files[:120] if file]
    encoded = tokenizer.encode_with_spans(texts, ["book"] * len(texts), [None] * len(texts))
    lengths = np.array([len(each.tokens) for each in encoded])
    tokens = np.concatenate([np.asarray(each.tokens, np.uint32) for each in encoded])
    plan = write_shards(tmp_path, {"book": (tokens, lengths)}, seq_len=4096, batch_rows=8)
    shards = [str(tmp_path / shard.path) for shard in plan.stages[0].sources[0].shards]
    size = sum(Path(name(shard)).stat().st_size for shard in shards for name in (tokens_path, docs_path))
    assert size / tokens.size < 0.90
