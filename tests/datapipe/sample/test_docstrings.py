from datapipe.sample.docstrings import docstrings

SOURCE = '''
"""What this module is for, told in more than forty characters."""

def solve(a, *, tol=1e-9):
    """Solve the equation to a tolerance.

    The tolerance is relative.
    """

class Thing:
    def method(self, x: int = 3):
        "A method whose docstring is long enough to count as one."

    def short(self):
        "too short"

gamma = r"""
Evaluates the gamma function.

It satisfies `x \\Gamma(x) = \\Gamma(x+1)`.
"""

add_newdoc("numpy.core", "arange", """
    arange(stop)

    Return evenly spaced values within an interval.
    """)
add_docstr(torch.abs, r"""
    Computes :math:`\\text{{out}} = |x|` of each element.

    Args:
        {input}
    """.format(**common))
other(1, "not documentation, though it is a string of some length in a call")
'''


def test_documentation_is_found_where_numeric_libraries_keep_it() -> None:
    found = {doc.name: doc for doc in docstrings(SOURCE)}
    assert list(found) == ["", "solve", "Thing.method", "gamma", "arange", "abs"]
    assert found["solve"].signature == "(a, *, tol=1e-09)"
    assert found["solve"].text == "Solve the equation to a tolerance.\n\nThe tolerance is relative."
    assert found["gamma"].text.startswith("Evaluates the gamma function.")
    assert found["arange"].text.startswith("arange(stop)\n\nReturn evenly")
    assert "\\text{out}" in found["abs"].text
    assert "{input}" not in found["abs"].text


def test_a_file_that_is_not_python_has_none() -> None:
    assert docstrings("print 'old'") == []
    assert docstrings("\0") == []
