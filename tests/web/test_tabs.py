"""Every tab's main path against a server with tiny checkpoints and the standby voice."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import soundfile
from playwright.sync_api import Route, expect

from tests.conftest import Server, StartServer, synthesize
from tests.web.conftest import (
    AXE,
    DESKTOP,
    PHONE,
    TABS,
    OpenStudio,
    Studio,
    answered,
    ask,
    settle,
    violations,
    wait,
    wait_until_kept,
    wide,
)

SENTENCE = "The front door is open, and the light in the kitchen is still on."
MARKUP = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path) -> Server:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--local-files-only", "--temperature", "0")
    return start_shared_server(*options)


@pytest.fixture(scope="module")
def clip(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence by the standby voice."""
    body = {"model": "standby", "input": SENTENCE, "response_format": "wav", "save": True}
    file = tmp_path_factory.mktemp("clips") / "kitchen.wav"
    file.write_bytes(ask(server, "/v1/audio/speech", body))
    return file


@pytest.fixture
def studio(open_studio: OpenStudio, server: Server) -> Studio:
    return open_studio(server.url + "/")


@pytest.fixture
def phone(open_studio: OpenStudio, server: Server) -> Studio:
    return open_studio(server.url + "/", PHONE, "dark")


def fact(panel: Any, name: str) -> Any:
    return panel.locator(".facts div", has=panel.page.get_by_text(name, exact=True)).locator("dd")


def test_a_text_is_heard_while_it_is_made_and_kept(studio: Studio, server: Server, tmp_path: Path) -> None:
    panel = studio.open("speak")
    panel.get_by_label("Text").fill(SENTENCE)
    panel.get_by_label("Spoken by").select_option("qwen3")  # also where it is still being loaded
    panel.get_by_role("button", name="Speak").click()
    expect(fact(panel, "Engine")).to_have_text("Qwen3-TTS-12Hz-0.6B-CustomVoice")
    expect(fact(panel, "First sound after")).to_contain_text("s")
    expect(fact(panel, "Generated at")).to_contain_text("× real time")
    expect(panel.locator("sound-player")).to_be_visible()
    (entry,) = answered(server, "/api/history?source=speech&voice=Ryan&limit=1")["items"]
    assert entry["text"] == SENTENCE
    for name in ("wav", "mp3"):
        panel.get_by_label("File format").select_option(name)
        with studio.page.expect_download() as saving:
            panel.get_by_role("button", name="Download").last.click()
        assert saving.value.suggested_filename == f"the-front-door-is-open-and-the-light-in.{name}"
        saving.value.save_as(tmp_path / name)
    assert (tmp_path / "wav").read_bytes()[:4] == b"RIFF"
    assert len((tmp_path / "wav").read_bytes()) == 44 + 2 * round(entry["duration_ms"] * 24)


def test_what_is_stopped_is_no_longer_made(studio: Studio, server: Server) -> None:
    panel = studio.open("speak")
    panel.get_by_label("Text").fill(f"{SENTENCE} " * 40)
    panel.get_by_role("button", name="Speak").click()
    expect(fact(panel, "First sound after")).to_be_visible()
    panel.get_by_role("button", name="Stop").click()
    expect(panel.get_by_role("status")).to_have_text("Stopped.")
    wait(lambda: answered(server, "/health")["active"] == 0)


def test_what_the_server_refuses_is_one_sentence_and_drafts_stay(phone: Studio) -> None:
    panel = phone.open("speak")
    panel.get_by_role("button", name="Speak").click()
    expect(panel.get_by_role("alert")).to_have_text("input is empty; send the text to speak.")
    panel.get_by_label("Text").fill("Still here.")
    panel.get_by_role("button", name="Whispering, close to the microphone").click()
    phone.page.reload()
    panel = phone.open("speak")
    expect(panel.get_by_label("Text")).to_have_value("Still here.")
    expect(panel.get_by_label("Style", exact=True)).to_have_value("Whispering, close to the microphone")


