"""The text rules measured: documents per CPU second, and whether they decide as datatrove's filters do on the same words.

    python -m curation.bench rules --peers .venv-peers/bin/python --data ../shared/data

Real text: documentation, manual pages and docstrings of this machine, cut at paragraphs into pieces of 2.2 kB in the mean; with `--data`
also 254 web pages of a crawl, whole. For decisions datatrove is given our words and ends of sentences, because its own differ by design:
spaCy makes a word of every comma, which drops much more at Gopher's 80 % rule. Every rule sees every document. Bars: 2,000 documents of
2.2 kB per CPU second through all four, and the same decision on 99 % of documents in each.

What remains different, and why:

- Lines of white space only do not exist for us. datatrove counts them as lines in Gopher's rules (bullets, ellipses, repetition).
- Line ends are judged without the white space behind them; datatrove's FineWeb filter takes a line that ends in a space as not ended.
- A line is what stands between line feeds. datatrove's C4 and Gopher quality filters also cut at form feeds and other breaks.
- Stop words count in capitals too.
- An n-gram that occurs once is no repetition for us; datatrove takes the first one of a text of a few words as its top n-gram.
- Citation marks are no words of a C4 line for us, and datatrove counts them; it also keeps the space before one at a line's end.
- C4 looks for "lorem ipsum" before it looks for brackets, so a page with both gets one reason here and may get the other there.
"""

import argparse
import ast
import gzip
import hashlib
import json
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import words
from curation.bench import sentences as bench_sentences
from curation.rules import surface
from curation.rules.c4 import c4
from curation.rules.fineweb import fineweb
from curation.rules.gopher import gopher_quality, gopher_repetition
from datapipe.schema import DROP, documents

PEER = Path(__file__).parent / "peers" / "rules.py"
MIN_RATE, MIN_AGREEMENT = 2_000, 0.99
RATE_CHARS = 2_200  # rates are of documents of so many characters
PIECE_CHARS = (1_000, 3_400)  # documents are cut at the paragraph that passes a size drawn from this range
DUPLICATE_CHARS = 0.1
SHOWN = 6

# datatrove's name of a reason -> ours, of the rule's part
SAME = {
    "gopher_short_doc": "few_words",
    "gopher_long_doc": "many_words",
    "gopher_below_avg_threshold": "short_words",
    "gopher_above_avg_threshold": "long_words",
    "gopher_too_many_hashes": "hash_signs",
    "gopher_too_many_ellipsis": "ellipses",
    "gopher_too_many_bullets": "bullet_lines",
    "gopher_too_many_end_ellipsis": "ellipsis_lines",
    "gopher_below_alpha_threshold": "few_alphabetic_words",
    "gopher_enough_stop_words": "few_stop_words",
    "dup_para_frac": "duplicate_paragraphs",
    "dup_para_char_frac": "duplicate_paragraph_chars",
    "dup_line_frac": "duplicate_lines",
    "dup_line_char_frac": "duplicate_line_chars",
    "too_few_sentences": "few_sentences",
    "line_punct_ratio": "few_punctuated_lines",
    "short_line_ratio": "short_lines",
    "char_dup_ratio": "duplicate_line_chars",
    "list_ratio": "newlines",
}

_ROFF = re.compile(r"^\.(?:P|PP|SH|TP|IP)\b.*$", re.MULTILINE)
_MARKS = re.compile(r"^[.'].*\n|\\f.|\\[-&e|^]|\\\(..|\\\*.", re.MULTILINE)
_TEXTS = (".rst", ".md", ".txt", ".py", ".gz")


def rules() -> dict[str, Callable[[pa.Table], pa.Array | pa.Table]]:
    """The rules as they are compared, by the name that the peers' script gives them."""
    return {
        "gopher_quality": gopher_quality,
        "gopher_repetition": gopher_repetition,
        "c4": c4,
        "c4_any_line": lambda docs: c4(docs, terminal_punctuation=False),
        "fineweb": lambda docs: fineweb(docs, max_duplicate_line_chars=DUPLICATE_CHARS),
    }


