from pathlib import Path

import pytest

from curation.bench import language as bench


@pytest.mark.data
def test_the_benchmark_prints_accuracy_and_rates(
    shared_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bench.rows_of
    monkeypatch.setattr(bench, "rows_of", lambda path: whole(path)[::8])
    monkeypatch.setattr(bench, "NUM_JOINED", 10)
    monkeypatch.setattr(bench, "REPEAT", 1)
    assert bench.main(["--data", str(shared_data)]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line}
    assert float(rows["handbook_paragraphs"][3].rstrip("%")) > 98
    assert rows["handbook_paragraphs"][5] == "0"
    assert float(rows["handbook_paragraphs"][7]) > 1_000
    assert "one language                  0" in printed


def test_without_data_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--data", str(tmp_path)]) == 0
    assert "name its folder with --data" in capsys.readouterr().out


def test_labels_of_locales() -> None:
    assert [bench.label_of(locale) for locale in ("zh-TW", "nb-NO", "en", "hr")] == ["zh", "no", "en", "hr"]
