"""The text of a repository document: a line with the repository's name, then each file under a line with its path.

Both lines are comments in the language of the file that they stand above, as in DeepSeek-Coder (Guo et al. 2024, section 2.2): a model that
completes code meets them in code it knows, and no token has to be added to a tokenizer. The form `path:` says what the line is, so
that it can be told from a comment of the file. White space at a file's end becomes one line break; nothing else of it changes, also
not a shebang or an XML declaration, which then stands on its second line. Nothing in the text is a special token.
"""

from datapipe.readers.languages import LANGUAGES

COMMENTS = {language.name: language.comment for language in LANGUAGES}
_HASH = ("# ", "")


def heading(repository: str, lang: str | None) -> str:
    return _comment(lang, f"repository: {repository}")


def header(path: str, lang: str | None) -> str:
    return _comment(lang, f"path: {path}")


def _comment(lang: str | None, said: str) -> str:
    before, after = COMMENTS.get(lang or "", _HASH)
    return f"{before}{' '.join(said.splitlines())}{after}\n"


def with_header(path: str, lang: str | None, text: str) -> str:
    return f"{header(path, lang)}{text.rstrip()}\n"


def overhead(path: str, lang: str | None) -> int:
    """Characters that a file takes beside its text."""
    return len(header(path, lang)) + 2  # a line break at its end, and one before the next file
