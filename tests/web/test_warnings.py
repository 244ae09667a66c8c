"""What was left out of speech is told beside it: a server has only the small model, which follows no style."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import CUSTOM_VOICE, Server, StartServer
from tests.web.conftest import AXE, PHONE, OpenStudio, Studio, violations, wide

SENTENCE = "The door is open."
LEFT_OUT = "The instructions were left out. Qwen3-TTS-12Hz-0.6B-CustomVoice does not follow instructions"

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    small = tmp_path_factory.mktemp("small")
    shutil.copytree(models_dir / CUSTOM_VOICE.name, small / CUSTOM_VOICE.name)
    options = ("--models-dir", str(small), "--model", "0.6B", "--local-files-only", "--temperature", "0")
    return start_shared_server(*options, "--standby", "off")


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    return open_studio(server.url + "/", PHONE, "dark")


def speak(panel: Any, style: str) -> None:
    """Speak a sentence to its end."""
    panel.get_by_label("Text").fill(SENTENCE)
    panel.get_by_label("Style", exact=True).fill(style)
    panel.get_by_role("button", name="Speak").click()
    expect(panel.locator("sound-player")).to_be_visible()


def test_a_style_that_is_not_followed_is_told_once_until_the_next_request(studio: Studio) -> None:
    panel = studio.open("speak")
    expect(panel.get_by_text("Only the 1.7B model follows it.")).to_be_visible()
    speak(panel, "Whisper")
    warning = panel.get_by_role("region", name="Result").get_by_role("status")
    expect(warning).to_contain_text(LEFT_OUT)
    expect(panel.get_by_text("The instructions were left out.")).to_have_count(1)
    expect(panel.get_by_role("alert")).to_have_count(0)
    with studio.page.expect_download():
        panel.get_by_role("button", name="Download").last.click()
    studio.open("models")
    studio.open("speak")
    expect(warning).to_contain_text(LEFT_OUT)
    speak(panel, "")
    expect(warning).to_have_count(0)


def test_a_conversation_tells_whose_style_is_not_followed(studio: Studio) -> None:
    panel = studio.open("conversation")
    panel.get_by_label("Script").fill("[Ann] Is the door open?\n[Bob] It is.\n[Ann] Thank you.")
    expect(panel.get_by_text("Only the 1.7B model follows a style.")).to_be_visible()
    for name in ("Ann", "Bob"):
        panel.get_by_label(f"Style of {name}").fill("tired")
    panel.get_by_role("button", name="Speak the script").click()
    result = panel.locator("section", has=studio.page.get_by_role("heading", name="The conversation"))
    expect(result.get_by_role("status").get_by_role("paragraph")).to_contain_text(
        [f"Ann: {LEFT_OUT}", f"Bob: {LEFT_OUT}"]
    )
    expect(panel.get_by_role("alert")).to_have_count(0)
    studio.open("models")
    studio.open("conversation")
    expect(result.get_by_role("status")).to_be_visible()
    for name in ("Ann", "Bob"):
        panel.get_by_label(f"Style of {name}").fill("")
    with studio.page.expect_response("**/v1/audio/conversation") as spoken:
        panel.get_by_role("button", name="Speak the script").click()
    expect(result.get_by_role("status")).to_have_count(0)
    spoken.value.finished()
    expect(panel.locator("progress")).to_have_count(0)
    expect(panel.get_by_role("status")).to_have_count(0)


def test_what_is_spoken_again_is_warned_of_again(studio: Studio) -> None:
    speak(studio.open("speak"), "Whisper")
    panel = studio.open("history")
    panel.get_by_role("button", name="Speak again with the same seed").first.click()
    told = panel.get_by_role("status").filter(has_text=LEFT_OUT)
    expect(told).to_contain_text("Spoken again; the result is the newest entry.")
    expect(panel.get_by_role("alert")).to_have_count(0)
    panel.get_by_label("Search").fill("door")
    expect(told).to_have_count(0)


@pytest.mark.skipif(not AXE.exists(), reason="There is no axe-core; script/setup --browser installs it.")
def test_everybody_can_read_it(studio: Studio) -> None:
    speak(studio.open("speak"), "Whisper")
    assert wide(studio.page) <= 0
    assert violations(studio.page) == []
