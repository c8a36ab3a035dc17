"""Reads the stages of a manifest and finds every mistake that can be seen without data, each with its line.

Shares are decimal text: they are summed as exact fractions, and 0.333 three times is not 1. Not covered: what the data can give
(`curriculum.caps` compares that with what was measured).
"""

from collections.abc import Mapping
from fractions import Fraction

from curriculum.document import Where
from curriculum.fields import Fields, did_you_mean
from curriculum.ramp_fields import load_setting
from curriculum.stages import MixPhase, StageSpec

PACKS = ("concat", "best_fit")
LEARN = ("spans", "all")
SHARED = ("generator", "author")  # what `max_share` can bound
STAGE_KEYS = (
    "name",
    "tokens",
    "seq_len",
    "pack",
    "batch_tokens",
    "mix",
    "epochs",
    "max_epochs",
    "fill",
    "together",
    "max_share",
    "rope_base",
    "bias_rate",
    "mtp_weight",
    "learn",
)


def load_stages(fields: Fields, corpora: set[str]) -> tuple[StageSpec, ...]:
    """The stages of a manifest; mistakes are remembered in its document."""
    stages = fields.get(("stages",))
    if not isinstance(stages, list) or not stages:
        fields.document.problem(("stages",), "is empty.", "A curriculum has at least one stage.")
        return ()
    loaded = tuple(_load_stage(fields, index, corpora) for index in range(len(stages)))
    names = [stage.name for stage in loaded]
    for index, name in enumerate(names):
        if name in names[:index]:
            fields.document.problem(
                ("stages", index, "name"),
                f"{name!r} is the name of stages[{names.index(name)}] already.",
                f"Name it differently, for example {name}_{names[: index + 1].count(name)}.",
            )
    return loaded


def _load_stage(fields: Fields, index: int, corpora: set[str]) -> StageSpec:
    at: Where = ("stages", index)
    fields.keys(at, STAGE_KEYS, required=("name", "tokens", "seq_len", "pack", "batch_tokens", "mix"))
    seq_len, tokens = fields.count((*at, "seq_len"), 1, least=1), fields.count((*at, "tokens"), 0, least=1)
    batch_from, batch_to, batch_over = _load_batch(fields, (*at, "batch_tokens"), seq_len)
    mix = _load_mix(fields, (*at, "mix"), corpora, tokens, seq_len)
    epochs = _load_epochs(fields, at, corpora, mix)
    spec = StageSpec(
        name=str(fields.get((*at, "name"))),
        tokens=tokens,
        seq_len=seq_len,
        pack=fields.choice((*at, "pack"), PACKS),
        batch_from=batch_from,
        batch_to=batch_to,
        batch_over=batch_over,
        mix=mix,
        epochs=epochs,
        max_epochs=_load_numbers(fields, (*at, "max_epochs")),
        fill=_load_names(fields, (*at, "fill")),
        together=_load_names(fields, (*at, "together")),
        rope_base=fields.number((*at, "rope_base"), 10_000.0),
        bias_rate=load_setting(fields, (*at, "bias_rate"), 0.001, tokens),
        mtp_weight=load_setting(fields, (*at, "mtp_weight"), 0.3, tokens),
        learn=fields.choice((*at, "learn"), LEARN, "spans"),
        max_share=_load_max_share(fields, (*at, "max_share")),
    )
    _check_caps(fields, (*at, "max_epochs"), spec)
    _check_packing(fields, at, spec)
    return spec


def _load_batch(fields: Fields, where: Where, seq_len: int) -> tuple[int, int, int]:
    """Tokens per step at the start, at the end of the ramp, and the tokens of the ramp."""
    if isinstance(fields.get(where), Mapping):
        fields.keys(where, ("from", "to", "over"), required=("from", "to", "over"))
        first, last, over = (fields.count((*where, key), seq_len) for key in ("from", "to", "over"))
    else:
        first = last = fields.count(where, seq_len)
        over = 0
    for value in sorted({first, last}):
        _check_batch(fields, where, value, seq_len)
    return first, last, over


def _check_batch(fields: Fields, where: Where, batch: int, seq_len: int) -> None:
    if batch and batch % seq_len == 0:
        return
    below = batch // seq_len
    choices = " or ".join(
        f"{rows * seq_len} ({rows} row{'s' if rows > 1 else ''})" for rows in (below, below + 1) if rows
    )
    fields.document.problem(
        where, f"{batch} tokens is not a whole number of {seq_len}-token rows ({batch / seq_len:g}).", f"Use {choices}."
    )


