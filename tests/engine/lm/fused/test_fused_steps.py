"""Whole frames of fused steps against the exact path, on Triton's interpreter, which takes seconds for each."""

from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.conftest import LoadPair
from tests.engine.golden import Pair, admit, request, run
from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.request import Sampling
from wyoming_qwen3.engine.cuda_graphs import DirectCalls
from wyoming_qwen3.engine.lm.decode import Decoder, Row
from wyoming_qwen3.engine.lm.fused.launches import CountedLaunch
from wyoming_qwen3.engine.lm.fused.slot_tensors import SlotSteps
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.gpu_slots import Buckets, Slots, SlotStep

from .kernel_calls import WIDE

pytestmark = pytest.mark.triton

TEXTS = ("Hello there.", "你好，世界。", "It's 12 o'clock!")
SAMPLINGS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.0},
    {"seed": 1, "top_k": 20},
    {"seed": 2, "top_k": 0, "top_p": 0.8, "temperature": 1.2, "repetition_penalty": 1.4},
)


def fused(pair: Pair, buckets: Buckets, launch: CountedLaunch | None = None) -> StaticDecoder:
    from wyoming_qwen3.engine.lm.fused.steps import FusedSteps

    def make(talker: Any, predictor: Any, slots: Any, _: Any) -> SlotSteps:
        return FusedSteps(talker, predictor, slots, launch or CountedLaunch(), WIDE)

    return StaticDecoder(pair.published, pair.decoder.model, DirectCalls(), buckets, make)


def plain(pair: Pair, buckets: Buckets) -> StaticDecoder:
    return StaticDecoder(pair.published, pair.decoder.model, DirectCalls(), buckets)


def admitted(decoder: Decoder, pair: Pair, number: int, frames: int | None) -> Row:
    sampling = Sampling(max_frames=frames, **SAMPLINGS[number])
    return admit(decoder, request(pair, sampling=sampling), TEXTS[number], whole_text_first=number == 1)


def loaded(pair: Pair, dtype: torch.dtype, *, rounded: bool) -> Pair:
    """The same checkpoint, its matrices perhaps rounded to 8 bits."""
    from wyoming_qwen3.engine.lm.gpu_int8 import GroupedInt8Linear
    from wyoming_qwen3.engine.lm.language_model import load_exact
    from wyoming_qwen3.engine.lm.transformer import linear_layer

    other = copy(pair)
    linear = GroupedInt8Linear if rounded else linear_layer
    other.decoder = load_exact(pair.published, "cpu", dtype, linear).decoder
    return other


@pytest.mark.parametrize("rounded", [False, True], ids=["plain", "8 bits"])
def test_greedy_frames_are_those_of_the_exact_path(pairs: LoadPair, *, rounded: bool) -> None:
    pair, launch = loaded(pairs("custom_voice", "0.6B"), torch.float32, rounded=rounded), CountedLaunch()
    decoder = fused(pair, Buckets((1,), (128,)), launch)
    found = run(decoder, admitted(decoder, pair, 0, 2))
    assert found == run(pair.decoder, admitted(pair.decoder, pair, 0, 2))
    assert len(found[0]) == 2
    launch.counts.clear()
    decoder.slots.talk(1, 128)
    decoder.slots.frame(1)
    layers, steps = 2 + 16, 16 + 1  # two of the talker's; one of the predictor's at 16 positions; a head for each code
    once = dict.fromkeys(("add_rows", "norm_rows", "copy_rows", "draw_first"), 1)
    products = {"project": layers + steps - 1, "project_gated": layers - 1, "add_projection": 2 * (layers - 1)}
    assert launch.counts == once | products | {"attend": layers, "draw_residual": 15}


@pytest.mark.slow
@pytest.mark.parametrize("rounded", [False, True], ids=["plain", "8 bits"])
@pytest.mark.parametrize("size", ["0.6B", "1.7B"])
def test_greedy_and_seeded_frames_are_those_of_the_exact_path(pairs: LoadPair, size: Size, *, rounded: bool) -> None:
    """Rows that differ in all that they may, together; seeded with the numbers of slots."""
    pair, buckets = loaded(pairs("custom_voice", size), torch.float32, rounded=rounded), Buckets((1, 2, 4), (128,))
    decoders = fused(pair, buckets), plain(pair, buckets)
    found, expected = (run(one, *(admitted(one, pair, number, 4) for number in range(3))) for one in decoders)
    assert found == expected
    assert found[0] == run(pair.decoder, admitted(pair.decoder, pair, 0, 4))[0]
    assert [len(frames) for frames in found] == [4, 4, 4]