def texts_here(count: int, seed: int = 3) -> list[str]:
    """`count` pieces of text files and docstrings of this machine, in an order of `seed`."""
    names = sorted(str(path) for folder in bench_sentences.folders() for path in folder.rglob("*"))
    rng = random.Random(seed)
    rng.shuffle(names)
    pieces: list[str] = []
    for name in names:
        if name.endswith(_TEXTS) and len(pieces) < count and Path(name).is_file():
            found = pieces_of(_read(Path(name)), rng)
            pieces += found[:20]  # of one file
    return pieces[:count]


def pieces_of(text: str, rng: random.Random) -> list[str]:
    """A text cut between paragraphs; what is left at its end, if short, is not a piece."""
    pieces, piece, size = [], "", rng.randint(*PIECE_CHARS)
    for paragraph in re.split(r"\n\s*\n", text):
        piece += paragraph + "\n\n"
        if len(piece) > size:
            if len(piece) < 3 * PIECE_CHARS[1]:
                pieces.append(piece.strip())
            piece, size = "", rng.randint(*PIECE_CHARS)
    return pieces


def web_pages(data: Path) -> list[str]:
    """The pages of a crawl that people labelled."""
    with gzip.open(data / "quality" / "dclm_human_labels.jsonl.gz", "rt") as file:
        return [json.loads(line)["text"] for line in file]


def _read(file: Path) -> str:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            text = stream.read(200_000).decode("utf-8", "ignore")
        if file.suffix == ".py":
            nodes = ast.walk(ast.parse(text))
            docstrings = (ast.get_docstring(node) for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef))
            return "\n\n".join(docstring for docstring in docstrings if docstring and len(docstring) > 100)
    except (OSError, EOFError, SyntaxError, ValueError):
        return ""
    return _MARKS.sub("", _ROFF.sub("\n", text)) if "/man/" in str(file) else text


def table(texts: Sequence[str]) -> pa.Table:
    return documents([{"text": text, "origin": f"https://example.org/{number}"} for number, text in enumerate(texts)])


def decide(texts: Sequence[str]) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """As the peers' script answers: per rule and document the reason and a digest of the text; CPU seconds per rule."""
    docs = table(texts)
    found, seconds = {}, {}
    for name, rule in rules().items():
        rule(docs.slice(0, 1))
        start = time.process_time()
        judged = rule(docs)
        seconds[name] = time.process_time() - start
        reasons = judged[DROP] if isinstance(judged, pa.Table) else judged
        kept = judged["text"] if isinstance(judged, pa.Table) else docs["text"]
        found[name] = [
            [reason and reason.partition(".")[2], hashlib.md5(text.encode()).hexdigest()]
            for reason, text in zip(reasons.to_pylist(), kept.to_pylist(), strict=True)
        ]
    return found, seconds


