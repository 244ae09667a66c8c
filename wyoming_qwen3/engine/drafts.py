"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(file: Path) -> Iterator[Path]:
    """Yield the path of a draft, which replaces the file at the end of the block, or is removed if that raises."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):  # a read-only disk refuses that, too
            draft.unlink(missing_ok=True)
        raise
