"""Fixtures every test may use. Real data that the repository does not carry lies beside it; tests that need it skip without it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapipe.engine import RayData

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


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
