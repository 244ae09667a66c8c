"""The codec on a GPU: one stream's state at fixed addresses, and a few frames decoded as one launch.

Streams take turns, whichever thread they are decoded on: each state, about 5 MB, is copied in and out. The codec has
its own lane beside the language model's, so that a chunk is decoded while the next frame is sampled. Knows nothing of
the layers.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wyoming_qwen3.engine.cuda_graphs import CaptureFailed, DirectCalls, Graphs, Lane, Streams, reason

from .decoder import CodecDecoder, CodecState

_LOGGER = logging.getLogger(__name__)

_CHUNKS = (4, 2, 1)
"""Frames that one step decodes; other chunk sizes are combined from these."""

_FEW = 16
"""Most frames of a chunk that is decoded by captured steps; longer chunks have enough work in each launch."""


class StaticCodec:
    """Decodes like the CodecDecoder that it wraps, with the same states; samples are in the host's memory."""

    side_by_side = False

    def __init__(self, decoder: CodecDecoder, graphs: Graphs, streams: Streams | None = None) -> None:
        """Capture all steps. Raises CaptureFailed and torch.OutOfMemoryError."""
        device = decoder.new_state().transformer.position.device
        self._samples_per_frame = decoder.samples_per_frame
        self._decoder = decoder
        self._lane = Lane(device, streams)
        self._turn = threading.Lock()
        with self._lane.entered(), torch.inference_mode():
            self._state = decoder.new_state()
            self._codes = torch.zeros(max(_CHUNKS), decoder.codebooks, dtype=torch.int64, device=device)
            self._samples = decoder.decode(self._codes, decoder.new_state())
            steps: dict[int, Callable[[], None]] = {frames: partial(self._step, frames) for frames in _CHUNKS}
            self.steps = graphs.capture("the codec", steps)
            """Decodes so many frames of the codes in place, by their number."""

    def new_state(self) -> CodecState:
        """Return the state at the start of a stream."""
        with self._lane.entered():
            return self._decoder.new_state()

    def copy(self, state: CodecState) -> CodecState:
        """Return an independent copy of a state."""
        with self._lane.entered():
            return state.copy()

    @torch.inference_mode()
    def decode(self, codes: Tensor, state: CodecState) -> Tensor:
        """Decode the next frames of one stream; see CodecDecoder.decode."""
        self._decoder.check(codes)
        codes = codes.cpu()
        with self._turn, self._lane.entered():
            if len(codes) > _FEW:
                return self._decoder.decode(codes, state).cpu()
            _copy(state, self._state)
            pieces = [self._decode(piece) for piece in _pieces(codes)]
            _copy(self._state, state)
            return torch.cat(pieces).cpu()

    def decode_together(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        """Decode several streams, one after the other; see CodecDecoder.decode_together."""
        return torch.stack([self.decode(own, state) for own, state in zip(codes, states, strict=True)])

    def _decode(self, codes: Tensor) -> Tensor:
        frames = len(codes)
        self._codes[:frames].copy_(codes)
        self.steps[frames]()
        return self._samples[: frames * self._samples_per_frame].clone()

    def _step(self, frames: int) -> None:
        samples = self._decoder.decode(self._codes[:frames], self._state)
        self._samples[: len(samples)].copy_(samples)


def static_codec(decoder: CodecDecoder, graphs: Graphs, streams: Streams | None = None) -> StaticCodec:
    """Return the codec for a GPU, without CUDA graphs if they can't be captured, such as for lack of memory."""
    try:
        return StaticCodec(decoder, graphs, streams)
    except (CaptureFailed, torch.OutOfMemoryError) as error:
        _LOGGER.warning("Decoding audio without CUDA graphs, which is slower: %s", reason(error))
        return StaticCodec(decoder, DirectCalls(), streams)


def _pieces(codes: Tensor) -> Iterator[Tensor]:
    """Split codes [frames, codebooks] into pieces for which there are steps."""
    while len(codes):
        size = next(size for size in _CHUNKS if size <= len(codes))
        yield codes[:size]
        codes = codes[size:]


def _copy(source: CodecState, target: CodecState) -> None:
    """Copy `source` into `target`, with one launch for each dtype of their tensors."""
    pairs = list(zip(_tensors(source), _tensors(target), strict=True))
    for dtype in {tensor.dtype for tensor, _ in pairs}:
        theirs = [one for one, _ in pairs if one.dtype == dtype]
        torch._foreach_copy_([one for _, one in pairs if one.dtype == dtype], theirs)


def _tensors(part: Any) -> Iterator[Tensor]:
    """Yield all tensors of a state, always in the same order."""
    if isinstance(part, Tensor):
        yield part
    elif is_dataclass(part):
        for field in fields(part):
            yield from _tensors(getattr(part, field.name))
    else:
        for one in part:
            yield from _tensors(one)
