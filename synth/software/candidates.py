"""Which mutants of a repository are tried: one per function that stable tests call, by a keyed draw."""

from collections import defaultdict
from collections.abc import Iterator

from synth.evidence import keyed
from synth.software.mutate import Site, mutated, sites
from synth.software.tree import Repository
from synth.software.validate import Baseline, Mutant

LOSSY_IN = 8  # one function of so many gets an operator that cannot be undone
PAIR_IN = 12  # and one of so many two sites


def mutants(repository: Repository, found: Baseline, *, seed: int) -> Iterator[Mutant]:
    """At most one of each function, in a fixed order; each file is parsed once, when it is first needed."""
    sources = set(repository.source_files)
    places = sorted({place for called in found.calls.values() for place in called.functions if place[0] in sources})
    wanted: dict[str, list[int]] = defaultdict(list)
    for path, line in places:
        wanted[path].append(line)
    parsed: dict[str, dict[int, list[Site]]] = {}
    for path, line in sorted(places, key=lambda place: keyed(seed, repository.name, "function", *place)):
        if path not in parsed:
            parsed[path] = defaultdict(list)
            for site in sites(repository.files[path], first_lines=wanted[path]):
                parsed[path][site.first_line].append(site)
        chosen = _chosen(parsed[path][line], f"{repository.name}:{path}:{line}", seed)
        text = mutated(repository.files[path], chosen) if chosen else None
        if text is not None:
            yield Mutant(path, tuple(chosen), text)


def _chosen(available: list[Site], name: str, seed: int) -> list[Site]:
    """One site, or two: first the operator is drawn, so that rare ones are not drowned, then its place."""
    wants_lossy = keyed(seed, name, "lossy") % LOSSY_IN == 0
    of_kind = [site for site in available if site.lossy == wants_lossy]
    first = _drawn(of_kind, f"{name}:1", seed)
    if first is None:
        return []
    if wants_lossy or keyed(seed, name, "pair") % PAIR_IN:
        return [first]
    apart = [site for site in of_kind if site.end < first.start or site.start > first.end]
    second = _drawn(apart, f"{name}:2", seed)
    return [first] if second is None else sorted([first, second], key=lambda site: site.start)


def _drawn(available: list[Site], name: str, seed: int) -> Site | None:
    if not available:
        return None
    operator = min({site.operator for site in available}, key=lambda one: (keyed(seed, name, one), one))
    of_one = [site for site in available if site.operator == operator]
    return min(of_one, key=lambda site: (keyed(seed, name, site.start, site.new), site.start, site.new))
