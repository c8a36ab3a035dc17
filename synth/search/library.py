"""What a world's pages state, by where it stands, and their texts to search in: for all that goes by what was shown."""

from collections import defaultdict
from collections.abc import Sequence

from synth.evidence import fold
from synth.search.mine import DESCRIPTION, LINKS_TO, mine
from synth.search.task import TITLE, Condition, Fact
from synth.search.world import World

MAX_PLAIN = 4_096  # texts kept in small letters
SAID = frozenset(
    {"equals", "mentions", "under", "year"}
)  # conditions whose arguments stand on the page that meets them

UNLABELLED = frozenset({DESCRIPTION, LINKS_TO, TITLE})  # relations whose names stand nowhere on a page


class Library:
    def __init__(self, world: World) -> None:
        self.world = world
        self.pages = world.pages
        self._given: dict[str, list[Fact]] = defaultdict(list)
        self._links: dict[str, set[str]] = defaultdict(set)
        for fact in world.facts:
            self._given[fact.span.page].append(fact)
            if fact.is_page:
                self._links[fact.subject].add(fact.object)
        self._stated: dict[str, list[Fact]] = {}
        self._plain: dict[str, str] = {}

    def stated(self, page: str) -> Sequence[Fact]:
        """Facts that stand on a page, whatever page they are about, in the order of the text.

        The world keeps one place of a fact that several pages state, so the page is mined again, once.
        """
        if page not in self._stated:
            found = {*self._given.get(page, ()), *mine(self.pages[page], self.world.find)}
            self._stated[page] = sorted(found, key=lambda fact: (fact.span, fact))
        return self._stated[page]

    def has_link(self, page: str, other: str) -> bool:
        """Whether a page has any relation to another."""
        return other in self._links.get(page, ())

    def plain(self, page: str) -> str:
        """Title and text of a page to search in: one line, small letters."""
        if page not in self._plain:
            if len(self._plain) >= MAX_PLAIN:
                self._plain.clear()
            self._plain[page] = fold(f"{self.pages[page].title}\n{self.pages[page].text}").casefold()
        return self._plain[page]


def contains(plain: str, words: str) -> bool:
    """Whether `plain` (of `Library.plain`) has `words` one after the other, none of them cut."""
    wanted = fold(words).casefold()
    at = plain.find(wanted)
    while wanted and at >= 0:
        before, after = plain[at - 1 : at], plain[at + len(wanted) : at + len(wanted) + 1]
        if not (before.isalnum() and wanted[0].isalnum()) and not (after.isalnum() and wanted[-1].isalnum()):
            return True
        at = plain.find(wanted, at + 1)
    return False


def query_words(relation: str, condition: Condition) -> str:
    """What to search for, to find pages with a value of `relation` that meets a condition."""
    said = condition.args if condition.how in SAID else ()
    return " ".join(said if relation in UNLABELLED else (relation, *said))
