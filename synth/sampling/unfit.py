"""Why a response is no text to learn, whatever it says: too short, repetitive, markup where words should be, languages mixed.

Thresholds: Gopher's for repeated lines (Rae et al. 2021, table A1); of ten-word sequences three times Gopher's, because thoughts come back
to the same terms; the others are ours. A long text is judged by its first and last 50,000 characters. Cost: 1 ms per 10,000 characters.
Not covered: two languages of one script; loops of fewer than three rounds.
"""

import re
import unicodedata
from collections import Counter

TOO_SHORT, REPETITIVE = "sampling.too_short", "sampling.repetitive"
BAD_FORMAT, MIXED = "sampling.bad_format", "sampling.mixed_language"
MAX_LINES, MAX_NGRAMS = 0.3, 0.3  # share of characters in repeated lines, of repeated sequences of words
NGRAM, MIN_NGRAMS, MIN_LINES = 10, 20, 4
MIN_ROUNDS = 4  # of a loop at the end
MIXED_SHARE, MIN_LETTERS = 0.1, 50
JUDGED_CHARS = 50_000  # at either end

_MARKUP = re.compile(
    r"</?(?:think|tool_call|tool_response|arg_key|arg_value)>|<\|(?:system|user|assistant|observation|endoftext)\|>"
)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")
_SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "THAI",
)
_TOGETHER = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}  # scripts that are written in one line


def unfit(text: str, reasoning: str = "", *, prompt: str = "", min_chars: int = 1) -> str | None:
    """The first thing that is wrong with a response, None where nothing is.

    Languages count as mixed when two scripts have a tenth of the letters each, and the prompt lacks one of them.
    """
    if len(text.strip()) < min_chars:
        return TOO_SHORT
    if _MARKUP.search(text) or _MARKUP.search(reasoning):
        return BAD_FORMAT
    if any(is_repetitive(part) for part in (text, reasoning)):
        return REPETITIVE
    return MIXED if _is_mixed(f"{reasoning}\n{text}", prompt) else None


def is_repetitive(text: str) -> bool:
    """Whether a text repeats its lines or its words, or ends in a loop."""
    text = _judged(text)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    repeated = sum(len(line) * (count - 1) for line, count in Counter(lines).items())
    if len(lines) >= MIN_LINES and repeated > MAX_LINES * sum(map(len, lines)):
        return True
    words = _WORD.findall(text)
    ngrams = Counter(zip(*(words[start:] for start in range(NGRAM)), strict=False))
    count = ngrams.total()
    return (count >= MIN_NGRAMS and count - len(ngrams) > MAX_NGRAMS * count) or _loops(words)


def _loops(words: list[str]) -> bool:
    """Whether the last words are one sequence over and over, of up to 50 words and at least 12 in all."""
    for length in range(1, 51):
        rounds = max(MIN_ROUNDS, -(-12 // length))
        last = words[-length * rounds :]
        if len(last) == length * rounds and last == last[:length] * rounds and any(map(str.isalpha, last[:length])):
            return True
    return False


def _judged(text: str) -> str:
    return text if len(text) <= 2 * JUDGED_CHARS else f"{text[:JUDGED_CHARS]}\n{text[-JUDGED_CHARS:]}"


def _is_mixed(text: str, prompt: str) -> bool:
    counted = _scripts(_judged(text))
    if counted.total() < MIN_LETTERS:
        return False
    frequent = [script for script, count in counted.items() if count >= MIXED_SHARE * counted.total()]
    known = _scripts(_judged(prompt))
    return len(frequent) > 1 and any(script not in known for script in frequent)


def _scripts(text: str) -> Counter[str]:
    """Letters by script."""
    counted: Counter[str] = Counter()
    for letter, count in Counter(filter(str.isalpha, text)).items():
        name = "LATIN" if letter < "\u0250" else unicodedata.name(letter, "").partition(" ")[0]
        if name in _SCRIPTS:
            counted[_TOGETHER.get(name, name)] += count
    return counted
