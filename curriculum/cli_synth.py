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
    parts: Annotated[
        list[str],
        typer.Argument(help="Parquet files of a corpus, patterns of them, or its folder: local or s3://."),
    ],
    dest: Annotated[str, typer.Argument(help="The file to write: OUT.jsonl or OUT.jsonl.zst, local or s3://.")],
    to: Annotated[str, typer.Option(help="openai, sharegpt, slime or swebench.")] = "openai",
    as_json: JsonOption = False,
) -> None:
    """Write the rows of a corpus in another tool's form, with where each came from: messages and calls are parsed from the stored text.

    openai     {messages, tools, metadata}; an answer that is only shown has `loss: false`
    sharegpt   {conversations, tools, metadata}, calls and responses as LLaMA-Factory has them
    slime      {input_messages, label, tools, metadata}: prompts for reinforcement learning, read with --input-key input_messages
    swebench   the tasks of software rows, for SWE-bench's own harness

    Example: tokenloom synth export out/corpora/agents/filter.length-0a1b2c3d4e5f agents.jsonl.zst
    Example: tokenloom synth export "out/corpora/search/*/part-*.parquet" search.jsonl --to slime
    """
    from datapipe import store
    from synth.export import FORMATS, export

    if to not in FORMATS:
        raise typer.BadParameter(f"--to {to!r}: write one of {', '.join(FORMATS)}")
    files: list[str] = []
    for part in parts:
        pattern = (
            part
            if any(mark in part for mark in "*?[") or part.endswith(".parquet")
            else store.join(part, "part-*.parquet")
        )
        found = [file.path for file in store.glob(pattern)]
        if not found:
            raise typer.BadParameter(f"{part}: no such file. Name part-*.parquet below OUT/corpora/NAME/STEP")
        files += found
    with stderr.status("exporting") as status:
        counted = export(files, dest, to, lambda path, done, total: status.update(f"{done}/{total} {path}"))
    if as_json:
        print(json.dumps(dict(counted)))
        return
    stdout.print(f"{dest}: {counted['written']:,} rows as {to}", soft_wrap=True, highlight=False)
    for what, said in (("no_such_form", f"have no form as {to}"), ("unreadable", "could not be read back")):
        if counted[what]:
            stderr.print(f"{counted[what]:,} rows {said} and were left out", highlight=False)
