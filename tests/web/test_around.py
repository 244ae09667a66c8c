"""The page in its surroundings: behind ingress, with a key, without models, and when the connection is lost."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import CUSTOM_VOICE, Server, StartServer
from tests.hub import Hub
from tests.ports import free_port
from tests.web.conftest import PHONE, OpenStudio, Studio
from tests.web.ingress import home_assistant
from wyoming_qwen3.speech.tts_cache import STALE

SENTENCE = "The door is open."
STANDS_IN = "The standby voice spoke, because Qwen3-TTS-12Hz-0.6B-CustomVoice is "
KEY = "s3cret"

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Hub]:
    """One with the small CustomVoice, which never arrives whole."""
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(models_dir / CUSTOM_VOICE.name, root / "Qwen" / CUSTOM_VOICE.name)
    with Hub(root) as hub:
        hub.faults.bytes_per_second = 100_000
        hub.faults.held = {"model.safetensors"}
        yield hub


@pytest.fixture(scope="module")
def ingress_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, hub: Hub, ingress_port: int) -> Server:
    """One without any model and with a key, which can also be asked by way of ingress."""
    options = ("--model", "0.6B", "--preload", "none", "--api-key", KEY, "--ingress-port", str(ingress_port))
    return start_shared_server(*options, "--ingress-address", "127.0.0.1", HF_ENDPOINT=hub.url)


@pytest.fixture(scope="module")
def framed(server: Server, ingress_port: int) -> Iterator[str]:
    """The page's URL behind Home Assistant."""
    with home_assistant(free_port(), f"http://127.0.0.1:{ingress_port}") as url:
        yield url


@pytest.fixture
def studio(open_studio: OpenStudio, framed: str) -> Studio:
    return open_studio(framed)


def test_behind_ingress_the_standby_voice_speaks_and_says_why(studio: Studio) -> None:
    """Without a key, below a path, with the reason that Qwen3 does not speak."""
    panel = studio.open("speak")
    panel.get_by_label("Text").fill(SENTENCE)
    panel.get_by_role("button", name="Speak").click()
    expect(panel.get_by_role("status")).to_contain_text(STANDS_IN)
    expect(panel.locator(".facts")).to_contain_text("Standby voice")
    expect(panel.locator("sound-player")).to_be_visible()
    history = studio.open("history")
    history.get_by_role("button", name="Play").first.click()
    expect(history.get_by_role("button", name="Pause")).to_be_visible()
    history.get_by_role("button", name="Favorite").click()
    expect(history.get_by_role("button", name="Favorite")).to_have_attribute("aria-pressed", "true")
    history.get_by_role("button", name="Clean up").click()
    expect(history.get_by_text("0 entries beyond the limits")).to_be_visible()
    history.get_by_role("button", name="Delete", exact=True).click()
    expect(history.get_by_role("article")).to_have_count(0)
    expect(studio.open("api").get_by_text("/v1/realtime")).to_have_count(0)
    expect(studio.open("api").get_by_text("/api/history/stats")).to_be_visible()


def test_only_qwen3_speaks_where_that_is_chosen(studio: Studio) -> None:
    panel = studio.open("speak")
    panel.get_by_label("Text").fill(SENTENCE)
    panel.get_by_label("Spoken by").select_option("qwen3")
    panel.get_by_role("button", name="Speak").click()
    expect(panel.get_by_role("alert")).to_contain_text("Qwen3-TTS-12Hz-0.6B-CustomVoice is ")


def test_a_style_does_not_keep_the_standby_voice_from_speaking(studio: Studio) -> None:
    panel = studio.open("speak")
    panel.get_by_label("Text").fill(SENTENCE)
    panel.get_by_label("Style", exact=True).fill("Cheerful")
    panel.get_by_role("button", name="Speak").click()
    expect(panel.get_by_role("status")).to_contain_text(re.compile(f"{STANDS_IN}.* The instructions were left out. "))
    expect(panel.locator("sound-player")).to_be_visible()


def test_a_warning_about_a_sample_is_beside_the_voice_until_another_is_chosen(studio: Studio) -> None:
    panel = studio.open("speak")
    panel.get_by_role("button", name="Listen").click()
    expect(panel.get_by_role("status")).to_contain_text(STANDS_IN)
    expect(panel.get_by_role("alert")).to_have_count(0)
    panel.get_by_label("Voice", exact=True).select_option("Serena")
    expect(panel.get_by_role("status")).to_have_count(0)


