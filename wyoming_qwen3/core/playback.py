"""Calculates how much audio a listener still has to play. Callers pass the current time, in seconds."""


class Playback:
    """A listener that plays audio as it arrives, and pauses while it has none."""

    def __init__(self) -> None:
        self._ends: float | None = None

    def take(self, seconds: float, now: float) -> None:
        """Note that `seconds` more of audio have arrived."""
        self._ends = max(now, self._ends or now) + seconds

    def buffered_seconds(self, now: float) -> float:
        """Return the seconds of audio left to play; below 0, how long the listener has waited. 0 before any audio."""
        return 0.0 if self._ends is None else self._ends - now

    @property
    def begun(self) -> bool:
        """Whether any audio has arrived."""
        return self._ends is not None
