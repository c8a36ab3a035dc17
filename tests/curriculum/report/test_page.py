import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import html
from lxml.html import HtmlElement

from curriculum.curating import curate_files
from curriculum.plan import Plan
from curriculum.report import ReportError, write_report
from curriculum.report.data import read_plan
from curriculum.report.formatting import compact
from datapipe.engine import InProcess


def values(element: HtmlElement) -> list[float]:
    """The exact numbers of an element, in order."""
    return [float(value) for value in element.xpath(".//data/@value")]


def table(page: HtmlElement, label: str) -> dict[str, HtmlElement]:
    """The rows of the table with this label, by their heading."""
    rows = page.xpath("//*[@aria-label=$label]//table[1]/tbody/tr", label=label)
    return {row.xpath("string(./th)").strip(): row for row in rows}


@pytest.fixture(scope="module")
def lock(full_build: Path) -> dict[str, Any]:
    return json.loads((full_build / "lock.json").read_text())


def test_the_header_names_the_build(page: HtmlElement, lock: dict[str, Any], full_build: Path) -> None:
    plan = read_plan(str(full_build))
    assert plan is not None
    assert page.xpath("string(//h1)").split() == [lock["name"], lock["version"]]
    marks = page.xpath("//header//code/@title")
    sha256 = hashlib.sha256((full_build / "lock.json").read_bytes()).hexdigest()
    assert marks == [lock["manifest"], sha256, plan.digest(), lock["tokenizer"]["sha256"]]


def test_overview_numbers_are_the_sums_of_the_lock(page: HtmlElement, lock: dict[str, Any]) -> None:
    buckets = [bucket for corpus in lock["corpora"].values() for bucket in corpus["buckets"].values()]
    tiles = {tile.xpath("string(p[1])"): values(tile) for tile in page.xpath("//*[@class='tile']")}
    read = sum(corpus["steps"][0]["documents_in"] for corpus in lock["corpora"].values())
    assert tiles["Documents kept"] == [sum(bucket["documents"] for bucket in buckets), read]
    assert tiles["Tokens to learn from"] == [sum(bucket["tokens"] for bucket in buckets)]
    padding = sum(shards["padding"] for shards in lock["shards"])
    tokens = sum(shards["tokens"] for shards in lock["shards"])
    assert tiles["Packing fill"] == [pytest.approx(tokens / (tokens + padding)), padding]


def test_the_largest_clusters_of_a_corpus_are_shown(page: HtmlElement, lock: dict[str, Any]) -> None:
    rows = page.xpath("//*[@aria-label='web: largest clusters']//tbody/tr")
    clusters = lock["corpora"]["web"]["clusters"]
    assert [values(row) for row in rows] == [[cluster["cluster_size"]] for cluster in clusters]
    assert [row.xpath("string(.//summary)") for row in rows] == [cluster["origin"] for cluster in clusters]
    first = rows[0].xpath("string(.//*[@class='sample'])")
    assert first == clusters[0]["text"].replace("\x07", "\ufffd")
    members = [[p.text for p in row.xpath(".//p[starts-with(., 'dropped: ')]")] for row in rows]
    assert members == [[f"dropped: {member['origin']}" for member in cluster["members"]] for cluster in clusters]
    assert not page.xpath("//*[@aria-label='books: largest clusters']")


def test_every_path_of_a_source_is_shown_most_dropped_first(page: HtmlElement, lock: dict[str, Any]) -> None:
    rows = page.xpath("//*[@aria-label='web: by path']//tbody/tr")
    steps = lock["corpora"]["web"]["steps"]
    first, last = steps[0]["paths"], steps[-1]["paths"]
    shares = {path: last[path]["documents_out"] / first[path]["documents_in"] for path in first}
    assert [row.xpath("string(th)") for row in rows] == sorted(shares, key=lambda path: shares[path])
    for row in rows:
        path = row.xpath("string(th)")
        counted = [first[path]["documents_in"], last[path]["documents_out"]]
        assert values(row)[:3] == [*counted, pytest.approx(shares[path], abs=1e-4)]
        step = row.xpath("string(td[last()])").split()[0]
        lost = {
            one["step"]: 1 - one["paths"][path]["documents_out"] / one["paths"][path]["documents_in"] for one in steps
        }
        assert lost[step] == max(lost.values())
    assert not page.xpath("//*[@aria-label='books: by path']")


def test_what_steps_found_out_is_told(page: HtmlElement) -> None:
    facts = page.xpath("//details[@class='facts']")
    told = {row.xpath("string(th)"): row.xpath("string(td)").strip() for row in facts[0].xpath(".//tr")}
    assert told["of them too large to compare each with each"] == "2"
    assert told["agreement: spearman"] == "0.71"
    assert told["agreement: teacher"] == "a-model"
    assert "largest" not in told