def test_aliases_are_kept_behind_ingress(studio: Studio) -> None:
    panel = studio.open("profiles")
    panel.get_by_label("Alias", exact=True).fill("nova")
    panel.get_by_label("Voice", exact=True).select_option("Serena")
    panel.get_by_role("button", name="Add", exact=True).click()
    expect(panel.get_by_role("row", name="nova Serena")).to_be_visible()
    panel.get_by_role("button", name="Remove the alias nova").click()
    expect(panel.get_by_role("status")).to_have_text("The alias nova is removed.")
    expect(panel.get_by_role("row", name="nova")).to_have_count(0)


def test_what_the_standby_voice_left_in_home_assistants_cache_is_told_until_it_is_dismissed(
    open_studio: OpenStudio, start_server: StartServer, models_dir: Path, tmp_path: Path
) -> None:
    """On every tab, and after the page was opened again. The standby voice spoke before the server was restarted."""
    (tmp_path / "kept/store").mkdir(parents=True)
    (tmp_path / "kept/store/tts-cache").write_bytes(STALE)
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--preload", "none", "--local-files-only")
    server = start_server(*options, "--data-dir", str(tmp_path / "kept"))
    studio = open_studio(f"{server.url}/")
    studio.open("models")
    note = studio.page.locator(".notes")
    expect(note.get_by_role("status")).to_have_count(0)
    body = {"model": CUSTOM_VOICE.name}
    assert httpx.post(f"{server.url}/api/models/load", json=body, timeout=60).status_code == 200
    expect(note).to_contain_text("call its action tts.clear_cache")
    studio.page.reload()
    studio.open("speak")
    expect(note.get_by_role("status")).to_have_count(1)
    note.get_by_role("button", name="Dismiss").click()
    expect(note.get_by_role("status")).to_have_count(0)
    studio.page.reload()
    expect(studio.page.locator(".health.good")).to_be_visible()
    expect(note.get_by_role("status")).to_have_count(0)


def test_a_download_is_watched_stopped_and_taken_up_again(studio: Studio) -> None:
    """It began when somebody wanted to speak with it."""
    speak = studio.open("speak")
    speak.get_by_label("Text").fill("Hello.")
    speak.get_by_role("button", name="Speak").click()
    panel = studio.open("models")
    small = panel.get_by_role("article").filter(has_text="Named speakers 0.6B")
    expect(small).to_contain_text(re.compile(r"of [\d.]+ MB"))
    small.get_by_role("button", name="Cancel").click()
    expect(small.get_by_text("Not downloaded")).to_be_visible()
    small.get_by_role("button", name="Download").click()
    expect(small.get_by_role("progressbar")).to_be_visible()
    small.get_by_role("button", name="Cancel").click()
    expect(small.get_by_text("Not downloaded")).to_be_visible()


def test_sockets_open_behind_ingress_too(studio: Studio) -> None:
    studio.open("speak")
    first = studio.page.evaluate(
        """() => new Promise((resolve, reject) => {
          const socket = new WebSocket(new URL("v1/realtime", document.baseURI).href.replace("http", "ws"));
          socket.onmessage = (event) => { resolve(JSON.parse(event.data).type); socket.close(); };
          socket.onerror = reject;
        })"""
    )
    assert first == "session.created"


