"""Clips over HTTP: what comes is kept as it is for a day, and nothing else is taken."""

import io
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import av
import numpy as np
import pytest
import soundfile
from aiohttp import ClientResponse
from yarl import URL

from tests.api.clips import data_url
from tests.api.quiet import Client, quiet_app, serving
from tests.api.voices.forms import form, wav
from tests.audio.encoded import FORMATS
from wyoming_qwen3.api.app_keys import SERVICES
from wyoming_qwen3.api.studio.clips import CLIP_TYPES
from wyoming_qwen3.audio.encode import encode
from wyoming_qwen3.store.clips import EXTENSIONS, Clips

CLIPS = "/api/clips"
HUM = (0.25 * np.sin(np.arange(36_000) / 20)).astype(np.float32)
"""A second and a half."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with over(tmp_path) as client:
        yield client


def over(folder: Path, **limits: float) -> Any:
    """A client of the application over these clips."""
    app = quiet_app(folder / "models")
    services = app[SERVICES]
    clips = Clips(folder / "clips", **limits)  # type: ignore[arg-type]
    app[SERVICES] = replace(services, store=replace(services.store, clips=clips))

    async def start(_: object) -> None:
        await clips.open()

    app.on_startup.append(start)
    return serving(app)


async def upload(client: Client, file: bytes, field: str = "file") -> dict[str, Any]:
    async with client.post(CLIPS, data=form((field, file))) as response:
        assert response.status == 201, await response.text()
        return cast("dict[str, Any]", await response.json())


async def refused(response: ClientResponse) -> tuple[int, dict[str, Any]]:
    return response.status, (await response.json())["error"]


def container(muxer: str, codec: Literal["aac", "alac", "libopus", "libopencore_amrnb"], rate: int = 48_000) -> bytes:
    """The hum in a file that this program does not write."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(HUM[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = 24_000
        for part in av.AudioResampler(format=stream.format, layout="mono", rate=rate).resample(frame):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


FILES: dict[str, bytes] = {name: encode(HUM, name) for name in FORMATS if name != "pcm"} | {
    "m4a": container("mp4", "aac"),
    "webm": container("webm", "libopus"),
}


@pytest.mark.parametrize("name", FILES)
async def test_a_clip_is_heard_as_it_was_sent(client: Client, name: str) -> None:
    file = FILES[name]
    clip = await upload(client, file)
    assert (clip["url"], clip["bytes"]) == (f"{CLIPS}/{clip['id']}", len(file))
    assert clip["duration_ms"] == pytest.approx(1500, abs=100)
    assert clip["expires_at"].endswith("Z")
    left = datetime.fromisoformat(clip["expires_at"]).timestamp() - time.time()
    assert 23 * 3600 < left <= 24 * 3600
    async with client.get(clip["url"]) as response:
        assert (response.status, response.content_type) == (200, CLIP_TYPES[name])
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert re.fullmatch(rf'inline; filename="{clip["id"]}\.\w+"', response.headers["Content-Disposition"])
        assert await response.read() == file


