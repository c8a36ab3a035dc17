import importlib
import inspect
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


def test_overridden_methods_have_megatrons_parameters() -> None:
    mcore_compat.install()
    from megatron.core.models.gpt.gpt_model import GPTModel
    from megatron.core.transformer.multi_token_prediction import MultiTokenPredictionLayer

    from trainer.model import DocumentModel, DocumentMTPLayer

    ours, theirs = DocumentModel._postprocess, GPTModel._postprocess
    assert set(inspect.signature(ours).parameters) - {"_"} <= set(inspect.signature(theirs).parameters)
    shift = DocumentMTPLayer._get_embeddings
    assert [*inspect.signature(shift).parameters] == [
        *inspect.signature(MultiTokenPredictionLayer._get_embeddings).parameters
    ]


def test_importing_the_package_is_cheap_and_changes_nothing() -> None:
    heavy = ["torch", "megatron", "ray", "polars", "fasttext", "trafilatura", "triton"]
    script = (
        "import os, sys; before = dict(os.environ)\n"
        "import trainer, trainer.run, trainer.schedule, trainer.metrics, kernels, curriculum.plan\n"
        f"assert not [name for name in {heavy} if name in sys.modules], sys.modules.keys()\n"
        "assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
