import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from wyoming_qwen3.core.checkpoints import SIZES, Size
from wyoming_qwen3.core.errors import InvalidRequest, StorageFailed
from wyoming_qwen3.core.request import ClonePrompt
from wyoming_qwen3.store.voices import prompts

NOISE = np.random.default_rng(0)
EMBEDDING = NOISE.standard_normal(1024).astype(np.float32)
CODES = NOISE.integers(0, 2048, (50, 16))
ABOUT = {"format": "1", "size": "0.6B", "made_by": "somebody"}
SAID = ABOUT | {"text": "Hello."}


def same(one: ClonePrompt, other: ClonePrompt) -> bool:
    assert one.speaker_embedding.dtype == other.speaker_embedding.dtype == np.float32
    assert one.speaker_embedding.tobytes() == other.speaker_embedding.tobytes()
    if one.codes is None or other.codes is None:
        return one.codes is other.codes and one.text is other.text is None
    assert other.codes.dtype == np.int64
    return np.array_equal(one.codes, other.codes) and one.text == other.text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", ["", "Hello.", "Schöne Grüße, 你好 🎙 \0 \n"])
def test_a_prompt_comes_back_bit_for_bit(size: Size, text: str) -> None:
    prompt = ClonePrompt(EMBEDDING, CODES, text)
    back, made_by = prompts.unpack(prompts.pack(prompt, size))
    assert same(prompt, back)
    assert made_by == size


def test_a_timbre_alone_comes_back_bit_for_bit() -> None:
    extremes = np.array([0.0, -0.0, 1e-45, 3.4e38] * 16, np.float32)
    back, _ = prompts.unpack(prompts.pack(ClonePrompt(extremes), "1.7B"))
    assert same(ClonePrompt(extremes), back)


def test_all_of_a_large_prompt_fits() -> None:
    codes = NOISE.integers(0, 2048, (prompts.MAX_FRAMES, 16))
    large = ClonePrompt(NOISE.standard_normal(8192).astype(np.float32), codes, "🎙" * 10_000)
    assert same(large, prompts.unpack(prompts.pack(large, "1.7B"))[0])


def test_a_view_is_packed_as_what_it_shows() -> None:
    prompt = ClonePrompt(NOISE.standard_normal(256).astype(np.float32)[::2], CODES.T.copy().T[::-1], "Hello.")
    assert same(prompt, prompts.unpack(prompts.pack(prompt, "0.6B"))[0])


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
def test_codes_of_both_kinds_are_read(dtype: type[np.generic]) -> None:
    data = save({"speaker_embedding": EMBEDDING, "codes": CODES.astype(dtype)}, SAID)
    assert same(ClonePrompt(EMBEDDING, CODES, "Hello."), prompts.unpack(data)[0])


def test_what_came_back_is_the_callers_own(tmp_path: Path) -> None:
    path = tmp_path / "prompt"
    path.write_bytes(prompts.pack(ClonePrompt(EMBEDDING, CODES, "Hello."), "0.6B"))
    loaded, _ = prompts.load(path)
    path.unlink()
    assert same(ClonePrompt(EMBEDDING, CODES, "Hello."), loaded)
    loaded.speaker_embedding[0] = 1


@pytest.mark.parametrize(
    "prompt",
    [
        ClonePrompt(EMBEDDING[:15]),
        ClonePrompt(EMBEDDING.reshape(2, 512)),
        ClonePrompt(EMBEDDING.astype(np.float64)),
        ClonePrompt(EMBEDDING * np.float32(np.nan)),
        ClonePrompt(EMBEDDING, CODES[:0], ""),
        ClonePrompt(EMBEDDING, CODES[:, :15], ""),
        ClonePrompt(EMBEDDING, CODES + 2048, ""),
        ClonePrompt(EMBEDDING, CODES - 2048, ""),
        ClonePrompt(EMBEDDING, CODES.astype(np.float32), ""),
        ClonePrompt(EMBEDDING, np.zeros((401, 16), np.int64), ""),
        ClonePrompt(EMBEDDING, CODES, "x" * 10_001),
        ClonePrompt(EMBEDDING, CODES, "\ud800"),
    ],
)
def test_what_would_not_be_read_is_not_packed(prompt: ClonePrompt) -> None:
    with pytest.raises(InvalidRequest):
        prompts.pack(prompt, "0.6B")


def test_a_size_that_is_none_is_not_packed() -> None:
    with pytest.raises(InvalidRequest, match=r"0\.6B, 1\.7B"):
        prompts.pack(ClonePrompt(EMBEDDING), "../../etc")  # type: ignore[arg-type]


