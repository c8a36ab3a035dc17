"""One paper from its sources: comments, inclusion, the main file, and what of it stays."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.readers import tex_source
from datapipe.readers.tex_source import Unusable, main_file, paper, without_comments, without_layout

MAIN = r"""\documentclass[11pt]{article} % a class
\usepackage{amsmath,mine}
\newcommand{\R}{\mathbb{R}} % the reals
\title{On $\R$ \thanks{Supported by nobody}}
\author{A. Body \\ \texttt{a@example.org}}
\date{May 2024}
\begin{document}
\maketitle
\begin{abstract}
We study $\R$.
\end{abstract}
\input{sections/intro}
\begin{theorem}\label{t}
For all $x \in \R$: \[ \half{x} \le x^2 + 1. \]
\end{theorem}
\begin{figure}[t]
\centering
\includegraphics[width=\textwidth]{fig/a.pdf}
\caption{The line $\R$.}
\end{figure}
\begin{tikzpicture}\draw (0,0) -- (1,1);\end{tikzpicture}
\include{proof}
\bibliographystyle{plain}
\bibliography{refs}
\end{document}
never read
"""
FILES = {
    "paper.tex": MAIN,
    "sections/intro.tex": "\\section{Introduction}\nWe cite \\cite{a} % why?\nand go on.%\n\nNext.\n\\input{missing}",
    "proof.tex": "\\begin{proof}\nBy \\eqref{t}, $50\\%$ of it.\n\\end{proof}",
    "mine.sty": "\\newcommand{\\half}[1]{\\frac{#1}{2}}",
}
WANTED = r"""\title{On $\mathbb{R}$}

\begin{abstract}
We study $\mathbb{R}$.
\end{abstract}
\section{Introduction}
We cite \cite{a} and go on.

Next.

\begin{theorem}\label{t}
For all $x \in \mathbb{R}$: \[ \frac{x}{2} \le x^2 + 1. \]
\end{theorem}
\begin{figure}[t]

\caption{The line $\mathbb{R}$.}
\end{figure}