def test_the_funnel_of_every_corpus_is_the_lock(page: HtmlElement, lock: dict[str, Any]) -> None:
    for name, corpus in lock["corpora"].items():
        rows = table(page, f"{name}: after every step")
        tokens = sum(bucket["tokens"] for bucket in corpus["buckets"].values())
        chars = sum(bucket["chars"] for bucket in corpus["buckets"].values())
        for step in corpus["steps"]:
            row = rows[step["step"]]
            assert values(row.xpath("td[1]")[0]) == [step["documents_out"]]
            assert values(row.xpath("td[3]")[0]) == [step["chars_out"]]
            assert row.xpath("string(td[4])") == f"≈ {compact(step['chars_out'] * tokens / chars)}"
            reasons = {r.xpath("string(th)"): values(r)[0] for r in row.xpath(".//table[@class='reasons']/tbody/tr")}
            assert reasons == step["reasons"]
        assert values(rows["tokenised"]) == [sum(b["documents"] for b in corpus["buckets"].values()), chars, tokens]


def test_buckets_languages_and_licences_are_the_lock(page: HtmlElement, lock: dict[str, Any]) -> None:
    for bucket, row in table(page, "web: quality buckets").items():
        counts = lock["corpora"]["web"]["buckets"][bucket]
        assert values(row)[:3] == [counts["documents"], counts["chars"], counts["tokens"]]
        assert float(row.xpath("string(td[last()])")) == counts["epochs"]
    article = page.xpath("//article[.//h3//text()='repos']")[0]
    shown = {row.xpath("string(th)"): values(row)[0] for row in article.xpath(".//*[h4='Licences']//tbody/tr")}
    licenses = lock["corpora"]["repos"]["licenses"]
    assert shown == {"Apache-2.0": licenses["Apache-2.0"], "MIT": licenses["MIT"], "unknown": licenses[""]}


def test_the_mixture_is_plan_shards_and_log(page: HtmlElement, lock: dict[str, Any], full_build: Path) -> None:
    plan = read_plan(str(full_build))
    assert plan is not None
    lines = [json.loads(line) for line in (full_build / "metrics.jsonl").read_text().splitlines()]
    for stage in plan.stages:
        learned = [line["tokens_by_source"] for line in lines if line["stage"] == stage.name]
        rows = table(page, f"{stage.name}: buckets")
        assert set(rows) == {source.name for source in stage.sources}
        sets = [s for s in lock["shards"] if s["folder"] in {source.folder for source in stage.sources}]
        there = {name: sum(s["tokens_by_source"].get(name, 0) for s in sets) for name in rows}
        extra = {"code_reasoning": 2, "synthetic_reasoning": 1}.get(stage.name, 0)  # a ramp; fillers
        for source in stage.sources:
            planned, _, *others = values(rows[source.name])
            built, _, *consumed = others[extra:]
            assert (planned, built) == (source.tokens_planned, there[source.name])
            assert consumed[:1] == ([sum(counts.get(source.name, 0) for counts in learned)] if learned else [])


def test_more_than_four_epochs_are_marked(page: HtmlElement) -> None:
    marked = [row.xpath("string(th)") for row in page.xpath("//table[@class='epochs']//tr[@class='many']")]
    assert marked == ["math/high"]


def test_packing_is_the_lock(page: HtmlElement, lock: dict[str, Any]) -> None:
    rows = page.xpath("//table[@class='shards']/tbody/tr")
    shown = sorted((row.xpath("string(th)"), *values(row)[:2], *values(row)[3:8]) for row in rows)
    wanted = [
        (
            f"{s['corpus']}/{s['bucket']}",
            *(s["rows"], s["tokens"], s["tokens"] / (s["tokens"] + s["padding"])),
            *(s["documents"], s["cut_documents"] / s["documents"], s["cut_tokens"], s["avoidable_cuts"]),
        )
        for s in lock["shards"]
    ]
    assert shown == sorted(wanted)
    tips = sorted(tuple(row.xpath(".//td[contains(@class, 'bar')]/data/@title")) for row in rows)
    assert tips == sorted(
        (f"{s['padding']:,} positions of padding", f"{s['cut_documents']:,} documents") for s in lock["shards"]
    )
    filled = {row.xpath("string(th)"): values(row)[2] for row in rows if values(row)[2]}
    assert filled == {
        f"math/{s['bucket']}": s["tokens_by_source"]["qa/all"]
        for s in lock["shards"]
        if s["corpus"] == "math" and s["packing"]["fill"]
    }
    kinds = [row.xpath("string(th)").split(maxsplit=1)[1] for row in page.xpath("//table[@class='packing']/tbody/tr")]
    assert {"concat", "best_fit, together", "best_fit, gaps filled by qa", "best_fit, fills gaps of others"} <= set(
        kinds
    )


def test_documents_for_fill_in_the_middle_are_told_with_their_cuts(build: Callable[..., Path], tmp_path: Path) -> None:
    root = build(tmp_path / "out", steps=0, plan=False, rejects=False)
    data = json.loads((root / "lock.json").read_text())
    data["shards"][0]["fim"] = {"documents": 1_200, "cut_documents": 7}
    (root / "lock.json").write_text(json.dumps(data))
    tables = html.document_fromstring(Path(write_report(str(root))).read_text()).xpath(
        "//section[@id='packing']//table"
    )
    for shown in tables[0], tables[-1]:
        column = [name.strip() for name in shown.xpath("thead//th/descendant-or-self::*[not(*)]/text()")].index(
            "FIM cut"
        )
        cells = [row.xpath("*")[column].text_content().strip() for row in shown.xpath("tbody/tr")]
        assert sorted(cells)[0] == "7 of 1.2k"
        assert set(cells[1:]) == {"–"}


