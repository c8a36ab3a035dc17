"""What stays of a message when mail programs, issue templates and logs are taken away.

Everything here looks at one message and changes its prose only: code in fences or backticks stays (but for white space at line
ends). The rule about lines is StarCoder 2's (Lozhkov et al. 2024, section 2.2: comments over 100 lines are cut in the middle and keep
their last 20); what mail adds is taken away as there and in StarCoder (Li et al. 2023, appendix A), by patterns of our own.
"""

import re
from collections.abc import Callable

from synth.threads.markdown import first_in_prose, in_prose

MAX_QUOTED_LINES = 12  # of what somebody answers to: more is the whole mail
_HTML_COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
_WROTE = "wrote|schrieb|écrit|escribió|scritto|schreef"
_MAIL_HEADER = re.compile(
    rf"^(?:On|Am|Le|El|Il|Op)\b[^\n]{{1,200}}(?:\n[^\n]{{0,200}})?\b(?:{_WROTE})\b[^\n:]{{0,80}}:[ \t]*(?:\n\n?>[^\n]*)+",
    re.MULTILINE,
)
_FOOTER = "Reply to this email directly|You are receiving this because"
_MAIL_END = re.compile(
    rf"^(?:-+ ?Original Message ?-+|From: [^\n]+\n(?:Sent|Date|To): |>? ?(?:(?:—|--) ?\n>? ?)?(?:{_FOOTER}))",
    re.MULTILINE,
)
_MAIL_SIGNS = ("Original Message", "From: ", *_FOOTER.split("|"))
_SIGNATURE = re.compile(r"\n-- ?(?:\n(?! {0,3}```)[^\n]*){0,8}\Z")
_SENT_FROM = re.compile(
    r"^(?:Sent|Gesendet|Envoyé) (?:from|via|von|de) (?:my|mein\w*|mon)? ?[^\n]{0,60}$", re.MULTILINE | re.IGNORECASE
)
_NO_RESPONSE = re.compile(r"^_No response_$", re.MULTILINE)
_HEADING = re.compile(r"^(#{1,6})[ \t]+\S[^\n]*$|^(\*\*)[^*\n]+\*\*:?[ \t]*$")
_QUOTES = re.compile(rf"(?:^>[^\n]*(?:\n|\Z)){{{MAX_QUOTED_LINES + 1},}}", re.MULTILINE)
_TRAILER = re.compile(
    r"^(?:[A-Z][a-z]+(?:-[A-Za-z]+)*-by|Cc|Change-Id|git-svn-id|Differential Revision): ?[^\n]*$",
    re.MULTILINE,
)
_SIGNED = re.compile(r"^[A-Z][a-z]+(?:-[A-Za-z]+)*-by: ?[^\n<>]*<[^\n<>]+>[ \t]*(?:\n|\Z)", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


def message(text: str) -> str:
    """A body or comment, cleaned."""
    text = in_prose(text.replace("\r\n", "\n").replace("\r", "\n"), _without_markup)
    if any(sign in text for sign in _MAIL_SIGNS):
        text = text[: first_in_prose(text, _MAIL_END)]
    return tidy(_without_empty_sections(_SIGNATURE.sub("", text)))


def commit(text: str) -> str:
    """The message of a commit without its trailers: they hold names and addresses."""
    return tidy(_TRAILER.sub("", text.replace("\r\n", "\n")))


def tidy(text: str) -> str:
    """Without white space at line ends and around, and with at most one blank line at a time."""
    return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip("\n")


def cut(text: str, *, max_lines: int, last_lines: int, max_chars: int, max_word_chars: int) -> str:
    """`text` without its middle where it is too long, and with long words (data in a line) shortened; a mark says what is missing."""
    lines = text.split("\n")
    if len(lines) > max_lines:
        num_missing = len(lines) - max_lines
        lines = [
            *lines[: max_lines - last_lines],
            f"[{num_missing} lines not shown]",
            *lines[len(lines) - last_lines :],
        ]
    text = "\n".join(lines)
    if len(text) > max_word_chars:
        text = re.sub(rf"(?<!\S)(\S{{{max_word_chars}}})(\S+)", _shortened, text)
    if len(text) <= max_chars:
        return text
    last = max_chars // 5
    return f"{text[: max_chars - last]}\n[{len(text) - max_chars} characters not shown]\n{text[len(text) - last :]}"


def _shortened(word: re.Match[str]) -> str:
    return f"{word[1]} [{len(word[2])} characters not shown]"


def _without_markup(passage: str) -> str:
    """Without comments that a template puts there and without what a mail program adds; long quotations keep their beginning."""
    for signs, pattern, instead in _TAKEN_AWAY:
        if any(sign in passage for sign in signs):  # looking for a word is cheaper
            passage = pattern.sub(instead, passage)
    return passage


def _quote_beginning(match: re.Match[str]) -> str:
    lines = match[0].rstrip("\n").split("\n")
    return "\n".join([*lines[:MAX_QUOTED_LINES], f"> [{len(lines) - MAX_QUOTED_LINES} lines not shown]", ""])


def _without_empty_sections(text: str) -> str:
    """Without headings that nothing stands under: questions of a template that nobody answered."""
    kept: list[str] = []
    waiting: list[tuple[int, int]] = []  # (index in `kept`, level)
    is_code = False
    for line in text.split("\n"):
        is_code ^= line.lstrip().startswith(("```", "~~~"))
        heading = None if is_code else _HEADING.match(line)
        if heading:
            level = len(heading[1]) if heading[1] else 7  # bold type counts as the lowest heading
            while waiting and waiting[-1][1] >= level:
                del kept[waiting.pop()[0] :]
            waiting.append((len(kept), level))
        elif line.strip():
            waiting.clear()
        kept.append(line)
    return "\n".join(kept[: waiting[0][0]] if waiting else kept)


_TAKEN_AWAY: tuple[tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (("\n\n", "\n "), _BLANK_LINES, "\n\n"),
    (("<!--",), _HTML_COMMENT, ""),
    (tuple(_WROTE.split("|")), _MAIL_HEADER, ""),
    (("Sent", "Gesendet", "Envoyé"), _SENT_FROM, ""),
    (("_No response_",), _NO_RESPONSE, ""),
    (("-by: ",), _SIGNED, ""),  # a commit's message as a description
    ((">",), _QUOTES, _quote_beginning),
)
