"""Which embedding and which distance find template pages and leave other documents alone: `python -m curation.bench semantic`.

Templates: pages made from ten patterns of our own (weather, products, jobs, ...) with other names, numbers and a choice of sentences,
orders of a shop filled into one page (tau-bench's data), and, where they are installed, the manual pages of one command line tool whose
commands share their last word. MinHash finds few of them: the table says how many. Distinct: web pages, encyclopedia entries, news,
questions, handbook paragraphs in three languages, manual pages, docstrings, at most `--each` of a kind, without those MinHash would
remove. A distinct document that goes counts as wrong even where it is a near relative in truth, so the last column is an upper bound.

The folder of real data is `--data`; what is not there is left out and said. `--export FILE` writes the texts, one JSON object a line, and
`--vectors FILE` reads a matrix (.npy, one row per line) made from them by any other model, and measures it as a further row.
"""

import argparse
import calendar
import gzip
import json
import random
import re
import sysconfig
import tarfile
import time
import zoneinfo
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from curation.dedup import embed, kmeans, semantic
from curation.dedup.minhash import signatures
from datapipe.schema import documents, with_column

WRONG = (0.0025, 0.005, 0.01, 0.02)  # shares of distinct documents that may go
VARIANTS: tuple[dict[str, Any], ...] = (
    {"trained": 0.0, "common": 1},
    {"trained": 0.0, "common": 3},
    {"trained": 0.1, "common": 1},
    {"trained": 0.3, "common": 1},
    {"trained": 1.0, "common": 1},
)
# A pattern's sentences; {c} a place, {n} a number, {m} a month, {p} a person, {w} a word. A page has the first and most of the others.
PATTERNS: dict[str, str] = {
    "weather": """Weather in {c} today, {n} {m}. The current temperature in {c} is {n} degrees with a humidity of {n}
percent. Expect winds of up to {n} km/h from the direction of {c} during the afternoon. The chance of rain is {n}
percent, so take an umbrella if you go out after {n} o'clock. Sunrise is at {n}:{n} and sunset at {n}:{n} local time.
Pollen levels are {w} today for people with allergies. Our seven day forecast for {c} is updated every {n} minutes.
Compare the climate of {c} with that of {c} and plan your trip. Sign up for free storm alerts by text message. Share
this forecast with your friends and family.""",
    "product": """Buy the {w} {n} online at the best price. The {w} {n} is our most popular model, with a capacity of
{n} litres and a power of {n} watts. It weighs only {n} kg and comes in {n} colours. Order before {n} pm and we will
ship your {w} the same day from our warehouse in {c}. All of our products come with a {n} month warranty and free
returns. Customers who bought this item also looked at the {w} {n} and the {w} {n}. Average rating: {n} out of 5 stars
from {n} reviews. Add to cart, add to wish list or compare with similar items.""",
    "job": """{w} engineer wanted in {c}. Our client, a leading company in the {w} industry, is looking for a {w}
engineer to join the team in {c}. You will report to {p} and work with {n} colleagues on {w} and {w}. We expect at
least {n} years of experience and a good knowledge of {w}. The salary is between {n} and {n} thousand a year depending
on your experience. We offer {n} days of holiday, a pension scheme and flexible working hours. Please send your
application with a covering letter to {p} before the {n} of {m}. We are an equal opportunity employer and welcome all
applicants. Click apply now to start your application.""",
    "house": """House for sale in {c}: {n} bedrooms, {n} bathrooms. This charming property in the heart of {c} was
built in {n} and has a living area of {n} square metres. The garden measures {n} square metres and faces the hills of
{c}. The kitchen was renovated in {n} by {p}. Schools and shops are within {n} minutes on foot, and the station of {c}
is {n} km away. The asking price is {n} thousand. Contact our agent {p} to arrange a viewing. All measurements are
approximate and should not be relied on. Calculate your monthly mortgage payments here.""",
    "hotel": """Hotel {p} in {c}: book now and save {n} percent. Located {n} metres from the centre of {c}, Hotel {p}
offers {n} rooms with free wireless internet and a view of {c}. Breakfast is served from {n} to {n} and costs {n} per
person. Guests enjoy the {w} bar, the {w} lounge and the indoor pool on floor {n}. The airport of {c} can be reached
in {n} minutes. Check in is from {n}:00 and check out until {n}:00. Pets are welcome at an extra charge of {n}. We
compare prices from hundreds of travel sites so you do not have to. Read {n} verified reviews.""",
    "match": """{c} beat {c} by {n} to {n}. The home side took the lead in minute {n} when {p} scored after a pass
from {p}. {c} answered in minute {n}, but {p} saw the red card shortly before half time. A crowd of {n} watched the
game at the stadium of {c}. Coach {p} said after the match that he was proud of the team. {c} now have {n} points from
{n} games and face {c} on the {n} of {m}. Tickets for the next home game are on sale now. Follow our live ticker and
never miss a goal again.""",
    "people": """Find {p} in {c}: phone number, address and more. We found {n} public records for {p} in {c}, aged
between {n} and {n}. {p} has lived in {c}, {c} and {c}. Possible relatives include {p} and {p}. The most recent
address of {p} is {n} {w} street in {c}. Run a full background check to see court records, property records and more.
Our database holds {n} million records and is updated on the {n} of every month. This site may not be used to decide
about credit, insurance or employment. Remove my listing from this site.""",
    "town": """{c} is a town with {n} inhabitants. At the census of {n} there were {n} people, {n} households and {n}
families living in {c}. The population density was {n} people per square kilometre. There were {n} housing units at an
average density of {n}. The median income for a household in {c} was {n} thousand, and the median income for a family
was {n} thousand. About {n} percent of families were below the poverty line. The mayor of {c} is {p}, elected in {n}.
The nearest large city is {c}, about {n} km away.""",
    "parts": """Error code {n} on your {w} {n}: what it means and how to fix it. If your {w} {n} shows the code {n},
the {w} sensor has found a voltage below {n} volts. Switch the machine off and wait for {n} minutes before you open
it. Check the {w} cable and the {w} connector for damage. If the code comes back, replace part {n}, which you can
order from our shop in {c}. This repair takes about {n} minutes and needs no special tools. {p} asked this question in
{m} and {n} readers found the answer helpful. Always disconnect the power before you start work.""",
    "recipe": """{p} shares a recipe for {w} soup as they make it in {c}. This {w} soup serves {n} people and is ready
in {n} minutes. Take {n} grams of {w} and {n} cups of water and bring everything to the boil. Reduce the heat and
leave it for {n} minutes, stirring now and then. Add {n} spoons of {w} and season with salt and pepper. Each portion
has {n} calories and {n} grams of fat. It keeps in the fridge for {n} days. If you made this recipe, please leave a
comment and a rating below. Print this recipe or save it to your collection.""",
}
MONTHS = calendar.month_name[1:]


