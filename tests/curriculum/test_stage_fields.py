"""What a stage says is checked without data: every mistake with file, line, value and what to type."""

from pathlib import Path

import pytest

from curriculum.document import ManifestError
from curriculum.stages import MixPhase
from tests.curricula import make_curriculum, stage_text

PHASED = """\
  - name: one
    tokens: 1M
    seq_len: 256
    pack: best_fit
    batch_tokens: 2Ki
    mix:
      - {over: 600k, shares: {web: 0.9, code: 0.1}}
      - {over: 100k, ramp_to: {web: 0.5, code: 0.5}}
      - {shares: {code: 1.0}}
    epochs: {books: 0.5}
    max_epochs: {web: 4, books: 2}
    fill: [web]
    together: [code]
"""  # mix in line 12, the phases in 13 to 15, epochs in 16


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        make_curriculum(folder, text)
    return str(caught.value)


def test_phases_are_resolved(tmp_path: Path) -> None:
    (stage,) = make_curriculum(tmp_path, PHASED).stages
    assert stage.mix == (
        MixPhase(600_000, {"web": 0.9, "code": 0.1}),
        MixPhase(100_000, {"web": 0.5, "code": 0.5}, ramp=True),
        MixPhase(300_000, {"code": 1.0}),
    )
    assert (stage.epochs, stage.max_epochs) == ({"books": 0.5}, {"web": 4.0, "books": 2.0})
    assert (stage.fill, stage.together) == (("web",), ("code",))
    assert stage.learn == "spans"


def test_one_mapping_is_one_phase(tmp_path: Path) -> None:
    (stage,) = make_curriculum(tmp_path, stage_text()).stages
    assert stage.mix == (MixPhase(1_000_000, {"web": 0.7, "code": 0.3}),)
    assert (stage.epochs, stage.max_epochs, stage.fill, stage.together) == ({}, {}, (), ())


