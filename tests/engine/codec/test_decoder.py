"""The streaming codec against upstream's decoder, which reads the whole utterance at once."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.engine.codec.small_codec import (
    CODES,
    TOLERANCE,
    assert_equal,
    ours,
    random_codes,
    streamed,
    upstream_decoder,
    whole,
)
from tests.examples import tried
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.codec.decoder import CodecState
from wyoming_qwen3.engine.kernels.build import kinds_here
from wyoming_qwen3.engine.kernels.library import load_kernels

PUBLISHED_RATES: dict[str, Any] = {"upsample_rates": (8, 5, 4, 3), "upsampling_ratios": (2, 2), "decoder_dim": 64}


@pytest.fixture(scope="module", params=[torch.float64, torch.float32], ids=["float64", "float32"])
def small(request: pytest.FixtureRequest) -> Any:
    return upstream_decoder(dtype=request.param)


@pytest.mark.parametrize("pieces", [[1], [2], [4], [8], [3, 1, 7, 2], [20], [61]], ids=str)
def test_streamed_equals_whole(small: Any, pieces: list[int]) -> None:
    codes = random_codes(61, small)
    assert_equal(streamed(ours(small), codes, pieces), whole(small, codes))


@tried(20)
@given(pieces=st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_any_cut_gives_the_whole(small: Any, pieces: list[int]) -> None:
    codes = random_codes(sum(pieces), small)
    assert_equal(streamed(ours(small), codes, pieces), whole(small, codes))


@pytest.mark.parametrize(("window", "pieces"), [(8, [5, 1, 11]), (72, [8, 3, 16, 1]), (72, [1])], ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_exact_past_300_frames(window: int, pieces: list[int], dtype: torch.dtype) -> None:
    """Upstream's own chunked decoding forgets what is 25 frames back from there on."""
    upstream = upstream_decoder(sliding_window=window, dtype=dtype)
    codes = random_codes(340, upstream)
    assert_equal(streamed(ours(upstream), codes, pieces), whole(upstream, codes))


@pytest.mark.parametrize(
    "config",
    [
        {"num_key_value_heads": 2},
        {"attention_bias": True},
        {"sliding_window": 1},
        {"upsampling_ratios": (3,), "upsample_rates": (2, 5, 2)},
        PUBLISHED_RATES,
    ],
    ids=str,
)
def test_other_shapes(config: dict[str, Any]) -> None:
    upstream = upstream_decoder(dtype=torch.float64, **config)
    codes = random_codes(23, upstream)
    assert_equal(streamed(ours(upstream), codes, [1, 4, 2]), whole(upstream, codes))


def test_samples_per_frame() -> None:
    assert ours(upstream_decoder()).samples_per_frame == 48
    published = ours(upstream_decoder(**PUBLISHED_RATES))
    assert published.samples_per_frame == 1920
    assert published.decode(torch.zeros(2, 4, dtype=torch.int64), published.new_state()).shape == (3840,)


def test_later_frames_change_no_earlier_sample(small: Any) -> None:
    decoder = ours(small)
    codes = random_codes(20, small)
    others = codes.clone()
    others[13:] = (others[13:] + 1) % CODES
    differs = streamed(decoder, codes, [4]) != streamed(decoder, others, [4])
    assert int(differs.nonzero()[0]) == 13 * decoder.samples_per_frame


def test_copy_goes_on_by_itself(small: Any) -> None:
    """A reference clip is read once; each utterance in its voice starts from a copy."""
    decoder = ours(small)
    prefix, codes, others = torch.split(random_codes(45, small), 15)
    after_prefix = decoder.new_state()
    decoder.decode(prefix, after_prefix)
    kept = [tensor.clone() for tensor in tensors(after_prefix)]

    first = decoder.decode(codes, after_prefix.copy())
    decoder.decode(others, after_prefix.copy())
    second = decoder.decode(codes, after_prefix.copy())

    assert torch.equal(first, second)
    assert after_prefix.frames == 15
    assert all(torch.equal(now, before) for now, before in zip(tensors(after_prefix), kept, strict=True))
    assert_equal(first, whole(small, torch.cat((prefix, codes)))[15 * decoder.samples_per_frame :])


def test_streams_do_not_disturb_each_other(small: Any) -> None:
    decoder = ours(small)
    one, two = torch.split(random_codes(48, small), 24)
    states = decoder.new_state(), decoder.new_state()
    heard: tuple[list[Tensor], list[Tensor]] = ([], [])
    for pair in zip(torch.split(one, 3), torch.split(two, 3), strict=True):
        for codes, state, samples in zip(pair, states, heard, strict=True):
            samples.append(decoder.decode(codes, state))
    assert torch.equal(torch.cat(heard[0]), streamed(decoder, one, [3]))
    assert torch.equal(torch.cat(heard[1]), streamed(decoder, two, [3]))


def test_state_stays_in_place_and_in_size() -> None:
    """A captured CUDA graph reads and writes fixed addresses, and an hour of speech needs no more than a second."""
    upstream = upstream_decoder()
    decoder = ours(upstream)
    state = decoder.new_state()
    before = [(tensor.data_ptr(), tensor.shape) for tensor in tensors(state)]
    for piece in torch.split(random_codes(40, upstream), 7):
        decoder.decode(piece, state)
    assert [(tensor.data_ptr(), tensor.shape) for tensor in tensors(state)] == before
    assert state.frames == 40


