import av
import numpy as np
import pytest
from numpy.typing import NDArray

from wyoming_qwen3.audio.g711 import G711_RATE, G711Encoder, Law
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray

LAWS: tuple[Law, ...] = ("mulaw", "alaw")


def tone(hertz: float, seconds: float, level: float = 0.5) -> FloatArray:
    at = np.arange(round(SAMPLE_RATE * seconds)) / SAMPLE_RATE
    return (level * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def encoded(law: Law, *pieces: FloatArray) -> bytes:
    encoder = G711Encoder(law)
    data = b"".join([encoder.feed(piece) for piece in pieces] + [encoder.finish()])
    encoder.close()
    return data


def decoded(law: Law, data: bytes) -> NDArray[np.float64]:
    """By the tables of the recommendation, as Python's libav has them: float [samples]."""
    decoder = av.CodecContext.create(f"pcm_{law}", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = G711_RATE, "mono"
    return np.concatenate([frame.to_ndarray()[0] for frame in decoder.decode(av.Packet(data))]) / 32768.0


@pytest.mark.parametrize("law", LAWS)
def test_a_tone_comes_through_as_well_as_8_bits_allow(law: Law) -> None:
    """G.711 keeps speech some 38 dB above its own noise (ITU-T G.712); here at its place in time, too."""
    heard = decoded(law, encoded(law, tone(440, 1.0)))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(G711_RATE) / G711_RATE)
    error = (heard - expected)[100:-100]
    assert heard.size == G711_RATE
    assert 10 * np.log10(np.mean(expected**2) / np.mean(error**2)) > 35


@pytest.mark.parametrize("law", LAWS)
def test_how_sound_is_cut_is_not_heard(law: Law) -> None:
    sound = tone(440, 1.0)
    assert encoded(law, *np.array_split(sound, 97)) == encoded(law, sound)


@pytest.mark.parametrize("law", LAWS)
def test_what_the_telephone_cannot_carry_is_taken_away_not_folded_down(law: Law) -> None:
    """6 kHz would be heard as 2 kHz if samples were just left out."""
    assert np.abs(decoded(law, encoded(law, tone(6_000, 0.5)))[200:-200]).max() < 0.01


def test_loud_sound_is_clipped() -> None:
    assert np.abs(decoded("mulaw", encoded("mulaw", tone(440, 0.5, level=3.0)))).max() > 0.95


@pytest.mark.parametrize(("samples", "length"), [(0, 0), (1, 1), (3, 1), (4, 2), (100, 34), (1_920, 640)])
def test_the_length_is_kept(samples: int, length: int) -> None:
    assert len(encoded("alaw", np.ones(samples, np.float32))) == length
