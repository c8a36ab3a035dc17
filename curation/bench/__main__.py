"""Curation measured, ours beside its peers, part by part: `python -m curation.bench PART [options]`; `all` runs every part.

Each part is a module of its own, `curation.bench.<part>`, loaded when it is asked for. Peers run in an environment of their own, which
`make bench-peers` sets up. Exit code 1 when a bar is missed. Figures are per CPU second: wall time says little on a busy machine.
"""

import importlib
import sys

PARTS = {
    "dedup": "exact and fuzzy deduplication end to end: rate, recall by similarity, documents lost, beside five peers",
    "scale": "deduplication of up to a million documents: growth, peak of memory, skew",
    "minhash": "signatures alone, beside datasketch",
    "rules": "text rules: rate and the same decisions as datatrove",
    "extract": "text of HTML pages, beside other extractors",
    "language": "language identification: accuracy and rate",
    "decontaminate": "benchmark items found in text, and text that is none",
    "quality": "quality scores against people's judgement",
    "code": "rules and quality models of source code: rates beside peers, and spoiled files told from whole ones",
    "semantic": "template pages that fuzzy deduplication leaves",
}


def main(argv: list[str]) -> int:
    """Run a part with the rest of the arguments; without one, list them."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__)
        print("\n".join(f"  {part:14} {what}" for part, what in PARTS.items()))
        return 0
    if argv[0] == "all":
        if argv[1:]:
            print(
                f"`all` takes no options, got {' '.join(argv[1:])}: name one part to give it options", file=sys.stderr
            )
            return 2
        missed = [part for part in PARTS if run(part, [])]
        print(f"\nbars missed in: {', '.join(missed)}" if missed else "\nno bar missed")
        return 1 if missed else 0
    if argv[0] not in PARTS:
        print(f"no part {argv[0]!r}: type one of {', '.join(PARTS)}, or all", file=sys.stderr)
        return 2
    return run(argv[0], argv[1:])


def run(part: str, argv: list[str]) -> int:
    """The exit code of one part."""
    print(f"== {part}: {PARTS[part]}", flush=True)
    return int(importlib.import_module(f"curation.bench.{part}").main(argv))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
