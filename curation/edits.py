"""Replacing ranges of a text, with what points into it moved along: `loss_spans` count characters, so an edit before them shifts them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Edit(NamedTuple):
    """The characters [start, end) become `text`."""

    start: int
    end: int
    text: str


def replaced(text: str, edits: Sequence[Edit]) -> str:
    """`text` after the edits, which are in order and do not overlap."""
    pieces, place = [], 0
    for edit in edits:
        pieces += [text[place : edit.start], edit.text]
        place = edit.end
    return "".join([*pieces, text[place:]])


def moved(spans: Iterable[Mapping[str, Any]], edits: Sequence[Edit]) -> list[dict[str, int]]:
    """The spans (start, length) of the text before the edits in the text after them; one of which nothing is left goes.

    A border inside an edited range moves outwards to the border of what stands there now.
    """
    found = []
    for span in spans:
        start = _moved_place(span["start"], edits, to_end=False)
        end = _moved_place(span["start"] + span["length"], edits, to_end=True)
        if end > start:
            found.append({"start": start, "length": end - start})
    return found


def _moved_place(place: int, edits: Sequence[Edit], *, to_end: bool) -> int:
    shift = 0
    for edit in edits:
        if place >= edit.end:
            shift += len(edit.text) - (edit.end - edit.start)
        elif place > edit.start:
            return edit.start + shift + (len(edit.text) if to_end else 0)
        else:
            break
    return place + shift
