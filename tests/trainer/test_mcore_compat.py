import inspect
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from trainer import mcore_compat

if TYPE_CHECKING:
    from trainer.layout import Layout


def test_another_megatron_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcore_compat.importlib.metadata, "version", lambda name: "0.17.0")
    with pytest.raises(RuntimeError, match=r"megatron-core 0.17.0 is installed.*megatron-core==0.16.1"):
        mcore_compat.install()


def test_the_patched_call_is_still_there_and_is_put_back(alone: "Layout") -> None:
    from megatron.core.distributed import param_and_grad_buffer

    assert "device=torch.cuda.current_device()" in inspect.getsource(param_and_grad_buffer)
    before = torch.cuda.current_device
    with mcore_compat.buffers_on(alone.device):
        assert torch.cuda.current_device() == alone.device
    assert torch.cuda.current_device is before


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
