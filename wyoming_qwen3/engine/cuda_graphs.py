"""CUDA graphs, streams and events: the only place that knows them.

A step is a function without arguments and results over tensors at fixed addresses. It must not wait for the device or
look at a value, so that it can be captured once and replayed; on a CPU, or without graphs, the same function is called.
Nothing here has run on a GPU yet.
"""

import logging
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Protocol, TypeVar

import torch
from torch import Tensor

_LOGGER = logging.getLogger(__name__)

_Name = TypeVar("_Name", bound=Hashable)

Step = Callable[[], None]

_WARM_UPS = 3
"""Calls before a capture: first ones allocate workspaces and choose kernels, which can't be captured."""


class CaptureFailed(Exception):
    """Steps could not be captured, most likely for want of memory; the message is the reason."""


class Graphs(Protocol):
    """How steps are run."""

    def capture(self, what: str, steps: Mapping[_Name, Step]) -> dict[_Name, Step]:
        """The same steps, faster. They are called on the way, and nobody may call them meanwhile.

        Raises CaptureFailed.
        """


class Direct:
    """Calls steps as they are."""

    def capture(self, what: str, steps: Mapping[_Name, Step]) -> dict[_Name, Step]:  # noqa: ARG002
        """The steps themselves."""
        return dict(steps)


class Streams:
    """Streams of a device, each of which has one holder at a time.

    PyTorch has 32 and hands them out in turn, whoever still uses them. Two captures on one stream share cuBLAS's
    workspace, so that they would write over each other's, and the end of one would free the other's.
    """

    def __init__(self, make: Callable[[], torch.cuda.Stream]) -> None:
        """`make` gives a stream that was not given before, 32 times."""
        self._make = make
        self._free: list[torch.cuda.Stream] = []

    def lend(self, holder: object) -> torch.cuda.Stream:
        """A stream that is the holder's alone as long as that exists; callable on any thread."""
        try:
            stream = self._free.pop()
        except IndexError:
            stream = self._make()
        weakref.finalize(holder, self._free.append, stream).atexit = False
        return stream


class CudaGraphs:
    """Captures steps as CUDA graphs of one memory pool: they must be replayed one after the other."""

    def __init__(self, device: str, streams: Streams) -> None:
        self._device = torch.device(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = streams.lend(self)

    def capture(self, what: str, steps: Mapping[_Name, Step]) -> dict[_Name, Step]:
        """Replays of the steps, captured in their order; `what` they are is told in the log."""
        start = perf_counter()
        _LOGGER.info("Capturing %d CUDA graphs of %s", len(steps), what)
        try:
            captured: dict[_Name, Step] = {name: self._capture(step) for name, step in steps.items()}
        except RuntimeError as error:
            raise CaptureFailed(reason(error)) from error
        _LOGGER.info("Captured %d CUDA graphs of %s in %.1f s", len(steps), what, perf_counter() - start)
        return captured

    def _capture(self, step: Step) -> Step:
        graph = torch.cuda.CUDAGraph()
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):  # torch.cuda.graph does not leave the stream when a capture fails
            for _ in range(_WARM_UPS):
                step()
            # Other threads go on speaking: what they do must not make this capture invalid.
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                step()
        return partial(_replay, graph, self)


def _replay(graph: torch.cuda.CUDAGraph, _: CudaGraphs) -> None:
    """Whoever can replay a graph holds on to the stream that it was captured on."""
    graph.replay()


def streams_of(device: str | torch.device) -> Streams:
    """The streams of a device, which all of a process should have from here."""
    return Streams(partial(_new_stream, torch.device(device)))


def choose_graphs(device: str, *, wanted: bool, streams: Streams | None = None) -> Graphs:
    """CUDA graphs where there is CUDA, and they are wanted."""
    return CudaGraphs(device, streams or streams_of(device)) if wanted and device != "cpu" else Direct()


def reason(error: BaseException) -> str:
    """What an error began with, in one line: a capture that fails in the middle fails once more at its end."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error).partition("\n")[0]


class Lane:
    """A line of work beside that of other lanes of the device. What is made in a lane must be used in it."""

    def __init__(self, device: torch.device, streams: Streams | None = None) -> None:
        self._stream = (streams or streams_of(device)).lend(self) if device.type == "cuda" else None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Work in the lane. Only that is behind it which the host has waited for, as by `read_back`."""
        if self._stream is None:
            yield
        else:
            with torch.cuda.stream(self._stream):
                yield


def upload(values: Sequence[Sequence[int]], into: Tensor) -> None:
    """Copy numbers to the device without waiting for it."""
    source = torch.tensor(values, dtype=into.dtype)
    into.copy_(source.pin_memory() if into.is_cuda else source, non_blocking=True)


def read_back(tensor: Tensor) -> Callable[[], Tensor]:
    """Begin to copy a tensor, as it is now, to the host; the result waits for the copy alone, and returns it."""
    if not tensor.is_cuda:
        return partial(_same, tensor.clone())
    copy = tensor.to("cpu", non_blocking=True)
    done = torch.cuda.current_stream(tensor.device).record_event()

    def wait() -> Tensor:
        done.synchronize()
        return copy

    return wait


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _same(tensor: Tensor) -> Tensor:
    return tensor
