"""The tables of `plan` show what a stage will do: shares and their phases, who fills, epochs and their caps."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from curriculum.manifest import Manifest
from curriculum.planner import make_plan
from curriculum.show import show_plan
from curriculum.stages import Packing
from tests.curricula import make_curriculum, make_lock, shard_set, stage_text

CONCAT = Packing("concat", 256, False)


def shown(
    manifest: Manifest, lock: dict[str, Any] | None, num_stages: int | None = None
) -> dict[tuple[str, str], list[str]]:
    """Rows of the mixture's table by stage and source: share, phases, tokens, rows, held, epochs, of the corpus, role."""
    console = Console(file=io.StringIO(), width=200, record=True)
    plan, _ = make_plan(manifest, lock, num_stages=num_stages)
    show_plan(console, manifest, plan, measured=lock is not None)
    rows, stage = {}, ""
    for line in console.export_text().partition("Mixture")[2].splitlines():
        if line.startswith("│"):
            name, source, *cells = (cell.strip() for cell in line.strip("│").split("│"))
            stage = name or stage
            rows[stage, source] = cells
    return rows


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
    assert rows["one", "web/all"][1] == "90 → 50, 0 %"
    assert rows["one", "code/all"][1] == "10 → 50, 100 %"
    assert rows["one", "books/all"][1:] == ["", "256k", "1,000", "2,000", "0.50", "0.50 of 1", "0.5 epochs"]
    assert [rows["one", f"{name}/all"][-1] for name in ("web", "code")] == ["fills gaps", "together"]
    assert rows["one", "web/all"][-2].endswith("of 2")


def test_epochs_are_those_through_the_end_of_the_stage(tmp_path: Path) -> None:
    text = stage_text(tokens=256_000, mix="{web: 1}") + stage_text("two", 256_000, "{web: 1}")
    rows = shown(make_curriculum(tmp_path, text), make_lock(shard_set(CONCAT, "web", 4000)))
    assert rows["one", "web/all"] == ["100.0 %", "", "256k", "1,000", "4,000", "0.25", "0.25 of 1", ""]
    assert rows["two", "web/all"] == ["100.0 %", "", "256k", "1,000", "4,000", "0.50", "0.50 of 1", ""]


def test_what_is_not_known_yet_is_not_shown(tmp_path: Path) -> None:
    text = stage_text(tokens=256_000, mix="{web: 1}") + stage_text("two", 256_000, "{code: 1}")
    manifest = make_curriculum(tmp_path, text, code="declared_tokens: 512k\n")
    rows = shown(manifest, None)
    assert rows["one", "web/all"] == ["100.0 %", "", "256k", "1,000", "?", "?", "", ""]
    assert rows["two", "code/all"] == ["100.0 %", "", "256k", "1,000", "2,000", "0.50", "0.50 of 1", ""]
    running = make_lock(shard_set(CONCAT, "web", 4000))
    assert set(shown(manifest, running, num_stages=1)) == {("one", "web/all")}
