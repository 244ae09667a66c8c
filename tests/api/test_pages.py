"""The files of the web page, in this process and without an engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.quiet import Client, quiet_app, serving


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(quiet_app(tmp_path)) as client:
        yield client


async def test_a_file_is_sent_again_only_when_it_is_another(client: Client) -> None:
    async with client.get("/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert response.headers["Cache-Control"] == "no-cache"
        tag = response.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        async with client.get("/", headers={"If-None-Match": known}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == tag
    async with client.get("/", headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


async def test_nothing_beside_the_files_is_served(client: Client) -> None:
    for path in ("/index.html", "/docs.html", "/../__init__.py", "/%2e%2e/__init__.py", "/js/"):
        async with client.get(path) as response:
            assert response.status == 404
