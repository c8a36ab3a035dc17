"""What `describe` says: numbers of shipped shapes, layouts that fit and do not, shipped site files, messages for what is misspelt."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from curriculum.describe import describe, from_options, load_shape
from curriculum.document import ManifestError
from curriculum.footprint import Settings
from curriculum.manifest import MANIFESTS
from curriculum.parallel import Parallel
from curriculum.show import show_model
from datapipe.site import SiteError, load_site

SITES = sorted((MANIFESTS / "sites").glob("*.toml"))


def said(model: str = "tiny", **changes: Any) -> dict[str, Any]:
    """`describe` as the command line calls it; names of layout and settings together."""
    layout = {field.name: changes.pop(field.name, None) for field in dataclasses.fields(Parallel)}
    settings = {
        name: changes.pop(name)
        for name in ("seq_len", "micro_tokens", "recompute", "optimizer", "head")
        if name in changes
    }
    settings = {"seq_len": 4096, "optimizer": "muon", "head": "muon", **settings}
    options: dict[str, Any] = {"site": None, "gpus": None, "gpu_memory": "80G", **changes}
    return from_options(model, layout=layout, settings=settings, **options)


def shown(found: dict[str, Any], width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    show_model(console, found)
    return console.export_text()


def test_a_shipped_shape_by_name() -> None:
    found = said("glm45")
    assert found["model"] == "glm45"
    assert found["parameters"]["without_mtp"]["total"] == 351_245_922_304
    assert sum(part["total"] for part in found["parameters"]["parts"].values()) == (
        found["parameters"]["total"] + 2 * 151_552 * 5120
    )
    experts = found["parameters"]["parts"]["routed_experts"]
    assert experts["active"] * 20 == experts["total"]
    assert found["kv_cache"] == {"bytes_per_token": 376_832, "tokens": 131_072, "bytes": 376_832 * 131_072}
    forward = found["flops_per_token"]["forward"]
    assert forward["total"] == sum(value for name, value in forward.items() if name != "total")
    assert found["flops_per_token"]["training"] == 3 * forward["total"]
    assert "layout" not in found


def test_the_active_weights_of_the_parts_are_those_of_the_whole() -> None:
    for model in ("tiny", "glm45", "glm45_air"):
        parameters = said(model)["parameters"]
        vocabulary = ("word_embeddings", "output_head")
        active = sum(part["active"] for name, part in parameters["parts"].items() if name not in vocabulary)
        assert active == parameters["active"]


def test_longer_rows_cost_more_per_token() -> None:
    short, long = (said("tiny", seq_len=n)["flops_per_token"]["forward"] for n in (4096, 8192))
    assert long["scores"] == 2 * short["scores"]
    assert long["projections"] == short["projections"]


def test_a_layout_by_options() -> None:
    found = said("glm45", tensor=2, pipeline=8, expert=16, last_stage_layers=8, gpus=256, recompute="full")
    layout, memory = found["layout"], found["memory"]
    assert (layout["data"], layout["expert_data"], layout["experts_per_gpu"]) == (16, 2, 10)
    assert layout["stage_layers"] == [12] * 7 + [8]
    assert layout["positions"] == 8192
    totals = [stage["total"] for stage in memory["stages"]]
    assert memory["bytes"] == max(totals) == totals[memory["worst_stage"]]
    assert memory["fits"]
    kept = said("glm45", tensor=2, pipeline=8, expert=16, last_stage_layers=8, gpus=256)["memory"]
    assert not kept["fits"]
    assert kept["worst_stage"] == 0


def test_the_memory_of_the_gpu_decides() -> None:
    needed = said("tiny", gpus=1)["memory"]["bytes"]
    assert said("tiny", gpus=1, gpu_memory=str(needed))["memory"]["fits"]
    assert not said("tiny", gpus=1, gpu_memory=str(needed - 1))["memory"]["fits"]


def test_without_a_number_of_gpus_the_fewest_are_taken() -> None:
    assert said("glm45", tensor=2, expert=16, pipeline=4)["layout"]["gpus"] == 64


def test_options_go_before_the_site_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        "[parallel]\npipeline = 2\nnodes = 2\nprocesses_per_node = 4\n"
        '[training]\nmicro_tokens = 16384\nprecision = "fp32"\nrecompute = "full"\n'
    )
    layout = said("tiny", site=str(path))["layout"]
    assert (layout["gpus"], layout["pipeline"], layout["data"]) == (8, 2, 4)
    assert (layout["positions"], layout["precision"], layout["recompute"]) == (16_384, "fp32", "full")
    layout = said("tiny", site=str(path), pipeline=4, gpus=4, micro_tokens=4096, recompute="none")["layout"]
    assert (layout["gpus"], layout["pipeline"], layout["positions"], layout["recompute"]) == (4, 4, 4096, "none")
    path.write_text("[parallel]\n")
    assert said("tiny", site=str(path))["layout"]["precision"] == "bf16"
    assert said("tiny", site=str(path))["layout"]["gpus"] == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "glm45-air"}, r"glm45-air: neither a shipped model nor a file\.\n    Did you mean 'glm45_air'\?"),
        ({"model": "absent.yaml"}, r"Known: glm45, glm45_air, tiny\. Or give the path of a YAML file\."),
        ({"tensor": 3, "gpus": 3}, r"layout: tensor: 3 does not divide .*: use 1 or 2\."),
        ({"expert": 8, "gpus": 4}, r"layout: expert: 8 does not divide the 4 processes"),
        ({"recompute": "ful"}, r"--recompute ful: Did you mean 'full'\?"),
        ({"head": "adam"}, r"--head adam: Did you mean 'adamw'\?"),
        ({"optimizer": "moun"}, r"--optimizer moun: Did you mean 'muon'\?"),
        ({"gpu_memory": "lots"}, r"--gpu-memory: 'lots' is not a count"),
    ],
)
def test_what_cannot_be_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        said(**changes)


def test_problems_of_a_site_name_its_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("[parallel]\ntensor = 4\n")
    with pytest.raises(ManifestError, match=r"site\.toml: tensor: 4 does not divide kv_heads \(2\): use 1 or 2"):
        said("tiny", site=str(path))
    with pytest.raises(SiteError, match="cannot be read"):
        said("tiny", site=str(tmp_path / "absent.toml"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("hidden: 128", "hiden: 128", r"hiden: is not a key here\.\n    Did you mean 'hidden'\?"),
        ("hidden: 128", "hidden: wide", r"hidden: is 'wide'\.\n    Write a whole number, 1 or more\."),
        ("hidden: 128", "hidden: 0", r"hidden: is 0\.\n    Write a whole number, 1 or more"),
        ("mtp_layers: 1", "mtp_layers: -1", r"mtp_layers: is -1\.\n    Write a whole number, 0 or more"),
        ("qk_norm: true", "qk_norm: 1", r"qk_norm: is 1\.\n    Write true or false"),
        ("norm_eps: 1e-5", "norm_eps: small", r"norm_eps: is 'small'\.\n    Write a number"),
        ("kv_heads: 2", "kv_heads: 3", r"heads: 8 is not a multiple of kv_heads \(3\)"),
    ],
)
def test_a_shape_of_ones_own(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = (MANIFESTS / "models" / "tiny.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert load_shape(str(path)) == load_shape("tiny")
    path.write_text(text.replace(old, new))
    with pytest.raises(ManifestError, match=rf"mine\.yaml:\d+  {told}"):
        load_shape(str(path))


def test_the_tables_say_it() -> None:
    found = said("glm45_air", pipeline=4, expert=8, first_stage_layers=12, last_stage_layers=8, gpus=32)
    text = shown(found)
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        rows.setdefault(line.strip().partition("  ")[0], line.split())
    assert rows["without MTP"][2:4] == ["105,610,731,520", "12,182,609,920"]
    assert rows["routed experts"][2:5] == ["99,656,663,040", "6,228,541,440", "92.29"]
    assert "188,416 bytes per token in bf16, 24.7 GB at 131,072 tokens" in text
    assert (
        "32 GPUs: tensor 1, pipeline 4, context 1, data 8, expert 8; 16 experts per GPU, each expert on 1"
        in " ".join(text.split())
    )
    stages = found["memory"]["stages"]
    for number, stage in enumerate(stages):
        assert rows[str(number)][1] == str(stage["layers"])
        assert rows[str(number)][-1] == f"{stage['total'] / 1e9:.1f}"
    assert f"does not fit: stage 0 needs {stages[0]['total'] / 1e9:.3g} GB of 80 GB" in text


def test_nothing_is_cut_in_80_columns() -> None:
    for gpus in (None, 1):
        text = shown(said("tiny", gpus=gpus), width=80)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_shipped_site_files_fit_their_models(path: Path) -> None:
    """Named after the model; the memory that the comment computes is what `describe` says."""
    shape, site = load_shape(path.stem), load_site(str(path))
    assert site.processes_per_node
    assert Parallel.of_site(site).problems(dataclasses.asdict(shape), site.nodes * site.processes_per_node) == []
    memory = said(path.stem, site=str(path))["memory"]
    assert memory["fits"]
    assert f"stage {memory['worst_stage']} needs {memory['bytes'] / 1e9:.3g} GB" in path.read_text()
    works = [stage["work"] for stage in memory["stages"]]
    assert max(works) < 1.1


def test_site_files_are_shipped_for_the_large_models() -> None:
    assert [path.stem for path in SITES] == ["glm45", "glm45_air"]


def test_settings_without_a_layout_say_nothing_about_memory() -> None:
    assert "memory" not in describe(load_shape("tiny"), Settings())
