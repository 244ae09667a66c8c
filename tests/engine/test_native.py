"""The native engine: checkpoints, rows and codec put together."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import build_checkpoint
from wyoming_qwen3.checkpoints import Checkpoint
from wyoming_qwen3.engine.native import NativeEngine, chunk_frames
from wyoming_qwen3.engine.upstream import import_qwen_tts
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, Submit
from wyoming_qwen3.errors import EngineFailed, InvalidRequest, ModelFailed, SpeechError
from wyoming_qwen3.request import FloatArray, Reference, Sampling, SpeechRequest
from wyoming_qwen3.voices import SPEAKERS

CUSTOM = Checkpoint("custom_voice", "0.6B")
BASE = Checkpoint("base", "0.6B")
RYAN = SPEAKERS[5]
GREEDY = Sampling(temperature=0.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Checkpoint, Path]:
    root = tmp_path_factory.mktemp("native")
    found = {checkpoint: build_checkpoint(root / checkpoint.name, checkpoint.kind) for checkpoint in (CUSTOM, BASE)}
    shutil.rmtree(found[BASE] / "speech_tokenizer")  # all published checkpoints have the same one
    shutil.copytree(found[CUSTOM] / "speech_tokenizer", found[BASE] / "speech_tokenizer")
    return found


@pytest.fixture
def engine(folders: dict[Checkpoint, Path]) -> NativeEngine:
    engine = NativeEngine("cpu", "auto")
    for checkpoint, folder in folders.items():
        engine.load(checkpoint, folder)
    return engine


def outputs(engine: NativeEngine, *rows: int) -> Iterator[Audio | Ended | Failed]:
    going = list(rows)
    while going:
        for output in engine.step([row for row in going if not engine.waiting(row)]):
            yield output
            if not isinstance(output, Audio):
                going.remove(output.row)
                engine.cancel(output.row)


def speak(engine: NativeEngine, request: SpeechRequest, text: str, checkpoint: Checkpoint) -> FloatArray:
    engine.admit(Submit(1, checkpoint, request, text, live=False, credit=0))
    return np.concatenate([np.frombuffer(o.samples, np.float32) for o in outputs(engine, 1) if isinstance(o, Audio)])


def test_chunks_grow() -> None:
    assert [chunk_frames(sent) for sent in range(5)] == [1, 2, 4, 4, 4]


def test_checkpoints_share_one_codec(folders: dict[Checkpoint, Path]) -> None:
    """The second checkpoint costs less by the codec, and the codec stays for it when the first is dropped."""
    engine, alone = NativeEngine("cpu", "auto"), NativeEngine("cpu", "auto")
    engine.load(CUSTOM, folders[CUSTOM])
    shared, whole = engine.load(BASE, folders[BASE]), alone.load(BASE, folders[BASE])
    assert whole - shared > 100_000
    engine.unload(CUSTOM)
    clip = Reference(np.zeros(24_000, np.float32), 24_000)
    assert speak(engine, SpeechRequest(clip, sampling=GREEDY), "The door.", BASE).size > 0
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.admit(Submit(1, CUSTOM, SpeechRequest(RYAN), "Hi", live=False, credit=0))


@pytest.mark.parametrize("text", ["A tone, it says.", None], ids=["continued", "embedding"])
def test_a_cloned_voice_sounds_as_upstreams(
    engine: NativeEngine, folders: dict[Checkpoint, Path], text: str | None
) -> None:
    """Sample for sample, with the codec's past being the reference; also when the reference is remembered."""
    import_qwen_tts()
    from qwen_tts import Qwen3TTSModel

    samples = (np.sin(np.arange(60_000) ** 1.3 / 900) * 0.4).astype(np.float32)
    upstream = Qwen3TTSModel.from_pretrained(folders[BASE], dtype=torch.float32)
    (expected,), _ = upstream.generate_voice_clone(
        text="The front door is open.",
        language="english",
        ref_audio=(samples, 24_000),
        ref_text=text,
        x_vector_only_mode=text is None,
        do_sample=False,
        subtalker_dosample=False,
    )
    english = next(speaker.native for speaker in SPEAKERS if speaker.id == "ryan")
    request = SpeechRequest(Reference(samples, 24_000, text), english, sampling=GREEDY)
    for _ in range(2):
        spoken = speak(engine, request, "The front door is open.", BASE)
        assert abs(spoken.size - expected.size) <= 1  # upstream cuts the reference off by a share in floating point
        np.testing.assert_allclose(spoken[-expected.size :], expected[-spoken.size :], atol=5e-5)


def test_chunks_are_those_of_the_ramp(engine: NativeEngine) -> None:
    engine.admit(Submit(1, CUSTOM, SpeechRequest(RYAN, sampling=GREEDY), "The front door is open.", False, 0))
    sizes = [len(output.samples) // 4 // 1920 for output in outputs(engine, 1) if isinstance(output, Audio)]
    assert sizes[:3] == [1, 2, 4]
    assert all(size == 4 for size in sizes[2:-1])


def test_rows_side_by_side_sound_as_alone(engine: NativeEngine) -> None:
    texts = {1: "The front door is open.", 2: "Yes.", 3: "It is warm outside, and it will stay so until Sunday."}
    alone = {row: speak(engine, SpeechRequest(RYAN, sampling=GREEDY), text, CUSTOM) for row, text in texts.items()}
    for row, text in texts.items():
        engine.admit(Submit(row, CUSTOM, SpeechRequest(RYAN, sampling=GREEDY), text, False, 0))
    together: dict[int, list[FloatArray]] = {row: [] for row in texts}
    for output in outputs(engine, *texts):
        if isinstance(output, Audio):
            together[output.row].append(np.frombuffer(output.samples, np.float32))
    for row, expected in alone.items():
        np.testing.assert_allclose(np.concatenate(together[row]), expected, atol=5e-5)


@pytest.mark.parametrize(
    ("checkpoint", "request_", "error"),
    [
        (CUSTOM, SpeechRequest(Reference(np.zeros(24_000, np.float32), 24_000)), InvalidRequest),
        (CUSTOM, SpeechRequest(RYAN, instruct="whisper"), SpeechError),
        (BASE, SpeechRequest(RYAN), SpeechError),
    ],
)
def test_what_a_checkpoint_cant_do_is_refused(
    engine: NativeEngine, checkpoint: Checkpoint, request_: SpeechRequest, error: type[SpeechError]
) -> None:
    with pytest.raises(error):
        engine.admit(Submit(1, checkpoint, request_, "Hi", live=False, credit=0))


def test_a_folder_without_a_checkpoint_fails_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="could not be loaded"):
        NativeEngine("cpu", "auto").load(CUSTOM, tmp_path)
