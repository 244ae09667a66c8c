"""Profiles over HTTP: kept, shown, changed and given up; in this process and without an engine."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import FormData

from tests.api.quiet import Client, quiet_app, serving
from tests.api.voices.forms import TEXT, form, wav
from tests.audio.sounds import clipped, quiet, speech
from tests.parts import make_cast, make_services
from wyoming_qwen3.api.app import make_app
from wyoming_qwen3.api.app_keys import SERVICES, Config
from wyoming_qwen3.core.request import ClonePrompt, Reference
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner
from wyoming_qwen3.voices.watched_folder import WatchedFolder

GOOD = wav(speech(4.0))
LONG = wav(speech(6.0))
MINUTE = wav(np.concatenate([part for _ in range(10) for part in (speech(5.5), quiet(0.5))]))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(quiet_app(tmp_path)) as client:
        yield client


def store(client: Client) -> VoiceStore:
    assert client.app
    return client.app[SERVICES].store.voices


async def ask(client: Client, method: str, path: str, status: int = 200, **more: Any) -> Any:
    """The JSON of an answer with that status."""
    async with client.request(method, f"/api/profiles{path}", **more) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def fault(client: Client, method: str, path: str, **more: Any) -> tuple[int, str, str | None]:
    """Status, code and field of an error; its message is a sentence and tells of no folder of ours."""
    async with client.request(method, f"/api/profiles{path}", **more) as response:
        error = (await response.json())["error"]
        assert error["message"].endswith("."), error
        assert "/tmp" not in error["message"], error
        return response.status, error["code"], error["param"]


async def make(client: Client, name: str = "Anna", **more: Any) -> Any:
    data = form(("samples", GOOD), ("samples", LONG), name=name, ref_texts=[TEXT, TEXT + TEXT], **more)
    return await ask(client, "POST", "", 201, data=data)


# Made.


async def test_a_profile_of_two_clips_is_kept_with_all_that_was_said_of_it(client: Client) -> None:
    effects = [{"type": "gain", "gain_db": -3}]
    more = {"description": "Warm", "language": "de-CH", "speed": "1.1", "consent": "Anna said yes."}
    made = await make(client, "Änna", default_effects=json.dumps(effects), **more)
    assert (made["name"], made["type"], made["status"], made["default"]) == ("Änna", "profile", "pending", False)
    assert (made["description"], made["language"], made["speed"]) == ("Warm", "German", 1.1)
    assert (made["consent"], made["default_effects"]) == ("Anna said yes.", [{"type": "gain", "gain_db": -3.0}])
    assert (made["voice"], made["instructions"], made["folder"]) == (None, None, None)
    assert [(one["text"], one["duration_ms"]) for one in made["samples"]] == [(TEXT, 4000), (TEXT + TEXT, 6000)]
    assert made["warnings"] == []
    for name in (made["id"], "Änna", "änna", "ÄNNA "):
        assert await ask(client, "GET", f"/{name}") == made
    assert await ask(client, "GET", "") == {"profiles": [made | {"warnings": None}], "problems": []}


async def test_a_built_in_speaker_with_settings_of_its_own_is_ready_at_once(client: Client) -> None:
    body = {"name": "Radio", "voice": "onyx", "language": "fr", "speed": 0.8, "effects": [{"type": "reverb"}]}
    made = await ask(client, "POST", "", 201, json=body)
    assert (made["voice"], made["language"], made["speed"], made["status"]) == ("Uncle_Fu", "French", 0.8, "ready")
    assert made["default_effects"][0]["type"] == "reverb"
    assert made["samples"] == []


async def test_a_profile_may_begin_with_nothing_but_a_name(client: Client) -> None:
    assert (await ask(client, "POST", "", 201, json={"name": "Later"}))["status"] == "empty"
    assert (await ask(client, "POST", "", 201, data=form(name="Also later", other="")))["status"] == "empty"


async def test_it_is_ready_when_the_prompt_of_the_servers_size_is_kept(client: Client) -> None:
    made = await make(client)
    prompt = ClonePrompt(np.zeros(1024, np.float32), np.zeros((50, 16), np.int64), TEXT)
    kept = store(client).get(made["id"])
    await store(client).keep_prompt(kept.id, kept.revision, "0.6B", prompt)
    assert (await ask(client, "GET", "/Anna"))["status"] == "ready"
    changed = await ask(client, "POST", "/Anna/samples", 201, data=form(("audio", GOOD), ref_text=TEXT))
    assert changed["status"] == "pending"


@pytest.mark.parametrize(
    "texts", [{"ref_texts": [TEXT, "Two words in four seconds, not more."]}, {"ref_texts": json.dumps([TEXT, TEXT])}]
)
@pytest.mark.parametrize("brackets", ["", "[]"])
async def test_texts_come_once_for_each_clip_or_as_one_list(
    client: Client, texts: dict[str, Any], brackets: str
) -> None:
    named = {name + brackets: given for name, given in texts.items()}
    data = form((f"samples{brackets}", GOOD), (f"samples{brackets}", GOOD), name="Anna", **named)
    made = await ask(client, "POST", "", 201, data=data)
    assert made["samples"][0]["text"] == TEXT
    assert len(made["samples"]) == 2


async def test_what_is_said_in_brackets_is_a_text_and_no_list(client: Client) -> None:
    said = "[laughing] She sells sea shells by the sea shore."
    made = await ask(client, "POST", "", 201, data=form(("samples", GOOD), name="Anna", ref_texts=said))
    assert made["samples"][0]["text"] == said


async def test_clips_without_texts_are_taken_for_their_timbre(client: Client) -> None:
    data = form(("samples", GOOD), ("samples", GOOD), name="Anna", ref_texts=TEXT, x_vector_only_mode="true")
    made = await ask(client, "POST", "", 201, data=data)
    assert [one["text"] for one in made["samples"]] == [None, None]


async def test_what_nobody_looked_at_is_named(client: Client) -> None:
    async with client.post("/api/profiles", json={"name": "A1", "colour": "red"}) as response:
        assert response.headers["X-Ignored-Fields"] == "colour"
    async with client.post(
        "/api/profiles", data=form(("samples", GOOD), name="A2", ref_texts=TEXT, hue="1")
    ) as response:
        assert response.headers["X-Ignored-Fields"] == "hue"


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (form(("samples", GOOD), name="Anna", ref_texts=[TEXT, TEXT]), "ref_texts"),
        (form(("samples", GOOD), name="Anna", ref_texts='["a", 1]'), "ref_texts.1"),
        (form(("samples", GOOD), name="Anna", ref_texts="x" * 2001), "ref_texts.0"),
        (form(("samples", GOOD), name="Anna", ref_texts="?!"), "samples[0]"),
        (form(("samples", GOOD), name="Anna", ref_texts="Too short."), "samples[0]"),
        (form(("samples", GOOD), ref_texts=TEXT), "name"),
        (form(("samples", GOOD), name=["Anna", "Otto"], ref_texts=TEXT), "name"),
        (form(("clip", GOOD), name="Anna", ref_texts=TEXT), "samples"),
        (form(*[("samples", b"")] * 17, name="Anna"), "samples"),
        (form(("samples", GOOD), name="Anna", ref_texts=TEXT, voice="Ryan"), "voice"),
        (form(("samples", GOOD), name="Anna", ref_texts=TEXT, instructions="Angry."), "instructions"),
        (form(("samples", GOOD), name="Anna", ref_texts=TEXT, default_effects="loud"), "default_effects"),
        (form(("samples", GOOD), name="Anna", ref_texts=TEXT, default_effects="[" * 5000), "default_effects"),
        (form(("samples", GOOD), name="Anna", ref_texts=TEXT, default_effects='[{"type": "echo"}]'), "effects[0].type"),
        (form(("samples", GOOD), name="Anna", ref_texts=TEXT, speed="fast"), "speed"),
        (form(("samples", GOOD), name="Anna", ref_texts=TEXT, language="xx"), "language"),
    ],
)
async def test_what_is_wrong_with_a_form_is_said_and_nothing_kept(client: Client, data: FormData, param: str) -> None:
    status, code, named = await fault(client, "POST", "", data=data)
    assert (status, named) == (400, param), code
    assert store(client).all() == []


@pytest.mark.parametrize(
    ("clip", "status"),
    [
        (b"", 400),
        (b"RIFF" + bytes(500), 400),
        (GOOD[:30], 400),
        (b"<svg onload=alert(1)>", 400),
        (b"file:///etc/passwd", 400),
        (wav(quiet(4.0)), 400),
        (wav(speech(4.0, level=-55)), 400),
        (wav(speech(0.4)), 400),
        (wav(speech(31.0)), 400),
        (wav(speech(301.0, rate=8_000), 8_000), 413),
        (bytes((10 << 20) + 1), 413),
        (wav(np.stack([speech(4.0)] * 3, axis=1)), 400),
    ],
)
async def test_a_clip_of_no_use_is_refused_and_nothing_kept(client: Client, clip: bytes, status: int) -> None:
    data = form(("samples", GOOD), ("samples", clip), name="Anna", ref_texts=[TEXT, TEXT])
    assert (await fault(client, "POST", "", data=data))[::2] in [(status, "samples[1]"), (status, "samples")]
    assert store(client).all() == []
    await make(client)
    data = form(("audio", clip), ref_text=TEXT)
    assert (await fault(client, "POST", "/Anna/samples", data=data))[0] == status
    assert len(store(client).get("Anna").samples) == 2


async def test_a_form_is_not_read_beyond_what_all_its_clips_may_have(client: Client) -> None:
    data = form(*[("samples", bytes(10 << 20))] * 6, name="Anna")
    assert await fault(client, "POST", "", data=data) == (413, "payload_too_large", None)


async def test_a_clip_is_kept_at_the_rate_it_had_but_not_beyond_what_can_be_heard(client: Client) -> None:
    clips = [
        wav(speech(4.0, rate=rate), rate, kind) for rate, kind in ((16_000, "FLAC"), (44_100, "WAV"), (96_000, "WAV"))
    ]
    data = form(*(("samples", clip) for clip in clips), name="Anna", ref_texts=[TEXT] * 3)
    made = await ask(client, "POST", "", 201, data=data)
    kept = store(client).get("Anna").samples
    assert [sample.sample_rate for sample in kept] == [16_000, 44_100, 48_000]
    assert [sample["duration_ms"] for sample in made["samples"]] == [4000] * 3


async def test_a_person_is_warned_of_what_could_be_better(client: Client) -> None:
    data = form(("samples", GOOD), ("samples", wav(clipped(0.002))), name="Anna", ref_texts=[TEXT, TEXT])
    made = await ask(client, "POST", "", 201, data=data)
    assert [(one["code"], one["sample"]) for one in made["warnings"]] == [("clipped", made["samples"][1]["id"])]
    assert made["warnings"][0]["message"].endswith(".")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("anna", "name_exists"),
        (" ANNA ", "name_exists"),
        ("Ryan", "invalid_request"),
        ("ono anna", "invalid_request"),
        ("ryan-de", "invalid_request"),
        ("alloy", "invalid_request"),
        ("default", "invalid_request"),
        ("../../etc/passwd", "invalid_request"),
        ("..", "invalid_request"),
        ("a\\b", "invalid_request"),
        ("a\0b", "invalid_request"),
        (" ", "invalid_request"),
        ("x" * 65, "invalid_request"),
        ("x" * 201, "invalid_request"),
        ("12345678-1234-1234-1234-123456789abc", "invalid_request"),
    ],
)
async def test_a_name_that_cannot_be_had(client: Client, name: str, code: str) -> None:
    await make(client)
    refused = (400, code, "name")
    assert await fault(client, "POST", "", json={"name": name}) == refused
    other = await make(client, "Otto")
    assert await fault(client, "PUT", "/Otto", json={"name": name}) == refused
    assert await ask(client, "GET", f"/{other['id']}") == other


@pytest.mark.parametrize("filename", ["../../../evil.wav", "/etc/passwd", "C:\\a.wav", "x" * 300, "voice.json"])
async def test_what_a_file_was_called_is_of_no_interest(client: Client, tmp_path: Path, filename: str) -> None:
    data = form(("samples", GOOD), name="Anna", ref_texts=TEXT, filename=filename)
    made = await ask(client, "POST", "", 201, data=data)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    sample = made["samples"][0]["id"]
    assert list(map(str, files)) == [f"{made['id']}/samples/{sample}.wav", f"{made['id']}/voice.json"]


# Changed.


async def test_what_is_given_is_changed_and_the_rest_stays(client: Client) -> None:
    made = await make(client, language="de", speed="1.5", consent="Yes.", description="Warm")
    same = made.keys() - {"updated_at"}
    changed = await ask(client, "PUT", "/Anna", json={"speed": 2, "name": "Anne"})
    assert (changed["name"], changed["speed"]) == ("Anne", 2.0)
    assert all(changed[key] == made[key] for key in same - {"name", "speed", "former_names"})
    cleared = {"language": None, "speed": None, "consent": None, "description": None, "default_effects": None}
    changed = await ask(client, "PUT", "/Anne", json=cleared)
    told = [changed[name] for name in cleared]
    assert told == ["Auto", 1.0, "", "", []]
    assert [one["id"] for one in changed["samples"]] == [one["id"] for one in made["samples"]]


async def test_a_speaker_is_changed_and_taken_away(client: Client) -> None:
    await ask(client, "POST", "", 201, json={"name": "Radio", "voice": "Ryan"})
    assert (await ask(client, "PUT", "/Radio", json={"voice": "sohee"}))["voice"] == "Sohee"
    changed = await ask(client, "PUT", "/Radio", json={"voice": None})
    assert (changed["voice"], changed["status"]) == (None, "empty")
    assert (await fault(client, "PUT", "/Radio", json={"voice": "nobody"}))[:2] == (400, "voice_not_found")


async def test_what_was_told_can_be_sent_back(client: Client) -> None:
    made = await make(client, default_effects='[{"type": "gain", "gain_db": 3}]', language="ja")
    async with client.put("/api/profiles/Anna", json=made) as response:
        told = await response.json()
        assert set(response.headers["X-Ignored-Fields"].split(", ")) >= {"id", "samples", "status"}
    assert told | {"updated_at": 0} == made | {"updated_at": 0}


async def test_old_names_are_told_and_given_up(client: Client) -> None:
    made = await make(client)
    path = f"/{made['id']}"
    assert made["former_names"] == []
    assert (await ask(client, "PUT", path, json={"name": "Berta"}))["former_names"] == ["Anna"]
    assert (await ask(client, "PUT", path, json={"name": "Clara", "speed": 1.1}))["former_names"] == ["Anna", "Berta"]
    assert (await ask(client, "PUT", path, json={"former_names": ["berta"]}))["former_names"] == ["Berta"]
    assert await fault(client, "PUT", path, json={"former_names": ["Dora"]}) == (400, "invalid_request", "former_names")
    (listed,) = (await ask(client, "GET", ""))["profiles"]
    assert listed["former_names"] == ["Berta"]
    assert (await ask(client, "PUT", path, json={"former_names": None}))["former_names"] == []


async def test_what_was_told_of_a_renamed_voice_can_be_sent_back(client: Client) -> None:
    made = await make(client)
    told = await ask(client, "PUT", f"/{made['id']}", json={"name": "Berta"})
    again = await ask(client, "PUT", f"/{made['id']}", json=told)
    assert again | {"updated_at": 0} == told | {"updated_at": 0}
    renamed = await ask(client, "PUT", f"/{made['id']}", json=told | {"name": "Clara"})
    assert renamed["former_names"] == ["Anna", "Berta"]


async def test_nothing_is_changed_by_an_old_name(client: Client) -> None:
    made = await make(client)
    await ask(client, "PUT", f"/{made['id']}", json={"name": "Berta"})
    for method in ("GET", "PUT", "DELETE"):
        assert (await fault(client, method, "/Anna", json={}))[1] == "voice_not_found"
    async with client.delete("/v1/audio/voices/Anna") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"former_names": "Anna"}, "invalid_request"),
        ({"former_names": [1]}, "invalid_request"),
        ({"former_names": ["nobody"]}, "invalid_request"),
        ({"former_names": ["x"] * 17}, "invalid_request"),
        ({"name": None}, "invalid_request"),
        ({"speed": 9}, "invalid_request"),
        ({"default_effects": [{"type": "gain"}]}, "invalid_request"),
        ({"default_effects": [{"type": "speed", "factor": 4}] * 2}, "invalid_request"),
        ({"voice": "Ryan"}, "invalid_request"),
        ({"instructions": "Whisper."}, "instructions_not_supported"),
        ({"language": "xx"}, "language_not_supported"),
        ({"description": "x" * 2001}, "invalid_request"),
        ([], "invalid_request"),
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(client: Client, body: object, code: str) -> None:
    made = await make(client)
    assert (await fault(client, "PUT", "/Anna", json=body))[:2] == (400, code)
    assert await ask(client, "GET", "/Anna") == made


async def test_clips_come_and_go(client: Client) -> None:
    made = await make(client)
    for field in ("audio", "file"):
        changed = await ask(client, "POST", "/Anna/samples", 201, data=form((field, GOOD), ref_text=TEXT))
    timbre = form(("audio", GOOD), x_vector_only_mode="true", ref_text=TEXT)
    changed = await ask(client, "POST", f"/{made['id']}/samples", 201, data=timbre)
    assert [one["text"] for one in changed["samples"]] == [TEXT, TEXT + TEXT, TEXT, TEXT, None]
    for sample in changed["samples"]:
        left = await ask(client, "DELETE", f"/Anna/samples/{sample['id']}")
        assert sample["id"] not in [one["id"] for one in left["samples"]]
    assert left["status"] == "empty"
    gone = changed["samples"][0]["id"]
    assert await fault(client, "DELETE", f"/Anna/samples/{gone}") == (404, "not_found", "sample")


@pytest.mark.parametrize(
    "data",
    [form(ref_text=TEXT), form(("audio", GOOD), ("file", GOOD), ref_text=TEXT), form(("samples", GOOD), ref_text=TEXT)],
)
async def test_a_form_with_one_clip_has_one_clip(client: Client, data: FormData) -> None:
    await make(client)
    assert await fault(client, "POST", "/Anna/samples", data=data) == (400, "invalid_request", "audio")


async def test_a_clip_without_its_text_is_used_by_its_timbre_alone(client: Client) -> None:
    made = await ask(
        client, "POST", "", 201, data=form(("samples", GOOD), ("samples", GOOD), name="Anna", ref_texts=TEXT)
    )
    assert [one["text"] for one in made["samples"]] == [TEXT, None]
    assert [(one["code"], one["sample"]) for one in made["warnings"]] == [("timbre", made["samples"][1]["id"])]
    added = await ask(client, "POST", "/Anna/samples", 201, data=form(("audio", GOOD), ref_text=" "))
    assert [(one["code"], one["sample"]) for one in added["warnings"]] == [("timbre", added["samples"][2]["id"])]


async def test_a_speaker_takes_no_clips(client: Client) -> None:
    await ask(client, "POST", "", 201, json={"name": "Radio", "voice": "Ryan"})
    refused = await fault(client, "POST", "/Radio/samples", data=form(("audio", GOOD), ref_text=TEXT))
    assert refused == (400, "invalid_request", "voice")


async def test_a_clip_can_be_heard_whole_or_in_part(client: Client) -> None:
    made = await make(client)
    url = made["samples"][0]["audio_url"]
    async with client.get(url) as response:
        whole = await response.read()
        assert (response.status, response.content_type) == (200, "audio/wav")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert whole == GOOD
    async with client.get(url, headers={"Range": "bytes=100-199"}) as response:
        assert (response.status, await response.read()) == (206, whole[100:200])
    async with client.head(url) as response:
        assert (response.status, response.content_length) == (200, len(whole))


async def test_a_profile_is_gone_with_all_its_files_when_deleted(client: Client, tmp_path: Path) -> None:
    made = await make(client)
    assert await ask(client, "DELETE", "/Anna") == {"id": made["id"], "deleted": True}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    await make(client)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/{}", {}),
        ("PUT", "/{}", {"json": {}}),
        ("DELETE", "/{}", {}),
        ("GET", "/{}/export", {}),
        ("POST", "/{}/samples", {"data": b"--x--", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}),
        ("DELETE", "/{}/samples/x", {}),
        ("GET", "/{}/samples/x/audio", {}),
    ],
)
@pytest.mark.parametrize("name", ["nobody", "Ryan", "..%2F..%2Fetc", "%00", "x" * 300])
async def test_who_is_not_there_is_not_found(
    client: Client, method: str, path: str, body: dict[str, Any], name: str
) -> None:
    assert (await fault(client, method, path.format(name), **body))[:2] == (404, "voice_not_found")


async def test_a_preset_is_no_profile(client: Client) -> None:
    await store(client).create("Made", "preset", Manner(), [Reference(speech(4.0), 24_000, TEXT)])
    assert (await ask(client, "GET", ""))["profiles"] == []
    for method in ("GET", "DELETE"):
        assert (await fault(client, method, "/Made"))[:2] == (404, "voice_not_found")


async def test_it_says_whether_it_is_the_default(client: Client) -> None:
    made = await make(client)
    await store(client).set_default(made["id"])
    assert (await ask(client, "GET", "/Anna"))["default"] is True


# Checked.


async def test_a_clip_is_checked_and_nothing_kept(client: Client, tmp_path: Path) -> None:
    checked = await ask(client, "POST", "/check", data=form(("audio", GOOD), ref_text=TEXT))
    assert checked == {"duration_ms": 4000, "part": None, "findings": [], "usable": True}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("clip", "text", "codes", "usable"),
    [
        (wav(clipped(0.002)), TEXT, ["clipped"], True),
        (wav(speech(0.5)), "", ["too_short"], False),
        (MINUTE, "", ["cut"], True),
        (MINUTE, TEXT * 10, ["cut", "timbre"], True),
        (wav(quiet(4.0)), "", ["silent"], False),
        (GOOD, "Too short.", ["text_too_short"], False),
        (wav(speech(2.0)), "", ["short"], True),
    ],
)
async def test_what_was_found_is_told(client: Client, clip: bytes, text: str, codes: list[str], usable: bool) -> None:
    checked = await ask(client, "POST", "/check", data=form(("file", clip), ref_text=text))
    assert ([one["code"] for one in checked["findings"]], checked["usable"]) == (codes, usable)


@pytest.mark.parametrize(
    ("clip", "status"), [(b"no sound", 400), (bytes(11 << 20), 413), (wav(speech(301.0, rate=8_000), 8_000), 413)]
)
async def test_what_is_no_clip_is_not_checked(client: Client, clip: bytes, status: int) -> None:
    assert (await fault(client, "POST", "/check", data=form(("audio", clip))))[0] == status


async def test_a_long_clip_is_cut_to_the_part_that_was_told(client: Client) -> None:
    part = (await ask(client, "POST", "/check", data=form(("audio", MINUTE))))["part"]
    made = await ask(client, "POST", "", 201, data=form(("samples", MINUTE), name="Anna"))
    assert made["samples"][0]["duration_ms"] == pytest.approx(part["end_ms"] - part["start_ms"], abs=1)
    assert [(one["code"], one["sample"]) for one in made["warnings"]] == [
        ("timbre", made["samples"][0]["id"]),
        ("cut", made["samples"][0]["id"]),
    ]
    again = await ask(client, "POST", "/Anna/samples", 201, data=form(("audio", MINUTE), x_vector_only_mode="true"))
    assert [(one["code"], one["sample"]) for one in again["warnings"]] == [("cut", again["samples"][1]["id"])]
    assert (await ask(client, "GET", "/Anna"))["warnings"] == []


# Lost, and dropped.


async def test_a_profile_whose_clip_is_lost_says_so_and_the_others_are_as_they_were(
    client: Client, tmp_path: Path
) -> None:
    made, other = await make(client), await make(client, "Otto")
    lost = made["samples"][0]
    (tmp_path / made["id"] / "samples" / f"{lost['id']}.wav").unlink()
    told = await ask(client, "GET", "/Anna")
    assert [(one["code"], one["sample"]) for one in told["warnings"]] == [("storage_failed", None)]
    for path in (lost["audio_url"], f"/api/profiles/{made['id']}/export"):
        async with client.get(path) as response:
            assert response.status == 507
            assert "Anna" in (await response.json())["error"]["message"]
    async with client.get(made["samples"][1]["audio_url"]) as response:
        assert response.status == 200
    assert await ask(client, "GET", "/Otto") == other
    mended = await ask(client, "DELETE", f"/Anna/samples/{lost['id']}")
    assert mended["warnings"] == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two voices, of which one is none."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    (folder / "otto.wav").write_bytes(GOOD)
    (folder / "otto.txt").write_text(TEXT)
    (folder / "mute.wav").write_bytes(wav(quiet(4.0)))
    (folder / "mute.txt").write_text(TEXT)
    return folder


@pytest.fixture
async def dropped(tmp_path: Path, folder: Path) -> AsyncIterator[Client]:
    services = make_services(tmp_path / "voices", "--standby", "off")
    drop = WatchedFolder(folder, services.store.voices, quiet_seconds=0)
    services = replace(services, store=replace(services.store, watched_folder=drop))
    async with serving(make_app(services, Config(make_cast()))) as client:
        await services.store.voices.open()
        await drop.scan()
        yield client


async def test_what_lies_in_the_voices_folder_is_a_profile_or_a_problem(dropped: Client) -> None:
    listed = await ask(dropped, "GET", "")
    assert [(one["name"], one["folder"]) for one in listed["profiles"]] == [("otto", "otto")]
    assert [one["entry"] for one in listed["problems"]] == ["mute"]
    assert "silent" in listed["problems"][0]["message"]


async def test_a_profile_of_the_voices_folder_follows_that_alone(dropped: Client) -> None:
    before = (await ask(dropped, "GET", "/otto"))["samples"]
    refused = (400, "invalid_request", "id")
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: fault(dropped, "DELETE", "/otto"),
        lambda: fault(dropped, "DELETE", f"/otto/samples/{before[0]['id']}"),
        lambda: fault(dropped, "POST", "/otto/samples", data=form(("audio", GOOD), ref_text=TEXT)),
    ]
    assert [await change() for change in changes] == [refused] * 3
    changed = await ask(dropped, "PUT", "/otto", json={"name": "Otto the Great", "speed": 1.2})
    assert (changed["speed"], changed["samples"]) == (1.2, before)
