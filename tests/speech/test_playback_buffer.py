"""When an answer is sent that is still being made."""

import numpy as np
import pytest

from wyoming_qwen3.core.playback import Playback
from wyoming_qwen3.core.request import FRAME_SAMPLES, SAMPLE_RATE, FloatArray
from wyoming_qwen3.speech.playback_buffer import PlaybackBuffer, last_pause, plays_through

FRAME = 0.08


@pytest.mark.parametrize(
    ("made", "expected", "speed", "chunk", "plays"),
    [
        # Twice as fast as it is played and more: at once.
        (1 * FRAME, 10.0, 2.2, 1 * FRAME, True),
        (1 * FRAME, 10.0, 20.0, 1 * FRAME, True),
        # A little faster than it is played: when the next chunk comes before this is over.
        (1 * FRAME, 10.0, 1.3, 1 * FRAME, False),
        (3 * FRAME, 10.0, 1.3, 2 * FRAME, False),
        (7 * FRAME, 10.0, 1.3, 4 * FRAME, True),
        (2 * FRAME, 10.0, 1.3, 1 * FRAME, True),
        # As fast as it is played is not counted on.
        (4 * FRAME, 10.0, 1.0, 4 * FRAME, False),
        # Half as fast: about half of it.
        (4.0, 10.0, 0.5, 4 * FRAME, False),
        (5.8, 10.0, 0.5, 4 * FRAME, True),
        # A quarter as fast: three quarters.
        (7.0, 10.0, 0.25, 4 * FRAME, False),
        (8.1, 10.0, 0.25, 4 * FRAME, True),
        # Longer than was thought.
        (1.1, 1.0, 0.1, 1 * FRAME, True),
    ],
)
def test_when_playback_does_not_stall(made: float, expected: float, speed: float, chunk: float, plays: bool) -> None:
    assert plays_through(made, expected, speed, chunk) is plays


def sent(buffer: PlaybackBuffer, expected: float, pace: float, chunks: list[int]) -> list[int]:
    """Chunks that are sent when each comes, of so many frames, where a frame takes `pace` seconds to make."""
    now, counts, playback = 0.0, [], Playback()
    buffer.begin(now)
    for frames in chunks:
        now += frames * pace
        sound = np.zeros(frames * FRAME_SAMPLES, np.float32)
        counts.append(len(out := buffer.take(sound, expected, expected, playback.buffered_seconds(now), now)))
        for chunk in out:
            playback.take(chunk.size / SAMPLE_RATE, now)
    return counts


RAMP = [1, 2, 4, 4, 4, 4, 4, 4]


def test_what_was_held_is_sent_before_what_comes_then() -> None:
    buffer = PlaybackBuffer(None)
    buffer.begin(0.0)
    chunks = [np.full(frames * FRAME_SAMPLES, number, np.float32) for number, frames in enumerate(RAMP)]
    times = np.cumsum(RAMP) * 0.1
    heard = []
    for chunk, now in zip(chunks, times, strict=True):
        heard += buffer.take(chunk, 2.5, 2.5, 0.0, float(now))
    heard += buffer.release()
    assert [int(chunk[0]) for chunk in heard] == list(range(len(RAMP)))
    assert buffer.release() == []


@pytest.mark.parametrize(
    ("pace", "counts"),
    [(0.01, [1, 1, 1, 1, 1, 1, 1, 1]), (0.05, [0, 2, 1, 1, 1, 1, 1, 1]), (0.1, [0, 0, 0, 0, 5, 1, 1, 1])],
    ids=["fast", "a little faster than real time", "slower"],
)
def test_the_speed_is_measured(pace: float, counts: list[int]) -> None:
    assert sent(PlaybackBuffer(None), 2.5, pace, RAMP) == counts


def test_a_speed_that_is_known_need_not_be_measured_first() -> None:
    """A first chunk takes longer, as the text is read before it."""
    first = np.zeros(FRAME_SAMPLES, np.float32)
    for speed, count in ((None, 0), (4.0, 1)):
        buffer = PlaybackBuffer(speed)
        buffer.begin(0.0)
        assert len(buffer.take(first, 2.5, 2.5, 0.0, 0.3)) == count