class Corpus(NamedTuple):
    """Documents with the family of template pages each belongs to, "" for one like no other."""

    texts: list[str]
    families: np.ndarray  # of str
    kinds: np.ndarray  # of str


def pages(count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """(pattern's name, page): `count` pages of every pattern."""
    rng = random.Random(seed)
    places = sorted({zone.split("/")[-1].replace("_", " ") for zone in zoneinfo.available_timezones() if "/" in zone})
    stems = sorted({file.stem for file in Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py")})
    for name, pattern in sorted(PATTERNS.items()):
        first, *others = re.split(r"(?<=[.:!]) ", " ".join(pattern.split()))
        for _ in range(count):
            chosen = [first, *(sentence for sentence in others if rng.random() < 0.85)]
            fill = {
                "c": lambda: rng.choice(places),
                "n": lambda: str(rng.randrange(2, 10 ** rng.randrange(1, 4) * 5)),
                "m": lambda: rng.choice(MONTHS),
                "p": lambda: f"{rng.choice(places)} {rng.choice(stems)}".title(),
                "w": lambda: rng.choice(stems),
            }
            yield name, re.sub(r"\{(\w)\}", lambda slot, fill=fill: fill[slot[1]](), " ".join(chosen))  # type: ignore[misc]


def orders(data: Path, count: int) -> Iterator[tuple[str, str]]:
    """("orders", page) for real orders of a shop."""
    file = data / "tooluse/tau-bench/tau_bench/envs/retail/data/orders.json"
    for order in sorted(json.loads(file.read_text()).values(), key=lambda order: order["order_id"])[:count]:
        items = [
            f"{item['name']} ({', '.join(map(' '.join, item['options'].items()))}), number {item['item_id']}: {item['price']}"
            for item in order["items"]
        ]
        yield (
            "orders",
            f"Order {order['order_id']} of customer {order['user_id']}\nThank you for shopping with us! Your order is now "
            f"{order['status']}. We deliver to {', '.join(order['address'].values())}.\n" + "\n".join(items) + "\n"
            "Questions about your order? Call us from Monday to Friday and have the number of the order at hand. Returns are free "
            "within thirty days if the item is unused and in its original packaging.",
        )


def manual_families(folder: Path, count: int) -> Iterator[tuple[str, str]]:
    """(last word of the command, page): commands of one tool that do the same to different things."""
    families: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("man1/gcloud_*")):
        if not file.name.startswith(("gcloud_alpha", "gcloud_beta")):
            families.setdefault(file.name.split(".")[0].split("_")[-1], []).append(file)
    for name, files in sorted(families.items()):
        if len(files) >= count:
            yield from ((name, _manual(file)) for file in random.Random(name).sample(files, count))


def distinct(data: Path, manuals: Path, each: int) -> Iterator[tuple[str, str]]:
    """(kind, text) of documents like no other, at most `each` per kind, those with the smallest draws."""
    found: dict[str, list[str]] = {}
    lines = {
        "web": ("quality/dclm_human_labels.jsonl.gz", ("text",)),
        "entries": ("multihop/2wiki_corpus.jsonl.gz", ("text",)),
        "questions": ("evals/gsm8k_train_0-2000.jsonl.gz", ("question", "answer")),
        "handbook": ("langid/handbook_paragraphs.jsonl.gz", ("text",)),
    }
    for kind, (name, fields) in lines.items():
        if (data / name).is_file():
            with gzip.open(data / name, "rt") as file:
                rows = [json.loads(line) for line in file]
            found[kind] = [
                " ".join(row[f] for f in fields) for row in rows if row.get("lang", "en")[:2] in ("en", "fr", "zh")
            ]
    if (data / "neardup/mccormick.train.gz").is_file():
        with gzip.open(data / "neardup/mccormick.train.gz", "rt") as file:
            found["news"] = [line.split(" ", 1)[1] for line in file]
    if (data / "wiki/sqlite3-doc.tar.gz").is_file():
        with tarfile.open(data / "wiki/sqlite3-doc.tar.gz") as archive:
            members = [member for member in archive if re.fullmatch(r"[^/]+/[^/]+\.html", member.name)]
            found["docs"] = [re.sub(r"<[^>]*>", " ", archive.extractfile(m).read().decode()) for m in members]  # type: ignore[union-attr]
    found["manuals"] = [_manual(file) for file in sorted(manuals.glob("man[378]/*"))]
    found["code"] = [file.read_text() for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]
    for kind, texts in found.items():
        texts = [" ".join(text.split())[:6_000] for text in texts]
        texts = [text for text in texts if len(text) >= 200]
        yield from ((kind, text) for text in random.Random(kind).sample(texts, min(each, len(texts))))


def corpus(data: Path, manuals: Path, each: int, count: int) -> Corpus:
    """Template pages first; of the distinct documents those that MinHash leaves."""
    templates = [(f"pattern {family}", text, "patterns") for family, text in pages(count)]
    if data.is_dir():
        templates += [(family, text, "orders") for family, text in orders(data, 4 * count)]
    templates += [(f"manual {family}", text, "commands") for family, text in manual_families(manuals, count)]
    others = [("", text, kind) for kind, text in distinct(data, manuals, each)]
    kept = ~removed_by_minhash([text for _, text, _ in others], 0.5)
    rows = templates + [row for row, keep in zip(others, kept.tolist(), strict=True) if keep]
    families, texts, kinds = zip(*rows, strict=True)
    return Corpus(list(texts), np.array(families), np.array(kinds))


def removed_by_minhash(texts: Sequence[str], similarity: float) -> np.ndarray:
    """bool (D,): is the estimated Jaccard similarity to an earlier one that stays as high as that?"""
    signature_DK = signatures(pa.array(texts, pa.large_string()))
    gone_D = np.zeros(len(texts), bool)
    for row in range(1, len(texts)):
        same = (signature_DK[:row][~gone_D[:row]] == signature_DK[row]).mean(axis=1)
        gone_D[row] = same.max(initial=0) >= similarity
    return gone_D


def embedded(docs: pa.Table, **params: Any) -> pa.Table:
    """The documents with their `embedding`, as the engine would give it to them."""
    return embed.apply(docs, embed.merge([embed.reduce(embed.emit(docs))], **params))


def removed(docs: pa.Table, distance: float, centroids: int = 1) -> np.ndarray:
    """bool (D,): who goes at this distance."""
    found = kmeans.merge([kmeans.reduce(kmeans.emit(docs))], centroids=centroids)
    sent = semantic.emit(kmeans.apply(docs, found))
    rows = sent.rename_columns(["doc" if name == "row" else name for name in sent.column_names])
    gone = semantic.judge(with_column(rows, "doc", rows["doc"].cast(pa.uint64())), max_cosine_distance=distance)
    gone_D = np.zeros(docs.num_rows, bool)
    gone_D[gone["doc"].to_numpy().astype(np.int64)] = True
    return gone_D


def measure(gone_D: np.ndarray, of: Corpus) -> dict[str, float]:
    """Per kind of template the share of superfluous pages (all but one of each family) that go, and of distinct documents that go."""
    shares = {}
    for kind in dict.fromkeys(of.kinds[of.families != ""].tolist()):
        mine = of.kinds == kind
        shares[kind] = float(gone_D[mine].sum() / (mine.sum() - len(set(of.families[mine].tolist()))))
    return {**shares, "distinct": float(gone_D[of.families == ""].mean())}


def main(argv: Sequence[str] | None = None) -> int:
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data", help="folder of real data")
    parser.add_argument("--manuals", type=Path, default=Path("/usr/share/man"), help="folder of manual pages")
    parser.add_argument("--each", type=int, default=300, help="distinct documents of a kind (default 300)")
    parser.add_argument("--pages", type=int, default=20, help="pages of a template (default 20)")
    parser.add_argument("--export", type=Path, help="write the texts to this file and stop")
    parser.add_argument("--vectors", type=Path, help="a matrix of another model's embeddings of these texts, .npy")
    arguments = parser.parse_args(argv)
    if not arguments.data.is_dir():
        print(f"no real data at {arguments.data}: patterns, manual pages and sources only (--data names a folder)")
    of = corpus(arguments.data, arguments.manuals, arguments.each, arguments.pages)
    if arguments.export:
        arguments.export.write_text("".join(json.dumps({"text": text}) + "\n" for text in of.texts))
        return 0
    docs = documents({"text": text, "origin": f"http://site/{number}"} for number, text in enumerate(of.texts))
    count = {kind: int((of.kinds == kind).sum()) for kind in dict.fromkeys(of.kinds.tolist())}
    print(f"{len(of.texts)} documents: " + ", ".join(f"{number} {kind}" for kind, number in count.items()))
    _row("MinHash, Jaccard 0.7", 0.3, measure(removed_by_minhash(of.texts, 0.7), of))
    for params in VARIANTS:
        start = time.process_time()
        ready = embedded(docs, **params)
        print(
            f"embed.words, trained {params['trained']}, common {params['common']}: {time.process_time() - start:.1f} CPU s"
        )
        _rows(ready, of)
    if arguments.vectors:
        print(f"vectors of {arguments.vectors.name}")
        _rows(with_column(docs, embed.COLUMN, embed.column_of(np.load(arguments.vectors))), of)
    _print_speed(docs, of)
    return 0


def _rows(ready: pa.Table, of: Corpus) -> None:
    """What the distances find at which so many distinct documents go."""
    for share in WRONG:
        low, high = 0.0, 0.6
        for _ in range(8):
            middle = (low + high) / 2
            low, high = (middle, high) if measure(removed(ready, middle), of)["distinct"] <= share else (low, middle)
        _row(f"  {share:.2%} of distinct", low, measure(removed(ready, low), of))


def _row(name: str, distance: float, shares: dict[str, float]) -> None:
    print(
        f"{name:22} {distance:6.3f}  " + "  ".join(f"{kind} {share:6.1%}" for kind, share in shares.items()), flush=True
    )


def _print_speed(docs: pa.Table, of: Corpus) -> None:
    """The defaults: recall lost to borders between cells, and documents per CPU second of embedding and judging."""
    verdict = embed.merge([embed.reduce(embed.emit(docs))])
    start = time.process_time()
    ready = embed.apply(docs, verdict)
    seconds = time.process_time() - start
    chars = sum(min(len(text), 4_000) for text in of.texts) / len(of.texts)
    print(f"embed.words, apply: {len(of.texts) / seconds:.0f} docs/CPU-s of {chars:.0f} characters")
    for centroids in (1, 4, 16, 40):
        _row(f"{centroids} cells", 0.2, measure(removed(ready, 0.2, centroids), of))
    vectors_DN, _ = embed.rounded(np.random.default_rng(0).standard_normal((20_000, 128), np.float32))
    start = time.process_time()
    judged = semantic.greedy(vectors_DN, 0.05)
    seconds = time.process_time() - start
    print(
        f"judge, a cell of 20000 unlike documents: {20_000 / seconds:.0f} docs/CPU-s, {judged.pairs / seconds / 1e6:.0f} M pairs/CPU-s"
    )


def _manual(file: Path) -> str:
    """The words of a manual page, without its layout requests."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if not line.startswith(('.\\"', "'\\\""))]
    text = re.sub(r"\\f\(?\w|\\[&,/|^]", "", re.sub(r"^[.']\w+ ?", "", "\n".join(lines), flags=re.M))
    return text.replace("\\-", "-")


if __name__ == "__main__":
    raise SystemExit(main())
