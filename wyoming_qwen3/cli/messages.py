"""What a command tells a person."""

import sys
from collections.abc import Iterable


def tell(lines: Iterable[str]) -> None:
    """Print lines for a person, beside what a command gives out."""
    sys.stderr.writelines(f"{line}\n" for line in lines)
