"""Questions from queries: which pages there are, what is said of each, and what is asked, in several frames and many phrasings.

    nested    What is the license of the page whose ... and that depends on a page whose ...?      (chains)
    letters   Three pages, A, B and C. A depends on B. ... What is the license of A?
    ordinals  The first page ... The second page ...
    points    the same as a list of clues, one a line
    story     from the far end of the query to its target

The wording is a function of the query and of a keyed draw; it says nothing that the query does not. The template is the frame with its
opening and its closing phrase: `letters.3.1`. Articles and verbs are English; labels are the pages' own.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from synth.draw import Draw
from synth.search import phrases
from synth.search.phrases import Relation
from synth.search.task import Clue, Condition, Query
from synth.search.world import World

ALPHABETS = ("ABCDE", "PQRST", "XYZUV", "KLMNO")
ORDINALS = ("first", "second", "third", "fourth", "fifth")
NUMBERS = ("", "One", "Two", "Three", "Four", "Five")
THINGS = ("page", "entry", "article")
MAX_NESTED = 3  # pages in one sentence; with more, nobody sees which "that" belongs to which

OPENINGS = {
    "nested": ("", "Here is a riddle. ", "A question for a patient reader: ", "Find this out: "),
    "letters": (
        "{Count} {things}, {names}, are looked for. ",
        "Let {names} be {count} different {things}. ",
        "I am thinking of {count} {things} and call them {names}. ",
        "Suppose there are {count} {things}, {names}. ",
        "Somebody has read {count} {things}; here they are called {names}. ",
        "",
    ),
    "ordinals": (
        "There are {count} {things} to find. ",
        "Think of {count} {things}. ",
        "This is about {count} {things} that belong together. ",
        "I remember {count} {things}, but not what they are called. ",
        "{Count} {things} are needed for this. ",
    ),
    "points": (
        "What is known of {count} {things}, {names}:",
        "Find {names} ({count} {things}) such that",
        "Clues about {count} {things}, {names}:",
        "These hold for {names}, which are {things}:",
        "Notes on {count} {things} that are called {names} here:",
    ),
    "story": (
        "Begin where it is easiest. ",
        "Follow a trail of {count} {things}. ",
        "It takes {count} {things} to get there. ",
        "This goes from one {thing} to the next. ",
    ),
}
ASKED = (  # those of a page that takes a whole sentence to name have it at the end
    "What is the {noun} of {it}?",
    "Tell me the {noun} of {it}.",
    "I need the {noun} of {it}.",
    "Find out the {noun} of {it}.",
    "Which {noun} does {it} have?",
    "What does {it} give as its {noun}?",
)
ASKED_NUMBER = (*ASKED[:4], "State the {noun} of {it}.")
ASKED_TITLE = (
    "What is the title of {it}?",
    "Give the title of {it}.",
    "Name {it}.",
    "What is {it} called?",
    "Under which title is {it} found?",
)


class Worded(NamedTuple):
    question: str
    template: str


def worded(world: World, query: Query, answer: str, draw: Draw) -> Worded:
    """A question that says the query. Of the answer it takes whether it is a number."""
    frames = [
        "letters",
        "ordinals",
        "points",
        *(["nested"] * 3 if _is_chain(query) and query.num_variables <= MAX_NESTED else []),
        *(["story"] if query.num_variables > 2 else []),
    ]
    frame = draw.pick(frames, "frame")
    writer = _Writer(world, query, phrases.is_whole(answer), draw)
    opening = draw.below(len(OPENINGS[frame]), "opening")
    if frame == "nested":
        return writer.nested(opening)
    return writer.listed(frame, opening)


class _Writer:
    """The words of one question."""

    def __init__(self, world: World, query: Query, asks_number: bool, draw: Draw) -> None:
        self.query, self.asks_number, self.draw, self.world = query, asks_number, draw, world
        self.thing = draw.pick(THINGS, "thing")
        self.asked = Relation(query.asked, bool(query.asked) and world.is_many(query.asked)) if query.asked else None

    def nested(self, opening: int) -> Worded:
        """One sentence, each page in the relative clause of the one before."""
        closing, asked = self._closing(f"the {self.thing} {self._clauses(self.query.target, None, 1)}", is_long=True)
        text = OPENINGS["nested"][opening] + asked
        return Worded(text, f"nested.{opening}.{closing}")

    def _clauses(self, variable: int, came: Clue | None, depth: int) -> str:
        """What is said of a page, as relative clauses; what links it to the next page comes last."""
        values = [self._whose(clue) for clue in self._values(variable)]
        links = [
            clue
            for clue in self.query.clues
            if isinstance(clue.object, int) and variable in (clue.subject, clue.object) and clue is not came
        ]
        for clue in links:
            other = clue.object if clue.subject == variable else clue.subject
            assert isinstance(other, int)
            linking = phrases.linking(
                self._relation(clue), is_forward=clue.subject == variable, pick=self._picker(clue)
            )
            values.append(linking.format(f"{self._another(depth)} {self._clauses(other, clue, depth + 1)}".rstrip()))
        return phrases.listed(values) if values else ""

    def _another(self, depth: int) -> str:
        counts = self.draw.below(2, "another") == 0
        return f"a {ORDINALS[depth]} {self.thing}" if counts else f"another {self.thing}"

    def listed(self, frame: str, opening: int) -> Worded:
        """A sentence per clue."""
        query, draw = self.query, self.draw
        order = list(range(query.num_variables))
        alphabet = draw.pick(ALPHABETS, "alphabet")
        if frame == "story":
            order = order[::-1]
        elif draw.below(3, "order") == 0:
            order = draw.shuffled(order, "variables")
        letters = {variable: alphabet[place] for place, variable in enumerate(order)}
        by_ordinal = frame == "ordinals" or (frame == "story" and draw.below(2, "ordinals") == 0)
        names = {
            variable: f"the {ORDINALS[place]} {self.thing}" if by_ordinal else letters[variable]
            for place, variable in enumerate(order)
        }
        sentences = list(self._sentences(order, names))
        if draw.below(3, "mixed") == 0:
            sentences = draw.shuffled(sentences, "sentences")
        count = NUMBERS[query.num_variables]
        things = self.thing[:-1] + "ies" if self.thing.endswith("y") else f"{self.thing}s"
        told = OPENINGS[frame][opening].format(
            Count=count,
            count=count.lower(),
            things=things,
            thing=self.thing,
            names=phrases.listed([letters[variable] for variable in order]),
        )
        closing, asked = self._closing(names[query.target])
        if frame == "points":
            body = "\n".join(f"- {_sentence(sentence)}" for sentence in sentences)
            return Worded(f"{told}\n{body}\n{asked}", f"points.{opening}.{closing}")
        return Worded(
            told + " ".join(_sentence(sentence) for sentence in sentences) + " " + asked,
            f"{frame}.{opening}.{closing}",
        )

    def _sentences(self, order: Sequence[int], names: dict[int, str]) -> Iterator[str]:
        links_first = self.draw.below(2, "links first") == 0
        for variable in order:
            values = [self._has(clue, names[variable]) for clue in self._values(variable)]
            links = [
                self._link(clue, names)
                for clue in self.query.clues
                if isinstance(clue.object, int) and clue.subject == variable
            ]
            yield from (*links, *values) if links_first else (*values, *links)

    def _values(self, variable: int) -> list[Clue]:
        return [clue for clue in self.query.clues if clue.subject == variable and isinstance(clue.object, Condition)]

    def _link(self, clue: Clue, names: dict[int, str]) -> str:
        assert isinstance(clue.object, int)
        is_forward = self.draw.below(3, f"direction {clue.subject} {clue.object} {clue.relation}") > 0
        here, there = (clue.subject, clue.object) if is_forward else (clue.object, clue.subject)
        return f"{names[here]} {self._verb(clue, is_forward).format(names[there])}"

    def _verb(self, clue: Clue, is_forward: bool) -> str:
        return phrases.links(self._relation(clue), is_forward=is_forward, pick=self._picker(clue))

    def _has(self, clue: Clue, name: str) -> str:
        """`the license of A is "MIT"`."""
        assert isinstance(clue.object, Condition)
        noun, is_one_of = phrases.noun_of(self._relation(clue), is_number=phrases.is_number(clue.object))
        pick = self._picker(clue)
        if counted := phrases.counted(noun, clue.object, pick):
            return pick([f"{name} has {counted}", f"the {noun} of {name} {phrases.meets(clue.object, pick)}"])
        meets = phrases.meets(clue.object, pick)
        if is_one_of:
            return pick([f"one of the {noun} of {name} {meets}", f"among the {noun} of {name}, one {meets}"])
        article = "an" if noun.strip("“")[0] in "aeiou" else "a"
        return pick([f"the {noun} of {name} {meets}", f"{name} has {article} {noun} that {meets}"])

    def _whose(self, clue: Clue) -> str:
        assert isinstance(clue.object, Condition)
        noun, is_one_of = phrases.noun_of(self._relation(clue), is_number=phrases.is_number(clue.object))
        pick = self._picker(clue)
        if counted := phrases.counted(noun, clue.object, pick):
            return pick([f"that has {counted}", f"whose {noun} {phrases.meets(clue.object, pick)}"])
        meets = phrases.meets(clue.object, pick)
        return f"one of whose {noun} {meets}" if is_one_of else f"whose {noun} {meets}"

    def _closing(self, it: str, *, is_long: bool = False) -> tuple[int, str]:
        """What is asked of a page: which phrase, and the sentence."""
        noun = ""
        asked: Sequence[str] = ASKED_TITLE
        if self.asked is not None:
            noun, _ = phrases.noun_of(self.asked, is_number=self.asks_number)
            asked = ASKED_NUMBER if noun.startswith("number of") else ASKED
        options = [place for place, phrase in enumerate(asked) if not is_long or phrase[:-1].endswith("{it}")]
        closing = self.draw.pick(options, "closing")
        told = asked[closing].format(noun=noun, it=it)
        are_many = phrases.is_plural(noun) if noun and not noun.startswith("number of") else False
        return closing, told.replace("What is", "What are", 1) if are_many else told

    def _relation(self, clue: Clue) -> Relation:
        return Relation(clue.relation, self.world.is_many(clue.relation))

    def _picker(self, clue: Clue) -> phrases.Pick:
        return lambda options: self.draw.pick(options, f"{clue.subject} {clue.relation} {clue.object}")


def _is_chain(query: Query) -> bool:
    """Whether the query is a path that begins at its target."""
    ends = [end for clue in query.clues if isinstance(clue.object, int) for end in (clue.subject, clue.object)]
    degrees = [ends.count(variable) for variable in range(query.num_variables)]
    return len(ends) == 2 * (query.num_variables - 1) and max(degrees) <= 2 and degrees[query.target] == 1


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
