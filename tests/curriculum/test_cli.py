"""What a user sees: exit codes, messages on stderr, tables and JSON on stdout, help with an example."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from curriculum import cli
from curriculum.training import Terminated

VERBS = (
    "sample",
    "plan",
    "describe",
    "build",
    "train",
    "report",
    "inspect",
    "verify",
    "run",
    "export megatron",
    "import megatron",
    "synth export",
)
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tokenloom(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command line in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tokenloom", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, small_data: Path, write_manifest: Callable[[Path], Path]
) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    arguments = [str(write_manifest(folder)), str(folder / "out"), "--data", str(small_data), "--in-process"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tokenloom", "build", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return folder / "out"


@pytest.fixture
def built(finished: Path, tmp_path: Path) -> Path:
    """A copy of what `tokenloom build` made, which a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_with_an_example(tokenloom: Call, verb: str) -> None:
    code, out, _ = tokenloom(*verb.split(), "--help")
    assert code == 0
    assert f"Example: tokenloom {verb}" in " ".join(out.split())


def test_a_bad_manifest_is_exit_code_2_with_file_and_line(tokenloom: Call, small_manifest: Path) -> None:
    small_manifest.write_text(small_manifest.read_text().replace("web: 0.6", "web: 0.5"))
    code, out, err = tokenloom("plan", small_manifest)
    assert (code, out) == (2, "")
    assert "small.yaml:10  stages[0].mix: the shares sum to 0.9, not 1.\n    Set web to 0.6" in err


def test_a_misspelt_step_is_exit_code_2_before_any_data_is_read(
    tokenloom: Call, small_manifest: Path, tmp_path: Path
) -> None:
    web = small_manifest.parent / "web.yaml"
    web.write_text(web.read_text().replace("dedup.minhash", "dedup.minhsah"))
    code, _, err = tokenloom("build", small_manifest, tmp_path / "out", "--data", tmp_path / "absent")
    assert code == 2
    assert "Did you mean 'dedup.minhash'?" in err


def test_describe_speaks_to_people_and_machines(tokenloom: Call) -> None:
    code, out, _ = tokenloom("describe", "glm45", "--seq-len", 8192)
    assert code == 0
    assert "FLOPs per token in rows of 8,192 tokens" in out
    assert "Layout" not in out
    code, out, _ = tokenloom("describe", "tiny", "--pipeline", 2, "--gpus", 4, "--gpu-memory", "16G", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["layout"]["data"], found["layout"]["stage_layers"]) == (2, [2, 2])
    assert found["memory"]["fits"]


def test_a_misspelt_model_or_an_impossible_layout_is_exit_code_2(tokenloom: Call) -> None:
    code, out, err = tokenloom("describe", "glm-45")
    assert (code, out) == (2, "")
    assert err.startswith("glm-45: neither a shipped model nor a file.\n    Did you mean 'glm45'?")
    code, _, err = tokenloom("describe", "tiny", "--tensor", 3, "--gpus", 3)
    assert code == 2
    assert err.startswith("layout: tensor: 3 does not divide")


def test_train_prints_what_it_would_run(tokenloom: Call, tmp_path: Path) -> None:
    """Nothing is started: there is not even a plan."""
    code, out, _ = tokenloom("train", tmp_path, "--print", "--processes", 2, "--stop-after", 5)
    assert code == 0
    assert "-m torch.distributed.run --nproc-per-node 2 " in out
    assert out.endswith(f"-m trainer.run --root {tmp_path} --stop-after 5\n")


