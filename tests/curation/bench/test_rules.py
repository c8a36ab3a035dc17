"""The benchmark of the rules on a few documents, with a script in the place of datatrove that answers as ours do."""

import json
import random
import re
import sys
from pathlib import Path

import pytest

from curation import words
from curation.bench import rules as bench_rules
from curation.rules import surface

TEXT = "It is 北京 here. And (so on.) there... No! 一。二\u3000end"

# Answers what it is asked as its words would have it: kept if there are ten words.
FAKE = """\
import hashlib, json, re, sys
settings = json.loads(sys.stdin.readline())
texts = [json.loads(line) for line in sys.stdin]
def answer(texts):
    kept = [len(re.findall(settings["word"], text)) > 10 for text in texts]
    verdicts = [[None if keep else "empty", hashlib.md5(text.encode()).hexdigest()] for keep, text in zip(kept, texts)]
    return {name: verdicts for name in ("gopher_quality", "gopher_repetition", "c4", "c4_any_line", "fineweb")}
seconds = dict.fromkeys(answer([]), 0.5)
json.dump({"found": answer(texts), "seconds": seconds, "stock": answer(texts[:settings["stock"]]), "stock_seconds": seconds,
           "versions": {"datatrove": "0", "spacy": "0"}}, sys.stdout)
"""


def test_patterns_are_our_words_and_sentences() -> None:
    assert re.findall(bench_rules.word_pattern(), TEXT) == [
        *["It", "is", "北", "京", "here.", "And", "(so", "on.)", "there...", "No!"],
        *["一", "。", "二", "end"],
    ]
    one = surface.Surface(words.chunk_of([TEXT]))
    assert len(re.split(bench_rules.sentence_pattern(), TEXT)) == surface.line_sentences(one)[0]


def test_agreement_counts_decisions_reasons_and_texts() -> None:
    ours = [[None, "a"], ["few_words", "b"], ["short_words", "c"], [None, "d"], ["duplicate_5_gram", "e"]]
    theirs = [
        [None, "a"],
        ["gopher_short_doc", "b"],
        ["gopher_short_doc", "c"],
        [None, "x"],
        ["duplicated_5_n_grams", "e"],
    ]
    decision, reason, text, differences = bench_rules.agreement(ours, theirs)
    assert (decision, reason, text) == (1.0, 0.8, 0.5)
    assert differences == {("few_words", "short_words"): 1}


def test_pieces_end_at_paragraphs() -> None:
    text = "\n\n".join(f"paragraph {number} " + "x" * 150 for number in range(200))
    pieces = bench_rules.pieces_of(text, random.Random(1))
    assert all(1_000 < len(piece) < 3_700 for piece in pieces)
    assert text.startswith("\n\n".join(pieces))


def test_a_run_without_and_with_a_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prose = "It has a sentence that is about the harbour and the ships that {} there. "
    texts = [" ".join(prose.format(f"lie{n}and{m}") for m in range(30)) for n in range(4)] + ["short"]
    monkeypatch.setattr(bench_rules, "texts_here", lambda count: texts[:count])
    monkeypatch.setattr(bench_rules, "MIN_RATE", 0)
    options = ["--docs", "5", "--data", str(tmp_path), "--stock", "2", "--peers"]
    assert bench_rules.main([*options, str(tmp_path / "absent")]) == 0
    assert "decisions are not compared" in capsys.readouterr().out
    monkeypatch.setattr(bench_rules, "PEER", tmp_path / "fake.py")
    (tmp_path / "fake.py").write_text(FAKE)
    code = bench_rules.main([*options, sys.executable])
    printed = capsys.readouterr().out
    assert re.search(r"all four +[\d,]+ docs/CPU-s", printed)
    assert "fineweb" in printed.partition("datatrove")[2]
    assert "same decision" in printed
    assert code in (0, 1)
    (tmp_path / "fake.py").write_text("raise SystemExit('no datatrove')")
    with pytest.raises(SystemExit, match="no datatrove"):
        bench_rules.main([*options, sys.executable])


def test_real_texts_of_this_machine_are_in_a_fixed_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("\n\n".join(f"{number} {index} " + "word " * 60 for index in range(40)))
    (tmp_path / "code.py").write_text('def f():\n    """' + "A docstring. " * 300 + '"""\n')
    (tmp_path / "broken.py").write_text("def f(:")
    monkeypatch.setattr(bench_rules.bench_sentences, "folders", lambda: [tmp_path])
    texts = bench_rules.texts_here(12)
    assert len(texts) == 12
    assert texts == bench_rules.texts_here(12)
    assert bench_rules.texts_here(1000)[:12] == texts
    assert any(text.startswith("A docstring.") for text in bench_rules.texts_here(1000))


def test_the_script_for_the_peers_imports_nothing_of_ours() -> None:
    source = bench_rules.PEER.read_text()
    assert not re.search(r"^(?:from|import) (?:curation|datapipe)", source, re.MULTILINE)
    assert set(re.findall(r'settings\["(\w+)"\]', source)) == {"word", "sentence_end", "char_duplicates_ratio", "stock"}
    assert json.dumps(sorted(bench_rules.rules())) == json.dumps(
        sorted(set(re.findall(r'^        "(\w+)": \w+Filter\(', source, re.MULTILINE)))
    )
