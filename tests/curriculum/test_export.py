"""The export for Megatron: megatron-core's own GPTDataset draws exactly our packed rows, and what is done is not done again."""

import dataclasses
import json
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curriculum.collate import IGNORED, collate
from curriculum.export import ExportError, export_megatron
from curriculum.plan import BatchSegment, MixtureSegment, Plan, Source, Stage
from datapipe import store
from datapipe.megatron_file import MegatronFile
from datapipe.shards import ChecksumError, Piece, ShardError, ShardReader, ShardWriter, tokens_path
from tests.plans import make_source

EOS, VOCAB, KEY = 7, 300, "0123456789ab"


def write_source(root: str, name: str, *, seq_len: int, shards: list[int], planned: int, vocab: int = VOCAB) -> Source:
    """A source whose documents end in eos or with their row; some rows are not full."""
    rng = np.random.default_rng([seq_len, len(name)])
    folder = f"shards/{name}/all/concat-{seq_len}-{KEY}"
    source = make_source(name, sum(shards), len(shards), folder=folder, rows_planned=planned)
    for shard in source.shards:
        with ShardWriter(store.join(root, shard.path), seq_len=seq_len) as writer:
            for row in range(shard.rows):
                tokens = rng.integers(EOS + 1, vocab, seq_len).astype(np.uint32)
                ends = np.unique(rng.integers(1, seq_len, 3))
                tokens[ends - 1] = EOS
                if rng.integers(2):
                    tokens[ends[-1] :] = EOS
                else:
                    ends = np.append(ends, seq_len)
                cuts = pairwise([0, *ends.tolist()])
                writer.add(tokens, [Piece(f"{row}-{begin}", begin, end - begin) for begin, end in cuts])
    return source


def make_stage(name: str, seq_len: int, sources: tuple[Source, ...]) -> Stage:
    rows = sum(source.rows_planned for source in sources)
    mixture = (MixtureSegment(0, tuple(range(len(sources))), (0,) * len(sources)),)  # not used here
    return Stage(name, seq_len, "concat", 1, (BatchSegment(0, rows),), sources, mixture, 1e4, 1e-3, 0.3, 5)


def write_plan(root: str, stages: tuple[Stage, ...], vocab: int = VOCAB) -> Plan:
    tokenizer = {"path": "tokenizer.json", "sha256": "s", "vocab_size": vocab, "eos_id": EOS}
    plan = Plan("test", "1", 1, "m", "l", tokenizer, {}, {}, stages)
    store.write_bytes(store.join(root, "plan.json"), plan.to_json().encode())
    return plan


def read_rows(root: str, source: Source) -> np.ndarray:
    readers = [ShardReader(store.join(root, shard.path)) for shard in source.shards]
    return np.concatenate([reader.read(np.arange(reader.rows)) for reader in readers])


@pytest.fixture
def built(tmp_path: Path) -> tuple[Plan, str, str]:
    """(plan, root, folder for the export): two stages share `web/all`; rows of 64, and of 96, no power of two."""
    root = str(tmp_path / "build")
    web = write_source(root, "web", seq_len=64, shards=[20, 21], planned=120)
    code = write_source(root, "code", seq_len=64, shards=[25], planned=75)
    books = write_source(root, "books", seq_len=96, shards=[12, 12, 13], planned=40)
    unused = make_source("math", 0, 0)
    stages = (
        make_stage("first", 64, (web, code, unused)),
        make_stage("second", 64, (web,)),
        make_stage("long", 96, (books,)),
    )
    return write_plan(root, stages), root, str(tmp_path / "export")


class MegatronTokenizer:
    """What GPTDataset asks of a tokenizer."""

    eod, pad, vocab_size, unique_identifiers = EOS, -1, VOCAB, {"name": "test"}


def gpt_dataset(stage: dict[str, Any]) -> Any:
    """Megatron's own blend of a stage of blend.json, without a cache on disk."""
    from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig

    words = stage["data_path"].split()
    flags = dict(zip(*[iter(stage["arguments"].removesuffix(" --eod-mask-loss").split())] * 2, strict=True))
    config = GPTDatasetConfig(
        random_seed=1,
        sequence_length=int(flags["--seq-length"]),
        blend=(words[1::2], [float(weight) for weight in words[::2]]),
        split=flags["--split"],
        tokenizer=MegatronTokenizer(),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=True,
        create_attention_mask=False,
    )
    sizes = [int(flags["--train-samples"]), 0, 0]
    return BlendedMegatronDatasetBuilder(GPTDataset, sizes, lambda: True, config).build()[0]


