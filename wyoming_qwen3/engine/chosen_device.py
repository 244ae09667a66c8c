"""The device that an engine process computes on, from its choice to its memory. The choice is core/hardware's."""

import logging
from dataclasses import replace

import torch

from wyoming_qwen3.core.hardware import Card, gpu_budget, select

from .devices import enter, find_facts, free_memory
from .precision import compute_exactly, torch_type
from .wire import Room

_LOGGER = logging.getLogger(__name__)

_CPU_SHARE = 0.8
"""Share of the free memory that checkpoints may take."""


class ChosenDevice:
    """A device of this machine, for three options of the command line; it is logged with the reason."""

    def __init__(self, device: str, dtype: str, quantize: str) -> None:
        """`quantize` is that of `select`: "none" where a GPU can't use weights in 8 bits."""
        self._options = device, dtype, quantize
        self.selection = select(find_facts(device), *self._options)
        self.name = self.selection.device
        self.dtype: torch.dtype = torch_type(self.selection.dtype)
        refused = self.name == "cpu" and device not in ("auto", "cpu")
        _LOGGER.log(logging.WARNING if refused else logging.INFO, "%s", self.selection.why)
        enter(self.name)
        if self.name != "cpu":
            compute_exactly()

    def room(self, held: int) -> Room:
        """Return how much memory there is now, if checkpoints hold `held` bytes of it."""
        free = free_memory(self.name)
        budget = int(_CPU_SHARE * free) if self.name == "cpu" else gpu_budget(free)
        return Room(free, budget + held, self.selection.again and self._would_choose_better(held))

    def _would_choose_better(self, held: int) -> bool:
        """Return whether a new process would choose more, once this one has left what it holds of a GPU."""
        facts = find_facts(self._options[0])
        facts = replace(facts, cards=tuple(_left(card, held, self.name) for card in facts.cards))
        now = select(facts, *self._options)
        return (now.device != "cpu", now.size) > (self.name != "cpu", self.selection.size)


def taken(counted: int, before: int, after: int) -> int:
    """Return the bytes that a load took of a device, from those of its tensors and what was free before and after.

    Captured graphs and the workspaces of libraries are seen only in what is free. Others may take memory at the same
    time, so at most as much again is believed.
    """
    return max(counted, min(before - after, 2 * counted))


def _left(card: Card, held: int, device: str) -> Card:
    """Return a card with `held` more bytes free if it is the device."""
    return replace(card, free=(card.free or 0) + held) if device == f"cuda:{card.index}" else card
