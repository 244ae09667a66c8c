"""Speech that goes wrong is told from speech, begun anew while nobody has heard it, and else ended as an error.

The checkpoints are real ones in which one thing was broken: a codec that makes no sound, a talker that has one code.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.tiny import build_checkpoint
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import RunawaySpeech
from wyoming_qwen3.core.request import SAMPLE_RATE, FloatArray, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.engine.guards import KEPT_SECONDS, LOOP_FRAMES, AudioGuard, another_try, find_fault
from wyoming_qwen3.engine.lm import decode
from wyoming_qwen3.engine.native import NativeEngine
from wyoming_qwen3.engine.wire import Audio, Ended, Failed, GuardTripped, SpeechFault, Submit

CUSTOM = Checkpoint("custom_voice", "0.6B")
FRAME = 1920
TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps in the sun until the evening comes."


def sound(seconds: float, level: float = 0.1) -> FloatArray:
    return np.random.default_rng(7).normal(0, level, round(seconds * SAMPLE_RATE)).astype(np.float32)


def silence(seconds: float) -> FloatArray:
    return sound(seconds, 1e-4)


def heard(guard: AudioGuard, samples: FloatArray, frames: int = 1) -> list[FloatArray]:
    """What a guard lets pass of each chunk, and the rest."""
    chunks = [samples[at : at + frames * FRAME] for at in range(0, samples.size, frames * FRAME)]
    return [*map(guard.check, chunks), guard.rest()]


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_sound_passes_as_it_is_and_at_once(frames: int) -> None:
    samples = np.concatenate([sound(0.8), silence(2.24), sound(0.8)])
    passed = heard(AudioGuard(), samples, frames)
    assert [chunk.size for chunk in passed[:-1]] == [frames * FRAME] * (samples.size // FRAME // frames)
    np.testing.assert_array_equal(np.concatenate(passed), samples)


@pytest.mark.parametrize("lead", [0.0, 0.02, 0.08, 0.1])
def test_a_short_silence_before_speech_is_left(lead: float) -> None:
    samples = np.concatenate([silence(lead), sound(1.6 - lead)])
    np.testing.assert_array_equal(np.concatenate(heard(AudioGuard(), samples)), samples)


@pytest.mark.parametrize("lead", [0.12, 0.16, 0.74, 1.9])
def test_a_long_silence_before_speech_is_cut_to_a_tenth_of_a_second(lead: float) -> None:
    samples = np.concatenate([silence(lead), sound(2.4 - lead)])
    passed = heard(AudioGuard(), samples)
    first = int(lead * SAMPLE_RATE) // FRAME
    assert [chunk.size for chunk in passed[:first]] == [0] * first
    assert passed[first].size > 0  # not a frame later than there is something to hear
    np.testing.assert_array_equal(
        np.concatenate(passed), samples[round((lead - KEPT_SECONDS) * SAMPLE_RATE) :], strict=True
    )


def test_what_is_quiet_but_no_silence_is_sound() -> None:
    whisper = sound(0.8, 0.002)  # -54 dBFS
    np.testing.assert_array_equal(np.concatenate(heard(AudioGuard(), whisper)), whisper)
    assert not any(chunk.size for chunk in heard(AudioGuard(), silence(0.8))[:-1])


def test_samples_that_are_no_numbers_are_not_held_back() -> None:
    broken = np.full(FRAME, np.nan, np.float32)
    assert AudioGuard().check(broken).size == FRAME


@pytest.mark.parametrize(
    ("samples", "mute"),
    [
        (silence(2.0), False),
        (silence(2.08), True),
        (np.concatenate([silence(1.92), sound(0.08), silence(4.0)]), False),
        (np.concatenate([sound(0.8), silence(4.08)]), True),
        (np.concatenate([sound(0.8), silence(3.92), sound(0.08), silence(3.92)]), False),
        (np.concatenate([sound(0.8, 0.3), sound(4.08, 0.002)]), True),  # -44 dB against what was loud
        (np.concatenate([sound(0.8, 0.02), sound(4.08, 0.002)]), False),
    ],
)
def test_what_falls_silent_is_mute(samples: FloatArray, mute: bool) -> None:
    guard = AudioGuard(leading=2.0)
    heard(guard, samples, 1)
    assert guard.mute == mute


def test_what_is_of_use_as_a_whole_passes_at_the_end() -> None:
    samples = np.concatenate([silence(0.8), sound(0.8)])
    guard = AudioGuard(whole=True)
    *chunks, rest = heard(guard, samples, 4)
    assert not any(chunk.size for chunk in chunks)
    np.testing.assert_array_equal(rest, samples[round(0.7 * SAMPLE_RATE) :])
    assert guard.passed


def guard(*samples: FloatArray) -> AudioGuard:
    made = AudioGuard(leading=2.0)
    for chunk in samples:
        made.check(chunk)
    return made


@pytest.mark.parametrize(
    ("ending", "repeated", "listener", "fault"),
    [
        (None, LOOP_FRAMES, guard(sound(0.8)), None),
        (None, LOOP_FRAMES + 1, guard(sound(0.8)), "loop"),
        ("eos", LOOP_FRAMES + 1, guard(sound(0.8)), None),
        ("limit", 1, guard(sound(0.8)), "limit"),
        (None, 1, guard(silence(0.8)), None),
        (None, 1, guard(silence(2.4)), "silence"),
        (None, 1, guard(sound(0.8), silence(4.8)), "silence"),
        ("eos", 1, guard(silence(0.8)), "silence"),
        ("eos", 1, guard(sound(0.8), silence(3.2)), None),
    ],
)
def test_faults(ending: decode.Ending | None, repeated: int, listener: AudioGuard, fault: SpeechFault | None) -> None:
    assert find_fault(ending, repeated, listener) == fault


def test_another_try_has_another_seed_where_one_matters() -> None:
    assert another_try(Sampling(seed=4, top_k=9), greedy=False) == Sampling(seed=5, top_k=9)
    assert another_try(Sampling(seed=2**63 - 1), greedy=False) == Sampling(seed=0)
    assert another_try(Sampling(), greedy=False) == Sampling()
    assert another_try(Sampling(seed=4), greedy=True) is None
    assert another_try(Sampling(seed=4, max_frames=9), greedy=False) is None


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., NativeEngine]:
    """An engine with a checkpoint of which a tensor was set to zero."""

    def load(file: str = "", ending: str = "") -> NativeEngine:
        folder = build_checkpoint(tmp_path_factory.mktemp("guards"), "custom_voice")
        if file:
            tensors = load_file(folder / file)
            (name,) = (name for name in tensors if name.endswith(ending))
            tensors[name].zero_()
            save_file(tensors, folder / file, metadata={"format": "pt"})
        engine = NativeEngine("cpu", "auto")
        engine.load(CUSTOM, folder)
        return engine

    return load


@pytest.fixture(scope="module")
def sane(load: Callable[..., NativeEngine]) -> NativeEngine:
    return load()


@pytest.fixture(scope="module")
def silent(load: Callable[..., NativeEngine]) -> NativeEngine:
    return load("speech_tokenizer/model.safetensors", "decoder.decoder.6.conv.weight")


def outputs(engine: NativeEngine, **options: object) -> Iterator[Audio | GuardTripped | Ended | Failed]:
    whole = bool(options.pop("whole", False))
    request = SpeechRequest(SPEAKERS[5], sampling=Sampling(**options), whole=whole)  # type: ignore[arg-type]
    engine.admit(Submit(1, CUSTOM, request, TEXT, live=False, credit=0))
    while True:
        for output in engine.step([1]):
            yield output
            if isinstance(output, Ended | Failed):
                engine.cancel(1)
                return


def samples(found: list[Audio | GuardTripped | Ended | Failed]) -> bytes:
    return b"".join(output.samples for output in found if isinstance(output, Audio))


def test_silence_is_tried_again_once_and_then_an_error(silent: NativeEngine) -> None:
    *guarded, failed = outputs(silent, seed=3)
    assert guarded == [GuardTripped(1, "silence", retried=True), GuardTripped(1, "silence", retried=False)]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, RunawaySpeech)
    assert str(failed.error) == "The speech fell silent without ending."


def test_greedy_speech_is_not_tried_again(silent: NativeEngine) -> None:
    assert [type(output) for output in outputs(silent, temperature=0.0)] == [GuardTripped, Failed]


def test_one_sound_for_ever_is_an_error(load: Callable[..., NativeEngine]) -> None:
    """All logits alike, so that a greedy draw is code 0 each time."""
    found = list(outputs(load("model.safetensors", "talker.codec_head.weight"), temperature=0.0))
    assert found[-2] == GuardTripped(1, "loop", retried=False)
    assert isinstance(found[-1], Failed)
    assert str(found[-1].error) == "The speech got stuck on one sound."
    assert len(samples(found)) // 4 // FRAME in range(LOOP_FRAMES - 4, LOOP_FRAMES + 1)


@pytest.fixture
def seed(sane: NativeEngine, monkeypatch: pytest.MonkeyPatch) -> int:
    """One that makes a longer speech than the seed after it, with a limit between the two."""
    lengths = [len(samples(list(outputs(sane, seed=n)))) // 4 // FRAME for n in range(9)]
    seed = max(range(8), key=lambda n: lengths[n] - lengths[n + 1])
    monkeypatch.setattr(decode, "frame_limit_of_tokens", lambda *_: lengths[seed] - 1)
    return seed


def test_a_runaway_that_nobody_heard_is_spoken_with_the_next_seed(sane: NativeEngine, seed: int) -> None:
    found = list(outputs(sane, seed=seed, whole=True))
    assert [type(output) for output in found] == [GuardTripped, Audio, Ended]
    assert found[0] == GuardTripped(1, "limit", retried=True)
    assert samples(found) == samples(list(outputs(sane, seed=seed + 1)))


def test_a_runaway_that_was_heard_is_an_error(sane: NativeEngine, seed: int) -> None:
    found = list(outputs(sane, seed=seed))
    assert samples(found)
    assert found[-2] == GuardTripped(1, "limit", retried=False)
    assert isinstance(found[-1], Failed)


def test_neutral_where_speech_is_well(sane: NativeEngine) -> None:
    """Whole or in chunks, the samples are the codec's own."""
    found = list(outputs(sane, seed=1))
    assert not any(isinstance(output, GuardTripped) for output in found)
    assert samples(found) == samples(list(outputs(sane, seed=1, whole=True)))
