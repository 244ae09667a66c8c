"""Counts the launches of a frame on a GPU, at the published dimensions and without one: no tensor has contents.

PyTorch's operations are counted as they are dispatched: one launch for each that computes, none for views and for
allocations. Our kernels are counted by their own launcher. Knows no times.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wyoming_qwen3.core.hardware import GpuQuantize
from wyoming_qwen3.engine.checkpoint.config import TalkerConfig
from wyoming_qwen3.engine.checkpoint.tensors import TensorReader
from wyoming_qwen3.engine.cuda_graphs import DirectCalls
from wyoming_qwen3.engine.lm.fused.launches import Launch
from wyoming_qwen3.engine.lm.fused.slot_tensors import MakeSteps
from wyoming_qwen3.engine.lm.gpu_int8 import GroupedInt8Linear
from wyoming_qwen3.engine.lm.gpu_slots import Buckets, Slots
from wyoming_qwen3.engine.lm.predictor import CodePredictor
from wyoming_qwen3.engine.lm.talker import Talker
from wyoming_qwen3.engine.lm.transformer import MakeLinear, Transformer, linear_layer

from .random_weights import SIZES, talker_config

_MASKED_ATTENTION = 3
"""Further kernels of an attention with a boolean mask, which PyTorch turns into numbers to add."""

_WEIGHTS: Mapping[GpuQuantize, str] = MappingProxyType({"none": "in bfloat16", "int8": "in 8 bits"})

_ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty"}


@dataclass(frozen=True)
class LaunchCount:
    """Launches of one frame of one row, by the name of the operation or kernel."""

    talker: Mapping[str, int]
    predictor: Mapping[str, int]

    @property
    def total(self) -> int:
        """All launches of a frame."""
        return sum((*self.talker.values(), *self.predictor.values()))


@dataclass(frozen=True)
class KernelCall:
    """One launch: the kernel, its grid, the dtype and the alignment of its tensors, and its constants.

    `weight_bytes` is what it reads of a matrix, with the scales of 8-bit weights.
    """

    kernel: Any
    grid: tuple[int, ...]
    tensors: tuple[tuple[torch.dtype, bool], ...]
    constants: tuple[tuple[str, Any], ...]
    weight_bytes: int


def count_plain(size: str) -> LaunchCount:
    """Count the launches of a frame with PyTorch's kernels, with 256 cache positions and bfloat16 weights."""
    slots = _slots(size, torch.bfloat16, None, linear_layer)
    counts: list[dict[str, int]] = []
    for step in (partial(slots.talk, 1, 256), partial(slots.frame, 1)):
        with torch.inference_mode(), _DispatchCount() as mode:
            step()
        counts.append(dict(mode.counts))
    return LaunchCount(*counts)


def count_fused(size: str) -> LaunchCount:
    """Count the launches of a frame with our kernels. Raises ImportError without Triton."""
    names = [[call.kernel.__name__ for call in calls] for calls in fused_calls(size, 1)]
    return LaunchCount(*(dict(Counter(part)) for part in names))


def count_bytes(size: str, quantize: GpuQuantize) -> int:
    """Count the bytes of weights that our kernels read in a frame, however many rows. Raises ImportError as above."""
    return sum(call.weight_bytes for calls in fused_calls(size, 1, quantize) for call in calls)


def fused_calls(
    size: str, rows: int, quantize: GpuQuantize = "none", dtype: torch.dtype = torch.bfloat16
) -> tuple[list[KernelCall], list[KernelCall]]:
    """Return the launches of a frame with our kernels, the talker's and the rest. Raises ImportError without Triton."""
    from wyoming_qwen3.engine.lm.fused.steps import FusedSteps  # noqa: PLC0415  needs Triton

    recorder = _Recorder()
    linear = GroupedInt8Linear if quantize == "int8" else linear_layer
    fuse: MakeSteps = lambda talker, predictor, slots, _: FusedSteps(talker, predictor, slots, recorder)  # noqa: E731
    slots = _slots(size, dtype, fuse, linear)
    slots.talk(rows, slots.buckets.capacity)
    talker, recorder.calls = recorder.calls, []
    slots.frame(rows)
    return talker, recorder.calls


def launches_to_text(counts: Sequence[tuple[str, LaunchCount, LaunchCount | None]]) -> str:
    """Return a table of size, launches before, and launches with our kernels, if they could be counted."""
    lines = ["Launches of one frame of one row (counted by dispatched operations, and by our launcher)"]
    for size, plain, fused in counts:
        lines.append(f"{size:>6}  PyTorch's kernels {_parts(plain)}")
        if fused:
            lines.append(f"{'':>6}  our kernels       {_parts(fused)}")
            each = (Counter(fused.talker) + Counter(fused.predictor)).most_common()
            lines.append(f"{'':>6}                    {', '.join(f'{name} {number}' for name, number in each)}")
            read = (f"{count_bytes(size, one) / 1e9:.2f} GB {name}" for one, name in _WEIGHTS.items())
            lines.append(f"{'':>6}                    weights read: {', '.join(read)}")
    return "\n".join(lines) + "\n"


def _parts(count: LaunchCount) -> str:
    talker, predictor = (sum(part.values()) for part in (count.talker, count.predictor))
    return f"{count.total:5}: talker {talker}, draws and code predictor {predictor}"


class _Recorder(Launch):
    """Records launches instead of making them."""

    def __init__(self) -> None:
        self.calls: list[KernelCall] = []

    def __call__(self, kernel: Any, grid: Sequence[int], *tensors: Any, **constants: Any) -> None:
        given = tuple((one.dtype, one.storage_offset() * one.itemsize % 16 == 0) for one in tensors)
        named = dict(zip(kernel.arg_names, tensors, strict=False))
        read = ("weight", "scales") if constants.get("SCALED") else ("weight",)
        weights = sum(named[name].nbytes for name in read if name in named)
        self.calls.append(KernelCall(kernel, tuple(grid), given, tuple(constants.items()), weights))


class _DispatchCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that launch something."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        given = {one.untyped_storage()._cdata for one in _tensors((args, kwargs))}
        made = [one for one in _tensors(out) if one.untyped_storage()._cdata not in given]
        if name not in _ALLOCATIONS and (made or func._schema.is_mutable):
            self.counts[name] += 1
        if name == "scaled_dot_product_attention" and any(one.dtype == torch.bool for one in _tensors((args, kwargs))):
            self.counts["mask of attention"] += _MASKED_ATTENTION
        return out


def _tensors(values: Any) -> list[Tensor]:
    return [one for one in tree_leaves(values) if isinstance(one, Tensor)]


@dataclass(frozen=True, eq=False)
class _NoContents(TensorReader):
    """Reads every tensor as one without contents."""

    def view(self, name: str, *shape: int) -> Tensor:  # noqa: ARG002
        return torch.empty(shape, dtype=self.dtype, device=self.device)


def _slots(size: str, dtype: torch.dtype, fuse: MakeSteps | None, linear: MakeLinear) -> Slots:
    dimensions = SIZES[size]
    config = TalkerConfig.pick(talker_config(dimensions, dimensions.text_vocabulary))
    read = _NoContents({}, "meta", dtype)
    head = linear_layer(read("codec_head.weight", config.vocab_size, config.hidden_size))
    talker = Talker(read, config, Transformer(read, config, config.max_position_embeddings, linear), head)
    predictor = CodePredictor(read, config, talker.codec_embedding, linear)
    banned = torch.zeros(config.vocab_size, dtype=torch.bool, device="meta")
    return Slots(talker, predictor, banned, graphs=DirectCalls(), buckets=Buckets(), fuse=fuse)
