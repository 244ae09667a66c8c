"""The files of the web page, in this process and without an engine."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.quiet import Client, quiet_app, serving
from wyoming_qwen3.api.access import is_open

WEB = Path(__file__).parents[2] / "wyoming_qwen3" / "web"
FILES = sorted(file.relative_to(WEB).as_posix() for file in WEB.rglob("*") if file.is_file())
SCRIPTS = [WEB / name for name in FILES if name.endswith(".js")]


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


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_without_a_key_and_under_the_policy(client: Client, name: str) -> None:
    path = {"index.html": "/", "docs.html": "/docs"}.get(name, f"/{name}")
    assert is_open("GET", path)
    assert not is_open("POST", path)
    async with client.get(path) as response:
        assert response.status == 200
        policy = response.headers["Content-Security-Policy"]
        assert await response.read() == (WEB / name).read_bytes()
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_pages_have_no_script_or_style_of_their_own_and_relative_urls_alone() -> None:
    for page in WEB.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", text)
        for link in re.findall(r'(?:href|src)="([^"]*)"', text):
            assert not link.startswith(("/", "http")), link
            assert link == "openapi.json" or (WEB / link).is_file(), link


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js")
def test_scripts_are_javascript() -> None:
    for script in SCRIPTS:
        subprocess.run(["node", "--check", script], check=True)


def test_scripts_make_no_markup_of_strings_and_ask_for_nothing_absolute() -> None:
    for script in SCRIPTS:
        text = script.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), script
        assert not re.search(r"""(get|ask|send|blob|worked|fetch)\(\s*["'`](/|http)""", text), script
