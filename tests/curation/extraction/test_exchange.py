"""What is sent comes back as it was, and what is cut off or too long is noticed."""

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.extraction.exchange import EMPTY, Link, Page, Settings

TEXT = st.text(st.characters(codec="utf-8"))


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair()
    link = Link(ours)
    yield link, theirs
    link.close()
    theirs.close()


@given(TEXT, st.dictionaries(TEXT, TEXT | st.integers(), min_size=1) | st.none(), st.sampled_from([None, EMPTY]))
def test_pages_come_back(text: str, facts: dict[str, object] | None, reason: str | None) -> None:
    page = Page(text, facts, reason)
    assert Page.unpack(page.pack()) == page


def test_settings_come_back() -> None:
    settings = Settings("fast", True, False, 7, 0.5, 3)
    assert Settings.unpack(settings.pack()) == settings


def test_what_is_no_page_is_a_value_error() -> None:
    for packed in (b"", b"a\0b", b"\0{\0", b"\0\0\xff"):
        with pytest.raises(ValueError, match=r".+"):
            Page.unpack(packed)
    with pytest.raises(UnicodeEncodeError):
        Page("\ud800").pack()
    with pytest.raises(UnicodeEncodeError):
        Page("", {"title": "\ud800"}).pack()


def test_messages_of_any_length(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    other = Link(theirs)
    for message in (b"", b"x", b"y" * 100_000):
        link.send(message)
        assert other.receive() == message


@pytest.mark.parametrize("sent", [b"", b"\x05", struct.pack("<Q", 5), struct.pack("<Q", 5) + b"four"])
def test_a_message_that_is_cut_off(ends: tuple[Link, socket.socket], sent: bytes) -> None:
    link, theirs = ends
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        link.receive()


def test_a_message_that_is_too_long(ends: tuple[Link, socket.socket]) -> None:
    link, theirs = ends
    theirs.sendall(struct.pack("<Q", 6))
    with pytest.raises(ValueError, match="a message of 6 bytes, 5 are allowed"):
        link.receive(5)
