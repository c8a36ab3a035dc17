import sys

import pytest

from curation import bench


def test_the_benchmark_checks_that_both_sign_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--docs", "20", "--repeat", "1"])
    assert bench.main() == 0
    printed = capsys.readouterr().out
    assert "20 documents" in printed
    assert "signatures equal bit for bit: yes" in printed


def test_documents_of_the_benchmark_are_pieces_of_source() -> None:
    texts = bench.standard_library_documents(50)
    assert len(texts) == 50
    assert max(map(len, texts)) == bench.DOCUMENT_CHARS
    assert bench.shingles_of("One two, three") == [["one", "two", "three"]]
    assert bench.shingles_of("...") == []
