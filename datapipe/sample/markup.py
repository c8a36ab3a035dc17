"""Markdown and reStructuredText to HTML fragments, as a documentation site shows them.

reStructuredText goes through docutils with file insertion and raw HTML off and its complaints muted. Sphinx's roles and
directives are rewritten to plain ones first, textually: registering them would change docutils for the whole process.
Formulas stay LaTeX between \\( \\) and \\[ \\]. docutils renders about 0.2 MB of source per second and core.
"""

import re

ROLE = re.compile(r":(?!math:)[a-zA-Z][\w:+.-]*:`([^`]+)`")
VERSION_NOTE = re.compile(r"^([ \t]*)\.\. (versionadded|versionchanged|deprecated)::[ \t]*(.*)$", re.MULTILINE)
VERSION_WORDS = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
}
BOX = re.compile(r"^([ \t]*)\.\. (seealso|rubric)::[ \t]*(.*)$", re.MULTILINE)
# docutils writes displayed formulas as environments; sites built with Sphinx have them between \\[ and \\].
EQUATION = re.compile(r"\\begin\{equation\*\}\n(.*?)\n\\end\{equation\*\}", re.DOTALL)
ALIGNED = re.compile(r"\\begin\{align\*\}\n(.*?)\n\\end\{align\*\}", re.DOTALL)
SETTINGS = {
    "_disable_config": True,
    "doctitle_xform": False,
    "file_insertion_enabled": False,
    "halt_level": 5,
    "initial_header_level": 2,
    "math_output": "MathJax",
    "raw_enabled": False,
    "report_level": 5,
    "smart_quotes": False,
    "syntax_highlight": "none",
    "warning_stream": "",
}


def rst_to_html(text: str, *, default_role: str | None = None) -> str:
    """The HTML fragment of a reStructuredText source; `default_role="math"` reads `x` as a formula."""
    import docutils.core
    import docutils.writers.html5_polyglot

    source = VERSION_NOTE.sub(_version_note, ROLE.sub(_literal, text))
    source = BOX.sub(_box, source)
    if default_role:
        source = f".. default-role:: {default_role}\n\n{source}"
    parts = docutils.core.publish_parts(
        source, writer=docutils.writers.html5_polyglot.Writer(), settings_overrides=SETTINGS
    )
    return ALIGNED.sub(_aligned, EQUATION.sub(r"\\[\1\\]", str(parts["body"])))


def markdown_to_html(text: str) -> str:
    """The HTML fragment of a Markdown source; HTML inside it is kept, as package indexes do."""
    import markdown_it

    return str(markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def _aligned(match: re.Match[str]) -> str:
    return f"\\[\\begin{{aligned}}{match[1]}\\end{{aligned}}\\]"


def _literal(match: re.Match[str]) -> str:
    """:class:`~package.Name` as ``Name``, :ref:`title <label>` as ``title``."""
    target = match[1]
    if target.startswith("~"):
        target = target.rpartition(".")[2].lstrip("~")
    return f"``{target.partition(' <')[0].strip() or target}``"


def _version_note(match: re.Match[str]) -> str:
    return f"{match[1]}*{VERSION_WORDS[match[2]]} {match[3].strip()}*"


def _box(match: re.Match[str]) -> str:
    indent, name, argument = match.groups()
    if argument:
        return f"{indent}**{'See also: ' if name == 'seealso' else ''}{argument}**"
    return f"{indent}.. admonition:: See also" if name == "seealso" else ""