def test_the_page_asks_for_the_key_until_it_is_right_and_keeps_it(open_studio: OpenStudio, server: Server) -> None:
    studio = open_studio(server.url + "/", PHONE, "dark")
    studio.open("history")
    dialog = studio.page.get_by_role("dialog", name="API key")
    dialog.get_by_label("Key").fill("wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_contain_text("does not accept this key")
    dialog.get_by_label("Key").fill(KEY)
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_have_count(0)
    expect(studio.page.get_by_label("Search")).to_be_visible()
    studio.page.reload()
    expect(studio.page.get_by_role("status").get_by_text("in total")).to_be_visible()
    expect(dialog).to_have_count(0)


@pytest.mark.parametrize("framed", [False, True], ids=["asked itself", "behind ingress"])
def test_a_server_that_is_gone_in_the_middle_is_told(
    open_studio: OpenStudio, start_server: StartServer, framed: bool
) -> None:
    """Also where Home Assistant ends the answer as if it were complete."""
    port = free_port()
    server = start_server("--standby", "only", "--ingress-port", str(port), "--ingress-address", "127.0.0.1")
    with home_assistant(free_port(), f"http://127.0.0.1:{port}") as url:
        panel = open_studio(url if framed else server.url + "/").open("speak")
        panel.get_by_label("Text").fill(f"{SENTENCE} " * 200)
        panel.get_by_role("button", name="Speak").click()
        expect(panel.get_by_text("First sound after")).to_be_visible()
        server.process.kill()
        expect(panel.get_by_role("alert")).to_contain_text("so this is incomplete. Try again.")
        expect(panel.get_by_role("button", name="Download")).to_be_hidden()
        panel.get_by_role("button", name="Speak").click()
        expect(panel.get_by_role("alert")).to_contain_text("can't be reached")


PIECES = """async (pieces) => {
  const { PcmPlayer, PcmReader, RATE } = await import("./js/sound.js");
  const samples = Int16Array.from({ length: 60 * RATE }, (_, at) => Math.round(12000 * Math.sin(at / 7) + (at % 401)));
  const bytes = new Uint8Array(samples.buffer);
  const context = new OfflineAudioContext(1, samples.length + RATE, RATE);
  const [player, reader] = [new PcmPlayer(context), new PcmReader()];
  for (let at = 0, piece = 0; at < bytes.length; piece += 1) {
    const size = pieces[piece % pieces.length];
    player.push(reader.read(bytes.subarray(at, at + size)));
    at += size;
  }
  const delay = Math.round(player.delay * RATE);
  const heard = (await context.startRendering()).getChannelData(0);
  let wrong = 0;
  samples.forEach((sample, at) => { wrong += Math.abs(heard[delay + at] - sample / 32768) > 1e-6; });
  const around = [heard.subarray(0, delay), heard.subarray(delay + samples.length)];
  return { wrong, silent: around.every((part) => part.every((sample) => sample === 0)), delay };
}"""


def test_a_minute_of_speech_is_played_without_a_gap_or_a_click(studio: Studio) -> None:
    """Sample for sample, in pieces of any size, and the first one 40 ms after it came."""
    studio.open("speak")
    heard = studio.page.evaluate(PIECES, [1, 3, 1920, 4801, 7, 30000, 333])
    assert heard == {"wrong": 0, "silent": True, "delay": 960}


LIVE = """async () => {
  const { PcmPlayer, RATE, speaker, joined } = await import("./js/sound.js");
  const context = await speaker();
  await context.audioWorklet.addModule("js/recorder-worklet.js");
  const tap = new AudioWorkletNode(context, "recorder");
  const parts = [];
  tap.port.onmessage = ({ data }) => parts.push(data);
  tap.connect(context.destination);
  const player = new PcmPlayer(context, tap);
  const samples = Float32Array.from({ length: 3 * RATE }, (_, at) => ((at * 7919) % 30000) / 32768 + 1 / 32768);
  const started = context.currentTime;
  let delay = null;
  for (let at = 0; at < samples.length; at += 4800) {
    player.push(samples.subarray(at, at + 4800));
    delay ??= player.delay;
    if (at / RATE > context.currentTime - started + 0.5) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  player.end();
  await player.finished;
  await new Promise((resolve) => setTimeout(resolve, 100));
  const heard = joined(parts);
  const first = heard.findIndex(Boolean);
  let wrong = 0;
  samples.forEach((sample, at) => { wrong += !(Math.abs(heard[first + at] - sample) < 1e-6); });
  return { wrong, pauses: player.pauses, delay };
}"""


def test_what_arrives_while_it_is_played_is_played_the_same(studio: Studio) -> None:
    """Tapped behind the player in a running AudioContext: no sample is missing or another, and the start is near."""
    studio.open("speak")
    heard = studio.page.evaluate(LIVE)
    assert (heard["wrong"], heard["pauses"]) == (0, 0)
    assert heard["delay"] < 0.15
