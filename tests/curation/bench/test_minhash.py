import pytest

from curation.bench import minhash as bench_minhash


def test_the_benchmark_checks_that_both_sign_alike(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_minhash.main(["--docs", "20", "--repeat", "1"]) == 0
    printed = capsys.readouterr().out
    assert "20 documents" in printed
    assert "signatures equal bit for bit: yes" in printed


def test_a_difference_is_an_exit_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ours = bench_minhash.ours
    monkeypatch.setattr(bench_minhash, "ours", lambda texts: ours(texts) + 1)
    assert bench_minhash.main(["--docs", "20", "--repeat", "1"]) == 1
    assert "NO" in capsys.readouterr().out


def test_documents_of_the_benchmark_are_pieces_of_source() -> None:
    texts = bench_minhash.standard_library_documents(50)
    assert len(texts) == 50
    assert max(map(len, texts)) == bench_minhash.DOCUMENT_CHARS
    assert bench_minhash.shingles_of("One two, three") == [["one", "two", "three"]]
    assert bench_minhash.shingles_of("...") == []
