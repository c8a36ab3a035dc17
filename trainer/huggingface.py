"""Our model to a directory that `AutoModelForCausalLM.from_pretrained` loads, and from one (GLM-4.5: `Glm4MoeForCausalLM`).

`export` streams: it holds one of our weights and one output file in memory at a time. A stack of experts of the 355B shape
is 5 GB in bfloat16 and 10 GB in float32, an output file 5 GB by default. `read_huggingface` reads headers only; a weight
is read when it is asked for.

The MTP block is layer number `layers`, with a copy of the embedding and of the head, as in the published GLM-4.5
checkpoints (GLM-4.6 leaves the copies out; either is read). transformers skips it when it loads the model, says so for
all but the published numbers of layers, and uses it in `generate(use_mtp=True)`; vLLM and SGLang draft with it.

Float32 goes out and comes back bit for bit. Which tensor is which stands in `huggingface_names`, the fields of config.json in
`huggingface_config`. Not covered: pickled (`.bin`) and quantised checkpoints, object stores, optimiser states.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trainer.durable import flush
from trainer.huggingface_config import HuggingFaceError, config_of, rope_base_of, shape_of
from trainer.huggingface_names import Entry, Size, entries
from trainer.huggingface_tokenizer import tokenizer_config
from trainer.weights import Weights

DTYPES = {torch.bfloat16: 2, torch.float32: 4}
READABLE = {"F32", "BF16", "F16"}
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"

Progress = Callable[[int, int], None]  # bytes written, bytes in all


def export(
    weights: Weights,
    shape: Mapping[str, Any],
    dest: Path,
    *,
    tokenizer: Path | None,
    rope_base: float,
    max_positions: int,
    eos_ids: Sequence[int],
    dtype: torch.dtype = torch.bfloat16,
    max_shard_bytes: float = 5e9,
    chat_template: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a model directory. It appears complete, under its name, or not at all.

    tokenizer      a tokenizer.json, copied byte for byte; None leaves the directory without one
    rope_base      that of the last stage trained; `max_positions` the longest row
    eos_ids        what generation stops at (`huggingface_tokenizer.stop_ids`), the end-of-text token first, which also pads
    dtype          of all weights but the biases of the routers, which stay float32
    chat_template  Jinja; None for the template that renders as this repository's chats are rendered, where the tokenizer has its tokens
    progress       called after every file

    HuggingFaceError: `dest` is in use; the shape does not fit the class; weights are missing, too many, or of other sizes;
    the tokenizer does not fit the model.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise HuggingFaceError(f"{dest} exists and is not an empty folder: name another, or remove it.")
    if dtype not in DTYPES:
        raise HuggingFaceError(f"dtype is {dtype}: use torch.bfloat16 or torch.float32.")
    config = config_of(shape, rope_base=rope_base, max_positions=max_positions, eos_ids=eos_ids, dtype=dtype)
    settings = None if tokenizer is None else tokenizer_config(tokenizer, shape, config, chat_template)
    table = list(entries(shape))
    _compare("the weights", weights.names(), {entry.name for entry in table})
    with _appearing(dest) as folder:
        _write_weights(weights, table, folder, dtype, int(max_shard_bytes), progress)
        _write_json(folder / "config.json", config)
        generation = {"eos_token_id": config["eos_token_id"], "pad_token_id": config["pad_token_id"]}
        _write_json(folder / "generation_config.json", generation)
        if tokenizer is not None:
            shutil.copyfile(tokenizer, folder / "tokenizer.json")
            _write_json(folder / "tokenizer_config.json", settings)
        for path in [*folder.iterdir(), folder]:
            flush(path)


class HuggingFaceWeights:
    """The weights of a model directory under our names (`Weights`), each put together when it is read, in the precision stored.

    `config` is the content of config.json, `rope_base` the base of its rotary embedding.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], table: Sequence[Entry], files: "_Files") -> None:
        self.config, self.rope_base = config, rope_base_of(config)
        self._folder, self._table, self._files = folder, {entry.name: entry for entry in table}, files

    def names(self) -> Collection[str]:
        return self._table.keys()

    def read(self, name: str) -> torch.Tensor:
        """HuggingFaceError where a copy of a vocabulary matrix in the MTP block is another matrix: our model has one for both."""
        entry = self._table[name]
        if entry.whole is not None and entry.whole in self._files.sizes:
            return self._files.read(entry.whole)
        whole = entry.join(self._files.read(part.name) for part in entry.parts)
        for copy in entry.copies:
            if copy in self._files.sizes and not torch.equal(self._files.read(copy), whole):
                raise HuggingFaceError(
                    f"{self._folder}: {copy} differs from {entry.parts[0].name}, but the prediction block of this trainer "
                    f"has no vocabulary of its own. Import without it: read_huggingface(..., mtp=False)."
                )
        return whole if entry.dtype is None else whole.to(entry.dtype)


