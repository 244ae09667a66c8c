"""Archives of voices: exact there and back, and nothing hostile gets in."""

import contextlib
import io
import json
import pickle
import random
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.effects import read_effects
from wyoming_qwen3.core.errors import InvalidRequest, TooLarge
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.core.speakers import LANGUAGES, SPEAKERS
from wyoming_qwen3.store.voices import prompts
from wyoming_qwen3.store.voices.archive import pack, unpack
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Design, KeptVoice, Manner
from wyoming_qwen3.store.voices.wav import pack as pack_wav

EFFECTS = read_effects([{"type": "reverb", "wet": 0.3}, {"type": "gain", "gain_db": -3.5}])
MANNER = Manner("Großmutter, „laut“\n🎙", LANGUAGES[4], None, None, 1.25, EFFECTS, "She said yes.")
DESIGN = Design("an old woman", "Hello there.", 2**63 - 1, "Qwen3-TTS-12Hz-1.7B-VoiceDesign")


def recording(seconds: float = 0.1, text: str | None = "Hello.", rate: int = 24_000, seed: int = 0) -> Reference:
    pcm = np.random.default_rng(seed).integers(-32768, 32768, round(seconds * rate), np.int16)
    return Reference(pcm.astype(np.float32) / np.float32(32768), rate, text)


def prompt(codes: bool = True) -> ClonePrompt:
    random_numbers = np.random.default_rng(7)
    embedding = random_numbers.standard_normal(1024).astype(np.float32)
    return (
        ClonePrompt(embedding, random_numbers.integers(0, 2048, (25, 16)), "Hi.") if codes else ClonePrompt(embedding)
    )


def voice(manner: Manner = MANNER, design: Design | None = DESIGN, name: str = "Großmutter Erna") -> KeptVoice:
    return KeptVoice("id", name, "preset", 1_800_000_000.25, 0.0, "0" * 32, manner, design=design)


CLIPS = (recording(text="Grüß Gott."), recording(0.2, None, 44_100, 1))
PROMPTS: dict[Size, ClonePrompt] = {"0.6B": prompt(), "1.7B": prompt(codes=False)}
GOOD = pack(voice(), CLIPS, PROMPTS)
Member = tuple[str | zipfile.ZipInfo, bytes]


