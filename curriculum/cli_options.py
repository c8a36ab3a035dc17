"""What the verbs of the command line share: where they print, and the arguments that mean the same everywhere."""

import sys
from typing import Annotated

import typer
from rich.console import Console

stdout = Console(width=None if sys.stdout.isatty() else 140)
stderr = Console(stderr=True)

ManifestArgument = Annotated[str, typer.Argument(help="A manifest file, or the name of a shipped one (quickstart).")]
OutArgument = Annotated[str, typer.Argument(help="Folder of the build: local or s3://bucket/prefix.")]
DataOption = Annotated[str, typer.Option(help="Folder that relative paths of the manifest's sources start from.")]
CpusOption = Annotated[
    int | None, typer.Option(min=1, help="Cores for local Ray; all by default. The result is the same for any number.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads of the trainer, 1 by default; another number rounds differently.")
]
InProcessOption = Annotated[
    bool, typer.Option("--in-process", help="Run without Ray, one task after the other (for debugging).")
]
GroupOption = Annotated[int | None, typer.Option(min=1, help="Size of this parallel group; 1 by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
SiteOption = Annotated[
    str | None,
    typer.Option(
        help="A TOML file about the machines: the layout, the cache for shards on S3, which checkpoints stay. Default: $TOKENLOOM_SITE."
    ),
]
