"""Renders standard-library modules with `pydoc`, in a process of its own: python -s -S -P pydoc_worker.py < task.json

Stands alone (standard library only, no import of this project), because it imports whatever module it is told to. It reads
{"modules": [...], "max_bytes": n} and writes one JSON object per line: {"module", "html", "doc", "facts"} or {"module", "skip": reason}.
It stops early when the pages are as large as asked for.

Made to be killed: a module that raises anything but ImportError, crashes the interpreter, or runs past its time ends the process
(by the default action of SIGPROF and SIGALRM), and the parent starts the next one behind it. While it runs, the modules'
output goes nowhere, and an audit hook refuses sockets, processes and browsers.

The pages hold nothing of this machine: constants are shown only when they are plain values, object addresses and installation paths are
cut, the source link is relative to the library's folder. Layout tables of pydoc become sections, its non-breaking
spaces become paragraphs and preformatted blocks, as a site with a theme would show them.
"""

import html
import importlib
import inspect
import json
import os
import pydoc
import re
import signal
import sys
import sysconfig
from typing import Any

CPU_SECONDS = 20.0  # per module; the slowest of the library takes below 1 s
WALL_SECONDS = 120.0  # per module, for one that sleeps or waits
PAGE_OVERHEAD_BYTES = 4_000  # of navigation around each page
FORBIDDEN_EVENTS = (
    "socket.connect",
    "socket.bind",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "webbrowser.open",
)
DOCUMENTATION = re.compile(r'<span class="code">(.*?)</span>', re.DOTALL)
IMPORT = re.compile(r"^(?:import|from) +([a-z][\w.]*)", re.MULTILINE)
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
STDLIB = sysconfig.get_path("stdlib")
MACHINE_PATHS = ((STDLIB, "Lib"), (sys.executable, "python"), (sys.prefix, "/usr"), (sys.exec_prefix, "/usr"))


class SitePages(pydoc.HTMLDoc):
    """pydoc's pages in plain sections, free of what belongs to this machine."""

    def heading(self, title: str, extras: str = "") -> str:
        return f'<div class="module-head"><h1>{title}</h1><p class="links">{extras}</p></div>\n'

    def section(
        self,
        title: str,
        cls: str,
        contents: str,
        width: int = 6,
        prelude: str = "",
        marginalia: Any = None,
        gap: str = "",
    ) -> str:
        return f'<section class="{cls}">\n<h2>{title}</h2>\n{prelude}\n{contents}\n</section>\n'

    def multicolumn(self, list: Any, format: Any) -> str:  # pydoc's names
        return '<ul class="columns">' + "".join(f"<li>{format(item)}</li>\n" for item in list) + "</ul>"

    def filelink(self, url: str, path: str) -> str:
        source = os.path.relpath(path, STDLIB).replace(os.sep, "/")
        return f'<a href="https://source.python.example/Lib/{source}">Lib/{source}</a>'

    def preformat(self, text: str) -> str:
        return str(self.escape(text.expandtabs()))

    def docother(self, object: Any, name: Any = None, mod: Any = None, *ignored: Any) -> str:
        """A constant with its value where that is a plain one; environment, paths and objects show their name alone."""
        plain = object is None or type(object) in (bool, int, float, complex, str, bytes)
        shown = plain and not (isinstance(object, str) and os.sep in object)
        return f"<strong>{name}</strong>" + (f" = {self.repr(object)}" if shown else "")

    def body(self, module: Any, name: str) -> str:
        rendered = DOCUMENTATION.sub(lambda match: blocks(match[1]), self.document(module, name))
        for here, shown in MACHINE_PATHS:
            rendered = rendered.replace(here, shown)
        return ADDRESS.sub("", rendered)


def blocks(text: str) -> str:
    """Marked-up plain text as paragraphs and preformatted blocks (indented lines, doctests, tables)."""
    parts = []
    for block in re.split(r"\n(?:[ \t]*\n)+", text.replace("<br>&nbsp;", "").strip("\n")):
        if not block.strip():
            continue
        literal = block.startswith((" ", "&gt;&gt;&gt;", "===", "---")) or "\n  " in block
        parts.append(f"<pre>{block}</pre>" if literal else f"<p>{block}</p>")
    return "\n".join(parts)


def refuse(event: str, args: tuple[Any, ...]) -> None:
    if event in FORBIDDEN_EVENTS:
        raise PermissionError(f"{event} is not allowed while pages are rendered")


def facts(module: Any) -> dict[str, Any]:
    """What can be counted of a module: its source, and what it defines under public names."""
    source = _source(module)
    own = [
        thing for name, thing in vars(module).items() if not name.startswith("_") and _home(thing) == module.__name__
    ]
    classes = [thing for thing in own if isinstance(thing, type)]
    errors = sorted({thing.__name__ for thing in classes if issubclass(thing, BaseException)})
    return {
        "lines": source.count("\n"),
        "imports": sorted(set(IMPORT.findall(source))),
        "classes": len(classes) - len(errors),
        "functions": sum(inspect.isroutine(thing) for thing in own),
        "errors": errors,
        "exported": len(exported) if isinstance(exported := getattr(module, "__all__", None), (list, tuple)) else 0,
        "is_package": hasattr(module, "__path__"),
    }


def _home(thing: Any) -> Any:
    return getattr(thing, "__module__", None) if isinstance(thing, type) or inspect.isroutine(thing) else None


def _source(module: Any) -> str:
    """Of the Python file of a module, "" for one that has none."""
    path = getattr(module, "__file__", None) or ""
    if not path.endswith(".py"):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def page(name: str) -> dict[str, Any]:
    """The rendered module, or why there is none here."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return {"module": name, "skip": "not importable on this platform"}
    summary = (inspect.getdoc(module) or "").partition("\n")[0]
    return {"module": name, "doc": html.escape(summary), "html": SitePages().body(module, name), "facts": facts(module)}


def main() -> None:
    task = json.load(sys.stdin)
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    devnull = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(devnull, descriptor)
    sys.addaudithook(refuse)
    written = 0
    for name in task["modules"]:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
        result = page(name)
        written += len(result.get("html", "")) + PAGE_OVERHEAD_BYTES * ("html" in result)
        results.write(json.dumps(result) + "\n")
        results.flush()
        if written >= task["max_bytes"]:
            break


if __name__ == "__main__":
    main()
