"""The decode loop over slots: what it draws, who sits where, and what is left when memory is short.

That its greedy frames are upstream's is held by test_decode.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.conftest import LoadPair
from tests.engine.golden import Pair, admit, request, run
from tests.engine.replay import LooksAtValues, NoMemory, Replays, record
from tests.tiny import CODES
from wyoming_qwen3.core.request import Sampling
from wyoming_qwen3.engine.cuda_graphs import CudaGraphs, DirectCalls, choose_graphs, reason
from wyoming_qwen3.engine.lm.decode import Decoder, Row
from wyoming_qwen3.engine.lm.gpu_decode import StaticDecoder
from wyoming_qwen3.engine.lm.gpu_slots import Buckets, SlotStep
from wyoming_qwen3.engine.lm.gpu_turns import TURN, Turns
from wyoming_qwen3.engine.lm.language_model import load_exact, load_static

LONG = "The quick brown fox jumps over the lazy dog, and then it sleeps."
TEXTS = (LONG, "Hello there.", "你好，世界。", "It's 12 o'clock!", "Wie geht es dir?")
FIRST = CODES + 1024
SMALL = Buckets((1, 2), (24, 40))
HEAD = 9
"""Positions of a prompt before its text: role, language, speaker and padding."""


@pytest.fixture(scope="module")
def pair(pairs: LoadPair) -> Pair:
    return pairs("custom_voice", "0.6B")


@pytest.fixture(scope="module")
def small(pair: Pair) -> StaticDecoder:
    """Two slots, both shorter than what LONG becomes."""
    return StaticDecoder(pair.published, pair.decoder.model, Replays(), SMALL)


def admitted(decoder: Decoder, pair: Pair, number: int, **more: Any) -> Row:
    """Rows that differ in all that they may: text, seed and how they draw; the first one is greedy."""
    options: dict[str, Any] = {
        "temperature": 0.8 if number else 0,
        "top_k": 50 - 10 * number,
        "top_p": 1 - 0.1 * number,
    }
    sampling = Sampling(seed=number, repetition_penalty=1 + 0.1 * number, **options | more)
    return admit(decoder, request(pair, sampling=sampling), TEXTS[number], whole_text_first=number % 2 == 1)


class Rolls:
    """torch.multinomial with the numbers that a slot has, which are drawn for a whole frame at once."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self._left: dict[int, list[Tensor]] = {}

    def __call__(self, probabilities: Tensor, _: int, *, generator: torch.Generator) -> Tensor:
        if not self._left.get(id(generator)):
            rolled = torch.empty(sum(self._sizes)).exponential_(generator=generator)
            self._left[id(generator)] = list(rolled.split(self._sizes))  # type: ignore[no-untyped-call]
        return (probabilities / self._left[id(generator)].pop(0)).argmax(-1, keepdim=True)


@pytest.mark.parametrize(
    ("defaults", "sizes"),
    [
        ({}, [FIRST, *[CODES] * 15]),
        ({"do_sample": False}, [CODES] * 15),
        ({"subtalker_dosample": False}, [FIRST]),
        ({"top_k": 0, "top_p": 0.8, "subtalker_top_k": 1000, "subtalker_top_p": 0.9, "temperature": 1.4}, None),
    ],
    ids=["both", "predictor", "talker", "tails"],
)
def test_draws_are_those_of_a_decoder_with_the_same_numbers(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, defaults: dict[str, Any], sizes: list[int] | None
) -> None:
    upstream = replace(pair.published, defaults=pair.published.defaults | defaults)
    over_slots = StaticDecoder(upstream, pair.decoder.model, Replays(), Buckets((1, 2), (64, 256)))
    plain = Decoder(upstream, pair.decoder.model)
    given = [request(pair, sampling=Sampling(seed=seed, repetition_penalty=1.3)) for seed in range(2)]
    found = run(over_slots, *(over_slots.admit(one, text=LONG) for one in given))
    monkeypatch.setattr(torch, "multinomial", Rolls(sizes or [FIRST, *[CODES] * 15]))
    assert found == run(plain, *(plain.admit(one, text=LONG) for one in given))
    assert min(map(len, found)) > 8


