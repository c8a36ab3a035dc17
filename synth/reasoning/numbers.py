"""Calculations with exact numbers: chains of fractions, stories, units, remainders, divisors, sums, bases."""

from collections.abc import Callable
from fractions import Fraction

from synth.draw import Stream
from synth.reasoning.calculation import Calculation, Step
from synth.reasoning.expression import Tree, exact, latex, number, parse, shown

_PEOPLE = """
Amira Boris Chen Dalia Emeka Freya Goran Hana Igor Jaya Kofi Lena Marek Nadia Oskar Priya Rosa Sanjay Tala Umar Vera Yuki
"""
PEOPLE = tuple(_PEOPLE.split())
THINGS = (
    ("crate", "crates", "[a warehouse|a depot|a harbour store]"),
    ("book", "books", "[a library|a school|a second-hand shop]"),
    ("seedling", "seedlings", "[a nursery|a garden centre]"),
    ("ticket", "tickets", "[a theatre|a box office]"),
    ("bottle", "bottles", "[a bottling plant|a cellar]"),
    ("stamp", "stamps", "[a collection|an album]"),
    ("sample", "samples", "[a laboratory|an archive]"),
    ("tile", "tiles", "[a workshop|a building site]"),
    ("letter", "letters", "[a sorting office|a post office]"),
    ("record", "records", "[a database|a register]"),
)
# In the first unit of each. SI Brochure, 9th edition; inch, foot, mile and pound of 1959; IEC 80000-13 for bytes.
UNITS: dict[str, tuple[tuple[str, Fraction], ...]] = {
    "length": (
        ("metres", Fraction(1)),
        ("kilometres", Fraction(1000)),
        ("centimetres", Fraction(1, 100)),
        ("inches", Fraction(254, 10_000)),
        ("feet", Fraction(3048, 10_000)),
        ("miles", Fraction(1_609_344, 1000)),
    ),
    "time": (
        ("seconds", Fraction(1)),
        ("minutes", Fraction(60)),
        ("hours", Fraction(3600)),
        ("days", Fraction(86_400)),
        ("weeks", Fraction(604_800)),
    ),
    "mass": (
        ("grams", Fraction(1)),
        ("kilograms", Fraction(1000)),
        ("milligrams", Fraction(1, 1000)),
        ("tonnes", Fraction(1_000_000)),
        ("pounds", Fraction(45_359_237, 100_000)),
    ),
    "data": (
        ("bytes", Fraction(1)),
        ("kibibytes", Fraction(1024)),
        ("mebibytes", Fraction(1 << 20)),
        ("kilobytes", Fraction(1000)),
        ("megabytes", Fraction(10**6)),
        ("bits", Fraction(1, 8)),
    ),
}

_CHAIN_ASK = (
    "[Compute|Evaluate|Work out|Find the exact value of|Calculate] {text}[.| as a fraction in lowest terms.| exactly.]"
)
_UNITS_ASK = (
    "[Convert {said} to {wanted}|How much is {said} in {wanted}|Express {said} in {wanted}|What is {said}, given in {wanted}]"
    "[, as an exact fraction if it is not whole|, exactly]"
)
_REMAINDER_ASK = (
    "[What is the remainder when {b}^{e} is divided by {m}?|Compute {b}^{e} mod {m}.|"
    "Find the least non-negative residue of {b}^{e} modulo {m}.|{b}^{e} leaves which remainder on division by {m}?]"
)
_GCD_ASK = (
    "[What is the greatest common divisor of {a} and {b}?|Find gcd({a}, {b}).|"
    "Which is the largest number that divides both {a} and {b}?]"
)
_LCM_ASK = (
    "[What is the least common multiple of {a} and {b}?|Find lcm({a}, {b}).|"
    "Which is the smallest positive number that both {a} and {b} divide?]"
)
_SERIES_ASK = "[What is the sum {terms}?|Add up {terms}.|Find {terms}.|A series runs {terms}. What is its sum?]"
_BASE_ASK = (
    "[Which number is {digits} in base {radix}?|What is {digits}, read in base {radix}, in decimal?|"
    "Write the base-{radix} number {digits} in base ten.]"
)


