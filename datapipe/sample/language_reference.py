"""The Python language reference as one long text, put together from the topics that `pydoc` carries.

Topics are sections of the real manual, stored by label without their order; `CHAPTERS` gives it back. Labels that a later Python
adds go to an appendix, labels it drops are passed over. Topics that are a part of another one here are left out.
"""

CHAPTERS = {
    "Lexical analysis": (
        "identifiers", "id-classes", "strings", "numbers", "integers", "floating", "imaginary",
    ),
    "Data model": (
        "objects", "types", "specialnames", "context-managers", "async",
    ),
    "Execution model": ("execmodel", "exceptions"),
    "Expressions": (
        "conversions", "atom-identifiers", "atom-literals", "lists", "dict", "yield", "attribute-references", "subscriptions",
        "slicings", "calls", "await", "power", "unary", "binary", "shifting", "bitwise", "comparisons", "booleans", "lambda",
        "exprlists", "operator-summary",
    ),
    "Simple statements": (
        "assignment", "augassign", "assert", "pass", "del", "return", "raise", "break", "continue", "import", "global", "nonlocal",
    ),
    "Compound statements": ("compound",),
    "Built-in types": (
        "truth", "typesseq", "typesseq-mutable", "string-methods", "typesmapping", "typesmodules", "typesfunctions", "typesmethods",
        "bltin-code-objects", "bltin-type-objects", "bltin-null-object", "bltin-ellipsis-object", "specialattrs",
    ),
    "Formatting of strings": ("formatstrings",),
    "The debugger": ("debugger",),
}  # fmt: skip
# Sections that the chapters above contain as a whole: compound statements, special method names, execution model.
CONTAINED = frozenset(
    (
        "attribute-access", "callable-types", "class", "customization", "dynamic-features", "else", "for", "function", "if", "in",
        "naming", "numeric-types", "sequence-types", "try", "while", "with",
    )
)  # fmt: skip


def reference_sections() -> list[str]:
    """The manual, section by section; [] where the installation comes without the topics."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return []
    known = {label for labels in CHAPTERS.values() for label in labels} | CONTAINED
    chapters = {**CHAPTERS, "Appendix": tuple(sorted(set(topics) - known))}
    sections = []
    for number, (title, labels) in enumerate(chapters.items(), 1):
        present = [topics[label].strip() for label in labels if label in topics]
        if present:
            heading = f"{number}. {title}"
            sections += [f"{heading}\n{'#' * len(heading)}\n\n{present[0]}", *present[1:]]
    return sections
