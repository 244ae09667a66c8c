"""16 bits and back, by the scale of what is sent and by that of libraries."""

import numpy as np
import pytest

from wyoming_qwen3.audio import pcm

ALL = np.arange(-32768, 32768).astype("<i2")


@pytest.mark.parametrize(("scale", "first"), [(pcm.SCALE, -32767), (pcm.LIBRARY_SCALE, -32768)])
def test_decoded_samples_are_encoded_to_the_same_bytes(scale: int, first: int) -> None:
    samples = pcm.from_int16(ALL.tobytes(), scale)
    assert samples.dtype == np.float32
    again = pcm.quantize(samples, scale)
    np.testing.assert_array_equal(again, np.maximum(ALL, first))


def test_what_is_beyond_full_scale_is_clipped() -> None:
    beyond = np.array([-2.0, -1.0, 1.0, 2.0], np.float32)
    assert pcm.quantize(beyond).tolist() == [-32767, -32767, 32767, 32767]
    assert pcm.quantize(beyond, pcm.LIBRARY_SCALE).tolist() == [-32768, -32768, 32767, 32767]
    assert np.frombuffer(pcm.to_int16(beyond), "<i2").tolist() == pcm.quantize(beyond).tolist()