def file(header: Any, body: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + body


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BODY = EMBEDDING.tobytes()
WHOLE = tensor([1024], 0, 4096)
GOOD = prompts.pack(ClonePrompt(EMBEDDING, CODES, "Hello."), "0.6B")

HOSTILE = {
    "nothing": b"",
    "no header": b"\0" * 8,
    "a header of exabytes": b"\xff" * 8 + b"{}",
    "a header beyond the file": (10_000).to_bytes(8, "little") + b"{}",
    "not JSON": file(b"\x80\x81\x82"),
    "deep JSON": file(b"[" * 100_000),
    "deep metadata": file(b'{"__metadata__":' + b'{"a":' * 50_000 + b"}" * 50_001),
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "a zip": b"PK\x03\x04" + b"\0" * 100,
    "cut": GOOD[:-1],
    "more behind": GOOD + b"x",
    "no metadata": save({"speaker_embedding": EMBEDDING}),
    "no tensors": save({}, ABOUT),
    "another format": save({"speaker_embedding": EMBEDDING}, ABOUT | {"format": "2"}),
    "another size": save({"speaker_embedding": EMBEDDING}, ABOUT | {"size": "../0.6B"}),
    "a size that is a list": file({"__metadata__": ABOUT | {"size": ["0.6B"]}, "speaker_embedding": WHOLE}, BODY),
    "another tensor": save({"speaker_embedding": EMBEDDING, "x": EMBEDDING}, ABOUT),
    "codes alone": save({"codes": CODES}, SAID),
    "codes without text": save({"speaker_embedding": EMBEDDING, "codes": CODES}, ABOUT),
    "text without codes": save({"speaker_embedding": EMBEDDING}, SAID),
    "endless text": save({"speaker_embedding": EMBEDDING, "codes": CODES}, SAID | {"text": "x" * 10_001}),
    "doubles": save({"speaker_embedding": EMBEDDING.astype(np.float64)}, ABOUT),
    "halves": save({"speaker_embedding": EMBEDDING.astype(np.float16)}, ABOUT),
    "brain floats": file({"__metadata__": ABOUT, "speaker_embedding": tensor([2048], 0, 4096, "BF16")}, BODY),
    "an unknown dtype": file({"__metadata__": ABOUT, "speaker_embedding": tensor([1024], 0, 4096, "O")}, BODY),
    "not finite": save({"speaker_embedding": np.where(EMBEDDING > 2, np.inf, EMBEDDING).astype(np.float32)}, ABOUT),
    "a short embedding": save({"speaker_embedding": EMBEDDING[:8]}, ABOUT),
    "a long embedding": save({"speaker_embedding": np.zeros(8193, np.float32)}, ABOUT),
    "a number": save({"speaker_embedding": np.zeros((), np.float32)}, ABOUT),
    "a huge shape": file({"__metadata__": ABOUT, "speaker_embedding": tensor([2**62, 4], 0, 4096)}, BODY),
    "a negative shape": file({"__metadata__": ABOUT, "speaker_embedding": tensor([-1024], 0, 4096)}, BODY),
    "offsets beyond": file({"__metadata__": ABOUT, "speaker_embedding": tensor([1024], 4096, 8192)}, BODY),
    "offsets turned": file({"__metadata__": ABOUT, "speaker_embedding": tensor([1024], 4096, 0)}, BODY),
    "overlapping": file(
        {"__metadata__": SAID, "speaker_embedding": WHOLE, "codes": tensor([32, 16], 0, 4096, "I64")}, BODY
    ),
    "no frames": save({"speaker_embedding": EMBEDDING, "codes": CODES[:0]}, SAID),
    "many frames": save({"speaker_embedding": EMBEDDING, "codes": np.zeros((401, 16), np.int16)}, SAID),
    "many codebooks": save({"speaker_embedding": EMBEDDING, "codes": np.zeros((10, 32), np.int16)}, SAID),
    "a code too high": save({"speaker_embedding": EMBEDDING, "codes": np.full((10, 16), 2048, np.int16)}, SAID),
    "a code below": save({"speaker_embedding": EMBEDDING, "codes": np.full((10, 16), -1, np.int64)}, SAID),
    "unsigned codes": save({"speaker_embedding": EMBEDDING, "codes": CODES.astype(np.uint16)}, SAID),
    "too large": save({"speaker_embedding": EMBEDDING}, ABOUT | {"more": "x" * 1_000_000}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as raised:
        prompts.unpack(data)
    assert str(raised.value).count(".") - str(raised.value).count("0.6B") - str(raised.value).count("1.7B") == 1
    assert tempfile.gettempdir() not in str(raised.value)


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    prompts.unpack(GOOD)
    for data in HOSTILE.values():
        with pytest.raises(InvalidRequest):
            prompts.unpack(data)
    assert not any(tmp_path.iterdir())


def test_what_is_too_large_is_neither_written_nor_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prompt"
    path.write_bytes(HOSTILE["too large"])
    with pytest.raises(InvalidRequest, match="at most 1000000 bytes"):
        prompts.load(path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(InvalidRequest, match="at most 1000000 bytes"):
        prompts.unpack(HOSTILE["too large"])
    with pytest.raises(StorageFailed):
        prompts.unpack(GOOD)


@given(st.integers(0, 2**32))
def test_a_damaged_file_is_refused_or_a_prompt(seed: int) -> None:
    """Whatever becomes of the bytes: what comes back is within the bounds that `pack` holds."""
    dice = random.Random(seed)
    data = bytearray(GOOD)
    for _ in range(dice.randint(1, 4)):
        data[dice.randrange(len(data) if dice.random() < 0.3 else 400)] = dice.randrange(256)
    try:
        prompt, size = prompts.unpack(bytes(data))
    except InvalidRequest:
        return
    prompts.pack(prompt, size)
