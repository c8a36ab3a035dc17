"""The verb `tokenloom statistics`: thresholds chosen by looking at two corpora."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from curriculum.cli_options import JsonOption, stderr, stdout

if TYPE_CHECKING:
    from curriculum.statistics import Comparison, Limit

BARS = " ▁▂▃▄▅▆▇█"


def statistics(
    good: Annotated[
        str,
        typer.Argument(help="Documents worth keeping: a Parquet or JSON Lines file, a glob, or a folder (a step's)."),
    ],
    bad: Annotated[str, typer.Argument(help="Documents of the kind to drop, or the raw crawl.")],
    sample: Annotated[int, typer.Option(min=0, help="Documents to look at in each; 0 for all.")] = 10_000,
    text_key: Annotated[str, typer.Option(help="The field or column that holds the text.")] = "text",
    as_json: JsonOption = False,
) -> None:
    """Show how two corpora differ in every statistic that a rule limits, what today's limits drop of each, and which limit would be best.

    Example: tokenloom statistics books.jsonl.gz 'crawl/part-*.parquet'
    Example: tokenloom statistics out/corpora/web/dedup.minhash-1f2e3d4c5b6a out/corpora/web/filter.fineweb-9c0d1e2f3a4b/rejects.parquet
    """
    from curriculum.statistics import as_json as report
    from curriculum.statistics import caveats, compare, cut_at, measured

    values, max_chars = [], cut_at(good, bad)
    with _progress(stderr) as progress:
        for path in (good, bad):
            task = progress.add_task(path, total=sample or None)

            def observe(done: int, _: int, task: int = task) -> None:
                progress.update(task, completed=done)  # type: ignore[arg-type]

            try:
                values.append(measured(path, sample, text_key, observe, max_chars))
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
    found = compare(values[0], values[1])
    counts = len(values[0]["words"]), len(values[1]["words"])
    if as_json:
        print(json.dumps(report(good, bad, counts, found)))
    else:
        show_statistics(stdout, counts, found, caveats((good, bad), counts))


def show_statistics(
    console: Console, documents: tuple[int, int], found: "list[Comparison]", caveats: Sequence[str] = ()
) -> None:
    """Per statistic a line for the good corpus and one for the bad one, after what limits the comparison."""
    for caveat in caveats:
        console.print(caveat, highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{documents[0]:,} good and {documents[1]:,} bad documents. The limits that tell them apart best come first.\n"
        "distance: of the two distributions (Kolmogorov-Smirnov). `drops`: share of that corpus.\n",
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in ("statistic, step", "", "distribution"):
        table.add_column(column, no_wrap=True)
    for column in ("distance", "5 %", "median", "95 %", "today keeps", "drops", "best keeps", "drops"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found:
        for side, name in enumerate(("good", "bad")):
            table.add_row(
                f"[dim]{_step(one.defaults[0])}[/]" if side else one.name,
                name,
                spark(one.histograms[side], max(map(max, one.histograms))),
                "" if side else f"{one.distance:.2f}",
                *(_number(one.quantiles[side][index]) for index in (1, 3, 5)),
                *_told(one.defaults, side),
                *_told([one.best] if one.best else [], side),
                end_section=bool(side),
            )
    console.print(table)
    if best := found[0].best:
        console.print(
            f"The first as a step: - {_as_step(best)}. It drops {best.good:.1%} of the good and {best.bad:.1%} of the bad documents.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def spark(shares: list[float], most: float) -> str:
    """A histogram in one line; what is there at all is seen."""
    return "".join(BARS[0 if not share else max(1, round(share / most * (len(BARS) - 1)))] for share in shares)


def _told(limits: "list[Limit]", side: int) -> tuple[str, str]:
    """(what is kept, on the first of two lines; which share of this corpus is dropped)."""
    kept = " ".join(f"{'≥' if limit.keeps == '>=' else '≤'} {_number(limit.value)}" for limit in limits)
    dropped = sum(limit.bad if side else limit.good for limit in limits)
    return "" if side else kept or "none", f"{dropped:.1%}" if limits else ""


def _step(limit: "Limit") -> str:
    return ".".join(limit.parameter.split(".")[:2])


def _as_step(limit: "Limit") -> str:
    """The limit as a line of a corpus file."""
    name, *key = limit.parameter.split(".")[2:]
    value = f"{{{key[0]}: {limit.value:g}}}" if key else f"{limit.value:g}"
    return f"{_step(limit)}: {{{name}: {value}}}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TextColumn("documents"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
