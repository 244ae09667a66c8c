"""The native engine: checkpoints, rows and codec put together."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import CODES, build_checkpoint
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed, InvalidRequest, ModelFailed, SpeechError
from wyoming_qwen3.core.hardware import GpuQuantize, Selection
from wyoming_qwen3.core.request import ClonePrompt, CodeArray, FloatArray, Reference, Sampling, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import SPEAKERS, find_language
from wyoming_qwen3.engine import native
from wyoming_qwen3.engine.codec.chunks import chunk_frames
from wyoming_qwen3.engine.native import NativeEngine, warn_of_refused_weights
from wyoming_qwen3.engine.wire import Audio, Clone, DecodeCodes, Encode, Ended, Failed, Output, Submit

from .golden import load_codec, load_golden

CUSTOM = Checkpoint("custom_voice", "0.6B")
BASE = Checkpoint("base", "0.6B")
RYAN = SPEAKERS[5]
GREEDY = Sampling(temperature=0.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Checkpoint, Path]:
    root = tmp_path_factory.mktemp("native")
    return {checkpoint: build_checkpoint(root / checkpoint.name, checkpoint.kind) for checkpoint in (CUSTOM, BASE)}


@pytest.fixture(scope="module")
def engine(folders: dict[Checkpoint, Path]) -> NativeEngine:
    engine = NativeEngine("cpu", "auto")
    for checkpoint, folder in folders.items():
        engine.load(checkpoint, folder)
    return engine


@pytest.fixture(scope="module")
def over_slots(folders: dict[Checkpoint, Path]) -> NativeEngine:
    """As on a GPU, with the same steps called directly."""
    engine = NativeEngine("cpu", "auto")
    engine._static = True
    for checkpoint, folder in folders.items():
        engine.load(checkpoint, folder)
    return engine


def outputs(engine: NativeEngine, *rows: int) -> Iterator[Output]:
    going = list(rows)
    while going:
        for output in engine.step([row for row in going if not engine.waiting(row)]):
            yield output
            if isinstance(output, Ended | Failed):
                going.remove(output.row)
                engine.cancel(output.row)


def speak(engine: NativeEngine, request: SpeechRequest, text: str, checkpoint: Checkpoint) -> FloatArray:
    engine.admit(Submit(1, checkpoint, request, text, live=False, credit=0))
    return np.concatenate([np.frombuffer(o.samples, np.float32) for o in outputs(engine, 1) if isinstance(o, Audio)])


def clone(engine: NativeEngine, reference: Reference) -> ClonePrompt:
    prompt = engine.compute(Clone(BASE, reference))
    assert isinstance(prompt, ClonePrompt)
    return prompt


def random_codes(frames: int) -> CodeArray:
    return np.random.default_rng(frames).integers(0, CODES, (frames, 16))


def whole_decode(folder: Path, codes: CodeArray) -> FloatArray:
    """Samples by one forward of upstream's decoder over all codes."""
    decoder = load_codec(folder).model.decoder
    with torch.inference_mode():
        samples: FloatArray = decoder(torch.from_numpy(codes).t()[None])[0, 0].numpy()
    return samples


def test_chunks_grow() -> None:
    assert [chunk_frames(sent) for sent in range(5)] == [1, 2, 4, 4, 4]


def test_checkpoints_share_one_codec(folders: dict[Checkpoint, Path]) -> None:
    """The second checkpoint costs less by the codec, and the codec stays for it when the first is dropped."""
    engine, alone = NativeEngine("cpu", "auto"), NativeEngine("cpu", "auto")
    engine.load(CUSTOM, folders[CUSTOM])
    shared, whole = engine.load(BASE, folders[BASE]), alone.load(BASE, folders[BASE])
    assert whole.footprint - shared.footprint > 100_000
    engine.unload(CUSTOM)
    prompt = clone(engine, Reference(np.zeros(24_000, np.float32), 24_000, "Nothing."))
    assert speak(engine, SpeechRequest(prompt, sampling=GREEDY), "The door.", BASE).size > 0
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.admit(Submit(1, CUSTOM, SpeechRequest(RYAN), "Hi", live=False, credit=0))