def test_asap_sends_at_once_and_measures_all_the_same() -> None:
    buffer = PlaybackBuffer(float("inf"))
    assert buffer.measured is None
    assert sent(buffer, 60.0, 1.0, RAMP) == [1] * len(RAMP)
    assert buffer.measured == pytest.approx(0.08)


def test_what_is_played_slower_need_not_be_made_as_fast() -> None:
    slow = PlaybackBuffer(None)
    slow.restart(0.0, 0.5)
    assert sent(slow, 2.5, 0.1, RAMP)[:4] == [0, 2, 1, 1]


def words(seconds: float) -> FloatArray:
    """Words of 0.3 s, with pauses of 0.1 s."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.where(times % 0.4 < 0.3, np.sin(2 * np.pi * 220 * times), 1e-4).astype(np.float32)


class Listener:
    """Hears what a buffer sends of pieces that are made at a pace, and remembers every silence."""

    def __init__(self, buffer: PlaybackBuffer, pieces: list[float], speed: float) -> None:
        self.now = 0.0
        self.heard = np.zeros(0, np.float32)
        self.stalls: list[tuple[float, float]] = []
        """How much had been heard, and how long it was silent then."""

        self._playback = Playback()
        for number, piece in enumerate(pieces):
            sound = words(piece)
            buffer.begin(self.now)
            for at in range(0, sound.size, 4 * FRAME_SAMPLES):
                chunk = sound[at : at + 4 * FRAME_SAMPLES]
                self.now += chunk.size / SAMPLE_RATE / speed
                buffered_seconds = self._playback.buffered_seconds(self.now)
                self._hear(buffer.take(chunk, sum(pieces), piece, buffered_seconds, self.now))
            self._hear(buffer.end(known=number < len(pieces) - 1))

    def _hear(self, chunks: list[FloatArray]) -> None:
        for chunk in chunks:
            waited = -self._playback.buffered_seconds(self.now) if self.heard.size else self.now
            if waited > 1e-6:
                self.stalls.append((self.heard.size / SAMPLE_RATE, waited))
            self.heard = np.concatenate([self.heard, chunk])
            self._playback.take(chunk.size / SAMPLE_RATE, self.now)


@pytest.mark.parametrize("speed", [0.2, 0.3, 0.5, 0.7, 0.9, 0.97, 1.3])
@pytest.mark.parametrize("pieces", [[20.0], [4.0, 4.0, 4.0, 4.0, 4.0], [2.0, 6.0, 12.0]], ids=str)
def test_a_slow_machine_is_silent_no_longer_than_the_limit_and_between_words(speed: float, pieces: list[float]) -> None:
    """A chunk takes a while itself: the silence may be so much longer."""
    listener = Listener(PlaybackBuffer(speed), pieces, speed)
    np.testing.assert_array_equal(listener.heard, np.concatenate([words(piece) for piece in pieces]))
    ends = {0.0, *np.cumsum(pieces).round(3)}
    for at, waited in listener.stalls:
        assert waited <= 8.0 + 0.32 / speed + 1e-6
        after = listener.heard[round(at * SAMPLE_RATE) :][:240]
        assert round(at, 3) in ends or np.abs(after).max() < 0.01


def test_the_limit_can_be_chosen() -> None:
    assert Listener(PlaybackBuffer(0.3, 3.0), [20.0], 0.3).stalls[0][1] < 4.1
    assert Listener(PlaybackBuffer(0.3, 30.0), [20.0], 0.3).stalls[0][1] > 29.0


def test_a_piece_that_comes_late_is_held_until_it_plays_through() -> None:
    """Made half as fast as it is played, each piece is awaited in the silence before it."""
    listener = Listener(PlaybackBuffer(0.5), [4.0, 4.0, 4.0, 4.0], 0.5)
    assert {round(at, 1) for at, _ in listener.stalls[1:]} == {4.0, 8.0, 12.0}


def test_a_pause_between_words_is_found() -> None:
    assert last_pause(words(1.0)) / SAMPLE_RATE == pytest.approx(0.77, abs=0.04)
    assert last_pause(words(0.25)) == 0
    assert last_pause(np.zeros(0, np.float32)) == 0
    assert last_pause(np.zeros(4800, np.float32)) > 0
