from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from datapipe.readers.licenses import index, texts

TEXT = " ".join(f"word{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}{'uvwxyz'[n // 100]}" for n in range(600))


def test_rows() -> None:
    table = index.build(
        {
            "MIT": {"licenseText": "Copyright (c) 2000 A\n" + TEXT},
            "GPL-2.0": {"licenseText": TEXT},  # deprecated
            "GPL-2.0-only": {"licenseText": TEXT + "\nEND OF TERMS AND CONDITIONS\nmore words that do not count"},
            "GPL-2.0-or-later": {"licenseText": TEXT},  # the same text
            "short": {"licenseText": "some few words"},
        }
    )
    rows = table.to_pylist()
    assert [row["spdx"] for row in rows] == ["GPL-2.0-only", "MIT"]
    assert rows[0]["runs"] == rows[1]["runs"] == sorted(rows[0]["runs"])
    assert rows[0]["step"] == 4
    assert len(rows[0]["runs"]) <= index.MAX_RUNS
    assert all(run % 4 == 0 for run in rows[0]["runs"])
    assert set(rows[0]["runs"]) <= set(texts.hashed_runs(texts.words(TEXT)).tolist())


def test_runs_are_the_same_on_every_machine() -> None:
    assert texts.hashed_runs(["permission", "is", "hereby", "granted", "free"]).tolist() == [HASH]
    assert texts.hashed_runs(["too", "short"]).tolist() == []


HASH = 1326175055


@pytest.fixture
def two_licences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Two invented licences that are all there are; the long one has a phrase of the short one near its end."""
    phrase = " ".join(f"shared{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    words = [f"{a}{b}{c}" for a in "bcdfghklmn" for b in "aeiou" for c in ("rat", "sot", "lem", "tun", "vik", "zor")]
    order = [words[n * 7 % 300] + words[n * n % 299] for n in range(220)]
    written = {
        "Short": f"{' '.join(words[:60])} {phrase} {' '.join(words[60:90])}",
        "Long": f"{' '.join(order[:200])} {phrase} {' '.join(order[200:])}",
    }
    table = index.build({name: {"licenseText": text} for name, text in written.items()})
    monkeypatch.setattr(texts, "INDEX", tmp_path / "index.arrow")
    with pa.ipc.new_file(str(texts.INDEX), table.schema) as writer:
        writer.write_table(table)
    texts._index.cache_clear()
    yield written
    texts._index.cache_clear()


def test_a_shared_phrase_does_not_hide_the_neighbour(two_licences: dict[str, str]) -> None:
    short, long = two_licences["Short"], two_licences["Long"]
    assert [match.spdx for match in texts.find(f"{short}\n\n{long}")[0]] == ["Short", "Long"]
    assert [match.spdx for match in texts.find(f"{long}\n\n{long}")[0]] == ["Long"], "all copies are one match"
    half, others = len(long) // 2, "other words " * 2000
    scattered = f"{short} {others} {long[:half]} {others} {long[half:]}"
    assert {match.spdx for match in texts.find(scattered)[0]} == {"Short", "Long"}
