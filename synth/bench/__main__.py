"""Synthesis measured, part by part: `python -m synth.bench PART [options]`; `all` runs every part.

Each part is a module of its own, `synth.bench.<part>`, loaded when it is asked for. Exit code 1 when a bar is missed.
"""

import importlib
import sys

PARTS = {
    "teacher": "a teacher against a server on this machine: share of the ideal throughput, and what storms cost",
}


def main(argv: list[str]) -> int:
    """Run a part with the rest of the arguments; without one, list them."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        print("\n".join(f"  {part:14} {what}" for part, what in PARTS.items()))
        return 0
    parts = list(PARTS) if argv[0] == "all" else argv[:1]
    if parts[0] not in PARTS:
        print(f"no part {argv[0]!r}: type one of {', '.join(PARTS)}, or all", file=sys.stderr)
        return 2
    if argv[0] == "all" and argv[1:]:
        print(f"`all` takes no options, got {' '.join(argv[1:])}: name one part to give it options", file=sys.stderr)
        return 2
    missed = [part for part in parts if run(part, argv[1:])]
    if argv[0] == "all":
        print(f"\nbars missed in: {', '.join(missed)}" if missed else "\nno bar missed")
    return 1 if missed else 0


def run(part: str, argv: list[str]) -> int:
    """The exit code of one part."""
    print(f"== {part}: {PARTS[part]}", flush=True)
    return int(importlib.import_module(f"synth.bench.{part}").main(argv))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