def test_train_for_many_nodes_is_a_script(tokenloom: Call, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[parallel]\nnodes = 2\nprocesses_per_node = 8\n")
    code, out, err = tokenloom("train", tmp_path, "--site", tmp_path / "site.toml")
    assert (code, err) == (0, "")
    assert out.startswith("#!/bin/bash\n")
    assert "#SBATCH --nodes=2" in out
    (tmp_path / "site.toml").write_text("[parallel]\nnodes = 2\n")
    code, out, err = tokenloom("train", tmp_path, "--site", tmp_path / "site.toml")
    assert (code, out) == (1, "")
    assert "write processes_per_node = 8" in err


def test_sigterm_is_exit_code_143(tokenloom: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminated(*_: object, **__: object) -> None:
        raise Terminated("stopped by SIGTERM")

    monkeypatch.setattr(cli, "_train", terminated)
    code, _, err = tokenloom("train", tmp_path, "--processes", 1)
    assert (code, err) == (143, "stopped by SIGTERM\n")


def test_a_bad_call_is_exit_code_2(tokenloom: Call, tmp_path: Path) -> None:
    assert tokenloom("plan")[0] == 2
    assert tokenloom("inspect", tmp_path)[0] == 2
    assert tokenloom("nonsense")[0] == 2


def test_missing_data_is_exit_code_1(tokenloom: Call, small_manifest: Path, tmp_path: Path) -> None:
    code, _, err = tokenloom("build", small_manifest, tmp_path / "out", "--data", tmp_path / "absent", "--in-process")
    assert code == 1
    assert "nothing to read matches" in err


@pytest.mark.parametrize("out", ["s3://no-such-bucket/out"])
def test_a_missing_bucket_is_exit_code_1(
    tokenloom: Call, small_manifest: Path, small_data: Path, s3: str, out: str
) -> None:
    code, _, err = tokenloom("build", small_manifest, out, "--data", small_data, "--in-process")
    assert code == 1
    assert "no-such-bucket" in err
    assert "Traceback" not in err


def test_no_build_is_exit_code_1(tokenloom: Call, tmp_path: Path) -> None:
    for verb in (["verify"], ["report"], ["train"], ["inspect", "--step", "0"]):
        code, _, err = tokenloom(verb[0], tmp_path / "nothing", *verb[1:])
        assert code == 1, verb
        assert "nothing" in err
        assert "Traceback" not in err


def test_plan_prints_tables_or_json(tokenloom: Call) -> None:
    code, out, _ = tokenloom("plan", "quickstart")
    assert code == 0
    assert "long_context_agent" in out
    code, out, _ = tokenloom("plan", "quickstart", "--json")
    assert next(stage["name"] for stage in json.loads(out)["stages"]) == "general"


def test_a_build_can_be_planned_inspected_and_verified(tokenloom: Call, built: Path, small_manifest: Path) -> None:
    code, out, _ = tokenloom("plan", small_manifest, "--out", built)
    assert code == 0
    assert "?" not in out
    step = json.loads(tokenloom("inspect", built, "--step", 0, "--json")[1])
    document = step["rows"][0]["pieces"][0]["doc"]
    assert json.loads(tokenloom("inspect", built, "--document", document, "--json")[1])["id"] == document
    assert "origin" in tokenloom("inspect", built, "--step", 0)[1]
    assert tokenloom("inspect", built, "--document", "0" * 32)[0] == 1
    assert tokenloom("inspect", built, "--step", 10**6)[0] == 1
    assert json.loads(tokenloom("verify", built, "--json")[1])["problems"] == []


def test_what_was_exported_can_be_imported(tokenloom: Call, built: Path, tmp_path: Path) -> None:
    code, out, err = tokenloom("export", "megatron", built, tmp_path / "tokens", "--stage", "long")
    assert code == 0
    assert "--data-path" in out
    assert "note: " in err
    pairs = sorted((tmp_path / "tokens").rglob("*.idx"))
    code, out, err = tokenloom("import", "megatron", pairs[0], "--to", tmp_path / "web.yaml", "--kind", "book")
    assert (code, " documents, " in out) == (0, True)
    assert "`tokenizer: {path: ...}`" in err
    assert tokenloom("import", "megatron", pairs[0], "--to", tmp_path / "web.yaml")[0] == 1  # is there already
    assert tokenloom("import", "megatron", pairs[0], "--to", tmp_path / "b.yaml", "--kind", "boook")[0] == 2
    assert tokenloom("export", "megatron", built, tmp_path / "tokens", "--stage", "longer")[0] == 1


def test_a_damaged_build_is_exit_code_1(tokenloom: Call, built: Path) -> None:
    sorted((built / "shards").rglob("*.tokens.arrow"))[0].write_bytes(b"")
    code, out, _ = tokenloom("verify", built)
    assert code == 1
    assert "sha256" in out