@pytest.mark.parametrize("text", ["A tone, it says.", None], ids=["continued", "embedding"])
def test_a_cloned_voice_sounds_as_upstreams(
    engine: NativeEngine, folders: dict[Checkpoint, Path], text: str | None
) -> None:
    """Sample for sample, with the codec's past being the reference; also when the reference is remembered."""
    samples = (np.sin(np.arange(60_000) ** 1.3 / 900) * 0.4).astype(np.float32)
    (expected,), _ = load_golden(folders[BASE]).generate_voice_clone(
        text="The front door is open.",
        language="english",
        ref_audio=(samples, 24_000),
        ref_text=text,
        x_vector_only_mode=text is None,
        do_sample=False,
        subtalker_dosample=False,
    )
    prompt = clone(engine, Reference(samples, 24_000, text))
    request = SpeechRequest(prompt, find_language("english"), sampling=GREEDY)
    for _ in range(2):
        spoken = speak(engine, request, "The front door is open.", BASE)
        assert abs(spoken.size - expected.size) <= 1  # upstream cuts the reference off by a share in floating point
        np.testing.assert_allclose(spoken[-expected.size :], expected[-spoken.size :], atol=5e-5)


def test_chunks_are_those_of_the_ramp(engine: NativeEngine) -> None:
    engine.admit(Submit(1, CUSTOM, SpeechRequest(RYAN, sampling=GREEDY), "The front door is open.", False, 0))
    sizes = [len(output.samples) // 4 // 1920 for output in outputs(engine, 1) if isinstance(output, Audio)]
    assert sizes[:3] == [1, 2, 4]
    assert all(size == 4 for size in sizes[2:-1])


def test_a_gpus_steps_make_the_same_sound(engine: NativeEngine, over_slots: NativeEngine) -> None:
    """Of rows that speak side by side, of a voice that goes on after a clip, and of codes that are played."""
    samples = (np.sin(np.arange(30_000) ** 1.3 / 900) * 0.4).astype(np.float32)
    voices: dict[int, Voice] = {
        1: SPEAKERS[0],
        2: RYAN,
        3: clone(over_slots, Reference(samples, 24_000, "A tone.")),
    }
    expected, heard = (everything(each, voices) for each in (engine, over_slots))
    assert set(heard) == {1, 2, 3, 4}
    for row, (*chunks, ended) in heard.items():
        *golden, end = expected[row]
        assert ended == end
        assert list(map(len, chunks)) == list(map(len, golden))
        np.testing.assert_allclose(np.concatenate(chunks), np.concatenate(golden), atol=5e-5)


def everything(engine: NativeEngine, voices: dict[int, Voice]) -> dict[int, list[Any]]:
    """Chunks and end of some rows that speak and of one that plays."""
    for row, voice in voices.items():
        checkpoint = BASE if isinstance(voice, ClonePrompt) else CUSTOM
        request = SpeechRequest(voice, sampling=GREEDY)
        engine.admit(Submit(row, checkpoint, request, "The front door is open.", live=False, credit=0))
    playing = len(voices) + 1
    engine.admit(DecodeCodes(playing, CUSTOM, random_codes(9), credit=0))
    heard: dict[int, list[Any]] = {row: [] for row in range(1, playing + 1)}
    for output in outputs(engine, *heard):
        heard[output.row].append(np.frombuffer(output.samples, np.float32) if isinstance(output, Audio) else output)
    return heard


def test_first_words_are_heard_before_the_next_have_come(over_slots: NativeEngine) -> None:
    """A frame that was begun is not kept back while its row waits for text."""
    over_slots.admit(Submit(1, CUSTOM, SpeechRequest(RYAN, sampling=GREEDY), "The front ", live=True, credit=0))
    over_slots.add_text(1, "door is ")
    heard = []
    while not over_slots.waiting(1):
        heard += list(over_slots.step([1]))
    frames = over_slots._speaking_rows[1].codes.frames
    assert frames > 1
    assert heard
    over_slots.cancel(1)


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
        (BASE, SpeechRequest(Reference(np.zeros(24_000, np.float32), 24_000)), InvalidRequest),
        (BASE, SpeechRequest(ClonePrompt(np.zeros(32, np.float32), np.full((4, 16), CODES), "Hi")), InvalidRequest),
        (CUSTOM, SpeechRequest(RYAN, instruct="whisper"), SpeechError),
        (BASE, SpeechRequest(RYAN), SpeechError),
    ],
)
def test_what_a_checkpoint_cant_do_is_refused(
    engine: NativeEngine, checkpoint: Checkpoint, request_: SpeechRequest, error: type[SpeechError]
) -> None:
    with pytest.raises(error):
        engine.admit(Submit(1, checkpoint, request_, "Hi", live=False, credit=0))


