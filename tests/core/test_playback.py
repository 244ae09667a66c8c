"""How much sound a listener has in hand."""

import pytest

from wyoming_qwen3.core.playback import Playback


def test_what_is_in_hand_is_played_and_waited_for() -> None:
    playback = Playback()
    assert (playback.begun, playback.buffered_seconds(5.0)) == (False, 0.0)
    playback.take(1.0, 10.0)
    assert playback.begun
    assert playback.buffered_seconds(10.25) == pytest.approx(0.75)
    playback.take(1.0, 10.5)
    assert playback.buffered_seconds(10.5) == pytest.approx(1.5)
    assert playback.buffered_seconds(12.5) == pytest.approx(-0.5), "It waits, and has not played what was not there."
    playback.take(1.0, 13.0)
    assert playback.buffered_seconds(13.0) == pytest.approx(1.0)