def chain(draw: Stream) -> Calculation:
    """A nested expression of fractions, worked out from the inside."""
    whole = draw.chance(40)

    def leaf() -> Tree:
        value = Fraction(draw.integer(1, 30)) if whole else Fraction(draw.integer(1, 12), draw.integer(1, 9))
        return (
            number(value) if value.denominator == 1 else Tree("/", (number(value.numerator), number(value.denominator)))
        )

    def grow(depth: int) -> Tree:
        if depth == 0 or (depth < 3 and draw.chance(25)):
            return leaf()
        sign = draw.pick(("+", "-", "*") if whole else ("+", "-", "*", "/"))
        return Tree(sign, (grow(depth - 1), grow(depth - 1)))

    tree = grow(draw.integer(2, 3))
    while not tree.args or _is_undefined(tree) or shown(tree).count(" ") + shown(tree).count("*") < 2:
        tree = grow(3)
    steps: list[Step] = []
    _work_out(tree, steps)
    text = f"${latex(tree)}$" if draw.chance(50) else f"`{shown(tree)}`"
    value = exact(tree)
    return Calculation(
        "value", draw.say(_CHAIN_ASK, {"text": text}), str(value), "number", tuple(steps), {"expression": shown(tree)}
    )


def story(draw: Stream) -> Calculation:
    """A stock that changes several times: every change an operation on the number so far."""
    one, many, place = draw.pick(THINGS)
    who, amount = draw.pick(PEOPLE), Fraction(draw.integer(20, 400))
    sentences = [
        draw.say(
            "[{who} keeps count of {place}, which|In {who}'s care is {place}. It] [holds|starts with|has] {n} {many}.",
            {"who": who, "place": draw.say(place, {}), "n": str(amount), "many": many},
        )
    ]
    tree, steps = number(amount), list[Step]()
    for _ in range(draw.integer(2, 5)):
        sentence, sign, by = _change(draw, amount, one, many)
        sentences.append(sentence)
        after = Tree(sign, (number(amount), by))
        amount, tree = exact(after), Tree(sign, (tree, by))
        say = draw.pick(("Then there are", *(["After that:"] if steps else []), "That makes", "Now the count is"))
        steps.append(Step(say, shown(after), str(amount)))
    ask = draw.say(
        "[How many {many} are there [in the end|now|after that]?|What is the count [at the end|then]?]", {"many": many}
    )
    question = " ".join([*sentences, ask])
    return Calculation("value", question, str(amount), "number", tuple(steps), {"expression": shown(tree)})


_COUNTED = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 8: "eight", 10: "ten"}


def _change(draw: Stream, amount: Fraction, one: str, many: str) -> tuple[str, str, Tree]:
    """A sentence, the sign of what it does to the stock, and by how much; the stock stays whole and positive."""
    choices = ["add", "more_than"]
    choices += ["take"] * (amount > 10)
    choices += ["double"] * (amount < 2000)
    parts = [part for part in (2, 3, 4, 5, 6, 8, 10) if amount % part == 0 and amount / part >= 2]
    choices += ["share"] * bool(parts)
    match draw.pick(choices):
        case "add":
            by = draw.integer(2, 150)
            return (
                draw.say(
                    "[Another {n} {many} [arrive|come in|are added]|A delivery brings {n} {many}].",
                    {"n": str(by), "many": many},
                ),
                "+",
                number(by),
            )
        case "more_than":
            boxes, each = draw.integer(2, 12), draw.integer(2, 24)
            text = "[Then|Later] {boxes} boxes of {each} {many} each [are delivered|are brought in|follow]."
            said = draw.say(text, {"boxes": str(boxes), "each": str(each), "many": many})
            return said, "+", Tree("*", (number(boxes), number(each)))
        case "take":
            by = draw.integer(2, int(amount) - 1)
            return (
                draw.say("[Of these, {n} are [taken away|sold|removed]|{n} of them are lost].", {"n": str(by)}),
                "-",
                number(by),
            )
        case "double":
            by = draw.integer(2, 4)
            word = {2: "doubles", 3: "triples", 4: "grows to four times what it was"}[by]
            return draw.say("[The number|The stock] [then|next] {word}.", {"word": word}), "*", number(by)
    part = draw.pick(parts)
    said = draw.say(
        "[Only one {one} in {part}|One {one} in every {part}] is kept, the others go.",
        {"one": one, "part": _COUNTED[part]},
    )
    return said, "/", number(part)


