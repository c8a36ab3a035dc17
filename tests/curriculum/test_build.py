"""A build on real text: the same bytes at any parallelism, nothing done twice, bad input counted or explained."""

import dataclasses
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curriculum import sharding
from curriculum.build import Built, build
from curriculum.document import ManifestError
from curriculum.feed import Feed
from curriculum.follow import BuildStalled
from curriculum.inspect import inspect_document, inspect_step
from curriculum.manifest import load_manifest
from curriculum.plan import Plan, archived
from curriculum.segment import BuildError
from curriculum.verify import verify
from datapipe.engine import InProcess, RayData, Task, finished
from datapipe.shards import ShardReader
from datapipe.store import StoreError

Outputs = dict[str, bytes]


def quiet(*call: object) -> None: ...


def run(manifest: Path, root: Path, data: Path, engine: Any = None) -> Built:
    return build(load_manifest(str(manifest)), str(root), str(data), engine or InProcess(), quiet)


def outputs(root: Path) -> Outputs:
    """Every file of a build that a trainer or a lock depends on."""
    files = [
        root / "lock.json",
        root / "plan.json",
        *sorted((root / "shards").rglob("*.arrow")),
        *sorted((root / "tokenizer").rglob("tokenizer.json")),
    ]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, small_data: Path, write_manifest: Callable[[Path], Path]
) -> tuple[Path, Built]:
    folder = tmp_path_factory.mktemp("built")
    return folder / "out", run(write_manifest(folder), folder / "out", small_data)


@pytest.fixture
def begun(built: tuple[Path, Built], tmp_path: Path) -> Path:
    """A copy of that build, in which another manifest makes anew only what it asks for otherwise."""
    return Path(shutil.copytree(built[0], tmp_path / "begun"))


def test_every_count_adds_up(built: tuple[Path, Built]) -> None:
    lock = built[1].lock
    for corpus in lock["corpora"].values():
        for before, after in zip(corpus["steps"], corpus["steps"][1:], strict=False):
            assert before["documents_out"] == after["documents_in"]
        for step in corpus["steps"]:
            assert step["documents_in"] - step["documents_out"] == sum(step["reasons"].values())
        kept = sum(bucket["documents"] for bucket in corpus["buckets"].values())
        assert kept == corpus["steps"][-1]["documents_out"]
        assert kept == sum(corpus["length_histogram"]["counts"])
    for entry in lock["shards"]:
        assert entry["rows"] * entry["packing"]["seq_len"] == entry["tokens"] + entry["padding"]
        assert entry["tokens"] == lock["corpora"][entry["corpus"]]["buckets"][entry["bucket"]]["tokens"]
        assert sum(file["rows"] for file in entry["files"]) == entry["rows"]
        lengths, rows = entry["length_histogram"], entry["packing"]["seq_len"]
        assert sum(lengths["documents"]) == sum(lengths["pieces"]) == entry["tokens"]
        assert all(edge <= rows for edge, count in zip(lengths["edges"], lengths["pieces"], strict=True) if count)
        if entry["packing"]["method"] == "best_fit":
            assert entry["avoidable_cuts"] == 0


def test_planted_copies_are_found(built: tuple[Path, Built]) -> None:
    steps = {step["step"]: step for step in built[1].lock["corpora"]["web"]["steps"]}
    assert steps["dedup.exact"]["reasons"] == {"dedup.exact": 1}
    assert steps["bucket.rank"]["reasons"].keys() == {"bucket.low"}


