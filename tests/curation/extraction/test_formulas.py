"""Formulas as renderers and encyclopaedias write them, each as LaTeX, once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.extraction.engines import parse
from curation.extraction.formulas import delimit, keep_formulas, keep_math_scripts
from curation.extraction.kept import Kept

MATHML = (
    "<math><semantics><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow>"
    "<annotation encoding='application/x-tex'>x^{2}</annotation></semantics></math>"
)
BARE = "<math><msup><mi>x</mi><mn>2</mn></msup></math>"
WORDED = BARE.replace("<math>", "<math alttext='x^{2}'>")
DISPLAYED = MATHML.replace("<math>", "<math display='block'>")
DRAWN = "<span aria-hidden='true' class='katex-html'><span class='base'>x2</span></span>"
WIKI = (
    "<span class='mwe-math-element'><span class='mwe-math-mathml-inline mwe-math-mathml-a11y' style='display: none;'>"
    "<math alttext='{\\displaystyle x^{2}}'><mi>y</mi></math></span>"
    "<img src='https://example.org/media/math/render/svg/0a' class='mwe-math-fallback-image-inline' alt='{\\displaystyle x^{2}}'></span>"
)


def rewritten(body: str) -> str:
    """The text of a page's body with its formulas in place."""
    tree, kept = parse(f"<html><head></head><body><div>{body}</div></body></html>"), Kept()
    keep_math_scripts(tree, kept)
    keep_formulas(tree, kept)
    return kept.restore(tree.text_content())[0]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (f"a {MATHML} b", r"a \(x^{2}\) b"),
        (f"a {BARE} b", r"a \(x^2\) b"),
        (f"a {WORDED} b", r"a \(x^{2}\) b"),
        (f"a{DISPLAYED}b", "a\n\\[x^{2}\\]\nb"),
        (f"a <span class='katex'><span class='katex-mathml'>{MATHML}</span>{DRAWN}</span> b", r"a \(x^{2}\) b"),
        (
            f"a<span class='katex-display'><span class='katex'><span class='katex-mathml'>{MATHML}</span>{DRAWN}</span></span>b",
            "a\n\\[x^{2}\\]\nb",
        ),
        (
            f"a <mjx-container><mjx-math>x2</mjx-math><mjx-assistive-mml>{BARE}</mjx-assistive-mml></mjx-container> b",
            r"a \(x^2\) b",
        ),
        (
            f"a<mjx-container display='true'><mjx-math>x2</mjx-math><mjx-assistive-mml>{BARE}</mjx-assistive-mml></mjx-container>b",
            "a\n\\[x^2\\]\nb",
        ),
        (f"a {WIKI} b", r"a \(x^{2}\) b"),
        ("a <script type='math/tex'>x<y</script> b", r"a \(x<y\) b"),
        (
            "a <span class='MathJax_Preview'>[m]</span><span class='MathJax'><i>x2</i></span><script type='math/tex'>x^2</script> b",
            r"a \(x^2\) b",
        ),
        ("a<script type='math/tex; mode=display'>x^2</script>b", "a\n\\[x^2\\]\nb"),
        (r"a <span class='math notranslate'>\(x &lt; 2\)</span> b", r"a \(x < 2\) b"),
        (r"a <span class='math inline'>\alpha</span> b", r"a \(\alpha\) b"),
        (r"a<div class='math'><span class='eqno'>(1)<a href='#'>¶</a></span>\[x^2\]</div>b", "a\n\\[x^2\\]\nb"),
        (r"a <span class='ztext-math' data-tex='\frac12'>drawn</span> b", r"a \(\frac12\) b"),
        (r"a <img class='latex' src='https://s0.example.com/latex.php?latex=x&bg=ffffff' alt='x^2'> b", r"a \(x\) b"),
        (r"a <img src='https://latex.codecogs.com/gif.latex?\dpi{120}%20\alpha+1'> b", r"a \(\alpha+1\) b"),
        (r"a <img src='https://example.com/equation?tex=x%5E2' alt=''> b", r"a \(x^2\) b"),
        (r"a <img src='img1.png' alt='$x_{1}$'> b", r"a \(x_{1}\) b"),
        (r"a<img src='img1.png' alt='\[x_{1}\]'>b", "a\n\\[x_{1}\\]\nb"),
        (r"a<p>b</p> $$x^2$$ c<p>d</p>\[ y \] e", "ab\n\\[x^2\\]\ncd\n\\[y\\]\ne"),
        (r"a<p>b</p>\begin{align} x &amp;= y \end{align} e", "ab\n\\begin{align} x &= y \\end{align}\ne"),
    ],
)
def test_forms(body: str, wanted: str) -> None:
    lines = [line.strip() for line in rewritten(body).split("\n")]
    assert "\n".join(lines) == wanted


@pytest.mark.parametrize(
    "body",
    [
        "a <img src='photo.jpg' alt='A photo'> b",
        "a <img src='menu.png' alt='$'> b",
        "a <img src='https://example.com/latex.css'> b",
        "a <img src='http://[broken/latex.php?latex=' alt=''> b",
        "a <span class='math'></span> b",
        "a <span class='math'>a course of <b>mathematics</b></span> b",
        "a <span class='math'>a long sentence about x^2 in a course</span> b",
        "a <math></math> b",
        "Menus: $$ - $$$, open now",
        r"a \[ that never ends",
        "a <script type='math/mml'><math></math></script> b",
    ],
)
def test_what_is_no_formula_becomes_none(body: str) -> None:
    assert "\\(" not in rewritten(body)
    assert "\\]" not in rewritten(body)


def test_a_display_inside_a_sentence_keeps_the_sentence() -> None:
    page = f"<p>where {DISPLAYED} holds</p>"
    assert rewritten(page) == "where\n\\[x^{2}\\]\nholds"


def test_two_formulas_in_one_renderer_are_two() -> None:
    assert rewritten(f"{WIKI} and {WIKI}") == r"\(x^{2}\) and \(x^{2}\)"


@pytest.mark.parametrize(
    ("latex", "display", "wanted"),
    [
        ("x", False, (r"\(x\)", False)),
        (" $x$ ", False, (r"\(x\)", False)),
        ("$$x$$", False, (r"\[x\]", True)),
        (r"{\displaystyle {\frac {1}{2}}}", False, (r"\({\frac {1}{2}}\)", False)),
        (r"{\displaystyle a}+{b}", False, (r"\({\displaystyle a}+{b}\)", False)),
        (r"\begin{align*}x\end{align*}", False, (r"\begin{align*}x\end{align*}", True)),
        (r"\[\begin{align}x\end{align}\]", True, (r"\[\begin{align}x\end{align}\]", True)),
        (r"\(a\) and \(b\)", False, (r"\(\(a\) and \(b\)\)", False)),
        (" ", True, ("", False)),
        ("$$$$", True, ("", False)),
        ("x" * 20_001, False, ("", False)),
    ],
)
def test_delimiters(latex: str, display: bool, wanted: tuple[str, bool]) -> None:
    assert delimit(latex, display=display) == wanted


@given(st.text(alphabet="\\[]()$ab{} \n", max_size=60))
def test_text_around_displays_is_never_lost(text: str) -> None:
    letters = [character for character in rewritten(f"<p>x</p>{text}") if character.isalpha()]
    assert letters == ["x", *(character for character in text if character.isalpha())]