def test_shares_are_decimal_text(tmp_path: Path) -> None:
    """As binary fractions 0.1 + 0.2 + 0.7 is not 1, and three times 0.3333333333333333 is."""
    make_curriculum(tmp_path, stage_text(mix="{web: 0.1, code: 0.2, books: 0.7}"))
    found = problems(tmp_path, stage_text(mix="{web: 0.333333333, code: 0.333333333, books: 0.333333333}"))
    assert "the shares sum to 0.999999999, not 1.\n    Set web to 0.333333334, or divide all by 0.999999999." in found


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("shares: {web: 0.9", "ramp_to: {web: 0.9", 13, "mix[0].ramp_to: the first phase of a stage has no shares to start from."),
        ("{shares: {code: 1.0}}", "{shares: {code: 1.0}, ramp_to: {web: 1}}", 15, "mix[2]: has both `shares` and `ramp_to`."),
        ("{shares: {code: 1.0}}", "{over: 300k}", 15, "mix[2]: has neither `shares` nor `ramp_to`."),
        ("{shares: {code: 1.0}}", "{share: {code: 1.0}}", 15, "mix[2].share: is not a key here.\n    Did you mean 'shares'?"),
        ("over: 100k, ", "", 14, "mix[1]: the key 'over' is missing"),
        ("{shares:", "{over: 200k, shares:", 15, "mix[2].over: the phases end 100000 tokens before the stage.\n    Write 300000, or"),
        ("{shares:", "{over: 400k, shares:", 15, "mix[2].over: the phases end 100000 tokens behind the stage.\n    Write 300000,"),
        ("over: 600k", "over: 2M", 13, "mix[0].over: 2000000 tokens are more than the 1000000 that the stage has left."),
        ("over: 100k", "over: 400k", 15, "mix[2]: nothing of the stage is left for this phase: 0 tokens.\n    Shorten a phase before it"),
        ("over: 100k", "over: 255", 14, "mix[1].over: 255 tokens are less than one row.\n    Write at least 256"),
        ("over: 100k", "over: some", 14, "mix[1].over: 'some' is not a count"),
        ("web: 0.5", "web: 0.45", 14, "mix[1].ramp_to: the shares sum to 0.95, not 1.\n    Set code to 0.55, or divide all by 0.95."),
        ("web: 0.5", "wbe: 0.5", 14, "mix[1].ramp_to.wbe: is not a corpus of this manifest.\n    Did you mean 'web'?"),
        ("web: 0.9, code: 0.1", "web: 1.1, code: -0.1", 13, "mix[0].shares.code: a share of -0.1 is less than nothing."),
        ("web: 0.9", "web: 90%", 13, "mix[0].shares.web: '90%' is not a number.\n    Write one like 0.4 or"),
        ("web: 0.9", "web: 90", 13, "mix[0].shares: the shares sum to 90.1, not 1.\n    Set web to 0.9, or divide all by 90.1."),
        ("web: 0.9,", "web:,", 13, "mix[0].shares.web: has no number."),
        ("books: 0.5}", "books: once}", 16, "epochs.books: 'once' is not a number."),
        ("seq_len: 256", "seq_len: 0", 9, "seq_len: is 0.\n    Write 1 or more."),
        ("tokens: 1M", "tokens: -1", 8, "tokens: is -1.\n    Write 1 or more."),
        ("2Ki", "100", 11, "batch_tokens: 100 tokens is not a whole number of 256-token rows (0.390625).\n    Use 256 (1 row)."),
        ("over: 600k, shares: ", "over: 600k, ", 13, "mix[0]: holds a mapping or a list where a key should be."),
        ("together: [code]", "together: true", 19, "together: is True, not a list of corpora.\n    Write `together: [web]`."),
        ("{code: 1.0}", "[code]", 15, "mix[2].shares: names no corpus.\n    Write shares of corpora"),
        ("books: 0.5}", "boks: 0.5}", 16, "epochs.boks: is not a corpus of this manifest.\n    Did you mean 'books'?"),
        ("books: 0.5}", "web: 0.5}", 16, "epochs.web: stands in `mix` too: a corpus is given by share or by epochs, not both."),
        ("books: 0.5}", "books: 0}", 16, "epochs.books: 0 epochs are nothing."),
        ("{books: 0.5}", "books", 16, "epochs: is 'books', not a mapping."),
        ("books: 2}", "books: 0.2}", 17, "max_epochs.books: allows 0.2, and `epochs` asks for 0.5.\n    Raise it to 0.5, or"),
        ("books: 2}", "repos: 2}", 17, "max_epochs.repos: is not a corpus of this stage.\n    Known: books, code, web."),
        ("web: 4,", "web: 0,", 17, "max_epochs.web: 0 epochs are nothing."),
        ("best_fit", "concat", 18, "fill: cannot be had with `pack: concat`, which joins and cuts.\n    Write `pack: best_fit`"),
        ("best_fit", "concat", 19, "together: cannot be had with `pack: concat`"),
        ("fill: [web]", "fill: [wbe]", 18, "fill: 'wbe' is not a corpus of this stage.\n    Did you mean 'web'?"),
        ("fill: [web]", "fill: web", 18, "fill: is 'web', not a list of corpora.\n    Write `fill: [web]`."),
        ("fill: [web]", "fill: [books]", 18, "fill: 'books' is given by epochs: all its rows are learned"),
        ("fill: [web]", "fill: [code]", 18, "fill: 'code' stands in `together` too"),
        ("seq_len: 256", "learn: span", 9, "learn: is 'span'.\n    Did you mean 'spans'?"),
        ("together: [code]", "together: [repos]", 19, "together: 'repos' is not a corpus of this stage."),
    ],
)  # fmt: skip
def test_a_mistake_is_explained(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in PHASED
    found = problems(tmp_path, PHASED.replace(old, new, 1))
    assert f"m.yaml:{line}  stages[0].{message}" in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tokens: 1M", "tokens: -1"),
        ("web: 0.9", "web: 90%"),
        ("over: 600k, ", ""),
        ("over: 600k", "over: 2M"),
        ("over: 600k, shares", "over: 600k, share"),
        ("books: 0.5}", "books: once}"),
    ],
)
def test_of_what_follows_from_a_mistake_nothing_is_said(tmp_path: Path, old: str, new: str) -> None:
    assert problems(tmp_path, PHASED.replace(old, new, 1)).count("m.yaml:") == 1


def test_a_corpus_without_a_share_anywhere_is_refused(tmp_path: Path) -> None:
    everywhere = PHASED.replace("web: 0.9, code: 0.1", "code: 1, web: 0").replace("web: 0.5, code: 0.5", "code: 1")
    assert "m.yaml:13  stages[0].mix[0].shares.web: a share of 0 in every phase is nothing." in problems(
        tmp_path, everywhere
    )
    constant = stage_text(mix="{web: 1, code: 0}")
    assert "m.yaml:7  stages[0].mix.code: a share of 0 is nothing.\n    Remove it" in problems(tmp_path, constant)


def test_someone_must_have_gaps_to_fill(tmp_path: Path) -> None:
    text = stage_text(pack="best_fit", fill="[code, web]")
    assert "fill: names every corpus of the stage: no other rows are left whose gaps could be filled." in problems(
        tmp_path, text
    )
    make_curriculum(tmp_path, stage_text(pack="best_fit", fill="[code, web]", epochs="{books: 1}"))


def test_two_stages_of_one_name_are_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, stage_text("a") + stage_text("b") + stage_text("a"))
    assert (
        "m.yaml:9  stages[2].name: 'a' is the name of stages[0] already.\n    Name it differently, for example a_2."
        in found
    )


def test_a_mix_must_name_corpora(tmp_path: Path) -> None:
    for empty in ("{}", "[]", "web"):
        assert "stages[0].mix: names no corpus." in problems(tmp_path, stage_text(mix=empty))