def read_huggingface(folder: Path, *, mtp: bool = True) -> tuple[dict[str, Any], HuggingFaceWeights]:
    """The shape (fields of ModelShape, named after the folder) and the weights of a model directory.

    A directory without tensors of the MTP block has none, whatever its config says: transformers writes such ones.
    `mtp` False leaves the block out. HuggingFaceError: no readable directory, a config that we cannot build, or tensors that
    are missing, too many or of other sizes, all of them named.
    """
    config = _read_json(folder / "config.json")
    try:
        shape = shape_of(config, folder.resolve().name)
    except HuggingFaceError as error:
        raise HuggingFaceError(f"{folder / 'config.json'}: {error}") from None
    files = _Files(folder)
    first_ahead = shape["layers"]
    ahead = {name for name in files.sizes if _layer_number(name) >= first_ahead}
    if not mtp:
        files.leave_out(ahead)
    if not mtp or not ahead:
        shape["mtp_layers"] = 0
    table = list(entries(shape))
    _check_sizes(folder, files.sizes, table)
    return shape, HuggingFaceWeights(folder, config, table, files)


class _Files:
    """The safetensors files of a folder: sizes of all tensors, and the tensors one by one."""

    def __init__(self, folder: Path) -> None:
        self.sizes: dict[str, Size] = {}
        self._handles: dict[str, Any] = {}
        index = folder / INDEX
        places = _read_json(index)["weight_map"] if index.is_file() else None
        names = [SINGLE] if places is None else sorted(set(places.values()))
        problems = []
        for name in names:
            try:
                self._open(folder / name)
            except (FileNotFoundError, SafetensorError) as error:
                problems.append(f"{name}: {error}")
        if places is not None and not problems:
            problems += [f"{name}: in {INDEX}, but in no file" for name in sorted(places.keys() - self.sizes.keys())]
        if problems:
            raise HuggingFaceError("\n    ".join([f"{folder} is not complete:", *problems]))

    def _open(self, path: Path) -> None:
        handle = safe_open(path, framework="pt")
        for name in handle.keys():  # noqa: SIM118 (no mapping)
            entry = handle.get_slice(name)
            if entry.get_dtype() not in READABLE:
                raise HuggingFaceError(
                    f"{path}: {name} is {entry.get_dtype()}, not one of {', '.join(sorted(READABLE))}: "
                    f"take the checkpoint in bfloat16 or float32."
                )
            self.sizes[name] = tuple(entry.get_shape())
            self._handles[name] = handle

    def leave_out(self, names: Collection[str]) -> None:
        for name in names:
            del self.sizes[name]

    def read(self, name: str) -> torch.Tensor:
        return self._handles[name].get_tensor(name)


def _layer_number(name: str) -> int:
    words = name.split(".")
    return int(words[2]) if words[:2] == ["model", "layers"] and words[2].isdigit() else -1


def _check_sizes(folder: Path, found: Mapping[str, Size], table: Sequence[Entry]) -> None:
    wanted: dict[str, Size] = {}
    for entry in table:
        if entry.whole is not None and entry.whole in found:
            wanted[entry.whole] = entry.size
        else:
            wanted.update({part.name: part.size for part in entry.parts})
        wanted.update({copy: entry.size for copy in entry.copies if copy in found})
    _compare(str(folder), found.keys(), wanted.keys(), found, wanted)


