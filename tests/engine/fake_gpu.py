"""A GPU that no machine has: PyTorch's fake tensors say that they are on it, and PyTorch holds them to its rules.

They have shapes, types and devices but no values, so a step runs on a PyTorch without CUDA as far as its devices go.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _DummyPrivateUse1Hook,
    _setup_privateuseone_for_python_backend,
)

from wyoming_qwen3.engine.cuda_graphs import Step

WAITS = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal", "_unique2", "multinomial"}
"""Operations with a result on the host, or of a shape that depends on values: each waits for the device."""

DRAWS = {"exponential_", "normal_", "uniform_", "bernoulli_", "random_", "multinomial"}
ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty"}
COPIES = {"_to_copy", "copy_", "to"}


class Waits(Exception):
    """The host would wait for the device."""


class CantBeCaptured(Exception):
    """An operation that a CUDA graph can't hold."""


class NoDevices(_DummyBackendModule):
    """PyTorch's module for the fake device: there is none but in fake tensors, so that other tests are left alone."""

    def is_available(self) -> bool:
        return False

    def device_count(self) -> int:
        return 0


class NoAccelerator(_DummyPrivateUse1Hook):
    """The same for PyTorch's choice of an accelerator."""

    def is_available(self) -> bool:
        return False


def fake_device() -> str:
    """Register a kind of device that has no kernels, and return its name."""
    if torch._C._get_privateuse1_backend_name() == "privateuseone":
        _setup_privateuseone_for_python_backend("fakegpu", NoDevices(), NoAccelerator())
    return torch._C._get_privateuse1_backend_name()


@contextmanager
def faking(mode: FakeTensorMode) -> Iterator[None]:
    """Make fake tensors, without values even where the host knows them, and random numbers that are the host's."""
    tensor, generator, exponential = torch.tensor, torch.Generator, Tensor.exponential_

    def valueless(*given: Any, **more: Any) -> Any:
        made: Any = tensor(*given, **more)
        made.constant = None
        return made

    def draw(noise: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return exponential(noise)

    with (
        patch.object(torch, "tensor", valueless),
        patch.object(torch, "Generator", lambda _: generator()),
        patch.object(Tensor, "exponential_", draw),
        mode,
    ):
        yield


def names(tensors: Iterable[Tensor]) -> str:
    return ", ".join(f"{one.device.type} {list(one.shape)}" for one in tensors)


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what waits for the device, and counts the bytes that are allocated on it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.allocated: dict[str, int] = {}
        """Bytes by operation."""

        self.launches = 0
        """Operations on the device that are no views; replays are none either."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        kwargs = kwargs or {}
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        if name in WAITS and any(one.device.type != "cpu" for one in given):
            raise Waits(name)
        out = func(*args, **kwargs)
        made = [one for one in tree_leaves(out) if isinstance(one, Tensor)]
        if name in COPIES and len({one.device.type for one in (*given, *made)}) > 1:
            self.check_copy(name, func, args, kwargs, [*given, *made])
        on_device = any(one.device.type != "cpu" for one in (*given, *made))
        there = {one.untyped_storage()._cdata for one in given}
        computes = func._schema.is_mutable or any(one.untyped_storage()._cdata not in there for one in made)
        self.launches += on_device and computes and name not in ALLOCATIONS
        if not (func.is_view or name.endswith("_")):
            new = sum(one.nbytes for one in made if one.device.type != "cpu")
            self.allocated |= {name: self.allocated.get(name, 0) + new} if new else {}
        return out

    def check_copy(self, name: str, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> None:
        """A copy between host and device may not wait; a single number is an argument of the launch."""
        place = next((n for n, one in enumerate(func._schema.arguments) if one.name == "non_blocking"), None)
        waits = not (kwargs.get("non_blocking") or (place is not None and place < len(args) and args[place]))
        if waits and not (name == "copy_" and args[1].device.type == "cpu" and not args[1].dim()):
            raise Waits(f"{name}: {names(tensors)}")


class Capture(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what a capture refuses. A number of the host that fills a tensor is an argument of the launch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITS or name in DRAWS:
            raise CantBeCaptured(name)
        out = func(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs, out)) if isinstance(one, Tensor)]
        at_home = [one for one in tensors if one.device.type == "cpu" and one.dim()]
        if at_home or (name in COPIES and len({one.device for one in tensors}) > 1):
            raise CantBeCaptured(f"{name}: {names(tensors)}")
        indices = args[1] if name in ("index", "index_put_", "index_put") else ()
        if any(isinstance(one, Tensor) and one.dtype == torch.bool for one in indices):
            raise CantBeCaptured(f"{name} with a mask: its shape depends on values")
        return out


class Captures:
    """Captures steps on fake tensors, by a call that is watched. A replay then does nothing."""

    def __init__(self) -> None:
        self.captured: dict[str, list[Any]] = {}

    def capture(self, what: str, steps: Mapping[Any, Step]) -> dict[Any, Step]:
        self.captured[what] = list(steps)
        for step in steps.values():
            with Capture():
                step()
        return dict.fromkeys(steps, replayed)


def replayed() -> None:
    """What a replay is to PyTorch: no operation."""


class Fakes(Mapping[str, Tensor]):
    """Tensors of the shapes and types of others, made when they are asked for."""

    def __init__(self, real: Mapping[str, Tensor]) -> None:
        self._real = {name: (tensor.shape, tensor.dtype) for name, tensor in real.items()}

    def __getitem__(self, name: str) -> Tensor:
        shape, dtype = self._real[name]
        return torch.empty(shape, dtype=dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


def faked(published: Any) -> Any:
    """A checkpoint or a codec as published, with fake tensors."""
    return replace(published, tensors=Fakes(published.tensors))