def peer(python: str, texts: Sequence[str], stock: int) -> dict[str, Any]:
    """datatrove's answer about the texts, from its own environment."""
    settings = {
        "word": word_pattern(),
        "sentence_end": sentence_pattern(),
        "char_duplicates_ratio": DUPLICATE_CHARS,
        "stock": stock,
    }
    lines = [json.dumps(settings), *map(json.dumps, texts)]
    done = subprocess.run([python, str(PEER)], input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} {PEER.name} failed:\n{done.stderr[-2_000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def word_pattern() -> str:
    """Our words as a regular expression: one ideograph, or what stands between white space and ideographs."""
    ideographs = _class(int(words.IDEOGRAPH))
    return rf"[{ideographs}]|[^\s{ideographs}]+"


def sentence_pattern() -> str:
    """Our ends of sentences inside a line as a regular expression to split at."""
    stops = _class(int(words.STOP), least=0x3000)
    narrow = _class(int(words.STOP), most=0x3000, but=".")
    closing = "".join(re.escape(chr(code)) for code in surface.CLOSING)
    return rf"(?:(?:(?<!\.)\.|[{narrow}])[{closing}]{{0,2}}(?=\s)|[{stops}][{closing}]{{0,2}}(?![{stops}{narrow}.]))(?=\s*\S)"


def _class(flag: int, least: int = 0, most: int = 0x40000, but: str = "") -> str:
    """The code points with a flag, as the inside of a character class."""
    chunk = words.chunk_of([chr(code) for code in range(least, most) if chr(code) not in but])
    codes = chunk.codes_C[(chunk.classes_C & flag) != 0].tolist()
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(
        re.escape(chr(first)) + ("" if first == last else f"-{re.escape(chr(last))}") for first, last in ranges
    )


def agreement(ours: list[Any], theirs: list[Any]) -> tuple[float, float, float, Counter[tuple[str, str]]]:
    """Shares of documents with the same decision, the same reason, and of those kept by both the same text; the differences counted."""
    pairs = [(own, SAME.get(other, other)) for (own, _), (other, _) in zip(ours, theirs, strict=True)]
    pairs = [
        (own, other and other.replace("duplicated_", "duplicate_").replace("n_grams", "gram")) for own, other in pairs
    ]
    both = [own[1] == other[1] for own, other in zip(ours, theirs, strict=True) if own[0] is None and other[0] is None]
    differences = Counter((other or "kept", own or "kept") for own, other in pairs if own != other)
    decision = sum((own is None) == (other is None) for own, other in pairs) / len(pairs)
    reason = sum(own == other for own, other in pairs) / len(pairs)
    return decision, reason, sum(both) / max(1, len(both)), differences


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=4_000, help="documents of this machine (default 4000)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of real pages, if there")
    parser.add_argument("--peers", default=".venv-peers/bin/python", help="Python that has datatrove, if there")
    parser.add_argument("--stock", type=int, default=100, help="documents datatrove also cuts by itself (default 100)")
    arguments = parser.parse_args(argv)
    texts = texts_here(arguments.docs)
    texts += web_pages(arguments.data) if (arguments.data / "quality").is_dir() else []
    mean = sum(map(len, texts)) / len(texts)
    print(f"{len(texts):,} documents, {mean:,.0f} characters in the mean; rates are of {RATE_CHARS:,}")
    ours, seconds = decide(texts)

    def rate(spent: float, count: int) -> float:
        return count * mean / RATE_CHARS / spent

    together = rate(sum(seconds[name] for name in seconds if name != "c4_any_line"), len(texts))
    for name, spent in seconds.items():
        dropped = sum(reason is not None for reason, _ in ours[name]) / len(texts)
        print(f"{name:18} {rate(spent, len(texts)):8,.0f} docs/CPU-s   drops {dropped:.1%}")
    print(f"{'all four':18} {together:8,.0f} docs/CPU-s   bar {MIN_RATE:,}")
    passed = together >= MIN_RATE
    if Path(arguments.peers).exists():
        answer = peer(arguments.peers, texts, arguments.stock)
        print(
            "\ndatatrove {datatrove}, spaCy {spacy}; rates with our words, and with its own".format(
                **answer["versions"]
            )
        )
        for name, theirs in answer["found"].items():
            decision, reason, text, differences = agreement(ours[name], theirs)
            stock = rate(answer["stock_seconds"][name], len(answer["stock"][name]))
            same_stock = agreement(ours[name][: len(answer["stock"][name])], answer["stock"][name])[0]
            print(
                f"{name:18} {rate(answer['seconds'][name], len(texts)):8,.0f} {stock:6,.0f} docs/CPU-s   "
                f"same decision {decision:.2%} (its words: {same_stock:.0%}), same reason {reason:.2%}, same text {text:.2%}"
            )
            for (other, own), count in differences.most_common(SHOWN):
                print(f"    {count:5} {other} there, {own} here")
            passed &= decision >= MIN_AGREEMENT
    else:
        print(f"no {arguments.peers}: `make bench-peers` makes it; decisions are not compared")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
