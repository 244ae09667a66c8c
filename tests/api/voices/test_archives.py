"""Voices taken along and brought in over HTTP; in this process and without an engine."""

import io
import json
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.api.quiet import Client, quiet_app, serving
from tests.api.voices.forms import TEXT, form, wav
from tests.audio.sounds import quiet, speech
from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Design, Manner

CLIP = Reference(speech(4.0), 24_000, TEXT)
PROMPT = ClonePrompt(np.linspace(-1, 1, 1024, dtype=np.float32), np.full((50, 16), 7, np.int64), TEXT)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(quiet_app(tmp_path)) as client:
        yield client


def store(client: Client) -> VoiceStore:
    assert client.app
    return client.app[SERVICES].store.voices


async def make(client: Client, name: str = "Änna") -> None:
    """A profile of two clips with the prompt of the server's size."""
    manner = Manner(description="Warm", speed=1.1, consent="Yes.")
    voice = await store(client).create(name, "profile", manner, [CLIP, CLIP], prompt=("0.6B", PROMPT))
    assert (await told(client, voice.name))["status"] == "ready"


async def told(client: Client, name: str) -> Any:
    async with client.get(f"/api/profiles/{name}") as response:
        assert response.status == 200
        return await response.json()


async def export(client: Client, name: str = "Änna") -> bytes:
    async with client.get(f"/api/profiles/{name}/export") as response:
        assert (response.status, response.content_type) == (200, "application/zip")
        return await response.read()


async def bring(client: Client, archive: bytes, status: int = 201, **query: str) -> Any:
    """The profile that an archive became, or the error."""
    async with client.post("/api/profiles/import", data=form(("file", archive)), params=query) as response:
        answer = await response.json()
        assert response.status == status, answer
        return answer if status == 201 else answer["error"]