@pytest.mark.parametrize("live", [False, True], ids=["whole", "live"])
def test_what_was_spent_is_what_upstream_counts(
    engine: NativeEngine, folders: dict[Checkpoint, Path], live: bool
) -> None:
    """Tokens of the stripped text by upstream's tokenizer, and frames of its audio; also of text that came in parts."""
    golden = load_golden(folders[CUSTOM])
    text = "The front door is open."
    request = SpeechRequest(RYAN, find_language("english"), sampling=GREEDY)
    engine.admit(Submit(1, CUSTOM, request, " The front d" if live else f" {text}\n", live=live, credit=0))
    if live:
        engine.add_text(1, "oor is open. ")
        engine.end_text(1)
    *_, ended = outputs(engine, 1)
    options = {"do_sample": False, "subtalker_dosample": False, "non_streaming_mode": not live}
    (samples,), _ = golden.generate_custom_voice(text, "ryan", "english", **options)
    tokens = golden.processor.tokenizer(text)["input_ids"]
    assert ended == Ended(1, text_tokens=len(tokens), frames=samples.size // 1920)


@pytest.mark.parametrize(
    ("count", "rate"), [(1, 24_000), (1_921, 24_000), (30_000, 24_000), (30_000, 16_000), (30_000, 48_000)]
)
def test_samples_are_encoded_as_by_upstream(
    engine: NativeEngine, folders: dict[Checkpoint, Path], count: int, rate: int
) -> None:
    samples = np.random.default_rng(5).normal(0, 0.1, count).astype(np.float32)
    codes = engine.compute(Encode(CUSTOM, samples, rate))
    assert isinstance(codes, np.ndarray)
    tokenizer = load_codec(folders[CUSTOM])
    assert torch.equal(torch.from_numpy(codes), tokenizer.encode(samples, sr=rate).audio_codes[0])
    assert codes.shape == (-(-count * 24_000 // rate // 1920), 16)
    assert codes.dtype == np.int64


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.zeros((2, 9), np.float32), np.full(9, np.nan, np.float32)], ids=str
)
def test_unusable_samples_are_refused(engine: NativeEngine, samples: FloatArray) -> None:
    with pytest.raises(InvalidRequest):
        engine.compute(Encode(CUSTOM, samples, 24_000))


def test_a_job_for_a_checkpoint_that_is_not_loaded_is_refused() -> None:
    engine = NativeEngine("cpu", "auto")
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.compute(Encode(CUSTOM, np.zeros(9, np.float32), 24_000))


def test_played_codes_sound_as_decoded_whole(engine: NativeEngine, folders: dict[Checkpoint, Path]) -> None:
    codes = random_codes(18)
    engine.admit(DecodeCodes(1, CUSTOM, codes, credit=0))
    *audio, ended = outputs(engine, 1)
    chunks = [np.frombuffer(chunk.samples, np.float32) for chunk in audio if isinstance(chunk, Audio)]
    assert [chunk.size // 1920 for chunk in chunks] == [1, 2, 4, 4, 4, 3]
    assert ended == Ended(1, text_tokens=0, frames=18)
    np.testing.assert_allclose(np.concatenate(chunks), whole_decode(folders[CUSTOM], codes), atol=5e-5)


def test_a_playing_row_leaves_speaking_ones_their_turn(engine: NativeEngine) -> None:
    """Each step is a frame of speech and a chunk of what is played, and both sound as alone."""
    request, text, codes = SpeechRequest(RYAN, sampling=GREEDY), "The front door is open.", random_codes(60)
    alone = speak(engine, request, text, CUSTOM)
    engine.admit(Submit(1, CUSTOM, request, text, live=False, credit=0))
    engine.admit(DecodeCodes(2, CUSTOM, codes, credit=0))
    heard: dict[int, list[FloatArray]] = {1: [], 2: []}
    order = []
    for output in outputs(engine, 1, 2):
        order.append(output.row)
        if isinstance(output, Audio):
            heard[output.row].append(np.frombuffer(output.samples, np.float32))
    assert order[:6] == [1, 2, 2, 1, 2, 2]  # chunks of 1 frame each, then 2 spoken frames take two steps
    np.testing.assert_allclose(np.concatenate(heard[1]), alone, atol=5e-5)
    assert np.concatenate(heard[2]).size == 60 * 1920


@pytest.mark.parametrize(
    "codes",
    [
        np.full((3, 16), CODES),
        np.full((3, 16), -1),
        np.zeros((3, 15), np.int64),
        np.zeros((0, 16), np.int64),
        np.zeros(16, np.int64),
    ],
    ids=["too large", "negative", "15 codebooks", "no frame", "no frames"],
)
def test_codes_that_the_codec_lacks_are_refused(engine: NativeEngine, codes: CodeArray) -> None:
    with pytest.raises(InvalidRequest):
        engine.admit(DecodeCodes(1, CUSTOM, codes, credit=0))


def test_unloading_what_is_not_loaded_changes_nothing(engine: NativeEngine) -> None:
    engine.unload(Checkpoint("voice_design", "1.7B"))
    assert speak(engine, SpeechRequest(RYAN, sampling=GREEDY), "Yes.", CUSTOM).size


def test_of_a_load_that_fails_nothing_is_left(folders: dict[Checkpoint, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise IndexError("list index out of range")

    engine = NativeEngine("cpu", "auto")
    with monkeypatch.context() as patch:
        patch.setattr(native, "_warm_up", fail)
        with pytest.raises(IndexError):
            engine.load(CUSTOM, folders[CUSTOM])
    assert not engine._models
    assert not engine._codecs
    engine.load(CUSTOM, folders[CUSTOM])
    assert speak(engine, SpeechRequest(RYAN, sampling=GREEDY), "Yes.", CUSTOM).size


def test_a_folder_without_a_checkpoint_fails_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="could not be loaded"):
        NativeEngine("cpu", "auto").load(CUSTOM, tmp_path)


@pytest.mark.parametrize(
    ("wanted", "gpu", "lacking", "said"),
    [
        ("auto", ("cuda:0", "none"), None, ""),
        ("auto", ("cuda:0", "int8"), None, ""),
        ("int8", ("cuda:0", "int8"), None, ""),
        ("int8", ("cuda:0", "none"), "Triton is missing", "the fused kernels (Triton is missing); weights are"),
        ("int8", ("mps", "none"), None, "the fused kernels (they don't run on mps); weights are"),
        ("int4", ("cuda:0", "none"), None, "--quantize int4 works on CPUs only"),
    ],
)
def test_weights_that_a_gpu_cant_have_are_told(
    caplog: pytest.LogCaptureFixture, wanted: str, gpu: tuple[str, GpuQuantize], lacking: str | None, said: str
) -> None:
    warn_of_refused_weights(wanted, Selection(gpu[0], "0.6B", "bfloat16", "It is there.", quantize=gpu[1]), lacking)
    assert said in caplog.text
    assert len(caplog.records) == bool(said)