def written(container: str, subtype: str) -> bytes:
    """The hum as libsndfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, HUM, 24_000, format=container, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        *(written(*kind) for kind in (("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("CAF", "ALAC_16"))),
        container("ipod", "alac"),
        container("amr", "libopencore_amrnb", 8_000),
    ],
    ids=["aiff", "au", "caf", "caf alac", "m4a alac", "amr"],
)
async def test_a_clip_that_browsers_do_not_play_is_kept_as_flac(client: Client, file: bytes) -> None:
    clip = await upload(client, file)
    assert clip["duration_ms"] == pytest.approx(1500, abs=100)
    async with client.get(clip["url"]) as response:
        assert (response.status, response.content_type) == (200, "audio/flac")
        samples, rate = soundfile.read(io.BytesIO(await response.read()))
    assert (rate, samples.size / rate) == (24_000, pytest.approx(1.5, abs=0.1))
    assert np.abs(samples).max() == pytest.approx(np.abs(HUM).max(), rel=0.2)


async def test_a_part_of_a_clip_is_sent(client: Client) -> None:
    file = wav(HUM)
    url = (await upload(client, file))["url"]
    async with client.get(url, headers={"Range": "bytes=4-11"}) as response:
        assert (response.status, await response.read()) == (206, file[4:12])
        assert response.headers["Content-Range"] == f"bytes 4-11/{len(file)}"
    async with client.get(url, headers={"Range": f"bytes={len(file)}-"}) as response:
        assert response.status == 416
    async with client.head(url) as response:
        assert (response.status, response.content_length) == (200, len(file))


async def test_a_clip_is_taken_as_json(client: Client) -> None:
    async with client.post(CLIPS, json={"audio": data_url(2), "name": "x"}) as response:
        assert response.status == 201
        assert response.headers["X-Ignored-Fields"] == "name"
        assert (await response.json())["duration_ms"] == 2000


async def test_a_clip_that_is_deleted_is_gone(client: Client, tmp_path: Path) -> None:
    clip = await upload(client, wav(HUM))
    async with client.delete(clip["url"]) as response:
        assert await response.json() == {"id": clip["id"], "deleted": True}
    assert list((tmp_path / "clips").iterdir()) == []
    for method in ("GET", "DELETE"):
        async with client.request(method, clip["url"]) as response:
            assert (await refused(response))[1]["code"] == "not_found"


async def test_a_clip_whose_file_is_gone_is_not_found(client: Client, tmp_path: Path) -> None:
    clip = await upload(client, wav(HUM))
    for path in (tmp_path / "clips").iterdir():
        path.unlink()
    async with client.get(clip["url"]) as response:
        status, error = await refused(response)
    assert (status, error["code"]) == (404, "not_found")
    assert "missing" in error["message"]


async def test_a_clip_is_there_after_a_restart_and_not_when_its_day_is_over(tmp_path: Path) -> None:
    async with over(tmp_path) as client:
        url = (await upload(client, wav(HUM)))["url"]
    async with over(tmp_path) as client, client.get(url) as response:
        assert await response.read() == wav(HUM)
    async with over(tmp_path, keep_seconds=0.0) as client, client.get(url) as response:
        assert (await refused(response))[0] == 404
        clip = await upload(client, wav(HUM))
        assert datetime.fromisoformat(clip["expires_at"]).timestamp() <= time.time()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"json": {"audio": "/etc/passwd"}}, 400, "no other URL or path"),
        ({"json": {"audio": "http://127.0.0.1/x.wav"}}, 400, "no other URL or path"),
        ({"json": {"audio": "data:text/html;base64,AAAA"}}, 400, "no other URL or path"),
        ({"json": {"audio": "data:audio/wav;base64,AAAA"}}, 400, "must be a WAV"),
        ({"json": {}}, 400, "audio is missing"),
        ({"json": []}, 400, "JSON object"),
        ({"data": b"RIFF"}, 415, "application/json"),
        ({"data": form(("sound", b"RIFF"))}, 400, "'file'"),
        ({"data": form(("file", b"<script>alert(1)</script>"))}, 400, "must be a WAV"),
        ({"data": form(("file", wav(HUM)), ("file", wav(HUM)))}, 400, "twice"),
        ({"data": form(("file", wav(np.zeros(0, np.float32))))}, 400, "no audio"),
        ({"data": form(("file", wav(HUM)[:30]))}, 400, "damaged"),
    ],
    ids=range(12),
)
async def test_what_is_no_sound_is_not_taken(
    client: Client, tmp_path: Path, body: dict[str, Any], status: int, said: str
) -> None:
    async with client.post(CLIPS, **body) as response:
        told, error = await refused(response)
    assert (told, said in error["message"]) == (status, True), error
    assert list((tmp_path / "clips").iterdir()) == []


async def test_a_clip_has_at_most_ten_minutes(client: Client) -> None:
    """However small its file is."""
    minutes = wav(np.zeros(601 * 8_000, np.float32), 8_000, "FLAC")
    assert len(minutes) < 100_000
    async with client.post(CLIPS, data=form(("file", minutes))) as response:
        status, error = await refused(response)
    assert (status, error["code"]) == (413, "payload_too_large")
    assert "600 seconds" in error["message"]


async def test_a_clip_has_at_most_25_mib(client: Client) -> None:
    for size in (2**20, 25 * 2**20 + 1):
        file = wav(HUM) + bytes(size - len(wav(HUM)))
        async with client.post(CLIPS, data=form(("file", file))) as response:
            assert response.status == (201 if size < 2**21 else 413)
            told = await response.text()
    assert "larger than the allowed 26 MB." in told


async def test_a_full_disk_is_told_and_leaves_nothing(client: Client, tmp_path: Path) -> None:
    """Here its folder is gone, and a file in its place."""
    (tmp_path / "clips").rmdir()
    (tmp_path / "clips").write_bytes(b"")
    async with client.post(CLIPS, data=form(("file", wav(HUM)))) as response:
        status, error = await refused(response)
    assert (status, error["code"]) == (507, "storage_failed")
    assert str(tmp_path) not in json.dumps(error)


@pytest.mark.parametrize(
    "clip_id", ["nobody", "636ef76e-5d6e-4966-9139-f8e9a98e3608", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 4000]
)
async def test_what_is_no_id_is_not_found(client: Client, clip_id: str) -> None:
    for method in ("GET", "HEAD", "DELETE"):
        async with client.request(method, URL(f"{CLIPS}/{clip_id}", encoded=True)) as response:
            assert response.status == 404


def test_every_kind_of_clip_has_a_media_type() -> None:
    assert set(CLIP_TYPES) == set(EXTENSIONS)
    assert all(media_type.startswith("audio/") for media_type in CLIP_TYPES.values())
