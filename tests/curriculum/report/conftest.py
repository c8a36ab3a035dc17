"""A build folder as `tokenloom build` and `train` leave it, with numbers of plausible size, written without running either."""

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lxml import html
from lxml.html import HtmlElement

from curriculum import mixture
from curriculum.lock import FORMAT
from curriculum.model_shape import ModelShape
from curriculum.plan import BatchSegment, MixtureSegment, Plan, Source, Stage
from curriculum.report import write_report

if TYPE_CHECKING:
    pass

SEED = 45
CHARS_PER_TOKEN = 3.9
EPOCHS = {"high": 3.0, "medium_high": 2.0, "medium": 1.0, "medium_low": 0.5, "low": 0.25}
EDGES = [2**power for power in range(4, 16)]
HOSTILE = '</script><img src="https://evil.example/x.png" onerror="document.title=\'owned\'"><script>document.title="owned"</script>'

# name: kind, documents read, characters per document, buckets, steps with (reason, share dropped)
CORPORA: dict[str, tuple[str, int, int, list[str], list[tuple[str, dict[str, float]]]]] = {
    "web": (
        "web",
        14_237,
        5_200,
        ["high", "medium_high", "medium", "medium_low", "low"],
        [
            ("read", {"truncated_record": 0.0004, "not_text": 0.012}),
            ("extract.html", {"no_main_text": 0.061, "extract_error": 0.0007}),
            ("filter.language", {"language_not_kept": 0.094, "low_language_score": 0.031}),
            ("filter.gopher_quality", {"too_few_words": 0.082, "few_stop_words": 0.047, "symbol_ratio": 0.006, "bullet_lines": 0.004}),
            ("filter.gopher_repetition", {"duplicate_lines": 0.024, "top_4_gram": 0.011, "duplicate_10_grams": 0.009}),
            ("dedup.exact", {"exact_duplicate": 0.038}),
            ("dedup.minhash", {"near_duplicate": 0.117}),
            ("score.quality", {}),
            ("bucket.rank", {}),
        ],
    ),
    "math": ("math", 1_180, 4_100, ["high", "medium", "low"], [
        ("read", {}), ("extract.html", {"no_main_text": 0.08}), ("filter.length", {"too_short": 0.21}),
        ("dedup.minhash", {"near_duplicate": 0.09}), ("score.quality", {}), ("bucket.rank", {}),
    ]),
    "code": ("code", 4_944, 3_300, ["high", "medium", "low"], [
        ("read", {"binary": 0.02}), ("filter.license", {"license_not_kept": 0.06}),
        ("filter.code", {"generated": 0.04, "long_lines": 0.02}),
        ("dedup.exact", {"exact_duplicate": 0.07}), ("dedup.minhash", {"near_duplicate": 0.15}), ("bucket.rank", {}),
    ]),
    "repos": ("repo", 212, 21_000, ["all"], [("read", {}), ("filter.license", {"license_not_kept": 0.08})]),
    "books": ("book", 164, 240_000, ["high", "medium"], [("read", {}), ("filter.gopher_repetition", {"duplicate_lines": 0.93})]),
    "qa": ("qa", 9_400, 1_250, ["all"], [("read", {}), ("dedup.exact", {"exact_duplicate": 0.02})]),
    "agent": ("agent", 480, 21_000, ["all"], [("read", {}), ("filter.length", {"too_long": 0.01})]),
}  # fmt: skip

# name, seq_len, pack, [(steps, rows per batch)], rope base, share per corpus, and what it ends with where that is not the same
STAGES: list[tuple[str, int, str, list[tuple[int, int]], float, dict[str, float], dict[str, float]]] = [
    ("general", 256, "concat", [(40, 32), (120, 64)], 1e4, {"web": 0.72, "books": 0.08, "code": 0.12, "math": 0.08}, {}),
    ("code_reasoning", 256, "concat", [(90, 64)], 1e4, {"web": 0.6, "code": 0.25, "math": 0.15}, {"web": 0.2, "code": 0.5, "math": 0.3}),
    ("repo_code", 1024, "best_fit", [(40, 16)], 1e6, {"repos": 0.7, "code": 0.15, "web": 0.15}, {}),
    ("synthetic_reasoning", 1024, "best_fit", [(40, 16)], 1e6, {"qa": 0.8, "math": 0.2}, {}),
    ("long_context_agent", 4096, "best_fit", [(20, 4)], 1e6, {"agent": 0.45, "books": 0.35, "repos": 0.2}, {}),
]  # fmt: skip
STAIRS = 8  # of a ramp of shares
TOGETHER = "repos"
FILLS = "qa"  # in the gaps of math: both are in one stage with rows of 1,024

