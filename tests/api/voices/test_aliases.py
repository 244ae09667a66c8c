"""Further names for voices, as a person sets them."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.quiet import serving
from tests.api.voices.house import House, ask
from wyoming_qwen3.api.app import make_app

ALIASES = "/api/voices/aliases"


async def test_aliases_are_kept_and_resolved(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.keep("Anna", clips=1)
    async with house.serving() as client:
        assert await ask(client, "GET", ALIASES) == (200, {"aliases": {}, "configured": {}})
        status, told = await ask(client, "PUT", ALIASES, json={"aliases": {"nova": "Anna", "onyx": "Ryan"}})
        assert (status, told["aliases"]) == (200, {"nova": "Anna", "onyx": "Ryan"})
        assert house.config.resolver.choose("nova", None).name == "Anna"
        assert (await ask(client, "PUT", ALIASES, json={"aliases": {}}))[0] == 200
        assert house.config.resolver.choose("nova", None).label == "Vivian"


@pytest.mark.parametrize(
    ("aliases", "code"),
    [
        ({"nova": "nobody"}, "voice_not_found"),
        ({"nova": ""}, "invalid_request"),
        ({" ": "Ryan"}, "invalid_request"),
        ({"nova": "alto", "alto": "Ryan"}, "invalid_request"),
        ({"x" * 101: "Ryan"}, "invalid_request"),
        ({f"n{number}": "Ryan" for number in range(101)}, "invalid_request"),
        (["nova"], "invalid_request"),
        ({"anna": "Ryan"}, "invalid_request"),
    ],
)
async def test_aliases_that_lead_nowhere_change_nothing(tmp_path: Path, aliases: Any, code: str) -> None:
    house = House(tmp_path)
    await house.keep("Anna")
    await house.voices.set_aliases({"onyx": "Ryan"})
    async with house.serving() as client:
        status, told = await ask(client, "PUT", ALIASES, json={"aliases": aliases})
        assert (status, told["error"]["code"]) == (400, code)
        assert (await ask(client, "GET", ALIASES))[1]["aliases"] == {"onyx": "Ryan"}


async def test_an_alias_of_a_voice_that_is_gone_does_not_keep_others_from_being_changed(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.voices.set_aliases({"nova": "Gone", "onyx": "Gone too"})
    async with serving(make_app(house.services, house.config)) as client:
        status, told = await ask(client, "PUT", ALIASES, json={"aliases": {"nova": "Gone", "alloy": "Ryan"}})
        assert (status, told["aliases"]) == (200, {"nova": "Gone", "alloy": "Ryan"})
