"""What fused steps and Slots know of each other: the tensors of the slots, and the two steps over them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from wyoming_qwen3.engine.lm.predictor import CodePredictor
from wyoming_qwen3.engine.lm.sampling import WarpTable
from wyoming_qwen3.engine.lm.talker import Talker
from wyoming_qwen3.engine.lm.transformer import KvCache
from wyoming_qwen3.engine.wire import OnProgress, ignore_progress


@dataclass(frozen=True, eq=False)
class SlotTensors:
    """The state of all slots, as Slots describes it; the names are those of its attributes."""

    text: Tensor
    sums: Tensor
    hidden: Tensor
    codes: Tensor
    cache: KvCache
    parts: Tensor
    seen: Tensor
    penalty: Tensor
    banned: Tensor
    first_noise: Tensor
    other_noise: Tensor
    first_warps: WarpTable
    other_warps: WarpTable


class SlotSteps(Protocol):
    """The steps over the first slots; see Slots for what they do."""

    def talk(self, rows: int) -> None:
        """Run the talker of the first `rows` slots."""

    def frame(self, rows: int) -> None:
        """Sample a frame for each of the first `rows` slots."""


Talk = Callable[[int], None]
"""PyTorch's own step of the talker, for the first rows; it may see no more than the first 128 cache positions."""


class FuseSteps(Protocol):
    """Makes fused steps as MakeSteps does, and reports how many of their kernels are compiled."""

    def __call__(
        self,
        talker: Talker,
        predictor: CodePredictor,
        slots: SlotTensors,
        talk: Talk,
        *,
        report: OnProgress = ignore_progress,
    ) -> SlotSteps:
        """Return the steps."""


MakeSteps = Callable[[Talker, CodePredictor, SlotTensors, Talk], SlotSteps]
"""Returns the steps of a checkpoint over its slots; the last argument is there for comparison."""
