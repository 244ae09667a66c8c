"""Compares fused steps with PyTorch's on the device, once, before a checkpoint speaks with them."""

import torch
from torch import Tensor

from .slot_tensors import SlotSteps, SlotTensors, Talk

TOLERANCE = 0.2
"""Greatest norm of the difference of hidden states, relative to theirs.

Rounding to bfloat16, layer after layer, stays far below it; a wrong sum, position or norm is far above it.
"""

_POSITIONS = 97
"""Cache positions that the check fills: some blocks of a split attention, and a part of one."""


class FusedStepsWrong(Exception):
    """Fused steps don't compute what PyTorch's do; the message says by how much."""


def check_steps(slots: SlotTensors, fused: SlotSteps, talk: Talk) -> None:
    """Run the talker on random numbers, by `talk` and fused, with 1, 2, 4 ... rows, and compare hidden states.

    Also samples a fused frame, and requires that its codes exist. Raises FusedStepsWrong; all slots are empty then.
    """
    rows, most = len(slots.codes), min(_POSITIONS, slots.cache.capacity)
    draw = torch.Generator(slots.text.device).manual_seed(0)
    past = slots.cache.keys[:, :, :, :most], slots.cache.values[:, :, :, :most]
    try:
        for tensor in (*past, slots.text, slots.sums):
            tensor.normal_(generator=draw)
        slots.parts[0] = (most - 1 - torch.arange(rows, device=slots.parts.device)).clamp(min=0)
        slots.parts[2:] = 1
        for number in numbers_of_rows(slots):
            talk(number)
            expected = slots.hidden[:number].to(torch.float32, copy=True)
            slots.hidden.zero_()
            fused.talk(number)
            _require_near(slots.hidden[:number].float(), expected)
        fused.frame(rows)
        if int(slots.codes.min()) < 0 or int(slots.codes.max()) >= slots.seen.shape[1]:
            raise FusedStepsWrong("they draw codes that don't exist")
    finally:
        for tensor in (*past, slots.text, slots.sums, slots.parts, slots.hidden, slots.codes, slots.seen):
            tensor.zero_()


def numbers_of_rows(slots: SlotTensors) -> list[int]:
    """Return the numbers of rows that have steps of their own: 1, 2, 4 ... up to that of all slots."""
    return [1 << power for power in range(len(slots.codes).bit_length())]


def _require_near(found: Tensor, expected: Tensor) -> None:
    difference = float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())
    if not difference <= TOLERANCE:  # NaN is not
        raise FusedStepsWrong(f"hidden states differ from PyTorch's by {difference:.0%}, not at most {TOLERANCE:.0%}")
