"""Profiles are spoken with: over HTTP and Wyoming, by a real server and tiny checkpoints, greedily."""

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession, ClientTimeout
from prometheus_client.parser import text_string_to_metric_families

from tests.api.voices.forms import TEXT, form, wav
from tests.audio.sounds import quiet, speech
from tests.conftest import Server, StartServer, synthesize
from tests.tiny import build_checkpoint
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint

SENTENCE = "The front door is open."
CLIPS = (wav(speech(4.0)), wav(speech(5.0)))


def options(models_dir: Path, size: str = "0.6B") -> tuple[str, ...]:
    given = ("--models-dir", str(models_dir), "--model", size, "--standby", "off")
    return (*given, "--local-files-only", "--temperature", "0")


@pytest.fixture(scope="module")
def voices_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that voices are dropped into, with one in it."""
    folder = tmp_path_factory.mktemp("voices")
    (folder / "grete.wav").write_bytes(CLIPS[0])
    (folder / "grete.txt").write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def server(start_shared_server: StartServer, models_dir: Path, voices_dir: Path) -> Server:
    return start_shared_server(*options(models_dir), "--voices-dir", str(voices_dir))


async def ask(http: ClientSession, method: str, path: str, status: int = 200, **more: Any) -> Any:
    async with http.request(method, f"/api/profiles{path}", **more) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def make(http: ClientSession, name: str, **fields: str) -> Any:
    data = form(*(("samples", clip) for clip in CLIPS), name=name, ref_texts=[TEXT, TEXT], **fields)
    return await ask(http, "POST", "", 201, data=data)


async def speak(http: ClientSession, voice: str, status: int = 200, **more: object) -> Any:
    """PCM, or the error."""
    body = {"input": SENTENCE, "voice": voice, "response_format": "pcm"} | more
    async with http.post("/v1/audio/speech", json=body) as response:
        assert response.status == status, await response.text()
        return await response.read() if status == 200 else (await response.json())["error"]


async def clips_read(http: ClientSession) -> float:
    """How often a voice was extracted from its clips."""
    async with http.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        return next(one.samples[0].value for one in families if one.name == "tts_clips_read")


async def test_a_profile_of_two_clips_speaks_the_same_over_http_and_wyoming_and_is_read_once(
    http: ClientSession, server: Server
) -> None:
    made = await make(http, "Anna")
    assert made["status"] == "pending"
    before = await clips_read(http)
    spoken = await speak(http, "anna")
    assert len(spoken) > 24_000
    assert (await synthesize(server.uri, SENTENCE, "Anna")).audio == spoken
    assert await speak(http, made["id"]) == spoken
    assert await clips_read(http) == before + 1
    assert (await ask(http, "GET", "/Anna"))["status"] == "ready"


async def test_a_clip_that_is_sent_along_speaks_as_the_voice_that_is_kept_of_it(http: ClientSession) -> None:
    """With its text and without, although there is silence around the speech."""
    clip = wav(np.concatenate([quiet(1.2), speech(4.0), quiet(0.7)]))
    url = f"data:audio/wav;base64,{base64.b64encode(clip).decode()}"
    await ask(http, "POST", "", 201, data=form(("samples", clip), name="Said", ref_texts=[TEXT]))
    await ask(http, "POST", "", 201, data=form(("samples", clip), name="Timbre", x_vector_only_mode="true"))
    assert await speak(http, "", ref_audio=url, ref_text=TEXT) == await speak(http, "Said")
    assert await speak(http, "", ref_audio=url, x_vector_only_mode=True) == await speak(http, "Timbre")


async def test_what_is_spoken_next_is_made_of_the_clips_there_are_then(http: ClientSession) -> None:
    made = await make(http, "Bella")
    two, before = await speak(http, "Bella"), await clips_read(http)
    added = form(("audio", wav(speech(3.5))), ref_text=TEXT)
    changed = await ask(http, "POST", "/Bella/samples", 201, data=added)
    three = await speak(http, "Bella")
    assert three != two
    for sample in changed["samples"][1:]:
        await ask(http, "DELETE", f"/Bella/samples/{sample['id']}")
    one = await speak(http, "Bella")
    assert one not in (two, three)
    assert await clips_read(http) == before + 2
    await ask(http, "DELETE", f"/Bella/samples/{made['samples'][0]['id']}")
    assert "no clip yet" in (await speak(http, "Bella", 400))["message"]


async def test_a_voice_sounds_the_same_after_it_was_taken_along_and_brought_in(http: ClientSession) -> None:
    await make(http, "Carla", speed="1.2")
    spoken = await speak(http, "Carla")
    async with http.get("/api/profiles/Carla/export") as response:
        archive = await response.read()
    await ask(http, "DELETE", "/Carla")
    await speak(http, "Carla", 400)
    for believed in ("false", "true"):
        before = await clips_read(http)
        query = {"use_prompts": believed, "on_conflict": "replace"}
        await ask(http, "POST", "/import", 201, data=form(("file", archive)), params=query)
        assert await speak(http, "Carla") == spoken
        assert await clips_read(http) == before + (believed == "false")


async def test_speed_and_effects_of_a_profile_are_heard_until_a_request_has_its_own(http: ClientSession) -> None:
    await make(http, "Dora")
    plain = await speak(http, "Dora")
    await ask(http, "PUT", "/Dora", json={"speed": 2})
    assert len(await speak(http, "Dora")) == pytest.approx(len(plain) / 2, rel=0.05)
    assert await speak(http, "Dora", speed=1) == plain
    faster = [{"type": "speed", "factor": 2}]
    await ask(http, "PUT", "/Dora", json={"speed": None, "default_effects": faster})
    assert len(await speak(http, "Dora")) == pytest.approx(len(plain) / 2, rel=0.05)
    assert await speak(http, "Dora", effects=[]) == plain


async def test_a_profile_of_a_speaker_speaks_as_that_speaker(http: ClientSession) -> None:
    await ask(http, "POST", "", 201, json={"name": "Radio", "voice": "Ryan", "language": "de"})
    assert await speak(http, "Radio") == await speak(http, "Ryan", language="de")


async def test_one_whose_clip_is_lost_does_not_speak_and_the_others_do(http: ClientSession, server: Server) -> None:
    made, other = await make(http, "Elsa"), await make(http, "Fritz")
    (clip,) = server.log_file.parent.rglob(f"{made['samples'][0]['id']}.wav")
    clip.unlink()
    error = await speak(http, "Elsa", 507)
    assert error["code"] == "storage_failed"
    assert "Elsa" in error["message"]
    assert str(clip.parent) not in error["message"]
    answer = await synthesize(server.uri, SENTENCE, "Elsa")
    assert answer.types[-1] == "error"
    assert len(await speak(http, other["id"])) > 24_000


async def test_what_lies_in_the_voices_folder_speaks_and_goes_with_it(
    http: ClientSession, server: Server, voices_dir: Path
) -> None:
    await server.wait_for("The voice grete was added")
    assert (await ask(http, "GET", "/grete"))["folder"] == "grete"
    assert len(await speak(http, "grete")) > 24_000
    for path in voices_dir.iterdir():
        path.unlink()
    await server.wait_for("The voice grete was deleted")
    assert (await speak(http, "grete", 400))["code"] == "voice_not_found"


async def test_another_size_of_the_model_reads_the_clips_itself(
    start_server: StartServer, models_dir: Path, tmp_path: Path
) -> None:
    """What one size extracted is of no use to the other, and stays for when that one is back."""
    models = tmp_path / "models"
    shutil.copytree(models_dir, models, symlinks=True)
    base = Checkpoint("base", "1.7B")
    build_checkpoint(models / base.name, base.kind, base.size)
    spoken: dict[str, bytes] = {}
    for size, read in (("0.6B", 1), ("1.7B", 1), ("0.6B", 0)):
        server = start_server(*options(models, size), "--data-dir", str(tmp_path / "kept"))
        async with ClientSession(server.url, timeout=ClientTimeout(HANG_SECONDS)) as http:
            if not spoken:
                await make(http, "Anna")
            assert (await ask(http, "GET", "/Anna"))["status"] == ("pending" if read else "ready")
            audio = await speak(http, "Anna")
            assert spoken.setdefault(size, audio) == audio
            assert await clips_read(http) == read
            assert (await ask(http, "GET", "/Anna"))["status"] == "ready"
        server.stop()
    assert spoken["0.6B"] != spoken["1.7B"]
