"""The verb `tokenloom synth check`: synthetic rows proven a second time, by code that shares none with their generators."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from curriculum.cli_options import JsonOption, stderr, stdout

if TYPE_CHECKING:
    from synth.checker.checkers import Checked
    from synth.checker.row import Documents

SHOWN = 20  # disagreements


def check(
    out: Annotated[
        str, typer.Argument(help="Folder of a finished build, or of `curate`: local or s3://bucket/prefix.")
    ],
    corpora: Annotated[list[str], typer.Argument(help="Corpora of synthetic rows.")],
    sources: Annotated[
        list[str], typer.Option("--from", help="A corpus that the rows were made from; repeat it for several.")
    ],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the rows that are checked.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the draw of these rows.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Prove a draw of synthetic rows again, by independent code, and say where it disagrees. Exit code 1 when it does.

    Facts are mined again, questions asked again, calls made again on another database, code and tests run again in the sandbox,
    calculations done by other routes. All documents of the --from corpora are held in memory. Rows of generators that have no
    checker are counted as unchecked.

    Example: tokenloom synth check quickstart/out search --from pages
    Example: tokenloom synth check quickstart/out reasoning rephrased --from code --from web --from math --from books --share 1
    """
    found = list(_checked(out, corpora, sources, share, seed, quiet=as_json))
    counts = _counts(found)
    wrong = [one for one in (result for result, _ in found) if one is not None and one.disagreements]
    if as_json:
        told = [{"id": one.id, "generator": one.generator, "disagreements": one.disagreements} for one in wrong]
        print(json.dumps({"generators": counts, "disagreements": told}))
    else:
        _show(counts, wrong)
    if wrong:
        raise typer.Exit(1)


def _checked(
    out: str, corpora: list[str], sources: list[str], share: float, seed: int, *, quiet: bool
) -> "Iterator[tuple[Checked | None, str]]":
    """What came of every row with its generator; None of one that was not drawn."""
    from curriculum.built import documents_of
    from synth.checker.checkers import checked, is_drawn

    rows = [(table, name) for name in corpora for table in documents_of(out, name)]
    documents = _documents(out, sources)
    with Progress(console=stderr, disable=quiet, transient=True) as progress:
        bar = progress.add_task("checking", total=sum(table.num_rows for table, _ in rows))
        for table, name in rows:
            for batch in table.to_batches(max_chunksize=256):
                for stored in batch.to_pylist():
                    drawn = is_drawn(stored["id"], share, seed)
                    generator = json.loads(stored["meta"] or "{}").get("generator")
                    if generator is None:
                        raise typer.BadParameter(
                            f"a document of {name} says no generator: name corpora of synthetic rows"
                        )
                    yield (checked(stored, documents) if drawn else None), generator
                    progress.advance(bar)


def _documents(out: str, sources: list[str]) -> "Documents":
    from curriculum.built import documents_of
    from synth.checker.row import Document, Documents

    columns = ["id", "text", "origin", "kind", "license", "meta"]
    return Documents(
        Document(**row, corpus=name)
        for name in sources
        for table in documents_of(out, name)
        for row in table.select(columns).to_pylist()
    )


def _counts(found: "list[tuple[Checked | None, str]]") -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for result, generator in found:
        of = counts.setdefault(generator, Counter(rows=0, checked=0, agree=0, disagree=0, unchecked=0))
        of["rows"] += 1
        if result is not None:
            is_checked = result.disagreements is not None
            of["checked"] += is_checked
            of["unchecked"] += not is_checked
            of["agree"] += result.disagreements == ()
            of["disagree"] += bool(result.disagreements)
    return {generator: dict(of) for generator, of in sorted(counts.items())}


def _show(counts: dict[str, dict[str, int]], wrong: "list[Checked]") -> None:
    table = Table("generator", *(name for name in ("rows", "checked", "agree", "disagree", "unchecked")))
    for generator, of in counts.items():
        table.add_row(generator, *(f"{count:,}" for count in of.values()))
    stdout.print(table)
    for generator, of in counts.items():
        if of["unchecked"]:
            stderr.print(f"{of['unchecked']:,} rows of {generator} were drawn and have no checker", highlight=False)
    for one in wrong[:SHOWN]:
        what: Any = "; ".join((one.disagreements or ())[:3])
        stdout.print(f"{one.id} ({one.generator}): {what}", highlight=False, markup=False, soft_wrap=True)
    if len(wrong) > SHOWN:
        stdout.print(f"and {len(wrong) - SHOWN:,} more rows; --json lists all", highlight=False)
