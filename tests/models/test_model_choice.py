from dataclasses import replace

import numpy as np
import pytest

from wyoming_qwen3.core.checkpoints import PUBLISHED, Checkpoint, Kind, Size
from wyoming_qwen3.core.errors import InstructionsNotSupported, ModelNotFound
from wyoming_qwen3.core.instructions import as_spoken
from wyoming_qwen3.core.request import ClonePrompt, Description, Reference, SpeechRequest, Voice
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.models.model_choice import choose_model, choose_other_size, choose_smaller

RYAN = next(speaker for speaker in SPEAKERS if speaker.id == "ryan")
DEEP = Description("a deep, calm voice")
CLIP = Reference(np.zeros(24_000, np.float32), 24_000)
PROMPT = ClonePrompt(np.zeros(1024, np.float32))


LARGE, SMALL = Checkpoint("custom_voice", "1.7B"), Checkpoint("custom_voice", "0.6B")


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
    ("voice", "wish", "size", "chosen"),
    [
        (RYAN, "0.6B", "1.7B", "0.6B"),
        (RYAN, "1.7B", "0.6B", "1.7B"),
        (PROMPT, "0.6B", "1.7B", "0.6B"),
        (DEEP, "1.7B", "0.6B", "1.7B"),
    ],
)
def test_a_size_that_is_asked_for_wins_over_the_servers(voice: Voice, wish: Size, size: Size, chosen: Size) -> None:
    assert choose_model(SpeechRequest(voice, size=wish), size).size == chosen


@pytest.mark.parametrize("size", ["0.6B", "1.7B"])
def test_a_size_in_which_no_voice_is_designed_is_refused_where_it_is_asked_for(size: Size) -> None:
    with pytest.raises(ModelNotFound, match=r"from a description in 1\.7B only") as caught:
        choose_model(SpeechRequest(DEEP, size="0.6B"), size)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("voice", "size", "allowed"),
    [(RYAN, "1.7B", True), (RYAN, "0.6B", False), (DEEP, "0.6B", True), (PROMPT, "1.7B", False), (CLIP, "0.6B", False)],
)
def test_instructions_that_can_not_be_followed_are_left_out_or_in_a_strict_request_refused(
    voice: Voice, size: Size, allowed: bool
) -> None:
    request = SpeechRequest(voice, instruct="whisper")
    strict = replace(request, strict=True)
    chosen = choose_model(request, size)
    if allowed:
        assert choose_model(strict, size) == chosen
        assert as_spoken(request, chosen) == (request, ())
    else:
        with pytest.raises(InstructionsNotSupported, match="does not follow instructions") as caught:
            choose_model(strict, size)
        assert caught.value.param == "instructions"
        spoken, (warning,) = as_spoken(request, chosen)
        assert spoken == replace(request, instruct=None)
        assert warning == f"The instructions were left out. {caught.value}"


@pytest.mark.parametrize(
    ("request_", "at_hand", "chosen"),
    [
        (SpeechRequest(RYAN, instruct="whisper"), [LARGE], LARGE),
        (SpeechRequest(RYAN, instruct="whisper", strict=True), [LARGE], LARGE),
        (SpeechRequest(RYAN, instruct="whisper"), [], SMALL),
        (SpeechRequest(RYAN, instruct="whisper", size="0.6B"), [LARGE], SMALL),
        (SpeechRequest(RYAN), [LARGE], SMALL),
        (SpeechRequest(CLIP, instruct="whisper"), [LARGE], Checkpoint("base", "0.6B")),
    ],
)
def test_a_checkpoint_at_hand_follows_what_the_server_s_own_does_not(
    request_: SpeechRequest, at_hand: list[Checkpoint], chosen: Checkpoint
) -> None:
    assert choose_model(request_, "0.6B", at_hand) == chosen


@pytest.mark.parametrize(
    ("voice", "checkpoint", "advice"),
    [
        (RYAN, SMALL, "1.7B-CustomVoice does: ask for the model qwen3-tts-1.7b"),
        (CLIP, Checkpoint("base", "1.7B"), "clones a voice and does not follow instructions; a named speaker"),
        (RYAN, None, "The standby voice does not follow instructions."),
    ],
)
def test_the_warning_says_what_would_help(voice: Voice, checkpoint: Checkpoint | None, advice: str) -> None:
    _, (warning,) = as_spoken(SpeechRequest(voice, instruct="whisper"), checkpoint)
    assert advice in warning


@pytest.mark.parametrize(
    ("wanted", "checkpoint", "smaller"),
    [
        (SpeechRequest(RYAN), LARGE, SMALL),
        (SpeechRequest(RYAN), SMALL, None),
        (SpeechRequest(RYAN, size="1.7B"), LARGE, None),
        (SpeechRequest(RYAN, instruct="Whisper."), LARGE, SMALL),
        (SpeechRequest(RYAN, instruct="Whisper.", strict=True), LARGE, None),
        (SpeechRequest(DEEP), Checkpoint("voice_design", "1.7B"), None),
        (SpeechRequest(CLIP), Checkpoint("base", "1.7B"), Checkpoint("base", "0.6B")),
    ],
)
def test_a_smaller_checkpoint_is_one_that_can_do_the_same(
    wanted: SpeechRequest, checkpoint: Checkpoint, smaller: Checkpoint | None
) -> None:
    assert choose_smaller(wanted, checkpoint) == smaller


@pytest.mark.parametrize(
    ("wanted", "checkpoint", "other"),
    [
        (SpeechRequest(RYAN), SMALL, LARGE),
        (SpeechRequest(RYAN), LARGE, SMALL),
        (SpeechRequest(RYAN, size="0.6B"), SMALL, None),
        (SpeechRequest(RYAN, instruct="Whisper.", strict=True), LARGE, None),
        (SpeechRequest(RYAN, instruct="Whisper.", strict=True), SMALL, LARGE),
        (SpeechRequest(DEEP), Checkpoint("voice_design", "1.7B"), None),
    ],
)
def test_the_other_size_is_one_that_can_do_the_same(
    wanted: SpeechRequest, checkpoint: Checkpoint, other: Checkpoint | None
) -> None:
    assert choose_other_size(wanted, checkpoint) == other
