"""What each encoder writes is what it was fed, and leaves while it is fed."""

import io
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
import soundfile

from tests.audio.encoded import DELAYS, FORMATS, decoded, likeness
from wyoming_qwen3.audio.encode import MEDIA_TYPES, AudioFormat, encode, open_encoder
from wyoming_qwen3.audio.pcm import to_int16
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray

COMPRESSED: tuple[AudioFormat, ...] = ("mp3", "opus", "aac", "flac")


def voice(seconds: float) -> FloatArray:
    """Harmonics of a gliding pitch, so that no piece of it sounds like another; at full level to its last sample."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 2 * np.pi * (110 * time + 35 * time**2)
    harmonics = np.stack([np.sin(k * pitch) / k for k in range(1, 13)])
    return np.asarray(0.3 * harmonics.sum(axis=0), dtype=np.float32)


def pieces(samples: FloatArray, size: int) -> list[FloatArray]:
    return [samples[at : at + size] for at in range(0, samples.size, size)]


def streamed(samples: FloatArray, audio_format: AudioFormat, size: int = FRAME_SAMPLES) -> bytes:
    encoder = open_encoder(audio_format)
    return b"".join(encoder.feed(piece) for piece in pieces(samples, size)) + encoder.finish()


def test_every_format_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == set(FORMATS)


@pytest.mark.parametrize("audio_format", COMPRESSED)
def test_a_stream_decodes_to_what_was_fed_up_to_its_last_sample(audio_format: AudioFormat) -> None:
    sound = voice(1.52)
    out = decoded(streamed(sound, audio_format))[DELAYS[audio_format] :]
    assert sound.size <= out.size < sound.size + 2048  # the codec's padding at the end
    for at in range(0, sound.size, 960):
        window = slice(at, at + 960)
        assert likeness(sound[window], out[window]) > 0.98, f"other sound at {at / SAMPLE_RATE:.2f} s"


@pytest.mark.parametrize("audio_format", COMPRESSED)
def test_sound_leaves_while_it_is_fed(audio_format: AudioFormat) -> None:
    """Decoded from the bytes that one second of frames gave before the end."""
    encoder = open_encoder(audio_format)
    chunks = [encoder.feed(piece) for piece in pieces(voice(1.0), FRAME_SAMPLES)]
    encoder.close()
    assert any(chunks[:2])
    assert all(chunks[1:])
    assert decoded(b"".join(chunks)).size - DELAYS[audio_format] >= 0.85 * SAMPLE_RATE


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_split_does_not_show(audio_format: AudioFormat) -> None:
    sound = voice(0.7)
    whole, parts = streamed(sound, audio_format, sound.size), streamed(sound, audio_format, 313)
    if audio_format == "opus":  # each Ogg stream has a random serial number
        assert np.array_equal(decoded(whole), decoded(parts))
    else:
        assert whole == parts


def test_flac_has_the_samples_that_pcm_has() -> None:
    sound = voice(0.5)
    samples, rate = soundfile.read(io.BytesIO(encode(sound, "flac")), dtype="int16")
    assert rate == SAMPLE_RATE
    assert samples.astype("<i2").tobytes() == streamed(sound, "pcm") == encode(sound, "pcm") == to_int16(sound)
    assert np.array_equal(decoded(streamed(sound, "flac")) * 32768, samples)


def test_a_wav_stream_begins_with_its_header_and_samples_together() -> None:
    sound = voice(0.2)
    encoder = open_encoder("wav")
    assert encoder.feed(sound[:0]) == b""
    first = encoder.feed(sound[:100])
    assert first[:4] == b"RIFF"
    assert first[4:8] == first[40:44] == b"\xff\xff\xff\xff"
    assert first[44:] == to_int16(sound[:100])
    assert encoder.feed(sound[100:]) == to_int16(sound[100:])
    assert encoder.finish() == b""


def test_a_whole_wav_knows_its_size() -> None:
    sound = voice(0.5)
    data = encode(sound, "wav")
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert int.from_bytes(data[40:44], "little") == len(data) - 44
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == SAMPLE_RATE
    assert samples.astype("<i2").tobytes() == to_int16(sound)


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "flac"])
def test_a_whole_file_has_the_length_of_the_sound(audio_format: AudioFormat) -> None:
    """AAC has no field for it."""
    sound = voice(0.77)
    data = encode(sound, audio_format)
    assert decoded(data).size == sound.size
    with av.open(io.BytesIO(data), "r") as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(0.77, abs=0.01)


@pytest.mark.parametrize(
    ("audio_format", "begins"),
    [("mp3", b""), ("opus", b"OggS"), ("aac", b""), ("flac", b"fLaC"), ("wav", b"RIFF"), ("pcm", b"")],
)
def test_nothing_fed_is_a_header_at_most(audio_format: AudioFormat, begins: bytes) -> None:
    encoder = open_encoder(audio_format)
    out = encoder.feed(voice(0.0)) + encoder.finish()
    assert out[:4] == begins
    assert len(out) < 150


@pytest.mark.parametrize("audio_format", COMPRESSED)
def test_too_loud_is_clipped(audio_format: AudioFormat) -> None:
    full = np.sign(voice(0.3))
    assert np.array_equal(decoded(streamed(8 * full, audio_format)), decoded(streamed(full, audio_format)))


@pytest.mark.parametrize("audio_format", FORMATS)
def test_an_encoder_can_be_abandoned_at_any_time(audio_format: AudioFormat) -> None:
    open_encoder(audio_format).close()
    encoder = open_encoder(audio_format)
    encoder.feed(voice(0.2))
    encoder.close()
    encoder.close()


@pytest.mark.parametrize("audio_format", COMPRESSED)
def test_a_closed_encoder_takes_no_more(audio_format: AudioFormat) -> None:
    encoder = open_encoder(audio_format)
    encoder.finish()
    with pytest.raises(ValueError, match="closed"):
        encoder.feed(voice(0.1))
    with pytest.raises(ValueError, match="closed"):
        encoder.finish()


def test_encoders_share_nothing() -> None:
    """Several at a time, each fed by whichever thread of a pool comes next."""
    sound = voice(0.5)
    encoders = [open_encoder("mp3") for _ in range(4)]
    outs = [b""] * len(encoders)
    with ThreadPoolExecutor(3) as pool:
        for piece in pieces(sound, FRAME_SAMPLES):
            fed = pool.map(lambda encoder, piece=piece: encoder.feed(piece), encoders)
            outs = [out + more for out, more in zip(outs, fed, strict=True)]
        finished = pool.map(lambda encoder: encoder.finish(), encoders)
        outs = [out + more for out, more in zip(outs, finished, strict=True)]
    assert set(outs) == {streamed(sound, "mp3")}