\begin{proof}
By \eqref{t}, $50\%$ of it.
\end{proof}
"""


def reason_of(source: str) -> str | None:
    try:
        paper({"a.tex": source})
    except Unusable as error:
        return error.reason
    return None


def test_a_paper_of_several_files() -> None:
    found = paper(FILES)
    assert found.text == WANTED
    assert found.about == {"title": r"On $\mathbb{R}$", "main": "paper.tex", "files": 3, "missing": 1, "macros": 2}
    assert paper(dict(reversed(FILES.items()))) == found


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a% b\nc", "ac"),
        ("a %\n   c", "a c"),
        ("a%b\n\nc", "a\n\nc"),
        ("%b\na", "a"),
        (r"50\% of % it", r"50\% of "),
        (r"a \\% b", r"a \\"),
        ("a\r\n% b\r\nc", "a\nc"),
        (r"\url{x%20y} % z", r"\url{x%20y} "),
        (r"\verb|%| % z", r"\verb|%| "),
        ("\\begin{verbatim}\n% kept\n\\end{verbatim}% z", "\\begin{verbatim}\n% kept\n\\end{verbatim}"),
        ("% \\begin{verbatim}\na % b", "a "),
        ("\\begin{verbatim} % no end", "\\begin{verbatim} "),
        ("a\\begin{comment}\nb\n\\end{comment}c", "ac"),
        (r"a\iffalse b\ifx c\fi d\fi e", "a e"),
        (r"a\iffalse b", r"a\iffalse b"),
        (r"a\iffalse b \iff c\ifthenelse{d}{e}{f}\fi g", "a g"),
        (r"a\iffalse b\ifCLASSINFOpdf c\else d\fi e\fi f", "a f"),
        (r"a\iffalse b\else c\fi", r"a c\fi"),
        ("a\\if0\nb\\fi c\\if 0 d\\fi e", "a c e"),
        (r"a\if0\blind b\fi", r"a\if0\blind b\fi"),
        (r"\let\ifdraft\iffalse a\fi", r"\let\ifdraft\iffalse a\fi"),
        (r"\newcommand{\hide}{\iffalse}a\fi", r"\newcommand{\hide}{\iffalse}a\fi"),
    ],
)
def test_comments_go(source: str, wanted: str) -> None:
    assert without_comments(source) == wanted


@given(st.text(alphabet="ab \n\\{}", max_size=60))
def test_a_source_without_comments_stays(source: str) -> None:
    assert without_comments(source) == source


@given(st.text(alphabet="ab%\n\\{}$", max_size=60))
def test_any_source_gives_a_paper_or_a_reason(source: str) -> None:
    assert reason_of("\\documentclass{article}\n\\begin{document}\n" + source) in (None, "empty")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (r"\author[1]{A}[x]{B} b", "[x]{B} b"),
        (r"a\vspace*{1em}b \noindent c", "ab  c"),
        (r"\setlength{\parindent}{0pt}a", "a"),
        (r"\includegraphics[width=1cm]{a.png}a", "a"),
        (r"\\noindent \centeringx", r"\\noindent \centeringx"),
        ("\\begin{thebibliography}{9}\n\\bibitem{a} B.\n\\end{thebibliography}a", "a"),
        ("a\n\n \n\n\nb  \nc", "a\n\nb\nc"),
    ],
)
def test_layout_goes(source: str, wanted: str) -> None:
    assert without_layout(source) == wanted


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"b.tex": r"\documentclass{x}\begin{document}", "a.tex": r"\section{A}"}, "b.tex"),
        ({"b.tex": r"\documentstyle{x}", "a.tex": r"% \documentclass{x}"}, "b.tex"),
        (
            {"main.tex": r"\documentclass{x}\input{a}", "a.tex": r"\documentclass{x}\begin{document}" + "x" * 99},
            "main.tex",
        ),
        ({"z.tex": r"\documentclass{x}\begin{document}", "a.tex": r"\documentclass{x}"}, "z.tex"),
        ({"ms.tex": r"\documentclass{x}", "a.tex": r"\documentclass{x}" + "x" * 99}, "ms.tex"),
        ({"b.tex": r"\documentclass{x}", "a.tex": r"\documentclass{x} longer"}, "a.tex"),
        ({"a.tex": r"\begin{document}x", "b.tex": "y"}, "a.tex"),
        ({"a.tex": "x \\bye", "b.tex": "y"}, "a.tex"),
        ({"00README.XXX": "b.tex toplevelfile\n", "a.tex": r"\documentclass{x}", "b.tex": "x"}, "b.tex"),
        (
            {
                "00README.json": '{"sources": [{"filename": "b.tex", "usage": "toplevel"}]}',
                "a.tex": r"\documentclass{x}",
                "b.tex": "x",
            },
            "b.tex",
        ),
        (
            {
                "00README.json": '{"sources": [{"usage": "toplevel", "filename": "b.tex"}]}',
                "a.tex": r"\documentclass{x}",
                "b.tex": "x",
            },
            "b.tex",
        ),
        ({"00README.XXX": "gone.tex toplevelfile\n", "a.tex": r"\documentclass{x}"}, "a.tex"),
        ({"p/a.tex": r"\documentclass{x}", "p/00README.XXX": "nohypertex"}, "p/a.tex"),
    ],
)
def test_the_main_file_is_found(files: dict[str, str], wanted: str) -> None:
    assert main_file(files, {path: without_comments(text) for path, text in files.items()}) == wanted


@pytest.mark.parametrize(
    ("inner", "found"),
    [
        (r"\input b ", True),
        (r"\input{b.tex}", True),
        (r"\input{./b}", True),
        (r"\input{B}", True),
        (r"\include{sub/c}", True),
        (r"\import{sub/}{c}", True),
        (r"\subimport{./sub}{c.tex}", True),
        (r"\subfile{d}", True),
        (r"\input{x/b}", False),
        (r"\inputencoding{b}", None),
        (r"\includegraphics{b}", None),
    ],
)
def test_files_are_included(inner: str, found: bool | None) -> None:
    files = {
        "main.tex": r"\documentclass{x}\begin{document}" + f"start {inner} end",
        "b.tex": "word",
        "sub/c.tex": "word",
        "d.tex": r"\documentclass[a]{subfiles}\begin{document}word\end{document} no",
    }
    made = paper(files)
    assert ("word" in made.text) is bool(found)
    assert "no" not in made.text.split()
    assert made.about["missing"] == (found is False)


def test_a_file_is_found_beside_the_one_that_includes_it() -> None:
    files = {"p/a.tex": r"\documentclass{x}\begin{document}\input{b}", "p/b.tex": "word"}
    assert paper(files).text == "word\n"


def test_circles_and_depth_are_missing_files() -> None:
    head = r"\documentclass{x}\begin{document}x "
    circle = paper({"a.tex": head + r"\input{b}", "b.tex": r"y \input{a} \input{b}"})
    assert circle.text.split() == ["x", "y"]
    assert circle.about["missing"] == 2
    deep = {f"f{n}.tex": rf"{n} \input{{f{n + 1}}}" for n in range(100)}
    made = paper({"a.tex": head + r"\input{f0}", **deep})
    assert made.about["missing"] == 1
    assert made.about["files"] == tex_source.MAX_DEPTH + 1


def test_what_includes_itself_a_thousandfold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"f{n}.tex": rf"\input{{f{n + 1}}}" * 10 + "x" for n in range(15)}
    files["a.tex"] = r"\documentclass{x}\begin{document}\input{f0}"
    start = time.process_time()
    assert paper(files).about["missing"] > 1_000  # type: ignore[operator]
    monkeypatch.setattr(tex_source, "MAX_CHARS", 1_000)
    with pytest.raises(Unusable, match="too_large"):
        paper(files)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "shown",
    ["\\begin{verbatim}\n\\end{document}\n\\end{verbatim}", r"\verb|\end{document}|", r"\begin{lstlisting}"],
)
def test_an_end_that_is_shown_is_none(shown: str) -> None:
    source = f"\\documentclass{{x}}\\begin{{document}}a {shown} b\\end{{document}} c \\end{{document}}"
    assert paper({"a.tex": source}).text == f"a {shown} b\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (r"\section{A}", "no_main"),
        (r"\documentclass{x}\begin{document}\maketitle % nothing", "empty"),
        (r"\documentclass{x}\def\a{\a\a}\begin{document}\a", "expands_too_far"),
    ],
)
def test_reasons(source: str, reason: str) -> None:
    with pytest.raises(Unusable) as error:
        paper({"a.tex": source})
    assert error.value.reason == reason


def test_abstracts_of_the_preamble() -> None:
    for written in (r"\abstract{We do.}", r"\begin{abstract}We do.\end{abstract}"):
        made = paper({"a.tex": rf"\documentclass{{x}}{written}\title[s]{{T}}\begin{{document}}\maketitle Body"})
        assert made.text == "\\title{T}\n\n\\begin{abstract}\nWe do.\n\\end{abstract}\n\nBody\n"


@pytest.mark.parametrize("part", ["a", "filename:", "filename: ", "toplevel", " "])
def test_a_hostile_readme_takes_linear_time(part: str) -> None:
    start = time.process_time()
    files = {"00README": "filename:" + part * (500_000 // len(part)), "a.tex": "\\documentclass{x}"}
    assert main_file(files, files) == "a.tex"
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("command", "num_spaces"),
    [
        ("\\newcommand\\a", 300),
        ("\\DeclareMathOperator\\a", 3_000),
        ("\\def\\a", 60_000),
        ("\\let\\a", 60_000),
        ("\\title", 60_000),
        ("text", 100_000),
    ],
)
def test_white_space_behind_a_command_is_looked_at_once(command: str, num_spaces: int) -> None:
    start = time.process_time()
    assert reason_of(f"\\documentclass{{x}}\\begin{{document}}{command}{' ' * num_spaces}.") is None
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "part",
    [
        "{",
        "}",
        "\\begin{verbatim}",
        "\\begin{verbatim}\n%",
        "\\iffalse ",
        "\\if0 ",
        "\\let\\a",
        "\\begin{comment}",
        "\\title{",
        "\\title ",
        "\\author[",
        "\\verb|",
        "\\begin{tikzpicture}",
        "\\begin{abstract}",
        "\\newcommand{\\a}[",
        "\\def\\a{",
        "\\url{",
        "\\input{",
        "\\\\",
        "\n\n \n",
    ],
)
def test_hostile_sources_take_linear_time(part: str) -> None:
    source = "\\documentclass{x}" + part * (200_000 // len(part)) + "\\begin{document}" + part * (200_000 // len(part))
    start = time.process_time()
    assert reason_of(source) in (None, "empty", "no_main", "expands_too_far")
    assert time.process_time() - start < 2
