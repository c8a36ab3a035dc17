"""The verbs `tokenloom synth review`, `review-export` and `review-import`: people read what was generated."""

import getpass
import json
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curriculum.cli_options import stderr, stdout

if TYPE_CHECKING:
    from synth.review.session import Session

OutArgument = Annotated[
    str, typer.Argument(help="Folder of a finished build, or of `curate`: local or s3://bucket/prefix.")
]
CorpusOption = Annotated[str, typer.Option(help="A corpus of search questions.")]
PagesOption = Annotated[
    list[str], typer.Option(help="Corpora that the questions were generated from; repeat it for several.")
]
LogOption = Annotated[str, typer.Option(help="The log of decisions: a local file that only grows.")]
ReviewerOption = Annotated[str, typer.Option(help="Whose decisions these are; your login by default.")]
FormatOption = Annotated[str, typer.Option("--format", help="label-studio or argilla.")]


def review(
    out: OutArgument,
    corpus: CorpusOption = "search",
    pages: PagesOption = ["pages"],  # noqa: B006
    log: LogOption = "reviews.jsonl",
    reviewer: ReviewerOption = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; a free one by default.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser of this machine.")] = True,
) -> None:
    """Read search questions on a local page: accept, edit, make clues vaguer, reject, and collect facts for new ones.

    The page is served on this machine alone, behind an address with a key. Every change of a clue shows how many answers the corpus then
    has; an edited or new question is kept only if it passes every verifier again. Decisions go to --log, line by line. A tenth of
    the questions is read by every reviewer; the third view has their agreement (kappa). Press ? on the page for its keys.

    What was decided becomes a corpus with `source: {generator: reviewed, from: [search], log: reviews.jsonl}`, whose path starts from the
    folder of the data, as those of other sources do; with more decisions in the log the corpus is made again.

    Example: tokenloom synth review quickstart/out --corpus search --pages pages --log reviews.jsonl
    """
    from synth.review.server import Server

    with _session(out, corpus, pages, log, reviewer) as session:
        server = Server(session.functions(), port)
        stdout.print(f"{len(session.items)} questions, decisions go to {session.log.path}", highlight=False)
        stdout.print(f"Open {server.url}   (Ctrl-C ends)", highlight=False, soft_wrap=True)
        if browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            stderr.print("The review ends; every decision is in the log.")
        finally:
            server.server_close()


def review_export(
    out: OutArgument,
    to: Annotated[Path, typer.Argument(help="The file to write.")],
    corpus: CorpusOption = "search",
    pages: PagesOption = ["pages"],  # noqa: B006
    form: FormatOption = "label-studio",
) -> None:
    """Write search questions with their evidence as a file that Label Studio or Argilla reads.

    For Label Studio the labelling interface lies beside it, as FILE.xml.

    Example: tokenloom synth review-export quickstart/out queue.json --format label-studio
    """
    from synth.review.exchange import LABELING, exported

    _check_format(form)
    with _session(out, corpus, pages, "", "") as session:
        records = exported((session.items[name] for name in session.order), session.world.pages, form)
    to.write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", errors="backslashreplace")
    if form == "label-studio":
        to.with_name(to.name + ".xml").write_text(LABELING + "\n")
    stdout.print(f"{len(records)} questions in {to}", highlight=False)


def review_import(
    out: OutArgument,
    file: Annotated[Path, typer.Argument(help="What Label Studio or Argilla exported, as JSON.")],
    corpus: CorpusOption = "search",
    pages: PagesOption = ["pages"],  # noqa: B006
    log: LogOption = "reviews.jsonl",
    form: FormatOption = "label-studio",
) -> None:
    """Take decisions that were made in Label Studio or Argilla into the log. Questions in other words are verified first.

    Example: tokenloom synth review-import quickstart/out done.json --format label-studio --log reviews.jsonl
    """
    from synth.review.exchange import ExchangeError, imported

    _check_format(form)
    try:
        decisions = imported(file.read_bytes(), form)
    except (ExchangeError, OSError) as error:
        raise typer.BadParameter(f"{file}: {error}") from error
    with _session(out, corpus, pages, log, "") as session:
        counts = session.take(decisions)
    stdout.print(
        ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing to take", highlight=False
    )


@contextmanager
def _session(out: str, corpus: str, pages: list[str], log: str, reviewer: str) -> Iterator["Session"]:
    from curriculum.built import documents_of
    from synth.review.log import Log
    from synth.review.opened import ReviewError, opened

    documents = (table for name in pages for table in documents_of(out, name))
    try:
        with opened(documents_of(out, corpus), documents, Log(log), reviewer or getpass.getuser()) as session:
            yield session
    except ReviewError as error:
        raise typer.BadParameter(str(error)) from error


def _check_format(form: str) -> None:
    from synth.review.exchange import FORMATS

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is no format: type one of {', '.join(FORMATS)}")
