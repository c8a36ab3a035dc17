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
