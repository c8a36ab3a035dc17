"""What a scripted searcher thinks, in words: sentences for what it has seen and what it does next, each in several wordings.

A wording is drawn by (seed, task, what is said, how many things were said before), so that no two trajectories follow one script, and a
trajectory can be made again.
"""

from typing import Any

from synth.evidence import keyed

WORDINGS: dict[str, tuple[str, ...]] = {
    "plan": (
        "The question leaves {pages} unnamed. {Anchor} has the clues that a search can use: {clues}.",
        "I have to find {pages} here. What can be searched for is said of {anchor}: {clues}.",
        "{pages} to identify, none by name. I begin with {anchor}, of which the question says: {clues}.",
        "Where to start? {Anchor} is described best ({clues}), and the rest should follow from there; {pages} in all.",
        "First find {anchor}: {clues}. After that I can work my way through the {pages} of the question.",
        "No page is named, so words have to do. For {anchor} they are: {clues}.",
    ),
    "search": (
        "I search for “{query}”.",
        "Let me search with the words “{query}”.",
        "Try “{query}”.",
        "A search for “{query}” should bring it up.",
        "So: “{query}”.",
    ),
    "search_again": (
        "That did not lead to it. I try other words: “{query}”.",
        "Not there yet. Another query, “{query}”.",
        "Then with different words, “{query}”.",
        "The results so far do not have it; “{query}” may.",
        "One more attempt with “{query}”.",
    ),
    "search_on": (
        "Some of these come near. I look at more results, from number {start} on.",
        "Close, but none of them. The next results for the same words, then.",
        "More results of that search may help: from {start} on.",
        "The same search again, further down.",
    ),
    "search_referring": (
        "What I need now should mention {page}. I search for “{query}”.",
        "Which page refers to {page}? Search: “{query}”.",
        "The link goes the other way, to {page}, so I look for pages that speak of it: “{query}”.",
        "I look for pages about {page} that could be {wanted}: “{query}”.",
    ),
    "results": (
        "{results}, with {page} on top.",
        "{results}; at the top there is {page}.",
        "The search gives {results} and puts {page} first.",
        "There is {page} first, and {results} in all.",
        "I get {results}; {page} comes first.",
    ),
    "nothing": (
        "Nothing was found.",
        "No result.",
        "The search came back empty.",
    ),
    "open_hit": (
        "I open {page}.",
        "Let me read {page}.",
        "{page} is worth a look.",
        "{page} could be it; I check.",
        "Does {page} fit? I read it.",
        "Next candidate: {page}.",
    ),
    "open_found": (
        "Now the page itself, {page}.",
        "I open {page} to go on from there.",
        "What else does {page} say?",
        "From here on I need the page of {page}.",
        "So I read {page}.",
    ),
    "open_link": (
        "I follow the link to {page}.",
        "{page} is linked there under “{relation}”. I open it.",
        "For “{relation}” there is {page}; let me check that page.",
        "Next comes {page}, by the link “{relation}”.",
        "The link “{relation}” leads to {page}. I read it.",
    ),
    "narrow": (
        "{origin} has {count} links under “{relation}”. Before I open them all I search for what the right one must have: “{query}”.",
        "{count} pages are linked under “{relation}”, too many to read them all. A search with “{query}” may tell which to read first.",
        "Among the {count} pages behind “{relation}” I prefer those that a search for “{query}” finds.",
    ),
    "narrowed": (
        "{both} of the results are among the linked pages.",
        "{both} of them are linked from there as well.",
        "Linked and found at once: {both}.",
    ),
    "find": (
        "I look for {patterns} in {page}.",
        "Does {page} say anything on {patterns}? I use find.",
        "To save reading, I search {page} itself for {patterns}.",
        "The part that matters here is {patterns}; find it in {page}.",
    ),
    "open_there": (
        "Line {line} is where to read in {page}.",
        "I open {page} at line {line}.",
        "That is around line {line}; let me read it.",
        "Read {page} from line {line}.",
    ),
    "read_on": (
        "I read on in {page}, from line {line}.",
        "{page} goes on; lines from {line}.",
        "What I need is not among the lines so far. On to line {line} of {page}.",
        "More of {page}, beginning with line {line}.",
    ),
    "fits": (
        "{page} fits: {reasons}.",
        "{page} agrees with the question: {reasons}.",
        "Good: {reasons}. So {page} can be {wanted}.",
        "{reasons}: {page} is a match for {wanted}.",
        "All that is asked of {wanted} holds for {page}: {reasons}.",
    ),
    "only_linked": (
        "{page} is linked as it should be, and nothing else is asked of it.",
        "Nothing but the link is known of this page, so {page} will do for now.",
        "{page} is the one that is linked; I take it.",
    ),
    "differs": (
        "{page} is out: {reason}.",
        "Not {page}: {reason}.",
        "{page} does not fit: {reason}.",
        "That rules out {page}: {reason}.",
        "It is not {page}: {reason}.",
    ),
    "differ": (
        "These are out: {pages}.",
        "{count} of them do not fit: {pages}.",
        "I can rule out {pages}.",
        "By what I have seen, none of these fits: {pages}.",
    ),
    "differ_alike": (
        "These are out, {reason}: {pages}.",
        "None of these fits, {reason}: {pages}.",
        "I can rule out {pages}: {reason}.",
    ),
    "dead_end": (
        "From {page} it does not go on. I take back that it is {wanted}.",
        "{page} was a dead end, though it fitted so far.",
        "Nothing that follows from {page} fits, so {page} was the wrong choice for {wanted}.",
        "I have to step back: with {page} as {wanted} the rest cannot be satisfied.",
    ),
    "check": (
        "Before I answer, I look at the place itself in {page}.",
        "One last check in {page}.",
        "I make sure of it with find in {page}.",
        "Let me confirm that in {page}.",
    ),
    "answer_value": (
        "The {asked} of {page} is “{answer}”.",
        "{page} gives “{answer}” as its {asked}. That is the answer.",
        "It says {asked}: “{answer}”. Done.",
        "For {page} the {asked} is “{answer}”, which answers the question.",
    ),
    "answer_title": (
        "All clues are met by {page}. That is the answer.",
        "So the page in question is {page}.",
        "Every condition holds for {page}, which answers the question.",
        "{page} it is.",
    ),
}


class Voice:
    """Draws wordings for one task."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed, self._name = seed, name
        self._said = 0

    def __call__(self, what: str, **values: Any) -> str:
        self._said += 1
        wordings = WORDINGS[what]
        wording = wordings[self.draw(what, len(wordings))]
        said = wording.format_map(values)
        return said if wording.startswith("{page}") else said[0].upper() + said[1:]

    def draw(self, what: str, count: int) -> int:
        """A number below `count`."""
        return keyed(self._seed, self._name, "say", what, self._said) % count
