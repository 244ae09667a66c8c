"""How much sound a listener has in hand who plays it as it comes. Knows no clock: times are told, in seconds."""


class Playback:
    """Plays what it is given without a break, waits where there is nothing, and goes on when there is."""

    def __init__(self) -> None:
        self._ends: float | None = None

    def take(self, seconds: float, now: float) -> None:
        """So much sound more has come."""
        self._ends = max(now, self._ends or now) + seconds

    def in_hand(self, now: float) -> float:
        """Seconds that can be played without more; below 0 it has been waiting so long. 0 before the first sound."""
        return 0.0 if self._ends is None else self._ends - now

    @property
    def begun(self) -> bool:
        """Whether there was any sound."""
        return self._ends is not None
