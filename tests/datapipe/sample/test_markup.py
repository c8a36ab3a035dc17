from datapipe.sample.markup import markdown_to_html, rst_to_html


def test_formulas_become_mathjax_with_their_latex() -> None:
    html = rst_to_html("The sum :math:`\\sum_i x_i`:\n\n.. math::\n\n   e^{i\\pi} = -1\n")
    assert "\\(\\sum_i x_i\\)" in html
    assert "\\[" in html
    assert "e^{i\\pi} = -1" in html


def test_a_default_role_of_one_source_does_not_reach_the_next() -> None:
    assert "\\(x^2\\)" in rst_to_html("`x^2`", default_role="math")
    assert "\\(" not in rst_to_html("`x^2`")


def test_sphinx_roles_and_directives_read_as_text() -> None:
    html = rst_to_html(
        "See :func:`~scipy.optimize.minimize` or :ref:`the guide <guide>`.\n\n.. versionadded:: 1.2\n\n.. seealso::\n\n   :mod:`json`\n"
    )
    for words in (">minimize<", "the guide", "<em>New in version 1.2</em>", "See also", ">json<"):
        assert words in html


def test_files_and_raw_html_of_the_machine_stay_out_of_rst() -> None:
    html = rst_to_html("before\n\n.. include:: /etc/hostname\n\n.. raw:: html\n\n   <script>evil()</script>\n\nafter")
    assert "<p>before</p>" in html
    assert "<p>after</p>" in html
    assert "evil()" not in html


def test_markdown_with_tables_and_html() -> None:
    assert "<td>1</td>" in markdown_to_html("|a|\n|-|\n|1|\n")
    assert '<p align="center">' in markdown_to_html('<p align="center">badge</p>')
