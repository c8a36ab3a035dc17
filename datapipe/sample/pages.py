"""The web part of the sample: a small crawl of a manual, a package index and two works of reference, as gzip WARC files.

Module pages come from `pydoc` (see pydoc_worker), project pages from the distributions' own descriptions and metadata, and the index
lists what projects share (see index_pages); an atlas and a table of characters are about something else than software (see atlas_pages,
character_pages). As in any crawl there are redirects, pages that are gone, a page or two in Latin-1 and UTF-16, requests, and things that
are not HTML. Rendering the whole standard library takes about 11 CPU seconds; it happens in a process of its own.
"""

import html
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datapipe.sample import markup
from datapipe.sample.atlas_pages import atlas_captures
from datapipe.sample.budget import Account
from datapipe.sample.character_pages import character_captures
from datapipe.sample.environment import PYTHON_LICENSE, VERSION, Package, normalised, stable_rank, stdlib_files
from datapipe.sample.index_pages import INDEX, listing_captures, sidebar
from datapipe.sample.manuals import is_long
from datapipe.sample.project_facts import project_facts
from datapipe.sample.site_pages import error_page, manual_page, project_page
from datapipe.sample.warc import RECORD_OVERHEAD_BYTES, Capture, WarcFolder

MANUAL = f"https://docs.python.example/{VERSION}/library/"
PROJECTS = f"{INDEX}project/"
# Of the budget; the rest goes to project pages.
MODULE_SHARE, LISTING_SHARE, ATLAS_SHARE, CHARACTER_SHARE = 0.705, 0.03, 0.095, 0.055
FILES = 6
MAX_NAMES = 16
# Modules with side effects or a window when imported, private ones, and the library's own tests.
LEFT_OUT = frozenset(
    ("antigravity", "idlelib", "lib2to3", "pip", "test", "tests", "this", "tkinter", "turtle", "turtledemo")
)
LATIN_PAGES, WIDE_PAGES, REDIRECTS, GONE = 6, 3, 8, 8


