"""Whether a stage asks for more than its corpora hold: a repetition must be asked for, and is refused with the numbers to type otherwise.

An epoch of a corpus is one pass at the up-sampling of its buckets. What earlier stages drew from the same shards counts; documents that
were packed differently for another stage are other rows, and count anew. Documents that fill the gaps of other rows are seen as often as
those rows and count with them.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction

from curriculum.document import Document
from curriculum.schedule import StageMix, stairs
from curriculum.units import si

SLACK_ROWS = 4  # per bucket: what the golden-ratio sequence may give a source beside its share (`curriculum.mixture`)
WORTH_REPEATING = 4  # epochs that are nearly worth fresh tokens (Muennighoff et al. 2023, arXiv 2305.16264)
SHARE_UNIT = Fraction(1, 1000)  # of shares that a message says to type


def check_fillers(document: Document, index: int, mix: StageMix) -> None:
    """A filling corpus whose documents in the gaps of others are more than its share, or that has no rows to reach it."""
    told: set[str] = set()
    for part in stairs(mix.spec, mix.rows):
        filled = mix.row_shares(part.shares).filled
        for name, given in filled.items():
            share, unreachable = part.shares[name], not mix.holdings[name].own_tokens
            if name in told or not (given > share or (unreachable and share - given > SHARE_UNIT)):
                continue
            told.add(name)
            document.problem(
                ("stages", index, "mix", *([part.phase] if len(mix.spec.mix) > 1 else []), name),
                f"documents of `{name}` that fill gaps make {100 * float(given):.3g} % of the tokens, its share is {float(share):.3g}"
                f"{' here' if mix.spec.mix[part.phase].ramp else ''}{', and it has no rows of its own' if unreachable else ''}.",
                f"{'Lower' if given < share else 'Raise'} the share to {_share_to_fill(given, share):g} (the others in proportion), "
                f"or take `{name}` out of fill.",
            )


def _share_to_fill(given: Fraction, share: Fraction) -> float:
    """The share that fillers reach alone when the shares of the others scale with it: s = given * (1 - s) / (1 - share)."""
    scaled = given / (1 - share) if share < 1 else given
    return _share(scaled / (1 + scaled), math.ceil)


def check_rest(document: Document, index: int, mix: StageMix) -> None:
    """Corpora given by epochs that leave the mix no row."""
    if mix.rest > 0:
        return
    counted = {name: sum(rows) for name, rows in mix.counted.items()}
    largest = max(counted, key=lambda name: counted[name])
    needed = sum(counted.values())
    spec = mix.spec
    factor = Fraction(mix.rows - 1 - needed + counted[largest], counted[largest])
    lower = _rounded(factor * Fraction(str(spec.epochs[largest])), 2, math.floor)
    document.problem(
        ("stages", index, "epochs"),
        f"these corpora need {needed} rows, the stage has {mix.rows}: nothing is left for `mix`.",
        f"Raise tokens above {needed * spec.seq_len}"
        + (f", or lower epochs.{largest} to {lower:g}." if lower > 0 else "."),
    )


def check_epochs(
    document: Document, index: int, mix: StageMix, corpus: str, planned: int, earlier: dict[str, int]
) -> str | None:
    """Compare what a stage plans with what a corpus holds, behind the rows of earlier stages (by name). Returns a warning, if any."""
    holding, spec = mix.holdings[corpus], mix.spec
    if not (holding.known and holding.one_pass):
        return None
    drawn = planned + sum(earlier.values())
    allowed = Fraction(str(spec.epoch_cap(corpus))) * holding.one_pass
    # whole rows per bucket, and some more where the mixture gives a source a few rows beside its share
    slack = len(holding.buckets) * (1 if corpus in spec.epochs else SLACK_ROWS)
    if drawn > allowed + slack:
        _refuse(document, index, mix, corpus, planned, earlier)
    elif (seen := drawn / holding.one_pass) > WORTH_REPEATING:
        return f"stage {spec.name}: {corpus} is seen {float(seen):.1f} times; repeats beyond {WORTH_REPEATING} teach little"
    return None


def _refuse(document: Document, index: int, mix: StageMix, corpus: str, planned: int, earlier: dict[str, int]) -> None:
    holding, spec = mix.holdings[corpus], mix.spec
    before, limit = sum(earlier.values()), Fraction(str(spec.epoch_cap(corpus)))
    seen, room = (planned + before) / holding.one_pass, limit * holding.one_pass - before

    def tokens(rows: Fraction | int) -> str:
        return si(_three_digits_up(math.ceil(rows * holding.own_tokens)))

    behind = f" behind {tokens(before)} in {', '.join(earlier)}" if before else ""
    default = "" if corpus in spec.max_epochs else " (the default)"
    document.problem(
        ("stages", index, "epochs" if corpus in spec.epochs else "mix", corpus),
        f"the plan needs {tokens(planned)} tokens{behind}, `{corpus}` holds {tokens(holding.one_pass)}: "
        f"{_rounded(seen, 2, math.ceil):g} epochs, max_epochs allows {float(limit):g}{default}.",
        f"{_lower(mix, corpus, room)}, raise max_epochs.{corpus} to {_rounded(seen, 1, math.ceil):g}, "
        f"or add {tokens((seen / limit - 1) * holding.one_pass)} tokens.",
    )


def _lower(mix: StageMix, corpus: str, room: Fraction) -> str:
    """What to type so that a corpus draws at most `room` rows in this stage."""
    spec, rows = mix.spec, max(Fraction(0), room)
    if corpus in spec.epochs:
        epochs = _rounded(rows / mix.holdings[corpus].one_pass, 2, math.floor)
        return f"Lower epochs.{corpus} to {epochs:g}" if epochs else f"Take {corpus} out of epochs"
    shares = [Fraction(str(phase.shares.get(corpus, 0))) for phase in spec.mix]
    if all(share == 1 for share in shares):
        all_rows = int(rows) + sum(map(sum, mix.counted.values()))
        return f"Shorten the stage to {all_rows * spec.seq_len} tokens"
    part = Fraction(
        bisect_right(range(1, 10_001), rows, key=lambda part: _rows_at(mix, corpus, Fraction(part, 10_000))), 10_000
    )
    typed = [_share(share * part, math.floor) for share in shares]
    if not any(typed):
        return f"Take {corpus} out of the mix"
    return f"Lower the share to {', then '.join(f'{share:g}' for share in typed)}"


def _rows_at(mix: StageMix, corpus: str, part: Fraction) -> Fraction:
    """Rows of a corpus in the stage when its shares are this part of what they are, and the others grow in proportion."""
    rows = Fraction(0)
    for stair in stairs(mix.spec, mix.rows):
        share = stair.shares[corpus]
        others = (1 - part * share) / (1 - share) if share < 1 else 0
        scaled = {name: value * (part if name == corpus else others) for name, value in stair.shares.items()}
        rows += stair.rows * (part * mix.rest if share == 1 else mix.row_shares(scaled).rows[corpus])
    return rows


def _share(share: Fraction, towards: Callable[[Fraction], int]) -> float:
    """A share to type: a thousandth is exact enough, or two digits of one that is smaller than a hundredth."""
    digits = 3
    while 0 < share * 10**digits < 10:
        digits += 1
    return _rounded(share, digits, towards)


def _rounded(value: Fraction, digits: int, towards: Callable[[Fraction], int]) -> float:
    return towards(value * 10**digits) / 10**digits


def _three_digits_up(count: int) -> int:
    unit = 10 ** max(0, len(str(count)) - 3)
    return -(-count // unit) * unit
