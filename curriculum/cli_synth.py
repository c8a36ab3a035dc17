"""The verb `tokenloom synth`: what is done with synthetic rows after they were made."""

import json
from typing import Annotated

import typer

from curriculum.cli_check import check
from curriculum.cli_options import JsonOption, stderr, stdout
from curriculum.cli_review import review, review_export, review_import

synth = typer.Typer(
    help="Work with synthetic rows: prove them again, read and correct them, hand them to other tools.",
    no_args_is_help=True,
)
synth.command()(check)
synth.command()(review)
synth.command()(review_export)
synth.command()(review_import)


@synth.command("export")
def export_rows(
    out: Annotated[
        str, typer.Argument(help="Folder of a finished build, or of `curate`: local or s3://bucket/prefix.")
    ],
    corpus: Annotated[str, typer.Argument(help="A corpus of synthetic rows.")],
    dest: Annotated[str, typer.Argument(help="The file to write: OUT.jsonl or OUT.jsonl.zst, local or s3://.")],
    to: Annotated[str, typer.Option(help="openai, sharegpt, slime or swebench.")] = "openai",
    as_json: JsonOption = False,
) -> None:
    """Write the rows of a corpus in another tool's form, with where each came from: messages and calls are parsed from the stored text.

    openai     {messages, tools, metadata}; an answer that is only shown has `loss: false`
    sharegpt   {conversations, tools, metadata}, calls and responses as LLaMA-Factory reads them
    slime      {input_messages, label, tools, metadata}: prompts for reinforcement learning, read with --input-key input_messages
    swebench   the tasks of software rows, for SWE-bench's own harness

    Example: tokenloom synth export out agents agents.jsonl.zst
    Example: tokenloom synth export out search search.jsonl --to slime
    """
    from curriculum.built import parts_of
    from synth.export import FORMATS, export

    if to not in FORMATS:
        raise typer.BadParameter(f"--to {to!r}: write one of {', '.join(FORMATS)}")
    files = parts_of(out, corpus)
    with stderr.status("exporting") as status:
        counted = export(files, dest, to, lambda path, done, total: status.update(f"{done}/{total} {path}"))
    if as_json:
        print(json.dumps(dict(counted)))
        return
    stdout.print(f"{dest}: {counted['written']:,} rows as {to}", soft_wrap=True, highlight=False)
    for what, said in (("no_such_form", f"have no form as {to}"), ("unreadable", "could not be read back")):
        if counted[what]:
            stderr.print(f"{counted[what]:,} rows {said} and were left out", highlight=False)
