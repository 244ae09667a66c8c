"""`bench http`: what a batch and HTTP itself cost, measured on a server of its own over the checkpoints there are.

Gates first: a batch must be the very samples of its texts spoken one by one. Knows no tensors.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.core.request import SAMPLE_RATE

from .machine import describe_machine
from .serving import serving

_TEXTS = (
    "The front door is open.",
    "It is seven degrees outside, and it will rain in the afternoon.",
    "The washing machine has finished.",
    "Good night, the lights in the kitchen are off now.",
    "Your next appointment is at ten o'clock with the dentist.",
    "The dog is in the garden again.",
    "Somebody is at the gate, shall I open it?",
    "The battery of the motion sensor in the hall is almost empty.",
)


@dataclass(frozen=True)
class Plan:
    """What is measured: so many texts, so often, by a server over these checkpoints."""

    models_dir: Path
    size: Size
    device: str
    texts: int
    runs: int


@dataclass(frozen=True)
class Figures:
    """Medians over the runs. `speed_x` is seconds of audio per second of wall time, all texts together."""

    wall_s: float
    speed_x: float
    first_byte_ms: float | None = None


@dataclass(frozen=True)
class Report:
    """All that a run found; without passed gates there are no figures."""

    machine: dict[str, Any]
    run: dict[str, Any]
    gates: dict[str, bool]
    systems: dict[str, Figures]

    @property
    def passed(self) -> bool:
        """Whether the figures mean anything."""
        return all(self.gates.values())

    @property
    def batch_gain(self) -> float:
        """How many times faster a batch is than its texts one after the other."""
        return self.systems["single"].wall_s / self.systems["batch"].wall_s


@dataclass(frozen=True)
class _Spoken:
    """What one round of the texts gave: their samples, seconds in all, and until each text's first byte."""

    audio: list[bytes]
    wall: float
    first: list[float]


async def run(plan: Plan, tell: Callable[[str], None]) -> Report:
    """Carry the plan out; `tell` is given a line on each step. Raises EngineFailed where the server won't answer."""
    bodies = [_body(_TEXTS[number % len(_TEXTS)]) for number in range(plan.texts)]
    tell("Starting a server")
    options = [
        "--models-dir",
        str(plan.models_dir),
        "--model",
        plan.size,
        "--device",
        plan.device,
        "--local-files-only",
    ]
    async with serving(options) as server, aiohttp.ClientSession(server.url) as client:
        await _single(client, bodies[:1])
        rounds: dict[str, list[_Spoken]] = {}
        for name, speak in (("single", _single), ("concurrent", _concurrent), ("batch", _batch)):
            tell(f"Measuring {name}")
            rounds[name] = [await speak(client, bodies) for _ in range(plan.runs)]
    expected = rounds["single"][0].audio
    gates = {f"{name} equals single": all(one.audio == expected for one in spoken) for name, spoken in rounds.items()}
    described = {"texts": plan.texts, "runs": plan.runs, "size": plan.size, "checkpoints": str(plan.models_dir.name)}
    systems = {name: _figures(spoken) for name, spoken in rounds.items()} if all(gates.values()) else {}
    return Report(describe_machine(plan.device), described, gates, systems)


async def _single(client: aiohttp.ClientSession, bodies: list[dict[str, Any]]) -> _Spoken:
    """One text after the other."""
    started = time.perf_counter()
    told = [await _speak(client, body) for body in bodies]
    return _Spoken([audio for audio, _ in told], time.perf_counter() - started, [first for _, first in told])


async def _concurrent(client: aiohttp.ClientSession, bodies: list[dict[str, Any]]) -> _Spoken:
    """As many clients as texts."""
    started = time.perf_counter()
    told = await asyncio.gather(*(_speak(client, body) for body in bodies))
    return _Spoken([audio for audio, _ in told], time.perf_counter() - started, [first for _, first in told])


async def _batch(client: aiohttp.ClientSession, bodies: list[dict[str, Any]]) -> _Spoken:
    """All texts in one request."""
    started = time.perf_counter()
    async with client.post("/v1/audio/speech/batch", json={"items": bodies}) as answer:
        results = (await _checked(answer).json())["results"]
    if failed := [result for result in results if result["status"] != "success"]:
        raise EngineFailed(f"A batch failed: {failed[0]['error']['message']}")
    return _Spoken([base64.b64decode(result["audio_data"]) for result in results], time.perf_counter() - started, [])


async def _speak(client: aiohttp.ClientSession, body: dict[str, Any]) -> tuple[bytes, float]:
    """The samples of a text, and the seconds until the first of them."""
    started = time.perf_counter()
    async with client.post("/v1/audio/speech", json=body) as answer:
        audio = await _checked(answer).content.readany()
        first = time.perf_counter() - started
        return audio + await answer.read(), first


def _checked(answer: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    if answer.status != 200:
        raise EngineFailed(f"The server answered {answer.status} {answer.reason}.")
    return answer


def _body(text: str) -> dict[str, Any]:
    return {"input": text, "voice": "Ryan", "language": "English", "response_format": "pcm", "temperature": 0}


def _figures(rounds: list[_Spoken]) -> Figures:
    seconds = sum(map(len, rounds[0].audio)) / 2 / SAMPLE_RATE
    wall = median(one.wall for one in rounds)
    first = [1e3 * value for one in rounds for value in one.first]
    return Figures(wall, seconds / wall, median(first) if first else None)
