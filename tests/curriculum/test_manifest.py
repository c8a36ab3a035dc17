"""A manifest is checked completely, with file, line, value and remedy, before any data is touched."""

import textwrap
from pathlib import Path

import pytest

from curriculum.document import ManifestError
from curriculum.manifest import MANIFESTS, find, load_manifest

WEB = """\
kind: web
source: {reader: warc, paths: ["web/*.warc.gz"]}
steps:
  - extract.html
  - filter.language: {keep: [en], min_score: 0.6}
"""

MANIFEST = """\
name: small
version: "1"
seed: 3
model: models/tiny.yaml
corpora:
  web: web.yaml
stages:
  - name: one
    tokens: 1M
    seq_len: 256
    pack: concat
    batch_tokens: 2Ki
    mix: {web: 1.0}
"""


def write(tmp_path: Path, manifest: str = MANIFEST, **corpora: str) -> str:
    (tmp_path / "m.yaml").write_text(manifest)
    for name, text in {"web": WEB, **corpora}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return str(tmp_path / "m.yaml")


def problems(tmp_path: Path, manifest: str = MANIFEST, **corpora: str) -> str:
    with pytest.raises(ManifestError) as caught:
        load_manifest(write(tmp_path, manifest, **corpora))
    return str(caught.value)


def test_a_good_manifest_loads(tmp_path: Path) -> None:
    loaded = load_manifest(write(tmp_path))
    assert loaded.stages[0].tokens == 10**6
    assert loaded.corpora["web"].steps[1].params == {"keep": ["en"], "min_score": 0.6}
    assert loaded.training["muon"]["momentum"] == 0.95


@pytest.mark.parametrize("name", sorted(path.stem for path in MANIFESTS.glob("*.yaml")))
def test_shipped_manifests_load(name: str) -> None:
    loaded = load_manifest(name)
    assert loaded.name == name
    assert len(loaded.stages) >= 5


def test_the_quickstart_has_the_stages_of_the_report() -> None:
    """GLM-4.5 report, figure 3, with rows 16 times shorter in pre-training and 32 times in mid-training; then fine-tuning (section 3)."""
    *stages, last = load_manifest("quickstart").stages
    assert [stage.seq_len for stage in stages] == [256, 256, 1024, 1024, 4096]
    assert [stage.pack for stage in stages] == ["concat", "concat", "best_fit", "best_fit", "best_fit"]
    assert [stage.bias_rate > 0 for stage in stages] == [True, False, False, False, False]
    assert [stage.mtp_weight for stage in stages] == [0.3, 0.1, 0.1, 0.1, 0.1]
    assert [stage.rope_base for stage in stages] == [1e4, 1e4, 1e6, 1e6, 1e6]
    made = ("chat", "agent", "search", "tools", "software")
    assert (last.name, last.corpora, last.learn, last.rope_base) == ("sft", made, "spans", 1e6)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("name: one", "nmae: one", 8, "stages[0].nmae: is not a key here.\n    Did you mean 'name'?"),
        ("web: 1.0", "web: 0.9", 13, "stages[0].mix: the shares sum to 0.9, not 1.\n    Set web to 1"),
        ("web: 1.0", "wbe: 1.0", 13, "stages[0].mix.wbe: is not a corpus of this manifest.\n    Did you mean 'web'?"),
        ("2Ki", "1000", 12, "1000 tokens is not a whole number of 256-token rows (3.90625).\n    Use 768 (3 rows) or 1024 (4 rows)."),
        ("1M", "a lot", 9, "stages[0].tokens: 'a lot' is not a count"),
        ("concat", "concatenate", 11, "stages[0].pack: is 'concatenate'.\n    Did you mean 'concat'?"),
        ("models/tiny.yaml", "models/huge.yaml", 4, "model: models/huge.yaml: no such file"),
        ("web.yaml", "absent.yaml", 6, "corpora.web: absent.yaml: no such file"),
        ("seed: 3", "seed: three", 3, "seed: 'three' is not a count"),
        ("seed: 3", "validation: {every_steps: 9}", 3, "validation: the key 'tokens' is missing."),
        ("seed: 3", "validation: {tokens: 1, steps: 9}", 3, "validation.steps: is not a key here.\n    Did you mean"),
        ("seed: 3", "validation: 64Ki", 3, "validation: is '64Ki', not a mapping.\n    Give it the keys tokens, every_steps."),
    ],
)  # fmt: skip
def test_a_mistake_is_explained(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    found = problems(tmp_path, MANIFEST.replace(old, new))
    assert message in found
    assert f"m.yaml:{line} " in found


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "filter.language",
            "filter.langauge",
            5,
            "'filter.langauge' is not a step.\n    Did you mean 'filter.language'?",
        ),
        ("min_score", "minscore", 5, "minscore: is not a parameter of this step.\n    Did you mean 'min_score'?"),
        ("0.6", "high", 5, "filter.language: min_score for all is 'high', but it is a probability"),
        (
            "[en]",
            "[english]",
            5,
            "filter.language: keep has 'english', but lid.176 knows languages by their ISO 639 codes",
        ),
        (
            "min_score: 0.6",
            "model: /no/such.bin",
            5,
            "filter.language: model /no/such.bin: no such file on this machine",
        ),
        ("warc,", "wacr,", 2, "'wacr' is unknown"),
        ("kind: web", "kind: wbe", 1, "kind: is 'wbe'.\n    Did you mean 'web'?"),
        ("- extract.html", "- no.such.module:step", 4, "cannot be loaded"),
        ("- extract.html", "- extract.html: {engine: quick}", 4, "engine is 'quick': type trafilatura or fast."),
    ],
)
def test_a_mistake_in_a_corpus_is_explained(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    found = problems(tmp_path, web=WEB.replace(old, new, 1))
    assert message in found
    assert f"web.yaml:{line} " in found


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path, MANIFEST.replace("web: 1.0", "web: 0.5").replace("2Ki", "1"), web=WEB.replace("html", "htlm")
    )
    assert found.count("yaml:") == 3


