import pytest

from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint, Kind, Size
from wyoming_qwen3.core.errors import (
    DownloadFailed,
    ModelDamaged,
    ModelFailed,
    ModelNotFound,
    SpeechError,
    TransientDownloadFailed,
)
from wyoming_qwen3.engine.checkpoint.on_disk import Progress
from wyoming_qwen3.engine.wire import Loaded
from wyoming_qwen3.models.eviction import choose_evictions
from wyoming_qwen3.models.model_choice import choose_codec
from wyoming_qwen3.models.restart import restart_delay
from wyoming_qwen3.models.state import CheckpointStates, KernelProgress, Model, State

CUSTOM = Checkpoint("custom_voice", "1.7B")


def loaded(kind: Kind, footprint: int, last_used: float, users: int = 0) -> Model:
    return Model(
        Checkpoint(kind, "1.7B"), State.READY, loaded=Loaded(footprint, "int8"), last_used=last_used, users=users
    )


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


def at(state: State, kind: Kind, size: Size = "1.7B", last_used: float = 0, users: int = 0) -> Model:
    return Model(Checkpoint(kind, size), state, last_used=last_used, users=users)


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        ([], CUSTOM),
        ([at(State.MISSING, "base"), at(State.FAILED, "voice_design")], CUSTOM),
        ([at(State.ON_DISK, "custom_voice"), at(State.ON_DISK, "base", "0.6B")], CUSTOM),
        ([at(State.ON_DISK, "voice_design"), at(State.ON_DISK, "base", "0.6B")], Checkpoint("base", "0.6B")),
        ([at(State.ON_DISK, "custom_voice"), at(State.LOADING, "base")], Checkpoint("base", "1.7B")),
        ([at(State.LOADING, "custom_voice"), at(State.READY, "base")], Checkpoint("base", "1.7B")),
        ([at(State.READY, "custom_voice", last_used=2), at(State.READY, "base", last_used=1)], CUSTOM),
        ([at(State.READY, "custom_voice", last_used=1, users=1), at(State.READY, "base", last_used=2)], CUSTOM),
    ],
)
def test_the_codec_is_taken_from_what_costs_least(models: list[Model], chosen: Checkpoint) -> None:
    assert choose_codec(models, CUSTOM) == chosen


def test_an_engine_that_keeps_dying_is_started_again_ever_later() -> None:
    assert [restart_delay(deaths) for deaths in (1, 2, 3, 4, 20)] == [0, 2, 4, 8, 60]


@pytest.mark.parametrize(
    ("state", "progress", "error", "code", "said"),
    [
        (State.MISSING, None, None, "model_missing", "not in the models folder; download it"),
        (State.MISSING, None, TransientDownloadFailed("No hub."), "model_loading", "No hub. The server will try again"),
        (State.DOWNLOADING, None, None, "model_loading", "about to be downloaded"),
        (State.DOWNLOADING, Progress(900_000_000, 1_800_000_000), None, "model_loading", "50 % of 1.8 GB so far."),
        (State.DOWNLOADING, Progress(9, 18, 3.0), None, "model_loading", "so far, about 10 seconds left."),
        (State.DOWNLOADING, Progress(9, 18, 200.0), None, "model_loading", "so far, about 3 minutes left."),
        (State.DOWNLOADING, Progress(9, 18, 7200.0), None, "model_loading", "so far, about 2 hours left."),
        (State.ON_DISK, None, None, "model_loading", "being loaded"),
        (State.LOADING, None, None, "model_loading", "being loaded"),
        (State.FAILED, None, ModelFailed("It is damaged."), "model_failed", "It is damaged."),
        (State.FAILED, None, DownloadFailed("No token."), "download_failed", "0.6B-Base is missing: No token."),
        (State.FAILED, None, ModelDamaged("It is incomplete."), "model_failed", "It is incomplete."),
    ],
)
def test_a_checkpoint_says_why_it_cant_speak(
    state: State, progress: Progress | None, error: SpeechError | None, code: str, said: str
) -> None:
    explained = Model(Checkpoint("base", "0.6B"), state, progress, error=error).explain()
    assert explained.code == code
    assert said in str(explained)


async def test_the_books_know_what_is_published_and_nothing_else() -> None:
    states = CheckpointStates()
    assert [status.checkpoint for status in states.statuses()] == list(PUBLISHED)
    assert states.find(CUSTOM).checkpoint == CUSTOM
    with pytest.raises(ModelNotFound, match=r"no checkpoint Qwen3-TTS-12Hz-0\.6B-VoiceDesign") as caught:
        states.find(Checkpoint("voice_design", "0.6B"))
    assert caught.value.param == "model"


async def test_a_state_takes_its_details_along_when_it_changes() -> None:
    """Whoever watches is told of each change with the status right after it."""
    states = CheckpointStates()
    model = states.find(CUSTOM)
    with states.watch() as events:
        states.change(model, "download", State.DOWNLOADING, progress=Progress(1, 2))
        states.change(model, "missing", State.MISSING, error=TransientDownloadFailed("No hub."))
        states.change(model, "ready", State.READY, loaded=Loaded(7, "int8"))
        states.fail(model, ModelFailed("Broken."))
        states.close()
        told = [(event.kind, event.status) async for event in events]
    assert [(kind, status.progress, str(status.error or ""), status.footprint) for kind, status in told] == [
        ("download", Progress(1, 2), "", 0),
        ("missing", None, "No hub.", 0),
        ("ready", None, "", 7),
        ("failed", None, "Broken.", 0),
    ]


def test_how_many_gpu_kernels_are_compiled_is_told_while_it_is_loaded() -> None:
    states = CheckpointStates()
    model = states.models[0]
    states.note_kernels(model, 1, 31)
    assert model.kernels is None
    states.change(model, "loading", State.LOADING)
    with states.watch():
        states.note_kernels(model, 12, 31)
    assert model.status().kernels == KernelProgress(12, 31)
    assert str(model.explain()).endswith("is being loaded: compiling the GPU kernels, 12 of 31.")
    states.change(model, "ready", State.READY)
    assert model.status().kernels is None
