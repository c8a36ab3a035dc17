import os
import pickle
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash

from datapipe import s3_reads, store
from datapipe.s3 import PART_BYTES
from datapipe.store import FileInfo, StoreError

LOCAL_AND_S3 = pytest.mark.parametrize("base", ["local", "s3"], indirect=True)


@pytest.fixture
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder of the named kind."""
    if request.param == "local":
        return str(tmp_path)
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}-{os.urandom(4).hex()}"


@pytest.fixture
def client(s3: str) -> Any:
    """Someone else who uses the same object store."""
    import boto3

    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])


@pytest.fixture
def strict_s3(s3: str) -> Iterator[str]:
    """The same store, while it checks credentials (and knows none)."""
    after_requests(b"0")
    yield s3
    after_requests(b"inf")


def after_requests(count: bytes) -> None:
    """Let moto check credentials after so many more requests."""
    url = os.environ["AWS_ENDPOINT_URL"] + "/moto-api/reset-auth"
    urllib.request.urlopen(urllib.request.Request(url, data=count, headers={"Content-Type": "text/plain"})).close()


def fail_after_writing(path: str, data: bytes, close: bool = False) -> None:
    with store.output_file(path) as stream:
        stream.write(data)
        if close:
            stream.close()
        raise ZeroDivisionError


def names(infos: list[FileInfo], base: str) -> list[str]:
    return [info.path.removeprefix(base + "/") for info in infos]


@LOCAL_AND_S3
def test_what_is_written_is_read_listed_and_removed(base: str) -> None:
    path = store.join(base, "a/b.bin")
    assert not store.exists(path)
    store.write_bytes(path, b"one")
    store.write_bytes(path, b"other")
    assert store.read_bytes(path) == b"other"
    assert store.exists(path)
    assert store.exists(store.join(base, "a"))
    assert store.glob(base) == [FileInfo(path, 5)]
    store.remove_tree(base)
    store.remove_tree(base)
    assert not store.exists(path)


@pytest.mark.parametrize("num_bytes", [0, 1, store.HASHED_BYTES, store.HASHED_BYTES + 1, 3 * store.HASHED_BYTES])
def test_fingerprint_is_of_the_whole_file(tmp_path: Path, num_bytes: int) -> None:
    data = bytes(range(256)) * (num_bytes // 256) + b"x" * (num_bytes % 256)
    (tmp_path / "a").write_bytes(data)
    assert store.fingerprint(FileInfo(f"{tmp_path}/a", num_bytes)) == xxhash.xxh3_128_hexdigest(data)
    with pytest.raises(StoreError, match="no such file"):
        store.fingerprint(FileInfo(f"{tmp_path}/b", num_bytes))


@LOCAL_AND_S3
def test_fingerprint_follows_the_content(base: str) -> None:
    prints = []
    for content in (b"one", b"two", b"one"):
        store.write_bytes(store.join(base, "x"), content)
        (info,) = store.glob(base)
        assert store.fingerprint(info) == store.fingerprint(FileInfo(info.path, info.size_bytes))
        prints.append(store.fingerprint(info))
    assert prints[0] == prints[2] != prints[1]


@LOCAL_AND_S3
def test_input_is_seekable(base: str) -> None:
    content = bytes(range(256)) * 20_000
    store.write_bytes(store.join(base, "x"), content)
    with store.open_input(store.join(base, "x")) as stream:
        assert stream.seek(-300, os.SEEK_END) == len(content) - 300
        assert stream.read(10) == content[-300:-290]
        assert stream.seek(1_000_001) == 1_000_001
        assert (stream.read(7), stream.tell()) == (content[1_000_001:1_000_008], 1_000_008)


@LOCAL_AND_S3
def test_a_failed_write_changes_nothing(base: str) -> None:
    path = store.join(base, "x")
    for before in (None, b"before"):
        if before:
            store.write_bytes(path, before)
        with pytest.raises(ZeroDivisionError):
            fail_after_writing(path, bytes(2 * PART_BYTES))
        assert [store.read_bytes(info.path) for info in store.glob(base)] == ([before] if before else [])


@LOCAL_AND_S3
def test_a_failure_after_an_early_close_publishes_nothing(base: str) -> None:
    """Libraries such as pyarrow may close the stream they were given."""
    with pytest.raises(ZeroDivisionError):
        fail_after_writing(store.join(base, "x"), b"whole?", close=True)
    assert store.glob(base) == []


@LOCAL_AND_S3
def test_an_early_close_does_not_lose_the_file(base: str) -> None:
    with store.output_file(store.join(base, "x")) as stream:
        stream.write(b"whole")
        stream.close()
    assert store.read_bytes(store.join(base, "x")) == b"whole"


@LOCAL_AND_S3
@pytest.mark.parametrize("size_bytes", [0, 1, 2 * PART_BYTES + 5])
def test_output_of_any_size(base: str, size_bytes: int) -> None:
    content = os.urandom(1000) * (size_bytes // 1000) + bytes(size_bytes % 1000)
    with store.output_file(store.join(base, "x")) as stream:
        for start in range(0, size_bytes, 999_983):
            stream.write(content[start : start + 999_983])
    assert store.read_bytes(store.join(base, "x")) == content


@LOCAL_AND_S3
def test_the_callers_own_errors_pass_unchanged(base: str) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), store.output_file(store.join(base, "x")):
        Path("/nonexistent/elsewhere").read_bytes()


def test_failed_uploads_are_aborted(s3: str, client: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_after_writing(f"{s3}/aborted", bytes(2 * PART_BYTES))
    assert not client.list_multipart_uploads(Bucket=s3.removeprefix("s3://")).get("Uploads")


@LOCAL_AND_S3
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", [".hidden/g.txt", "a.txt", "d/.h.txt", "d/b.txt", "d/e/c.txt", "d2/c.md"]),
        ("a.txt", ["a.txt"]),
        ("d", ["d/.h.txt", "d/b.txt", "d/e/c.txt"]),
        ("*", ["a.txt"]),
        ("*/*.txt", ["d/b.txt"]),
        ("d/*", ["d/b.txt"]),
        ("d/.*", ["d/.h.txt"]),
        ("**/*.txt", ["a.txt", "d/b.txt", "d/e/c.txt"]),
        ("d/**", ["d/b.txt", "d/e/c.txt"]),
        ("d?/c.[lm]d", ["d2/c.md"]),
        ("nothing/*", []),
        ("nothing", []),
    ],
)
def test_glob(base: str, pattern: str, expected: list[str]) -> None:
    for name in (
        "a.txt",
        "d/b.txt",
        "d/e/c.txt",
        "d/.h.txt",
        "d2/c.md",
        ".hidden/g.txt",
        f"d/{store.TEMPORARY_PREFIX}1",
    ):
        store.write_bytes(store.join(base, name), b"x")
    path = store.join(base, pattern) if pattern else base
    assert names(store.glob(path), base) == expected


@LOCAL_AND_S3
def test_folders(base: str) -> None:
    for name in ("r/one/a", "r/two/b/c", "r/.three/d", "r/file"):
        store.write_bytes(store.join(base, name), b"x")
    folders = lambda pattern: [path.removeprefix(base + "/") for path in store.folders(store.join(base, pattern))]  # noqa: E731
    assert folders("r/*") == folders("r/*/") == ["r/one", "r/two"]
    assert folders("r/one") == ["r/one"]
    assert folders("r/file") == folders("nothing") == []


def test_a_listing_is_never_stale(s3: str, client: Any) -> None:
    bucket = s3.removeprefix("s3://")
    assert store.glob(f"{s3}/stale") == []
    client.put_object(Bucket=bucket, Key="stale/x", Body=b"1")
    assert names(store.glob(f"{s3}/stale"), s3) == ["stale/x"]
    client.put_object(Bucket=bucket, Key="stale/x", Body=b"23")
    assert store.read_bytes(f"{s3}/stale/x") == b"23"
    client.delete_object(Bucket=bucket, Key="stale/x")
    assert not store.exists(f"{s3}/stale/x")


def test_a_killed_writer_leaves_nothing_visible(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom datapipe import store\n"
        "with store.output_file(sys.argv[1]) as stream:\n"
        "    stream.write(b'half'); stream.flush(); print('written', flush=True); time.sleep(60)\n"
    )
    path = tmp_path / "x"
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 1, "the leftover of the killed run"
    assert store.glob(str(tmp_path)) == store.glob(f"{tmp_path}/*") == []
    store.write_bytes(str(path), b"whole")
    assert names(store.glob(str(tmp_path)), str(tmp_path)) == ["x"]


def test_cached_downloads_once_per_content(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store.write_bytes(f"{s3}/model.bin", b"first")
    local = Path(store.cached(f"{s3}/model.bin"))
    assert (local.name, local.read_bytes()) == ("model.bin", b"first")
    modified = local.stat().st_mtime_ns
    assert store.cached(f"{s3}/model.bin") == str(local)
    assert local.stat().st_mtime_ns == modified
    store.write_bytes(f"{s3}/model.bin", b"second")
    assert Path(store.cached(f"{s3}/model.bin")).read_bytes() == b"second"
    assert store.cached(str(local)) == str(local)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("a", "b", "c.txt"), "a/b/c.txt"),
        (("a/", "b"), "a/b"),
        (("", "b"), "b"),
        (("a", "/b"), "/b"),
        (("/", "b"), "/b"),
        (("s3://bucket", "b"), "s3://bucket/b"),
        (("a", "s3://bucket/x", "b"), "s3://bucket/x/b"),
    ],
)
def test_join(parts: tuple[str, ...], expected: str) -> None:
    assert store.join(*parts) == expected


ACTIONS: dict[str, Callable[[str], object]] = {
    "read": store.read_bytes,
    "write": lambda path: store.write_bytes(path, b"x"),
    "list": store.glob,
    "list a pattern": lambda path: store.glob(f"{path}/**/*.gz"),
    "ask": store.exists,
    "list folders": lambda path: store.folders(f"{path}/*"),
    "remove": store.remove_tree,
    "cache": store.cached,
}
ANY_ACTION = pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)


def stream_to(path: str) -> None:
    with store.output_file(path) as stream:
        stream.write(bytes(2 * PART_BYTES))


@ANY_ACTION
def test_missing_bucket(s3: str, action: Callable[[str], object]) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket") as refusal:
        action("s3://no-such-bucket/x")
    assert refusal.value.path.startswith("s3://no-such-bucket/x")
    assert "create the bucket" in refusal.value.remedy
    assert os.environ["AWS_ENDPOINT_URL"] in refusal.value.answer


@ANY_ACTION
def test_wrong_credentials(strict_s3: str, action: Callable[[str], object]) -> None:
    with pytest.raises(StoreError, match="InvalidAccessKeyId") as refusal:
        action(f"{strict_s3}/x")
    assert "AWS_SECRET_ACCESS_KEY" in refusal.value.remedy


def test_refusals_while_streaming(strict_s3: str) -> None:
    with pytest.raises(StoreError, match="InvalidAccessKeyId"):
        stream_to(f"{strict_s3}/x")


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="NoCredentialsError") as refusal:
        store.read_bytes(f"{s3}/x")
    assert refusal.value.remedy == "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@pytest.mark.parametrize(
    ("endpoint", "answer"), [("http://127.0.0.1:9", "EndpointConnectionError"), ("store:9000", "URL")]
)
def test_no_endpoint(s3: str, monkeypatch: pytest.MonkeyPatch, endpoint: str, answer: str) -> None:
    monkeypatch.setattr(s3_reads, "PATIENCE", s3_reads.Patience(attempts=1))
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(StoreError, match=answer) as refusal:
        store.read_bytes(f"{s3}/x")
    assert endpoint in str(refusal.value)


@LOCAL_AND_S3
def test_missing_file(base: str) -> None:
    with pytest.raises(StoreError, match="no such file"):
        store.read_bytes(store.join(base, "x/y"))


def test_missing_local_file_names_the_nearest_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refusal:
        store.open_input(str(tmp_path / "no" / "such"))
    assert str(tmp_path) in refusal.value.remedy
    assert pickle.loads(pickle.dumps(refusal.value)).args == refusal.value.args


def test_an_outage_while_reading_is_a_store_error(s3: str, client: Any) -> None:
    store.write_bytes(f"{s3}/gone", bytes(4 * PART_BYTES))
    with store.open_input(f"{s3}/gone") as stream:
        stream.read(10)
        client.delete_object(Bucket=s3.removeprefix("s3://"), Key="gone")
        with pytest.raises(StoreError, match="gone"):
            stream.read()


def test_other_stores_and_whole_buckets_are_refused(s3: str) -> None:
    with pytest.raises(StoreError, match="does not read"):
        store.read_bytes("gs://bucket/x")
    with pytest.raises(StoreError, match="whole bucket"):
        store.remove_tree(s3)


@LOCAL_AND_S3
def test_a_range_is_exact_and_never_short(base: str) -> None:
    path, content = store.join(base, "x"), bytes(range(256)) * 16
    store.write_bytes(path, content)
    assert store.stat(path) == FileInfo(path, len(content))
    for start, stop in ((0, 1), (7, 7), (250, 300), (0, len(content)), (len(content) - 3, len(content))):
        assert store.read_range(path, start, stop) == content[start:stop]
    for start in (4000, 5000):
        with pytest.raises(StoreError, match=r"shorter than what refers to it") as refusal:
            store.read_range(path, start, 5001)
        assert refusal.value.path == path


def test_a_refused_key_fails_at_once(strict_s3: str) -> None:
    for read in (store.stat, lambda path: store.read_range(path, 0, 10)):
        with pytest.raises(StoreError, match="InvalidAccessKeyId"):
            read(f"{strict_s3}/x")
