"""Clips in every accepted file, and everything that a clip must not do."""

import base64
import io
import itertools
import struct
import zlib
from contextlib import nullcontext, suppress
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.audio.decode import DecodedClip, parse_data_url, read_clip, resample
from wyoming_qwen3.audio.encode import encode, open_encoder
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import FloatArray

SECONDS = 0.5
PITCH = 440.0


def tone(rate: int, seconds: float = SECONDS) -> FloatArray:
    return (0.5 * np.sin(2 * np.pi * PITCH * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def written(container: str, subtype: str, *, rate: int = 24_000, channels: int = 1) -> bytes:
    """A file as libsndfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone(rate)] * channels, axis=1), rate, format=container, subtype=subtype)
    return file.getvalue()


def muxed(
    container: str,
    encoder: str,
    *,
    sample_format: str = "fltp",
    rate: int = 48_000,
    bit_rate: int = 128_000,
    layout: str = "mono",
    **options: str,
) -> bytes:
    """A file as libav writes it."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, container_options=options) as output:
        stream = output.add_stream(encoder, rate=rate, layout=layout, bit_rate=bit_rate)
        assert isinstance(stream, av.AudioStream)
        rows = np.stack([tone(rate)] * (2 if layout == "stereo" else 1))
        frame = av.AudioFrame.from_ndarray(rows, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for part in av.AudioResampler(sample_format, layout, rate).resample(frame):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


@cache
def files() -> dict[str, tuple[int, bytes]]:
    """Sample rate and bytes of a tone in every kind of file."""
    speech = tone(24_000)
    stream = open_encoder("wav")
    return {
        "mp3": (24_000, encode(speech, "mp3")),
        "ogg opus": (48_000, encode(speech, "opus")),
        "adts": (24_000, encode(speech, "aac")),
        "flac": (24_000, encode(speech, "flac")),
        "wav": (24_000, encode(speech, "wav")),
        "wav without a size": (24_000, stream.feed(speech) + stream.finish()),
        **{
            f"wav {subtype}": (44_100, written("WAV", subtype, rate=44_100, channels=2))
            for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
        },
        "wav extensible": (48_000, written("WAVEX", "PCM_16", rate=48_000, channels=2)),
        "rf64": (192_000, written("RF64", "PCM_16", rate=192_000)),
        "ogg vorbis": (22_050, written("OGG", "VORBIS", rate=22_050, channels=2)),
        "flac 24": (96_000, written("FLAC", "PCM_24", rate=96_000)),
        "m4a": (44_100, muxed("ipod", "aac", rate=44_100, layout="stereo")),
        "mp4 in fragments": (48_000, muxed("mp4", "aac", movflags="frag_keyframe+empty_moov", frag_duration="100000")),
        "webm": (48_000, muxed("webm", "libopus")),
        "matroska": (48_000, muxed("matroska", "flac", layout="stereo")),
        **{
            f"{container} {subtype}": (44_100, written(container, subtype, rate=44_100, channels=2))
            for container, subtypes in {
                "AIFF": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
                "AU": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
                "CAF": ("PCM_16", "PCM_24", "FLOAT", "ULAW", "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"),
            }.items()
            for subtype in subtypes
        },
        "aiff of macOS": (48_000, with_little_endian_samples()),
        "alac": (44_100, muxed("ipod", "alac", sample_format="s16p", rate=44_100, layout="stereo")),
        "amr": (8_000, muxed("amr", "libopencore_amrnb", sample_format="s16", rate=8_000, bit_rate=12_200)),
        "3gp": (8_000, muxed("3gp", "libopencore_amrnb", sample_format="s16", rate=8_000, bit_rate=12_200)),
    }


def with_little_endian_samples() -> bytes:
    """AIFF-C as macOS writes it from a recording: of the type `sowt`."""
    file = io.BytesIO()
    soundfile.write(file, tone(48_000), 48_000, format="AIFF", subtype="PCM_16", endian="LITTLE")
    assert b"sowt" in file.getvalue()
    return file.getvalue()


def read(data: bytes, max_seconds: float = 10.0, sample_rate: int | None = None) -> DecodedClip:
    return read_clip(data, max_seconds=max_seconds, param="ref_audio", sample_rate=sample_rate)


@pytest.mark.parametrize("kind", files())
def test_every_kind_of_file_gives_its_sound(kind: str) -> None:
    rate, data = files()[kind]
    clip = read(data)
    assert clip.sample_rate == rate
    assert clip.samples.dtype == np.float32
    assert clip.seconds == pytest.approx(SECONDS, abs=0.06)  # AAC and MP3 pad
    middle = clip.samples[clip.samples.size // 4 : clip.samples.size * 3 // 4]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)
    spectrum = np.abs(np.fft.rfft(clip.samples * np.hanning(clip.samples.size), n=10 * rate))
    assert np.argmax(spectrum) / 10 == pytest.approx(PITCH, abs=2)


@pytest.mark.parametrize("kind", files())
def test_a_clip_comes_at_the_rate_that_is_asked_for(kind: str) -> None:
    clip = read(files()[kind][1], sample_rate=24_000)
    assert clip.sample_rate == 24_000
    assert clip.seconds == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *(
            (container, subtype)
            for container in ("WAV", "AIFF", "AU", "CAF")
            for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
        ),
    ],
)
def test_what_is_stored_without_loss_loses_nothing(container: str, subtype: str) -> None:
    expected, _ = soundfile.read(io.BytesIO(written(container, subtype)), dtype="float32")
    assert np.array_equal(read(written(container, subtype)).samples, expected)


@pytest.mark.parametrize("subtype", ["ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"])
def test_alac_loses_nothing_but_a_few_samples_at_the_end(subtype: str) -> None:
    """libav takes what the last packet lacks for padding, though libsndfile wrote none."""
    expected, _ = soundfile.read(io.BytesIO(written("CAF", subtype)), dtype="float32")
    samples = read(written("CAF", subtype)).samples
    assert expected.size - 4_096 < samples.size <= expected.size
    assert np.array_equal(samples, expected[: samples.size])


def test_a_wideband_amr_is_read() -> None:
    """Half a second of frames of 6.6 kbit/s (RFC 4867, 5.3: type 0, good, 17 bytes), all of whose bits are 0."""
    clip = read(b"#!AMR-WB\n" + (b"\x04" + bytes(17)) * 25)
    assert (clip.sample_rate, clip.seconds) == (16_000, 0.5)


def test_a_name_and_a_declared_type_do_not_matter() -> None:
    """Only what is in the file does: here, ALAC called a WAV."""
    data = parse_data_url(data_url(files()["alac"][1], "audio/wav"), 1 << 20, "ref_audio")
    assert read(data).seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("kind", ["alac", "CAF ALAC_16"])
def test_a_lossless_file_can_not_declare_frames_beyond_measure(kind: str) -> None:
    """The decoder would take several times 64 MB for frames of 16 million samples before it has read a word."""
    data = files()[kind][1]
    cookie = struct.pack(">I", 4_096) + b"\0"  # samples of a frame, and the version
    with pytest.raises(TooLarge, match="more packets"):
        read(data.replace(cookie, struct.pack(">I", 4_096 * 4_096) + b"\0"))


def test_a_caf_can_not_declare_packets_beyond_measure() -> None:
    """libav would build an index of 24 bytes for each byte of the table."""
    data = files()["CAF ALAC_16"][1]
    at = data.index(b"pakt")
    packets = 2_000_000
    table = struct.pack(">qqii", packets, packets * 4_096, 0, 0) + b"\1" * packets
    with pytest.raises(TooLarge, match="more packets"):
        read(data[:at] + b"pakt" + struct.pack(">q", len(table)) + table + data[at:])


@pytest.mark.parametrize("size", [-1, 0])
def test_a_caf_can_not_hide_its_tables(size: int) -> None:
    """A chunk without a length, behind which libav and whoever counts might not read the same."""
    data = files()["CAF ALAC_16"][1]
    at = data.index(b"pakt")
    with pytest.raises(InvalidRequest):
        read(data[:at] + b"free" + struct.pack(">q", size) + data[at:])


def test_two_channels_are_averaged() -> None:
    file = io.BytesIO()
    left, right = np.full(4_800, 0.5), np.full(4_800, -0.25)
    soundfile.write(file, np.stack([left, right], axis=1), 48_000, format="WAV", subtype="FLOAT")
    assert np.array_equal(read(file.getvalue()).samples, np.full(4_800, 0.125, np.float32))


@pytest.mark.parametrize("kind", files())
def test_decoding_stops_at_the_longest_that_is_allowed(kind: str) -> None:
    with pytest.raises(TooLarge, match=r"longer than 0\.3 seconds") as caught:
        read(files()[kind][1], max_seconds=0.3)
    assert caught.value.param == "ref_audio"


def test_a_small_file_of_long_silence_is_too_large() -> None:
    bomb = encode(np.zeros(24_000 * 120, np.float32), "flac")
    assert len(bomb) < 60_000
    with pytest.raises(TooLarge, match="longer than 60 seconds"):
        read(bomb, max_seconds=60)


def wav(samples: np.ndarray[tuple[int, ...], np.dtype[np.float64]], rate: int, subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "must be a WAV"),
        (b"RIFF\0\0\0\0AVI LIST", "must be a WAV"),
        (b"#EXTM3U\nhttp://127.0.0.1/a.wav\n", "must be a WAV"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "must be a WAV"),
        (b"RIFF\0\0\0\0WAVE", "damaged"),
        (b"OggS" + bytes(100), "damaged"),
        (wav(np.zeros((4_800, 3)), 48_000), "one or two channels"),
        (wav(np.zeros(4_800), 4_000), "8000 to 192000"),
        (wav(np.zeros(4_800), 384_000), "8000 to 192000"),
        (wav(np.zeros(0), 24_000), "no audio"),
        (wav(np.full(4_800, np.nan), 24_000), "not numbers"),
        (wav(np.full(4_800, np.inf), 24_000, "DOUBLE"), "not numbers"),
        (wav(np.zeros(4_800), 24_000, "IMA_ADPCM"), "must be a WAV"),
        (muxed("matroska", "ac3"), "must be a WAV"),
    ],
    ids=itertools.count(),  # some of the files hold the time
)
def test_what_is_not_accepted_is_said(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=f"ref_audio .*{says}"):
        read(data)


