"""Long work on the page: its progress and the time left, stopped, and found again after a reload."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Route, expect

from tests.audio.sounds import quiet, speech
from tests.conftest import Server, StartServer
from tests.web.conftest import PHONE, OpenStudio, Studio, answered, wait

LINES = ["[Ann] The door is open.", "[Bob] Thank you."]

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--local-files-only", "--temperature", "0")
    return start_shared_server(*options)


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    return open_studio(f"{server.url}/", PHONE, "dark")


def test_a_conversation_goes_on_while_the_page_is_reloaded(studio: Studio) -> None:
    panel = studio.open("conversation")
    panel.get_by_label("Script").fill("\n".join(LINES * 100))
    panel.get_by_role("button", name="Speak the script").click()
    expect(panel.get_by_text(re.compile(r"^\d+ of 200 turns are generated · about [\d,]+ \w+ left"))).to_be_visible()
    studio.page.reload()
    panel = studio.open("conversation")
    expect(panel.get_by_text(re.compile(r"of 200 turns are generated"))).to_be_visible()
    expect(panel.get_by_role("listitem")).to_have_count(200)
    expect(panel.locator("sound-player")).to_be_visible()
    studio.page.reload()
    panel = studio.open("conversation")
    expect(panel.get_by_label("Script")).to_be_visible()
    expect(panel.locator("progress")).to_have_count(0)


def test_a_conversation_is_stopped_after_a_reload(studio: Studio, server: Server) -> None:
    panel = studio.open("conversation")
    panel.get_by_label("Script").fill("\n".join(LINES * 100))
    panel.get_by_role("button", name="Speak the script").click()
    expect(panel.get_by_text("of 200 turns are generated")).to_be_visible()
    studio.page.reload()
    panel = studio.open("conversation")
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_text("Stopped.")).to_be_visible()
    wait(lambda: answered(server, "/health")["active"] == 0)
    assert answered(server, "/health")["queue"] == 0


def test_three_seeds_are_made_although_the_page_is_reloaded(studio: Studio) -> None:
    panel = studio.open("design")
    panel.get_by_label("Description").fill("A calm man.")
    panel.get_by_label("Sample text").fill("The front door is open, and the light in the kitchen is still on. " * 3)
    panel.get_by_role("button", name="Three side by side").click()
    expect(panel.get_by_role("progressbar")).to_be_visible()
    studio.page.reload()
    panel = studio.open("design")
    expect(panel.get_by_role("heading", name=re.compile(r"^Seed \d+$"))).to_have_count(3)
    expect(panel.locator("progress")).to_have_count(0)


@pytest.fixture
def archive(studio: Studio, server: Server, tmp_path: Path) -> Path:
    """A voice that was exported and is not kept any more."""
    made, ask = {"name": "Slow Ryan", "voice": "Ryan", "speed": 0.5}, studio.page.request
    assert ask.post(f"{server.url}/api/voice-presets/create", data=made).status == 201
    (tmp_path / "ryan.zip").write_bytes(ask.get(f"{server.url}/api/profiles/Slow Ryan/export").body())
    assert ask.delete(f"{server.url}/api/voice-presets/slow%20ryan").status == 200
    return tmp_path / "ryan.zip"


def test_an_import_is_stopped_while_it_is_sent(studio: Studio, server: Server, archive: Path) -> None:
    sent: list[str] = []
    studio.page.route("**/api/profiles/import*", lambda route: sent.append(route.request.method))  # and never answered
    panel = studio.open("profiles")
    panel.locator("input[accept*=zip]").set_input_files(archive)
    expect(panel.get_by_role("progressbar")).to_be_visible()
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_text("Stopped.")).to_be_visible()
    assert sent == ["POST"]
    assert answered(server, "/api/voice-presets")["presets"] == []


def test_an_import_is_found_again_after_a_reload(studio: Studio, server: Server, archive: Path) -> None:
    """The page is reloaded before it hears of the end."""
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    studio.page.route("**/api/tasks/*", hold_first)
    panel = studio.open("profiles")
    panel.locator("input[accept*=zip]").set_input_files(archive)
    expect(panel.get_by_role("button", name="Stop")).to_be_visible()
    studio.page.wait_for_function("() => localStorage.getItem('wyoming-qwen3.task.import')")
    studio.page.reload()
    panel = studio.open("profiles")
    expect(panel.get_by_text("Slow Ryan is imported.")).to_be_visible()
    assert answered(server, "/api/voice-presets/slow%20ryan")["speed"] == 0.5
    studio.page.request.delete(f"{server.url}/api/voice-presets/slow%20ryan")


def test_a_load_is_stopped_and_known_after_a_reload(studio: Studio) -> None:
    """What is being loaded tells how far it is, by the server and not by the page that asked for it."""
    share = {"done": 450_000_000, "total": 900_000_000, "seconds_left": 40.0}

    def loading(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        told["models"][0] |= {"state": "loading", "progress": share}
        route.fulfill(response=answer, json=told)

    studio.page.route("**/api/models", loading)
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(request.url))
    for _ in range(2):
        panel = studio.open("models")
        expect(panel.get_by_text(re.compile(r"450 MB of 900 MB · about 40 \w+ left"))).to_be_visible()
        studio.page.reload()
    panel = studio.open("models")
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.get_by_text("is not being loaded")).to_be_visible()
    assert [url for url in asked if url.endswith("/api/models/load/cancel")]


def test_a_clip_of_a_minute_is_cut_to_its_best_part_and_used_by_its_timbre(
    studio: Studio, server: Server, tmp_path: Path
) -> None:
    """What is selected is what the server finds best; without a text it says so, and what is kept is that part."""
    good = [part for _ in range(5) for part in (speech(2.5), quiet(0.5))]
    poor = [part for _ in range(9) for part in (speech(1.0, -40), quiet(4.0))]
    soundfile.write(tmp_path / "minute.wav", np.concatenate([*poor, *good]), 24_000)
    panel = studio.open("profiles")
    panel.locator("input[type=file]").first.set_input_files(tmp_path / "minute.wav")
    sample = panel.locator("voice-sample")
    expect(sample.get_by_text("The clip is 1:00.0 long. Its best part is selected, 0:4")).to_be_visible()
    assert float(sample.get_by_label("Start").input_value()) == pytest.approx(45.0, abs=0.3)
    assert float(sample.get_by_label("End").input_value()) == pytest.approx(59.6, abs=0.3)
    expect(sample.get_by_text("only the timbre of the clip is cloned")).to_be_visible()
    expect(sample.locator(".error")).to_have_count(0)
    panel.get_by_role("textbox", name="Name", exact=True).fill("Minute")
    panel.get_by_role("button", name="Save the voice").click()
    expect(panel.get_by_text("A clip without a text is used by its timbre alone.")).to_be_visible()
    (kept,) = answered(server, "/api/profiles/Minute")["samples"]
    assert kept["text"] is None
    assert kept["duration_ms"] == pytest.approx(14_600, abs=500)