def test_corpora_that_need_each_other_are_refused(tmp_path: Path) -> None:
    one = "kind: qa\nsource: {generator: qa, from: [two]}\n"
    two = "kind: qa\nsource: {generator: qa, from: [one]}\n"
    manifest = MANIFEST.replace("  web: web.yaml\n", "  web: web.yaml\n  one: one.yaml\n  two: two.yaml\n")
    assert "needs itself: one -> two -> one" in problems(tmp_path, manifest, one=one, two=two)


def test_the_fingerprint_is_about_content(tmp_path: Path) -> None:
    """Comments, order of keys and paths do not count; parameters and shares do."""
    base = load_manifest(write(tmp_path)).fingerprint()
    assert load_manifest(write(tmp_path, "# hello\n" + MANIFEST)).fingerprint() == base
    assert load_manifest(write(tmp_path, web=WEB.replace("web/*", "/elsewhere/*"))).fingerprint() == base
    assert load_manifest(write(tmp_path, web=WEB.replace("0.6", "0.7"))).fingerprint() != base
    assert load_manifest(write(tmp_path, MANIFEST.replace("1M", "2M"))).fingerprint() != base


def test_corpora_are_built_after_what_they_need(tmp_path: Path) -> None:
    made = textwrap.dedent("""\
        kind: qa
        source: {generator: qa, from: [web]}
    """)
    manifest = MANIFEST.replace("  web: web.yaml\n", "  made: made.yaml\n  web: web.yaml\n")
    assert load_manifest(write(tmp_path, manifest, made=made)).build_order() == ["web", "made"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0)),
        ("validation: {tokens: 64Ki}\n", (65_536, 500)),
        ("validation: {tokens: 1k, every_steps: 0}\n", (1000, 0)),
        ("validation: {tokens: 0}\n", (0, 0)),
    ],
)
def test_nothing_is_held_out_unless_asked_for(tmp_path: Path, text: str, expected: tuple[int, int]) -> None:
    assert load_manifest(write(tmp_path, MANIFEST + text)).validation == expected


def test_an_unknown_manifest_names_the_shipped_ones() -> None:
    with pytest.raises(ManifestError, match="quickstart"):
        find("quikstart")


def test_pages_can_be_parsed_again_only_where_a_reader_gives_them_again(tmp_path: Path) -> None:
    assert (
        load_manifest(write(tmp_path, web=WEB + "  - extract.again: {engine: fast}\n"))
        .corpora["web"]
        .steps[2]
        .needs_pages
    )
    trees = 'kind: code\nsource: {reader: tree, paths: ["repos/*"]}\nsteps: [extract.again]\n'
    said = problems(tmp_path, web=trees)
    assert (
        "web.yaml:3  steps[0].extract.again: wants the pages as they were read, and the source cannot give them" in said
    )
    assert "read with one of warc, html, jsonl, parquet" in said
    assert "pages: is not a parameter of this step" in problems(tmp_path, web=WEB + "  - extract.again: {pages: all}\n")
