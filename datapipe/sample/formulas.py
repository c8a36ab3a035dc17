"""The math part of the sample: reference pages with formulas, from the docstrings of the numeric libraries that are installed.

The pages keep the formulas as LaTeX between \\( \\) and \\[ \\], as sites with MathJax serve them. Most of the time goes into
docutils, about 16 CPU seconds for 8 MB, so `run` does the work in a process of its own.
"""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datapipe.sample import markup
from datapipe.sample.budget import Account
from datapipe.sample.docstrings import Docstring, docstrings
from datapipe.sample.environment import PYTHON_LICENSE, VERSION, Package, packages, read_text, stable_rank, stdlib_files
from datapipe.sample.site_pages import manual_page
from datapipe.sample.warc import RECORD_OVERHEAD_BYTES, Capture, WarcFolder

FILES = 3
WORKER = "datapipe.sample.formulas_worker"
MATH_MODULES = ("fractions", "numbers", "random", "statistics")
DEFAULT_MATH = ("mpmath", "sympy")  # their Sphinx configuration reads `x` as a formula
DOLLAR_MATH = ("sympy",)  # sphinx-math-dollar: $x$ is a formula
LIBRARIES = ("mpmath", "networkx", "numpy", "scipy", "sympy", "torch")
FORMULA = re.compile(r":math:`|\.\. math ?::")
DOLLAR = re.compile(r"(?<![\\$`])\$([^$`\n]+)\$")


class Source(NamedTuple):
    """A source file with the library it belongs to."""

    module: str
    path: Path
    site: str
    version: str
    license: str | None


def has_formula(text: str, site: str) -> bool:
    """Whether the docstring of a library on `site` holds formulas as its authors write them."""
    return bool(FORMULA.search(text)) or (site in DOLLAR_MATH and bool(DOLLAR.search(text)))


def formula_sources(installed: Sequence[Package]) -> list[Source]:
    """Python files of the numeric libraries, in stable pseudo-random order, and the numeric modules of the standard library."""
    sources = [
        Source(module_name(name), path, package.name, package.version, package.license)
        for package in installed
        if package.name.lower() in LIBRARIES
        for name, path in package.files
        if name.endswith(".py") and "/tests/" not in name
    ]
    for name, path in stdlib_files():
        if name.removesuffix(".py") in MATH_MODULES:
            sources.append(Source(name.removesuffix(".py"), path, "Python", VERSION, PYTHON_LICENSE))
    return sorted(sources, key=lambda source: stable_rank(source.module))


def module_name(file_name: str) -> str:
    """The dotted name of the module in a file of an installation."""
    return file_name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def documented(source: Source) -> list[Docstring]:
    """The docstrings of a file that are worth a page: with formulas, or all in a numeric module of the standard library."""
    text = read_text(source.path) or ""
    if source.site == "Python":
        return [doc for doc in docstrings(text) if len(doc.text) > 400]
    if not has_formula(text, source.site):
        return []
    return [doc for doc in docstrings(text) if has_formula(doc.text, source.site)]


def formula_pages(source: Source) -> Iterator[Capture]:
    """One page per documented object of a file."""
    docs = documented(source)
    names = [full_name(source, doc) for doc in docs]
    for place, (doc, name) in enumerate(zip(docs, names, strict=True)):
        text = DOLLAR.sub(r":math:`\1`", doc.text) if source.site in DOLLAR_MATH else doc.text
        rendered = markup.rst_to_html(text, default_role="math" if source.site in DEFAULT_MATH else None)
        page = manual_page(
            name,
            f"<h1>{name}</h1>\n<p class='signature'><code>{name}{html.escape(doc.signature)}</code></p>\n{rendered}",
            site=source.site,
            version=source.version,
            license=source.license,
            path=("API reference", source.module),
            siblings=names[:30],
            previous=names[place - 1] if place else "",
            next=names[place + 1] if place + 1 < len(names) else "",
            formulas=True,
        )
        uri = f"https://docs.{source.site.lower()}.example/{source.version}/generated/{name}.html"
        yield Capture(uri, page.encode(), license=source.license)


def full_name(source: Source, doc: Docstring) -> str:
    return f"{source.module}.{doc.name}" if doc.name else source.module


def write_formulas(folder: Path, account: Account) -> list[Path]:
    """Write pages until the budget is spent."""
    crawl = WarcFolder(folder, "formulas", file_bytes=account.max_bytes // FILES)
    seen: set[str] = set()
    for capture in (page for source in formula_sources(packages()) for page in formula_pages(source)):
        if account.spent:
            break
        if capture.uri in seen or not account.fits(len(capture.body) + RECORD_OVERHEAD_BYTES):
            continue
        seen.add(capture.uri)
        before = crawl.raw_bytes
        crawl.add(capture)
        account.take(crawl.raw_bytes - before, capture.license)
    return crawl.close()


def run(folder: Path, account: Account) -> list[Path]:
    """`write_formulas` in a process of its own, so that it runs beside the other parts; fills in `account`.

    The child tells its progress line by line; when this process is killed, its next line finds no reader and ends it.
    """
    command = [sys.executable, "-m", WORKER, str(folder), str(account.max_bytes)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONHASHSEED": "0",
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment) as process:
        assert process.stdout is not None
        told: dict[str, Any] = {}
        for line in process.stdout:
            told = json.loads(line)
            if account.progress and "bytes_so_far" in told:
                account.progress(account.name, told["bytes_so_far"], account.max_bytes)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    account.bytes, account.documents = told["bytes"], told["documents"]
    account.licenses.update(told["licenses"])
    account.skipped.update(told["skipped"])
    return sorted(folder.glob("*.warc.gz"))