def test_effects_are_added_changed_and_heard(studio: Studio, server: Server) -> None:
    panel = studio.open("speak")
    panel.get_by_text("Effects").click()
    panel.get_by_label("Add an effect").select_option("pitch")
    panel.get_by_label("semitones").fill("-4")
    panel.get_by_label("Text").fill("Lower.")
    panel.get_by_role("button", name="Speak").click()
    expect(panel.locator("sound-player")).to_be_visible()
    entry = answered(server, "/api/history?q=Lower")["items"][0]
    assert entry["params"]["effects"] == [{"type": "pitch", "semitones": -4.0}]


def test_a_voice_is_designed_heard_and_saved(phone: Studio, server: Server) -> None:
    panel = phone.open("design")
    panel.get_by_label("Description").fill(f"A calm man. {MARKUP}")
    panel.get_by_role("button", name="Preview", exact=True).click()
    expect(panel.get_by_role("heading", name="Seed 1")).to_be_visible()
    expect(panel.locator("sound-player").first).to_be_in_viewport()
    panel.get_by_role("button", name="Three side by side").click()
    expect(panel.get_by_role("heading", name="Seed")).to_have_count(4)
    expect(panel.locator("progress")).to_have_count(0)
    first = panel.locator("section.item").first
    first.get_by_label("Name").fill("Commander")
    first.get_by_role("button", name="Save as preset").click()
    expect(panel.get_by_role("article").get_by_text("Commander")).to_be_visible()
    expect(panel.get_by_text(MARKUP)).to_have_count(4)
    speak = phone.open("speak")
    speak.get_by_label("Voice", exact=True).select_option("Commander")
    assert phone.page.evaluate("() => window.hacked") is None
    assert answered(server, "/api/voice-presets/Commander")["status"] == "ready"


def test_a_style_is_kept_as_a_voice_where_the_model_follows_it(studio: Studio) -> None:
    panel = studio.open("design")
    card = panel.locator("section", has=studio.page.get_by_role("heading", name="A style as a voice"))
    expect(card.get_by_label("Voice", exact=True).locator("option")).to_have_count(9)
    card.get_by_role("button", name="Calm, like a newsreader").click()
    card.get_by_label("Name").fill("Reader")
    card.get_by_role("button", name="Save as preset").click()
    expect(card.get_by_role("alert")).to_contain_text("does not follow instructions")


def test_a_profile_is_made_exported_and_brought_back(studio: Studio, clip: Path, tmp_path: Path) -> None:
    panel = studio.open("profiles")
    panel.locator("input[type=file]").first.set_input_files(clip)
    sample = panel.locator("voice-sample")
    sample.get_by_label("Text of the clip").fill("No.")
    expect(sample.get_by_text("write all that the clip says")).to_be_visible()
    sample.get_by_label("Text of the clip").fill(SENTENCE)
    expect(sample.locator(".findings")).not_to_contain_text("write all")
    sample.get_by_label("Start").fill("0.1")
    panel.get_by_label("Name").fill("Anna")
    panel.get_by_label("Who agreed").fill(MARKUP)
    panel.get_by_role("button", name="Save the voice").click()
    expect(panel.get_by_role("heading", name="Anna")).to_be_visible()
    expect(sample).to_have_count(0)
    with studio.page.expect_download() as saving:
        panel.get_by_role("button", name="Export").click()
    saving.value.save_as(tmp_path / "anna.zip")
    panel.get_by_role("button", name="Delete Anna").click()
    studio.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(panel.get_by_role("heading", name="Anna")).to_have_count(0)
    panel.locator("input[accept*=zip]").set_input_files(tmp_path / "anna.zip")
    expect(panel.get_by_role("heading", name="Anna")).to_be_visible()
    assert studio.page.evaluate("() => window.hacked") is None


