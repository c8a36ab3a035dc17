import gzip
from pathlib import Path

from curation.bench import sentences as bench_sentences
from curation.bench.sentences import MAX_WORDS, MIN_WORDS, sentences, vocabulary

LONG = "This sentence has more than eight words and is prose."
OTHER = "Another one says that files may lie in many folders."


def test_sentences_come_from_files_of_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        f'"""{LONG}\n\nToo short.\n\nx = [1, 2, 3]; y = {{4: 5}}; z = (6, 7); print(x, y, z)"""'
    )
    (tmp_path / "b.html").write_text(f"<p>{OTHER}</p><script>var a = 1;</script>")
    (tmp_path / "man").mkdir()
    with gzip.open(tmp_path / "man" / "c.1.gz", "wt") as page:
        page.write(".TH page\nThe \\fIpage\\fP of a manual is set with marks that go away here.\n")
    (tmp_path / "d.txt").write_bytes(b"\0" + LONG.encode())
    (tmp_path / "e.txt.gz").write_bytes(b"no gzip at all")
    (tmp_path / "f.so").write_text("A shared object is no text and nobody reads it at all.")
    (tmp_path / "g.txt").symlink_to(tmp_path / "missing")
    found = sentences([tmp_path], num_chars=10_000, seed=1)
    page = "The page of a manual is set with marks that go away here."
    assert set(found) == {f'"""{LONG}', OTHER, page}


def test_a_sentence_that_begins_like_another_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{LONG} {LONG.replace('prose', 'text')} {OTHER}")
    assert sentences([tmp_path], num_chars=1_000, seed=1) == [LONG, OTHER]


def test_lists_of_paths_are_no_prose(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" ".join(["folder/of/files/with/a/name"] * 12))
    assert sentences([tmp_path], num_chars=1_000, seed=1) == []


def test_the_order_follows_from_the_seed_and_stops_when_there_is_enough(tmp_path: Path) -> None:
    for name in "abcdefgh":
        (tmp_path / f"{name}.txt").write_text(f"File {name} has one sentence of some nine words.")
    everything = sentences([tmp_path], num_chars=10_000, seed=1)
    assert len(everything) == 8
    assert sentences([tmp_path], num_chars=60, seed=1) == everything[:2]
    assert sentences([tmp_path], num_chars=10_000, seed=2) != everything


def test_this_machine_has_sentences() -> None:
    found = sentences(bench_sentences.folders()[:1], num_chars=50_000, seed=3)
    assert sum(map(len, found)) >= 50_000
    assert all(MIN_WORDS <= len(sentence.split()) <= MAX_WORDS for sentence in found)
    assert len(set(found)) == len(found)
    assert all(word.isalpha() for word in vocabulary(found))
