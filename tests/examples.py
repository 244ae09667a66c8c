"""How many examples hypothesis tries."""

from hypothesis import settings

MIN_EXAMPLES = 10


class Examples:
    """`--fast` has a tenth of them tried, but `MIN_EXAMPLES` at least."""

    share = 1


def tried(count: int) -> settings:
    """Decorate a test that is to be tried with so many examples."""
    return settings(max_examples=max(MIN_EXAMPLES, count // Examples.share))
