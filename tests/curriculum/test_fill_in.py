"""The key `fim`: what a manifest may say, who is cut and who is left, exactly; and what lock, plan, report and inspection tell of it."""

import gzip
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lxml import html
from rich.console import Console

from curriculum import fill_in, sharding
from curriculum.build import Built, build
from curriculum.corpus import load_corpus_files
from curriculum.document import ManifestError
from curriculum.inspect import inspect_document
from curriculum.manifest import Manifest, load_manifest
from curriculum.report import write_report
from curriculum.segment import BuildError
from curriculum.show import show_cuts, show_document, show_plan
from datapipe.engine import InProcess, Task, finished
from datapipe.fim import Fim, cut, read, restored
from datapipe.shards import ShardReader
from datapipe.tokenize import END_OF_TEXT, FILL_IN_TOKENS, Tokenizer, train_bpe
from tests.curricula import make_curriculum, stage_text
from tests.small_corpus import MODEL

FIM = "fim: {rate: 0.8, spm: 0.25}\n"


def problems(folder: Path, code: str, corpus: str = "code") -> str:
    with pytest.raises(ManifestError) as caught:
        make_curriculum(folder, stage_text(), **{corpus: code})
    return str(caught.value)


def test_half_of_the_documents_half_of_them_spm_unless_the_manifest_says_otherwise(tmp_path: Path) -> None:
    plain = make_curriculum(tmp_path, stage_text())
    default = make_curriculum(tmp_path, stage_text(), code="fim: {}\n")
    assert plain.corpora["code"].fim is None
    assert default.corpora["code"].fim == Fim(0.5, 0.5, FILL_IN_TOKENS)
    names = "fim: {rate: 1, tokens: {prefix: <fim_prefix>, suffix: <fim_suffix>, middle: <fim_middle>}}\n"
    other = make_curriculum(tmp_path, stage_text(), code=names)
    assert other.corpora["code"].fim == Fim(1.0, 0.5, ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"))
    assert len({each.fingerprint() for each in (plain, default, other)}) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fim:\n", r"code.yaml:3  fim: is empty.\n    Write `fim: {}` for half of the documents"),
        ("fim: 0.5\n", "fim: is 0.5, not a mapping"),
        ("fim: {rate: 1.5}\n", r"fim.rate: 1.5 is no share.\n    Write 0 to 1"),
        ("fim: {spm: half}\n", "fim.spm: 'half' is not a number"),
        ("fim: {ratio: 0.5}\n", r"fim.ratio: is not a key here.\n    Did you mean 'rate'"),
        ("fim: {tokens: {prefix: a, suffix: b}}\n", "fim.tokens: the key 'middle' is missing"),
        ("fim: {tokens: {prefix: a, suffix: b, middle: b}}\n", "'a', 'b', 'b' are not three different names"),
        ("fim: {tokens: {prefix: a, suffix: b, middle: 3}}\n", "'a', 'b', 3 are not three different names"),
        ("fim: {tokens: {prefix: a, suffix: b, midle: c, middle: d}}\n", "Did you mean 'middle'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert re.search(said, problems(tmp_path, text))


def test_only_text_that_is_learned_whole_is_rearranged(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: qa\nsource: {generator: qa, from: [books]}\nfim: {}\n")
    (tmp_path / "b.yaml").write_text("kind: code\nsource: {tokens: megatron, paths: [x]}\nfim: {}\n")
    with pytest.raises(ManifestError, match=r"(?s)documents of kind 'qa' are dialogues.*this corpus comes as tokens"):
        load_corpus_files([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_the_shortest_best_fit_row_is_the_limit(tmp_path: Path) -> None:
    def stage(name: str, pack: str, seq_len: int, mix: str, **more: str) -> str:
        return stage_text(name, pack=pack, seq_len=seq_len, batch_tokens=4 * seq_len, mix=mix, **more)

    manifest = make_curriculum(
        tmp_path,
        stage("one", "concat", 64, "{web: 0.5, code: 0.5}")
        + stage("two", "best_fit", 1024, "{books: 0.5, code: 0.5}", fill="[code]")
        + stage("three", "best_fit", 512, "{books: 1.0}", epochs="{code: 0.1}", together="[code]")
        + stage("four", "best_fit", 256, "{books: 1.0}"),
        code="declared_tokens: 1M\n",
    )
    found = {name: fill_in.longest(manifest.stages, name) for name in ("web", "code", "books")}
    assert found == {"web": None, "code": 512, "books": 256}
    assert fill_in.longest(manifest.stages[:2], "code") == 1024


MANIFEST = """\
name: small
version: "1"
seed: 5
model: model.yaml
tokenizer: {train: {vocab_size: 1024, sample_bytes: 100_000}}
shard_tokens: 16Ki
corpora: {code: code.yaml, notes: notes.yaml, books: books.yaml}
stages:
  - {name: short, tokens: 4096, seq_len: 64, pack: concat, batch_tokens: 512, mix: {code: 0.5, books: 0.5}}
  - {name: long, tokens: 16384, seq_len: 1024, pack: best_fit, batch_tokens: 2048, mix: {code: 0.5, notes: 0.1, books: 0.4},
     max_epochs: {notes: 9}, fill: [notes], together: [code]}
"""
CORPORA = {
    "code": f'kind: code\nsource: {{reader: jsonl, paths: ["code.jsonl.gz"], origin_key: origin}}\n{FIM}',
    "notes": f'kind: web\nsource: {{reader: jsonl, paths: ["notes.jsonl.gz"], origin_key: origin}}\n{FIM}',
    "books": 'kind: book\nsource: {reader: jsonl, paths: ["books.jsonl.gz"], origin_key: origin}\n',
}


def write_texts(path: Path, rows: list[tuple[str, str]]) -> None:
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write("".join(json.dumps({"origin": origin, "text": text}) + "\n" for origin, text in rows).encode())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Path:
    """Functions of small modules as the files of repositories, from one line to a whole module; short notes; chapters."""
    data = tmp_path_factory.mktemp("fim")
    code, notes, books = [], [], []
    for module in sorted((small_data / "repos").glob("*/*.py")):
        whole = module.read_text()
        blocks = whole.split("\n\n\n")
        code += [(f"{module.stem}@1.0:{number}.py", block) for number, block in enumerate([*blocks, whole[:9000]])]
        notes += [(f"{module.stem} {number}", block[:200]) for number, block in enumerate(blocks)]
    for chapter in sorted((small_data / "books").glob("*.gz")):
        lines = map(json.loads, gzip.decompress(chapter.read_bytes()).decode().splitlines())
        books += [(line["origin"], line["text"]) for line in lines]
    for name, rows in (("code", code), ("notes", notes), ("books", books)):
        write_texts(data / f"{name}.jsonl.gz", rows)
    return data


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"m": MANIFEST, "model": MODEL, **CORPORA, **texts}.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "m.yaml"


def run(manifest: Path, root: Path, data: Path, engine: Any = None) -> Built:
    return build(load_manifest(str(manifest)), str(root), str(data), engine or InProcess(), lambda *_: None)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> tuple[Path, Built, Manifest]:
    folder = tmp_path_factory.mktemp("built")
    manifest = write(folder / "manifests")
    return folder / "out", run(manifest, folder / "out", sources), load_manifest(str(manifest))


def kept(root: Path, corpus: str) -> list[dict[str, Any]]:
    (folder,) = (root / "corpora" / corpus).glob("read-*")
    return [row for part in folder.glob("part-?????.parquet") for row in pq.read_table(part).to_pylist()]


def in_shards(root: Path, entry: dict[str, Any]) -> dict[str, list[np.ndarray]]:
    """The pieces of every document in a set, in order."""
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    for file in entry["files"]:
        reader = ShardReader(str(root / file["path"]))
        for row in range(reader.rows):
            tokens = reader.read(np.array([row]))[0]
            for piece in reader.pieces(row):
                part = tokens[piece.start : piece.start + piece.length]
                found.setdefault(piece.doc, []).append((piece.offset, part))
    return {doc: [part for _, part in sorted(pieces, key=lambda each: each[0])] for doc, pieces in found.items()}


def test_who_is_rearranged_and_who_is_cut_is_counted_exactly(built: tuple[Path, Built, Manifest]) -> None:
    """Every form, every cut and every inversion, against texts and shards read again."""
    root, made, manifest = built
    tokenizer = Tokenizer.open(str(root / made.lock["tokenizer"]["path"]), markers=FILL_IN_TOKENS)
    expected: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}
    for name in ("code", "notes"):
        fim, forms, rows = manifest.corpora[name].fim, Counter(dict.fromkeys(sharding.FIM_FORMS, 0)), kept(root, name)
        assert fim is not None
        for row in rows:
            texts[row["id"]] = row["text"]
            parts = cut(row["text"], row["id"], 5, fim)
            if parts is None:
                continue
            p, m, s = (ids[:-1] for ids in tokenizer.encode(parts[:3], ["code"] * 3))
            pre, suf, mid = ([marker] for marker in tokenizer.markers)
            order = (pre, suf, s, mid, p, m) if parts.is_spm else (pre, p, suf, s, mid, m)
            tokens = np.concatenate([*order, [tokenizer.eos_id]])
            form = "too_long" if tokens.size > 1024 else "spm" if parts.is_spm else "psm"
            forms[form] += 1
            if form != "too_long":
                expected[row["id"]] = tokens
        told = {"rate": 0.8, "spm": 0.25, "tokens": FILL_IN_TOKENS, "longest": 1024, "documents": dict(forms)}
        assert made.lock["corpora"][name]["fim"] == told
        assert forms["psm"] > forms["spm"] > 0
        assert (forms["too_long"] > 0) == (name == "code")
    assert "fim" not in made.lock["corpora"]["books"]

    for entry in made.lock["shards"]:
        found = in_shards(root, entry)
        mine = {doc: pieces for doc, pieces in found.items() if doc in expected}
        for doc, pieces in mine.items():
            tokens = np.concatenate(pieces)
            assert (tokens == expected[doc]).all()
            sequence = read(tokens, tokenizer.markers, tokenizer.decode)
            assert sequence is not None
            assert restored(sequence, tokenizer.markers) == texts[doc]
        others = [np.concatenate(pieces) for doc, pieces in found.items() if doc not in expected]
        assert not any(np.isin(tokenizer.markers, tokens).any() for tokens in others)
        num_cut = sum(len(pieces) > 1 for pieces in mine.values())
        counted = entry.get("fim", {"documents": 0, "cut_documents": 0})
        assert counted == {"documents": len(mine), "cut_documents": num_cut}
        assert (num_cut > 0) == (entry["corpus"] == "code" and entry["packing"]["method"] == "concat")
        if entry["packing"]["method"] == "best_fit" and entry["corpus"] == "books":
            assert 0 < len(mine) == sum(doc in expected for doc in found)  # notes, in the gaps
    assert json.loads((root / "lock.json").read_text()) == json.loads(json.dumps(made.lock))


class Counts(InProcess):
    """Remembers the tasks that were not done already."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[Task] = []

    def run(self, tasks: Any, on_done: Callable[[int], None]) -> list[dict[str, Any]]:
        done = finished(tasks)
        self.ran += [task for index, task in enumerate(tasks) if index not in done]
        return super().run(tasks, on_done)

    @property
    def tokenised(self) -> set[str]:
        return {
            task.output.split("/corpora/")[1].split("/")[0]
            for task in self.ran
            if task.function is sharding.tokenize_part
        }


def test_what_decides_the_tokens_is_in_their_key(
    built: tuple[Path, Built, Manifest], sources: Path, tmp_path: Path
) -> None:
    """The rate, and the shortest row that must hold a document; of the corpora that ask for it and of no other."""
    root, made, engine = Path(shutil.copytree(built[0], tmp_path / "copy")), built[1], Counts()
    same = run(write(tmp_path / "same"), root, sources, engine)
    assert (engine.ran, same.lock) == ([], made.lock)
    run(write(tmp_path / "rate", code=CORPORA["code"].replace("0.8", "0.7")), root, sources, engine)
    assert engine.tokenised == {"code"}
    engine.ran = []
    shorter = MANIFEST.replace("seq_len: 1024", "seq_len: 512").replace("tokens: 16384", "tokens: 8192")
    lock = run(write(tmp_path / "shorter", m=shorter), root, sources, engine).lock
    assert engine.tokenised == {"code", "notes"}
    assert lock["corpora"]["code"]["fim"]["longest"] == 512
    packed = [entry["fim"] for entry in lock["shards"] if entry["packing"]["method"] == "best_fit" and "fim" in entry]
    assert [each["cut_documents"] for each in packed] == [0] * len(packed) != []
    engine.ran = []
    without = {name: text.replace(FIM, "") for name, text in CORPORA.items()}
    plain = run(write(tmp_path / "plain", **without), root, sources, engine)
    assert engine.tokenised == {"code", "notes"}
    assert not any("fim" in each for each in (*plain.lock["corpora"].values(), *plain.lock["shards"]))


def terminal() -> Console:
    return Console(file=io.StringIO(), width=100, record=True)


def test_plan_and_build_say_who_is_cut(built: tuple[Path, Built, Manifest]) -> None:
    _, made, manifest = built
    console = terminal()
    show_plan(console, manifest, made.plan, measured=True)
    show_cuts(console, made.lock)
    said = console.export_text()
    assert (
        "Fill-in-the-middle: code, 80 % of its documents, 25 % of these as SPM, unless it would be longer than a row of 1,024 tokens."
        in " ".join(said.split())
    )
    (entry,) = [e for e in made.lock["shards"] if e["corpus"] == "code" and e["packing"]["method"] == "concat"]
    share = 100 * entry["fim"]["cut_documents"] / entry["fim"]["documents"]
    wanted = f"code/all concat 64 {entry['documents']} {entry['fim']['documents']} {entry['fim']['cut_documents']} ({share:.1f} %)"
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert wanted in lines
    assert any(line.startswith("books/all best_fit 1024") and line.endswith(" 0") for line in lines)
    console = terminal()
    show_cuts(console, {"shards": [{"corpus": "books"}]})
    assert not console.export_text()


def test_a_rearranged_document_is_shown_as_it_is_learned(built: tuple[Path, Built, Manifest]) -> None:
    root, _, manifest = built
    fim = manifest.corpora["code"].fim
    assert fim is not None
    seen = set()
    for row in kept(root, "code")[:12]:
        found = inspect_document(str(root), row["id"])
        assert found is not None
        parts = cut(row["text"], row["id"], 5, fim)
        if parts is None or "fim" not in found:
            assert "fim" not in found
            seen.add("as it is")
            continue
        texts = (
            ("", parts.suffix, parts.prefix + parts.middle)
            if parts.is_spm
            else (parts.prefix, parts.suffix, parts.middle)
        )
        assert found["fim"]["form"] == ("psm" if texts[0] else "spm")
        for told, name, text in zip(found["fim"]["parts"], FILL_IN_TOKENS, texts, strict=True):
            assert (told["marker"], told["chars"]) == (name, len(text))
            assert text.startswith(told["begin"])
            assert text.endswith(told["end"])
            assert (told["begin"] + told["end"] == text) == (len(text) <= 240)
        seen.add(found["fim"]["form"])
        console = terminal()
        show_document(console, found)
        said = console.export_text()
        assert f"learned as  {found['fim']['form'].upper()}\n<|code_prefix|>" in said
        assert "<|code_suffix|>" in said
        if len(texts[1]) > 240:
            assert f" [{len(texts[1]) - 240:,} characters] " in said
    assert seen == {"psm", "spm", "as it is"}
    plain = inspect_document(str(root), kept(root, "books")[0]["id"])
    assert plain is not None
    assert "fim" not in plain


def test_the_report_shows_forms_and_cuts(built: tuple[Path, Built, Manifest], tmp_path: Path) -> None:
    root, made, _ = built
    page = html.document_fromstring(Path(write_report(str(root), str(tmp_path / "page.html"))).read_text())
    forms = made.lock["corpora"]["code"]["fim"]["documents"]
    left = made.lock["corpora"]["code"]["buckets"]["all"]["documents"] - sum(forms.values())
    (table,) = page.xpath("//article[@id='corpus-2']//h4[text()='Fill-in-the-middle']/following-sibling::table")
    assert [float(row.xpath(".//data/@value")[0]) for row in table.xpath("./tbody/tr")] == [*forms.values(), left]
    assert len(page.xpath("//h4[text()='Fill-in-the-middle']")) == 2
    heads = [head.text_content() for head in page.xpath("//table[@class='shards']/thead/tr/th")]
    place = heads.index("FIM cut")
    shown = []
    for row in page.xpath("//table[@class='shards']/tbody/tr"):
        cut_of_all = [float(value) for value in row.xpath(f"./*[{place + 1}]/data/@value")]
        shown.append((row.xpath("string(th)"), float(row.xpath("./td/data/@value")[0]), cut_of_all))
    wanted = []
    for entry in made.lock["shards"]:
        fim = entry.get("fim")
        cut_of_all = [fim["cut_documents"], fim["documents"]] if fim else []
        wanted.append((f"{entry['corpus']}/{entry['bucket']}", entry["rows"], cut_of_all))
    assert sorted(shown) == sorted(wanted)


def test_a_tokenizer_without_the_tokens_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    names = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"]
    (tmp_path / "starcoder.json").write_bytes(train_bpe([], vocab_size=300, special_tokens=[END_OF_TEXT, *names]))
    text = MANIFEST.replace(
        "{train: {vocab_size: 1024, sample_bytes: 100_000}}", f"{{path: {tmp_path / 'starcoder.json'}}}"
    )
    for name in CORPORA:
        write_texts(tmp_path / f"{name}.jsonl.gz", [(name, "some text")])
    engine = Counts()
    with pytest.raises(
        BuildError, match=r"(?s)corpus code: fim: the tokenizer has no token '<\|code_prefix\|>'.*: <fim_middle>, <fim_prefix>,"
        r" <fim_suffix>\.\n    Name those of the tokenizer"
    ):  # fmt: skip
        run(write(tmp_path, m=text), tmp_path / "out", tmp_path, engine)
    assert not engine.tokenised