def write_pages(
    folder: Path, account: Account, packages: Sequence[Package], modules: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Write the crawl; `modules` are the results of `render_modules`."""
    rest = 1 - MODULE_SHARE - LISTING_SHARE - ATLAS_SHARE - CHARACTER_SHARE
    captures = [
        *module_captures(modules),
        *project_captures(packages, max_bytes=int(account.max_bytes * rest)),
        *listing_captures(packages, max_bytes=int(account.max_bytes * LISTING_SHARE)),
        *atlas_captures(packages, max_bytes=int(account.max_bytes * ATLAS_SHARE)),
        *character_captures(max_bytes=int(account.max_bytes * CHARACTER_SHARE)),
        *other_captures(packages),
    ]
    crawl_bytes = min(account.max_bytes, sum(len(capture.body) + RECORD_OVERHEAD_BYTES for capture in captures))
    crawl = WarcFolder(folder, "pages", file_bytes=crawl_bytes // FILES)
    for capture in sorted(captures, key=lambda capture: stable_rank(capture.uri + capture.status)):
        before = crawl.raw_bytes
        if not account.fits(len(capture.body) + RECORD_OVERHEAD_BYTES):
            continue
        crawl.add(capture)
        if capture.is_page:
            account.take(crawl.raw_bytes - before, capture.license)
        else:
            account.spend(crawl.raw_bytes - before)
    return crawl.close()


def module_names() -> list[str]:
    """Public modules and packages of the standard library, in stable pseudo-random order; nothing is imported."""
    dotted = {
        name[: -len(".py")].replace("/", ".").removesuffix(".__init__")
        for name, _ in stdlib_files()
        if name.endswith(".py")
    }
    names = dotted | sys.stdlib_module_names
    public = (name for name in names if not any(part in LEFT_OUT or _private(part) for part in name.split(".")))
    return sorted(public, key=stable_rank)


def _private(part: str) -> bool:
    return part.startswith("_") and part != "__future__"


def render_modules(account: Account) -> list[dict[str, Any]]:
    """The module pages that fit into their share of the budget, rendered in one process after the other.

    A module that ends the process is counted, and the next process starts behind it.
    """
    names, pages, size_bytes = module_names(), [], 0
    budget_bytes = int(account.max_bytes * MODULE_SHARE)
    while names and size_bytes < budget_bytes:
        results, failure = _run_worker(names, budget_bytes - size_bytes)
        for result in results:
            if "skip" in result:
                account.skipped[f"module {result['skip']}"] += 1
            else:
                size_bytes += len(result["html"])
                pages.append(result)
        if not failure:
            break
        account.skipped[failure] += 1
        names = names[len(results) + 1 :]
    return pages


def _run_worker(names: Sequence[str], max_bytes: int) -> tuple[list[dict[str, Any]], str | None]:
    """(results of the modules up to the end or the first that broke the process, why it broke)."""
    environment = {
        "PATH": os.defpath,
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "80",
        "PYTHONDOCS": MANUAL,
    }
    command = [sys.executable, "-s", "-S", "-P", str(Path(__file__).with_name("pydoc_worker.py"))]
    task = json.dumps({"modules": names, "max_bytes": max_bytes})
    ended = subprocess.run(
        command, input=task, capture_output=True, text=True, encoding="utf-8", env=environment, check=False
    )
    lines = ended.stdout.split("\n")[:-1]  # a line without its end was cut by a kill
    failure = None
    if ended.returncode in (-signal.SIGPROF, -signal.SIGALRM):
        failure = "module took too long"
    elif ended.returncode:
        failure = "module failed when imported or rendered"
    return [json.loads(line) for line in lines], failure


def module_captures(modules: Sequence[Mapping[str, Any]]) -> Iterator[Capture]:
    """Module pages inside a manual: neighbours are the modules of the same package, or the alphabetical ones."""
    names = sorted(str(page["module"]) for page in modules)
    for page in modules:
        name = str(page["module"])
        place, parent = names.index(name), name.partition(".")[0]
        family = [other for other in names if other.startswith(parent + ".")] or names[max(0, place - 8) : place + 9]
        body = manual_page(
            name,
            page["html"],
            site="Python",
            version=VERSION,
            license=PYTHON_LICENSE,
            path=("The Python Standard Library", *name.split(".")[:-1]),
            siblings=family[:40],
            previous=names[place - 1] if place else "",
            next=names[place + 1] if place + 1 < len(names) else "",
            facts=_module_sidebar(name, page["facts"], frozenset(names)),
        )
        yield Capture(f"{MANUAL}{name}.html", body.encode(), license=PYTHON_LICENSE)


def _module_sidebar(name: str, facts: Mapping[str, Any], pages: frozenset[str]) -> dict[str, list[str]]:
    """What the page says at a glance, each value as HTML; a link where the other module has a page too."""
    counts = {"Lines of source": "lines", "Classes": "classes", "Functions": "functions", "Exported names": "exported"}
    inside = [other for other in pages if other.rpartition(".")[0] == name]
    parent = name.rpartition(".")[0]
    return {
        "Part of": [_linked(parent, pages)] if parent else [],
        "Kind": ["package" if facts["is_package"] else "module"],
        **{label: [f"{facts[key]:,}"] if facts[key] else [] for label, key in counts.items()},
        "Exceptions": facts["errors"][:MAX_NAMES],
        "Submodules": [str(len(inside))] if inside else [],
        "Imports": [_linked(other, pages) for other in facts["imports"][:MAX_NAMES] if other != name],
    }


def _linked(name: str, pages: frozenset[str]) -> str:
    return f'<a href="{name}.html">{name}</a>' if name in pages else html.escape(name)


def project_captures(packages: Sequence[Package], *, max_bytes: int) -> Iterator[Capture]:
    """Pages of distributions that describe themselves, up to `max_bytes`; a few come in the encodings of older sites."""
    names = [normalised(package.name) for package in packages]
    known = frozenset(names)
    latin = wide = size_bytes = 0
    for place in sorted(range(len(names)), key=lambda place: stable_rank(names[place])):
        package = packages[place]
        if not package.description.strip() or is_long(package):
            continue
        page = project_page(
            package.name,
            package.version,
            description_html(package),
            summary=package.summary,
            license=package.license,
            classifiers=package.classifiers,
            related=names[max(0, place - 4) : place] + names[place + 1 : place + 5],
            facts=sidebar(project_facts(package), known),
        )
        encoding = "utf-8"
        if latin < LATIN_PAGES and _encodable(page, "latin-1"):
            encoding, latin = "iso-8859-1", latin + 1
        elif wide < WIDE_PAGES:
            encoding, wide = "utf-16", wide + 1
        # The charset stands in the HTTP header alone, as a server sends it that stores old pages.
        body = page.encode(encoding)
        size_bytes += len(body)
        if size_bytes > max_bytes:
            return
        yield Capture(f"{PROJECTS}{names[place]}/", body, f"text/html; charset={encoding}", license=package.license)


def description_html(package: Package) -> str:
    """The long description as an HTML fragment, by the markup language its metadata names."""
    if package.description_type == "text/markdown":
        return markup.markdown_to_html(package.description)
    if package.description_type == "text/x-rst":
        return markup.rst_to_html(package.description)
    return f"<pre>{html.escape(package.description)}</pre>"


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def other_captures(packages: Sequence[Package]) -> Iterator[Capture]:
    """What a crawl brings home beside pages: redirects, errors, requests, robots.txt, style sheets, JSON."""
    for package in packages[:REDIRECTS]:
        target = f"{PROJECTS}{normalised(package.name)}/"
        yield Capture(target, request=True)
        yield Capture(target[:-1], status="301 Moved Permanently", location=target)
    for package in packages[-GONE:]:
        path = f"/project/{normalised(package.name)}/0.0.1/"
        body = error_page(path).encode()
        yield Capture(f"{INDEX[:-1]}{path}", body, status="404 Not Found")
    for package in packages[:3]:
        facts = {"info": {"name": package.name, "version": package.version, "summary": package.summary}}
        uri = f"{INDEX}pypi/{normalised(package.name)}/json"
        yield Capture(uri, json.dumps(facts).encode(), "application/json", license=package.license)
    for site in ("https://docs.python.example", "https://packages.example"):
        yield Capture(f"{site}/robots.txt", b"User-agent: *\nDisallow: /search/\n", "text/plain")
        yield Capture(f"{site}/static/site.css", b"body { margin: 0 auto; max-width: 60em; }\n", "text/css")