REJECTED = [
    "Home\nAbout\nContact\nLogin\nSearch\nPrivacy policy\nCookie settings\n© 2024 All rights reserved",
    "Buy now! Buy now! Buy now! Lowest prices on shoes, shoes, shoes. Click here. Click here. Click here.",
    "404 Not Found\nThe requested URL was not found on this server.",
    "Der Zug fährt um acht Uhr ab, und wer zu spät kommt, wartet bis zum nächsten Morgen.",
    "هذا نص قصير مكتوب بالعربية من أجل الاختبار.",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 60,
]


ABOUT = {
    "dedup.minhash": {
        "buckets": 25_884,
        "oversized_buckets": 2,
        "pairs": 31_000,
        "clusters": 4_625,
        "removed": 5_120,
        "largest": [["00ff00ff00ff00ff", 812]],
        "agreement": {"spearman": 0.71, "teacher": "a-model"},
    }
}
CLUSTERS = [
    {
        "id": f"{n:032x}",
        "origin": f"https://shop.example/item?id={n}&colour=<b>red</b>",
        "cluster_size": 812 - 90 * n,
        "text": f"Our <i>best</i> price for item {n}.\nAdd to basket\x07",
        "members": [{"id": "0", "origin": f"https://mirror.example/{n}?<i>", "text": "Our <b>best</b> price"}]
        * (n % 3),
    }
    for n in range(4)
]
PATHS = {"cc-2024/*.warc.gz": 0.25, "cc-<2023>/*.warc.gz": 0.75}  # of the web: share of the documents


def counts_of(name: str) -> list[dict[str, Any]]:
    """The `_step.json` objects of a corpus."""
    kind, documents, chars_per_document, _, steps = CORPORA[name]
    chars, counts = documents * chars_per_document, []
    for step, shares in steps:
        reasons = {reason: max(1, round(documents * share)) for reason, share in shares.items()}
        left = documents - sum(reasons.values())
        chars_left = round(chars * left / documents * (0.31 if step == "extract.html" else 1))
        counts.append(
            {
                "corpus": name,
                "step": step,
                "key": hashlib.sha256(f"{name}{step}".encode()).hexdigest(),
                "kind": kind,
                "documents_in": documents,
                "documents_out": left,
                "chars_in": chars,
                "chars_out": chars_left,
                "reasons": reasons,
                "about": ABOUT.get(step, {}),
            }
        )
        if name == "web":
            counts[-1]["paths"] = _by_path(documents, left)
        documents, chars = left, chars_left
    return counts


def _by_path(documents_in: int, documents_out: int) -> dict[str, dict[str, int]]:
    """The second path keeps what the first one does not: a tenth more than its share."""
    first, second = PATHS
    entered, left = round(PATHS[first] * documents_in), round(PATHS[first] * documents_out * 0.9)
    return {
        first: {"documents_in": entered, "documents_out": left},
        second: {"documents_in": documents_in - entered, "documents_out": documents_out - left},
    }


