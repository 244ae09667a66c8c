"""`bench wyoming`: the real server over TCP, asked by some clients at once, each for another text.

Gates first: answers are whole, differ, and are the same samples whoever else is served. Knows no tensors.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.tts import Synthesize, SynthesizeVoice

from wyoming_qwen3.core.checkpoints import Checkpoint, Size
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.engine.native import NativeEngine
from wyoming_qwen3.engine.wire import Audio, Submit

from . import texts
from .fresh import in_fresh_process
from .listening import Chunk, p50_p95, stalls, unfairness
from .machine import describe_machine
from .random_weights import SIZES, write_checkpoint
from .serving import Started, cpu_seconds, serving

_VOICE, _LANGUAGE, _SEED = "ryan", "english", 1
_TOLERANCE = 2e-3
"""Of the sound's standard deviation: the codec rounds differently in other chunks."""


@dataclass(frozen=True)
class Plan:
    """What is measured: `clients` are the numbers of those that ask at once, `runs` how often they do.

    `random` weights, whose `size` may also be "tiny", are written into `models_dir` where it has none of that size, and
    are kept only if there is one.
    """

    models_dir: Path | None
    random: bool
    size: str
    device: str
    quantize: str
    clients: tuple[int, ...]
    text: Literal["short", "long"]
    runs: int

    @property
    def checkpoint(self) -> Checkpoint:
        """What the server speaks with."""
        size: Size = "1.7B" if self.size == "1.7B" else "0.6B"
        return Checkpoint("custom_voice", size)

    @property
    def rows_are_exact(self) -> bool:
        """Whether a row's numbers do not depend on the rows beside it, as products of PyTorch's do."""
        return self.device == "cpu" and self.quantize != "none"

    def asked(self, client: int) -> str:
        """The text that a client asks for."""
        return texts.sentence(client) if self.text == "short" else texts.answer(client)


@dataclass(frozen=True)
class Figures:
    """Of so many clients at once, over all runs. Milliseconds are from the request."""

    first_ms_p50: float
    first_ms_p95: float
    worst_by_mean: float
    """Time to the first sound, median over the runs: 1 where nobody is served before others."""

    answers: int
    stalls: int
    """Of all these answers together, where playback in real time began with the first chunk."""

    stall_s: float
    audio_s: float
    """Median length of an answer."""

    audio_s_per_s: float
    last_ms_p50: float
    last_ms_p95: float
    server_cpu: float
    """Of one core, by the server's process without its engine, for each second of audio."""


@dataclass(frozen=True)
class Overhead:
    """Milliseconds to the first sound of the same text, p50: of the engine in process, and of a client over TCP."""

    engine_ms: float
    tcp_ms: float

    @property
    def added_ms(self) -> float:
        """What server, pipe and TCP add."""
        return self.tcp_ms - self.engine_ms


@dataclass(frozen=True)
class Report:
    """All that a run found; without passed gates there are no figures."""

    machine: dict[str, Any]
    run: dict[str, Any]
    gates: dict[str, bool]
    clients: dict[str, Figures]
    overhead: Overhead | None = None

    @property
    def passed(self) -> bool:
        """Whether the figures mean anything."""
        return all(self.gates.values())


@dataclass(frozen=True)
class Heard:
    """An answer: its chunks, its samples in int16, and the seconds until its end."""

    chunks: list[Chunk]
    audio: bytes
    last: float

    @property
    def first(self) -> float:
        """Seconds until the first sound."""
        return self.chunks[0].at

    @property
    def seconds(self) -> float:
        """Of sound."""
        return sum(chunk.seconds for chunk in self.chunks)


@dataclass(frozen=True)
class Round:
    """All clients' answers of one run, and the server's processor time in it."""

    heard: list[Heard]
    cpu: float

    @property
    def audio(self) -> float:
        """Seconds of sound, of all answers together."""
        return sum(answer.seconds for answer in self.heard)

    @property
    def wall(self) -> float:
        """Seconds until the last answer was whole."""
        return max(answer.last for answer in self.heard)


async def run(plan: Plan, tell: Callable[[str], None]) -> Report:
    """Carry the plan out; `tell` is given a line on each step. Raises EngineFailed where an answer is not whole."""
    machine = describe_machine(plan.device)
    async with _models(plan, tell) as models_dir:
        engine_ms = None
        if 1 in plan.clients and plan.text == "short":
            tell("Measuring the engine alone")
            engine = partial(in_fresh_process, first_sounds, plan, models_dir / plan.checkpoint.name)
            engine_ms = 1e3 * median(await asyncio.to_thread(engine))
        tell("Starting a server")
        async with serving(_options(plan, models_dir)) as server:
            alone = await _ask(server.uri, plan.asked(0))
            rounds = {
                count: [await _round(plan, server, count, tell) for _ in range(plan.runs)] for count in plan.clients
            }
    gates = check(plan, alone, list(chain.from_iterable(rounds.values())))
    if not all(gates.values()):
        return Report(machine, _description(plan), gates, {})
    figures = {str(count): _figures(found) for count, found in rounds.items()}
    overhead = None if engine_ms is None else Overhead(engine_ms, figures["1"].first_ms_p50)
    return Report(machine, _description(plan), gates, figures, overhead)