def test_old_names_are_shown_and_forgotten(studio: Studio, server: Server) -> None:
    made = json.loads(ask(server, "/api/profiles", {"name": "Old Tom", "voice": "Ryan"}))
    for name in ("Old Timothy", "Tim"):
        ask(server, f"/api/profiles/{made['id']}", {"name": name}, "PUT")
    ask(server, "/api/profiles", {"name": "Mute"}, "POST")
    panel = studio.open("profiles")
    profile = panel.get_by_role("article").filter(has=studio.page.get_by_role("heading", name="Tim", exact=True))
    expect(profile.get_by_text("Old Tom")).to_be_visible()
    profile.get_by_role("button", name="Remove the old name Old Tom").click()
    expect(profile.get_by_text("Old Tom")).to_have_count(0)
    expect(profile.get_by_text("Old Timothy")).to_be_visible()
    assert answered(server, "/api/profiles/Tim")["former_names"] == ["Old Timothy"]
    mute = panel.get_by_role("article").filter(has=studio.page.get_by_role("heading", name="Mute"))
    expect(mute.get_by_text("has no clip yet")).to_be_visible()
    names = studio.open("speak").get_by_label("Voice", exact=True).locator("option")
    expect(names.filter(has_text="Tim")).to_have_count(1)
    expect(names.filter(has_text="Mute")).to_have_count(0)


def test_old_names_of_presets_are_shown_and_forgotten(studio: Studio, server: Server) -> None:
    made = json.loads(ask(server, "/api/voice-presets/create", {"name": "Calm", "voice": "Serena"}))
    ask(server, f"/api/voice-presets/{made['id']}", {"name": "Calmer"}, "PUT")
    panel = studio.open("design")
    preset = panel.get_by_role("article").filter(has=studio.page.get_by_role("heading", name="Calmer"))
    preset.get_by_role("button", name="Remove the old name Calm").click()
    expect(preset.locator(".former")).to_have_count(0)
    assert answered(server, "/api/voice-presets/Calmer")["former_names"] == []


async def ask_wyoming(server: Server, voice: str) -> None:
    answer = await synthesize(server.uri, SENTENCE, voice)
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop"]


def test_an_unknown_voice_is_told_above_every_tab(studio: Studio, server: Server) -> None:
    faults = studio.page.get_by_role("list", name="Problems")
    studio.page.clock.install()
    studio.open("history")
    expect(faults).to_have_count(0)
    with ThreadPoolExecutor(1) as thread:  # Playwright has a loop of its own in this one
        thread.submit(asyncio.run, ask_wyoming(server, MARKUP)).result()
    studio.page.clock.fast_forward("00:05")
    expect(faults.get_by_role("listitem")).to_have_text(re.compile("^There is no voice .*; Ryan speaks instead, in"))
    assert studio.page.evaluate("() => window.hacked") is None
    studio.open("speak")
    expect(faults).to_be_visible()


def test_files_that_browsers_do_not_play_are_taken_by_every_tab(studio: Studio, clip: Path, tmp_path: Path) -> None:
    """AIFF, and ALAC in a CAF, as Macs and phones record."""
    samples, rate = soundfile.read(clip)
    aiff, caf = tmp_path / "kitchen.aiff", tmp_path / "kitchen.caf"
    soundfile.write(aiff, samples, rate, format="AIFF", subtype="PCM_16")
    soundfile.write(caf, samples, rate, format="CAF", subtype="ALAC_16")
    panel = studio.open("profiles")
    waiting: list[Route] = []

    def hold(conversion: Route) -> None:
        waiting.append(conversion)

    studio.page.route("**/api/clips", hold)
    panel.locator("input[type=file]").first.set_input_files([aiff, caf])
    expect(panel.locator("voice-sample")).to_have_count(2)
    for number in range(2):
        panel.locator("voice-sample").nth(number).get_by_label("Text of the clip").fill(SENTENCE)
    panel.get_by_role("textbox", name="Name", exact=True).fill("Berta")
    panel.get_by_role("button", name="Save the voice").click()
    expect(panel.get_by_role("progressbar", name="Saving")).to_be_visible()
    assert len(waiting) == 2  # nothing is saved before both are converted
    for conversion in waiting:
        conversion.continue_()
    studio.page.unroute("**/api/clips")
    expect(panel.get_by_role("heading", name="Berta")).to_be_visible()
    panel = studio.open("tokenizer")
    panel.locator("input[type=file]").set_input_files(aiff)
    expect(panel.get_by_role("img", name="16 ×")).to_be_visible()
    expect(panel.locator("sound-player").first.locator(".problem")).to_be_hidden()
    expect(panel.locator(".problem:visible")).to_have_count(0)
    panel = studio.open("compose")
    panel.locator("input[type=file]").set_input_files(caf)
    expect(panel.locator(".block:not(.lost) canvas")).to_have_count(1)
    for accepted in (studio.open(name).locator("input[accept*=audio]").first for name in ("profiles", "compose")):
        assert ".caf" in (accepted.get_attribute("accept") or "")


