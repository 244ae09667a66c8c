"""When an engine that died is started again: a pure function."""


def restart_delay(deaths: int) -> float:
    """Return the seconds to wait before an engine that has died `deaths` times in a row is started again."""
    return 0.0 if deaths <= 1 else min(2.0 ** (deaths - 1), 60.0)
