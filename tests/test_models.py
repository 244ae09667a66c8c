from pathlib import Path

import numpy as np
import pytest

from wyoming_qwen3.checkpoints import PUBLISHED, Checkpoint, Kind, Size
from wyoming_qwen3.engine.weights import Progress
from wyoming_qwen3.errors import DownloadFailed, InstructionsNotSupported, ModelFailed, SpeechError
from wyoming_qwen3.hardware import GIB, Hardware, available_memory, choose_size
from wyoming_qwen3.models import Model, State, choose_evictions, choose_model, restart_delay
from wyoming_qwen3.request import ClonePrompt, Description, Reference, SpeechRequest, Voice
from wyoming_qwen3.voices import SPEAKERS

RYAN = next(speaker for speaker in SPEAKERS if speaker.id == "ryan")
DEEP = Description("a deep, calm voice")
CLIP = Reference(np.zeros(24_000, np.float32), 24_000)
PROMPT = ClonePrompt(np.zeros(1024, np.float32))


@pytest.mark.parametrize(
    ("voice", "size", "kind", "chosen"),
    [
        (RYAN, "1.7B", "custom_voice", "1.7B"),
        (RYAN, "0.6B", "custom_voice", "0.6B"),
        (DEEP, "1.7B", "voice_design", "1.7B"),
        (DEEP, "0.6B", "voice_design", "1.7B"),
        (CLIP, "1.7B", "base", "1.7B"),
        (CLIP, "0.6B", "base", "0.6B"),
        (PROMPT, "1.7B", "base", "1.7B"),
        (PROMPT, "0.6B", "base", "0.6B"),
    ],
)
def test_the_request_decides_the_checkpoint(voice: Voice, size: Size, kind: Kind, chosen: Size) -> None:
    checkpoint = choose_model(SpeechRequest(voice), size)
    assert checkpoint == Checkpoint(kind, chosen)
    assert checkpoint in PUBLISHED


@pytest.mark.parametrize(
    ("voice", "size", "allowed"),
    [(RYAN, "1.7B", True), (RYAN, "0.6B", False), (DEEP, "0.6B", True), (PROMPT, "1.7B", False), (CLIP, "0.6B", False)],
)
def test_instructions_are_refused_where_they_would_be_ignored(voice: Voice, size: Size, allowed: bool) -> None:
    request = SpeechRequest(voice, instruct="whisper")
    if allowed:
        choose_model(request, size)
    else:
        with pytest.raises(InstructionsNotSupported, match="does not follow instructions"):
            choose_model(request, size)


@pytest.mark.parametrize(
    ("kind", "free", "size"),
    [("cpu", 64 * GIB, "0.6B"), ("cuda", 4 * GIB, "0.6B"), ("cuda", 8 * GIB, "1.7B"), ("cuda", 0, "0.6B")],
)
def test_auto_takes_the_large_size_only_on_a_roomy_gpu(kind: str, free: int, size: Size) -> None:
    assert choose_size(Hardware(kind, free)) == size


@pytest.mark.parametrize(("limit", "free"), [(None, 8 << 20), ("max", 8 << 20), (str(5 << 20), 3 << 20), ("1", 0)])
def test_available_memory_is_the_machines_within_the_containers_limit(
    tmp_path: Path, limit: str | None, free: int
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit + "\n")
        (tmp_path / "memory.current").write_text(f"{2 << 20}\n")
    assert available_memory(tmp_path, tmp_path) == free


def loaded(kind: Kind, footprint: int, last_used: float, users: int = 0) -> Model:
    return Model(Checkpoint(kind, "1.7B"), State.READY, footprint=footprint, last_used=last_used, users=users)


@pytest.mark.parametrize(
    ("models", "need", "evicted"),
    [
        ([], 10, []),
        ([loaded("base", 4, 1)], 6, []),
        ([loaded("base", 4, 1)], 7, ["base"]),
        ([loaded("base", 4, 2), loaded("voice_design", 4, 1)], 3, ["voice_design"]),
        ([loaded("base", 4, 2), loaded("voice_design", 4, 1)], 8, ["voice_design", "base"]),
        ([loaded("base", 4, 2), loaded("voice_design", 4, 1, users=1)], 3, ["base"]),
        ([loaded("base", 9, 2, users=2)], 5, []),
    ],
)
def test_the_longest_unused_idle_checkpoints_make_room(models: list[Model], need: int, evicted: list[str]) -> None:
    assert [model.checkpoint.kind for model in choose_evictions(models, need, 10)] == evicted


def test_an_engine_that_keeps_dying_is_started_again_ever_later() -> None:
    assert [restart_delay(deaths) for deaths in (1, 2, 3, 4, 20)] == [0, 2, 4, 8, 60]


@pytest.mark.parametrize(
    ("state", "progress", "error", "code", "said"),
    [
        (State.MISSING, None, None, "model_missing", "not in the models folder"),
        (State.DOWNLOADING, None, None, "model_loading", "about to be downloaded"),
        (State.DOWNLOADING, Progress(900_000_000, 1_800_000_000), None, "model_loading", "50 % of 1.8 GB"),
        (State.LOADING, None, None, "model_loading", "being loaded"),
        (State.FAILED, None, ModelFailed("It is damaged."), "model_failed", "It is damaged."),
        (State.MISSING, None, DownloadFailed("No hub."), "download_failed", "0.6B-Base is missing: No hub."),
    ],
)
def test_a_checkpoint_says_why_it_cant_speak(
    state: State, progress: Progress | None, error: SpeechError | None, code: str, said: str
) -> None:
    explained = Model(Checkpoint("base", "0.6B"), state, progress, error).explain()
    assert explained.code == code
    assert said in str(explained)