def test_a_recording_is_still_there_after_a_reload(phone: Studio) -> None:
    panel = phone.open("profiles")
    panel.get_by_role("button", name="Record").click()
    expect(panel.locator("[role=timer]", has_text=re.compile(r"^[1-9](\.\d)?s"))).to_be_visible()
    panel.get_by_role("button", name="Stop recording").click()
    expect(panel.locator(".findings li").first).to_be_visible()
    panel.get_by_label("Text of the clip").fill("Beep.")
    wait_until_kept(phone.page, "Beep.")
    phone.page.reload()
    panel = phone.open("profiles")
    expect(panel.get_by_label("Text of the clip")).to_have_value("Beep.")
    assert float(panel.get_by_label("End").get_attribute("max")) >= 1
    panel.locator("voice-sample").get_by_role("button", name="Remove this clip").click()


def test_a_conversation_is_cast_and_spoken(phone: Studio) -> None:
    panel = phone.open("conversation")
    panel.get_by_label("Script").fill(
        "[Ann] Is the door open?\n[<b>Bob</b>] It is. [pause:100ms] I close it.\n[Ann] Thank you."
    )
    expect(panel.get_by_label("Ann", exact=True)).to_have_value("Ryan")
    panel.get_by_label("<b>Bob</b>", exact=True).select_option("Serena")
    panel.get_by_role("button", name="Speak the script").click()
    turns = panel.get_by_role("listitem")
    expect(turns).to_have_count(3)
    expect(turns.nth(1)).to_contain_text("<b>Bob</b>")
    expect(turns.nth(0)).to_contain_text("0:00.0 – ")
    expect(panel.locator("sound-player")).to_be_visible()


def test_sounds_are_composed(studio: Studio, clip: Path) -> None:
    panel = studio.open("compose")
    panel.locator("input[type=file]").set_input_files(clip)
    expect(panel.get_by_role("heading", name="kitchen.wav")).to_be_visible()
    panel.get_by_label("Add a sound").select_option(index=1)
    lanes = panel.locator(".lane")
    expect(lanes).to_have_count(2)
    lanes.nth(1).get_by_label("Offset in seconds").fill("1")
    expect(lanes.nth(1)).to_contain_text("0:01.0 – ")
    panel.get_by_role("button", name="Render").click()
    expect(panel.get_by_text("It is ")).to_be_visible()
    panel.get_by_label("Arrangement").select_option("sequence")
    expect(panel.get_by_label("Crossfade")).to_be_visible()
    panel.get_by_role("button", name="Render").click()
    expect(panel.locator("sound-player")).to_be_visible()


def test_the_history_is_searched_marked_spoken_again_and_deleted(studio: Studio, server: Server) -> None:
    ask(server, "/v1/audio/speech", {"model": "standby", "input": f"Quokka. {MARKUP}", "save": True})
    panel = studio.open("history")
    panel.get_by_label("Search").fill("quokka")
    entries = panel.get_by_role("article")
    expect(entries).to_have_count(1)
    expect(entries).to_contain_text("<script>")
    entries.get_by_role("button", name="Favorite").click()
    expect(entries.get_by_role("button", name="Favorite")).to_have_attribute("aria-pressed", "true")
    entries.get_by_role("button", name="Play").click()
    expect(entries.get_by_role("button", name="Pause")).to_be_visible()
    entries.get_by_role("button", name="Speak again with the same seed").click()
    expect(entries).to_have_count(2)
    with studio.page.expect_download() as saving:
        entries.first.get_by_role("button", name="Download").click()
    assert saving.value.suggested_filename.startswith("quokka")
    entries.first.get_by_role("button", name="Delete").click()
    expect(entries).to_have_count(1)
    panel.get_by_text("Filters and order").click()
    panel.get_by_label("Favorites only", exact=True).check()
    expect(entries).to_have_count(1)
    panel.get_by_label("Voice").select_option("Serena")
    expect(entries).to_have_count(0)
    panel.get_by_role("button", name="Remove the filter Voice: Serena").click()
    expect(entries).to_have_count(1)
    assert studio.page.evaluate("() => window.hacked") is None


