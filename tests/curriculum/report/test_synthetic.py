"""The section on synthetic rows: what is counted, what is measured on a sample, and that no text of a row is more than text."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from lxml import html
from lxml.html import HtmlElement

from curriculum.report import synthetic, write_report
from curriculum.report.data import Lock, read_lock
from curriculum.report.synthetic import OF_SOURCES, Synthetic, read_synthetic
from synth.render import Call, Turn
from synth.rows import Made, documents

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

KEY = "ab" * 32
TOOL = {"name": "find", "description": "Find", "parameters": {"type": "object", "properties": {}, "required": []}}
REASONS = {"synth.unique": 60, "synth.leak": 20, "synth.<b>odd</b>": 1}
LICENSES = {f"L{number}": 20 - number for number in range(12)}


def row(number: int, author: str, teacher: str = "", *, calls: bool = False) -> dict[str, Any]:
    acts = [Turn("assistant", calls=(Call("find", {}),)), Turn("observation", responses=("found",))] if calls else []
    turns = [Turn("system", tools=(TOOL,))] * calls + [
        Turn("user", f"Who wrote “Notes {number}”?"),
        *acts,
        Turn("assistant", f"It was written by author number {number}."),
    ]
    made = Made("search", 0, author, {"model": teacher, "prompt": "0"} if teacher else None)
    return made.row(str(number), turns, kind="qa", parents=[], task={}, verdicts={})


ROWS = [row(n, "scripted", calls=True) for n in range(6)] + [row(n, "glm<i>", "glm<i>") for n in range(6, 8)]


def add(root: Path, rows: Sequence[dict[str, Any]], parts: int = 1) -> Path:
    """Adds a corpus `talks` of a generator to the lock of a build, with its rows."""
    data = json.loads((root / "lock.json").read_text())
    counts = {"documents_in": 181, "documents_out": 100, "chars_in": 9000, "chars_out": 5000}
    step = {"corpus": "talks", "step": "generate", "key": KEY, "kind": "map", **counts, "reasons": REASONS, "about": {}}
    data["corpora"]["talks"] = {**data["corpora"]["qa"], "steps": [step], "licenses": LICENSES}
    (root / "lock.json").write_text(json.dumps(data))
    place = root / "corpora" / "talks" / f"generate-{KEY[:12]}"
    place.mkdir(parents=True)
    for part in range(parts if rows else 0):
        table = documents(rows[part::parts]).drop_columns(["drop_reason"])
        pq.write_table(table, place / f"part-{part:05d}.parquet")
    pq.write_table(documents([row(99, "nobody")]), place / "part-00000.parquet.rejects.parquet")  # which are no rows
    return root


def made_of(root: Path) -> Synthetic:
    lock = read_lock(str(root))
    assert isinstance(lock, Lock)
    (found,) = read_synthetic(str(root), lock)
    return found


def bare(build: Callable[..., Path], root: Path) -> Path:
    return build(root, steps=0, plan=False, rejects=False)


def test_counts_are_of_all_rows_and_the_rest_of_a_sample(build: Callable[..., Path], tmp_path: Path) -> None:
    found = made_of(add(bare(build, tmp_path), ROWS, parts=2))
    assert (found.accepted, found.candidates) == (100, 181)
    assert [(each.name, each.count) for each in found.failed] == [("unique", 60), ("leak", 20), ("<b>odd</b>", 1)]
    assert found.failed[0].share == pytest.approx(60 / 181)
    assert [each.name for each in found.licenses] == [f"L{number}" for number in range(8)]
    sample = found.sample
    assert sample is not None
    assert (sample.rows, sample.trajectories) == (8, 6)
    assert sample.makers[0].startswith("search ")
    assert [(each.name, each.count) for each in sample.authors] == [("scripted", 6), ("glm<i>", 2)]
    assert [(each.name, each.share) for each in sample.teachers] == [("glm<i>", 0.25)]
    assert sample.top_10 == 1.0  # all ask in one form
    assert sample.distinct_4 == pytest.approx((4 + 8 * 2) / 48, abs=0.3)
    alike = made_of(add(bare(build, tmp_path / "alike"), [row(1, "scripted"), {**row(1, "scripted"), "id": "0"}]))
    assert alike.sample is not None
    assert alike.sample.distinct_4 == 0.5


def test_what_others_wrote_has_no_variety_of_ours(build: Callable[..., Path], tmp_path: Path) -> None:
    made = Made("book", 0, author="")
    text = made.document("one", "A page.", kind="book", parents=[], task={}, verdicts={})
    sample = made_of(add(bare(build, tmp_path), [text])).sample
    assert sample is not None
    assert [each.name for each in sample.authors] == [OF_SOURCES]
    assert (sample.distinct_4, sample.top_10, sample.trajectories) == (None, None, 0)


def test_the_sample_is_bounded(build: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = add(bare(build, tmp_path), ROWS, parts=2)
    for name, limit, rows in (("SAMPLE_ROWS", 4, 4), ("SAMPLE_ROWS", 3, 4), ("SAMPLE_CHARS", 10, 2)):
        with monkeypatch.context() as patched:
            patched.setattr(synthetic, name, limit)
            patched.setattr(synthetic, "BATCH_ROWS", 1)
            sample = made_of(root).sample
            assert sample is not None
            assert sample.rows == rows


@pytest.fixture(scope="module")
def report(build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = bare(build, tmp_path_factory.mktemp("synthetic") / "out")
    return Path(write_report(str(add(root, ROWS))))


def section(report: Path) -> HtmlElement:
    return html.document_fromstring(report.read_text()).get_element_by_id("synthetic")


def test_the_page_shows_it_and_texts_of_rows_are_only_text(report: Path) -> None:
    shown = section(report)
    words = " ".join(shown.text_content().split())
    for said in ("100 of 181", "unique 60", "scripted 75%, glm<i> 25%", "12 licences", "<b>odd</b>", "search "):
        assert said in words
    assert not shown.xpath(".//i | .//b")


def test_without_rows_there_are_counts_and_without_synthetic_corpora_no_section(
    build: Callable[..., Path], tmp_path: Path, page: HtmlElement
) -> None:
    shown = section(Path(write_report(str(add(bare(build, tmp_path), [])))))
    assert "no row is at hand" in shown.text_content()
    assert "100 of 181" in shown.text_content()
    assert page.xpath("//*[@id='synthetic'] | //a[@href='#synthetic']") == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1400, "dark")])
def test_it_fits_a_phone_and_a_screen(chromium: "WebDriver", report: Path, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chosen = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", chosen)
    chromium.get(f"file://{report}")
    assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    summary = chromium.find_element("css selector", ".synthetic summary")
    summary.click()
    assert chromium.find_element("css selector", ".synthetic .reasons").is_displayed()
