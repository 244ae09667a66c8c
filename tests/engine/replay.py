"""What a CUDA graph is to a step, without CUDA: its operations, recorded once, and run again without its Python.

A replay sees new values only in tensors that were there before the capture, at their addresses. A step that looks at a
value, or makes use of a number that changes from call to call, is found out.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from wyoming_qwen3.engine.cuda_graphs import CaptureFailed, Step

Name = TypeVar("Name", bound=Hashable)

LOOKS = {"_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "_unique2", "multinomial"}
"""Operations whose result's shape or Python value depends on values: on a GPU each waits for it."""


class LooksAtValues(Exception):
    """A step can't be captured."""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps every operation with the very tensors that it was given and gave."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in LOOKS:
            raise LooksAtValues(name)
        given = kwargs or {}
        out = func(*args, **given)
        self.calls.append((func, args, given, out))
        return out

    def replay(self) -> None:
        """Run all operations again; what one gives is put where its result was."""
        with torch.inference_mode():
            for func, args, kwargs, old in self.calls:
                new = func(*args, **kwargs)
                for before, after in zip(tensors(old), tensors(new), strict=True):
                    if before.data_ptr() != after.data_ptr():  # else it is a view, or was written in place
                        before.copy_(after)


class Replays:
    """Captures steps as CudaGraphs does, on a CPU."""

    def __init__(self) -> None:
        self.captured: dict[str, list[Any]] = {}

    def capture(self, what: str, steps: Mapping[Name, Step]) -> dict[Name, Step]:
        self.captured[what] = list(steps)
        return {name: record(step) for name, step in steps.items()}


class NoMemory:
    """A GPU whose memory is full when it comes to a capture."""

    def capture(self, what: str, steps: Mapping[Name, Step]) -> dict[Name, Step]:
        for step in steps.values():
            step()
        raise CaptureFailed(f"CUDA out of memory. Tried to capture {what}.")


def record(step: Step) -> Step:
    step()
    recorder = Recorder()
    with recorder:
        step()
    return recorder.replay


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return [one for one in result if isinstance(one, Tensor)] if isinstance(result, list | tuple) else []