def test_a_model_is_loaded_and_unloaded(phone: Studio) -> None:
    panel = phone.open("models")
    large = panel.get_by_role("article").filter(has_text="Named speakers 1.7B")
    large.get_by_role("button", name="Load").click()
    expect(large.get_by_text("Ready")).to_be_visible()
    large.get_by_role("button", name="Unload").click()
    expect(large.get_by_text("On disk", exact=True)).to_be_visible()
    expect(panel.get_by_role("row")).to_have_count(5)
    expect(panel.get_by_role("row", name="1.7B NVIDIA GPU")).to_be_visible()


def test_how_fast_the_machine_speaks_is_told_with_what_to_do(studio: Studio) -> None:
    """As on a slow machine, whose speed is put into the server's answers."""

    def slow(route: Route) -> None:
        response = route.fetch()
        told = response.json()
        for model in told["models"]:
            model |= {"weights": "int4", "speed": 0.76 if model["size"] == "0.6B" else None}
        route.fulfill(response=response, json=told)

    for answer in ("**/api/models", "**/health"):
        studio.page.route(answer, slow)
    for tab in ("models", "home"):
        panel = studio.open(tab)
        expect(panel.get_by_text("This machine speaks 0.6B in int4 at 0.76 times real time.")).to_be_visible()
        expect(panel.get_by_text("docs/scaling.md")).to_be_visible()


def test_a_sound_becomes_tokens_and_comes_back(studio: Studio, clip: Path) -> None:
    panel = studio.open("tokenizer")
    panel.locator("input[type=file]").set_input_files(clip)
    expect(panel.get_by_role("img", name="16 ×")).to_be_visible()
    panel.get_by_role("img").hover()
    expect(panel.get_by_text("codebook")).to_be_visible()
    panel.get_by_role("region", name="Tokens").focus()
    for key in ("ArrowUp",) * 16 + ("ArrowLeft",) * 100 + ("ArrowDown", "ArrowRight"):
        studio.page.keyboard.press(key)
    expect(panel.get_by_text("At 0:00.1, codebook 2: ")).to_be_visible()
    panel.get_by_role("button", name="Decode them").click()
    expect(panel.locator("sound-player")).to_have_count(2)
    expect(panel.locator("sound-player").nth(1)).to_be_visible()


def test_the_api_is_described(phone: Studio) -> None:
    panel = phone.open("api")
    expect(panel.get_by_text("/v1/audio/speech", exact=True)).to_have_count(2)
    expect(panel.get_by_text("/v1/audio/conversation", exact=True)).to_be_visible()


def test_tabs_are_reached_by_keys(studio: Studio) -> None:
    studio.open("speak")
    studio.page.get_by_role("tab", name="Speak").focus()
    studio.page.keyboard.press("ArrowDown")
    expect(studio.page.get_by_role("tab", name="Design a voice")).to_be_focused()
    expect(studio.page.locator("#panel-design")).to_be_visible()
    studio.page.keyboard.press("End")
    expect(studio.page.get_by_role("tab", name="API")).to_have_attribute("aria-selected", "true")


@pytest.mark.skipif(not AXE.exists(), reason="There is no axe-core; script/setup --browser installs it.")
@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_everybody_can_use_it(
    open_studio: OpenStudio, server: Server, clip: Path, size: tuple[int, int], scheme: str
) -> None:
    """No serious violation on any tab, and nothing beyond the screen's edge, with something on each of them."""
    studio = open_studio(server.url + "/", size, scheme)
    studio.open("conversation").get_by_label("Script").fill("[Ann] Is the door open?\n[Bob] It is.")
    studio.open("compose").locator("input[type=file]").set_input_files(clip)
    studio.open("tokenizer").locator("input[type=file]").set_input_files(clip)
    studio.open("profiles").locator("input[type=file]").first.set_input_files(clip)
    expect(studio.page.locator("voice-sample .findings li").first).to_be_visible()
    for tab in TABS:
        settle(studio.page, tab)
        assert wide(studio.page) <= 0, tab
        assert violations(studio.page) == [], tab
