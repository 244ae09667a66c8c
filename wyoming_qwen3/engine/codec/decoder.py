"""Streaming decoder of the 12 Hz codec: codes to samples, frame by frame, at a constant cost per frame.

Upstream's decoder reads a whole utterance at once; its own chunked decoding gives the same samples up to 300 frames
and approximates them afterwards. This one reads the same weights and keeps what each layer needs of the past, so that
any chunking gives the samples of one whole decode, at any length. Knows nothing of text, voices, devices and threads.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.checkpoint.config import CodecConfig
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader
from wyoming_qwen3.engine.kernels.library import Kernels

from .layers import LayerHistory, UpsamplingState
from .transformer import AnyTransformerState
from .weights import CodecWeights

_FRAMES_AT_ONCE = 16
"""Most frames, over all streams, in one pass through the layers: more are hardly faster, and memory grows with them."""


@dataclass(frozen=True, eq=False)
class CodecState:
    """The decoder's state in one stream; its size is constant, about 5 MB in float32."""

    widen: LayerHistory
    transformer: AnyTransformerState
    upsamplings: tuple[UpsamplingState, ...]
    decode_in: LayerHistory
    decode_blocks: tuple[UpsamplingState, ...]
    decode_out: LayerHistory

    @property
    def frames(self) -> int:
        """Frames decoded so far. Reading it waits for the device."""
        return int(self.transformer.position)

    def copy(self) -> "CodecState":
        """Return an independent copy, from which a second stream can continue."""
        return deepcopy(self)


class CodecDecoder:
    """The decoder's weights; any number of streams share them, each with its own state."""

    def __init__(
        self, read: TensorReader, config: CodecConfig, kernels: Kernels | None = None, *, bits: int = 16
    ) -> None:
        """Compute on the device and in the type of the weights from `read`; kernels compute in float32 on a CPU.

        `bits` is how many each weight takes in memory with kernels, where that is possible: 32, 16 or 8. With 8 bits
        the products are of 8 bits, too.

        Raises TensorError, and ModelFailed if the configuration has an activation that is not supported.
        """
        make = CodecWeights(read, config, kernels, bits)
        self.side_by_side = kernels is not None
        """Whether streams are decoded in one batch. Not with PyTorch, whose last bits depend on the batch size."""

        self.samples_per_frame = config.samples_per_frame
        """1,920 for the published codec."""

        self.codebooks = config.num_quantizers
        self._tables, self._project = make.quantizer()
        self._widen = make.widen()
        self._transformer = make.transformer()
        self._upsamplings = make.upsamplings()
        self._decode_in = make.decode_in()
        self._decode_blocks = make.decode_blocks()
        self._decode_out = make.decode_out()

    def new_state(self) -> CodecState:
        """Return the state at the start of a stream."""
        return CodecState(
            self._widen.new_state(),
            self._transformer.new_state(),
            tuple(stage.new_state() for stage in self._upsamplings),
            self._decode_in.new_state(),
            tuple(block.new_state() for block in self._decode_blocks),
            self._decode_out.new_state(),
        )

    def decode(self, codes: Tensor, state: CodecState) -> Tensor:
        """Decode the next frames: codes int64 [frames, codebooks] -> float32 [frames * samples_per_frame].

        Does for one stream what decode_together does for several.
        """
        self.check(codes)
        return self.decode_together(codes[None], [state])[0]

    def check(self, codes: Tensor) -> None:
        """Check the shape of one stream's codes. Raises EngineFailed if they can't be decoded."""
        if codes.ndim != 2 or codes.shape[0] < 1 or codes.shape[1] != self.codebooks:
            raise EngineFailed(
                f"The codec decodes one frame or more of {self.codebooks} codes each, but got {tuple(codes.shape)}."
            )

    def copy(self, state: CodecState) -> CodecState:
        """Return an independent copy of a state; see CodecState.copy."""
        return state.copy()

    @torch.inference_mode()
    def decode_together(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        """Decode the next frames of several streams: codes int64 [streams, frames, codebooks] -> [streams, samples].

        With kernels this is faster than one stream after the other, because weights are read once. The samples of a
        stream do not depend on the other streams. They are clamped to [-1, 1] and float32, or float64 if the weights
        are. The states advance by these frames. Raises EngineFailed if the codes have another shape, before any state
        changes; the caller must ensure that each code is in its codebook.
        """
        for stream in codes:
            self.check(stream)
        codes = codes.to(self._tables[0].device)
        return torch.cat(
            [self._decode_piece(piece, states) for piece in torch.split(codes, _FRAMES_AT_ONCE, dim=1)], dim=1
        )

    def _decode_piece(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        """Decode the same frames of each stream, in groups of streams with up to 16 frames in all, or one by one.

        Only the streams are divided here: how the frames are split must not depend on the number of streams.
        """
        most = max(1, _FRAMES_AT_ONCE // codes.shape[1]) if self.side_by_side else 1
        groups = zip(torch.split(codes, most), range(0, len(states), most), strict=True)
        return torch.cat([self._decode(group, states[first : first + most]) for group, first in groups])

    def _decode(self, codes: Tensor, states: Sequence[CodecState]) -> Tensor:
        x = self._widen(torch.cat([self._embed(stream) for stream in codes]), [state.widen for state in states])
        x = self._transformer(x, [state.transformer for state in states])
        for number, stage in enumerate(self._upsamplings):
            x = stage(x, [state.upsamplings[number] for state in states])
        x = self._decode_in(x, [state.decode_in for state in states])
        for number, block in enumerate(self._decode_blocks):
            x = block(x, [state.decode_blocks[number] for state in states])
        x = self._decode_out(x, [state.decode_out for state in states])
        return x.view(len(states), -1).to(torch.promote_types(x.dtype, torch.float32)).clamp_(-1, 1)

    def _embed(self, codes: Tensor) -> Tensor:
        """Sum the vectors of one stream's codes; code 0 (meaning) and the others (sound) have their own projections."""
        vectors = [F.embedding(column, table) for column, table in zip(codes.unbind(1), self._tables, strict=True)]
        return self._project(torch.cat((vectors[0], torch.stack(vectors[1:]).sum(0)), dim=1))
