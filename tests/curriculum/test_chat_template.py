"""The version of the chat template is said once, in the manifest, and reaches every conversation, the keys and the plan."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curriculum import generating, segment
from curriculum.document import ManifestError
from curriculum.manifest import Manifest, load_manifest
from curriculum.planner import make_plan
from curriculum.segment import Bound, Generated
from datapipe.schema import documents
from synth import GENERATORS
from synth.render import parse
from tests.curricula import stage_text, write_curriculum

TEXT = "A zone is a part of the system that has a number in the list of all the parts. It is told here.\n\n" * 8


def manifest(folder: Path, line: str = "") -> Manifest:
    path = write_curriculum(folder, stage_text())
    path.write_text(line + path.read_text())
    return load_manifest(str(path))


def test_it_is_said_in_the_manifest(tmp_path: Path) -> None:
    usual, newer = manifest(tmp_path), manifest(tmp_path, "chat_template: glm-4.7\n")
    assert manifest(tmp_path, "chat_template: glm-4.5\n").fingerprint() == usual.fingerprint()
    assert newer.fingerprint() != usual.fingerprint()
    assert {corpus.template for corpus in newer.corpora.values()} == {"glm-4.7"}
    assert make_plan(newer, None)[0].training["chat_template"] == "glm-4.7"
    assert "chat_template" not in make_plan(usual, None)[0].training
    with pytest.raises(ManifestError, match=r"(?s)chat_template.*glm-4\.5"):
        manifest(tmp_path, "chat_template: chatml\n")


def test_it_reaches_the_conversations(tmp_path: Path) -> None:
    part, exchanged = str(tmp_path / "part.parquet"), str(tmp_path / "exchange.arrow")
    pq.write_table(documents([{"text": TEXT, "origin": "https://names.example/zones", "kind": "web"}]), part)
    generator = Bound("qa", GENERATORS["qa"], {"min_chars": 100}, "qa")
    generating.emit_candidates(output=exchanged, part=part, generator=generator, num_receivers=1)

    def texts(**template: Any) -> list[str]:
        output = str(tmp_path / "out.parquet")
        source = Generated(generator, [exchanged], 0, **template)
        segment.run_segment(output=output, corpus="qa", source=source, steps=[], emit=None)
        return pq.read_table(output)["text"].to_pylist()

    usual, newer = texts(), texts(template="glm-4.7")
    assert usual
    assert [parse(text) for text in usual] == [parse(text, template="glm-4.7") for text in newer]
    assert usual != newer
