"""A few thousand connections of garbage, and what would be said if they did harm."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.stress.fuzz import Outcome, problems, run
from tests.stress.held import HELD, OPTIONS, Held


async def test_garbage_does_no_harm(start_server: StartServer, models_dir: Path) -> None:
    """Nothing hangs, grows or fails in the server, and it speaks afterwards."""
    server = start_server("--models-dir", str(models_dir), *OPTIONS)
    assert await run(server, 3_000) == []
    told = [line for line in server.log.splitlines() if "Refused source=wyoming code=" in line]
    assert 1 < len(told) < 100


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (HELD, []),
        (replace(HELD, server_bytes=115_000_000), ["memory grew by 15.0 MB"]),
        (replace(HELD, threads=50, files=16), ["threads grew from 5 to 50", "files grew from 15 to 16"]),
        (replace(HELD, threads=6), []),
        (replace(HELD, tasks=7), ["tasks grew from 6 to 7"]),
    ],
)
def test_what_grew_is_said(after: Held, said: list[str]) -> None:
    assert problems("", Outcome(), HELD, after) == said


def test_what_hung_or_failed_is_said() -> None:
    log = "x INFO y: fine\nTraceback (most recent call last):\n2026 ERROR asyncio: Task exception was never retrieved\n"
    found = problems(log, Outcome(hung=["7: deep"]), HELD, HELD)
    assert found == ["7: deep hung", *log.splitlines()[1:]]