def units(draw: Stream) -> Calculation:
    """A quantity, or a rate, in other units."""
    kind = draw.pick(sorted(UNITS))
    (source, size), (target, other) = draw.sample(UNITS[kind], 2)
    amount = Fraction(draw.integer(1, 400), draw.pick((1, 1, 2, 4, 5, 10)))
    if draw.chance(40) and kind != "time":
        (per, long), (then, span) = draw.sample(UNITS["time"], 2)
        value = amount * size / other * span / long
        steps = (
            Step(
                f"In {target} per {per}:", f"{_text(amount)}*{_text(size)}/{_text(other)}", str(amount * size / other)
            ),
            Step(f"In {target} per {then}:", f"{amount * size / other}*{_text(span)}/{_text(long)}", str(value)),
        )
        said, wanted = f"{_text(amount)} {source} per {per[:-1]}", f"{target} per {then[:-1]}"
        factors = [size, other, span, long]
    else:
        value = amount * size / other
        base = UNITS[kind][0][0]
        steps = (
            Step(f"In {base}:", f"{_text(amount)}*{_text(size)}", str(amount * size)),
            Step(f"In {target}:", f"{amount * size}/{_text(other)}", str(value)),
        )
        said, wanted, factors = f"{_text(amount)} {source}", target, [size, other]
    question = draw.say(_UNITS_ASK, {"said": said, "wanted": wanted})
    mark = "?" if question.startswith(("How", "What")) else "."
    given = {"amount": str(amount), "factors": [str(factor) for factor in factors]}
    return Calculation("units", question + mark, str(value), "number", steps, given)


def remainder(draw: Stream) -> Calculation:
    """A power modulo a number, by repeated squaring."""
    base, exponent, modulus = draw.integer(2, 60), draw.integer(5, 200), draw.integer(7, 997)
    bits = bin(exponent)[2:]
    steps, result = [], 1
    power, reached = base % modulus, 1
    for place, bit in enumerate(reversed(bits)):
        if bit == "1":
            was, result = result, result * power % modulus
            quotient = was * power // modulus
            say = f"Take {base}^{reached} in ({power} mod {modulus}):"
            steps.append(Step(say, f"{was}*{power} - {quotient}*{modulus}", str(result)))
        if place < len(bits) - 1:
            squared, reached = power * power % modulus, reached * 2
            say = f"{base}^{reached} mod {modulus}, by squaring:"
            steps.append(Step(say, f"{power}^2 - {power * power // modulus}*{modulus}", str(squared)))
            power = squared
    question = draw.say(_REMAINDER_ASK, {"b": str(base), "e": str(exponent), "m": str(modulus)})
    given = {"base": str(base), "exponent": str(exponent), "modulus": str(modulus)}
    return Calculation("remainder", question, str(result), "number", tuple(steps), given)


def divisor(draw: Stream) -> Calculation:
    """The greatest common divisor by Euclid's algorithm, or the least common multiple from it."""
    common = draw.integer(1, 40)
    left, right = common * draw.integer(3, 90), common * draw.integer(3, 90)
    left, right = max(left, right), min(left, right)
    steps, high, low = list[Step](), left, right
    while low:
        steps.append(
            Step(draw.pick(("Divide:", "Next:" if steps else "", "")), f"{high}", f"{high // low}*{low} + {high % low}")
        )
        high, low = low, high % low
    if draw.chance(60):
        answer, wanted = high, "gcd"
    else:
        answer, wanted = left * right // high, "lcm"
        steps.append(Step(f"The greatest common divisor is {high}.", f"{left}*{right}/{high}", str(answer)))
    question = draw.say(_GCD_ASK if wanted == "gcd" else _LCM_ASK, {"a": str(left), "b": str(right)})
    given = {"numbers": [str(left), str(right)], "wanted": wanted}
    return Calculation("divisor", question, str(answer), "number", tuple(steps), given)