def test_numbers_beyond_full_scale_are_clipped() -> None:
    assert np.array_equal(read(wav(np.full(480, 1e300), 24_000, "DOUBLE")).samples, np.ones(480, np.float32))


def test_a_file_with_a_cover_gives_its_sound() -> None:
    picture = bytes([0]) + b"image/png\0" + bytes([3, 0]) + b"\x89PNG\r\n\x1a\n" + bytes(500)
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    size = len(frame)
    syncsafe = bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    tagged = b"ID3\x03\0\0" + syncsafe + frame + files()["mp3"][1]
    assert np.array_equal(read(tagged).samples, read(files()["mp3"][1]).samples)


def test_all_streams_of_a_file_count() -> None:
    """A second stream of 3,000 packets, of one sample each."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=24_000, layout="mono") for _ in range(2)]
        for size, stream in [(2_400, streams[0]), *[(1, streams[1])] * 3_000]:
            packet = av.Packet(bytes(2 * size))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 24_000)
            output.mux(packet)
    with pytest.raises(TooLarge, match="more packets"):
        read(file.getvalue(), max_seconds=1.0)


@pytest.mark.parametrize("streams", [8, 9])
def test_a_file_of_many_streams_is_refused(streams: int) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        tracks = [output.add_stream("aac", rate=24_000, layout="mono") for _ in range(streams)]
        for track in tracks:
            frame = av.AudioFrame.from_ndarray(tone(24_000)[np.newaxis], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 24_000, 0
            output.mux([*track.encode(frame), *track.encode(None)])
    with nullcontext() if streams == 8 else pytest.raises(InvalidRequest):
        assert read(file.getvalue()).seconds > SECONDS


def test_text_in_no_known_encoding_does_not_matter() -> None:
    title = b"LIST" + struct.pack("<I", 14) + b"INFOINAM" + struct.pack("<I", 2) + b"\xff\xfe"
    rate, whole = files()["wav"]
    assert read(whole + title).samples.size == SECONDS * rate


def element(name: int, content: bytes) -> bytes:
    """An element of EBML, the syntax of Matroska (RFC 8794)."""
    return name.to_bytes((name.bit_length() + 7) // 8) + (len(content) | 1 << 56).to_bytes(8) + content


def number(name: int, value: int) -> bytes:
    return element(name, value.to_bytes(4))


def test_compressed_packets_can_not_outgrow_the_file() -> None:
    """Half a second of silence that Matroska's own compression brought to some bytes."""
    compression = element(0x6D80, element(0x6240, number(0x5032, 1) + number(0x5033, 0) + element(0x5034, b"")))
    sound = element(0xE1, element(0xB5, struct.pack(">f", 24_000)) + number(0x9F, 1) + number(0x6264, 16))
    track = (
        number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 2) + element(0x86, b"A_PCM/INT/LIT") + sound + compression
    )
    block = element(0xA3, b"\x81\0\0\x80" + zlib.compress(bytes(24_000)))
    segment = element(0x1549A966, number(0x2AD7B1, 1_000_000)) + element(0x1654AE6B, element(0xAE, track))
    segment += element(0x1F43B675, number(0xE7, 0) + block)
    data = element(0x1A45DFA3, element(0x4282, b"matroska")) + element(0x18538067, segment)
    with pytest.raises(TooLarge, match="more packets"):
        read(data)