def members(data: bytes = GOOD) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(contents: list[Member], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of duplicates, which are meant
        for name, data in contents:
            archive.writestr(name, data)
    return file.getvalue()


def with_members(**changes: bytes | None) -> bytes:
    """The good archive with members replaced, added, or with None removed."""
    return zipped([(name, data) for name, data in (members() | changes).items() if data is not None])


def plus(name: str, data: bytes = b"x") -> bytes:
    return zipped([*members().items(), (name, data)])


def of_kind(mode: int, name: str = "samples/1.wav", dos: int = 0) -> bytes:
    """The good archive, one of whose members has this file mode."""
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16 | dos
    return zipped([(info if key == name else key, data) for key, data in members().items()])


def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(members()["manifest.json"])
    return loaded


def saying(text: str | bytes) -> bytes:
    return with_members(**{"manifest.json": text if isinstance(text, bytes) else text.encode()})


def stating(**fields: object) -> bytes:
    return saying(json.dumps(manifest() | fields))


def patched(
    central: dict[int, bytes] | None = None, local: dict[int, bytes] | None = None, data: bytes = GOOD
) -> bytes:
    """The archive with bytes of its first member's central and local header overwritten."""
    out = bytearray(data)
    (start,) = struct.unpack_from("<L", data, len(data) - 6)
    for base, changes in ((start, central or {}), (0, local or {})):
        for at, value in changes.items():
            out[base + at : base + at + len(value)] = value
    return bytes(out)


def ending(at: int, value: bytes, data: bytes = GOOD) -> bytes:
    """The archive with bytes of its end record overwritten."""
    out = bytearray(data)
    out[len(data) - 22 + at : len(data) - 22 + at + len(value)] = value
    return bytes(out)


def wav(seconds: float = 0.1, rate: int = 24_000, channels: int = 1, kind: str = "PCM_16", form: str = "WAV") -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(3).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(file, samples, rate, subtype=kind, format=form)
    return file.getvalue()


def sounding(data: bytes) -> bytes:
    return with_members(**{"samples/1.wav": data})


def prompting(data: bytes) -> bytes:
    return with_members(**{"prompts/1.7B.safetensors": data})


def sparse(size: int) -> bytes:
    """Bytes that deflate makes some twenty times smaller."""
    block = random.Random(1).randbytes(40) + bytes(984)
    return b"".join(bytes([number % 251]) + block[1:] for number in range(size // 1024))


def bomb(size: int = 20 << 20, name: str = "samples/1.wav") -> bytes:
    return zipped(
        [(key, bytes(size) if key == name else data) for key, data in members().items()], zipfile.ZIP_DEFLATED
    )


def lying(says: int, real: int) -> bytes:
    """A deflated manifest of `real` bytes, whose headers say another size."""
    data = zipped([("manifest.json", sparse(real))], zipfile.ZIP_DEFLATED)
    return patched({24: struct.pack("<L", says)}, {22: struct.pack("<L", says)}, data)


def zip64_size(says: int) -> bytes:
    """A manifest whose size is in a zip64 extra field."""
    info = zipfile.ZipInfo("manifest.json")
    info.extra = struct.pack("<HHQ", 1, 8, says)
    return patched({24: b"\xff" * 4}, data=zipped([(info, b"{}")]))


def zip64_end() -> bytes:
    """A directory of its own behind a zip64 locator, of which the plain end record says nothing."""
    tail = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    tail += struct.pack("<4sLQL", b"PK\6\7", 0, len(GOOD) - 22, 1)
    (size,) = struct.unpack_from("<L", GOOD, len(GOOD) - 10)
    return ending(12, struct.pack("<L", size + len(tail)), GOOD[:-22] + tail + GOOD[-22:])


def crowd(count: int, says: int | None = None) -> bytes:
    data = zipped([(f"samples/{number}.wav", b"x") for number in range(count)])
    return data if says is None else ending(8, struct.pack("<2H", says, says), data)


def plus_raw(name: bytes, raw: bytes) -> bytes:
    """The good archive with a member's name overwritten by one that Python would not write."""
    return GOOD.replace(name, raw)


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def extra(data: bytes) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("manifest.json")
    info.extra = data
    return info


def heap() -> bytes:
    """Three clips of 20 MiB, none of them too large or packed too well."""
    return zipped([(f"samples/{number}.wav", sparse(20 << 20)) for number in range(1, 4)], zipfile.ZIP_DEFLATED)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not a zip archive"),
    "something else": (lambda: b"RIFF" + bytes(100), "not a zip archive"),
    "an empty archive": (lambda: zipped([]), "no manifest.json"),
    "end cut off": (lambda: GOOD[:-10], "not a zip archive"),
    "beginning cut off": (lambda: GOOD[10:], "not a zip archive"),
    "something before": (lambda: b"PK\3\4" + GOOD, "before or after"),
    "something behind": (lambda: GOOD + b"x", "not a zip archive"),
    "a comment": (lambda: ending(20, b"\1\0") + b"x", "not a zip archive"),
    "wrong checksum in the directory": (lambda: patched({16: b"\0\0\0\0"}), "damaged"),
    "changed content": (lambda: GOOD.replace("Großm".encode(), "Größm".encode(), 1), "damaged"),
    "absolute path": (lambda: plus("/etc/passwd"), "does not belong"),
    "parent folder": (lambda: plus("../evil.wav"), "does not belong"),
    "parent folder inside": (lambda: plus("samples/../../evil.wav"), "does not belong"),
    "backslashes": (lambda: plus("samples\\3.wav"), "does not belong"),
    "drive letter": (lambda: plus("C:/evil.wav"), "does not belong"),
    "hidden end of a name": (lambda: plus_raw(b"prompts/1.7B.safetensors", b"prompts/1.7B.safetensor\0"), "belong"),
    "number in other digits": (lambda: plus("samples/٣.wav"), "does not belong"),
    "unknown member": (lambda: plus("samples/readme.txt"), "does not belong"),
    "symbolic link": (lambda: of_kind(stat.S_IFLNK | 0o777), "is a link"),
    "named pipe": (lambda: of_kind(stat.S_IFIFO | 0o644), "is a link"),
    "device": (lambda: of_kind(stat.S_IFBLK | 0o644), "is a link"),
    "folder by mode": (lambda: of_kind(stat.S_IFDIR | 0o755), "is a link"),
    "folder by attribute": (lambda: of_kind(0, dos=0x10), "is a link"),
    "folder by name": (lambda: plus("samples/3.wav/", b""), "does not belong"),
    "folder that is a link": (lambda: zipped([*members().items(), (link("samples/"), b"/")]), "is a link"),
    "encrypted": (lambda: patched({8: b"\1\0"}), "encrypted"),
    "strongly encrypted": (lambda: patched({8: b"\x41\0"}), "encrypted"),
    "patched data": (lambda: patched({8: b"\x20\0"}), "in a way that is not supported"),
    "on another disk": (lambda: patched({34: b"\1\0"}), "in a way that is not supported"),
    "same name twice": (lambda: plus("samples/1.wav", wav()), "same name"),
    "same name but for its case": (lambda: plus("samples/1.WAV", wav()), "same name"),
    "65 members": (lambda: crowd(65), "more than 64"),
    "70,000 members": (lambda: crowd(70_000, says=3), "64"),
    "70 members that are said to be 3": (lambda: crowd(70, says=3), "more than 64"),
    "more than 50 MiB packed": (lambda: plus("samples/3.wav", bytes(50 << 20)), "more than 50 MiB"),
    "more than 50 MiB unpacked": (heap, "too large"),
    "a bomb": (bomb, "too large"),
    "a bomb as manifest": (lambda: bomb(name="manifest.json"), "too large"),
    "a clip beyond its bounds": (lambda: sounding(bytes((24 << 20) + 1)), "too large"),
    "a manifest beyond its bounds": (lambda: saying(b" " * ((1 << 20) + 1)), "too large"),
    "a prompt beyond its bounds": (lambda: prompting(bytes((1 << 20) + 1)), "too large"),
    "more than it says": (lambda: lying(10, 30_000_000), "damaged"),
    "less than it says": (lambda: lying(100_000, 1024), "does not have the size"),
    "4 GB, it says": (lambda: patched({24: b"\xfe\xff\xff\xff"}), "two different sizes"),
    "compressed to 4 GB, it says": (lambda: patched({20: b"\xfe\xff\xff\xff"}), "two different sizes"),
    "deflated to 4 GB, it says": (lambda: patched({20: b"\xfe\xff\xff\xff"}, data=bomb()), "overlapping"),
    "16 EB, it says in zip64": (lambda: zip64_size(2**64 - 1), "two different sizes"),
    "a cut zip64 field": (
        lambda: patched({24: b"\xff" * 4}, data=zipped([(extra(b"\1\0\4\0abcd"), b"{}")])),
        "damaged",
    ),
    "another directory in zip64": (zip64_end, "zip64"),
    "in two parts": (lambda: ending(4, b"\1\0"), "in parts"),
    "fewer members here than in all": (lambda: ending(8, b"\1\0"), "in parts"),
    "a directory somewhere else": (lambda: ending(16, b"\0\0\0\0"), "before or after"),
    "packed with bzip2": (lambda: zipped([*members().items()], zipfile.ZIP_BZIP2), "stored or deflated"),
    "packed with lzma": (lambda: zipped([*members().items()], zipfile.ZIP_LZMA), "packed in a way|stored or deflated"),
    "packed with nobody knows what": (lambda: patched({10: b"\x63\0"}), "stored or deflated"),
    "for a later unzip": (lambda: patched({6: b"\xff\0"}), "damaged"),
    "two names": (lambda: patched(local={30: b"MANIFEST"}), "damaged"),
    "a member behind the end": (lambda: patched({42: b"\xf0\xff\xff\xff"}), "damaged"),
    "a member in the middle of another": (lambda: patched({42: b"\x40\0\0\0"}), "damaged"),
    "a name that is not UTF-8": (lambda: patched({8: b"\0\x08", 46: b"\xff\xfe"}), "damaged"),
    "no manifest": (lambda: with_members(**{"manifest.json": None}), "no manifest.json"),
    "no JSON": (lambda: saying("{"), "must be JSON"),
    "no UTF-8": (lambda: saying(b'{"name": "\xff"}'), "must be JSON"),
    "UTF-16": (lambda: saying("{}".encode("utf-16")), "must be JSON"),
    "deep JSON": (lambda: saying("[" * 500_000), "must be JSON"),
    "a long number": (lambda: saying('{"version": ' + "9" * 10_000 + "}"), "must be JSON"),
    "a list": (lambda: saying("[]"), "must be an object"),
    "another format": (lambda: stating(format="zip"), "its format must be"),
    "no format": (lambda: saying("{}"), "its format must be"),
    "a newer version": (lambda: stating(version=2), "newer version"),
    "a version before the first": (lambda: stating(version=0), "version must be 1"),
    "a version that is true": (lambda: stating(version=True), "version must be 1"),
    "a field that nobody knows": (lambda: stating(path="/etc"), "no field 'path'"),
    "a field that is missing": (
        lambda: saying(json.dumps({k: v for k, v in manifest().items() if k != "speed"})),
        "speed",
    ),
    "a bad name": (lambda: stating(name="../x"), "name"),
    "a reserved name": (lambda: stating(name="Vivian"), "reserved"),
    "a name like an id": (lambda: stating(name="6f1c9c6e-0000-4000-8000-000000000000"), "ID"),
    "old names that are no list": (lambda: stating(former_names="Anna"), "former_names must be a list"),
    "an old name that is none": (lambda: stating(former_names=["Anna", 7]), "former_names must be names"),
    "an old name without end": (lambda: stating(former_names=["x" * 65]), "former_names must be names"),
    "an old name that no file holds": (lambda: stating(former_names=["\ud800"]), "valid Unicode"),
    "a number as name": (lambda: stating(name=7), "name must be text"),
    "half a character": (lambda: saying(json.dumps(manifest() | {"consent": "\ud800"})), "valid Unicode"),
    "a text without end": (lambda: stating(description="x" * 10_001), "10000 characters"),
    "an unknown type": (lambda: stating(type="builtin"), "one of preset, profile"),
    "a list as type": (lambda: stating(type=["preset"]), "one of preset, profile"),
    "an unknown language": (lambda: stating(language="tlh"), "language must be one of null, zh"),
    "an unknown speaker": (lambda: stating(speaker="hal"), "speaker must be one of null, vivian"),
    "an unknown effect": (lambda: stating(effects=[{"type": "exec"}]), "must be one of pitch"),
    "effects that are no list": (lambda: stating(effects={}), "list"),
    "no effects": (lambda: stating(effects=None), "list"),
    "a speed beyond its bounds": (lambda: stating(speed=5), "from 0.25 to 4"),
    "a speed that is true": (lambda: stating(speed=True), "from 0.25 to 4"),
    "no number as speed": (lambda: stating(speed=float("nan")), "from 0.25 to 4"),
    "no finite time": (lambda: saying(json.dumps(manifest()).replace("1800000000.25", "1e999")), "created_at"),
    "a design that is no object": (lambda: stating(design="x"), "design must be an object"),
    "a seed with a fraction": (lambda: stating(design=vars(DESIGN) | {"seed": 1.5}), "design.seed"),
    "a seed beyond its bounds": (lambda: stating(design=vars(DESIGN) | {"seed": 2**63}), "design.seed"),
    "clips that are no list": (lambda: stating(samples={}), "samples must be a list"),
    "a clip that is no object": (lambda: stating(samples=["samples/1.wav"]), "must be an object"),
    "a clip by path": (lambda: stating(samples=[{"file": "/etc/passwd", "text": None}]), "each of its clips once"),
    "a clip that is missing": (lambda: with_members(**{"samples/1.wav": None}), "each of its clips once"),
    "a clip that is not listed": (lambda: plus("samples/3.wav", wav()), "each of its clips once"),
    "a clip that is listed twice": (lambda: stating(samples=manifest()["samples"] * 2), "each of its clips once"),
    "a clip in two channels": (lambda: sounding(wav(channels=2)), "must be a mono WAV"),
    "a clip of 24 bits": (lambda: sounding(wav(kind="PCM_24")), "must be a mono WAV"),
    "a clip in ADPCM": (lambda: sounding(wav(kind="IMA_ADPCM")), "must be a mono WAV"),
    "a clip in floats": (lambda: sounding(wav(kind="FLOAT")), "must be a mono WAV"),
    "a clip in FLAC": (lambda: sounding(wav(form="FLAC")), "not a WAV"),
    "a clip that is no sound": (lambda: sounding(b"RIFF" + bytes(60)), "must be a mono WAV"),
    "a clip without samples": (lambda: sounding(wav(seconds=0)), "must be a mono WAV"),
    "a clip of 4 kHz": (lambda: sounding(wav(rate=4_000)), "must be a mono WAV"),
    "a clip of 61 seconds": (lambda: sounding(wav(61, 8_000)), "60 seconds"),
    "a prompt of nothing": (lambda: prompting(b""), "safetensors"),
    "a prompt in pickle": (lambda: prompting(pickle.dumps({"x": 1})), "safetensors"),
    "a prompt with an endless header": (lambda: prompting(b"\xff" * 7 + b"\x7f" + b"{}"), "safetensors"),
    "a prompt of another size": (lambda: prompting(prompts.pack(prompt(), "0.6B")), "of the size 0.6B"),
}


@pytest.mark.parametrize(("make", "sentence"), HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_hostile_or_broken_gets_in(make: Callable[[], bytes], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as raised:
        unpack(make())
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["65 members", "more than 50 MiB packed", "more than 50 MiB unpacked", "a bomb", "a clip of 61 seconds"]
)
def test_what_is_too_much_is_told_apart_from_what_is_wrong(name: str) -> None:
    with pytest.raises(TooLarge):
        unpack(HOSTILE[name][0]())


@pytest.mark.parametrize("make", [lambda: bomb(200 << 20), lambda: lying(10, 200 << 20), lambda: crowd(60_000, says=3)])
def test_memory_is_bounded_by_what_is_allowed_not_by_what_is_packed(make: Callable[[], bytes]) -> None:
    data = make()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_there_and_back_is_exact() -> None:
    packed = unpack(GOOD)
    assert (packed.name, packed.type, packed.manner, packed.design) == ("Großmutter Erna", "preset", MANNER, DESIGN)
    assert [pack_wav(clip) for clip in packed.recordings] == [pack_wav(clip) for clip in CLIPS]
    assert [clip.text for clip in packed.recordings] == ["Grüß Gott.", None]
    assert packed.prompts.keys() == PROMPTS.keys()
    for size, expected in PROMPTS.items():
        assert packed.prompts[size].speaker_embedding.tobytes() == expected.speaker_embedding.tobytes()
        assert packed.prompts[size].text == expected.text
    np.testing.assert_array_equal(packed.prompts["0.6B"].codes, PROMPTS["0.6B"].codes)
    assert packed.prompts["1.7B"].codes is None


def test_a_voice_of_a_speaker_without_clips_comes_back() -> None:
    manner = Manner(speaker=SPEAKERS[0], instructions="tired", speed=1.0)
    packed = unpack(pack(voice(manner, None, "Tired"), (), {}))
    assert (packed.manner, packed.design, packed.recordings, packed.prompts) == (manner, None, (), {})


def test_old_names_come_along_and_an_archive_of_before_has_none() -> None:
    renamed = replace(voice(), former_names=("Oma", "Erna"))
    assert unpack(pack(renamed, CLIPS, {})).former_names == ("Oma", "Erna")
    assert "former_names" not in manifest()
    assert unpack(GOOD).former_names == ()


def test_the_same_voice_gives_the_same_bytes() -> None:
    assert pack(voice(), CLIPS, {}) == pack(voice(), CLIPS, {})
    assert members(pack(voice(), CLIPS, PROMPTS)).keys() == members().keys()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_clips_in_the_archive_are_the_kept_files() -> None:
    assert members()["samples/2.wav"] == pack_wav(CLIPS[1])


def test_what_a_person_packs_again_comes_in() -> None:
    """Deflated, with entries for folders and a byte order mark."""
    contents: list[Member] = [("samples/", b""), ("prompts/", b""), *members().items()]
    contents[2] = ("manifest.json", b"\xef\xbb\xbf" + members()["manifest.json"])
    assert unpack(zipped(contents, zipfile.ZIP_DEFLATED)).manner == MANNER


def test_silence_is_a_clip() -> None:
    silent = Reference(np.zeros(24_000 * 60, np.float32), 24_000, None)
    (unpacked,) = unpack(pack(voice(), [silent], {})).recordings
    np.testing.assert_array_equal(unpacked.samples, silent.samples)


def test_a_wav_that_declares_more_than_it_has_gives_what_it_has() -> None:
    data = bytearray(wav())
    data[40:44] = b"\xf0\xff\xff\x7f"
    assert unpack(sounding(bytes(data))).recordings[0].samples.size == 2400


def test_what_could_not_come_in_does_not_go_out() -> None:
    clips = [Reference(np.zeros(30 * 96_000, np.float32), 96_000, None)] * 10
    with pytest.raises(TooLarge, match="50 MiB"):
        pack(voice(), clips, {})


async def test_a_kept_voice_moves_from_one_server_to_another(tmp_path: Path) -> None:
    here, there = VoiceStore(tmp_path / "here"), VoiceStore(tmp_path / "there")
    await here.open()
    await there.open()
    first = await here.create("Erna", "profile", MANNER, CLIPS)
    packed = unpack(pack(first, await here.recordings(first.id), {}))
    second = await there.create(packed.name, packed.type, packed.manner, packed.recordings, design=packed.design)
    assert (second.name, second.type, second.manner) == (first.name, first.type, first.manner)
    for old, new in zip(first.samples, second.samples, strict=True):
        assert (old.text, old.sample_rate, old.seconds) == (new.text, new.sample_rate, new.seconds)
        old_file, new_file = here.sample_path(first.id, old.id), there.sample_path(second.id, new.id)
        assert old_file.read_bytes() == new_file.read_bytes()


EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 4), st.binary(max_size=6)), max_size=6)
"""Where, how many bytes go, which come."""


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for where, gone, new in edits:
        at = int(where * len(data))
        data = data[:at] + new + data[at + gone :]
    return data


def only_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        unpack(data)


SMALL = pack(voice(), [recording(0.01)], {"1.7B": prompt()})


@hypothesis_settings(max_examples=400, deadline=None)
@given(EDITS)
def test_a_corrupt_archive_is_at_most_refused(edits: list[tuple[float, int, bytes]]) -> None:
    only_refused(edited(SMALL, edits))


@hypothesis_settings(max_examples=400, deadline=None)
@given(st.integers(0, 200), st.integers(0, 255), st.booleans())
def test_a_corrupt_directory_is_at_most_refused(at: int, value: int, central: bool) -> None:
    only_refused(patched({at: bytes([value])} if central else {}, {at: bytes([value])} if not central else {}, SMALL))


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(members(SMALL))), EDITS)
def test_a_whole_archive_of_corrupt_files_is_at_most_refused(name: str, edits: list[tuple[float, int, bytes]]) -> None:
    contents = members(SMALL)
    contents[name] = edited(contents[name], edits)
    only_refused(zipped(list(contents.items())))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(manifest())), JSON)
def test_any_value_of_a_field_is_taken_or_refused(field: str, value: object) -> None:
    only_refused(stating(**{field: value}))
