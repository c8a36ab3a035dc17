"""The values of a file of JSON one after the other, however they lie on its lines; of arrays their elements, each by itself.

So a dump of any size that is one array, pages of an API one after the other and what a printer has spread over lines are read within the
memory of the largest element. A value that is none costs itself and what follows, up to a line on which another begins and that is
indented no further. What compression cuts or breaks ends the file: MemberError, once all before it is told. Not covered: elements of
arrays that lie deeper, so an object that holds a whole dump is one value; reading from the middle of a file, as JSON Lines can be.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from datapipe.readers.compression import MemberError

PIECE_BYTES = 1 << 16  # an error of the decoder counts the lines before it, so that it costs as much as is held
_CUT_CHARS = 16  # of a number, a word or an escape that a buffer's end cuts
_DEEP_CHARS = 100  # that begin what is nested too deep for Python: else each of its lines would be tried anew
_BETWEEN = re.compile(r"[ \t\r\n\ufeff]*")
_IN_ARRAY = re.compile(r"[ \t\r\n,]*")
_NEXT = re.compile(r"\n(?P<indent>[ \t]*)[{\[]")


class Value(NamedTuple):
    """A value, or why there is none, and where it lies: bytes of the decompressed file."""

    value: Any
    reason: str | None
    offset: int
    length: int


def spans_lines(head: bytes) -> bool:
    """Whether a file that begins so is no JSON Lines: an array, or an object that goes on in the next line."""
    return re.match(rb"(?:\xef\xbb\xbf)?\s*(?:\[|\{[ \t\r]*\n)", head) is not None


def values(stream: Any, max_bytes: int) -> Iterator[Value]:
    """Reasons: `invalid` (also what the end of the file cuts), `not_utf8`, `too_long` (over `max_bytes`)."""
    buffer, in_array = _Buffer(stream), False
    while True:
        buffer.skip(_IN_ARRAY if in_array else _BETWEEN)
        sign = buffer.next
        if sign == ("]" if in_array else "["):
            in_array = not in_array
            buffer.take(1)
        elif sign:
            found = buffer.value(max_bytes)
            follows = buffer.next
            if found.reason is None or follows or not buffer.failure:  # else it is what the failure cuts
                yield found
            if found.reason and follows == "[":  # behind what is broken another page begins
                in_array = False
        elif buffer.failure:
            raise buffer.failure
        else:
            return


class _Buffer:
    """What is read of a stream and not taken yet."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._start, self._offset, self._is_end = "", 0, 0, False
        self._indent: int | None = 0  # of what comes next; None where something stands before it on its line
        self.failure: MemberError | None = None

    @property
    def next(self) -> str:
        """The next character, none at the end."""
        while self._start == len(self._text) and not self._is_end:
            self._read(PIECE_BYTES)
        return self._text[self._start : self._start + 1]

    def skip(self, signs: re.Pattern[str]) -> None:
        while self.next and (found := signs.match(self._text, self._start)):
            self.take(found.end() - self._start)
            if self._start < len(self._text):
                return

    def take(self, num_chars: int) -> tuple[int, int]:
        """(offset, length) in bytes of what is taken."""
        taken = self._text[self._start : self._start + num_chars]
        _, is_new_line, last = taken.rpartition("\n")
        before = 0 if is_new_line else self._indent
        self._indent = None if before is None or last.strip() else before + len(last)
        offset, length = self._offset, len(taken.encode("utf-8", "surrogateescape"))
        self._start, self._offset = self._start + len(taken), offset + length
        return offset, length

    def value(self, max_bytes: int) -> Value:
        """The next value; of one that is none, what stands there up to the next that may be one."""
        while True:
            held, least, end = len(self._text) - self._start, 1, 0
            try:
                value, end = self._scan(self._text, self._start)
                is_cut = isinstance(value, int | float) and len(self._text) - end < 3  # a fraction or "e+" may follow
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _CUT_CHARS
            except ValueError:  # a number of more digits than Python reads
                is_cut = False
            except RecursionError:
                is_cut, least = False, _DEEP_CHARS
            is_cut = is_cut and not self._is_end
            if is_cut and held <= max_bytes:
                self._read(max(held, PIECE_BYTES))
            elif not end:
                return Value(None, "too_long" if is_cut else "invalid", *self._pass_over(least))
            else:
                written = self._text[self._start : end]
                offset, length = self.take(end - self._start)
                if length > max_bytes:
                    return Value(None, "too_long", offset, length)
                is_utf8 = written.isascii() or not re.search("[\udc80-\udcff]", written)
                return Value(value, None, offset, length) if is_utf8 else Value(None, "not_utf8", offset, length)

    def _pass_over(self, num_chars: int = 1) -> tuple[int, int]:
        """`num_chars`, and on to the next line on which an object or array begins, not further in than this one's."""
        indent = self._indent or 0
        if self._start > PIECE_BYTES:  # the decoder counts lines from the beginning of what is held, for each error
            self._text, self._start = self._text[self._start :], 0
        offset, length = self.take(num_chars)
        while True:
            found = next((one for one in _NEXT.finditer(self._text, self._start) if len(one["indent"]) <= indent), None)
            end = found.end() - 1 if found else len(self._text)
            last = self._text.rfind("\n", self._start)
            if not (found or self._is_end) and len(self._text) - last <= indent + 1 and self._text[last:].isspace():
                end = max(self._start, last)  # the next line may begin here
            length += self.take(end - self._start)[1]
            if found or self._is_end:
                return offset, length
            self._read(PIECE_BYTES)

    def _read(self, num_bytes: int) -> None:
        """More of the stream behind what is left; what was taken goes."""
        pieces = []
        while not self._is_end and num_bytes > 0:
            try:
                piece = self._stream.read1(num_bytes)  # read() would lose what it has where it fails
            except MemberError as error:
                self.failure, piece = error, b""
            pieces.append(piece)
            num_bytes, self._is_end = num_bytes - len(piece), not piece
        self._text = self._text[self._start :] + self._decoder.decode(b"".join(pieces), self._is_end)
        self._start = 0
