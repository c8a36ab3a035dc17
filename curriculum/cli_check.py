"""The verb `tokenloom synth check`: synthetic rows proven a second time, by code that shares none with their generators."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.progress import Progress
from rich.table import Table

from curriculum.cli_options import JsonOption, stderr, stdout

if TYPE_CHECKING:
    from synth.checker.checkers import Checked
    from synth.checker.row import Documents

SHOWN = 20  # disagreements


class Tally(NamedTuple):
    """What came of the rows of one generator in one corpus."""

    counts: Counter[
        str
    ]  # rows, checked, agree, disagree, unchecked, strays (rows with a parent that is in no --from corpus)
    proven: Counter[str]  # rows by verdict
    unproven: Counter[str]
    wrong: "list[Checked]"

    def add(self, found: "Checked") -> None:
        is_checked = found.disagreements is not None
        self.counts["checked"] += is_checked
        self.counts["unchecked"] += not is_checked
        self.counts["agree"] += found.disagreements == ()
        self.counts["disagree"] += bool(found.disagreements)
        self.counts["strays"] += found.is_stray
        self.proven.update(found.proven)
        self.unproven.update(found.unproven)
        self.wrong.extend([found] if found.disagreements else [])


Tallies = dict[tuple[str, str], Tally]  # by corpus and generator


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

    Facts are mined again, questions asked again of all pages, searches ranked again, calls made again on another database under the policy
    that the row tells, code and tests run again in the sandbox, calculations done by other routes. The verdicts that this proves, and those
    that stay the generator's word, are named. All documents of the --from corpora are held in memory. Rows of generators that have no
    checker are counted as unchecked.

    Example: tokenloom synth check quickstart/out search --from pages
    Example: tokenloom synth check quickstart/out reasoning --from code --from web --from math --from books --from programming --share 1
    """
    began = time.process_time()
    tallies = _checked(out, corpora, sources, share, seed, quiet=as_json)
    wrong = [(corpus, one) for (corpus, _), tally in tallies.items() for one in tally.wrong]
    if as_json:
        print(json.dumps(_as_json(tallies)))
    else:
        _show(tallies)
        for corpus, one in wrong[:SHOWN]:
            what: Any = "; ".join((one.disagreements or ())[:3])
            stdout.print(f"{corpus} {one.id}: {what}", highlight=False, markup=False, soft_wrap=True)
        if len(wrong) > SHOWN:
            stdout.print(f"and {len(wrong) - SHOWN:,} more rows; --json lists all", highlight=False)
        stdout.print(f"{time.process_time() - began:.1f} CPU seconds, less what ran in the sandbox", highlight=False)
    if strays := sum(tally.counts["strays"] for tally in tallies.values()):
        said = f"{strays:,} rows have parents that are not in {', '.join(sources)} as they are now: "
        said += "name every corpus that they were made from with --from, and the folder of the same build."
        stderr.print(said, highlight=False, soft_wrap=True)
    if wrong:
        raise typer.Exit(1)


def _checked(out: str, corpora: list[str], sources: list[str], share: float, seed: int, *, quiet: bool) -> Tallies:
    from curriculum.built import documents_of
    from synth.checker.checkers import checked, is_drawn

    rows = [(name, table) for name in dict.fromkeys(corpora) for table in documents_of(out, name)]
    documents = _documents(out, sources)
    tallies: Tallies = {}
    with Progress(console=stderr, disable=quiet, transient=True) as progress:
        bar = progress.add_task("checking", total=sum(table.num_rows for _, table in rows))
        for name, stored in _stored(rows):
            generator = json.loads(stored["meta"] or "{}").get("generator")
            if generator is None:
                raise typer.BadParameter(f"a document of {name} says no generator: name corpora of synthetic rows")
            tally = tallies.setdefault((name, generator), Tally(Counter(), Counter(), Counter(), []))
            tally.counts["rows"] += 1
            if is_drawn(stored["id"], share, seed):
                tally.add(checked(stored, documents))
            progress.advance(bar)
    return tallies


def _stored(rows: list[tuple[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, table in rows:
        for batch in table.to_batches(max_chunksize=256):
            for stored in batch.to_pylist():
                yield name, stored


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


def _as_json(tallies: Tallies) -> dict[str, Any]:
    found = [
        {
            "corpus": corpus,
            "generator": generator,
            **{name: tally.counts[name] for name in ("rows", "checked", "agree", "disagree", "unchecked")},
            "proven": dict(sorted(tally.proven.items())),
            "unproven": dict(sorted(tally.unproven.items())),
        }
        for (corpus, generator), tally in tallies.items()
    ]
    wrong = [
        {"corpus": corpus, "id": one.id, "generator": one.generator, "disagreements": one.disagreements}
        for (corpus, _), tally in tallies.items()
        for one in tally.wrong
    ]
    return {"corpora": found, "disagreements": wrong}


def _show(tallies: Tallies) -> None:
    names = ("rows", "checked", "agree", "disagree", "unchecked")
    table = Table("corpus", "generator", *names)
    for (corpus, generator), tally in tallies.items():
        table.add_row(corpus, generator, *(f"{tally.counts[name]:,}" for name in names))
    stdout.print(table)
    for (corpus, generator), tally in tallies.items():
        if tally.counts["unchecked"]:
            said = f"{tally.counts['unchecked']:,} rows of {generator} were drawn and have no checker"
            stderr.print(said, highlight=False)
        for how, verdicts in (("proven again", tally.proven), ("not proven", tally.unproven)):
            if verdicts:
                told = ", ".join(f"{name} {count:,}" for name, count in sorted(verdicts.items()))
                stdout.print(f"{corpus}, {how}: {told}", highlight=False, soft_wrap=True)
