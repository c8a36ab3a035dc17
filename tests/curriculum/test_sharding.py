"""From documents to shards: every token of every document comes out once, at the place that the index names, with its loss spans; who is
rearranged for fill-in-the-middle, and who is left."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum import doc_index, sharding
from curriculum.plan import shard_path
from datapipe import exchange
from datapipe.fim import Fim, read, restored
from datapipe.schema import LOSS_SPANS, documents
from datapipe.shards import ShardReader
from datapipe.tokenize import END_OF_TEXT, FILL_IN_TOKENS, SPECIAL_TOKENS, Tokenizer, train_bpe

SEED, EOS = 3, 0
Documents = list[tuple[str, np.ndarray, tuple[int, int] | None]]  # origin, tokens, loss span


def draw_documents(rng: np.random.Generator, name: str, count: int, longest: int) -> Documents:
    """Documents of all lengths, some from repositories of a few files, some with a loss span."""
    drawn: Documents = []
    for k in range(count):
        origin = f"{name}-{k // 5}@1.0:file{k}.py" if rng.random() < 0.5 else f"https://{name}.example/{k}"
        tokens = rng.integers(1, 2**20, rng.integers(0, longest)).astype(np.uint32)
        start = int(rng.integers(0, tokens.size + 1))
        span = (start, int(rng.integers(0, tokens.size - start + 1))) if rng.random() < 0.3 else None
        drawn.append((origin, tokens, span if span and span[1] else None))
    return drawn


def write_part(path: Path, documents: Documents, buckets: list[str], rng: np.random.Generator) -> np.ndarray:
    bucket = rng.integers(0, len(buckets), len(documents))
    table = pa.table(
        {
            "id": [f"id of {origin}" for origin, _, _ in documents],
            "origin": [origin for origin, _, _ in documents],
            "tokens": pa.array([tokens for _, tokens, _ in documents], pa.large_list(pa.uint32())),
            LOSS_SPANS: [span and [{"start": span[0], "length": span[1]}] for _, _, span in documents],
        },
        schema=sharding.TOKENS,
    )
    counted = sharding.write_tokens(str(path), table, bucket, buckets, SEED)
    assert sum(each["tokens"] for each in counted["buckets"].values()) == sum(t.size for _, t, _ in documents)
    return bucket


class Corpus:
    """Parts of random documents below a folder, and the members they make in a layout."""

    def __init__(self, root: Path, name: str, first_part: int, rng: np.random.Generator, longest: int, related: bool):
        self.buckets, self.name = ["high", "low"], name
        self.documents: dict[str, tuple[str, np.ndarray, tuple[int, int] | None]] = {}
        self.parts = []
        for number in range(2):
            documents = draw_documents(rng, f"{name}{number}", int(rng.integers(0, 40)), longest)
            self.parts.append(str(root / f"{name}-{number}.arrow"))
            bucket = write_part(Path(self.parts[-1]), documents, self.buckets, rng)
            for (origin, tokens, span), b in zip(documents, bucket.tolist(), strict=True):
                self.documents[f"id of {origin}"] = (f"{name}/{self.buckets[b]}", tokens, span)
        self.first_part, self.related = first_part, related

    def members(self, root: Path, fills: bool) -> list[sharding.Member]:
        return [
            sharding.Member(
                source=f"{self.name}/{bucket}",
                bucket=index,
                first_part=self.first_part,
                lengths=[sharding.lengths_path(part) for part in self.parts],
                related=self.related,
                fills=fills,
                layout_path=str(root / self.name / bucket / "layout.arrow"),
                index_path=str(root / self.name / bucket / doc_index.FILE),
            )
            for index, bucket in enumerate(self.buckets)
        ]


def make_shards(root: Path, corpora: list[Corpus], fills: bool, method: str, seq_len: int) -> list[dict[str, Any]]:
    """Lay out, scatter and pack; returns the counts of every member."""
    members = [member for c in corpora for member in c.members(root, fills and c is corpora[-1])]
    parts = [part for corpus in corpora for part in corpus.parts]
    packing = {"method": method, "seq_len": seq_len, "shard_tokens": 5 * seq_len}
    counts = sharding.lay_out(output="", members=members, num_parts=len(parts), **packing)["members"]
    for member, count in zip(members, counts, strict=True):
        if not count["num_shards"]:
            continue
        exchanged = []
        for number, part in enumerate(parts):
            exchanged.append(f"{member.layout_path}-{number}")
            arguments = {
                "tokens": part,
                "layout": member.layout_path,
                "part": number,
                "num_shards": count["num_shards"],
            }
            sharding.scatter_part(output=exchanged[-1], **arguments)
        rows, num_shards = count["rows"], count["num_shards"]
        for shard in range(num_shards):
            sharding.pack_shard(
                output=shard_path(str(Path(member.index_path).parent), shard),
                exchanged=exchanged,
                shard=shard,
                rows=(shard + 1) * rows // num_shards - shard * rows // num_shards,
                seq_len=seq_len,
                sources=[each.source for each in members],
                eos_id=EOS,
            )
    return [{**count, "member": member} for member, count in zip(members, counts, strict=True)]


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**31), st.sampled_from([16, 64, 100]), st.sampled_from(["concat", "best_fit", "related", "fill"])
)
def test_every_token_of_every_source_comes_out_once(
    tmp_path_factory: pytest.TempPathFactory, seed: int, seq_len: int, kind: str
) -> None:
    root, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(seed)
    corpora = [Corpus(root, "long", 0, rng, 3 * seq_len, kind == "related")]
    if kind == "fill":
        corpora.append(Corpus(root, "short", 2, rng, seq_len // 3, False))
    counts = make_shards(root, corpora, kind == "fill", "concat" if kind == "concat" else "best_fit", seq_len)
    documents = {identity: each for corpus in corpora for identity, each in corpus.documents.items()}
    found = {identity: np.zeros(tokens.size, np.int64) for identity, (_, tokens, _) in documents.items()}
    by_source: dict[str, int] = {}
    for count in counts:
        member: sharding.Member = count["member"]
        folder = str(Path(member.index_path).parent)
        padding = 0
        for shard in range(count["num_shards"]):
            reader = ShardReader(shard_path(folder, shard))
            for row in range(reader.rows):
                tokens, pieces = reader.read(np.array([row]))[0], reader.pieces(row)
                for piece in pieces:
                    source, whole, span = documents[piece.doc]
                    assert reader.sources[piece.source] == source
                    assert source == member.source or (kind == "fill" and source.startswith("short/"))
                    part = slice(piece.offset, piece.offset + piece.length)
                    assert (tokens[piece.start : piece.start + piece.length] == whole[part]).all()
                    found[piece.doc][part] += 1
                    by_source[source] = by_source.get(source, 0) + piece.length
                    assert piece.loss_spans == visible(span, piece.offset, piece.start, piece.length)
                    order = doc_index.document_order(piece.doc, SEED)
                    place = (source, shard, row, piece.start, piece.offset, piece.length)
                    indexed = doc_index.find(folder, order)
                    assert place in [(f.source, f.shard, f.row, f.start, f.offset, f.length) for f in indexed]
                used = sum(piece.length for piece in pieces)
                assert (tokens[used:] == EOS).all()
                padding += seq_len - used
        assert padding == count["padding"]
    assert all((times == 1).all() for times in found.values())
    told: dict[str, int] = {}
    for count in counts:
        for source, tokens in count["tokens_by_source"].items():
            told[source] = told.get(source, 0) + tokens
    assert told == by_source


def visible(span: tuple[int, int] | None, offset: int, start: int, length: int) -> tuple[tuple[int, int], ...] | None:
    if span is None:
        return None
    learned = [start + t - offset for t in range(offset, offset + length) if span[0] <= t < span[0] + span[1]]
    return ((learned[0], len(learned)),) if learned else ()


def test_files_of_a_repository_share_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    documents: Documents = [
        (f"repo{k}@1:{n}.py", rng.integers(1, 99, 12).astype(np.uint32), None) for n in range(4) for k in range(6)
    ]
    corpus = Corpus(tmp_path, "code", 0, rng, 4, True)
    write_part(Path(corpus.parts[0]), documents, ["high"], rng)
    member = corpus.members(tmp_path, False)[0]._replace(lengths=[sharding.lengths_path(corpus.parts[0])])
    packing = {"method": "best_fit", "seq_len": 64, "shard_tokens": 1 << 20}
    sharding.lay_out(output="", members=[member], num_parts=1, **packing)
    rows: dict[int, set[int]] = {}
    for origin, _, _ in documents:
        (piece,) = doc_index.find(
            str(Path(member.index_path).parent), doc_index.document_order(f"id of {origin}", SEED)
        )
        rows.setdefault(sharding.related_key(origin), set()).add(piece.row)
    assert [len(each) for each in rows.values()] == [1] * 6
    assert sharding.related_key("https://host/path") == sharding.related_key("plain") == 0


LETTERS = Tokenizer(train_bpe([], vocab_size=256 + len(SPECIAL_TOKENS)), markers=FILL_IN_TOKENS)  # a token per letter


def tokenised(folder: Path, texts: list[str], longest: int | None, spans: Any = None, fim: Fim | None = None) -> Any:
    """(what is returned, tokens by text, the lengths' table) of one part."""
    rows = [{"text": text, "origin": str(number), "kind": "code"} for number, text in enumerate(texts)]
    if spans is not None:
        rows = [{**row, "loss_spans": each} for row, each in zip(rows, spans, strict=True)]
    pq.write_table(documents(rows), folder / "part.parquet")
    (folder / "tokenizer.json").write_bytes(train_bpe([], vocab_size=256 + len(SPECIAL_TOKENS)))
    output = str(folder / "part-00000.arrow")
    told = sharding.tokenize_part(
        output=output,
        part=str(folder / "part.parquet"),
        tokenizer=str(folder / "tokenizer.json"),
        buckets=["all"],
        seed=5,
        fim=fim or Fim(rate=1.0),
        longest=longest,
    )
    table = exchange.read_slice([output], 0)
    assert table.schema == sharding.TOKENS
    lengths = exchange.read_slice([sharding.lengths_path(output)], 0)
    return told, [np.array(tokens, np.uint32) for tokens in table["tokens"].to_pylist()], lengths


def test_a_document_that_would_not_fit_with_its_markers_is_left(tmp_path: Path) -> None:
    """Three markers and the end of text: a row of 20 holds 16 letters that are rearranged, and 19 that are not."""
    texts = ["x" * count for count in (2, 3, 15, 16, 17, 19, 20, 100)]
    told, tokens, lengths = tokenised(tmp_path, texts, 20)
    rearranged = [False, True, True, True, False, False, False, False]
    assert [bool(np.isin(LETTERS.markers, each).all()) for each in tokens] == rearranged
    assert lengths["fim"].to_pylist() == rearranged
    assert [each.size for each in tokens] == [
        len(t) + (4 if fim else 1) for t, fim in zip(texts, rearranged, strict=True)
    ]
    assert lengths["length"].to_pylist() == [each.size for each in tokens]
    assert told["fim"]["psm"] + told["fim"]["spm"] == 3
    assert told["fim"]["too_long"] == 4
    assert told["buckets"]["all"] == {"documents": 8, "tokens": sum(each.size for each in tokens)}
    told, tokens, lengths = tokenised(tmp_path, texts, None)
    assert lengths["fim"].to_pylist() == [False] + [True] * 7
    assert told["fim"]["too_long"] == 0


def test_a_document_with_loss_spans_and_an_empty_one_are_left(tmp_path: Path) -> None:
    spans = [None, [{"start": 0, "length": 2}], [], None]
    told, _, lengths = tokenised(tmp_path, ["letters", "letters", "letters", ""], None, spans)
    assert lengths["fim"].to_pylist() == [True, False, False, False]
    assert told["fim"]["psm"] + told["fim"]["spm"] == 1


def test_the_form_of_a_document_depends_on_no_other() -> None:
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("abc \n"), rng.integers(0, 30))) for _ in range(60)]
    docs = documents([{"text": text, "origin": str(number), "kind": "code"} for number, text in enumerate(texts)])
    together, forms = sharding._rearranged(LETTERS, docs, 5, Fim(), 24)
    alone = [sharding._rearranged(LETTERS, docs.slice(row, 1), 5, Fim(), 24) for row in range(60)]
    assert {row: found[0].tolist() for row, (found, _) in enumerate(alone) if found} == {
        row: tokens.tolist() for row, tokens in together.items()
    }
    assert sum((each for _, each in alone), Counter()) == forms
    assert set(forms) == set(sharding.FIM_FORMS)


