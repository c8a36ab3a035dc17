"""Corpora that come as tokens: what the paths name, how documents are known, and the corpus file that `import megatron` writes."""

from pathlib import Path

import numpy as np
import pytest

from curriculum import imported
from curriculum.corpus import Corpus
from curriculum.curate import curate
from curriculum.document import Document
from curriculum.imported import find_pairs, import_part, write_corpus
from curriculum.segment import BuildError
from datapipe import exchange
from datapipe.megatron_file import MegatronFileError, megatron_output
from datapipe.schema import document_id
from datapipe.store import StoreError


def write_pair(prefix: Path, lengths: list[int]) -> None:
    """Documents of these many tokens, each token the number of its document."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with megatron_output(str(prefix), vocab_size=1000) as writer:
        tokens = np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)
        writer.add(tokens, np.array(lengths, np.int64))


def corpus(*paths: str) -> Corpus:
    return Corpus("tokens", "web", {"tokens": "megatron", "paths": list(paths)}, (), None)


@pytest.mark.parametrize("written", ["a/web", "a/web.idx", "a/web.bin", "*/web", "./a/../a/web"])
def test_a_path_names_a_pair_in_any_spelling(tmp_path: Path, written: str) -> None:
    write_pair(tmp_path / "a" / "web", [3, 1, 4])
    pairs = find_pairs(corpus(written), str(tmp_path))
    assert [tuple(part) for part in pairs.parts] == [("a/web", str(tmp_path / "a" / "web"), 0, 3)]
    assert (pairs.documents, pairs.num_files) == (3, 2)


def test_documents_are_named_after_the_path_in_the_manifest(tmp_path: Path) -> None:
    """Two pairs of one file name in two folders hold different documents."""
    for folder in ("a", "b"):
        write_pair(tmp_path / folder / "web", [2, 2])
    pairs = find_pairs(corpus("*/web"), str(tmp_path))
    ids = []
    for number, part in enumerate(pairs.parts):
        output = str(tmp_path / f"part-{number}.arrow")
        import_part(output=output, part=part, buckets=["all"], seed=0, vocab_size=1000)
        ids += exchange.read_slice([output], 0)["id"].to_pylist()
    assert ids == [document_id(f"{folder}/web.bin#{number}") for folder in "ab" for number in range(2)]
    with pytest.raises(StoreError, match=r"b/web: its documents would be named like those of .*a/web: web\.bin#0"):
        find_pairs(corpus(f"{tmp_path}/a/web", f"{tmp_path}/b/web"), "")


def test_identity_is_content_and_name_not_the_machine(tmp_path: Path) -> None:
    for root in ("here", "there"):
        write_pair(tmp_path / root / "a" / "web", [2, 2])
    here, there = (find_pairs(corpus("a/web"), str(tmp_path / root)).identity for root in ("here", "there"))
    assert here == there
    write_pair(tmp_path / "there" / "a" / "web", [2, 3])
    assert find_pairs(corpus("a/web"), str(tmp_path / "there")).identity != here


def test_parts_are_cut_between_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported, "PART_TOKENS", 10)
    monkeypatch.setattr(imported, "READ_TOKENS", 4)
    lengths = [3, 9, 1, 30, 2, 2, 7]
    write_pair(tmp_path / "web", lengths)
    parts = find_pairs(corpus("web"), str(tmp_path)).parts
    assert len(parts) > 2
    assert [(part.first, part.end) for part in parts][-1][1] == len(lengths)
    found = []
    for number, part in enumerate(parts):
        output = str(tmp_path / f"part-{number}.arrow")
        counted = import_part(output=output, part=part, buckets=["all"], seed=0, vocab_size=1000)
        assert counted["buckets"]["all"]["documents"] == part.end - part.first
        found += exchange.read_slice([output], 0)["tokens"].to_pylist()
    assert found == [[number] * length for number, length in enumerate(lengths)]


def test_a_token_outside_the_vocabulary_is_named(tmp_path: Path) -> None:
    write_pair(tmp_path / "web", [1] * 8)
    (part,) = find_pairs(corpus("web"), str(tmp_path)).parts
    with pytest.raises(MegatronFileError, match=r"web\.bin, document 7: has token 7, the tokenizer .* ends at 6"):
        import_part(output=str(tmp_path / "x.arrow"), part=part, buckets=["all"], seed=0, vocab_size=7)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing\.idx: no such \.idx\n.*relative paths start at --data"):
        find_pairs(corpus("nothing"), str(tmp_path))
    write_pair(tmp_path / "empty", [])
    with pytest.raises(BuildError, match="corpus tokens: no document is in empty"):
        next(curate(corpus("empty"), str(tmp_path / "out"), str(tmp_path)))


def test_one_corpus_file_for_all_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        write_pair(tmp_path / folder / "web", [2, 5])
    assert write_corpus(["a/web.idx", "b/web"], "web.yaml", kind="code") == (4, 14)
    data = Document(Path("web.yaml")).data
    source = {"tokens": "megatron", "paths": ["a/web", "b/web"]}
    assert data == {"kind": "code", "source": source, "declared_tokens": 14}
    with pytest.raises(StoreError, match=r"web\.yaml: is there already"):
        write_corpus(["a/web"], "web.yaml", kind="web")
