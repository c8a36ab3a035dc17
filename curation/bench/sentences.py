"""Real sentences for benchmark corpora: documentation, manual pages and docstrings that lie on this machine.

Which sentences there are depends on what is installed; their order on that and the seed alone. Each appears once: of sentences that begin
with the same six words the first one stays. About 2 MB of sentences per CPU second.
"""

import gzip
import hashlib
import os
import random
import re
import sysconfig
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

SUFFIXES = (".py", ".rst", ".md", ".txt", ".html", ".gz", "")
MIN_WORDS, MAX_WORDS = 8, 60
MAX_WORD_CHARS = 9  # in the mean, with the blank that follows: paths and dotted names are longer
MIN_PROSE = 0.8  # share of letters and blanks: code and tables have less
FILE_BYTES = 400_000  # the beginning of a file is read

_PROSE = bytes(code for code in range(256) if code >= 128 or chr(code).isalpha() or code == 32)
_ROFF = re.compile(r"^[.'].*$|\\f.|\\[-&e|^]|\\\(..|\\\*.", re.MULTILINE)
_TAG = re.compile(r"<script.*?</script>|<style.*?</style>|<[^>]+>", re.DOTALL)
_END = re.compile(r"(?<=[.!?:])\s+|\n\s*\n")


def folders() -> list[Path]:
    """Where text lies on a machine with Python: its library, what is installed for it, documentation, manual pages."""
    paths = sysconfig.get_paths()
    found = [Path(paths["stdlib"]), Path(paths["purelib"]), Path("/usr/share/doc"), Path("/usr/share/man")]
    return [folder for folder in found if folder.is_dir()]


def sentences(roots: Sequence[Path], *, num_chars: int, seed: int) -> list[str]:
    """Sentences of `MIN_WORDS` to `MAX_WORDS` words from files drawn in an order of `seed`, at least `num_chars` of them if there are."""
    names = {os.path.join(folder, name) for root in roots for folder, _, files in os.walk(root) for name in files}
    files = [Path(name) for name in sorted(names) if os.path.splitext(name)[1] in SUFFIXES]
    random.Random(seed).shuffle(files)
    found: list[str] = []
    size, seen = 0, set()
    for file in files:
        for sentence in _prose(_text(file)):
            begin = hashlib.blake2b(" ".join(sentence.lower().split(" ", 6)[:6]).encode(), digest_size=8).digest()
            if begin not in seen:
                seen.add(begin)
                found.append(sentence)
                size += len(sentence)
        if size >= num_chars:
            break
    return found


def _text(file: Path) -> str:
    """The beginning of a file without markup; nothing of one that is no text."""
    if not file.is_file() or file.is_symlink():
        return ""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            text = stream.read(FILE_BYTES).decode(errors="ignore")
    except (OSError, EOFError, zlib.error):
        return ""
    if "\0" in text:
        return ""
    if "man" in file.parts:
        return _ROFF.sub("", text)
    return _TAG.sub(" ", text) if file.suffix == ".html" else text


def _prose(text: str) -> Iterator[str]:
    for piece in _END.split(text):
        words = piece.split()
        if MIN_WORDS <= len(words) <= MAX_WORDS:
            sentence = " ".join(words)
            other = len(sentence.encode().translate(None, _PROSE))
            if other <= (1 - MIN_PROSE) * len(sentence) and len(sentence) <= MAX_WORD_CHARS * len(words):
                yield sentence


def vocabulary(pool: Iterable[str]) -> list[str]:
    """The words of letters alone in some sentences, in order, each as often as it occurs."""
    return [word for sentence in pool for word in sentence.split() if word.isalpha()]
