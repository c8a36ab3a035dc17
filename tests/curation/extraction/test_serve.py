"""What the process needs, and what it says when a library is missing."""

import subprocess
import sys

import pytest

from curation.extraction import serve
from curation.extraction.exchange import NOT_LOADED, Settings


def test_the_process_knows_parsers_but_no_arrow() -> None:
    code = (
        "import sys; from curation.extraction import serve; from curation.extraction.exchange import Settings\n"
        "assert serve.answer(Settings(), b'<html><body><p>' + b'Words, and more of them. ' * 20).reason is None\n"
        "assert 'lxml' in sys.modules and not {'pyarrow', 'numpy', 'polars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(filter(None, sys.path))}, check=True)


def test_a_missing_library_is_no_drop_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resiliparse.extract.html2text", None)
    serve.engine.cache_clear()
    page = serve.answer(Settings("fast", max_seconds=0, max_memory_mb=0), b"")
    assert page.reason == NOT_LOADED
    assert page.text.endswith("pip install resiliparse, or use trafilatura")
