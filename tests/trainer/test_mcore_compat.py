import importlib
import importlib.machinery
import inspect
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trainer import mcore_compat


def test_another_megatron_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcore_compat.importlib.metadata, "version", lambda name: "0.17.0")
    with pytest.raises(RuntimeError, match=r"megatron-core 0.17.0 is installed.*megatron-core==0.16.1"):
        mcore_compat.install()


@pytest.mark.parametrize(("file", "lines"), mcore_compat.PATCHED.items())
def test_what_the_patches_are_for_is_still_there(file: str, lines: tuple[str, ...]) -> None:
    (core,) = importlib.import_module("megatron.core").__path__
    source = Path(core, file).read_text()
    for line in lines:
        assert line in source, f"{file} no longer has `{line}`: is the patch in mcore_compat still needed?"


def test_patches_hold_while_training_and_are_put_back() -> None:
    mcore_compat.install()
    from megatron.core.pipeline_parallel import schedules

    before, device = torch.cuda.current_device, torch.device("cpu")
    with mcore_compat.running_on(device):
        assert torch.cuda.current_device() == device
        assert schedules.torch.zeros([2], dtype=torch.int, device="cuda").device == device
        assert schedules.torch.float32 is torch.float32
        assert torch.ones(1).cuda().device == device
    assert torch.cuda.current_device is before
    assert schedules.torch is torch


def test_a_transformer_engine_that_does_not_import_is_not_seen(tmp_path: Path) -> None:
    """As with an extension built for another torch: the package imports and swallows the error, its parts raise it."""
    package = tmp_path / "transformer_engine"
    (package / "pytorch").mkdir(parents=True)
    (package / "common").mkdir()
    (package / "common" / "__init__.py").touch()
    (package / "__init__.py").write_text(
        "import transformer_engine.common\ntry:\n    from . import pytorch\nexcept ImportError:\n    pass\n__version__ = '2.8.0'\n"
    )
    (package / "pytorch" / "__init__.py").write_text("raise ImportError('undefined symbol: _ZN3c10')\n")
    script = (
        "from trainer import mcore_compat\n"
        "mcore_compat.install()\n"
        "import importlib, trainer.model\n"
        "from megatron.core.tensor_parallel import random\n"
        "from megatron.core.transformer import mlp\n"
        "from megatron.core.utils import get_te_version\n"
        "assert not (random.HAVE_TE or mlp.HAVE_TE or get_te_version())\n"
        "try:\n"
        "    importlib.import_module('transformer_engine.common')\n"
        "except ModuleNotFoundError:\n"
        "    print('hidden')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, timeout=300, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "hidden\n", done.stderr
    assert "is not used: ImportError: undefined symbol: _ZN3c10" in done.stderr


def test_overridden_methods_have_megatrons_parameters() -> None:
    mcore_compat.install()
    from megatron.core.models.common.language_module.language_module import LanguageModule
    from megatron.core.models.gpt.gpt_model import GPTModel
    from megatron.core.transformer.multi_token_prediction import MultiTokenPredictionLayer

    from trainer.model import DocumentModel, DocumentMTPLayer

    ours, theirs = DocumentModel._postprocess, GPTModel._postprocess
    assert set(inspect.signature(ours).parameters) - {"_"} <= set(inspect.signature(theirs).parameters)
    backend = "_set_attention_backend"
    assert inspect.signature(getattr(DocumentModel, backend)) == inspect.signature(
        getattr(LanguageModule, backend)
    ).replace(return_annotation=None)
    shift = DocumentMTPLayer._get_embeddings
    assert [*inspect.signature(shift).parameters] == [
        *inspect.signature(MultiTokenPredictionLayer._get_embeddings).parameters
    ]


def test_importing_the_package_is_cheap_and_changes_nothing() -> None:
    heavy = ["torch", "megatron", "transformer_engine", "ray", "polars", "fasttext", "trafilatura", "triton"]
    script = (
        "import os, sys; before = dict(os.environ)\n"
        "import trainer, trainer.run, trainer.schedule, trainer.metrics, kernels, curriculum.plan\n"
        f"assert not [name for name in {heavy} if name in sys.modules], sys.modules.keys()\n"
        "assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


@pytest.mark.parametrize(("rank", "warnings"), [(None, 1), ("0", 1), ("1", 0)])
def test_the_first_rank_of_a_machine_warns_of_a_transformer_engine_that_does_not_import(
    rank: str | None, warnings: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = mcore_compat.TRANSFORMER_ENGINE
    found = importlib.machinery.ModuleSpec(name, None)
    monkeypatch.setattr("trainer.transformer_engine.misfit", lambda: "ImportError: no libcuda")
    monkeypatch.setattr(mcore_compat.importlib.util, "find_spec", lambda _: found)
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    with caplog.at_level(logging.WARNING):
        mcore_compat._hide_misfit()
    assert len([text for text in caplog.messages if "is not used: ImportError: no libcuda" in text]) == warnings
    assert sys.modules[name] is None