def test_samples_are_clamped() -> None:
    upstream = upstream_decoder(loudness=2.0)
    codes = random_codes(12, upstream)
    samples = streamed(ours(upstream), codes, [5])
    assert samples.abs().max() == 1
    assert_equal(samples, whole(upstream, codes))


def test_computes_in_the_asked_dtype() -> None:
    """Half precision in, float32 samples out, and the same sound but for its rounding."""
    upstream = upstream_decoder()
    codes = random_codes(24, upstream)
    samples = streamed(ours(upstream, torch.bfloat16), codes, [4])
    expected = whole(upstream, codes)
    assert samples.dtype == torch.float32
    assert 0 < (samples - expected).std() < 0.1 * expected.std()


@pytest.mark.parametrize("shape", [(0, 4), (3, 5), (4,), (1, 3, 4)], ids=str)
def test_refuses_codes_of_another_shape(shape: tuple[int, ...]) -> None:
    decoder = ours(upstream_decoder())
    state = decoder.new_state()
    with pytest.raises(EngineFailed, match="4 codes each"):
        decoder.decode(torch.zeros(shape, dtype=torch.int64), state)
    assert state.frames == 0


def tensors(state: CodecState) -> list[Tensor]:
    """All tensors of a state, in order."""

    def walk(value: Any) -> Iterator[Tensor]:
        if isinstance(value, Tensor):
            yield value
        elif is_dataclass(value):
            for field in fields(value):
                yield from walk(getattr(value, field.name))
        else:
            for item in value:
                yield from walk(item)

    return list(walk(state))


@pytest.mark.parametrize("kind", [kind.name for kind in kinds_here()])
@pytest.mark.parametrize("config", [{}, {"num_key_value_heads": 2, "attention_bias": True}, PUBLISHED_RATES], ids=str)
def test_kernels_give_the_whole_in_any_pieces(kind: str, config: dict[str, Any]) -> None:
    upstream = upstream_decoder(**config)
    decoder = ours(upstream, kernels=load_kernels(2, kind))
    codes = random_codes(61, upstream)
    expected = whole(upstream, codes)
    for pieces in ([1], [3, 1, 7, 2], [20]):
        assert_equal(streamed(decoder, codes, pieces), expected)


@pytest.mark.parametrize("kind", [None, *(kind.name for kind in kinds_here())])
def test_streams_together_give_what_each_gives_alone(kind: str | None) -> None:
    """At different places of their streams, and more of them than go through the layers at once."""
    upstream = upstream_decoder(num_key_value_heads=2)
    decoder = ours(upstream, kernels=load_kernels(2, kind) if kind else None)
    codes = torch.stack([random_codes(30, upstream).roll(shift, 0) for shift in range(17)])
    states = [decoder.new_state() for _ in codes]
    for number, state in enumerate(states):
        if number:
            decoder.decode(codes[number, :number], state)
    pieces = [torch.stack([row[n : n + 9] for n, row in enumerate(codes)])]
    pieces.append(torch.stack([row[n + 9 : n + 13] for n, row in enumerate(codes)]))
    found = torch.cat([decoder.decode_together(piece, states) for piece in pieces], dim=1)
    for number, row in enumerate(codes):
        expected = whole(upstream, row[: number + 13])[number * decoder.samples_per_frame :]
        assert_equal(found[number], expected)


@pytest.mark.parametrize("kind", [None, *(kind.name for kind in kinds_here())])
def test_streams_together_are_to_the_last_bit_what_each_is_alone(kind: str | None) -> None:
    upstream = upstream_decoder(num_key_value_heads=2)
    decoder = ours(upstream, kernels=load_kernels(2, kind) if kind else None)
    codes = torch.stack([random_codes(34, upstream).roll(shift, 0) for shift in range(6)])
    together, alone = ([decoder.new_state() for _ in codes] for _ in range(2))
    for piece in torch.split(codes, [1, 2, 4, 4, 3, 20], dim=1):
        found = decoder.decode_together(piece, together)
        assert torch.equal(found, torch.stack([decoder.decode(*one) for one in zip(piece, alone, strict=True)]))


WIDE: dict[str, Any] = {
    "codebook_dim": 64,
    "latent_dim": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "decoder_dim": 128,
}
"""Wide enough for products of 8 bits in all layers."""


@pytest.mark.parametrize("kind", [kind.name for kind in kinds_here()])
@pytest.mark.parametrize(("bits", "noise"), [(32, 1e-4), (16, 1e-3), (8, 0.1)])
def test_fewer_bits_give_one_wave_with_a_little_noise(kind: str, bits: int, noise: float) -> None:
    """In any pieces and beside any other streams it is the same wave, to the last bit."""
    upstream = upstream_decoder(**WIDE)
    decoder = ours(upstream, kernels=load_kernels(2, kind), bits=bits)
    codes = torch.stack([random_codes(23, upstream).roll(shift, 0) for shift in range(3)])
    alone = [decoder.decode(own, decoder.new_state()) for own in codes]
    expected = whole(upstream, codes[0])
    assert (alone[0] - expected).std() < noise * expected.std()
    for pieces in ([1], [3, 1, 7, 2]):
        assert torch.equal(streamed(decoder, codes[0], pieces), alone[0])
    together = [decoder.new_state() for _ in codes]
    found = [decoder.decode_together(part, together) for part in torch.split(codes, [1, 2, 4, 16], dim=1)]
    assert torch.equal(torch.cat(found, dim=1), torch.stack(alone))