def test_every_sample_of_megatron_is_a_packed_row(built: tuple[Plan, str, str]) -> None:
    """Three shuffled epochs of two sources."""
    plan, root, out = built
    dataset = gpt_dataset(export_megatron(root, out, stage="first")["stages"][0])
    rows = [
        {row.tobytes() for row in read_rows(root, source).astype(np.int64)} for source in plan.stages[0].sources[:2]
    ]
    assert len(dataset) == plan.stages[0].rows == 195
    seen: list[Counter[bytes]] = [Counter(), Counter()]
    for sample in (dataset[index] for index in range(len(dataset))):
        seen[int(sample["dataset_id"])][sample["tokens"].numpy().tobytes()] += 1
    for counts, source, expected in zip(seen, plan.stages[0].sources, rows, strict=False):
        assert counts.total() == source.rows_planned
        assert set(counts) == expected
        assert (
            {2, 3} <= set(counts.values()) <= {2, 3, 4}
        )  # its epochs overlap a little: the last ones are shuffled together


def test_with_eod_mask_loss_megatron_learns_what_the_feed_learns(built: tuple[Plan, str, str]) -> None:
    """All labels but the last of a row, where a foreign token follows unless the row ends in eos."""
    plan, root, out = built
    blend = export_megatron(root, out, stage="long")
    (shards,) = (source.shards for source in plan.stages[2].sources)
    ours = {}
    for shard in shards:
        reader = ShardReader(store.join(root, shard.path))
        all_rows = np.arange(reader.rows)
        tokens = reader.read(all_rows).view(np.int32)
        batch = collate(np.stack([tokens, tokens]), reader.layout(all_rows))  # the second is room for the labels
        ours |= {row.astype(np.int64).tobytes(): labels for row, labels in zip(batch.tokens, batch.labels, strict=True)}
    foreign = 0
    dataset = gpt_dataset(blend["stages"][0])
    for sample in (dataset[index] for index in range(len(dataset))):
        tokens, learned = sample["tokens"].numpy(), sample["loss_mask"].numpy() > 0
        labels = np.where(learned, sample["labels"].numpy(), IGNORED)
        assert (labels[:-1] == ours[tokens.tobytes()][:-1]).all()
        assert learned[-1] == (tokens[-1] != EOS)
        foreign += int(learned[-1])
    assert 0 < foreign < len(dataset)


def test_pairs_hold_the_rows_of_the_shards_in_order(built: tuple[Plan, str, str]) -> None:
    plan, root, out = built
    calls: list[tuple[str, int, int]] = []
    blend = export_megatron(root, out, on_shard=lambda *call: calls.append(call))
    assert sorted(file.path.removeprefix(out) for file in store.glob(out)) == [
        "/blend.json",
        *(f"/{name}-{KEY}.{end}" for name in ("books/all/concat-96", "code/all/concat-64") for end in ("bin", "idx")),
        *(f"/web/all/concat-64-{KEY}.{end}" for end in ("bin", "idx")),
    ]
    for stage, exported in zip(plan.stages, blend["stages"], strict=True):
        for source, entry in zip(stage.sources, exported["sources"], strict=False):
            with MegatronFile(entry["prefix"]) as pair:
                assert pair.dtype == np.uint16
                assert pair.lengths.tolist() == [stage.seq_len] * source.rows
                assert (pair.read(0, source.rows) == read_rows(root, source).ravel()).all()
    shards = [shard.path for stage in plan.stages for source in stage.sources for shard in source.shards]
    shards = list(dict.fromkeys(shards))
    assert calls == [(path, number, len(shards)) for number, path in enumerate(shards, start=1)]


def test_rows_that_are_held_out_are_left_out(built: tuple[Plan, str, str]) -> None:
    plan, root, out = built
    web = dataclasses.replace(plan.stages[1].sources[0], held_out=3)
    write_plan(root, (make_stage("second", 64, (web,)),))
    (entry,) = export_megatron(root, out)["stages"][0]["sources"]
    with MegatronFile(entry["prefix"]) as pair:
        assert entry["rows"] == pair.lengths.size == 38
        assert (pair.read(0, 38) == read_rows(root, web)[3:].ravel()).all()


def test_the_blend_says_what_to_paste(built: tuple[Plan, str, str]) -> None:
    plan, root, out = built
    blend = export_megatron(root, out)
    assert json.loads(Path(out, "blend.json").read_text()) == blend
    first, second, long = blend["stages"]
    assert first["data_path"] == f"120 {out}/web/all/concat-64-{KEY} 75 {out}/code/all/concat-64-{KEY}"
    assert second["data_path"] == f"120 {out}/web/all/concat-64-{KEY}"
    assert long["arguments"] == "--seq-length 96 --train-samples 40 --split 100,0,0 --eod-mask-loss"
    assert blend["plan"] == {"name": "test", "version": "1", "sha256": plan.digest()}
    assert (blend["dtype"], blend["tokenizer"]["eos_id"]) == ("uint16", EOS)
    assert [stage["name"] for stage in export_megatron(root, out, stage="second")["stages"]] == ["second"]