def _compare(
    what: str,
    found: Collection[str],
    wanted: Collection[str],
    found_sizes: Mapping[str, Size] | None = None,
    wanted_sizes: Mapping[str, Size] | None = None,
) -> None:
    """Raises HuggingFaceError that names every difference."""
    problems = [f"missing: {name}" for name in sorted(set(wanted) - set(found))]
    problems += [f"unexpected: {name}" for name in sorted(set(found) - set(wanted))]
    if found_sizes is not None and wanted_sizes is not None:
        problems += [
            f"{name}: {list(found_sizes[name])} instead of {list(wanted_sizes[name])}"
            for name in sorted(set(found) & set(wanted))
            if found_sizes[name] != wanted_sizes[name]
        ]
    if problems:
        raise HuggingFaceError("\n    ".join([f"{what} do not fit the model:", *problems]))


def _write_weights(
    weights: Weights,
    table: Sequence[Entry],
    folder: Path,
    dtype: torch.dtype,
    max_bytes: int,
    progress: Progress | None,
) -> None:
    """The files and their index; a tensor larger than `max_bytes` has a file of its own."""
    numbers, sizes = _assign(table, dtype, max_bytes)
    names = [f"model-{number + 1:05d}-of-{len(sizes):05d}.safetensors" for number in range(len(sizes))]
    pending: dict[str, torch.Tensor] = {}
    current = 0

    def close() -> None:
        save_file(pending, folder / names[current], metadata={"format": "pt"})
        pending.clear()
        if progress is not None:
            progress(sum(sizes[: current + 1]), sum(sizes))

    for entry in table:
        for name, tensor in _parts(weights, entry, dtype):
            if numbers[name] != current:
                close()
                current = numbers[name]
            pending[name] = tensor
    close()
    places = {name: names[number] for name, number in sorted(numbers.items())}
    _write_json(folder / INDEX, {"metadata": {"total_size": sum(sizes)}, "weight_map": places})


def _parts(weights: Weights, entry: Entry, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Copies, so that a part that waits for its file does not keep a whole stack of experts in memory."""
    source = weights.read(entry.name)
    if tuple(source.shape) != entry.size:
        raise HuggingFaceError(f"{entry.name}: {list(source.shape)} instead of {list(entry.size)}, by the shape.")
    tensors = [*entry.split(source), *(source for _ in entry.copies)]
    for name, tensor in zip([*(part.name for part in entry.parts), *entry.copies], tensors, strict=True):
        yield name, torch.empty(tensor.shape, dtype=entry.dtype or dtype).copy_(tensor)


def _assign(table: Sequence[Entry], dtype: torch.dtype, max_bytes: int) -> tuple[dict[str, int], list[int]]:
    """The file of every tensor, and the bytes of every file: in the order of the table, each as full as it may be."""
    numbers: dict[str, int] = {}
    sizes = [0]
    for entry in table:
        for name, size in [*entry.parts, *((copy, entry.size) for copy in entry.copies)]:
            num_bytes = DTYPES[entry.dtype or dtype] * torch.Size(size).numel()
            if sizes[-1] and sizes[-1] + num_bytes > max_bytes:
                sizes.append(0)
            sizes[-1] += num_bytes
            numbers[name] = len(sizes) - 1
    return numbers, sizes


@contextlib.contextmanager
def _appearing(dest: Path) -> Iterator[Path]:
    """A hidden folder beside `dest` that gets its name when all went well, and goes when not."""
    dest = dest.absolute()
    dest.parent.mkdir(parents=True, exist_ok=True)
    hidden = dest.with_name(f".{dest.name}.tmp")
    if hidden.exists():  # of a process that was killed
        shutil.rmtree(hidden)
    hidden.mkdir()
    try:
        yield hidden
        hidden.rename(dest)
        flush(dest.parent)
    finally:
        if hidden.exists():
            shutil.rmtree(hidden)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HuggingFaceError(f"{path}: {error}") from error


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