def members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def packed(contents: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file.getvalue()


async def test_an_import_goes_on_without_its_client(client: Client) -> None:
    await make(client)
    archive = await export(client)
    data, prefer = form(("file", archive)), {"Prefer": "respond-async"}
    async with client.post("/api/profiles/import?on_conflict=rename", data=data, headers=prefer) as response:
        assert response.status == 202
        task = (await response.json())["task"]
    async with client.get(f"/api/tasks/{task}") as response:
        *_, last = [line for line in (await response.text()).splitlines() if line.startswith("data: ")]
    ended = json.loads(last.removeprefix("data: "))
    assert (ended["type"], ended["profile"]["name"]) == ("profile.imported", "Änna 2")


async def test_a_voice_is_the_same_after_it_was_taken_along_and_brought_in(client: Client) -> None:
    await make(client)
    before = await told(client, "Änna")
    recordings = await store(client).recordings(before["id"])
    archive = await export(client)
    await store(client).delete(before["id"])
    after = await bring(client, archive)
    for name in ("name", "type", "description", "language", "speed", "default_effects", "consent"):
        assert after[name] == before[name]
    assert after["id"] != before["id"]
    for one, other in zip(recordings, await store(client).recordings(after["id"]), strict=True):
        assert (one.text, one.sample_rate) == (other.text, other.sample_rate)
        np.testing.assert_array_equal(one.samples, other.samples)


async def test_old_names_are_taken_along_and_those_that_are_free_brought_in(client: Client) -> None:
    await make(client)
    renamed = await store(client).change((await told(client, "Änna"))["id"], name="Berta")
    await store(client).change(renamed.id, name="Clara")
    archive = await export(client, "Clara")
    assert (await bring(client, archive, on_conflict="rename"))["former_names"] == []
    await store(client).delete(renamed.id)
    await make(client, "Berta")
    assert (await bring(client, archive))["former_names"] == ["Änna"]
    assert (await bring(client, archive, on_conflict="replace"))["former_names"] == ["Änna"]


async def test_an_archive_has_the_name_of_its_voice(client: Client) -> None:
    await make(client, "Änna's Stimme")
    async with client.get("/api/profiles/Änna's Stimme/export") as response:
        disposition = response.headers["Content-Disposition"]
    assert disposition == "attachment; filename=\"voice.zip\"; filename*=UTF-8''%C3%84nna%27s%20Stimme.zip"


async def test_prompts_are_believed_only_if_that_is_asked_for(client: Client) -> None:
    await make(client)
    archive = await export(client)
    assert (await bring(client, archive, on_conflict="rename"))["status"] == "pending"
    believed = await bring(client, archive, on_conflict="rename", use_prompts="true")
    assert believed["status"] == "ready"
    voice = store(client).get(believed["id"])
    prompt = await store(client).prompt(voice.id, voice.revision, "0.6B")
    assert prompt
    np.testing.assert_array_equal(prompt.speaker_embedding, PROMPT.speaker_embedding)


async def test_a_name_that_is_taken_is_kept_renamed_or_replaced(client: Client) -> None:
    await make(client)
    archive = await export(client)
    first = store(client).get("Änna").id
    await store(client).set_default(first)
    assert (await bring(client, archive, 400))["code"] == "name_exists"
    assert (await bring(client, archive, 400, on_conflict="fail"))["param"] == "name"
    renamed = [(await bring(client, archive, on_conflict="rename"))["name"] for _ in range(2)]
    assert renamed == ["Änna 2", "Änna 3"]
    replaced = await bring(client, archive, on_conflict="replace")
    assert (replaced["name"], replaced["default"]) == ("Änna", True)
    assert store(client).find(first) is None
    assert len(store(client).all()) == 3
    assert (await bring(client, archive, 400, on_conflict="maybe"))["param"] == "on_conflict"


async def test_a_long_name_gets_its_number_all_the_same(client: Client) -> None:
    await make(client, "x" * 64)
    renamed = await bring(client, await export(client, "x" * 64), on_conflict="rename")
    assert renamed["name"] == "x" * 62 + " 2"


async def test_what_follows_a_folder_is_not_replaced(client: Client) -> None:
    voice = await store(client).create("otto", "profile", Manner(), [CLIP], folder="otto", digest="1")
    archive = await export(client, "otto")
    assert (await bring(client, archive, 400, on_conflict="replace"))["param"] == "id"
    assert store(client).find(voice.id) is voice
    renamed = await bring(client, archive, on_conflict="rename")
    assert (renamed["name"], renamed["folder"]) == ("otto 2", None)


async def test_a_preset_is_taken_along_too_and_becomes_a_preset_again(client: Client) -> None:
    design = Design("A deep voice.", TEXT, 7, "Qwen3-TTS-12Hz-1.7B-VoiceDesign")
    voice = await store(client).create("Deep", "preset", Manner(), [CLIP], design=design)
    clip = store(client).sample_path(voice.id, voice.samples[0].id).read_bytes()
    made = await bring(client, await export(client, "Deep"), on_conflict="replace")
    assert (made["type"], store(client).get("Deep").design) == ("preset", design)
    async with client.get(made["samples"][0]["audio_url"]) as response:
        assert (response.status, await response.read()) == (200, clip)


async def test_a_voice_without_clips_is_taken_along_too(client: Client) -> None:
    async with client.post("/api/profiles", json={"name": "Radio", "voice": "Ryan", "speed": 1.3}) as response:
        assert response.status == 201
    made = await bring(client, await export(client, "Radio"), on_conflict="rename")
    assert (made["name"], made["voice"], made["speed"], made["status"]) == ("Radio 2", "Ryan", 1.3, "ready")


async def hostile(client: Client) -> dict[str, tuple[bytes, int]]:
    """Archives that are none, or mean harm, and what they are answered with."""
    good = members(await export(client))
    manifest = json.loads(good["manifest.json"])

    def changed(**fields: object) -> bytes:
        return packed(good | {"manifest.json": json.dumps(manifest | fields).encode()})

    return {
        "nothing": (b"", 400),
        "no zip": (b"PK" + bytes(1000), 400),
        "half": (packed(good)[:-500], 400),
        "trailing": (packed(good) + b"#!/bin/sh", 400),
        "no manifest": (packed({"samples/1.wav": wav(CLIP.samples)}), 400),
        "not JSON": (packed(good | {"manifest.json": b"{"}), 400),
        "slip": (packed(good | {"../../evil.wav": b"x"}), 400),
        "absolute": (packed(good | {"/etc/passwd": b"x"}), 400),
        "stranger": (packed(good | {"run.sh": b"x"}), 400),
        "pickle": (packed(good | {"prompt.pt": b"\x80\x04."}), 400),
        "bomb": (packed(good | {"samples/1.wav": bytes(20 << 20)}, zipfile.ZIP_DEFLATED), 413),
        "many": (packed(good | {f"samples/{n}.wav": b"" for n in range(3, 90)}), 413),
        "large": (bytes(50 << 20) + bytes(64 << 10), 413),
        "name": (changed(name="../../etc"), 400),
        "reserved": (changed(name="Ryan"), 400),
        "newer": (changed(version=99), 400),
        "effects": (changed(name="X", effects=[{"type": "speed", "factor": 4}] * 16), 400),
        "speed": (changed(name="X", speed=1e300), 400),
        "no sound": (packed(good | {"samples/1.wav": b"RIFF" + bytes(100)}), 400),
        "silence": (packed(good | {"samples/1.wav": wav(quiet(4.0))}), 400),
        "long": (packed(good | {"samples/1.wav": wav(speech(61.0))}), 413),
    }


async def test_a_hostile_archive_is_refused_and_nothing_kept(client: Client, tmp_path: Path) -> None:
    await make(client)
    before = sorted(tmp_path.rglob("*"))
    for what, (archive, status) in (await hostile(client)).items():
        error = await bring(client, archive, status, on_conflict="rename", use_prompts="true")
        assert error["message"].endswith("."), what
        assert "/tmp" not in error["message"], what
        assert sorted(tmp_path.rglob("*")) == before, what
    assert not list(tmp_path.parent.glob("*evil*"))


async def test_the_file_must_be_there(client: Client) -> None:
    async with client.post("/api/profiles/import", data=form(("archive", b"PK"))) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "file")
    async with client.post("/api/profiles/import", json={}) as response:
        assert response.status == 415
