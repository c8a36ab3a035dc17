"""MathML as LaTeX: every construct, and whatever is no MathML at all."""

import re

import lxml.etree
import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.extraction.mathml import latex

NAMES = (
    "mi mn mo mtext ms mspace mrow mfrac msqrt mroot msub msup msubsup munder mover munderover mmultiscripts mprescripts none mtable mtr "
    "mlabeledtr mtd mfenced menclose mphantom maction semantics annotation mstyle mpadded math unknown apply ci cn plus power divide"
)


def convert(inner: str) -> str:
    return latex(lxml.html.fragment_fromstring(f"<math>{inner}</math>"))


@pytest.mark.parametrize(
    ("inner", "wanted"),
    [
        ("<mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup>", "E = mc^2"),
        ("<mfrac><mn>1</mn><mrow><mn>2</mn><mi>a</mi></mrow></mfrac>", r"\frac{1}{2a}"),
        ("<apply><plus/><ci>x</ci><cn>1</cn></apply>", "x + 1"),
        (
            "<apply><eq/><apply><times/><apply><minus/><ci>a</ci><ci>b</ci></apply><ci>c</ci></apply><cn>0</cn></apply>",
            r"((a - b) \cdot c) = 0",
        ),
        ("<apply><divide/><cn>1</cn><apply><power/><ci>x</ci><cn>2</cn></apply></apply>", r"\frac{1}{x^2}"),
        ("<apply><power/><apply><plus/><ci>x</ci><cn>1</cn></apply><cn>2</cn></apply>", "{(x + 1)}^2"),
        ("<apply><minus/><ci>x</ci></apply>", "-x"),
        (
            "<apply><root/><ci>x</ci></apply><apply><sin/><ci>x</ci></apply><apply><ci>f</ci><ci>x</ci><ci>y</ci></apply>",
            r"\sqrt{x}\sin(x)f(x, y)",
        ),
        ("<apply><laplacian/><ci>x</ci></apply><apply></apply>", r"\operatorname{laplacian}(x)"),
        ("<mfrac bevelled='true'><mn>1</mn><mrow><mn>2</mn><mi>a</mi></mrow></mfrac>", "1/{2a}"),
        ("<mo>(</mo><mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac><mo>)</mo>", r"\binom{n}{k}"),
        ("<mfrac linethickness='0pt'><mi>n</mi><mi>k</mi></mfrac>", r"\genfrac{}{}{0pt}{}{n}{k}"),
        ("<msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt>", r"\sqrt{x + 1}"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        ("<mroot><mi>x</mi><mo>]</mo></mroot>", r"\sqrt[{]}]{x}"),
        ("<msub><mi>x</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub>", "x_{ij}"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        ("<msup><mrow><mi>a</mi><mi>b</mi></mrow><mn>2</mn></msup>", "{ab}^2"),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f'"),
        ("<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover>", r"\sum_{i = 1}^n"),
        ("<munder><mi>lim</mi><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder><mi>f</mi>", r"\lim_{x \to 0}f"),
        ("<mover><mi>x</mi><mo>→</mo></mover><mover><mi>y</mi><mo>¯</mo></mover>", r"\vec{x}\bar{y}"),
        ("<munder><munder><mi>x</mi><mo>⏟</mo></munder><mi>n</mi></munder>", r"\underbrace{x}_n"),
        ("<mover><mo>=</mo><mtext>def</mtext></mover>", r"\overset{\text{def}}{=}"),
        ("<munder><mi>x</mi><mi>n</mi></munder>", r"\underset{n}{x}"),
        ("<mover><mo>→</mo><mi>f</mi></mover>", r"\xrightarrow{f}"),
        (
            "<mmultiscripts><mi>X</mi><mn>1</mn><none></none><mprescripts></mprescripts><mn>2</mn><mn>3</mn></mmultiscripts>",
            "{}_2^3X_1",
        ),
        ("<mo>-</mo><mi>b</mi><mo>±</mo><mi>c</mi>", r"-b \pm c"),
        ("<mi>sin</mi><mo>\u2061</mo><mi>x</mi>", r"\sin x"),
        ("<mi>π</mi><mi>d</mi><mn>2</mn>", r"\pi d2"),
        ("<mi>max</mi><mi>abc</mi>", r"\max\mathrm{abc}"),
        (
            "<mi mathvariant='bold'>v</mi><mi>𝔸</mi><mi>𝒜</mi><mi>𝑥</mi><mi>ℝ</mi>",
            r"\mathbf{v}\mathbb{A}\mathcal{A}x\mathbb{R}",
        ),
        ("<mo>{</mo><mi>x</mi><mo>|</mo><mi>y</mi><mo>}</mo>", r"\{x|y\}"),
        ("<mtext>if x_1 {</mtext>", r"\text{if x\_1 \{}"),
        ("<mi>a</mi><mspace width='1em'></mspace><mi>b</mi><mspace width='0.2em'></mspace><mi>c</mi>", r"a\quad b\, c"),
        ("<mfenced open='[' close=')' separators=';'><mi>a</mi><mi>b</mi><mi>c</mi></mfenced>", "[a; b; c)"),
        ("<menclose notation='box'><mi>x</mi></menclose><mphantom><mi>y</mi></mphantom>", r"\boxed{x}\phantom{y}"),
        ("<semantics><mi>x</mi><annotation-xml><ci>x</ci></annotation-xml></semantics>", "x"),
        ("x + 1", "x + 1"),
        ("", ""),
    ],
)
def test_constructs(inner: str, wanted: str) -> None:
    assert convert(inner) == wanted


@pytest.mark.parametrize(
    ("opening", "closing", "environment"),
    [("(", ")", "pmatrix"), ("[", "]", "bmatrix"), ("|", "|", "vmatrix"), ("{", "", "cases")],
)
def test_matrices_take_their_fences_along(opening: str, closing: str, environment: str) -> None:
    cells = "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd><mtd><mn>4</mn></mtd></mtr></mtable>"
    last = f"<mo>{closing}</mo>" if closing else ""
    wanted = rf"\begin{{{environment}}} 1 & 2 \\ 3 & 4 \end{{{environment}}}"
    assert convert(f"<mi>A</mi><mo>=</mo><mo>{opening}</mo>{cells}{last}") == f"A = {wanted}"
    assert convert(f"<mrow><mo>{opening}</mo><mrow>{cells}</mrow>{last}</mrow>") == wanted


def test_tables_without_fences() -> None:
    rows = "<mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr>"
    assert convert(f"<mtable>{rows}</mtable>") == r"\begin{matrix} a & b \end{matrix}"
    assert convert(f"<mtable columnalign='right left'>{rows}</mtable>") == r"\begin{aligned} a & b \end{aligned}"
    labelled = "<mlabeledtr><mtd><mtext>(1)</mtext></mtd><mtd><mi>a</mi></mtd></mlabeledtr>"
    assert convert(f"<mtable>{labelled}</mtable>") == r"\begin{matrix} a \end{matrix}"


def test_prefixes_and_namespaces() -> None:
    namespaced = lxml.etree.fromstring(
        '<math xmlns="http://www.w3.org/1998/Math/MathML"><msup><mi>x</mi><mn>2</mn></msup></math>'
    )
    assert latex(namespaced) == "x^2"
    assert (
        latex(lxml.html.fragment_fromstring("<m:math><m:msup><m:mi>x</m:mi><m:mn>2</m:mn></m:msup></m:math>")) == "x^2"
    )


def test_depth_is_cut_to_text() -> None:
    root = lxml.etree.Element("math")
    inner = root
    for _ in range(3_000):
        inner = lxml.etree.SubElement(inner, "msqrt")
    inner.text = "x"
    found = latex(root)
    assert 90 < found.count(r"\sqrt") < 110
    assert "x" in found


def balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"[{}]", re.sub(r"\\.", "", text, flags=re.DOTALL)):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        ["open", "close", "separators", "linethickness", "mathvariant", "width", "notation", "columnalign", "bevelled"]
    ),
    st.one_of(
        st.sampled_from(["0", "true", "bold", "1em", "box", "{", "}", "\\", "right left", ""]),
        st.text(alphabet=st.characters(min_codepoint=32)),
    ),
    max_size=2,
)
TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from("{}\\_^$%#&~ xα∑→−′"), st.characters(min_codepoint=32, exclude_categories=["Cs"])
    ),
    max_size=4,
)
TREES = st.recursive(
    st.tuples(st.sampled_from(NAMES.split()), ATTRIBUTES, TEXT, st.just([])),
    lambda inner: st.tuples(st.sampled_from(NAMES.split()), ATTRIBUTES, TEXT, st.lists(inner, max_size=5)),
    max_leaves=25,
)


def build(tree: tuple[str, dict[str, str], str, list]) -> lxml.etree._Element:
    tag, attributes, text, children = tree
    element = lxml.etree.Element(tag)
    for name, value in attributes.items():
        element.set(name, "".join(character for character in value if character.isprintable()))
    element.text = "".join(character for character in text if character.isprintable())
    element.extend(build(child) for child in children)
    return element


@given(TREES)
def test_any_tree_converts_to_balanced_braces(tree: tuple[str, dict[str, str], str, list]) -> None:
    found = latex(build(tree))
    assert balanced(found), found
    assert found == found.strip()
    assert found.count(r"\begin{") == found.count(r"\end{")
