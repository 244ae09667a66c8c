"""Downloads a checkpoint for a person at a terminal."""

import sys
from pathlib import Path

from tqdm import tqdm

from wyoming_qwen3.core.checkpoints import KIND_NAMES, Checkpoint, Size
from wyoming_qwen3.core.errors import InvalidRequest, TransientDownloadFailed
from wyoming_qwen3.engine.checkpoint import on_disk
from wyoming_qwen3.engine.wire import Download
from wyoming_qwen3.models.worker import download

from .messages import tell

_GIGABYTES: dict[Size, float] = {"0.6B": 2.5, "1.7B": 4.5}
"""Roughly how much a checkpoint of a size takes on the hub and on disk."""

_BAR = "{percentage:3.0f} % of {total_fmt}B, {rate_fmt}, {remaining} left"


def check_size(checkpoint: Checkpoint, asked: Size | None, *, yes: bool) -> None:
    """Ask whether to download another size than was asked for, unless `yes`. Raises InvalidRequest if not."""
    if asked in (None, checkpoint.size) or yes:
        return
    told = f"{KIND_NAMES[checkpoint.kind]} exists in {checkpoint.size} only, about {_GIGABYTES[checkpoint.size]} GB"
    if not sys.stdin.isatty():
        raise InvalidRequest(f"{told}; add --yes to download that, or leave --model out.")
    if input(f"{told}. Download it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise InvalidRequest("Nothing was downloaded.")


async def fetch(checkpoint: Checkpoint, models_dir: Path, revision: str) -> None:
    """Download a checkpoint, and show how far it is: a line with the time left on a terminal, else one per tenth.

    Raises DownloadFailed.
    """
    folder = on_disk.folder(models_dir, checkpoint)
    tell([f"{checkpoint.name}, about {_GIGABYTES[checkpoint.size]} GB, goes to {folder}"])
    progress = _ProgressLines()
    with tqdm(bar_format=_BAR, disable=None, unit="B", unit_scale=True, leave=False) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            for line in progress.lines(done, total):
                if bar.disable:
                    tell([line])

        try:
            await download(Download(checkpoint, models_dir, revision), report, log_level="WARNING")
        except TransientDownloadFailed as error:
            again = " Run the command again to go on where it stopped." if progress.done else ""
            raise TransientDownloadFailed(f"{error}{again}") from error
    how = "was there already" if progress.complete_at_once else "is downloaded"
    tell([f"{checkpoint.name} {how}, {_size(progress.done)}"])


class _ProgressLines:
    """How far a download is."""

    def __init__(self) -> None:
        self.done = 0
        self.complete_at_once = False
        """Whether nothing was left to download."""

        self._next_tenth: int | None = None

    def lines(self, done: int, total: int) -> list[str]:
        """Note a report; return a line if another tenth is done."""
        tenth = 10 * done // max(total, 1)
        if self._next_tenth is None:
            self.complete_at_once = done == total
            self._next_tenth = tenth
        self.done = done
        if tenth < self._next_tenth or self.complete_at_once:
            return []
        self._next_tenth = tenth + 1
        return [f"{10 * tenth} % of {_size(total)}"]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