def test_tokenizers_of_other_families_have_other_names(tmp_path: Path) -> None:
    names = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    (tmp_path / "tokenizer.json").write_bytes(train_bpe([], vocab_size=300, special_tokens=[END_OF_TEXT, *names]))
    pq.write_table(
        documents([{"text": "some <fim_prefix> text", "origin": "a", "kind": "code"}]), tmp_path / "part.parquet"
    )
    told = sharding.tokenize_part(
        output=str(tmp_path / "part.arrow"),
        part=str(tmp_path / "part.parquet"),
        tokenizer=str(tmp_path / "tokenizer.json"),
        buckets=["all"],
        seed=1,
        fim=Fim(1.0, 0.0, names),
    )
    assert told["fim"] == {"psm": 1, "spm": 0, "too_long": 0}
    tokenizer = Tokenizer.open(str(tmp_path / "tokenizer.json"), markers=names)
    tokens = exchange.read_slice([str(tmp_path / "part.arrow")], 0)["tokens"].to_numpy()[0]
    assert tokens[0] == tokenizer.markers[0] == 1
    sequence = read(tokens, tokenizer.markers, tokenizer.decode)
    assert sequence is not None
    assert restored(sequence, tokenizer.markers) == "some <fim_prefix> text"


def test_without_the_key_nothing_is_written_that_was_not_before(tmp_path: Path) -> None:
    """An interrupted build of an earlier version goes on: its lengths have no column `fim`, and need none."""
    pq.write_table(documents([{"text": "text", "origin": "a", "kind": "code"}]), tmp_path / "part.parquet")
    (tmp_path / "tokenizer.json").write_bytes(train_bpe([], vocab_size=300))
    output = str(tmp_path / "part.arrow")
    arguments = {
        "part": str(tmp_path / "part.parquet"),
        "tokenizer": str(tmp_path / "tokenizer.json"),
        "buckets": ["all"],
        "seed": 1,
    }
    told = sharding.tokenize_part(output=output, **arguments)
    assert set(told) == {"buckets", "lengths"}
    assert exchange.read_slice([sharding.lengths_path(output)], 0).schema == sharding.LENGTHS
    assert pa.schema([*sharding.LENGTHS, sharding.IS_FIM]).names == ["order", "related", "length", "fim"]