def _load_mix(fields: Fields, where: Where, corpora: set[str], tokens: int, seq_len: int) -> tuple[MixPhase, ...]:
    value, document = fields.get(where), fields.document
    phases: tuple[MixPhase, ...]
    places: tuple[Where, ...]
    known_problems = len(document.problems)
    if isinstance(value, Mapping) and value:
        phases, places = (MixPhase(tokens, _load_shares(fields, where, corpora)),), (where,)
    elif isinstance(value, list) and value:
        phases, places = _load_phases(fields, where, corpora, tokens, seq_len)
    else:
        document.problem(where, "names no corpus.", "Write `mix: {web: 0.8, code: 0.2}`.")
        return ()
    if len(document.problems) > known_problems:
        return phases
    for name in dict.fromkeys(name for phase in phases for name in phase.shares):
        if not any(phase.shares.get(name, 0.0) for phase in phases):
            place = next(place for phase, place in zip(phases, places, strict=True) if name in phase.shares)
            throughout = " in every phase" if len(phases) > 1 else ""
            document.problem(
                (*place, name), f"a share of 0{throughout} is nothing.", "Remove it, or give it a positive share."
            )
    return phases


def _load_phases(
    fields: Fields, where: Where, corpora: set[str], tokens: int, seq_len: int
) -> tuple[tuple[MixPhase, ...], tuple[Where, ...]]:
    """The phases of a mix, and where the shares of each stand."""
    phases: list[MixPhase] = []
    places: list[Where] = []
    count, known_problems = len(fields.get(where)), len(fields.document.problems)
    for index in range(count):
        at, last, left = (*where, index), index == count - 1, tokens - sum(phase.tokens for phase in phases)
        fields.keys(at, ("over", "shares", "ramp_to"), required=() if last else ("over",))
        keys = [key for key in ("shares", "ramp_to") if fields.get((*at, key)) is not None]
        # Of what only follows from a mistake nothing is said.
        is_sound = tokens and len(fields.document.problems) == known_problems
        if is_sound and len(keys) != 1:
            fields.document.problem(
                at,
                f"has {'both `shares` and `ramp_to`' if keys else 'neither `shares` nor `ramp_to`'}.",
                "Write `shares: {...}` for shares that hold, or `ramp_to: {...}` for shares that are reached at the end of the phase.",
            )
        elif is_sound and keys == ["ramp_to"] and not index:
            fields.document.problem(
                (*at, "ramp_to"),
                "the first phase of a stage has no shares to start from.",
                "Write `shares` here, or a phase `{over: ..., shares: {...}}` before it.",
            )
        over = fields.count((*at, "over"), left)
        places.append((*at, *keys[:1]))
        shares = _load_shares(fields, places[-1], corpora) if keys else {}
        phases.append(MixPhase(over, shares, ramp=keys == ["ramp_to"]))
        if is_sound:
            _check_length(fields, at, over, left, last=last, seq_len=seq_len)
    return tuple(phases), tuple(places)


def _check_length(fields: Fields, at: Where, over: int, left: int, *, last: bool, seq_len: int) -> None:
    """A phase against what the phases before have left of the stage's tokens."""
    here = (*at, "over")
    if left < seq_len:
        fields.document.problem(
            at,
            f"nothing of the stage is left for this phase: {max(0, left)} tokens.",
            "Shorten a phase before it, or remove it.",
        )
    elif over < seq_len:
        fields.document.problem(
            here, f"{over} tokens are less than one row.", f"Write at least {seq_len}, or remove the phase."
        )
    elif last and over != left:
        fields.document.problem(
            here,
            f"the phases end {abs(left - over)} tokens {'before' if over < left else 'behind'} the stage.",
            f"Write {left}, or leave `over` out: the last phase then takes the rest.",
        )
    elif not last and over > left:
        fields.document.problem(
            here, f"{over} tokens are more than the {left} that the stage has left.", f"Write less than {left}."
        )


def _load_shares(fields: Fields, where: Where, corpora: set[str]) -> dict[str, float]:
    value, document = fields.get(where), fields.document
    if not isinstance(value, Mapping) or not value:
        document.problem(where, "names no corpus.", "Write shares of corpora, `{web: 0.8, code: 0.2}`.")
        return {}
    known_problems = len(document.problems)
    shares = _load_numbers(fields, where)
    for name, share in shares.items():
        if name not in corpora:
            document.problem((*where, name), "is not a corpus of this manifest.", did_you_mean(name, corpora))
        if share < 0:
            document.problem((*where, name), f"a share of {share:g} is less than nothing.", "Write 0 or more.")
    total = sum((Fraction(str(share)) for share in shares.values()), Fraction(0))
    if total != 1 and len(document.problems) == known_problems:
        largest = max(shares, key=lambda name: shares[name])
        fixed = Fraction(str(shares[largest])) + 1 - total
        remedies = [f"set {largest} to {float(fixed):.12g}"] if fixed > 0 else []
        remedies += [f"divide all by {float(total):.12g}"] if total else []
        remedy = f"{', or '.join(remedies).capitalize()}."
        document.problem(where, f"the shares sum to {float(total):.12g}, not 1.", remedy)
    return shares


