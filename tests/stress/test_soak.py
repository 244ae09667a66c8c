"""The soak's short form, and what it would say if something were wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.stress.clients import CLIENTS, Tally
from tests.stress.held import HELD, OPTIONS
from tests.stress.soak import Result, soak

FINE = Result({client.__name__: Tally([0.01] * 200) for client in CLIENTS}, HELD, HELD, "INFO fine\n")


async def test_mixed_clients_leave_it_as_it_was(start_server: StartServer, models_dir: Path) -> None:
    """Every honest request is answered, and nothing grows. How fast is for script/soak alone to say."""
    server = start_server("--models-dir", str(models_dir), *OPTIONS, "--text-timeout", "4")
    result = await soak(server, 8.0, 15.0)
    assert result.problems(describe_seconds=5.0) == [], result.table()


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (FINE, []),
        (replace(FINE, log="2026 ERROR asyncio: Unclosed connection"), ["2026 ERROR asyncio: Unclosed connection"]),
        (replace(FINE, after=replace(HELD, server_bytes=126_000_000)), ["server_bytes grew from 100.0 to 126.0 MB"]),
        (replace(FINE, after=replace(HELD, engine_files=21)), ["engine_files grew from 20 to 21"]),
        (replace(FINE, tallies=FINE.tallies | {"slow": Tally([1], ["no"])}), ["slow: no"]),
        (replace(FINE, tallies=FINE.tallies | {"batch": Tally()}), ["batch was never answered"]),
        (
            replace(FINE, tallies=FINE.tallies | {"describe": Tally([0.01] * 98 + [0.3] * 2)}),
            ["1 % of all Describes took longer than 300 ms"],
        ),
    ],
)
def test_what_is_wrong_is_said(result: Result, said: list[str]) -> None:
    assert result.problems() == said
    assert "| describe | " in result.table()