def test_an_edit_list_can_not_repeat_the_sound() -> None:
    """The list that libav wrote, with its entry of 12 bytes nine times more."""
    whole = files()["m4a"][1]
    at = whole.index(b"elst")
    longer = whole[: at + 24] + 9 * whole[at + 12 : at + 24] + whole[at + 24 :]
    longer = with_number(longer, b"elst", 4, 10)
    for box in (b"moov", b"trak", b"edts", b"elst"):
        size = int.from_bytes(longer[longer.index(box) - 4 : longer.index(box)])
        longer = with_number(longer, box, -8, size + 9 * 12)
    assert np.array_equal(read(longer).samples, read(whole).samples)


def with_number(data: bytes, box: bytes, offset: int, number: int) -> bytes:
    at = data.index(box) + len(box) + offset
    return data[:at] + struct.pack(">I", number) + data[at + 4 :]


@pytest.mark.parametrize(
    ("kind", "box", "offset"),
    [("m4a", b"stsz", 8), ("m4a", b"stsc", 12), ("m4a", b"stco", 4), ("mp4 in fragments", b"trun", 4)],
)
def test_an_mp4_can_not_declare_samples_beyond_measure(kind: str, box: bytes, offset: int) -> None:
    """libav would build an index of 24 bytes for each before a word is read."""
    with pytest.raises(TooLarge, match="more packets"):
        read(with_number(files()[kind][1], box, offset, 150_000_000))


