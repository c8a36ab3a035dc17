import dataclasses
import json
import math
from pathlib import Path

from curriculum.plan import Plan
from curriculum.report.data import Lock, read_lock, read_plan
from curriculum.report.metrics import Run
from curriculum.report.mixture import mixture, repeats
from curriculum.report.notes import notes


def lock_of(root: Path) -> Lock:
    lock = read_lock(str(root))
    assert lock is not None
    return lock


def test_what_is_odd_about_a_build_is_said(full_build: Path) -> None:
    lock, plan = lock_of(full_build), read_plan(str(full_build))
    assert plan is not None
    found = notes(lock, plan, None, repeats(mixture(plan, None, lock), lock))
    said = [f"{note.where} {note.text}" for note in found]
    assert len(said) == 2
    assert said[0].startswith("books filter.gopher_repetition drops 93.3% of its documents, mostly for duplicate_lines")
    assert said[1].startswith("math/high is seen 6.78 times over the plan (limit 4)")


def test_what_a_reference_lost_is_said(full_build: Path) -> None:
    lock = lock_of(full_build)
    step = dataclasses.replace(lock.corpora[0].steps[0], step="filter.decontaminate")
    for unreadable, said in ((0, []), (3, ["filter.decontaminate knows nothing of 3 unreadable documents of evals."])):
        about = {"reference": {"corpus": "evals", "documents": 90, "unreadable": unreadable}}
        corpus = dataclasses.replace(lock.corpora[0], steps=(dataclasses.replace(step, about=about),))
        found = notes(dataclasses.replace(lock, corpora=(corpus,), shards=()), None, None, [])
        assert [note.text for note in found] == said


def test_a_plan_of_another_lock_is_said(full_build: Path) -> None:
    plan = read_plan(str(full_build))
    assert plan is not None
    found = notes(lock_of(full_build), dataclasses.replace(plan, lock="f" * 64), None, [])
    assert any(note.where == "plan.json" and "made from lock ffffffffffff" in note.text for note in found)


def test_a_build_that_is_still_running_is_said(live_plan: Plan, full_build: Path) -> None:
    said = "still running: synthetic_reasoning and long_context_agent still being built"
    assert [note.text for note in notes(None, live_plan, None, [])] == [f"{said}."]
    with_lock = [note.text for note in notes(lock_of(full_build), live_plan, None, [])]
    assert f"{said}; lock.json is of an earlier build." in with_lock
    laid_out = dataclasses.replace(live_plan, stages=live_plan.stages[:3])
    assert notes(None, laid_out, None, [])[0].text.endswith("all stages are laid out, shards are still being written.")


def test_an_empty_corpus_and_much_padding_are_said(full_build: Path) -> None:
    lock = lock_of(full_build)
    empty = dataclasses.replace(lock.corpora[0], buckets=())
    shards = dataclasses.replace(lock.shards[0], rows=10, seq_len=100, tokens=600, padding=400)
    found = notes(dataclasses.replace(lock, corpora=(empty,), shards=(shards,)), None, None, [])
    assert [note.text for note in found] == [
        "no document of this corpus was kept.",
        "40% of its 100-token rows is padding (concat).",
    ]


def test_waiting_and_a_loss_that_is_not_a_number_are_said(full_build: Path) -> None:
    line = json.loads((full_build / "metrics.jsonl").read_text().partition("\n")[0])
    for build, why in ((0.2, ""), (0.9, ", mostly because the build was still running")):
        line["seconds"] = {"step": 10.0, "wait": 1.0, "build": build}
        run = Run()
        for step in range(2):
            run.add({**line, "step": step, "loss": math.nan})
        assert [note.text for note in notes(None, None, run, [])] == [
            "the loss is not a number at step 0.",
            f"10% of the time was spent waiting for data{why}.",
        ]
