"""Fixtures every test may use. Real data that the repository does not carry lies beside it; tests that need it skip without it."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from datapipe.engine import RayData

pytest_plugins = ["tests.browser", "tests.small_corpus", "tests.faulty_proxy", "tests.parallel_run"]

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# No deadline: cores are shared. Said here, it holds for a file that runs alone too.
settings.register_profile("untimed", deadline=None, max_examples=60)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate",
        action="store_true",
        help="write golden values anew and print what changed (tests/trainer/test_golden.py)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays to the end, 740,000 objects: without this the collector of garbage walks over them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real pages, crawls, evaluations and books; TOKENLOOM_TEST_DATA names another place."""
    folder = Path(os.environ.get("TOKENLOOM_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set TOKENLOOM_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def ray_engine() -> Iterator[RayData]:
    """The one Ray instance of a test run, on two cores."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    engine = RayData(num_cpus=2)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """`s3://bucket` on a moto server that the AWS variables of the environment point to (subprocesses inherit them)."""
    boto3 = pytest.importorskip("boto3")
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket="tokenloom-test")
        yield "s3://tokenloom-test"
    server.stop()
