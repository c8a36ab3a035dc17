"""The verb `tokenloom curate`: corpora on their own, to try steps and thresholds, or to deduplicate and nothing else."""

import json
from typing import Annotated

import typer

from curriculum.cli_options import CpusOption, DataOption, InProcessOption, JsonOption, OutArgument, stderr, stdout


def curate(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Corpus files, or names of shipped ones such as web. What one refers to is found beside it."
        ),
    ],
    out: OutArgument,
    data: DataOption = ".",
    cpus: CpusOption = None,
    in_process: InProcessOption = False,
    as_json: JsonOption = False,
) -> None:
    """Curate corpora alone: read, extract, filter, deduplicate, score. Needs no manifest of stages; a later build finds the work done.

    Finished parts are never redone: change a threshold and run it again. Kept documents lie in the Parquet files that OUT/curated.json
    names, a sample of the dropped ones in rejects.parquet beside every step. `tokenloom report OUT` shows both as a page.

    Example: tokenloom curate manifests/corpora/quickstart/math.yaml out --data sample
    Example: tokenloom curate web out --data crawl     (manifests/corpora/web.yaml says what lies where below crawl)
    """
    from curriculum.curating import curate_files
    from curriculum.progress import BuildProgress
    from curriculum.show import show_funnels
    from datapipe.engine import InProcess, RayData

    with BuildProgress(stderr) as progress:
        engine = InProcess(progress.tell) if in_process else RayData(cpus, progress.tell)
        try:
            curated = curate_files(files, out, data, engine, progress.observe)
        finally:
            engine.close()
    if as_json:
        print(json.dumps(curated))
    else:
        show_funnels(stdout, curated["corpora"])
