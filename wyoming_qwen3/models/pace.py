"""How long work in bytes still takes."""


class Pace:
    """Estimates it from the pace since it was first asked."""

    def __init__(self, seconds: float) -> None:
        """`seconds` must pass before the pace is worth telling."""
        self._seconds = seconds
        self._began: tuple[int, float] | None = None

    def seconds_left(self, done: int, total: int, now: float) -> float | None:
        """Return the seconds left when `done` of `total` bytes are there at the time `now`; None at first."""
        if self._began is None:
            self._began = done, now
        first, began = self._began
        if now - began < self._seconds or done == first:
            return None
        return (total - done) * (now - began) / (done - first)
