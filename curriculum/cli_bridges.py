"""The verbs `tokenloom export` and `tokenloom import`: to other tools and from them.

What has to do with models runs in a process of its own (`trainer.convert`), because this floor does not import the trainer.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from curriculum.cli_options import JsonOption, OutArgument, stderr, stdout

exports = typer.Typer(help="Hand packed rows and trained models to other tools.", no_args_is_help=True)
imports = typer.Typer(help="Take what other tools have tokenised or trained.", no_args_is_help=True)


@exports.command("megatron")
def export_to_megatron(
    out: OutArgument,
    dest: Annotated[
        str, typer.Argument(help="Folder for the .bin/.idx pairs and blend.json: local or s3://bucket/prefix.")
    ],
    stage: Annotated[str | None, typer.Option(help="Only this stage's sources; all by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write packed rows as Megatron's .bin/.idx, one document of exactly seq_len tokens per row: stock GPTDataset keeps them aligned.

    Example: tokenloom export megatron out megatron --stage general
    """
    from curriculum.export import export_megatron

    with stderr.status("exporting") as status:
        blend = export_megatron(
            out, dest, stage=stage, on_shard=lambda path, done, total: status.update(f"{done}/{total} {path}")
        )
    if as_json:
        print(json.dumps(blend))
        return
    for each in blend["stages"]:
        stdout.print(f"[bold]{each['name']}[/]")
        stdout.print(
            f"--data-path {each['data_path']} {each['arguments']}", soft_wrap=True, highlight=False, markup=False
        )
    for note in blend["notes"]:
        stderr.print(f"note: {note}", highlight=False, markup=False)


@imports.command("megatron")
def import_from_megatron(
    prefixes: Annotated[
        list[str],
        typer.Argument(
            help="Prefixes of .bin/.idx pairs, with or without suffix; relative ones start at --data later."
        ),
    ],
    to: Annotated[str, typer.Option(help="The corpus file to write; the manifest names it under `corpora`.")],
    kind: Annotated[str, typer.Option(help="What the documents are: web, code, book, ...")] = "web",
) -> None:
    """Make a corpus of data that Megatron's tools have tokenised: checks the whole index of every pair and writes a corpus file.

    Example: tokenloom import megatron tokens/web_*_document.idx --to manifests/corpora/web.yaml
    """
    from curriculum.imported import write_corpus
    from datapipe.schema import KINDS

    if kind not in KINDS:
        raise typer.BadParameter(f"--kind {kind!r}: write one of {', '.join(KINDS)}")
    documents, tokens = write_corpus(prefixes, to, kind=kind)
    stdout.print(f"{to}: {documents:,} documents, {tokens:,} tokens", soft_wrap=True, highlight=False)
    stderr.print(
        "Name it under `corpora` in a manifest, with `tokenizer: {path: ...}` of the tokenizer that made the tokens.",
        soft_wrap=True,
        highlight=False,
    )


@exports.command("huggingface")
def export_to_huggingface(
    out: Annotated[str, typer.Argument(help="Folder of the build that was trained (local).")],
    dest: Annotated[str, typer.Argument(help="Folder to write; new or empty.")],
    step: Annotated[
        int | None, typer.Option(min=1, help="The checkpoint after so many steps; by default the newest.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16 or float32, of the weights written.")] = "bfloat16",
) -> None:
    """Write a checkpoint as a Glm4MoeForCausalLM directory: safetensors, config, tokenizer and chat template, for transformers and vLLM.

    Example: tokenloom export huggingface out my-model
    """
    if dtype not in ("bfloat16", "float32"):
        raise typer.BadParameter(f"--dtype {dtype!r}: write bfloat16 or float32")
    _convert("export", out, dest, "--dtype", dtype, *(["--step", str(step)] if step else []))
    stdout.print(dest, soft_wrap=True, highlight=False)


@imports.command("huggingface")
def import_from_huggingface(
    folder: Annotated[str, typer.Argument(help="A Glm4MoeForCausalLM directory with safetensors.")],
    to: Annotated[str, typer.Option(help="The model file to write; the manifest names it as `model`.")],
) -> None:
    """Make a model shape of a Hugging Face directory, checking that every tensor is there; training begins from its weights on request.

    Example: tokenloom import huggingface GLM-4.5-Air --to manifests/models/air.yaml
    """
    shape = _convert("shape", folder)
    Path(to).write_text(shape)
    stdout.print(f"{to}: {shape.splitlines()[0]}", soft_wrap=True, highlight=False)
    stderr.print(
        f"Name it as `model` in a manifest, with `tokenizer: {{path: {folder}/tokenizer.json}}`, build, and begin from its weights with "
        f"`tokenloom train OUT --weights {folder}`.",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _convert(*arguments: str) -> str:
    """What `trainer.convert` says; its messages go to stderr as they come."""
    done = subprocess.run([sys.executable, "-m", "trainer.convert", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise typer.Exit(done.returncode)
    return done.stdout
