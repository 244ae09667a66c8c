"""The codec in steps at fixed addresses, recorded and replayed, against the one that it is made of."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.replay import NoMemory, Replays
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.codec.gpu_decoder import StaticCodec, static_codec

from .small_codec import assert_equal, ours, random_codes, streamed, upstream_decoder, whole


@pytest.fixture(scope="module")
def upstream() -> Any:
    return upstream_decoder()


@pytest.fixture(scope="module")
def codec(upstream: Any) -> StaticCodec:
    return StaticCodec(ours(upstream), Replays())


@pytest.mark.parametrize("pieces", [[1], [2], [4], [3], [1, 2, 4, 4], [7, 1], [16], [30, 1]], ids=str)
def test_streamed_equals_whole(codec: StaticCodec, upstream: Any, pieces: list[int]) -> None:
    codes = random_codes(41, upstream)
    assert_equal(streamed(codec, codes, pieces), whole(upstream, codes))


def test_streams_take_turns(codec: StaticCodec, upstream: Any) -> None:
    """Each goes on where it was, and a copy of a state goes its own way."""
    first, second = random_codes(9, upstream), random_codes(10, upstream)
    state = codec.new_state()
    samples = [codec.decode(first[:4], state)]
    other = codec.copy(state)
    rest: list[Tensor] = []
    for start in range(4, 9):
        samples.append(codec.decode(first[start : start + 1], state))
        rest.append(codec.decode(second[start : start + 2][:1], other))
    assert_equal(torch.cat(samples), whole(upstream, first))
    mixed = torch.cat((first[:4], second[4:9]))
    assert_equal(torch.cat(rest), whole(upstream, mixed)[len(samples[0]) :])


def test_all_steps_are_captured_at_the_start(upstream: Any) -> None:
    graphs = Replays()
    StaticCodec(ours(upstream), graphs)
    assert graphs.captured == {"the codec": [4, 2, 1]}


def test_codes_of_another_shape_are_refused(codec: StaticCodec, upstream: Any) -> None:
    state = codec.new_state()
    with pytest.raises(EngineFailed, match="one frame or more"):
        codec.decode(random_codes(3, upstream)[:, 1:], state)
    assert state.frames == 0


def test_without_memory_for_a_capture_it_decodes_all_the_same(upstream: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        codec = static_codec(ours(upstream), NoMemory())
    assert "Decoding audio without CUDA graphs, which is slower: CUDA out of memory." in caplog.text
    codes = random_codes(9, upstream)
    assert_equal(streamed(codec, codes, [1, 2, 4]), whole(upstream, codes))


def test_streams_are_decoded_on_any_number_of_threads(codec: StaticCodec, upstream: Any) -> None:
    """The memory at fixed addresses is one call's at a time."""
    codes = [random_codes(60 + number, upstream) for number in range(4)]
    with ThreadPoolExecutor(len(codes)) as threads:
        found = list(threads.map(lambda own: streamed(codec, own, [1, 2, 4]), codes))
    for own, samples in zip(codes, found, strict=True):
        assert_equal(samples, whole(upstream, own))
