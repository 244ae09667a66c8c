"""The first minute of a new server: the home shows what speaks, what is downloaded, and how to connect."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.conftest import CUSTOM_VOICE, Server, StartServer
from tests.hub import Hub
from tests.ports import free_port
from tests.web.conftest import AXE, PHONE, OpenStudio, violations, wide
from tests.web.ingress import home_assistant

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture
def hub(tmp_path: Path, models_dir: Path) -> Iterator[Hub]:
    """A slow one, whose weights do not arrive until they are let go."""
    root = tmp_path / "hub"
    shutil.copytree(models_dir / CUSTOM_VOICE.name, root / "Qwen" / CUSTOM_VOICE.name)
    with Hub(root) as hub:
        hub.faults.bytes_per_second = 200_000
        hub.faults.held = {"model.safetensors"}
        yield hub


def test_the_standby_voice_speaks_until_qwen3_is_downloaded(
    open_studio: OpenStudio, start_server: StartServer, hub: Hub
) -> None:
    server = start_server("--model", "0.6B", "--temperature", "0", HF_ENDPOINT=hub.url)
    studio = open_studio(f"{server.url}/", PHONE, "dark")
    studio.page.goto(studio.root)
    panel = studio.page.locator("#panel-home")
    main = panel.get_by_role("article").filter(has_text="Named speakers 0.6B")
    expect(main.get_by_text("Downloading", exact=True)).to_be_visible()
    expect(main.get_by_role("progressbar")).to_be_visible()
    expect(main).to_contain_text(re.compile(r"From 127\.0\.0\.1:\d+ · [\d.]+ [kM]B of [\d.]+ MB"))
    expect(panel.get_by_role("article").filter(has_text="Standby voice").get_by_text("Ready")).to_be_visible()
    panel.get_by_role("button", name="Hear it").click()
    expect(panel.get_by_text("Spoken by Standby voice, complete after")).to_be_visible()
    expect(panel.locator("sound-player")).to_be_visible()
    expect(panel.get_by_text("The standby voice spoke, because Qwen3-TTS-12Hz-0.6B-CustomVoice is")).to_be_visible()
    expect(panel.get_by_text(f":{server.port}")).to_be_visible()
    assert wide(studio.page) <= 0
    if AXE.exists():
        assert violations(studio.page) == []
    hub.faults.held = set()
    hub.faults.bytes_per_second = None
    expect(main.get_by_text("Ready", exact=True)).to_be_visible()
    panel.get_by_role("button", name="Hear it").click()
    expect(panel.get_by_text("Spoken by Qwen3-TTS-12Hz-0.6B-CustomVoice, complete after")).to_be_visible()
    expect(panel.locator(".facts")).to_contain_text(re.compile(r"0\.6B-CustomVoice: [\d,.]+ × real time"))


def test_an_app_is_connected_by_its_own_name(open_studio: OpenStudio, start_server: StartServer) -> None:
    """Framed by Home Assistant, which reaches the app by the name of its container and not by that of the page."""
    port = free_port()
    server = start_server("--standby", "only", "--ingress-port", str(port), "--ingress-address", "127.0.0.1")
    with home_assistant(free_port(), f"http://127.0.0.1:{port}") as url:
        studio = open_studio(url)
        studio.page.goto(f"{url}health")
        studio.page.evaluate(
            """() => {
              const frame = document.createElement("iframe");
              frame.src = "./";
              frame.style = "width: 100%; height: 600px";
              document.body.replaceChildren(frame);
            }"""
        )
        home = studio.page.frame_locator("iframe").locator("#panel-home")
        expect(home.get_by_text("Home Assistant has discovered this app")).to_be_visible()
        expect(home.locator("code")).to_have_text(re.compile(rf"^[^.]+.*:{server.port}$"))
        expect(home.locator("code")).not_to_contain_text("127.0.0.1")


@pytest.fixture(scope="module")
def standby(start_shared_server: StartServer) -> Server:
    return start_shared_server("--standby", "only")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (413, "does not accept files of this size"),
        (400, "perhaps because the text looks like code"),
        (401, "log in again"),
        (502, "can't be reached"),
        (418, "status 418"),
    ],
)
def test_what_is_refused_on_the_way_is_told_in_a_sentence(
    open_studio: OpenStudio, standby: Server, status: int, said: str
) -> None:
    """Home Assistant and proxies answer with texts and pages of their own."""
    studio = open_studio(f"{standby.url}/")
    panel = studio.open("history")

    def refuse(route: Route) -> None:
        route.fulfill(status=status, body=f"<html>{status}</html>", content_type="text/html")

    studio.page.route("**/api/history?*", refuse)
    panel.get_by_label("Search").fill("<script")
    expect(panel.get_by_role("alert")).to_contain_text(said)
    if status == 401:
        expect(studio.page.get_by_role("dialog")).to_have_count(0)