def test_a_row_never_depends_on_the_rows_beside_it(pair: Pair, small: StaticDecoder) -> None:
    """Nor on joining late, on pauses, on a lack of slots, on moving, or on rows that nobody wants any more."""
    alone = [run(small, admitted(small, pair, number))[0] for number in range(5)]
    assert len({len(frames) for frames in alone}) > 2
    for seed in range(3):
        draw = random.Random(seed)
        frames: dict[Row, list[list[int]]] = {}
        unwanted: list[Row] = []
        while len(frames) < 5 or any(row.can_advance for row in frames):
            if len(frames) < 5 and draw.random() < 0.3:
                frames[admitted(small, pair, len(frames))] = []
                unwanted = [admitted(small, pair, 0)] if draw.random() < 0.5 else []
            for frame in small.step([row for row in [*unwanted, *frames] if draw.random() < 0.8]):
                if frame.row in frames and frame.codes is not None:
                    frames[frame.row].append(frame.codes.tolist())
        assert list(frames.values()) == alone
        assert all(row.ending == "eos" for row in frames)


def test_a_row_that_pauses_beside_others_keeps_its_first_position(pair: Pair) -> None:
    """Three that go on take the steps of four, so the slot of the fourth is computed with theirs."""
    decoder = StaticDecoder(pair.published, pair.decoder.model, Replays(), Buckets((1, 2, 4), (64, 128)))
    alone = run(decoder, admitted(decoder, pair, 1))[0]
    rows = [admitted(decoder, pair, number, max_frames=12) for number in (0, 2, 3)]
    pausing = admitted(decoder, pair, 1)
    assert [slot.occupant for slot in decoder._occupancy] == [*rows, pausing]
    found = []
    for turn in range(200):
        going = [*rows, pausing] if turn % 4 == 3 or turn > 20 else rows
        found += [frame.codes for frame in decoder.step(going) if frame.row is pausing and frame.codes is not None]
        if pausing.ending:
            break
    assert [codes.tolist() for codes in found] == alone


def test_a_row_that_is_longer_than_a_slot_goes_on(pair: Pair, small: StaticDecoder) -> None:
    whole = run(pair.decoder, admitted(pair.decoder, pair, 0))[0]
    row = admitted(small, pair, 0)
    [slot] = [slot for slot in small._occupancy if slot.occupant is row]
    assert slot.position < SMALL.capacity < slot.position + len(whole)
    assert run(small, row) == [whole]
    long = small.admit(request(pair, sampling=Sampling(temperature=0, max_frames=3)), text=LONG * 2)
    assert long.speech is not None
    assert long.speech.cache.length > SMALL.capacity
    again = pair.decoder.admit(request(pair, sampling=Sampling(temperature=0, max_frames=3)), text=LONG * 2)
    assert run(small, long) == run(pair.decoder, again)


def test_a_step_returns_what_the_one_before_has_begun(pair: Pair, small: StaticDecoder) -> None:
    row = small.admit(request(pair, sampling=Sampling(temperature=0, max_frames=2)), text=TEXTS[1])
    assert small.step([row]) == []
    assert [frame.codes is not None for frame in small.step([row])] == [True]
    assert [frame.codes is not None for frame in small.step([row])] == [True]
    assert [frame.ending for frame in small.step([row])] == ["limit"]
    assert not row.can_advance
    assert small.step([row]) == []


def test_a_row_that_waits_for_text_gives_what_was_begun(pair: Pair, small: StaticDecoder) -> None:
    """The first words are heard before the next ones have come."""
    row = small.admit(request(pair), text="The quick brown ", finished=False, streaming_text=True)
    [frames] = run(small, row)
    assert len(frames) == row.frames > 0
    assert not row.can_advance
    row.add_text("fox jumps over ")
    assert row.can_advance


