"""What must hold before a figure means anything, tried in float32 on the weights that are measured."""

from typing import Any

import torch

from wyoming_qwen3.engine.codec.chunks import FrameDecoder
from wyoming_qwen3.engine.precision import compute_exactly

from .systems import Ours, Stock, Weights, text_for

FRAMES = 8
"""Greedy frames that are compared."""

_PIECES = (1, 2, 4, 8, 1, 4)
_TOLERANCE = 2e-3
"""Of the wave's standard deviation: rounding stays a factor of ten below, a state that is lost is far above."""

_SENTENCES = (
    "Good morning to you all.",
    "Please shut that window.",
    "Who was at our big gate?",
    "It gets cold by tonight.",
)
"""Of one length, so that nothing but their words tells them apart."""


def check(weights: Weights) -> dict[str, bool]:
    """Whether each gate is passed. `weights.dtype` must be float32."""
    compute_exactly()
    text, stock = text_for(weights.open(), FRAMES), Stock(weights)
    expected, codec = stock.greedy(text, FRAMES), stock.codec
    del stock  # there may not be room for both
    ours = Ours.load(weights)
    first_frames = [ours.greedy(sentence, 1) for sentence in _SENTENCES]
    return {
        "greedy_frames_equal_stock": torch.equal(ours.greedy(text, FRAMES), expected),
        "streamed_equals_whole": _streamed_equals_whole(ours.codec, codec),
        "first_frame_depends_on_text": any(not torch.equal(frame, first_frames[0]) for frame in first_frames),
    }


@torch.inference_mode()
def _streamed_equals_whole(codec: FrameDecoder, upstream: Any) -> bool:
    """Whether random codes, decoded in pieces, give the samples that upstream makes of all of them at once."""
    shape = (sum(_PIECES), upstream.config.num_quantizers)
    codes = torch.randint(upstream.config.codebook_size, shape, generator=torch.Generator().manual_seed(0))
    codes = codes.to(next(upstream.parameters()).device)
    whole = upstream(codes.t()[None])[0, 0]
    state = codec.new_state()
    streamed = torch.cat([codec.decode(piece, state) for piece in torch.split(codes, list(_PIECES))])
    error = (streamed.to(whole.device) - whole).abs().max() / whole.std()
    return bool(error < _TOLERANCE)
