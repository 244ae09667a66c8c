import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyoming_qwen3.core.errors import InvalidRequest
from wyoming_qwen3.core.request import Reference
from wyoming_qwen3.store.voices.wav import pack, unpack


def ramp(length: int = 2000) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.linspace(-1.5, 1.5, length, dtype=np.float32)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50), st.sampled_from([8000, 22050, 24000, 192_000]))
def test_sixteen_bits_come_back_as_they_were(pcm: list[int], rate: int) -> None:
    samples = np.array(pcm, np.float32) / np.float32(32768)
    back = unpack(pack(Reference(samples, rate, "text")), "text")
    assert np.array_equal(back.samples, samples)
    assert (back.samples.dtype.name, back.sample_rate, back.text) == ("float32", rate, "text")


def test_packing_again_changes_no_byte() -> None:
    once = pack(Reference(ramp(), 24_000, None))
    assert pack(unpack(once, None)) == once


def test_what_is_too_loud_is_clipped_not_wrapped() -> None:
    back = unpack(pack(Reference(ramp(), 24_000, None)), None).samples
    assert back[0] == -1
    assert back[-1] == np.float32(32767 / 32768)
    assert (np.diff(back) >= 0).all()


@pytest.mark.parametrize(
    "recording",
    [
        Reference(np.zeros(0, np.float32), 24_000, None),
        Reference(np.zeros((2, 100), np.float32), 24_000, None),
        Reference(np.zeros(100, np.float64), 24_000, None),
        Reference(np.full(100, np.nan, np.float32), 24_000, None),
        Reference(np.full(100, np.inf, np.float32), 24_000, None),
        Reference(ramp(), 0, None),
        Reference(ramp(), 7_999, None),
        Reference(ramp(), 192_001, None),
        Reference(ramp(), 24_000, "\ud800"),
        Reference(ramp(), 24_000, "x" * 10_001),
    ],
)
def test_what_is_no_clip_is_refused(recording: Reference) -> None:
    with pytest.raises(InvalidRequest):
        pack(recording)


@pytest.mark.parametrize("change", ["empty", "short", "cut", "stereo", "float", "text"])
def test_what_is_no_kept_clip_is_refused(change: str) -> None:
    good = pack(Reference(ramp(), 24_000, None))
    data = {
        "empty": b"",
        "short": good[:20],
        "cut": good[:44],
        "stereo": good[:22] + b"\2\0" + good[24:],
        "float": good[:20] + b"\3\0" + good[22:34] + b"\x20\0" + good[36:],
        "text": b"this is not sound",
    }[change]
    with pytest.raises(InvalidRequest):
        unpack(data, None)
