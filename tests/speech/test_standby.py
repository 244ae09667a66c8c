from dataclasses import replace

import pytest

from wyoming_qwen3.core.errors import LanguageNotSupported, NotSupported
from wyoming_qwen3.core.request import Description, SpeechRequest, StandbyMode
from wyoming_qwen3.core.speakers import SPEAKERS, find_language
from wyoming_qwen3.models.state import State
from wyoming_qwen3.speech.standby import choose_engine, language_matters, standby_mode

RYAN = next(speaker for speaker in SPEAKERS if speaker.id == "ryan")
GERMAN, ENGLISH = find_language("de"), find_language("en")


@pytest.mark.parametrize(
    ("mode", "state", "language", "guessed", "chosen"),
    [
        ("auto", State.READY, None, None, "qwen3"),
        ("auto", State.READY, GERMAN, None, "qwen3"),
        ("off", State.READY, ENGLISH, None, "qwen3"),
        ("only", State.READY, ENGLISH, None, "standby"),
        ("only", None, None, None, "standby"),
        ("auto", State.MISSING, ENGLISH, None, "standby"),
        ("auto", State.DOWNLOADING, None, None, "standby"),
        ("auto", State.DOWNLOADING, None, ENGLISH, "standby"),
        ("auto", State.FAILED, None, ENGLISH, "standby"),
        ("auto", State.LOADING, ENGLISH, None, "standby"),
        ("auto", State.MISSING, GERMAN, None, None),
        ("auto", State.DOWNLOADING, None, GERMAN, None),
        ("auto", State.LOADING, GERMAN, None, "qwen3"),
        ("auto", State.ON_DISK, None, GERMAN, "qwen3"),
        ("off", State.LOADING, ENGLISH, None, "qwen3"),
        ("off", State.MISSING, ENGLISH, None, None),
        ("off", State.FAILED, ENGLISH, None, None),
    ],
)
def test_who_speaks(
    mode: StandbyMode, state: State | None, language: object, guessed: object, chosen: str | None
) -> None:
    request = SpeechRequest(RYAN, language)  # type: ignore[arg-type]
    assert choose_engine(mode, state, request, guessed) == chosen  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [State.MISSING, State.DOWNLOADING, State.FAILED])
def test_a_designed_voice_is_never_replaced(state: State) -> None:
    assert choose_engine("auto", state, SpeechRequest(Description("deep"), ENGLISH), None) is None


def test_the_standby_voice_alone_refuses_other_languages() -> None:
    with pytest.raises(LanguageNotSupported, match="English only"):
        choose_engine("only", State.READY, SpeechRequest(RYAN, GERMAN), None)


@pytest.mark.parametrize(
    "request_", [SpeechRequest(Description("deep")), SpeechRequest(RYAN, instruct="whisper", strict=True)]
)
def test_the_standby_voice_alone_refuses_what_it_has_not(request_: SpeechRequest) -> None:
    with pytest.raises(NotSupported):
        choose_engine("only", None, request_, None)


def test_a_strict_instruction_is_never_left_out() -> None:
    request = SpeechRequest(RYAN, instruct="whisper")
    assert choose_engine("auto", State.MISSING, replace(request, strict=True), ENGLISH) is None
    assert choose_engine("auto", State.MISSING, request, ENGLISH) == "standby"


@pytest.mark.parametrize(
    ("configured", "asked", "mode"),
    [
        ("auto", None, "auto"),
        ("off", None, "off"),
        ("off", "auto", "off"),
        ("auto", "off", "off"),
        ("auto", "only", "only"),
        ("only", "off", "only"),
        ("only", None, "only"),
        ("off", "off", "off"),
    ],
)
def test_when_the_standby_voice_speaks(configured: StandbyMode, asked: StandbyMode | None, mode: StandbyMode) -> None:
    assert standby_mode(configured, asked) == mode


def test_a_standby_voice_that_is_off_is_not_asked() -> None:
    with pytest.raises(NotSupported, match="switched off"):
        standby_mode("off", "only")


@pytest.mark.parametrize("mode", ["auto", "off"])
@pytest.mark.parametrize("state", list(State))
def test_a_language_that_does_not_matter_changes_nothing(mode: StandbyMode, state: State) -> None:
    chosen = {choose_engine(mode, state, SpeechRequest(RYAN), guessed) for guessed in (None, ENGLISH, GERMAN)}
    assert language_matters(mode, state) or len(chosen) == 1


def test_the_language_matters_where_the_standby_voice_may_speak() -> None:
    assert language_matters("only", None)
    assert language_matters("auto", State.MISSING)
    assert not language_matters("auto", State.READY)
    assert not language_matters("off", State.MISSING)
