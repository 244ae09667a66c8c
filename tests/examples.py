"""How many examples hypothesis tries."""

from hypothesis import settings

FEWEST = 10


class Examples:
    """`--fast` has a tenth of them tried, but `FEWEST` at least."""

    share = 1


def tried(count: int) -> settings:
    """Decorate a test that is to be tried with so many examples."""
    return settings(max_examples=max(FEWEST, count // Examples.share))
