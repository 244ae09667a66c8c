"""What every client must have got: speech, whole, of the right model, with the right warnings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import av

from .conftest import Form, Ran
from .recorder import Exchange

PROMPT = "You are the voice assistant of a home. Answer briefly, kindly and without markdown. " * 6
"""A system prompt of 500 characters."""

_PROMPT_WARNING = "The instructions are taken as a system prompt"
_PADDING_SECONDS = 0.12
"""How much longer an MP3, Opus or AAC file may be than the speech in it."""


def seconds(path: Path) -> float:
    """Length of an audio file, every frame of which must decode; .pcm has 16 bits and 24 kHz."""
    if path.suffix == ".pcm":
        return path.stat().st_size / 2 / 24_000
    with av.open(path) as file:
        return sum(frame.samples for frame in file.decode(audio=0)) / file.streams.audio[0].rate


async def check_spoken(ran: Ran, *files: str) -> None:
    """All requests were answered with speech, and the client has all of it, in one file for each."""
    for exchange, name in zip(ran.spoken, files, strict=True):
        length, got = await _check_answer(ran, exchange), seconds(ran.folder / name)
        assert 0 <= round(got - length, 4) < _PADDING_SECONDS, f"{name} has {got} of {length} s"


async def check_realtime(ran: Ran, file: str, *, prompt: bool = False, style: str | None = None) -> None:
    """The response of the one WebSocket is completed, and the client has all of its audio.

    `prompt` says that the instructions were a system prompt, which is told and not followed; `style` that they are.
    """
    (socket,) = ran.sockets
    assert socket.events("error") == []
    (response,) = (event["response"] for event in socket.events("response.done"))
    assert (response["status"], response["status_details"]) == ("completed", None)
    told = [one for event in socket.received for one in event.get("warnings", [])] + response.get("warnings", [])
    assert any(one.startswith(_PROMPT_WARNING) for one in told) == prompt, told
    plain = [one for one in response.get("warnings", []) if not one.startswith(_PROMPT_WARNING)]
    check_warnings(ran.form, " ".join(plain), instructions=style is not None)
    said = {"input": response["output"][0]["content"][0]["transcript"], "instructions": style}
    length = await _whole_seconds(ran, said | {"voice": response["audio"]["output"]["voice"]})
    got = seconds(ran.folder / file)
    assert abs(got - length) < 0.001, f"{file} has {got} of {length} s"


def check_warnings(form: Form, warning: str, *, instructions: bool) -> None:
    """The warning says all that was not met of a request, and nothing else."""
    wanted = [form.warning, form.style_warning if instructions else None]
    rest = warning
    for sentence in filter(None, wanted):
        assert sentence in rest, warning
        rest = rest.replace(sentence, "")
    assert "left out" not in rest, warning
    assert bool(warning) == any(wanted), warning


async def _check_answer(ran: Ran, exchange: Exchange) -> float:
    """A request was answered with speech, whole; its seconds."""
    assert exchange.status == 200, exchange.answer
    assert exchange.whole
    assert exchange.headers["X-Model-Used"] == ran.form.model
    told, styled = exchange.headers.get("X-Warning", ""), bool(exchange.fields.get("instructions"))
    check_warnings(ran.form, told, instructions=styled)
    length = await _whole_seconds(ran, exchange.fields)
    assert length > 1
    return length


async def _whole_seconds(ran: Ran, fields: Mapping[str, Any]) -> float:
    """Length of the speech of the same request, if the server sends it only when it is complete."""
    body = {name: value for name, value in fields.items() if name not in ("stream_format", "response_format")}
    body |= {"response_format": "wav", "stream": False}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{ran.server.url}/v1/audio/speech", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return int(answer.headers["X-Audio-Duration-Ms"]) / 1000