def _load_numbers(fields: Fields, where: Where) -> dict[str, float]:
    """A mapping of corpora to numbers; empty when it is not there."""
    value = fields.get(where)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        fields.document.problem(where, f"is {value!r}, not a mapping.", "Write a number for each corpus, `{web: 2}`.")
        return {}
    for name, number in value.items():
        if number is None:
            fields.document.problem((*where, name), "has no number.", f"Write `{name}: ` and one, or remove it.")
    return {name: fields.number((*where, name), 1.0) for name in value}  # 1: of a mistake no other should follow


def _load_max_share(fields: Fields, where: Where) -> dict[str, dict[str, float]]:
    """Bounds of the share of generators and of authors; which of them there are, the plan knows."""
    if fields.get(where) is None:
        return {}
    fields.keys(where, SHARED)
    bounds = {key: _load_numbers(fields, (*where, key)) for key in SHARED if fields.get((*where, key)) is not None}
    for key, named in bounds.items():
        for name, share in named.items():
            if not 0 <= share <= 1:
                fields.document.problem((*where, key, name), f"{share:g} is no share.", "Write 0 to 1, such as 0.1.")
    return bounds


def _load_names(fields: Fields, where: Where) -> tuple[str, ...]:
    value = fields.get(where)
    if value is None:
        return ()
    if not isinstance(value, list):
        example = value if isinstance(value, str) else "web"
        fields.document.problem(where, f"is {value!r}, not a list of corpora.", f"Write `{where[-1]}: [{example}]`.")
        return ()
    return tuple(dict.fromkeys(str(name) for name in value))


def _load_epochs(fields: Fields, at: Where, corpora: set[str], mix: tuple[MixPhase, ...]) -> dict[str, float]:
    where: Where = (*at, "epochs")
    epochs = _load_numbers(fields, where)
    for name, wanted in epochs.items():
        if name not in corpora:
            fields.document.problem((*where, name), "is not a corpus of this manifest.", did_you_mean(name, corpora))
        elif any(name in phase.shares for phase in mix):
            fields.document.problem(
                (*where, name),
                "stands in `mix` too: a corpus is given by share or by epochs, not both.",
                "Remove one; the shares of `mix` are then of the rest of the stage.",
            )
        if wanted <= 0:
            fields.document.problem(
                (*where, name), f"{wanted:g} epochs are nothing.", "Remove it, or write more than 0."
            )
    return epochs


def _check_caps(fields: Fields, where: Where, spec: StageSpec) -> None:
    for name, limit in spec.max_epochs.items():
        if name not in spec.corpora:
            fields.document.problem((*where, name), "is not a corpus of this stage.", did_you_mean(name, spec.corpora))
        elif limit <= 0:
            fields.document.problem(
                (*where, name), f"{limit:g} epochs are nothing.", "Write more than 0, or leave the corpus out."
            )
        elif limit < (wanted := spec.epochs.get(name, 0.0)):
            fields.document.problem(
                (*where, name),
                f"allows {limit:g}, and `epochs` asks for {wanted:g}.",
                f"Raise it to {wanted:g}, or lower epochs.{name} to {limit:g}.",
            )


def _check_packing(fields: Fields, at: Where, spec: StageSpec) -> None:
    """`fill` and `together`: what best_fit can do, for corpora of the stage."""
    document = fields.document
    for key, names in (("fill", spec.fill), ("together", spec.together)):
        where: Where = (*at, key)
        if names and spec.pack == "concat":
            document.problem(
                where,
                "cannot be had with `pack: concat`, which joins and cuts.",
                "Write `pack: best_fit`, or remove it.",
            )
        for name in names:
            if name not in spec.corpora:
                document.problem(where, f"{name!r} is not a corpus of this stage.", did_you_mean(name, spec.corpora))
    for name in spec.fill:
        if name in spec.epochs:
            document.problem(
                (*at, "fill"),
                f"{name!r} is given by epochs: all its rows are learned, so its documents stay in them.",
                "Give it a share in `mix`, or take it out of `fill`.",
            )
        if name in spec.together:
            document.problem(
                (*at, "fill"),
                f"{name!r} stands in `together` too: its documents cannot leave each other.",
                "Remove one.",
            )
    if spec.fill and spec.corpora and set(spec.corpora) <= set(spec.fill):
        document.problem(
            (*at, "fill"),
            "names every corpus of the stage: no other rows are left whose gaps could be filled.",
            f"Take one out, for example {spec.corpora[0]}.",
        )
