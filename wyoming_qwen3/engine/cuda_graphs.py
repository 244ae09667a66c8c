"""CUDA graphs, streams and events; no other module knows them.

A step is a function without arguments and results that works on tensors at fixed addresses. It must not wait for the
device or read a value back, so that it can be captured once and replayed. On a CPU, or without graphs, the same
function is called directly.
Nothing here has run on a GPU yet.
"""

import logging
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import perf_counter
from typing import Protocol, TypeVar

import torch
from torch import Tensor

_LOGGER = logging.getLogger(__name__)

_StepName = TypeVar("_StepName", bound=Hashable)

Step = Callable[[], None]

_STAGED_BYTES = 16 << 20
"""Bytes of a pinned buffer: about a millisecond of copying, so that neither the copies nor their filling stall."""

_WARM_UPS = 3
"""Calls before a capture: the first ones allocate workspaces and choose kernels, which can't be captured."""


class CaptureFailed(Exception):
    """Steps could not be captured, most likely for lack of memory; the message is the reason."""


class Graphs(Protocol):
    """A way to run steps: as captured graphs or as plain calls."""

    def capture(self, what: str, steps: Mapping[_StepName, Step]) -> dict[_StepName, Step]:
        """Return faster versions of the steps. This calls them; nothing else may call them at the same time.

        Raises CaptureFailed.
        """


class DirectCalls:
    """Calls steps as they are."""

    def capture(self, what: str, steps: Mapping[_StepName, Step]) -> dict[_StepName, Step]:  # noqa: ARG002
        """Return the steps themselves."""
        return dict(steps)


class Streams:
    """Streams of a device, each of which has one holder at a time.

    PyTorch has 32 and hands them out in turn, even if they are still in use. Two captures on one stream share cuBLAS's
    workspace, so they would overwrite each other's, and the end of one would free the other's.
    """

    def __init__(self, make: Callable[[], torch.cuda.Stream]) -> None:
        """`make` returns a new stream; it must not repeat itself in the first 32 calls."""
        self._make = make
        self._free: list[torch.cuda.Stream] = []

    def lend(self, holder: object) -> torch.cuda.Stream:
        """Return a stream that only `holder` uses as long as it exists. Safe to call on any thread."""
        try:
            stream = self._free.pop()
        except IndexError:
            stream = self._make()
        weakref.finalize(holder, self._free.append, stream).atexit = False
        return stream