@pytest.mark.slow
def test_speech_goes_on_where_a_slot_ends_and_to_its_own_end(pairs: LoadPair) -> None:
    pair = pairs("custom_voice", "0.6B")
    row = admitted(pair.decoder, pair, 0, None)
    assert row.speech is not None
    capacity = row.speech.cache.length + 3
    whole = run(pair.decoder, row)
    assert len(whole[0]) > 4
    decoder = fused(pair, Buckets((1,), (capacity,)))
    assert run(decoder, admitted(decoder, pair, 0, None)) == whole


def filled(slots: Slots, rows: Sequence[int]) -> None:
    """Put the state of some rows, each the same in any slot, into the first slots."""
    for slot, row in enumerate(rows):
        draw = torch.Generator().manual_seed(row)
        for tensor in (slots._cache.keys[:, slot], slots._cache.values[:, slot], slots.text[slot], slots.sums[slot]):
            tensor.normal_(generator=draw)


def advanced(slots: Slots, rows: Sequence[int], *, draws: bool = True) -> tuple[Tensor, Tensor]:
    """Hidden states after one step of the talker, each row at a position of its own, and codes if it `draws`."""
    filled(slots, rows)
    slots._parts[:, : len(rows)] = torch.tensor([(7 + 11 * row, 3, 1, 1) for row in rows]).T  # as of a SlotStep
    with torch.inference_mode():
        slots.talk(len(rows), slots.buckets.capacity)
        if draws:
            slots.frame(len(rows))
    return slots._hidden[: len(rows)].clone(), slots.codes[: len(rows)].clone()


@pytest.mark.slow
@pytest.mark.parametrize("rounded", [False, True], ids=["plain", "8 bits"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_all_numbers_of_rows_give_each_row_the_same_bits(pairs: LoadPair, dtype: torch.dtype, *, rounded: bool) -> None:
    pair = loaded(pairs("custom_voice", "0.6B"), dtype, rounded=rounded)
    buckets = Buckets(range(1, 9), (128,))
    slots = fused(pair, buckets).slots
    alone = [advanced(slots, [row]) for row in range(8)]
    for count in range(2, 9):
        rows, draws = range(8 - count, 8), count in (3, 8)
        hidden, codes = advanced(slots, rows, draws=draws)
        assert torch.equal(hidden, torch.cat([alone[row][0] for row in rows]))
        assert not draws or torch.equal(codes, torch.cat([alone[row][1] for row in rows]))
    expected = advanced(plain(pair, buckets).slots, range(8))[0]
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(hidden, expected, rtol=tolerance, atol=tolerance)


def test_a_slot_without_a_part_keeps_what_it_has(pairs: LoadPair) -> None:
    slots = fused(pairs("custom_voice", "0.6B"), Buckets((2,), (16,))).slots
    slots.text.fill_(1)
    kept = (slots._seen, slots.sums, slots._hidden)
    with torch.inference_mode():
        slots.advance([SlotStep(3, 5, talks=True, speaks=True), SlotStep(4, 5, talks=False, speaks=False)])
    assert all(tensor[0].any() for tensor in kept)
    assert not any(tensor[1].any() for tensor in kept)


@pytest.mark.parametrize("fault", [None, "norm", "position"])
def test_steps_are_compared_with_pytorchs_before_they_speak(pairs: LoadPair, fault: str | None) -> None:
    from wyoming_qwen3.engine.lm.fused.check import FusedStepsWrong, check_steps

    pair = pairs("custom_voice", "0.6B")
    slots = plain(pair, Buckets((2,), (128,))).slots
    tensors = slots._tensors()
    steps = FaultySteps(slots, fault)
    with nullcontext() if fault is None else pytest.raises(FusedStepsWrong, match="differ from PyTorch's by"):
        check_steps(tensors, steps, lambda rows: slots._talk(rows, 128))
    for tensor in (tensors.cache.keys, tensors.text, tensors.sums, tensors.parts, tensors.hidden, tensors.seen):
        assert not tensor.any()


class FaultySteps:
    """PyTorch's steps, with one thing wrong."""

    def __init__(self, slots: Slots, fault: str | None) -> None:
        self._slots, self._fault = slots, fault

    def talk(self, rows: int) -> None:
        if self._fault == "position":
            self._slots._parts[0] -= 1
        self._slots._talk(rows, 128)
        if self._fault == "norm":
            self._slots._hidden *= 1.3

    def frame(self, rows: int) -> None:
        self._slots._frame(rows)
