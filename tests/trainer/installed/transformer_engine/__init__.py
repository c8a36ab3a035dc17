"""A stand-in for TransformerEngine, for machines without CUDA. Importable where this folder's parent is on sys.path.

Its attention computes, with the parameters and the checks of the real one (versions 2.4 to 2.20), by torch's own. All else that
megatron asks of TransformerEngine when it is imported is there by name only: modules and classes made when they are looked up. Names
that begin with _ are not, as in versions from 2.4 on.
"""

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

__version__ = "2.20.2"


class _Names(type):
    """Of classes whose attributes are classes too."""

    def __getattr__(cls, name: str) -> Any:
        return _made(name)


class _Generated(ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        value = _made(name)
        setattr(self, name, value)
        return value


def _made(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return _Names(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module below this one that has no file."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(f"{__name__}.") or "._" in name:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Generated(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


sys.meta_path.append(_Finder())  # behind those that find files

from transformer_engine import common, pytorch  # noqa: E402, F401  # megatron reads te.common, te.pytorch