class CudaGraphs:
    """Captures steps as CUDA graphs in one memory pool, so they must be replayed one after the other."""

    def __init__(self, device: str, streams: Streams) -> None:
        self._device = torch.device(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = streams.lend(self)

    def capture(self, what: str, steps: Mapping[_StepName, Step]) -> dict[_StepName, Step]:
        """Capture the steps in their order and return their replays; `what` names them in the log.

        Raises CaptureFailed.
        """
        start = perf_counter()
        _LOGGER.info("Capturing %d CUDA graphs of %s", len(steps), what)
        try:
            captured: dict[_StepName, Step] = {name: self._capture(step) for name, step in steps.items()}
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
            # Other threads go on speaking: their work must not invalidate this capture.
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                step()
        return partial(_replay, graph, self)


def _replay(graph: torch.cuda.CUDAGraph, _: CudaGraphs) -> None:
    """Replay a graph; the reference to CudaGraphs keeps the stream of its capture in use."""
    graph.replay()


def streams_of(device: str | torch.device) -> Streams:
    """Return the streams of a device; all parts of a process should share one such object."""
    return Streams(partial(_new_stream, torch.device(device)))


def choose_graphs(device: str, *, wanted: bool, streams: Streams | None = None) -> Graphs:
    """Return CUDA graphs if the device has CUDA and they are wanted, else direct calls."""
    return CudaGraphs(device, streams or streams_of(device)) if wanted and device.startswith("cuda") else DirectCalls()


def reason(error: BaseException) -> str:
    """Return the first line of an error's original cause: a capture that fails midway fails again at its end."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error).partition("\n")[0]


class Lane:
    """A stream of work that runs beside the device's other lanes. Tensors created in a lane must be used in it."""

    def __init__(self, device: torch.device, streams: Streams | None = None) -> None:
        self._stream = (streams or streams_of(device)).lend(self) if device.type == "cuda" else None

    def entered(self) -> AbstractContextManager[object]:
        """Return a context that runs the enclosed work in the lane.

        The work is not ordered after work outside the lane, unless the host waited for that, for instance by
        `read_back`.
        """
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()

    def finish(self) -> None:
        """Wait until all work in the lane is done; then its tensors can be used anywhere."""
        if self._stream:
            self._stream.synchronize()


class StreamEvent(Protocol):
    """A point in the work of a stream."""

    def synchronize(self) -> None:
        """Wait until the work before it is done."""


class Staging:
    """Copies tensors to a GPU in the current stream, through two pinned buffers in turn.

    One is filled while the other one is copied. A copy from memory that is not pinned holds up the driver instead, and
    with it whoever launches something meanwhile. For one thread at a time.
    """

    def __init__(
        self,
        device: torch.device,
        size: int = _STAGED_BYTES,
        allocate: Callable[[int], Tensor] | None = None,
        record: Callable[[], StreamEvent] | None = None,
    ) -> None:
        """`size` is that of a buffer in bytes; `allocate` and `record` return pinned memory, uint8 [n], and an event.

        Buffers are allocated with the first copy.
        """
        self._device, self._size = device, size
        self._allocate = allocate or _pinned
        self._record = record or partial(_record, device)
        self._buffers: list[tuple[Tensor, StreamEvent | None]] = []

    def copy(self, source: Tensor, dtype: torch.dtype) -> Tensor:
        """Return a copy of a tensor on the GPU, in another dtype. It can be used in the current stream."""
        target = torch.empty(source.shape, dtype=dtype, device=self._device)
        size = self._size // dtype.itemsize
        parts = zip(source.reshape(-1).split(size), target.view(-1).split(size), strict=True)  # type: ignore[no-untyped-call]
        for part, room in parts:
            memory = self._next_buffer()
            staged = memory[: room.nbytes].view(dtype)
            staged.copy_(part)
            room.copy_(staged, non_blocking=True)
            self._buffers.append((memory, self._record()))
        return target

    def _next_buffer(self) -> Tensor:
        """Take the buffer that was used longest ago, once its copy is done."""
        if not self._buffers:
            self._buffers = [(self._allocate(self._size), None) for _ in range(2)]
        memory, copied = self._buffers.pop(0)
        if copied:
            copied.synchronize()
        return memory


def upload(values: Sequence[Sequence[int]], into: Tensor) -> None:
    """Copy numbers to a tensor on the device without waiting for the device."""
    source = torch.tensor(values, dtype=into.dtype)
    into.copy_(source.pin_memory() if into.is_cuda else source, non_blocking=True)


def to_device(source: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return a copy on the device of a tensor in the host's memory, in `dtype`, without waiting for the device."""
    source = source.to(dtype or source.dtype)
    pinned = source.pin_memory() if device.type == "cuda" else source
    return pinned.to(device, non_blocking=device.type != "mps")  # which does not keep the source until it is copied


def read_back(tensor: Tensor) -> Callable[[], Tensor]:
    """Start to copy a tensor, as it is now, to the host. Calling the result waits only for this copy and returns it."""
    if not tensor.is_cuda:
        return partial(_same, tensor.clone())
    copy = tensor.to("cpu", non_blocking=True)
    done = torch.cuda.current_stream(tensor.device).record_event()

    def wait() -> Tensor:
        done.synchronize()
        return copy

    return wait


def _pinned(size: int) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, pin_memory=True)


def _record(device: torch.device) -> StreamEvent:
    event: StreamEvent = torch.cuda.current_stream(device).record_event()
    return event


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _same(tensor: Tensor) -> Tensor:
    return tensor