def first_sounds(plan: Plan, checkpoint: Path) -> list[float]:
    """Seconds to the first samples of the first client's text, of the engine in this process; warm."""
    engine = NativeEngine(plan.device, "auto", plan.quantize)
    engine.load(plan.checkpoint, checkpoint)
    request = SpeechRequest(find_voice(_VOICE)[0], find_language(_LANGUAGE), sampling=Sampling(seed=_SEED))
    found = []
    for number in range(plan.runs + 1):
        start = time.perf_counter()
        engine.admit(Submit(number, plan.checkpoint, request, plan.asked(0), live=False, credit=0))
        while not any(isinstance(output, Audio) for output in engine.step([number])):
            pass
        found.append(time.perf_counter() - start)
        engine.cancel(number)
    return found[1:]


@asynccontextmanager
async def _models(plan: Plan, tell: Callable[[str], None]) -> AsyncIterator[Path]:
    """The folder of checkpoints, which is there as long as this is open."""
    with TemporaryDirectory(prefix="wyoming-qwen3-bench-") as passing:
        folder = plan.models_dir or Path(passing)
        path = folder / plan.checkpoint.name
        if plan.random and not path.exists():
            tell("Writing random weights")
            sentences = [texts.sentence(number) for number in range(texts.COUNT)]
            await asyncio.to_thread(in_fresh_process, write_checkpoint, path, SIZES[plan.size], 0, sentences)
        yield folder


def _options(plan: Plan, models_dir: Path) -> list[str]:
    options = {
        "--models-dir": models_dir,
        "--model": plan.checkpoint.size,
        "--device": plan.device,
        "--quantize": plan.quantize,
        "--seed": _SEED,
        "--max-active": max(plan.clients),
    }
    return ["--local-files-only", *map(str, chain.from_iterable(options.items()))]


async def _round(plan: Plan, server: Started, count: int, tell: Callable[[str], None]) -> Round:
    """So many clients ask at once."""
    tell(f"Measuring {count} at once")
    before = cpu_seconds(server.pid)
    heard = await asyncio.gather(*(_ask(server.uri, plan.asked(client)) for client in range(count)))
    return Round(heard, cpu_seconds(server.pid) - before)


async def _ask(uri: str, text: str) -> Heard:
    """Have a text spoken on a connection of its own, which is open before the clock starts."""
    async with AsyncClient.from_uri(uri) as client:
        start = time.perf_counter()
        await client.write_event(Synthesize(text, SynthesizeVoice(_VOICE, _LANGUAGE)).event())
        chunks: list[Chunk] = []
        audio: list[bytes] = []
        while event := await client.read_event():
            now = time.perf_counter() - start
            if AudioChunk.is_type(event.type):
                chunk = AudioChunk.from_event(event)
                chunks.append(Chunk(now, chunk.seconds))
                audio.append(chunk.audio)
            elif AudioStop.is_type(event.type) and chunks:
                return Heard(chunks, b"".join(audio), now)
            elif Error.is_type(event.type):
                raise EngineFailed(f"The server answered with an error: {Error.from_event(event).text}")
    raise EngineFailed("The server hung up before an answer was whole.")


def check(plan: Plan, alone: Heard, rounds: Sequence[Round]) -> dict[str, bool]:
    """Whether each gate is passed; `alone` is the first client's answer when there was no other."""
    widest = max(rounds, key=lambda one: len(one.heard)).heard
    gates = {"different_texts_sound_different": len({answer.audio for answer in widest}) == len(widest)}
    if plan.rows_are_exact:
        gates["together_equals_alone"] = all(_same(one.heard[0].audio, alone.audio) for one in rounds)
    return gates


def _same(one: bytes, other: bytes) -> bool:
    """Whether two sounds are the same up to rounding."""
    if len(one) != len(other):
        return False
    first, second = (np.frombuffer(audio, "<i2").astype(np.float32) for audio in (one, other))
    return bool(np.abs(first - second).max() <= max(1.0, _TOLERANCE * second.std()))


def _figures(rounds: Sequence[Round]) -> Figures:
    heard = [answer for one in rounds for answer in one.heard]
    stood = [stalls(answer.chunks) for answer in heard]
    first = p50_p95([1e3 * answer.first for answer in heard])
    last = p50_p95([1e3 * answer.last for answer in heard])
    return Figures(
        first_ms_p50=first[0],
        first_ms_p95=first[1],
        worst_by_mean=median(unfairness([answer.first for answer in one.heard]) for one in rounds),
        answers=len(heard),
        stalls=sum(one.count for one in stood),
        stall_s=sum(one.seconds for one in stood),
        audio_s=median(answer.seconds for answer in heard),
        audio_s_per_s=median(one.audio / one.wall for one in rounds),
        last_ms_p50=last[0],
        last_ms_p95=last[1],
        server_cpu=sum(one.cpu for one in rounds) / sum(one.audio for one in rounds),
    )


def _description(plan: Plan) -> dict[str, Any]:
    weights = f"random {plan.size}" if plan.models_dir is None else f"{plan.models_dir.name} {plan.size}"
    return {
        "weights": weights,
        "device": plan.device,
        "quantize": plan.quantize,
        "text": plan.text,
        "runs": plan.runs,
    }
