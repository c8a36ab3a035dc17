"""What tests of the sandbox need of the machine."""

import tempfile
from pathlib import Path

import pytest

from synth.software.sandbox import SandboxError, run


def _why_not() -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(["true"], Path(folder))
        except SandboxError as error:
            return str(error)
    return None


WHY_NOT = _why_not()
sandbox = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