def test_an_mp4_can_not_hide_its_tables() -> None:
    whole = files()["m4a"][1]
    for hidden in (b"\0\0\0\x14freedcomzlib" + bytes(4), (b"\0\0\0\x10freestsc" + bytes(4)) * 9):
        with pytest.raises(TooLarge, match="more packets"):
            read(whole + hidden)


def test_media_that_looks_like_a_table_is_media() -> None:
    decoy = b"stsz" + b"\xff" * 12
    whole = files()["m4a"][1]
    assert read(whole + struct.pack(">I4s", 8 + len(decoy), b"mdat") + decoy).seconds == read(whole).seconds


def read_or_refuse(data: bytes) -> None:
    """Any error but InvalidRequest passes through."""
    with suppress(InvalidRequest):
        clip = read(data, max_seconds=1.0, sample_rate=24_000)
        assert clip.samples.size
        assert np.abs(clip.samples).max() <= 1


MAGIC = [
    b"RIFF\xff\xff\xff\xffWAVEfmt ",
    b"RF64\xff\xff\xff\xffWAVEds64",
    b"fLaC",
    b"OggS\0",
    b"ID3\x03",
    b"\0\0\0\x18ftypM4A ",
    b"\x1aE\xdf\xa3",
    b"\xff\xf1",
    b"\xff\xfb",
    b"FORM\xff\xff\xff\xffAIFFCOMM",
    b".snd\0\0\0\x18",
    b"caff\0\1\0\0desc" + struct.pack(">q", 32),
    b"#!AMR\n",
    b"#!AMR-WB\n",
    b"",
]