def test_what_was_dropped_is_shown_as_text(page: HtmlElement, hostile: str) -> None:
    texts = page.xpath("//ul[@class='rejects']//pre")
    assert hostile in [pre.text_content().strip() for pre in texts]
    assert not page.xpath("//img")
    assert len(page.xpath("//script")) == 1


def test_names_from_the_manifest_are_escaped_too(build: Callable[..., Path], tmp_path: Path) -> None:
    root = build(tmp_path, steps=3, rejects=False)
    for file in ("lock.json", "plan.json", "metrics.jsonl"):
        path = root / file
        path.write_text(
            re.sub(r'"(web|general|no_main_text|en)(?=["/])', r'"<img src=x onerror=alert(1)>\1', path.read_text())
        )
    page = html.document_fromstring(Path(write_report(str(root))).read_text())
    assert not page.xpath("//img")
    assert "<img src=x onerror=alert(1)>web" in page.text_content()


def test_the_page_asks_for_nothing_and_runs_one_script(full_build: Path, page: HtmlElement) -> None:
    policy = page.xpath("string(//meta[@http-equiv]/@content)")
    script = page.xpath("//script")[0].text
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy
    assert {link for *_, link, _ in page.iterlinks() if not link.startswith("#")} == {"data:,"}
    assert not re.search(r"url\(|@import", page.xpath("string(//style)"))


def test_the_page_is_small_and_the_same_every_time(full_build: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "elsewhere" / "page.html")
    assert write_report(str(full_build), out) == out
    first = Path(out).read_bytes()
    assert len(first) < 1_000_000
    assert Path(write_report(str(full_build))).read_bytes() == first


MISSING = {
    "lock": ("No lock yet", {"lock": False, "rejects": False}),
    "plan": ("No plan yet", {"plan": False, "steps": 0}),
    "training": ("No training yet", {"steps": 0}),
    "rejects": ("No sample of rejected documents here", {"rejects": False, "steps": 5}),
    "all but the log": ("A training run", {"lock": False, "plan": False, "rejects": False, "steps": 5}),
}


@pytest.mark.parametrize("part", MISSING)
def test_a_missing_part_is_said_and_the_rest_is_shown(build: Callable[..., Path], tmp_path: Path, part: str) -> None:
    text, left = MISSING[part]
    page = html.document_fromstring(Path(write_report(str(build(tmp_path, **left)))).read_text())
    assert text in page.text_content()
    assert len(page.xpath("//main/section")) == 8


def test_a_running_build_is_reported_as_far_as_it_is_known(live_plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(live_plan.to_json())
    page = html.document_fromstring(Path(write_report(str(tmp_path))).read_text())
    assert "still running" in page.xpath("string(//header)")
    articles = page.xpath("//article[@class='stage']")
    said = ["Still being built" in article.text_content() for article in articles]
    assert said == [False, False, False, True, True]
    assert [len(article.xpath(".//div[@class='stack']")) for article in articles] == [
        1,
        3,
        1,
        0,
        0,
    ]  # planned, begin, end
    assert set(table(page, "repo_code: buckets")) == {source.name for source in live_plan.stages[2].sources}


def test_corpora_that_were_only_curated_have_a_report_too(tmp_path: Path) -> None:
    rows = [{"text": text} for text in ["one page"] * 8 + [f"another page, number {n}" for n in range(12)]]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"reader": "jsonl", "paths": ["pages.jsonl"]}
    (tmp_path / "web.yaml").write_text(json.dumps({"kind": "web", "source": source, "steps": ["dedup.exact"]}))
    out = str(tmp_path / "out")
    curated = curate_files([str(tmp_path / "web.yaml")], out, str(tmp_path), InProcess(), lambda *_: None)
    assert curated["corpora"]["web"]["buckets"]["all"] == {"documents": 13, "chars": 274, "epochs": 1.0}
    page = html.document_fromstring(Path(write_report(out)).read_text())
    assert page.xpath("string(//h1)").split() == ["Curated", "corpora"]
    tiles = {tile.xpath("string(p[1])"): values(tile) for tile in page.xpath("//*[@class='tile']")}
    assert tiles["Documents kept"] == [13, 20]
    assert tiles["Characters kept"] == [274]
    assert list(table(page, "web: after every step")) == ["read", "dedup.exact", "kept"]
    assert values(table(page, "web: largest clusters").popitem()[1]) == [8]
    assert len(page.xpath("//*[@id='rejects']//pre[contains(text(), 'one page')]")) == 7
    (tmp_path / "out" / "curated.json").write_text('{"format": 0}')
    with pytest.raises(ReportError, match="another format: run `tokenloom curate` again"):
        write_report(out)


def test_nothing_at_all_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(
        ReportError, match=r"no lock\.json, plan\.json, metrics\.jsonl or curated\.json: .* run `tokenloom build` first"
    ):
        write_report(str(tmp_path))
