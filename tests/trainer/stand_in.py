"""A stand-in for a GPU: a torch device whose tensors lie in host memory, and which is as strict as CUDA about where they lie.

Installed once in a process (torch's PrivateUse1 backend, written in Python), it shows without a GPU that the trainer

- makes every tensor on the device it computes on: an operation that mixes it with the CPU raises,
- gives collectives of a device group tensors of that device only (as NCCL asks), where the group is made with BACKENDS,
- asks for nothing that CUDA cannot do deterministically,
- waits for the device no more often than it says: `waits` counts what makes the host wait, by line of our code.

Not shown: whether what is copied asynchronously is overwritten too early, kernels, streams, speed.
"""

import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "standin"
DEVICE = f"{NAME}:0"
BACKENDS = f"cpu:gloo,{NAME}:gloo"  # a group of these stands for one of NCCL
COPIES = ("aten::copy_", "aten::_to_copy")
# The result is needed on the host: its value, or its shape.
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select", "aten::_unique2")
# Those that CUDA refuses while deterministic algorithms are asked for (torch.use_deterministic_algorithms); cumsum of floats.
REFUSED = (
    "aten::bincount",
    "aten::cumsum",
    "aten::histc",
    "aten::kthvalue",
    "aten::median",
    "aten::put_",
    "aten::scatter_reduce",
)
OURS = str(Path(__file__).parents[2] / "trainer")

waits: Counter[str] = Counter()


class DeviceTensor(torch.Tensor):
    """A tensor of the device; `inner` holds its values on the CPU."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "DeviceTensor":
        made: DeviceTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )  # type: ignore[call-arg, assignment]
        made.inner = inner
        return made

    @property
    def data(self) -> torch.Tensor:
        return torch.Tensor.data.__get__(self)  # type: ignore[attr-defined]

    @data.setter
    def data(self, value: "DeviceTensor") -> None:
        torch.Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.inner = value.inner

    def tolist(self) -> list[Any]:
        values: list[Any] = self.cpu().tolist()
        return values

    @classmethod
    def __torch_dispatch__(cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operator, args, kwargs or {})


def install() -> torch.device:
    """Make the device known to torch, for the rest of the process."""
    _setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda operator, *args, **kwargs: _run(operator, args, kwargs), "PrivateUse1")
    _strict_collectives()
    _tensors_by_copy()
    _marks_survive_moving()
    install.keep = library  # type: ignore[attr-defined]  # what it registered goes with it
    return torch.device(DEVICE)


def _run(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = operator.name().split(".")[0]
    if name == "aten::_has_compatible_shallow_copy_type":
        return True
    tensors = tensors_of((args, kwargs), [])
    here = [tensor for tensor in tensors if isinstance(tensor, DeviceTensor)]
    elsewhere = [tensor for tensor in tensors if not isinstance(tensor, DeviceTensor) and tensor.dim()]
    if here and elsewhere and name not in COPIES:
        shapes = [(str(tensor.device), tuple(tensor.shape)) for tensor in tensors]
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got {shapes}")
    if name in REFUSED and here and (name != "aten::cumsum" or here[0].is_floating_point()):
        raise RuntimeError(f"{name} does not have a deterministic implementation")
    target = kwargs.get("device")
    to_device = bool(here) if target is None else torch.device(target).type == NAME
    if name == "aten::copy_":
        to_device = isinstance(args[0], DeviceTensor)
    is_upload = to_device and name in COPIES and bool(elsewhere)
    if (here and (name in WAITS or not to_device)) or (
        is_upload and not (kwargs.get("non_blocking") or args[2:3] == (True,))
    ):
        waits[f"{name.removeprefix('aten::')} {_where()}"] += 1
    if target is not None and to_device:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args, kwargs = replaced((args, kwargs), DeviceTensor, lambda tensor: tensor.inner)
    found = operator(*args, **kwargs)
    known = {id(tensor.inner): tensor for tensor in here}
    for tensor in here:
        if tensor.shape != tensor.inner.shape:  # an `out` of no elements was resized
            torch.Tensor.data.__set__(tensor, DeviceTensor(tensor.inner))  # type: ignore[attr-defined]
    if not to_device:
        return found
    return replaced(
        found, torch.Tensor, lambda tensor: known[id(tensor)] if id(tensor) in known else DeviceTensor(tensor)
    )


def tensors_of(value: Any, found: list[torch.Tensor]) -> list[torch.Tensor]:
    """`found` and the tensors in the arguments of an operation. torch's pytree, which knows more, takes most of a run's time for it."""
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, tuple | list):
        for one in value:
            tensors_of(one, found)
    elif isinstance(value, dict):
        tensors_of(list(value.values()), found)
    return found


def replaced(value: Any, kind: type[torch.Tensor], by: Callable[[Any], Any]) -> Any:
    """The arguments or results of an operation with other tensors in the place of those of a kind."""
    if isinstance(value, kind):
        return by(value)
    if isinstance(value, tuple | list):
        made = [replaced(one, kind, by) for one in value]
        return made if isinstance(value, list) else tuple(made)
    if isinstance(value, dict):
        return {key: replaced(one, kind, by) for key, one in value.items()}
    return value


def _where() -> str:
    """The innermost line of the trainer under way."""
    frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(OURS)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else "elsewhere"


def _strict_collectives() -> None:
    """A group of BACKENDS refuses tensors of the CPU."""

    def strict(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            group = kwargs.get("group") or next((a for a in args if isinstance(a, dist.ProcessGroup)), None)
            tensors = tensors_of((args, kwargs), [])
            is_device_group = NAME in str(dist.distributed_c10d._world.pg_backend_config[group or dist.group.WORLD])
            # The word embeddings are compared when the model is built: on CUDA after `weight.data.cuda()`, which a wrapper does not take.
            builds = sys._getframe(1).f_code.co_filename.endswith("language_module.py")
            if is_device_group and not builds and any(not isinstance(tensor, DeviceTensor) for tensor in tensors):
                raise RuntimeError(f"No backend type associated with device type cpu: {function.__name__}")
            return function(*args, **kwargs)

        return call

    for name in (
        "all_reduce",
        "all_gather",
        "all_gather_into_tensor",
        "all_to_all_single",
        "broadcast",
        "reduce_scatter_tensor",
        "_all_gather_base",
        "_reduce_scatter_base",
        "send",
        "recv",
    ):
        setattr(dist, name, strict(getattr(dist, name)))


def _marks_survive_moving() -> None:
    """A parameter that is moved stays the same object on CUDA, with its attributes; of a wrapper a new one is made."""
    move = torch.nn.Module._apply

    def moved(self: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
        before = {name: dict(vars(p)) for name, p in self._parameters.items() if p is not None}
        move(self, *args, **kwargs)
        for name, marks in before.items():
            vars(self._parameters[name]).update({key: value for key, value in marks.items() if key != "inner"})
        return self

    torch.nn.Module._apply = moved  # type: ignore[method-assign]


def _tensors_by_copy() -> None:
    """torch.tensor(..., device=) asks for a copy in C++ that a backend written in Python does not get."""
    make = torch.tensor

    def tensor(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        made = make(data, **options)
        return made if device is None else made.to(device)

    torch.tensor = tensor  # type: ignore[assignment]