def test_a_finished_pair_is_not_written_again(built: tuple[Plan, str, str]) -> None:
    _, root, out = built
    first = export_megatron(root, out)
    files = {file.path: Path(file.path).read_bytes() for file in store.glob(out)}
    hidden = shutil.move(Path(root, "shards"), Path(root, "elsewhere"))  # whoever reads them now fails
    calls: list[int] = []
    assert export_megatron(root, out, on_shard=lambda path, done, total: calls.append(done)) == first
    assert calls == [1, 2, 3, 4, 5, 6]
    assert {file.path: Path(file.path).read_bytes() for file in store.glob(out)} == files
    shutil.move(hidden, Path(root, "shards"))
    for end, damage in (("bin", lambda data: data[:-2]), ("idx", lambda data: data[:-8]), ("bin", None)):
        path = Path(out, f"code/all/concat-64-{KEY}.{end}")
        path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
        export_megatron(root, out)
        assert {file.path: Path(file.path).read_bytes() for file in store.glob(out)} == files


def test_an_interrupted_pair_is_not_there(built: tuple[Plan, str, str]) -> None:
    _, root, out = built

    def interrupt(path: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_megatron(root, out, stage="long", on_shard=interrupt)
    assert store.glob(out) == []
    export_megatron(root, out, stage="long")
    assert len(store.glob(out)) == 3


def test_a_damaged_or_foreign_shard_ends_the_export(built: tuple[Plan, str, str]) -> None:
    plan, root, out = built
    shard = plan.stages[0].sources[1].shards[0]
    file = Path(tokens_path(f"{root}/{shard.path}"))
    intact = file.read_bytes()
    place = intact.index(b"\x28\xb5\x2f\xfd") + 5  # in the head of a zstd frame
    file.write_bytes(intact[:place] + bytes([intact[place] ^ 1]) + intact[place + 1 :])
    with pytest.raises(ChecksumError, match=r"code/all/.*tokens\.arrow: record batch 0 is damaged"):
        export_megatron(root, out)
    file.unlink()
    write_source(root, "code", seq_len=64, shards=[24], planned=75)
    with pytest.raises(ShardError, match="24 rows of 64 tokens, where the plan expects 25 of 64"):
        export_megatron(root, out)
    assert not store.glob(f"{out}/code")
    assert not store.exists(f"{out}/blend.json")


def test_wide_vocabularies_take_int32_and_foreign_tokens_are_refused(tmp_path: Path) -> None:
    root, out = str(tmp_path / "build"), str(tmp_path / "export")
    source = write_source(root, "web", seq_len=64, shards=[30], planned=30, vocab=100_000)
    write_plan(root, (make_stage("wide", 64, (source,)),), vocab=100_000)
    blend = export_megatron(root, out)
    with MegatronFile(blend["stages"][0]["sources"][0]["prefix"]) as pair:
        assert (blend["dtype"], pair.dtype) == ("int32", np.int32)
        assert (pair.read(0, 30) == read_rows(root, source).ravel()).all()
    write_plan(root, (make_stage("wide", 64, (source,)),), vocab=80_000)
    shutil.rmtree(out)
    with pytest.raises(
        ValueError, match=r"document \d+ has the token 99\d\d\d; ids of a vocabulary of 80000 end at 79999"
    ):
        export_megatron(root, out)


def test_stages_that_cannot_be_exported(built: tuple[Plan, str, str]) -> None:
    plan, root, out = built
    with pytest.raises(ExportError, match="the plan has no stage 'frist'; it has first, second, long"):
        export_megatron(root, out, stage="frist")
    stages = (plan.stages[0], Stage("later", 64, "concat", 3, (BatchSegment(0, 4),), (), (), 1e4, 1e-3, 0.3, 5))
    write_plan(root, stages)
    for stage in (None, "later"):
        with pytest.raises(ExportError, match="stage 'later' is not laid out yet"):
            export_megatron(root, out, stage=stage)
    assert len(export_megatron(root, out, stage="first")["stages"]) == 1


def test_from_s3_to_s3(s3: str, built: tuple[Plan, str, str]) -> None:
    _, root, out = built
    local = export_megatron(root, out, stage="first")
    for file in store.glob(root):
        store.write_bytes(f"{s3}/export-in{file.path.removeprefix(root)}", Path(file.path).read_bytes())
    for _ in range(2):  # the second finds all done
        remote = export_megatron(f"{s3}/export-in", f"{s3}/export-out", stage="first")
    assert json.dumps(remote).replace(f"{s3}/export-out", out) == json.dumps(local)
    for file in store.glob(out):
        if not file.path.endswith("blend.json"):
            assert store.read_bytes(f"{s3}/export-out{file.path.removeprefix(out)}") == Path(file.path).read_bytes()
