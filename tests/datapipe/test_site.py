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


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENLOOM_SITE", str(tmp_path / "none.toml"))
    with pytest.raises(SiteError, match=r"(?s)none\.toml: cannot be read.*correct the path in TOKENLOOM_SITE"):
        load_site()
