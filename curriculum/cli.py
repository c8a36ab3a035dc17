"""The command line: `tokenloom VERB`. Tables go to stdout (`--json` for machines), progress and messages to stderr.

Exit codes: 0 fine, 1 a check or a run failed, 2 a bad manifest or a bad call, 130 interrupted, 143 terminated (the same command
continues after either).
Modules are imported by the verb that needs them, so that `plan` answers at once and needs neither ray nor torch.
"""

import json
import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curriculum.cli_bridges import exports, imports
from curriculum.cli_curate import curate
from curriculum.cli_options import (
    CpusOption,
    DataOption,
    GroupOption,
    InProcessOption,
    JsonOption,
    ManifestArgument,
    OutArgument,
    SiteOption,
    ThreadsOption,
    stderr,
    stdout,
)
from curriculum.cli_statistics import statistics
from curriculum.cli_synth import synth
from curriculum.document import ManifestError

if TYPE_CHECKING:
    from curriculum.build import Built

app = typer.Typer(
    help="Turn raw crawls, repositories and books into packed shards, and feed them stage by stage to a mixture-of-experts trainer.\n\n"
    "Start with: tokenloom sample sample && tokenloom run quickstart out --data sample",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(curate)
app.command()(statistics)
app.add_typer(exports, name="export")
app.add_typer(imports, name="import")
app.add_typer(synth, name="synth")

INTERRUPTED = 130  # what typer makes of Ctrl-C


@app.command()
def sample(
    out: Annotated[str, typer.Argument(help="Local folder for the sample.")],
    max_bytes: Annotated[str, typer.Option(help="Raw size of the sample.")] = "69M",
    as_json: JsonOption = False,
) -> None:
    """Write a real corpus from this Python installation: web pages, repositories, formulas, long documents. Needs no network.

    Example: tokenloom sample sample
    """
    from curriculum.units import parse_count, si
    from datapipe.sample import write_sample

    try:
        limit = parse_count(max_bytes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with stderr.status("reading this Python installation") as status:
        report = write_sample(
            out, max_bytes=limit, progress=lambda name, done, total: status.update(f"{name} {done}/{total}")
        )
    if as_json:
        print(json.dumps({"bytes": report.bytes, "documents": report.documents, "reused": report.reused}))
        return
    for name, num_bytes in report.bytes.items():
        stdout.print(f"{name:<8} {report.documents[name]:>7,} documents  {si(num_bytes)}B")


@app.command()
def plan(
    manifest: ManifestArgument,
    out: Annotated[str | None, typer.Option(help="A finished build: its measured sizes replace declared ones.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a curriculum will do: stages, exact rows and steps, tokens and epochs per source. Touches no data.

    Example: tokenloom plan quickstart
    """
    from curriculum.lock import read_lock
    from curriculum.manifest import load_manifest
    from curriculum.planner import make_plan
    from curriculum.show import show_cuts, show_plan

    loaded = load_manifest(manifest)
    lock, digest = read_lock(out) if out else (None, "")
    made, warnings = make_plan(loaded, lock, digest)
    if as_json:
        print(made.to_json(), end="")
    else:
        show_plan(stdout, loaded, made, measured=lock is not None)
        if lock:
            show_cuts(stdout, lock)
    _warn(warnings)


@app.command()
def describe(
    model: Annotated[str, typer.Argument(help="A shipped shape (tiny, glm45_air, glm45), or a YAML file of one.")],
    site: Annotated[
        str | None,
        typer.Option(help="A site file whose layout is judged; the options below go before what it says."),
    ] = None,
    seq_len: Annotated[int, typer.Option(min=1, help="Tokens of a row, for FLOPs and activations.")] = 4096,
    tensor: GroupOption = None,
    pipeline: GroupOption = None,
    expert: GroupOption = None,
    context: GroupOption = None,
    first_stage_layers: Annotated[
        int | None, typer.Option(min=1, help="Layers of the first pipeline stage, when uneven.")
    ] = None,
    last_stage_layers: Annotated[int | None, typer.Option(min=1, help="Layers of the last one.")] = None,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="Those of the site file, or the fewest that the layout can run on.")
    ] = None,
    gpu_memory: Annotated[str, typer.Option(help="Memory of one GPU.")] = "80G",
    micro_tokens: Annotated[
        int | None, typer.Option(min=1, help="Positions computed at once; 8192 by default.")
    ] = None,
    recompute: Annotated[
        str | None, typer.Option(help="none, or full: activations are computed a second time instead of kept.")
    ] = None,
    optimizer: Annotated[str, typer.Option(help="muon or adamw.")] = "muon",
    head: Annotated[str, typer.Option(help="What learns the output head beside muon: muon or adamw.")] = "muon",
    as_json: JsonOption = False,
) -> None:
    """Say what a model is and needs: parameters, FLOPs, key-value cache; with a layout, the memory of every pipeline stage. All on paper.

    Example: tokenloom describe glm45
    Example: tokenloom describe glm45_air --pipeline 4 --expert 8 --first-stage-layers 12 --last-stage-layers 8 --recompute full
    Example: tokenloom describe glm45 --site manifests/sites/glm45.toml --seq-len 32768 --context 4
    """
    from curriculum import describe as describing
    from curriculum.show import show_model

    said = describing.from_options(
        model,
        site=site,
        layout={
            "tensor": tensor,
            "pipeline": pipeline,
            "expert": expert,
            "context": context,
            "first_stage_layers": first_stage_layers,
            "last_stage_layers": last_stage_layers,
        },
        settings={
            "seq_len": seq_len,
            "micro_tokens": micro_tokens,
            "recompute": recompute,
            "optimizer": optimizer,
            "head": head,
        },
        gpus=gpus,
        gpu_memory=gpu_memory,
    )
    if as_json:
        print(json.dumps(said))
    else:
        show_model(stdout, said)


@app.command()
def build(
    manifest: ManifestArgument,
    out: OutArgument,
    data: DataOption = ".",
    cpus: CpusOption = None,
    in_process: InProcessOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make corpora, tokenizer, packed shards, lock and plan. Finished parts are never redone: run it again after an interruption.

    Example: tokenloom build quickstart out --data sample
    """
    built = _build(manifest, out, data, cpus, in_process)
    _show_built(built, as_json)


@app.command()
def train(
    out: OutArgument,
    shards: Annotated[
        str | None, typer.Option(help="Where the shards lie when not in OUT: a folder or s3://bucket/prefix.")
    ] = None,
    threads: ThreadsOption = None,
    stop_after: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many more steps; a later call continues.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Begin from these weights: a checkpoint's folder or a Hugging Face directory. Later calls need it no more."
        ),
    ] = None,
    site: SiteOption = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine: those of the site file, else one per GPU, else one."),
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print what would be run, for several nodes a Slurm script; run nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the stages of a build's plan from its newest checkpoint. The build may still be running: what is not sealed yet is waited for.

    Ctrl-C and SIGTERM end it after a checkpoint. A site file with several nodes is printed, not run: try its layout with `describe`.

    Example: tokenloom train out
    Example: tokenloom train out --processes 2
    Example: tokenloom train out --site manifests/sites/glm45.toml > train.sbatch && sbatch train.sbatch
    """
    from curriculum.launch import plan_launch

    options: dict[str, Any] = {
        "shards": shards,
        "site": site,
        "threads": threads,
        "stop_after": stop_after,
        "weights": weights,
    }
    launch = plan_launch(out, processes=processes, **options)
    if print_only or launch.nodes > 1:
        print(launch.printed().rstrip())
        return
    steps = _train(out, processes=processes, **options)
    if as_json:
        print(json.dumps(steps[-1]))
    else:
        _show_trained(steps)


@app.command()
def report(out: OutArgument) -> None:
    """Write one HTML page about a build and its training, or about curated corpora: OUT/report/index.html, self-contained.

    Example: tokenloom report out
    """
    from curriculum.report import write_report

    stdout.print(write_report(out), soft_wrap=True, highlight=False)


@app.command()
def inspect(
    out: OutArgument,
    step: Annotated[
        int | None, typer.Option(min=0, help="A global training step: which rows and documents were in it.")
    ] = None,
    document: Annotated[
        str | None, typer.Option(help="A document by its whole id: where it came from, and the steps that learn it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Trace a training step to its documents, or a document to its source and to the steps that learn it. Computed, nothing was logged.

    Example: tokenloom inspect out --step 12
    Example: tokenloom inspect out --document 0f3a...
    """
    from curriculum import inspect as tracing
    from curriculum.show import show_document, show_step

    if (step is None) == (document is None):
        raise typer.BadParameter("give --step N or --document ID")
    if step is not None:
        if step >= (num_steps := tracing.load_plan(out).steps):
            _fail(f"the plan has {num_steps} steps, 0 to {num_steps - 1}; there is no step {step}.")
        found = tracing.inspect_step(out, step)
        if as_json:
            print(json.dumps(found))
        else:
            show_step(stdout, found)
        return
    row = tracing.inspect_document(out, str(document))
    if row is None:
        _fail(
            f"no shard of {out} holds a document {document!r}: it was dropped (see the rejects in the report), or this is not the "
            "whole id, 32 digits."
        )
        return
    if as_json:
        print(json.dumps(row))
    else:
        show_document(stdout, row)


@app.command()
def verify(out: OutArgument, as_json: JsonOption = False) -> None:
    """Check that every file of a build is what its lock says, and that plan and lock agree. Exit code 1 if not.

    Example: tokenloom verify out
    """
    from curriculum import verify as checking
    from curriculum.progress import VerifyProgress

    with VerifyProgress(stderr) as progress:
        problems = checking.verify(out, observe=progress.observe)
    leftovers = checking.leftovers(out)
    if as_json:
        print(json.dumps({"problems": problems, "leftovers": leftovers, **checking.summary(out)}))
    else:
        for problem in problems:
            stdout.print(problem, style="red", highlight=False, markup=False, soft_wrap=True)
        for leftover in leftovers:
            stderr.print(leftover, highlight=False, markup=False, soft_wrap=True)
        if not problems:
            stdout.print("{shards} shards, {bytes:,} bytes: all as the lock says".format(**checking.summary(out)))
    if problems:
        raise typer.Exit(1)


@app.command()
def run(
    manifest: ManifestArgument,
    out: OutArgument,
    data: DataOption = ".",
    cpus: CpusOption = None,
    threads: ThreadsOption = None,
    in_process: InProcessOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build what is missing, train all stages, write the report.

    Example: tokenloom run quickstart out --data sample
    """
    built = _build(manifest, out, data, cpus, in_process)
    if not as_json:
        _show_built(built, as_json=False)
    steps = _train(out, threads=threads)
    from curriculum.report import write_report

    page = write_report(out)
    if as_json:
        print(json.dumps({"last_step": steps[-1], "report": page}))
        return
    _show_trained(steps)
    stdout.print(f"report: {page}", soft_wrap=True, highlight=False)


def _build(manifest: str, out: str, data: str, cpus: int | None, in_process: bool) -> "Built":
    from curriculum.build import build as build_all
    from curriculum.manifest import load_manifest
    from curriculum.progress import BuildProgress
    from datapipe.engine import InProcess, RayData

    loaded = load_manifest(manifest)
    with BuildProgress(stderr) as progress:
        engine = InProcess(progress.tell) if in_process else RayData(cpus, progress.tell)
        try:
            return build_all(loaded, out, data, engine, progress.observe)
        finally:
            engine.close()


def _show_built(built: "Built", as_json: bool) -> None:
    from curriculum.show import show_build

    if as_json:
        print(json.dumps(built.lock))
    else:
        show_build(stdout, built.lock)
    _warn(built.warnings)


def _show_trained(steps: list[dict[str, Any]]) -> None:
    from curriculum.show import show_training

    show_training(stdout, steps)


def _train(out: str, **options: Any) -> list[dict[str, Any]]:
    from curriculum.inspect import load_plan
    from curriculum.progress import TrainProgress
    from curriculum.training import run_trainer

    with TrainProgress(stderr, load_plan(out).steps) as progress:
        return run_trainer(out, on_step=progress.on_step, **options)


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        stderr.print(f"warning: {warning}", style="yellow", highlight=False)


def _fail(message: str, code: int = 1) -> None:
    stderr.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(code)


def main() -> None:
    """Entry point: turns the errors a user can cause into messages and exit codes."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("interrupted; the same command continues where it stopped", file=sys.stderr)
        raise
    except _foreseen() as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, ManifestError) else getattr(error, "exit_code", 1))


def _foreseen() -> tuple[type[Exception], ...]:
    """Errors with a message for the user; evaluated, and so imported, only when there is an error."""
    from curriculum.export import ExportError
    from curriculum.launch import LaunchError
    from curriculum.plan import PlanError
    from curriculum.report import ReportError
    from curriculum.segment import BuildError
    from curriculum.training import TrainingError
    from datapipe.megatron_file import MegatronFileError
    from datapipe.sample import SampleError
    from datapipe.shards import ShardError
    from datapipe.site import SiteError
    from datapipe.store import StoreError
    from synth.teacher import TeacherError

    foreign = (TeacherError, ExportError, MegatronFileError, SampleError, ShardError, SiteError, StoreError)
    return ManifestError, BuildError, LaunchError, PlanError, ReportError, TrainingError, *foreign
