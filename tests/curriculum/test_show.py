"""What the tables say: shares and their phases, who fills, epochs and their caps; and that nothing is cut on a narrow terminal."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from curriculum.manifest import Manifest, load_manifest
from curriculum.planner import make_plan
from curriculum.show import show_document, show_funnels, show_plan, show_step
from curriculum.stages import Packing
from tests.curricula import make_curriculum, make_lock, shard_set, stage_text

CONCAT = Packing("concat", 256, False)


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, record=True)


def shown(manifest: Manifest, lock: dict[str, Any] | None, num_stages: int | None = None) -> dict[tuple[str, str], str]:
    """Rows of the mixture's table by stage and source: share, phases, tokens, rows, held, epochs, of the corpus, role."""
    console = terminal(200)
    plan, _ = make_plan(manifest, lock, num_stages=num_stages)
    show_plan(console, manifest, plan, measured=lock is not None)
    rows, stage = {}, ""
    for line in filter(str.strip, console.export_text().partition("Mixture")[2].splitlines()):
        name, *cells = line.split()
        if line.startswith("   "):
            rows[stage, name] = " ".join(cells)
        elif not cells:
            stage = name
    return rows


def test_a_funnel_tells_paths_and_clusters_as_they_are_written() -> None:
    def counts(read: int, kept: int) -> dict[str, Any]:
        return {
            "documents_in": read,
            "documents_out": kept,
            "chars_out": 9 * kept,
            "reasons": {"dedup.exact": read - kept},
        }

    paths = {"a[01]*.gz": counts(4_000, 3_000), "b/*.gz": counts(1_000, 0)}
    steps = [{"step": "dedup.exact", **counts(5_000, 3_000), "paths": paths}]
    clusters = [{"origin": f"[red]{n}", "cluster_size": 2_000 - n} for n in range(9)]
    console = terminal(80)
    show_funnels(console, {"web": {"steps": steps, "clusters": clusters}})
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["a[01]*.gz", "4,000", "3,000", "75.0", "%"] in lines
    assert ["b/*.gz", "1,000", "0", "0.0", "%"] in lines
    assert [line for line in lines if line and "[red]" in line[0]] == [
        [f"[red]{n}", f"{2_000 - n:,}"] for n in range(3)
    ]


def test_the_quickstart_fits_80_columns() -> None:
    console, manifest = terminal(80), load_manifest("quickstart")
    plan, _ = make_plan(manifest, None)
    show_plan(console, manifest, plan, measured=False)
    text = console.export_text()
    assert "…" not in text
    for stage in plan.stages:
        assert f"\n{stage.name} " in text
        assert all(f"\n  {source.name} " in text for source in stage.sources)


def test_phases_and_roles_are_shown(tmp_path: Path) -> None:
    text = stage_text(
        mix="[{over: 400k, shares: {web: 0.9, code: 0.1}}, {over: 200k, ramp_to: {web: 0.5, code: 0.5}}, {shares: {code: 1}}]",
        pack="best_fit",
        fill="[web]",
        together="[code]",
        epochs="{books: 0.5}",
        max_epochs="{web: 2}",
    )
    manifest = make_curriculum(tmp_path, text)
    packing = manifest.stages[0].packing
    lock = make_lock(*(shard_set(packing(name), name, 2000) for name in ("web", "code", "books")))
    rows = shown(manifest, lock)
    assert " % 90 → 50, 0 % " in rows["one", "web/all"]
    assert " % 10 → 50, 100 % " in rows["one", "code/all"]
    assert rows["one", "books/all"].endswith(" % 256k 1,000 2,000 0.50 256k 0.50 of 1 0.5 epochs")
    assert rows["one", "web/all"].endswith("of 2 fills")
    assert rows["one", "code/all"].endswith("of 1 together")