@tried(200)
@given(st.sampled_from(MAGIC), st.binary(max_size=2_000))
def test_any_bytes_are_read_or_refused(magic: bytes, rest: bytes) -> None:
    read_or_refuse(magic + rest)


@tried(250)
@given(
    kind=st.sampled_from(sorted(files())),
    end=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 255)), max_size=30),
)
def test_damaged_files_are_read_or_refused(kind: str, end: float, flips: list[tuple[float, bool, int]]) -> None:
    """Cut off, and with bytes changed: half of them near the beginning, where the headers are."""
    data = bytearray(files()[kind][1])
    del data[max(1, round(len(data) * (1 - end**3))) :]
    for where, in_head, value in flips:
        data[int(where * (min(600, len(data)) - 1 if in_head else len(data) - 1))] = value
    read_or_refuse(bytes(data))


@pytest.mark.parametrize("rates", [(44_100, 24_000), (8_000, 24_000), (24_000, 16_000), (192_000, 24_000)])
def test_resampling_keeps_length_place_and_height(rates: tuple[int, int]) -> None:
    before, after = rates
    out = resample(tone(before), before, after)
    assert out.dtype == np.float32
    assert out.size == round(SECONDS * after)
    assert out[200:-200] == pytest.approx(tone(after)[200:-200], abs=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 30])
def test_a_few_samples_can_be_resampled(samples: int) -> None:
    assert resample(np.ones(samples, np.float32), 192_000, 8_000).size == -(-samples // 24)


def data_url(data: bytes, kind: str = "audio/wav") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    "kind",
    ["audio/wav", "audio/x-m4a", "audio/webm;codecs=opus", 'audio/mp4;codecs="mp4a.40.2"', "application/octet-stream"],
)
def test_a_data_url_gives_its_bytes(kind: str) -> None:
    assert parse_data_url(data_url(b"sound", kind), 100, "ref_audio") == b"sound"
    assert parse_data_url(data_url(b"sound", kind).replace("data:", "DATA:"), 100, "ref_audio") == b"sound"


@given(st.binary(min_size=1, max_size=300), st.sampled_from([0, 196_607, 196_608, 400_000]))
def test_a_data_url_of_any_length_gives_its_bytes(data: bytes, more: int) -> None:
    data += bytes(more)
    assert parse_data_url(data_url(data), len(data), "ref_audio") == data
    with pytest.raises(TooLarge, match=f"more than {len(data) - 1} bytes"):
        parse_data_url(data_url(data), len(data) - 1, "ref_audio")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://127.0.0.1/clip.wav",
        "https://example.com/data:audio/wav;base64,AAAA",
        "file:///etc/passwd",
        "/etc/passwd",
        "AAAA",
        "data:,AAAA",
        "data:audio/wav,AAAA",
        "data:text/plain;base64,AAAA",
        "data:audio/;base64,AAAA",
        " data:audio/wav;base64,AAAA",
    ],
)
def test_nothing_but_a_data_url_is_taken(text: str) -> None:
    with pytest.raises(InvalidRequest, match="ref_audio must be audio as a base64 data URL") as caught:
        parse_data_url(text, 100, "ref_audio")
    assert caught.value.param == "ref_audio"


@pytest.mark.parametrize(
    "payload", ["", "A", "AAA", "AA A", "AAAA\n", "A===", "=AAA", "AA==AAAA", "AA-_", "AAAé", "\ud800AAA"]
)
def test_base64_is_read_strictly(payload: str) -> None:
    with pytest.raises(InvalidRequest, match="ref_audio must have base64"):
        parse_data_url(f"data:audio/wav;base64,{payload}", 100, "ref_audio")


def test_padding_in_the_middle_of_long_base64_is_refused() -> None:
    whole = "A" * (1 << 18)
    with pytest.raises(InvalidRequest, match="ref_audio must have base64"):
        parse_data_url(f"data:audio/wav;base64,{whole[:-2]}=={whole}", 1 << 20, "ref_audio")
