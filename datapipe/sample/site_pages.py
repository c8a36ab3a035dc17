"""HTML around a text, as four kinds of site wear it: a manual, a package index with its lists, a work of reference, an error page.

The boilerplate is the point: navigation, search, cookie line, sidebars, footers. An extractor has to tell it from the text, and
repeated lines are what deduplication meets in a crawl. Hosts lie under `.example`, the domain reserved for documents (RFC 2606).
"""

import html
from collections.abc import Mapping, Sequence

COOKIE_LINE = (
    '<div class="cookie-banner" role="dialog">We use cookies to remember your settings and to count visits. '
    '<button>Accept all</button> <button>Only necessary</button> <a href="/privacy/">Privacy notice</a></div>'
)
MATHJAX = '<script id="MathJax-script" async src="https://cdn.example/mathjax/3/tex-chtml.js"></script>'
SKIP_LINK = '<a class="skip" href="#content">Skip to main content</a>'


def manual_page(
    title: str,
    body: str,
    *,
    site: str,
    version: str,
    license: str | None,
    path: Sequence[str] = (),
    siblings: Sequence[str] = (),
    previous: str = "",
    next: str = "",
    formulas: bool = False,
    facts: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """A page of project documentation: breadcrumbs from `path`, a sidebar with `siblings`, links to the neighbours.

    `facts`: what the sidebar says of the page, name -> values as HTML.
    """
    neighbours = "".join(
        f'<a rel="{rel}" href="{name}.html">{label}: {name}</a> '
        for rel, label, name in (("prev", "Previous", previous), ("next", "Next", next))
        if name
    )
    sidebar = "\n".join(f'<li><a href="{name}.html">{name}</a></li>' for name in siblings)
    return f"""{_head(f"{title} — {site} {version} documentation", MATHJAX if formulas else "")}
{SKIP_LINK}
<header class="site-header"><a class="logo" href="/">{site}</a>
<nav class="top"><ul><li><a href="/{version}/">Home</a></li><li><a href="/{version}/tutorial/">Tutorial</a></li>
<li><a href="/{version}/reference/">API reference</a></li><li><a href="/{version}/whatsnew/">What's new</a></li>
<li><a href="/{version}/genindex.html">Index</a></li></ul></nav>
<form class="search" action="/search"><input name="q" placeholder="Quick search"><input type="submit" value="Go"></form></header>
<div class="breadcrumbs">{" » ".join(map(html.escape, (f"{site} {version}", *path, title)))}</div>
<aside class="sidebar"><h3>On this site</h3>
<ul>
{sidebar}
</ul>
<h3>This page</h3><ul><li><a href="/bugs/">Report a bug</a></li><li><a href="_sources/{title}.txt">Show source</a></li></ul>
{_facts("At a glance", facts or {})}</aside>
<main id="content" role="main">
<article>
{body}
</article>
</main>
<nav class="related">{neighbours}</nav>
{_footer(f"Copyright the {site} developers. Licence: {license or 'see the distribution'}. Last updated on 01 January 2026.")}"""


def project_page(
    name: str,
    version: str,
    body: str,
    *,
    summary: str,
    license: str | None,
    classifiers: Sequence[str],
    related: Sequence[str],
    facts: Mapping[str, Sequence[str]],
) -> str:
    """The page of one project on a package index; `facts` as in `manual_page`."""
    listed = "\n".join(f"<li>{html.escape(line)}</li>" for line in classifiers)
    others = "\n".join(f'<li><a href="/project/{other}/">{other}</a></li>' for other in related)
    return f"""{_index_head(name)}
<div class="package-header"><h1>{name} {version}</h1><p class="pip-command">pip install {name}</p>
<p class="date">Released: Jan 1, 2026</p><p class="summary">{html.escape(summary)}</p></div>
<aside class="sidebar"><h3>Navigation</h3><ul><li>Project description</li><li>Release history</li><li>Download files</li></ul>
<h3>Meta</h3><p>License: {html.escape(license or "unknown")}</p>
{_facts("Project details", facts)}
<h3>Classifiers</h3><ul>
{listed}
</ul>
<h3>People also viewed</h3><ul>
{others}
</ul></aside>
<main id="content"><div class="project-description">
{body}
</div></main>
{_footer("Developed and maintained by the community, for the community. © 2026 The package index.")}"""


def listing_page(
    title: str, summary: str, facts: Mapping[str, Sequence[str]], header: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """A page of the index about what several projects have in common; cells of `rows` are HTML."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><tr>{head}</tr>\n{body}\n</table>" if rows else ""
    return f"""{_index_head(title)}
<main id="content"><h1>{html.escape(title)}</h1><p class="summary">{html.escape(summary)}</p>
{_facts("Details", facts)}
{table}</main>
{_footer("Developed and maintained by the community, for the community. © 2026 The package index.")}"""


def reference_page(
    title: str,
    lead: str,
    facts: Mapping[str, Sequence[str]],
    lists: Mapping[str, Sequence[str]],
    *,
    site: str,
    license: str | None,
) -> str:
    """A page of a work of reference: a box of facts, a sentence, lists. Values and items are HTML, `lead` is text."""
    rows = "\n".join(
        f"<tr><th>{html.escape(name)}</th><td>{values[0] if len(values) == 1 else _items(values)}</td></tr>"
        for name, values in facts.items()
        if values
    )
    below = "\n".join(f"<h2>{html.escape(name)}</h2>\n{_items(items)}" for name, items in lists.items() if items)
    return f"""{_head(f"{title} – {site}")}
<header><nav><a href="/">{site}</a></nav> <form action="/search"><input name="q"></form></header>
<main id="content"><h1>{html.escape(title)}</h1>
<table class="infobox">
{rows}
</table>
<p>{html.escape(lead)}</p>
{below}</main>
<footer>Licence: {license or "not stated"}. <a href="/about/">About</a> <a href="/contact/">Contact</a> This site uses cookies.</footer>
</body>
</html>
"""


def _items(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _index_head(title: str) -> str:
    return f"""{_head(f"{title} · The package index")}
{SKIP_LINK}
<header class="site-header"><a class="logo" href="/">The package index</a>
<form class="search" action="/search/"><input name="q" placeholder="Search projects"><button>Search</button></form>
<nav class="top"><a href="/help/">Help</a> <a href="/sponsors/">Sponsors</a> <a href="/account/login/">Log in</a>
<a href="/account/register/">Register</a></nav></header>"""


def _facts(heading: str, facts: Mapping[str, Sequence[str]]) -> str:
    rows = "\n".join(
        f"<dt>{html.escape(name)}</dt>{''.join(f'<dd>{value}</dd>' for value in values)}"
        for name, values in facts.items()
        if values
    )
    return f'<h3>{heading}</h3>\n<dl class="facts">\n{rows}\n</dl>' if rows else ""


def error_page(path: str) -> str:
    """What a server says about a page that is not there."""
    return f"""{_head("Page not found (404)")}
<header class="site-header"><a class="logo" href="/">Home</a></header>
<main id="content"><h1>Page not found</h1><p>The requested URL {html.escape(path)} was not found on this server.</p>
<p>You may have followed an old link. Try the <a href="/search/">search</a> or go back to the <a href="/">start page</a>.</p></main>
{_footer("© 2026")}"""


def _head(title: str, script: str = "") -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="stylesheet" href="/static/site.css">{script}
</head>
<body>"""


def _footer(line: str) -> str:
    return f"""<footer class="site-footer"><ul><li><a href="/about/">About</a></li><li><a href="/contact/">Contact</a></li>
<li><a href="/terms/">Terms of use</a></li><li><a href="/privacy/">Privacy notice</a></li><li><a href="/status/">Status</a></li></ul>
<p>{html.escape(line)}</p></footer>
{COOKIE_LINE}
</body>
</html>
"""
