"""Feeds and packers of other projects, measured on the same tokens as ours: what `python -m curriculum.bench --peers PYTHON` runs.

Unusual: a script that imports nothing of ours, because it runs where the peers are installed and tokenloom is not, and a module of which
the benchmark takes `run_peer`, `run_packer` and, for our own feed, `measure_loader`. By hand (-P, as our folder has an inspect.py too):

    python -P bench_peers.py litdata FOLDER --seq-len 4096 --batch 8

FOLDER holds NAME.int32 and NAME.lengths of every source (`write_source`); for a packer, documents.lengths: int64, one per document. A peer
writes its own format below it with its own writer (not timed, removed at the end) and is driven through its documented loader, with
num_workers=0 and one thread for arithmetic. A pass over everything warms up; in its middle it leaves the state to resume from and the
batch that must come next. Then come three starts, three resumes and three passes, each in a fork of that warm process, and the best counts:
CPU seconds of the fork, its threads and its finished children, so neither imports nor another pass's threads are in it. 100 M tokens take
a peer half a minute on a quiet machine, two on a busy one, and 400 MB of disk. What a peer does not do is in its `note`: none of them
compresses here, none checks what it reads (MDS can do both once, when a shard is downloaded).

Not covered: several workers or ranks, object stores; OLMo-core and Megatron-Bridge, whose packers come with a whole training environment.
"""

import argparse
import gc
import json
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
import types
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

PASSES = 3
SEED = 1
TIMEOUT_S = 1_200  # a peer that takes longer counts as one that does not run
DOCUMENTS = "documents.lengths"


def write_source(folder: Path, name: str, tokens: np.ndarray, lengths: np.ndarray) -> None:
    """One source of the mixture, cut into documents of these lengths: all the tokens, as `lengths` adds up to."""
    tokens.astype(np.int32).tofile(folder / f"{name}.int32")
    lengths.astype(np.int64).tofile(folder / f"{name}.lengths")