def test_a_crowd_takes_turns(pair: Pair, small: StaticDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows on two slots: slots change owners once in a turn, and none waits longer than one."""
    put, moved = small.slots.put, []

    def spy(slot: int, *given: Any) -> None:
        moved.append(slot)
        put(slot, *given)

    monkeypatch.setattr(small.slots, "put", spy)
    rows = [admitted(small, pair, number, max_frames=3 * TURN) for number in (0, 1, 2)]
    order = [row for _ in range(3 * TURN) for row in {frame.row: None for frame in small.step(rows)}]
    assert len(moved) <= 2 + 3  # two at first, and then one or two in each turn
    assert set(order[: 2 * TURN]) == set(rows[:2])
    assert set(order) == set(rows)


def test_few_rows_take_few_slots(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one of four moves to the first slot when the others have left."""
    decoder = StaticDecoder(pair.published, pair.decoder.model, Replays(), Buckets((1, 2, 4), (64, 128)))
    frame, taken = decoder.slots.frame, []

    def spy(rows: int) -> None:
        taken.append(rows)
        frame(rows)

    monkeypatch.setattr(decoder.slots, "frame", spy)
    alone = run(decoder, admitted(decoder, pair, 1, temperature=0.9))[0]
    assert set(taken) == {1}
    taken.clear()
    short = [admitted(decoder, pair, 0, max_frames=2) for _ in range(3)]
    assert run(decoder, *short, admitted(decoder, pair, 1, temperature=0.9))[3] == alone
    assert taken[:4] == [4, 4, 4, 4]  # two frames, the draw that reaches the limit, and one begun before it was seen
    assert set(taken[4:]) == {1}


def test_a_remembered_beginning_changes_no_frame_and_saves_the_prefill(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word by word, a known voice's first frame is a single step."""
    decoder = StaticDecoder(pair.published, pair.decoder.model, Replays(), Buckets((1,), (64, 128)))
    prefill, calls = decoder.slots.prefill, []

    def spy(slot: int, start: int, embeddings: Tensor) -> Tensor:
        calls.append((start, len(embeddings)))
        return prefill(slot, start, embeddings)

    monkeypatch.setattr(decoder.slots, "prefill", spy)
    monkeypatch.setattr(decoder.model.talker, "advance", None)  # what a step does not do is not done at all
    given = request(pair, sampling=Sampling(temperature=0))
    found = []
    for text in (LONG, LONG, TEXTS[1]):
        calls.clear()
        found += run(decoder, admit(decoder, given, text, whole_text_first=False))
        assert calls == ([(0, HEAD)] if len(found) == 1 else [])
    calls.clear()
    run(decoder, admit(decoder, given, TEXTS[1], whole_text_first=True))
    assert [start for start, _ in calls] == [HEAD]
    monkeypatch.undo()
    assert found[0] == found[1] == run(pair.decoder, admit(pair.decoder, given, LONG, whole_text_first=False))[0]
    assert found[0][0] != found[2][0]


def test_all_steps_are_captured_at_the_start(pair: Pair) -> None:
    graphs = Replays()
    StaticDecoder(pair.published, pair.decoder.model, graphs, SMALL)
    prefills = [(part, length) for part in (128, 64, 16) for length in (40, 24)]
    steps = {"the talker": [(2, 40), (2, 24), (1, 40), (1, 24)], "the code predictor": [2, 1]}
    assert graphs.captured == steps | {"the prefill": prefills}


def test_a_step_that_looks_at_a_value_is_found_out() -> None:
    value = torch.ones(1)

    def harmless() -> None:
        value.mul_(2)

    def looking() -> None:
        value.mul_(2 if value > 0 else 3)

    replay = record(harmless)
    replay()
    assert value.item() == 2**3
    with pytest.raises(LooksAtValues):
        record(looking)


def test_without_memory_for_slots_it_speaks_all_the_same(pairs: LoadPair, caplog: pytest.LogCaptureFixture) -> None:
    pair = pairs("custom_voice", "0.6B")
    with caplog.at_level(logging.WARNING):
        loaded = load_static(pair.published, "cpu", torch.float32, NoMemory())
    assert "Generating speech without CUDA graphs, which is several times slower: CUDA out of memory." in caplog.text
    assert type(loaded.decoder) is Decoder
    assert loaded.footprint == load_exact(pair.published, "cpu", torch.float32).footprint
    [expected] = run(pair.decoder, admitted(pair.decoder, pair, 0))
    assert run(loaded.decoder, admitted(loaded.decoder, pair, 0)) == [expected]


def test_slots_are_counted_as_memory(pair: Pair) -> None:
    exact = load_exact(pair.published, "cpu", torch.float32)
    static = load_static(pair.published, "cpu", torch.float32, DirectCalls())
    assert isinstance(static.decoder, StaticDecoder)
    kv = 2 * 2 * 8 * 2 * 1024 * 16 * 4  # keys and values, layers, slots, heads, positions, their size, bytes
    assert kv <= static.footprint - exact.footprint < 1.2 * kv


def test_a_slot_without_a_part_keeps_what_it_has(pair: Pair) -> None:
    slots = StaticDecoder(pair.published, pair.decoder.model, Replays(), SMALL).slots
    slots.text.fill_(1)
    kept = (slots._seen, slots.sums, slots._hidden)
    with torch.inference_mode():
        slots.advance([SlotStep(3, 5, talks=True, speaks=True), SlotStep(4, 5, talks=False, speaks=False)])
    assert all(tensor[0].any() for tensor in kept)
    assert not any(tensor[1].any() for tensor in kept)


def test_the_end_is_not_drawn_in_the_first_two_frames(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    talker = pair.decoder.model.talker
    end = talker.config.codec_eos_token_id
    likely = torch.zeros(2, FIRST)
    likely[:, end] = 100
    monkeypatch.setattr(talker, "logits", lambda hidden: likely[: len(hidden)])
    slots = StaticDecoder(pair.published, pair.decoder.model, Replays(), SMALL).slots
    for drawn in range(4):
        with torch.inference_mode():
            slots.advance([SlotStep(0, drawn, talks=False, speaks=True)])
        assert (slots.codes[0, 0].item() == end) == (drawn >= 2)


def test_in_bfloat16_it_speaks_too(pair: Pair) -> None:
    """Replayed as called, and at first as without slots; later on, what was rounded otherwise leads elsewhere."""
    plain, called, replayed = (
        load_exact(pair.published, "cpu", torch.bfloat16).decoder,
        load_static(pair.published, "cpu", torch.bfloat16, DirectCalls()).decoder,
        load_static(pair.published, "cpu", torch.bfloat16, Replays()).decoder,
    )
    frames = [run(decoder, admitted(decoder, pair, 0, max_frames=20))[0] for decoder in (plain, called, replayed)]
    assert frames[1] == frames[2]
    assert frames[0][0] == frames[1][0]


def test_the_reason_of_a_failed_capture_is_what_it_began_with() -> None:
    def fail() -> None:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it.")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with pytest.raises(RuntimeError, match="previous error") as caught:
        fail()
    assert reason(caught.value) == "CUDA out of memory. Tried to allocate 2 GiB."


@pytest.mark.parametrize(("device", "wanted"), [("cpu", True), ("cpu", False), ("cuda", False)])
def test_there_are_no_graphs_without_cuda_or_where_they_are_unwanted(device: str, wanted: bool) -> None:
    graphs = choose_graphs(device, wanted=wanted)
    assert isinstance(graphs, DirectCalls)
    assert not isinstance(graphs, CudaGraphs)


class Somebody:
    """A row, as far as turns know one."""


def test_turns_are_fair_whoever_joins_and_leaves() -> None:
    draw, turns = random.Random(1), Turns[Somebody](4)
    rows = [Somebody() for _ in range(7)]
    waited = dict.fromkeys(rows, 0)
    for _ in range(500):
        if draw.random() < 0.05:
            rows.remove(draw.choice(rows))
            rows.append(Somebody())
            waited = {row: waited.get(row, 0) for row in rows}
        ready = [row for row in rows if draw.random() < 0.9]
        group = turns.group(ready)
        assert len(group) == len(set(group)) == min(4, len(ready))
        waited = {row: 0 if row in group else waited[row] + (row in ready) for row in rows}
        assert max(waited.values()) <= 3 * TURN
    assert list(turns.group(rows[:4])) == rows[:4]
