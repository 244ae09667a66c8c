import pytest

from wyoming_qwen3.core.request import SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS, find_language
from wyoming_qwen3.speech.report import LOGGED_OUTCOMES, Report, key_values, log_line

RYAN = SpeechRequest(SPEAKERS[5], find_language("de"))


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            Report("Qwen3", 23, first_audio=0.2144, audio=1.92, speed=2.0, outcome="whole"),
            "Spoke source=x voice=ryan language=de model=Qwen3 characters=23 first_audio=0.214s "
            "audio=1.92s realtime=2.00x",
        ),
        (
            Report("Qwen3", 41, first_audio=0.1, audio=0.5, wall=0.5, outcome="engine_failed"),
            "voice=ryan language=de model=Qwen3 characters=41 first_audio=0.100s audio=0.50s",
        ),
        (
            Report("Qwen3", 41, outcome="runaway_speech"),
            "voice=ryan language=de model=Qwen3 characters=41",
        ),
        (
            Report(characters=5, outcome="model_missing"),
            "voice=ryan language=de characters=5",
        ),
        (Report(), "Stopped source=x voice=ryan language=de"),
    ],
)
def test_a_line_has_what_came_about_and_no_zeros(report: Report, line: str) -> None:
    assert key_values(RYAN, report) == line.removeprefix("Spoke source=x ").removeprefix("Stopped source=x ")
    if report.outcome in LOGGED_OUTCOMES:
        assert log_line("x", RYAN, report) == line