def test_what_was_built_verifies(built: tuple[Path, Built], tmp_path: Path) -> None:
    root = shutil.copytree(built[0], tmp_path / "copy")
    assert verify(str(root)) == []
    victim = sorted((root / "shards").rglob("*.tokens.arrow"))[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    sorted((root / "shards").rglob("*.docs.arrow"))[-1].unlink()
    problems = sorted(verify(str(root)), key=lambda problem: "missing" in problem)
    assert len(problems) == 2
    assert "sha256 is" in problems[0]
    assert "is missing" in problems[1]


def test_a_step_is_traced_to_its_sources(built: tuple[Path, Built]) -> None:
    root, made = built
    found = inspect_step(str(root), made.plan.steps - 1)
    assert found["stage"] == "long"
    assert len(found["rows"]) == made.plan.stages[1].batch_rows(made.plan.stages[1].steps - 1)
    for row in found["rows"]:
        assert sum(piece["length"] for piece in row["pieces"]) <= 256
        for piece in row["pieces"]:
            document = inspect_document(str(root), piece["doc"])
            assert document is not None
            assert document["origin"] == piece["origin"]
            assert row["source"].startswith(document["corpus"])
            here = {"stage": "long", "rows_of": row["source"], "shard": row["shard"], "shard_row": row["shard_row"]}
            (place,) = [
                each for each in document["pieces"] if here.items() <= each.items() and each["start"] == piece["start"]
            ]
            assert found["step"] in place["steps"]
    assert inspect_document(str(root), "no such document") is None


def test_a_document_is_seen_in_the_steps_that_its_inspection_lists(built: tuple[Path, Built]) -> None:
    root, made = built
    steps: dict[str, set[int]] = {}
    for number in range(made.plan.steps):
        for row in inspect_step(str(root), number)["rows"]:
            for piece in row["pieces"]:
                steps.setdefault(piece["doc"], set()).add(number)
    for identity in sorted(steps)[::10]:
        document = inspect_document(str(root), identity)
        assert document is not None
        assert {step for piece in document["pieces"] for step in piece["steps"]} == steps[identity]


def test_validation_rows_are_learned_in_no_step(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, tmp_path: Path
) -> None:
    """The shards are those of a build without validation; a document in a row that is held out says so."""
    root = Path(shutil.copytree(built[0], tmp_path / "copy"))
    small_manifest.write_text(small_manifest.read_text() + "validation: {tokens: 128, every_steps: 2}\n")
    plan = run(small_manifest, root, small_data).plan
    assert plan.training["validation_steps"] == 2
    assert verify(str(root)) == []
    source = next(each for each in plan.stages[0].sources if each.corpus == "books")
    assert source.held_out == 2
    feed = Feed(plan, str(root))
    names = [source.name for source in plan.stages[0].sources for _ in range(source.held_out)]
    assert len(feed.validation(0).tokens) == len(names) == plan.stages[0].validation_rows
    piece = ShardReader(str(root / source.shard(0).path)).pieces(1)[0]
    document = inspect_document(str(root), piece.doc)
    assert document is not None
    shown = [(each["held_out"], each["steps"]) for each in document["pieces"] if each["shard_row"] == 1]
    assert (True, []) in shown
    assert {each["held_out"] for each in document["pieces"] if each["steps"]} <= {False}


def test_a_batch_decodes_to_the_documents_it_names(built: tuple[Path, Built]) -> None:
    from datapipe.tokenize import Tokenizer

    root, made = built
    tokenizer = Tokenizer.open(str(root / made.lock["tokenizer"]["path"]))
    batch = Feed(made.plan, str(root)).batch(0, 0)
    row = inspect_step(str(root), 0)["rows"][0]
    piece = row["pieces"][0]
    text = tokenizer.decode(batch.tokens[0][piece["start"] : piece["start"] + piece["length"]])
    document = json.dumps(full_text(root, piece["doc"]))
    assert json.dumps(text.replace("<|endoftext|>", "").strip("\ufffd"))[1:-1] in document


def full_text(root: Path, identity: str) -> str:
    import pyarrow.parquet as pq

    for part in sorted((root / "corpora").rglob("part-*.parquet")):
        if "rejects" not in part.name:
            for row in pq.read_table(part).to_pylist():
                if row["id"] == identity:
                    text = str(row["text"])
    return text


def test_an_unchanged_build_does_nothing(built: tuple[Path, Built], small_data: Path, small_manifest: Path) -> None:
    class Refuses(InProcess):
        def run(self, tasks: Any, on_done: Callable[[int], None]) -> list[dict[str, Any]]:
            assert len(finished(tasks)) == len(tasks)
            return super().run(tasks, on_done)

    before = outputs(built[0])
    run(small_manifest, built[0], small_data, Refuses())
    assert outputs(built[0]) == before


class Counts(InProcess):
    """Remembers the tasks that were not done already."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[Task] = []

    def run(self, tasks: Any, on_done: Callable[[int], None]) -> list[dict[str, Any]]:
        done = finished(tasks)
        self.ran += [task for index, task in enumerate(tasks) if index not in done]
        return super().run(tasks, on_done)


def test_an_edit_redoes_only_what_it_touches(small_data: Path, small_manifest: Path, tmp_path: Path) -> None:
    engine = Counts()
    run(small_manifest, tmp_path / "out", small_data, engine)
    first, engine.ran = len(engine.ran), []
    code = small_manifest.parent / "code.yaml"
    code.write_text(code.read_text().replace("- filter.code\n", "- filter.code: {max_mean_line: 99}\n"))
    run(small_manifest, tmp_path / "out", small_data, engine)
    corpora = {task.output.split("/corpora/")[1].split("/")[0] for task in engine.ran if "/corpora/" in task.output}
    assert corpora <= {"code", "web", "books", "qa"}
    assert 0 < len(engine.ran) < first


@pytest.mark.parametrize(
    ("edit", "packed"), [("fill: [qa]", {"books/all", "qa/all"}), ("together: [books]", {"books/all"})]
)
def test_another_packing_of_a_stage_packs_that_stage_again(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, tmp_path: Path, edit: str, packed: set[str]
) -> None:
    root, engine = Path(shutil.copytree(built[0], tmp_path / "copy")), Counts()
    small_manifest.write_text(small_manifest.read_text().replace("qa: 0.5},", f"qa: 0.5}}, {edit},"))
    made = run(small_manifest, root, small_data, engine)
    assert {task.function.__name__ for task in engine.ran} == {"lay_out", "scatter_part", "pack_shard"}
    shards = [task.output for task in engine.ran if task.function is sharding.pack_shard]
    assert {"/".join(Path(shard).relative_to(root / "shards").parts[:2]) for shard in shards} == packed
    assert made.plan.stages[0] == built[1].plan.stages[0]
    assert verify(str(root)) == []


def test_what_the_manifest_alone_rules_out_is_said_before_data_is_read(small_manifest: Path, tmp_path: Path) -> None:
    small_manifest.write_text(small_manifest.read_text().replace("short, tokens: 4096", "short, tokens: 256"))
    with pytest.raises(ManifestError, match="256 tokens are too few: one step takes 512"):
        run(small_manifest, tmp_path / "out", tmp_path / "absent")


def test_a_damaged_plan_and_a_missing_index_are_made_again(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, tmp_path: Path
) -> None:
    root, engine = Path(shutil.copytree(built[0], tmp_path / "copy")), Counts()
    index = sorted((root / "shards" / "qa").rglob("index.arrow"))[0]
    whole = index.read_bytes()
    (identity,) = {p["doc"] for p in inspect_step(str(root), built[1].plan.steps - 1)["rows"][0]["pieces"][:1]}
    index.write_bytes(whole[:-100])
    with pytest.raises(StoreError, match=r"index\.arrow: is damaged .*\n.*Delete it and run `tokenloom build` again"):
        inspect_document(str(root), identity)
    index.unlink()
    with pytest.raises(StoreError, match=r"index\.arrow: no such file\n.*Run `tokenloom build` again"):
        inspect_document(str(root), identity)
    (root / "plan.json").write_text("{")
    assert run(small_manifest, root, small_data, engine).plan == built[1].plan
    assert [task.function for task in engine.ran] == [sharding.lay_out]
    assert index.read_bytes() == whole
    assert outputs(root) == outputs(built[0])


def test_a_running_build_is_traced_as_far_as_it_is(built: tuple[Path, Built], tmp_path: Path) -> None:
    """Without a lock the text of a document is not to be had, but its origin; a stage that is not laid out is not waited for."""
    root, plan = Path(shutil.copytree(built[0], tmp_path / "copy")), built[1].plan
    (root / "lock.json").unlink()
    live = dataclasses.replace(plan, lock="", stages=(plan.stages[0], dataclasses.replace(plan.stages[1], sources=())))
    (root / "plan.json").write_text(live.to_json())
    piece = inspect_step(str(root), 0)["rows"][0]["pieces"][0]
    found = inspect_document(str(root), piece["doc"])
    assert found
    assert (found["origin"], found["corpus"]) == (piece["origin"], piece["source"].split("/")[0])
    assert 0 in [step for each in found["pieces"] for step in each["steps"]]
    with pytest.raises(BuildStalled, match="stage 'long' is not there"):
        inspect_step(str(root), plan.steps - 1)


def test_the_same_bytes_on_ray_and_in_process(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, tmp_path: Path, ray_engine: RayData
) -> None:
    """Ray runs two tasks at a time, the fixture's build ran one after the other."""
    run(small_manifest, tmp_path / "out", small_data, ray_engine)
    assert outputs(tmp_path / "out") == outputs(built[0])


def test_bad_records_are_counted_and_nothing_else_is_lost(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(small_data, tmp_path / "data"))
    with gzip.open(data / "books" / "bad.jsonl.gz", "wb") as file:
        file.write(b'{"text": "broken\n')
        file.write(b'{"text": "\xff\xfe not utf-8"}\n')
        file.write(b'{"text": "' + b"x" * (33 * 2**20) + b'"}\n')
        file.write(json.dumps({"text": "A good document. " * 100, "origin": "good"}).encode() + b"\n")
    whole = (data / "books" / "3.jsonl.gz").read_bytes()
    (data / "books" / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (data / "html" / "empty.html").write_bytes(b"")
    (data / "html" / "latin.html").write_bytes("<html><body><p>Déjà vu — naïve café</p></body></html>".encode("cp1252"))
    lock = run(small_manifest, tmp_path / "out", data).lock
    read = lock["corpora"]["books"]["steps"][0]
    assert {"jsonl.invalid": 1, "jsonl.not_utf8": 1, "jsonl.too_long": 1}.items() <= read["reasons"].items()
    clean = built[1].lock["corpora"]["books"]["steps"][0]
    assert read["documents_out"] > clean["documents_out"]


def test_an_empty_source_is_explained(small_data: Path, small_manifest: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(small_data, tmp_path / "data"))
    for file in (data / "books").iterdir():
        with gzip.open(file, "wb"):
            pass
    with pytest.raises(BuildError, match=r"corpus books: no document is left .*the source holds no document"):
        run(small_manifest, tmp_path / "out", data)


def test_a_filter_that_drops_everything_is_named(small_data: Path, small_manifest: Path, tmp_path: Path) -> None:
    books = small_manifest.parent / "books.yaml"
    books.write_text(books.read_text().replace("min_chars: 1000", "min_chars: 100000000"))
    with pytest.raises(BuildError, match=r"`filter.length` dropped the rest"):
        run(small_manifest, tmp_path / "out", small_data)


def test_a_path_that_matches_nothing(small_manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to read matches"):
        run(small_manifest, tmp_path / "out", tmp_path)


def test_a_missing_bucket(small_data: Path, small_manifest: Path, s3: str) -> None:
    with pytest.raises(StoreError, match="no-such-bucket"):
        build(load_manifest(str(small_manifest)), "s3://no-such-bucket/out", str(small_data), InProcess(), quiet)


def test_a_given_tokenizer_is_taken_as_it_is(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, tmp_path: Path
) -> None:
    given = built[0] / built[1].lock["tokenizer"]["path"]
    train = "{train: {vocab_size: 1024, sample_bytes: 300_000}}"
    small_manifest.write_text(small_manifest.read_text().replace(train, f"{{path: {given}}}"))
    made = run(small_manifest, tmp_path / "out", small_data)
    assert made.lock["tokenizer"]["sha256"] == built[1].lock["tokenizer"]["sha256"]
    assert made.lock["corpora"]["qa"]["buckets"] == built[1].lock["corpora"]["qa"]["buckets"]


def test_a_tokenizer_larger_than_the_model_is_refused(small_data: Path, small_manifest: Path, begun: Path) -> None:
    model = small_manifest.parent / "model.yaml"
    model.write_text(model.read_text().replace("vocab_size: 1024", "vocab_size: 512"))
    with pytest.raises(BuildError, match="the tokenizer has 1024 tokens, the model test only 512"):
        run(small_manifest, begun, small_data)


def test_an_object_store_holds_the_same_bytes(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, s3: str
) -> None:
    from datapipe import store

    root = store.join(s3, "build")
    made = build(load_manifest(str(small_manifest)), root, str(small_data), InProcess(), quiet)
    for name, data in outputs(built[0]).items():
        assert store.read_bytes(store.join(root, name)) == data, name
    assert Feed(made.plan, root).batch(1, 0).tokens.shape == (2, 256)
    assert verify(root) == []


def test_too_many_epochs_are_refused_with_the_measured_size(
    small_data: Path, small_manifest: Path, begun: Path
) -> None:
    text = small_manifest.read_text().replace("code: 0.2}}", "code: 0.2}, max_epochs: {code: 0.0001}}")
    small_manifest.write_text(text)
    with pytest.raises(ManifestError, match=r"small.yaml:10  stages\[0\].mix.code: .*max_epochs allows 0.0001"):
        run(small_manifest, begun, small_data)


def conserved(lock: dict[str, Any], seq_len: int) -> None:
    """Every token of a corpus lies in rows of this length exactly once, in whatever rows."""
    found: dict[str, int] = {}
    for entry in lock["shards"]:
        if entry["packing"]["seq_len"] == seq_len:
            for source, tokens in entry["tokens_by_source"].items():
                found[source] = found.get(source, 0) + tokens
    for source, tokens in found.items():
        corpus, bucket = source.split("/")
        assert tokens == lock["corpora"][corpus]["buckets"][bucket]["tokens"]


def test_short_documents_fill_the_gaps_of_other_corpora(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, begun: Path
) -> None:
    text = small_manifest.read_text().replace("mix: {books: 0.5, qa: 0.5},", "mix: {books: 0.5, qa: 0.5}, fill: [qa],")
    small_manifest.write_text(text)
    made = run(small_manifest, begun, small_data)
    conserved(made.lock, 256)
    (books,) = [e for e in made.lock["shards"] if e["corpus"] == "books" and e["packing"]["seq_len"] == 256]
    (alone,) = [e for e in built[1].lock["shards"] if e["corpus"] == "books" and e["packing"]["seq_len"] == 256]
    assert books["rows"] == alone["rows"]
    assert books["padding"] < alone["padding"]
    assert set(books["tokens_by_source"]) == {"books/all", "qa/all"}
    sources = {
        piece["source"] for row in inspect_step(str(begun), made.plan.steps - 1)["rows"] for piece in row["pieces"]
    }
    assert sources == {"books/all", "qa/all"}
    assert verify(str(begun)) == []


def test_files_of_a_repository_stay_together(small_data: Path, small_manifest: Path, begun: Path) -> None:
    text = small_manifest.read_text().replace(
        "mix: {books: 0.5, qa: 0.5},", "mix: {books: 0.5, code: 0.5}, together: [code], max_epochs: {code: 9},"
    )
    small_manifest.write_text(text)
    made = run(small_manifest, begun, small_data)
    conserved(made.lock, 256)
    assert [e["packing"]["related"] for e in made.lock["shards"] if e["packing"]["seq_len"] == 256] == [False, True]


def test_a_corpus_may_come_as_tokens(
    built: tuple[Path, Built], small_data: Path, small_manifest: Path, tmp_path: Path
) -> None:
    """Exported for Megatron and imported again: the same tokens, now in rows of another length."""
    from curriculum.export import export_megatron
    from curriculum.imported import write_corpus

    root, made = built
    export_megatron(str(root), str(tmp_path / "tokens"), stage="long")
    (pair,) = (tmp_path / "tokens").rglob("books/**/*.idx")
    corpus = small_manifest.with_name("tokens.yaml")
    write_corpus([str(pair)], str(corpus), kind="book")
    tokenizer = root / made.lock["tokenizer"]["path"]
    text = small_manifest.read_text()
    text = text.replace("train: {vocab_size: 1024, sample_bytes: 300_000}", f"path: {tokenizer}")
    text = text.replace("qa: qa.yaml", f"tokens: {corpus.name}").replace("qa: 0.5", "tokens: 0.5")
    small_manifest.write_text(text.replace("seq_len: 256", "seq_len: 512"))
    again = run(small_manifest, tmp_path / "out", small_data)
    entry = next(e for e in made.lock["shards"] if e["corpus"] == "books" and e["packing"]["seq_len"] == 256)
    assert again.lock["corpora"]["tokens"]["buckets"]["all"]["tokens"] == entry["rows"] * 256
    conserved(again.lock, 512)
    steps = [inspect_step(str(tmp_path / "out"), step) for step in range(again.plan.steps)]
    pieces = [
        piece for step in steps for row in step["rows"] for piece in row["pieces"] if row["source"] == "tokens/all"
    ]
    assert pieces
    assert all(".bin#" in piece["origin"] for piece in pieces)
    found = inspect_document(str(tmp_path / "out"), pieces[0]["doc"])
    assert found
    assert (found["corpus"], found["origin"]) == ("tokens", pieces[0]["origin"])
    text = small_manifest.read_text().replace(f"path: {tokenizer}", "train: {vocab_size: 1024, sample_bytes: 300_000}")
    small_manifest.write_text(text)
    with pytest.raises(
        ManifestError, match=r"(?s)corpora.tokens: comes as tokens, .*Name the tokenizer that made them"
    ):
        run(small_manifest, tmp_path / "out", small_data)


def test_a_plan_is_there_before_the_shards_and_those_of_the_first_stage_come_first(
    small_data: Path, small_manifest: Path, tmp_path: Path
) -> None:
    root, plans = tmp_path / "out", []

    class Watches(InProcess):
        def run(self, tasks: Any, on_done: Callable[[int], None]) -> list[dict[str, Any]]:
            path = root / "plan.json"
            if any("pack_shard" in task.function.__name__ for task in tasks):
                plans.append(Plan.from_json(path.read_text()))
                sealed = {file.relative_to(root).parts[1:4] for file in root.rglob("shard-*.tokens.arrow")}
                stages = plans[-1].stages[: len(plans) - 1]
                assert sealed == {Path(source.folder).parts[1:4] for stage in stages for source in stage.sources}
                names = [task.function.__name__ for task in tasks]
                assert names == sorted(names), "shards of one stage, then the shuffle of the next"
                assert set(names) == {"pack_shard", "scatter_part"} if len(plans) == 1 else {"pack_shard"}
            return super().run(tasks, on_done)

    made = run(small_manifest, root, small_data, Watches())
    assert len(plans) == len(made.plan.stages) == 2
    live = plans[0]
    assert live.is_live
    assert not made.plan.is_live
    assert live.stages == made.plan.stages
    assert live.digest() == made.plan.digest()
    assert (root / archived(made.plan.digest())).exists()
