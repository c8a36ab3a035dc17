"""Every mark-up of formulas, through both engines: a page in, its LaTeX once in the text, nothing of what a renderer drew."""

import pytest

from curation.extraction.extract import html
from datapipe.schema import documents

BARE = "<math><msup><mi>x</mi><mn>2</mn></msup></math>"
TEX = "<math><semantics><mi>drawn</mi><annotation encoding='application/x-tex'>x^2</annotation></semantics></math>"
KATEX = f"<span class='katex'><span class='katex-mathml'>{TEX}</span><span class='katex-html' aria-hidden='true'>drawn</span></span>"
ESCAPED = BARE.replace("<", "&lt;").replace(">", "&gt;")
LATEXML = (
    "<table class='ltx_equation ltx_eqn_table'><tbody><tr class='ltx_equation ltx_eqn_row'><td class='ltx_eqn_cell'></td>"
    "<td class='ltx_eqn_cell'><math alttext='\\displaystyle x^2'><mi>drawn</mi></math></td>"
    "<td class='ltx_eqn_cell'><math alttext='\\displaystyle=y'><mi>drawn</mi></math></td><td>drawn (1)</td></tr></tbody></table>"
)
INLINE = {
    "MathML": BARE,
    "MathML, TeX annotation": TEX,
    "MathML, alternative text": "<math alttext='x^2'><mi>drawn</mi></math>",
    "MathML, prefix": BARE.replace("</", "</m:").replace("<m", "<m:m"),
    "MathML, content": "<math><apply><power/><ci>x</ci><cn>2</cn></apply></math>",
    "MathJax 2": "<span class='MathJax'>drawn</span><script type='math/tex'>x^2</script>",
    "MathJax 2, MathML script": f"<script type='math/mml'>{BARE}</script>",
    "MathJax 2, AsciiMath script": "<script type='math/asciimath'>x^2</script>",
    "MathJax 2, drawn alone": f"<span class='MathJax' data-mathml='{ESCAPED}'><nobr>drawn</nobr></span>",
    "MathJax 3, assistive": f"<mjx-container><mjx-math>drawn</mjx-math><mjx-assistive-mml>{BARE}</mjx-assistive-mml></mjx-container>",
    "written": r"\(x^2\)",
    "written, CKEditor": r"<span class='math-tex'>\(x^2\)</span>",
    "KaTeX": KATEX,
    "Sphinx": r"<span class='math notranslate nohighlight'>\(x^2\)</span>",
    "Pandoc": "<span class='math inline'>x^2</span>",
    "GitLab": "<code class='code math js-render-math' data-math-style='inline'>x^2</code>",
    "jsMath": "<span class='math'>x^2</span>",
    "MathQuill": "<span class='mathquill-embedded-latex'>x^2</span>",
    "Zhihu": "<span class='ztext-math' data-tex='x^2'>drawn</span>",
    "attribute": "<span data-latex='x^2'>drawn</span>",
    "Wikipedia": "<span class='mwe-math-element'><img src='https://example.org/media/math/render/svg/0a' "
    "class='mwe-math-fallback-image-inline' alt='{\\displaystyle x^2}'></span>",
    "Wikipedia, texvc": "<img class='tex' alt='x^2' src='//example.org/math/1/2/3/ab.png'>",
    "WordPress": "<img src='https://s0.example.com/latex.php?latex=x%5E2&amp;bg=ffffff' alt='x^2' class='latex'>",
    "WordPress, no text": "<img src='https://s0.example.com/latex.php?latex=x%5E2&amp;bg=ffffff'>",
    "CodeCogs": r"<img src='https://latex.codecogs.com/gif.latex?\dpi{120}x^2'>",
    "CodeCogs, SVG": "<img src='https://latex.codecogs.com/svg.image?x^2'>",
    "mimeTeX": "<img src='/cgi-bin/mimetex.cgi?x^2'>",
    "Google charts": "<img src='https://chart.example.com/chart?cht=tx&amp;chl=x%5E2'>",
    "mathURL": "<img src='http://mathurl.com/render.cgi?x%5E2'>",
    "texify": "<img src='http://www.texify.com/img/%5Clarge%5C%21x%5E2.gif'>",
    "LaTeX2HTML": "<img width='20' src='img1.png' alt='$ x^2$'>",
    "AoPS": "<img src='//latex.example.com/1/2/3/ab.png' class='latex' alt='$x^2$'>",
}
DISPLAYED = {
    "MathML": BARE.replace("<math>", "<math display='block'>"),
    "MathJax 2": "<script type='math/tex; mode=display'>x^2</script>",
    "KaTeX": f"<span class='katex-display'>{KATEX}</span>",
    "Sphinx": "<div class='math'>\\[x^2\\]</div>",
    "jsMath": "<div class='math'>x^2</div>",
    "GitLab": "<pre class='code math js-render-math' data-math-style='display'>x^2</pre>",
    "written": "<p>\\[x^2\\]</p>",
}
PROSE = (
    "<p>"
    + "This is a paragraph of running prose that is long enough to be taken for the text of an article. " * 3
    + "</p>"
)


def text_of(body: str, engine: str) -> str:
    page = f"<html><head><title>T</title></head><body><article><h1>T</h1>{PROSE}{body}{PROSE}</article></body></html>"
    return html(documents([{"text": page, "origin": "x"}]), engine=engine)["text"][0].as_py()


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
@pytest.mark.parametrize("markup", INLINE)
def test_a_formula_in_a_line(markup: str, engine: str) -> None:
    text = text_of(f"<p>So we have {INLINE[markup]} here, which is what was to be shown in this case.</p>", engine)
    assert r"So we have \(x^2\) here, which" in text
    assert "drawn" not in text


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
@pytest.mark.parametrize("markup", DISPLAYED)
def test_a_formula_on_a_line_of_its_own(markup: str, engine: str) -> None:
    text = text_of(
        f"<div><p>So we have</p>{DISPLAYED[markup]}<p>which is what was to be shown in this case.</p></div>", engine
    )
    assert r"\[x^2\]" in text.split("\n")
    assert "drawn" not in text


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
def test_a_table_of_equations_is_no_table(engine: str) -> None:
    text = text_of(
        f"<div class='ltx_para'><p>So we have</p>{LATEXML}<p>which is what was to be shown.</p></div>", engine
    )
    assert r"\[x^2 =y\]" in text.split("\n")
    assert "|" not in text
    assert "drawn" not in text


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
def test_scripts_in_a_line_stay_readable(engine: str) -> None:
    body = "<p>It says E = mc<sup>2</sup>, H<sub>2</sub>O and 6.02&middot;10<sup>23</sup>, for the 2<sup>nd</sup> time<sup>3</sup>.</p>"
    assert "E = mc^2, H_2O and 6.02·10^{23}, for the 2nd time3." in text_of(body, engine)


@pytest.mark.parametrize("engine", ["trafilatura", "fast"])
def test_code_of_a_drawing_is_no_formula(engine: str) -> None:
    text = text_of(
        "<p>See <img src='//latex.example.com/a.png' class='latex' alt='[asy] draw(a); [/asy]'> this figure here.</p>",
        engine,
    )
    assert "asy" not in text
    assert r"\(" not in text
