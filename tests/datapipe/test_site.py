from pathlib import Path

import pytest

from datapipe.site import Site, SiteError, load_site


def write(folder: Path, text: str) -> str:
    (folder / "site.toml").write_text(text)
    return str(folder / "site.toml")


def test_without_a_file_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENLOOM_SITE", raising=False)
    site = load_site()
    assert (site.cache_bytes, site.read_timeout_seconds, site.concurrency) == (8 << 30, 20.0, 8)
    assert site == Site()
    assert Path(site.cache_folder).is_absolute()


def test_the_variable_names_the_file_and_an_argument_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, '[cache]\nfolder = "/nvme/cache"\nsize = "200Gi"\n[s3]\nread_timeout_seconds = 7\n')
    monkeypatch.setenv("TOKENLOOM_SITE", path)
    assert load_site() == Site("/nvme/cache", 200 << 30, 7.0, 8)
    (tmp_path / "other").write_text("[s3]\nconcurrency = 3\n")
    assert load_site(str(tmp_path / "other")) == Site(concurrency=3)


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [
        ("67108864", 1 << 26),
        ('"67108864"', 1 << 26),
        ('"70000Ki"', 70_000 << 10),
        ('"64Mi"', 1 << 26),
        ('"2 Ti"', 2 << 40),
    ],
)
def test_sizes(tmp_path: Path, written: str, size_bytes: int) -> None:
    assert load_site(write(tmp_path, f"[cache]\nsize = {written}\n")).cache_bytes == size_bytes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[cahce]\nsize = 1", r"\[cahce\] is not a table.*write \[cache\] or \[s3\] or \[feed\]"),
        ("cache = 3", r"\[cache\] is not a table"),
        ("[cache]\nsiez = 3", r"\[cache\] siez = 3 is not known.*write folder or size"),
        ('[cache]\nsize = "200GB"', r"\[cache\] size = '200GB'.*\"200Gi\""),
        ("[cache]\nsize = 1.5e9", "size = 1500000000.0.*whole number"),
        ("[cache]\nsize = true", "size = True"),
        ("[cache]\nsize = -1", "size = -1"),
        ("[cache]\nsize = 1000", "size = 1000.*at least 67108864"),
        ('[cache]\nfolder = "cache"', "folder = 'cache'.*absolute path"),
        ('[cache]\nfolder = "s3://b/cache"', "absolute path of a local folder"),
        ("[cache]\nfolder = 3", "folder = 3"),
        ("[s3]\nread_timeout_seconds = 0", "read_timeout_seconds = 0.*from 1 to 600"),
        ('[s3]\nread_timeout_seconds = "20"', "read_timeout_seconds = '20'"),
        ("[s3]\nconcurrency = 1000", "concurrency = 1000.*from 1 to 64"),
        ("[s3]\nconcurrency = 2.0", "concurrency = 2.0"),
        ('[feed]\nmemory = "1Mi"', r"\[feed\] memory = '1Mi'.*at least 8388608 bytes: \"8Mi\""),
        ('[feed]\nmemory = "lots"', r"\[feed\] memory = 'lots'"),
        ("[feed]\npatience_seconds = 0", r"\[feed\] patience_seconds = 0.*from 1 to 2592000"),
        ("[cache]\nsize = 200Gi", "not TOML.*have quotes"),
        ("[parallel]\ntensor = 0", r"\[parallel\] tensor = 0.*from 1 to 65536"),
        ("[parallel]\ntensor = true", r"tensor = True.*whole number"),
        ("[parallel]\ndata = 4", r"\[parallel\] data = 4 is not known.*write tensor or pipeline"),
        ("[parallel]\nfirst_stage_layers = 0", "first_stage_layers = 0.*from 1"),
        ('[training]\nprecision = "fp16"', r"precision = 'fp16'.*write \"auto\" or \"bf16\" or \"fp32\""),
        ("[training]\nrecompute = true", r"recompute = True.*write \"none\" or \"full\""),
        ('[training]\nattention = "te"', r"attention = 'te'.*write \"auto\" or \"torch\" or \"transformer_engine\""),
        ("[training]\nmicro_tokens = 0", "micro_tokens = 0.*from 1"),
        ('[checkpoints]\nkeep_every_tokens = "100GB"', r"keep_every_tokens = '100GB'.*\"100B\""),
        ("[checkpoints]\nkeep_every_tokens = 1e9", r"keep_every_tokens = 1000000000.0.*\"100B\""),
        ("[checkpoints]\nkeep_every_tokens = -1", "keep_every_tokens = -1"),
        ("[checkpoints]\nkeep_last = 0", "keep_last = 0.*from 1"),
        ("[checkpoints]\nkeep_stage_ends = 1", "keep_stage_ends = 1.*true or false"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SiteError, match=f"(?s){told}") as refusal:
        load_site(path)
    assert str(refusal.value).startswith(path)


def test_what_a_feed_may_take(tmp_path: Path) -> None:
    site = load_site(write(tmp_path, '[feed]\nmemory = "1Gi"\npatience_seconds = 86400\n'))
    assert site == Site(memory_bytes=1 << 30, patience_seconds=86_400.0)


def test_how_a_model_is_spread_and_what_is_kept(tmp_path: Path) -> None:
    text = (
        "[parallel]\ntensor = 2\npipeline = 8\nexpert = 16\ncontext = 3\nfirst_stage_layers = 10\nlast_stage_layers = 11\n"
        'nodes = 16\nprocesses_per_node = 8\n[training]\nmicro_tokens = 4096\nprecision = "bf16"\nrecompute = "full"\n'
        'attention = "transformer_engine"\n'
        'compile = "off"\n'
        "deterministic = false\n"
        '[checkpoints]\nkeep_last = 3\nkeep_every_tokens = "100B"\nkeep_stage_ends = false\nasynchronous = false\n'
    )
    assert load_site(write(tmp_path, text)) == Site(
        tensor=2,
        pipeline=8,
        expert=16,
        context=3,
        first_stage_layers=10,
        last_stage_layers=11,
        nodes=16,
        processes_per_node=8,
        micro_tokens=4096,
        precision="bf16",
        recompute="full",
        attention="transformer_engine",
        compile="off",
        deterministic=False,
        keep_last=3,
        keep_every_tokens=100 * 10**9,
        keep_stage_ends=False,
        asynchronous_checkpoints=False,
    )


def test_without_a_file_a_model_is_not_spread(tmp_path: Path) -> None:
    site = load_site(write(tmp_path, ""))
    assert (site.tensor, site.pipeline, site.expert, site.context, site.nodes) == (1, 1, 1, 1, 1)
    assert (site.micro_tokens, site.precision, site.recompute, site.processes_per_node) == (8192, "auto", "none", None)
    assert site.attention == site.compile == "auto"
    assert site.deterministic
    assert (site.keep_last, site.keep_every_tokens, site.keep_stage_ends, site.asynchronous_checkpoints) == (
        2,
        0,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("written", "tokens"), [("0", 0), ("1_000", 1000), ('"2T"', 2 * 10**12), ('"20 M"', 20_000_000)]
)
def test_tokens_are_written_as_in_a_manifest(tmp_path: Path, written: str, tokens: int) -> None:
    assert load_site(write(tmp_path, f"[checkpoints]\nkeep_every_tokens = {written}\n")).keep_every_tokens == tokens


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENLOOM_SITE", str(tmp_path / "none.toml"))
    with pytest.raises(SiteError, match=r"(?s)none\.toml: cannot be read.*correct the path in TOKENLOOM_SITE"):
        load_site()
