"""Reads a checkpoint's tensors by name, one at a time, when they are requested.

Knows safetensors files; does NOT know what the tensors mean.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .config import FileError

Copy = Callable[[Tensor, torch.dtype], Tensor]
"""Returns a copy of a tensor in a dtype."""


class TensorError(FileError):
    """A tensor is not what it should be."""


class TensorFiles(Mapping[str, Tensor]):
    """The tensors of some safetensors files. A looked-up tensor is a view of its file, which stays mapped as long.

    Raises OSError, and FileError if a file is missing or damaged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._homes: dict[str, Path] = {}
        for file in files:
            try:
                with safe_open(file, framework="pt") as content:
                    self._homes |= dict.fromkeys(content.keys(), file)
            except FileNotFoundError as error:
                raise FileError(f"its {file.name} is missing") from error
            except SafetensorError as error:
                raise FileError(f"its {file.name} is incomplete or damaged") from error

    def __getitem__(self, name: str) -> Tensor:
        with safe_open(self._homes[name], framework="pt") as content:
            tensor: Tensor = content.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


@dataclass(frozen=True, eq=False)
class TensorReader:
    """Copies tensors whose names begin with `prefix` to a device, and converts them to `dtype` unless it is None.

    `copy`, if there is one, makes the copies of a given dtype on that device.
    """

    tensors: Mapping[str, Tensor]
    device: str = "cpu"
    dtype: torch.dtype | None = None
    prefix: str = ""
    copy: Copy | None = None

    def below(self, prefix: str) -> "TensorReader":
        """Return a reader for the names that continue with `prefix`."""
        return replace(self, prefix=self.prefix + prefix)

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Return a copy of a tensor. Raises TensorError if it is missing or has another shape."""
        stored = self.view(name, *shape)
        if self.copy:
            return self.copy(stored, self.dtype or stored.dtype)
        return stored.to(self.device, self.dtype, copy=True)

    def view(self, name: str, *shape: int) -> Tensor:
        """Return a tensor without copying it, as it is stored. Raises TensorError as a call does."""
        tensor = self.tensors.get(self.prefix + name)
        if tensor is None:
            raise TensorError(f"its tensor {self.prefix}{name} is missing")
        if tensor.shape != shape:
            raise TensorError(
                f"its tensor {self.prefix}{name} has the shape {list(tensor.shape)} instead of {list(shape)}"
            )
        return tensor
