"""Do numbers and names of a free paraphrase belong to what they belong to in its source? Told from the words near them; no model is asked.

`statements` compares sentences that can be aligned. In a free paraphrase few can be, but words near a mark stay near it: 1950 stands with
`musical` and `released` however the sentence is built. So every mark has a context, the content words and other marks of its sentences up
to `WINDOW` words away, weighted by 1 / (1 + distance); and two texts agree on a mark by what its two contexts share, a word counting the
more the fewer marks it stands beside. Two marks of a kind that agree better the other way round, by more than `MARGIN`, were swapped.

Measured with two marks swapped by program, as found by this alone and together with `numbers` and `statements` (without this): of ten
paraphrases by hand, numbers 88 and 92 % of 25 (28), names 76 and 81 % of 391 (22); of texts with common words exchanged, numbers 87 and
98 % of 225 (91), names 62 and 97 % of 350 (95). None of the ten, nor of 90 such texts, nor of these with every second sentence or with
their sentences turned round, is taken for swapped. 10 ms for 1,300 characters. Not covered: marks that are listed side by side, a mark in
the place of one that is left out, marks without content words near them.
"""

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from synth.rephrase.marks import FUNCTION_WORDS, marks_of, number, plain, root
from synth.rephrase.statements import BE, split, stem

WINDOW = 8  # content words and marks to either side
MARGIN = 0.6  # in the unit of `_shared`; honest paraphrases reach 0.53
MAX_MARKS = 60  # of a kind; what a longer text has beyond these is not compared
MAX_SHOWN = 3
_TOKEN = re.compile(r"-?\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")

Context = Mapping[str, float]


class Mark(NamedTuple):
    kind: str  # number, name
    value: str


def swapped(source: str, made: str) -> dict[str, Any]:
    """The verdict: `compared` marks that both texts have, and `swapped` pairs of them, the clearest first."""
    names = frozenset(map(root, marks_of(source).names))
    told, said = _contexts(source, names), _contexts(made, names)
    beside = Counter(word for context in told.values() for word in context)
    weights = {word: math.log(1 + len(told) / count) for word, count in beside.items()}
    found = []
    common = sorted(told.keys() & said.keys())
    for kind in ("name", "number"):
        marks = [mark for mark in common if mark.kind == kind][:MAX_MARKS]
        for one, other in itertools.combinations(marks, 2):
            left_out = (one.value, other.value)
            straight, crossed = (
                _shared(told[one], said[a], weights, left_out) + _shared(told[other], said[b], weights, left_out)
                for a, b in ((one, other), (other, one))
            )
            if crossed - straight > MARGIN:
                found.append((round(straight - crossed, 3), *left_out))
    shown = [list(pair) for _, *pair in sorted(found)[:MAX_SHOWN]]
    return {"passed": not found, "compared": len(common), "swapped": shown}


def _contexts(text: str, names: frozenset[str]) -> dict[Mark, Context]:
    """The words near each mark, each with its greatest weight. `names`: roots of words that are names."""
    found: dict[Mark, dict[str, float]] = defaultdict(dict)
    for sentence in split(text):
        words = [word for match in _TOKEN.finditer(sentence) if (word := _read(match[0], names))]
        for at, word in enumerate(words):
            if isinstance(word, Mark):
                context = found[word]
                for place in range(max(0, at - WINDOW), min(len(words), at + WINDOW + 1)):
                    near = words[place]
                    value = near.value if isinstance(near, Mark) else near
                    if value != word.value:
                        context[value] = max(context.get(value, 0.0), 1 / (1 + abs(place - at)))
    return dict(found)


def _read(token: str, names: frozenset[str]) -> Mark | str | None:
    """A mark, the stem of a content word, or None for a word by which nobody tells what a sentence is about."""
    word = plain(token)
    if word[:1].isdigit() or word[:1] == "-":
        return Mark("number", number(token))
    if root(word) in names:
        return Mark("name", root(word))
    return None if word in FUNCTION_WORDS or word in BE else stem(word)


def _shared(one: Context, other: Context, weights: Mapping[str, float], left_out: tuple[str, str]) -> float:
    return sum(
        min(weight, other[word]) * weights.get(word, 0.0)
        for word, weight in one.items()
        if word in other and word not in left_out
    )
