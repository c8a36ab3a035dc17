"""Checkpoints to Hugging Face directories, and such directories to model shapes: `python -m trainer.convert --help`.

    export OUT DEST       the newest checkpoint below OUT (or --step N) as a Glm4MoeForCausalLM directory
    shape DIR             the shape of such a directory as a file for `model:` of a manifest, on stdout

To train from a directory, give it as `--weights` to the trainer. One process, one tensor at a time; no GPU.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

PRECISIONS = ("bfloat16", "float32")


class ConvertError(ValueError):
    """There is nothing to convert; the message says what to give instead."""


def export_checkpoint(out: Path, dest: Path, *, step: int | None, dtype: "torch.dtype") -> None:
    """Write the checkpoint after `step` steps (the newest by default) as a Hugging Face directory."""
    from trainer.checkpoint_folder import FOLDER, WEIGHTS, complete_ones, opened
    from trainer.huggingface import export
    from trainer.huggingface_tokenizer import stop_ids
    from trainer.weights import CheckpointWeights

    found = {int(path.name.removeprefix("step-")): path for path in complete_ones(out / FOLDER)}
    if not found:
        raise ConvertError(f"{out} has no checkpoint: `tokenloom train {out}` makes one.")
    done = max(found) if step is None else step
    if done not in found:
        raise ConvertError(
            f"{out} has no checkpoint after {done} steps, but after {', '.join(map(str, sorted(found)))}."
        )
    plan = opened(found[done]).plan
    learned = plan.stages[: plan.locate(done - 1)[0] + 1]
    tokenizer = out / plan.tokenizer["path"]
    has_tokenizer = tokenizer.is_file()
    if not has_tokenizer:
        log.warning("%s is not there: the directory will have no tokenizer", tokenizer)
    eos_id = plan.tokenizer["eos_id"]
    export(
        CheckpointWeights(found[done] / WEIGHTS),
        plan.model,
        dest,
        tokenizer=tokenizer if has_tokenizer else None,
        rope_base=learned[-1].rope_base,
        max_positions=max(stage.seq_len for stage in learned),
        eos_ids=stop_ids(tokenizer, eos_id) if has_tokenizer else [eos_id],
        chat_template=plan.training.get("chat_template"),
        dtype=dtype,
        progress=_progress,
    )
    log.info("%s: the weights after step %d, of stage %r", dest, done - 1, learned[-1].name)


def shape_file(folder: Path) -> str:
    """The shape of a Hugging Face directory as YAML."""
    from trainer.huggingface import read_huggingface

    shape, _ = read_huggingface(folder)
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in shape.items())


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done / 1e9:.1f} of {total / 1e9:.1f} GB", end="\n" if done == total else "", file=sys.stderr)


def main() -> int:
    """Exit codes: 0 done, 1 cannot convert (the message is on stderr), 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m trainer.convert", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    exporting = verbs.add_parser("export", help="a checkpoint as a Hugging Face directory")
    exporting.add_argument("out", type=Path)
    exporting.add_argument("dest", type=Path)
    exporting.add_argument("--step", type=int, help="of the checkpoint after so many steps; by default the newest")
    exporting.add_argument("--dtype", choices=PRECISIONS, default=PRECISIONS[0])
    shaping = verbs.add_parser("shape", help="the shape of a Hugging Face directory, as YAML")
    shaping.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        if arguments.verb == "shape":
            print(shape_file(arguments.folder), end="")
        else:
            import torch

            dtype = getattr(torch, arguments.dtype)
            export_checkpoint(arguments.out, arguments.dest, step=arguments.step, dtype=dtype)
    except KeyboardInterrupt:
        return 130
    except _foreseen() as error:
        log.error("%s", "\n".join([str(error), *getattr(error, "__notes__", [])]))
        return 1
    return 0


def _foreseen() -> tuple[type[Exception], ...]:
    """Evaluated, and so imported, only when there is an error."""
    from trainer.checkpoint_folder import CheckpointError
    from trainer.huggingface_config import HuggingFaceError
    from trainer.weights import WeightsError

    return ConvertError, CheckpointError, HuggingFaceError, WeightsError, OSError


if __name__ == "__main__":
    sys.exit(main())