def corpus_lock(name: str) -> dict[str, Any]:
    steps, buckets = counts_of(name), CORPORA[name][3]
    documents, chars = steps[-1]["documents_out"], steps[-1]["chars_out"]
    split = {
        bucket: documents * (2 + i) // (len(buckets) * (len(buckets) + 3) // 2) for i, bucket in enumerate(buckets)
    }
    split[buckets[-1]] += documents - sum(split.values())
    middle = math.log2(max(32, chars / CHARS_PER_TOKEN / documents))
    bell = [math.exp(-((math.log2(edge) + 0.5 - middle) ** 2) / 3) for edge in EDGES[:-1]]
    lengths = [round(documents * height / sum(bell)) for height in bell]
    languages = (
        {"en": documents - documents // 8, "de": documents // 16, "fr": documents // 32} if name == "web" else {}
    )
    licenses = (
        {"Apache-2.0": documents // 3, "MIT": documents // 2, "": documents // 9} if name in ("code", "repos") else {}
    )
    return {
        "kind": CORPORA[name][0],
        "source": {"files": 3 + len(name), "bytes": steps[0]["chars_in"] // 3, "key": "5eed" * 8},
        "steps": steps,
        "buckets": {
            bucket: {
                "documents": count,
                "chars": count * (chars // documents),
                "tokens": round(count * (chars // documents) / CHARS_PER_TOKEN),
                "epochs": EPOCHS.get(bucket, 1.0),
            }
            for bucket, count in split.items()
        },
        "languages": languages or ({"Python": documents - 40, "C": 25, "Markdown": 15} if name == "code" else {}),
        "licenses": licenses,
        "length_histogram": {"edges": EDGES, "counts": lengths},
        "clusters": CLUSTERS if name == "web" else [],
    }


def shard_sets(corpora: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = sorted({(seq_len, pack, corpus) for _, seq_len, pack, _, _, mix, _ in STAGES for corpus in mix})
    sets = []
    for seq_len, pack, corpus in wanted:
        joint = ["math", FILLS] if seq_len == 1024 and corpus in ("math", FILLS) else []
        packing = {"method": pack, "seq_len": seq_len, "related": corpus == TOGETHER, "joint": joint, "together": []}
        for bucket, counts in corpora[corpus]["buckets"].items():
            fill = 0.999 if pack == "concat" else 0.965
            rows = max(1, math.ceil(counts["tokens"] / seq_len / fill))
            tokens = {f"{corpus}/{bucket}": min(counts["tokens"], rows * seq_len)}
            if joint and corpus != FILLS:
                tokens[f"{FILLS}/all"] = (rows * seq_len - sum(tokens.values())) // 2
            before = corpora[corpus]["length_histogram"]["counts"]
            folder, num_tokens = f"shards/{corpus}/{bucket}/{pack}-{seq_len}-0123456789ab", sum(tokens.values())
            sets.append(
                {
                    "corpus": corpus,
                    "bucket": bucket,
                    "packing": {**packing, "fill": [FILLS] if joint else []},
                    "key": "0123456789ab",
                    "folder": folder,
                    "rows": rows,
                    "num_shards": 1,
                    "tokens": num_tokens,
                    "tokens_by_source": tokens,
                    "padding": rows * seq_len - num_tokens,
                    "documents": counts["documents"],
                    "pieces": counts["documents"] + (rows if pack == "concat" else 0),
                    "cut_documents": counts["documents"] * (6 if pack == "concat" else 1) // 9,
                    "cut_tokens": num_tokens // 2,
                    "length_histogram": {"edges": EDGES, "documents": before, "pieces": before[::-1]},
                    "avoidable_cuts": counts["documents"] // 4 if pack == "concat" else 0,
                    "files": [_file(folder, rows, num_tokens)],
                }
            )
    return sets


def _file(folder: str, rows: int, tokens: int) -> dict[str, Any]:
    sums = {"sha256_tokens": "a" * 64, "sha256_docs": "b" * 64}
    return {"path": f"{folder}/shard-00000", "rows": rows, "tokens": tokens, "bytes": tokens * 6 // 7, **sums}


def make_lock() -> dict[str, Any]:
    corpora = {name: corpus_lock(name) for name in CORPORA}
    return {
        "format": FORMAT,
        "name": "quickstart",
        "version": "2026.11",
        "seed": SEED,
        "manifest": hashlib.sha256(b"manifest").hexdigest(),
        "tokenizer": {"path": "tokenizer.json", "sha256": hashlib.sha256(b"tokenizer").hexdigest(), "vocab_size": 8192, "eos_id": 0},
        "corpora": corpora,
        "shards": shard_sets(corpora),
    }  # fmt: skip


def make_plan(lock: dict[str, Any], lock_bytes: bytes) -> Plan:
    stages = []
    for name, seq_len, pack, batches, rope, mix, mix_end in STAGES:
        starts = np.cumsum([0, *(steps for steps, _ in batches)])
        total = sum(steps * rows for steps, rows in batches)
        sources, segments = _mixture(lock, seq_len, pack, (mix, mix_end or mix), total)
        stages.append(
            Stage(
                name=name,
                seq_len=seq_len,
                pack=pack,
                steps=int(starts[-1]),
                batch=tuple(BatchSegment(int(first), rows) for first, (_, rows) in zip(starts, batches, strict=False)),
                sources=sources,
                mixture=segments,
                rope_base=rope,
                bias_rate=1e-3,
                mtp_weight=0.3,
                seed=SEED,
            )
        )
    shape = ModelShape(
        name="tiny", vocab_size=8192, layers=4, dense_layers=1, hidden=128, heads=4, kv_heads=2, head_dim=32, dense_ffn=384,
        experts=8, experts_per_token=2, expert_ffn=96, shared_ffn=96, router_scale=1.0, qk_norm=True, qkv_bias=True,
        rotary_fraction=0.5, mtp_layers=1, norm_eps=1e-5, init_std=0.02,
    )  # fmt: skip
    return Plan(
        name="quickstart",
        version="2026.11",
        seed=SEED,
        manifest=lock["manifest"],
        lock=hashlib.sha256(lock_bytes).hexdigest(),
        tokenizer=lock["tokenizer"],
        model=vars(shape),
        training={"lr": {"peak": 2.5e-3, "end": 2.5e-4, "warmup_tokens": 200_000}, "optimizer": "muon"},
        stages=tuple(stages),
    )


def _mixture(
    lock: dict[str, Any], seq_len: int, pack: str, ends: tuple[dict[str, float], dict[str, float]], rows: int
) -> tuple[tuple[Source, ...], tuple[MixtureSegment, ...]]:
    """Sources and segments of a stage whose shares go from ends[0] to ends[1]."""
    packed_so = [s for s in lock["shards"] if (s["packing"]["seq_len"], s["packing"]["method"]) == (seq_len, pack)]
    sets = [s for s in packed_so if s["corpus"] in ends[0]]
    stairs, taken, segments = 1 if ends[0] == ends[1] else STAIRS, [0] * len(sets), []
    for stair in range(stairs):
        first, end = (rows * number // stairs for number in (stair, stair + 1))
        way = (2 * stair + 1) / (2 * stairs)
        here = {name: share + (ends[1][name] - share) * way for name, share in ends[0].items()}
        weights = [_weight(s, sets, here) for s in sets]
        counts = mixture.apportion(end - first, [weight / sum(weights) for weight in weights])
        bounds = mixture.exact_bounds(first, end, counts, mixture.offset(SEED))
        segments.append(MixtureSegment(first, tuple(bounds), tuple(taken)))
        taken = [before + count for before, count in zip(taken, counts, strict=True)]
    sources = []
    for s, drawn in zip(sets, taken, strict=True):
        name = f"{s['corpus']}/{s['bucket']}"
        parts = [n * host["tokens_by_source"].get(name, 0) / host["rows"] for host, n in zip(sets, taken, strict=True)]
        there = {"folder": s["folder"], "rows": s["rows"], "num_shards": 1, "seed": SEED, "first_rank": 0}
        planned = {"rows_planned": drawn, "tokens_planned": round(sum(parts))}
        sources.append(Source(name, s["corpus"], s["bucket"], **there, **planned))
    return tuple(sources), tuple(segments)


def _weight(s: dict[str, Any], sets: list[dict[str, Any]], mix: dict[str, float]) -> Fraction:
    """Of the rows of a stage: the corpus's share, split over its buckets as they ask to be repeated."""
    masses = {id(o): o["rows"] * EPOCHS.get(o["bucket"], 1.0) for o in sets if o["corpus"] == s["corpus"]}
    return Fraction(mix[s["corpus"]]) * Fraction(masses[id(s)]) / Fraction(sum(masses.values()))


def make_metrics(plan: Plan, steps: int) -> list[dict[str, Any]]:
    rng, lines, total = np.random.Generator(np.random.Philox(SEED)), [], sum(stage.tokens for stage in plan.stages)
    for step in range(steps):
        index, stage_step = plan.locate(step)
        stage = plan.stages[index]
        rows = stage.batch_rows(stage_step)
        tokens = plan.tokens_before(index, stage_step) + rows * stage.seq_len
        shares = {source.name: source.rows_planned / stage.rows for source in stage.sources if source.rows_planned}
        learned = {name: int(rows * stage.seq_len * share * 0.98) for name, share in shares.items()}
        learned = {name: count for name, count in learned.items() if count}
        start = {"web": 0.2, "code": -0.5, "repos": -0.7, "math": 0.0, "books": 0.35, "qa": -0.3, "agent": -0.9}
        tilt = {"high": -0.3, "medium_high": -0.1, "medium_low": 0.2, "low": 0.45}
        floor = 3.6 + 5.3 * math.exp(-step / 45) - 0.0012 * step
        losses = {
            name: floor + start[name.split("/")[0]] + tilt.get(name.split("/")[1], 0.0) + rng.normal(0, 0.12)
            for name in learned
        }
        loss = sum(losses[name] * count for name, count in learned.items()) / sum(learned.values())
        progress = tokens / total
        warm = min(1.0, tokens / 200_000)
        seconds = {"step": 0.4 + stage.seq_len / 8192, "wait": 0.004, "build": 0.001}
        seconds |= {"fetch": 0.002, "decode": 0.005, "collate": 0.003}
        if stage_step == 0:
            seconds |= {"wait": 0.03}
        lines.append(
            {
                "step": step,
                "stage": stage.name,
                "stage_step": stage_step,
                "tokens": tokens,
                "rows": rows,
                "seq_len": stage.seq_len,
                "loss": loss,
                "mtp_loss": loss + 0.45,
                "balance_loss": 1e-4,
                "loss_by_source": losses,
                "tokens_by_source": learned,
                "lr": warm * (2.5e-4 + 2.25e-3 * (1 + math.cos(math.pi * progress)) / 2),
                "grad_norm": 0.8,
                "rope_base": stage.rope_base,
                "bias_rate": 1e-3,
                "mtp_weight": 0.3,
                "max_violation": 1.6 * math.exp(-step / 60) + 0.25 + abs(rng.normal(0, 0.05)),
                "seconds": seconds,
            }
        )
    return lines


def make_rejects(counts: dict[str, Any]) -> bytes:
    rows = []
    for number, reason in enumerate(counts["reasons"]):
        for sample in range(6):
            text = REJECTED[(number + sample) % len(REJECTED)]
            if reason == "no_main_text" and sample == 0 and counts["corpus"] == "web":
                text = HOSTILE
            origin = f"https://example.org/{counts['corpus']}/{reason}/{sample}"
            rows.append(
                {
                    "step": counts["step"],
                    "reason": reason,
                    "id": f"{number:032x}",
                    "origin": origin,
                    "text": text[:2000],
                    "meta": '{"semantic": {"distance": 0.031, "kept": "00ff"}}' if sample else "{}",
                }
            )
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def write_build(root: Path, *, steps: int = 290, plan: bool = True, lock: bool = True, rejects: bool = True) -> Path:
    """Write a build with a training of `steps` steps below `root`; parts can be left out."""
    data = make_lock()
    raw = json.dumps(data, indent=1, sort_keys=True).encode()
    the_plan = make_plan(data, raw)
    root.mkdir(parents=True, exist_ok=True)
    if lock:
        (root / "lock.json").write_bytes(raw)
    if plan:
        (root / "plan.json").write_text(the_plan.to_json())
    if steps:
        (root / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in make_metrics(the_plan, steps)))
    if rejects:
        for name, corpus in data["corpora"].items():
            for counts in corpus["steps"]:
                if counts["reasons"]:
                    folder = root / "corpora" / name / f"{counts['step']}-{counts['key'][:12]}"
                    folder.mkdir(parents=True)
                    (folder / "rejects.parquet").write_bytes(make_rejects(counts))
    return root


@pytest.fixture(scope="session")
def hostile() -> str:
    return HOSTILE


@pytest.fixture(scope="session")
def build() -> Callable[..., Path]:
    """`build(root, steps=..., plan=..., lock=..., rejects=...)` writes a build folder."""
    return write_build


@pytest.fixture(scope="session")
def full_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_build(tmp_path_factory.mktemp("report") / "out")


@pytest.fixture(scope="session")
def live_plan(full_build: Path) -> Plan:
    """The plan of `full_build` while it was still running: the last two stages are not laid out."""
    plan = Plan.from_json((full_build / "plan.json").read_text())
    still_open = tuple(dataclasses.replace(stage, sources=(), mixture=()) for stage in plan.stages[3:])
    return dataclasses.replace(plan, lock="", stages=plan.stages[:3] + still_open)


@pytest.fixture(scope="session")
def report_file(full_build: Path) -> Path:
    """The report on `full_build`."""
    return Path(write_report(str(full_build)))


@pytest.fixture(scope="session")
def page(report_file: Path) -> HtmlElement:
    """The report on `full_build`, parsed."""
    return html.document_fromstring(report_file.read_text())