def series(draw: Stream) -> Calculation:
    """The sum of a finite arithmetic or geometric series, by its closed form."""
    first, count = draw.integer(1, 30), draw.integer(5, 40)
    if draw.chance(60):
        by = draw.integer(1, 12)
        last = first + (count - 1) * by
        shown_terms = f"{first} + {first + by} + {first + 2 * by} + ... + {last}"
        total = Fraction(count * (first + last), 2)
        steps = (
            Step("The number of terms:", f"({last} - {first})/{by} + 1", str(count)),
            Step("Their number times the mean of first and last:", f"{count}*({first} + {last})/2", str(total)),
        )
        terms = f"{first} + {by}*k"
    else:
        count, by = draw.integer(4, 9), draw.integer(2, 5)
        last = first * by ** (count - 1)
        shown_terms = f"{first} + {first * by} + {first * by * by} + ... + {last}"
        total = Fraction(first * (by**count - 1), by - 1)
        steps = (
            Step(
                f"Each term is {by} times the one before; the last one shows how many there are:",
                f"{first}*{by}^{count - 1}",
                str(last),
            ),
            Step(f"The {count} terms add up to", f"{first}*({by}^{count} - 1)/({by} - 1)", str(total)),
        )
        terms = f"{first}*{by}^k"
    given = {"term": terms, "from": "0", "to": str(count - 1)}
    return Calculation("series", draw.say(_SERIES_ASK, {"terms": shown_terms}), str(total), "number", steps, given)


def base(draw: Stream) -> Calculation:
    """A number from one base to ten, digit by digit (Horner's scheme)."""
    radix, value = draw.pick((2, 3, 5, 7, 8, 9)), draw.integer(40, 5000)
    digits, rest = "", value
    while rest:
        digits, rest = str(rest % radix) + digits, rest // radix
    steps, sofar = list[Step](), int(digits[0])
    for digit in digits[1:]:
        steps.append(
            Step(
                draw.pick(("", "Next digit:", "Then") if steps else ("", "The first two digits:")),
                f"{sofar}*{radix} + {digit}",
                str(sofar * radix + int(digit)),
            )
        )
        sofar = sofar * radix + int(digit)
    question = draw.say(_BASE_ASK, {"digits": digits, "radix": str(radix)})
    return Calculation("base", question, str(value), "number", tuple(steps), {"digits": digits, "radix": str(radix)})


FAMILIES: dict[str, Callable[[Stream], Calculation]] = {
    "chain": chain,
    "story": story,
    "units": units,
    "remainder": remainder,
    "divisor": divisor,
    "series": series,
    "base": base,
}


def _is_undefined(tree: Tree) -> bool:
    try:
        exact(tree)
    except ValueError:
        return True
    return False


def _work_out(tree: Tree, steps: list[Step]) -> Fraction:
    """The value of `tree`; a step per operation, the inner ones first."""
    if not tree.args:
        return exact(tree)
    left, right = (_work_out(arg, steps) for arg in tree.args)
    value = exact(tree)
    if not (
        tree.op == "/"
        and left.denominator == right.denominator == 1
        and value == Fraction(left, right)
        and not any(arg.args for arg in tree.args)
    ):
        steps.append(Step("", shown(Tree(tree.op, (number(left), number(right)))), str(value)))
    return value


def _text(value: Fraction) -> str:
    """As a decimal where that is exact and short."""
    decimal = f"{float(value):.10f}".rstrip("0").rstrip(".")
    return decimal if exact(parse(decimal)) == value else str(value)