def test_schedules_are_shown_in_the_words_of_the_manifest(tmp_path: Path) -> None:
    moving = {
        "bias_rate": "{from: 0.001, to: 0, after: 500k}",
        "mtp_weight": "{from: 0.3, to: 0.1, after: 100k, over: 64Ki}",
    }
    text = stage_text("synthetic_reasoning", pack="best_fit", **moving) + stage_text("two", bias_rate="0")
    console, manifest = terminal(200), make_curriculum(tmp_path, text)
    plan, _ = make_plan(manifest, None)
    show_plan(console, manifest, plan, measured=False)
    lines = [" ".join(line.split()) for line in console.export_text().partition("Mixture")[0].splitlines()]
    shown = {line.split()[0]: line.partition("10k ")[2] for line in lines if "10k " in line}
    assert shown == {"synthetic_reasoning": "0.001 to 0 after 500k 0.3 to 0.1 after 100k over 64Ki", "two": "0 0.3"}
    narrow = terminal(80)
    show_plan(narrow, manifest, plan, measured=False)
    stages = narrow.export_text().partition("Mixture")[0].split()
    assert {"synthetic_reasoning", "best_fit", "0.001", "after", "500k", "100k", "over", "64Ki"} <= set(stages)


def test_epochs_are_those_through_the_end_of_the_stage(tmp_path: Path) -> None:
    text = stage_text(tokens=256_000, mix="{web: 1}") + stage_text("two", 256_000, "{web: 1}")
    rows = shown(make_curriculum(tmp_path, text), make_lock(shard_set(CONCAT, "web", 4000)))
    assert rows["one", "web/all"] == "100.0 % 256k 1,000 4,000 0.25 256k 0.25 of 1"
    assert rows["two", "web/all"] == "100.0 % 256k 1,000 4,000 0.50 512k 0.50 of 1"


def test_what_is_not_known_yet_is_not_shown(tmp_path: Path) -> None:
    text = stage_text(tokens=256_000, mix="{web: 1}") + stage_text("two", 256_000, "{code: 1}")
    manifest = make_curriculum(tmp_path, text, code="declared_tokens: 512k\n")
    rows = shown(manifest, None)
    assert rows["one", "web/all"] == "100.0 % 256k 1,000 ? ? ?"
    assert rows["two", "code/all"] == "100.0 % 256k 1,000 2,000 0.50 256k 0.50 of 1"
    running = make_lock(shard_set(CONCAT, "web", 4000))
    assert set(shown(manifest, running, num_stages=1)) == {("one", "web/all")}


def test_a_step_shows_whole_ids(tmp_path: Path) -> None:
    """An id is what `inspect --document` takes; the origin is not cut either, and a filler says whose it is."""
    console, long = terminal(80), "name@1:" + "folder/" * 20 + "file.py"
    pieces = [
        {"doc": "0f" * 16, "source": "web/all", "origin": long, "offset": 0, "start": 0, "length": 200},
        {"doc": "1e" * 16, "source": "qa/all", "origin": "[b]", "offset": 0, "start": 200, "length": 56},
    ]
    row = {"row": 24, "source": "web/all", "epoch": 0, "shard": "shards/web/x", "shard_row": 7, "pieces": pieces}
    show_step(console, {"step": 12, "stage": "one", "stage_step": 12, "seq_len": 256, "rows": [row]})
    lines = console.export_text().splitlines()
    assert lines[0] == "Step 12 of stage one: its step 12, 1 row of 256 tokens"
    assert "row 24  web/all, epoch 0, row 7 of shards/web/x" in lines
    assert lines[-2].split() == ["0", "200", "0f" * 16, long]
    assert lines[-1].split() == ["200", "56", "1e" * 16, "[b]", "(qa/all)"]


def test_a_document_shows_the_pieces_that_are_learned() -> None:
    def piece(stage: str, offset: int, *steps: int) -> dict[str, Any]:
        place = {"rows_of": "web/all", "shard": "shards/web/x", "shard_row": 7, "start": 0}
        return {
            "stage": stage,
            "offset": offset,
            "length": 100,
            "steps": list(steps),
            "held_out": stage == "two",
            **place,
        }

    pieces = [piece("one", 0, 3, 9), piece("one", 100), piece("one", 200, *range(20)), piece("two", 0)]
    console = terminal(140)
    show_document(console, {"id": "0f", "origin": None, "text": "a\nb", "steps_done": 5, "pieces": pieces})
    text = console.export_text()
    assert text.startswith("id  0f\ntext  a\nb\n")
    learned = [" ".join(line.split()) for line in text.splitlines() if "shards/web/x" in line]
    assert learned == [
        "one 0 to 99 3, 9 (1 done) 0 7 shards/web/x",
        "one 200 to 299 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (5 done) 0 7 shards/web/x",
    ]
    assert "Pieces that are learned: one 2 of 3, two 0 of 1." in text
    assert "Pieces held out for validation: 1." in text