@dataclass(frozen=True)
class Data:
    """The sources of a folder, each to be drawn in proportion to its size, and the rows wanted of them."""

    folder: Path
    work: Path  # absolute; where a peer writes its own format
    seq_len: int
    batch: int

    @property
    def sources(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.int32"))

    @property
    def written(self) -> list[str]:
        """A prefix or folder per source, for a peer's format."""
        return [str(self.work / source) for source in self.sources]

    @property
    def weights(self) -> list[float]:
        sizes = [self.tokens(source).size for source in self.sources]
        return [size / sum(sizes) for size in sizes]

    @property
    def num_rows(self) -> int:
        return sum(self.tokens(source).size for source in self.sources) // self.seq_len

    def tokens(self, source: str) -> np.ndarray:
        return np.memmap(self.folder / f"{source}.int32", np.int32, "r")

    def documents(self, source: str) -> Iterator[Any]:
        """Tensors, as the writers of megatron-core and LitData want them."""
        import torch

        ends = np.cumsum(np.fromfile(self.folder / f"{source}.lengths", np.int64))
        for document in np.split(self.tokens(source), ends)[:-1]:
            yield torch.from_numpy(np.array(document))


class Loader(Protocol):
    """A feed under measurement: `open(None)` begins at the start, `open(state)` where `state` was taken."""

    def write(self) -> None: ...
    def open(self, state: Any) -> Iterable[Any]: ...
    def state(self, opened: Any, step: int) -> Any: ...
    def tokens(self, batch: Any) -> np.ndarray: ...


@dataclass
class Memmap:
    data: Data

    def write(self) -> None: ...

    def open(self, state: int | None) -> Iterator[np.ndarray]:
        seq_len, batch_rows = self.data.seq_len, self.data.batch
        files = [self.data.tokens(source) for source in self.data.sources]
        counts = [(file.size - 1) // seq_len for file in files]
        rows = np.stack([np.repeat(np.arange(len(files)), counts), np.concatenate([np.arange(n) for n in counts])], 1)
        np.random.default_rng(SEED).shuffle(rows)
        for step in range(state or 0, len(rows) // batch_rows):
            batch = np.empty((batch_rows, seq_len + 1), np.int64)
            for k, (source, row) in enumerate(rows[step * batch_rows : (step + 1) * batch_rows].tolist()):
                batch[k] = files[source][row * seq_len : (row + 1) * seq_len + 1]
            yield batch

    def state(self, opened: Any, step: int) -> int:
        return step

    def tokens(self, batch: np.ndarray) -> np.ndarray:
        return batch


@dataclass
class Megatron:
    """A GPTDataset per source below a BlendedDataset. Its modules go by name here: only `trainer` depends on megatron."""

    data: Data

    def write(self) -> None:
        indexed = import_module("megatron.core.datasets.indexed_dataset")
        for source, prefix in zip(self.data.sources, self.data.written, strict=True):
            builder = indexed.IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.int32)
            for document in self.data.documents(source):
                builder.add_item(document)
                builder.end_document()
            builder.finalize(f"{prefix}.idx")

    def open(self, state: int | None) -> Iterable[dict[str, Any]]:
        import torch

        gpt = import_module("megatron.core.datasets.gpt_dataset")
        blended = import_module("megatron.core.datasets.blended_megatron_dataset_builder")
        config = gpt.GPTDatasetConfig(
            random_seed=SEED,
            sequence_length=self.data.seq_len,
            blend=(self.data.written, self.data.weights),
            split="1,0,0",
            tokenizer=types.SimpleNamespace(eod=0, pad=-1, vocab_size=1 << 18, unique_identifiers={"class": "none"}),
            reset_position_ids=False,
            reset_attention_mask=False,
            eod_mask_loss=False,
            create_attention_mask=False,
            path_to_cache=str(self.data.work / "index"),
        )
        rows, batch = self.data.num_rows, self.data.batch
        builder = blended.BlendedMegatronDatasetBuilder(gpt.GPTDataset, [rows, 0, 0], lambda: True, config)
        starts = range((state or 0) * batch, rows - batch + 1, batch)
        batches = [list(range(start, start + batch)) for start in starts]
        # 0.16.1 asks for its rank where it caches an index: 1 ms. Not for longer, as a group's threads do not outlive a fork.
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        dataset = builder.build()[0]
        torch.distributed.destroy_process_group()
        return torch.utils.data.DataLoader(dataset, batch_sampler=batches, num_workers=0)

    def state(self, opened: Any, step: int) -> int:
        return step

    def tokens(self, batch: dict[str, Any]) -> np.ndarray:
        return batch["tokens"].numpy()


@dataclass
class Mosaic:
    """A stream of MDS shards per source; a row is one array of a fixed shape, the cheapest of its encodings."""

    data: Data

    def write(self) -> None:
        from streaming import MDSWriter

        seq_len = self.data.seq_len
        for source, folder in zip(self.data.sources, self.data.written, strict=True):
            tokens = self.data.tokens(source)
            with MDSWriter(out=folder, columns={"tokens": f"ndarray:int32:{seq_len}"}) as writer:
                for start in range(0, tokens.size - seq_len + 1, seq_len):
                    writer.write({"tokens": np.array(tokens[start : start + seq_len])})

    def open(self, state: dict[str, Any] | None) -> Iterable[dict[str, Any]]:
        from streaming import Stream, StreamingDataLoader, StreamingDataset

        pairs = zip(self.data.written, self.data.weights, strict=True)
        streams = [Stream(local=folder, proportion=weight) for folder, weight in pairs]
        dataset = StreamingDataset(streams=streams, batch_size=self.data.batch, shuffle=True, shuffle_seed=SEED)
        loader = StreamingDataLoader(dataset, batch_size=self.data.batch, num_workers=0, drop_last=True)
        if state is not None:
            loader.load_state_dict(state)
        return loader

    def state(self, opened: Any, step: int) -> dict[str, Any]:
        return opened.state_dict()

    def tokens(self, batch: dict[str, Any]) -> np.ndarray:
        return batch["tokens"].numpy()


@dataclass
class LitData:
    """Chunks of tokens cut into blocks by `TokensLoader`, as its documentation has it for pre-training, mixed by weight."""

    data: Data

    def write(self) -> None:
        from litdata import TokensLoader, optimize

        read, blocks = partial(Data.documents, self.data), TokensLoader(block_size=self.data.seq_len + 1)
        for source, folder in zip(self.data.sources, self.data.written, strict=True):
            optimize(fn=read, inputs=[source], output_dir=folder, chunk_bytes="64MB", item_loader=blocks, num_workers=1)

    def open(self, state: dict[str, Any] | None) -> Iterable[Any]:
        from litdata import CombinedStreamingDataset, StreamingDataLoader, StreamingDataset, TokensLoader

        block = self.data.seq_len + 1
        parts = [
            StreamingDataset(folder, item_loader=TokensLoader(block_size=block), shuffle=True, seed=SEED)
            for folder in self.data.written
        ]
        mixed = CombinedStreamingDataset(parts, weights=self.data.weights, seed=SEED, iterate_over_all=False)
        loader = StreamingDataLoader(mixed, batch_size=self.data.batch, num_workers=0)
        if state is not None:
            loader.load_state_dict(state)
        return loader

    def state(self, opened: Any, step: int) -> dict[str, Any]:
        return deepcopy(opened.state_dict())  # parts of it go on counting

    def tokens(self, batch: Any) -> np.ndarray:
        return batch.numpy()


def cpu_seconds() -> float:
    """Of this process with its threads, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def first_batch(loader: Loader, state: Any) -> tuple[float, np.ndarray]:
    """CPU seconds until it is there, and its tokens."""
    gc.collect()
    started = cpu_seconds()
    batch = next(iter(loader.open(state)))
    return cpu_seconds() - started, loader.tokens(batch)


def tokens_per_second(loader: Loader, data: Data, seconds: float) -> float:
    """Per CPU second of one pass, which ends after `seconds` of them. Its first sixth is not counted: a fork copies every page that it
    writes to for the first time, which is no cost of a loader."""
    gc.collect()
    uncounted = data.num_rows // data.batch // 6
    started, steps = cpu_seconds(), 0
    for steps, _ in enumerate(loader.open(None), 1):
        if steps == uncounted:
            started = cpu_seconds()
        if cpu_seconds() - started > seconds:
            break
    return (steps - min(uncounted, steps)) * data.batch * data.seq_len / (cpu_seconds() - started)


def warm_up(loader: Loader, middle: int) -> tuple[Any, np.ndarray]:
    """Read everything once; returns the state after `middle` steps and the tokens of the step that follows."""
    opened, state, expected, step = loader.open(None), None, None, 0
    for step, batch in enumerate(opened, 1):
        if step == middle:
            state = loader.state(opened, step)
        elif step == middle + 1:
            expected = loader.tokens(batch).copy()
    if state is None or expected is None:
        raise ValueError(
            f"{step} batches, too few to go on after batch {middle}: give more tokens, or a smaller --seq-len or --batch"
        )
    return state, expected


def forked(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """The results of some calls, each in a process that begins as this one is and ends with its threads."""
    results = []
    for _ in range(PASSES):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            results.append(pool.apply(function, arguments))
    return results


def measure_loader(loader: Loader, data: Data, seconds: float) -> dict[str, Any]:
    loader.write()
    state, expected = warm_up(loader, data.num_rows // data.batch // 2)
    gc.collect()
    starts = forked(first_batch, loader, None)
    resumes = forked(first_batch, loader, state)
    return {
        "tokens_per_cpu_s": round(max(forked(tokens_per_second, loader, data, seconds))),
        "first_batch_cpu_ms": round(min(took for took, _ in starts) * 1e3, 1),
        "resume_first_batch_cpu_ms": round(min(took for took, _ in resumes) * 1e3, 1),
        "resume_exact": all(np.array_equal(tokens, expected) for _, tokens in resumes),
        "resume_state_bytes": len(json.dumps(state)),
        "bytes_on_disk": sum(path.stat().st_size for path in data.work.rglob("*") if path.is_file()),
    }


def measure_packer(data: Data, seconds: float, map_batch: int | None) -> dict[str, Any]:
    """TRL's `pack_dataset`, which splits long documents and moves the tokens too; as many documents as take `seconds`."""
    import pyarrow as pa
    from datasets import Dataset, disable_progress_bars
    from trl import pack_dataset

    disable_progress_bars()
    lengths = np.fromfile(data.folder / DOCUMENTS, np.int64)

    def pack(count: int) -> tuple[float, int]:
        offsets = np.concatenate([[0], np.cumsum(lengths[:count])])
        tokens = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.zeros(offsets[-1], np.int32)))
        dataset, options = Dataset(pa.table({"input_ids": tokens})), {"batch_size": map_batch or count}
        started = cpu_seconds()
        packed = pack_dataset(dataset, data.seq_len, "bfd_split", options | {"keep_in_memory": True})
        return cpu_seconds() - started, len(packed)

    trial = min(2_000, lengths.size)
    count = min(lengths.size, max(trial, int(trial * seconds / pack(trial)[0])))
    passes = [pack(count) for _ in range(PASSES)]
    rows = passes[0][1]
    bound = -(-int(lengths[:count].sum()) // data.seq_len)
    speed = round(count / min(took for took, _ in passes))
    return {"documents": count, "documents_per_cpu_s": speed, "rows": rows, "rows_over_bound": rows - bound}


@dataclass(frozen=True)
class Peer:
    measure: Callable[[Data, float], dict[str, Any]]  # of the data, at most so many CPU seconds a pass
    packages: tuple[str, ...]  # whose versions are printed
    note: str


def _loader(kind: Callable[[Data], Loader]) -> Callable[[Data, float], dict[str, Any]]:
    return lambda data, seconds: measure_loader(kind(data), data, seconds)


LOADERS = {
    "memmap": Peer(
        _loader(Memmap), ("numpy",), "the limit: shuffled rows of plain int32 to int64; no documents, no mixture"
    ),
    "megatron": Peer(
        _loader(Megatron),
        ("megatron-core", "torch"),
        "plain int32 to int64 with labels; index files, whose building is not in the times",
    ),
    "mosaic": Peer(_loader(Mosaic), ("mosaicml-streaming", "torch"), "plain int32, left as it is; no labels"),
    "litdata": Peer(
        _loader(LitData),
        ("litdata", "torch"),
        "plain int32, left as it is; no labels; ends with its first exhausted source",
    ),
}
PACKERS = {
    "trl": Peer(
        partial(measure_packer, map_batch=None), ("trl", "datasets"), "bfd_split, all in one batch; moves the tokens"
    ),
    "trl-1000": Peer(
        partial(measure_packer, map_batch=1_000),
        ("trl", "datasets"),
        "bfd_split, batches of 1,000 by default; moves the tokens",
    ),
}


def run_peer(
    python: str, peer: str, folder: Path, *, seq_len: int, batch: int = 8, seconds: float = 5.0
) -> dict[str, Any] | str:
    """What a peer's measurement printed, run by the interpreter `python`; or why there is none, in one line."""
    command = [python, "-P", __file__, peer, str(folder), "--seq-len", str(seq_len), "--batch", str(batch)]
    try:
        ran = subprocess.run(
            [*command, "--seconds", str(seconds)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{peer}: {error}"
    lines = (ran.stderr if ran.returncode else ran.stdout).strip().splitlines() or [f"exit code {ran.returncode}"]
    return f"{peer}: {lines[-1]}" if ran.returncode else json.loads(lines[-1])


def run_packer(
    python: str, packer: str, lengths: np.ndarray, seq_len: int, *, seconds: float = 5.0
) -> dict[str, Any] | str:
    """`run_peer` for one of PACKERS, on as many of these documents as it packs in `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        lengths.astype(np.int64).tofile(Path(folder) / DOCUMENTS)
        return run_peer(python, packer, Path(folder), seq_len=seq_len, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("peer", choices=[*LOADERS, *PACKERS])
    parser.add_argument("folder", type=Path, help="where the sources are")
    parser.add_argument("--seq-len", type=int, required=True, help="tokens of a row")
    parser.add_argument("--batch", type=int, default=8, help="rows of a batch (default: 8)")
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU seconds of a pass at most (default: 5)")
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONSAFEPATH": "1"}
    peer = (LOADERS | PACKERS)[arguments.peer]
    with tempfile.TemporaryDirectory(prefix=f"{arguments.peer}-", dir=arguments.folder.resolve()) as work:
        os.environ["HF_HOME"] = work
        data = Data(arguments.folder, Path(work), arguments.seq_len, arguments.batch)
        result = peer.measure(data, arguments.seconds)
    versions = {package: version(package) for package in peer.packages}
    print(json.dumps({"peer": arguments.peer, "versions": versions, **result, "note": peer.note}))


if __name__ == "__main__":
    main()
