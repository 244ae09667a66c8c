"""The started program, asked over the Wyoming protocol as Home Assistant asks."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
import pytest
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

from tests.conftest import CUSTOM_VOICE, Answer, Server, StartServer, collect, environment, synthesize
from tests.ports import free_port
from tests.waiting import HANG_SECONDS, at_rest, processor_seconds, until

ROOT = Path(__file__).resolve().parent.parent
SENTENCE = "The front door is open."


@pytest.fixture(scope="module")
def standby(start_shared_server: StartServer) -> Server:
    """A server without checkpoints and without a hub."""
    return start_shared_server("--model", "0.6B")


@pytest.fixture(scope="module")
def qwen3(start_shared_server: StartServer, models_dir: Path) -> Server:
    """A server that speaks with the tiny 0.6B CustomVoice, and only with it."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--temperature", "0")
    return start_shared_server(*options, "--no-download", "--quantize", "none")


async def describe(uri: str) -> Info:
    """The server's Info."""
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
    assert event is not None
    return Info.from_event(event)


async def stream(client: AsyncClient, words: list[str], pause: float = 0.0) -> AsyncIterator[None]:
    """Send a stream of words as Home Assistant sends it, yielding before each event."""
    yield
    await client.write_event(SynthesizeStart().event())
    for word in words:
        yield
        await client.write_event(SynthesizeChunk(text=word).event())
        await asyncio.sleep(pause)
    await client.write_event(Synthesize(text="".join(words)).event())
    await client.write_event(SynthesizeStop().event())
    yield


async def ask_streaming(uri: str, *words: str, pause: float = 0.0) -> Answer:
    """The answer to a stream of words."""
    async with AsyncClient.from_uri(uri) as client:
        async for _ in stream(client, list(words), pause):
            pass
        return await collect(client, "synthesize-stopped", "error")


def level(audio: bytes) -> float:
    """Root mean square, full scale = 1."""
    return float(np.sqrt(np.mean((np.frombuffer(audio, "<i2") / 32768.0) ** 2)))


# Without any checkpoint


async def test_a_fresh_server_speaks_at_once(start_server: StartServer) -> None:
    """With nothing prepared the standby voice answers, with every event in order."""
    standby = start_server()
    answer = await synthesize(standby.uri, SENTENCE)
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop"]
    assert answer.seconds > 1.0
    assert level(answer.audio) > 0.01
    start = answer.events[0].data
    assert (start["rate"], start["width"], start["channels"]) == (24_000, 2, 1)
    assert all(20 <= len(chunk.audio) / 48 <= 200 for chunk in answer.chunks)
    assert all(len(chunk.audio) % 2 == 0 and chunk.rate == 24_000 for chunk in answer.chunks)
    await standby.wait_for("Spoke source=wyoming voice=ryan language=auto model=standby characters=23 first_audio=")


async def test_the_missing_hub_is_one_clear_line(start_server: StartServer) -> None:
    standby = start_server("--model", "0.6B")
    await standby.wait_for("hub at 127.0.0.1:9 can't be reached")
    await synthesize(standby.uri, SENTENCE)
    await asyncio.sleep(0.5)
    assert standby.log.count("can't be reached") == 1
    assert "Traceback" not in standby.log


async def test_describe_lists_one_program_with_a_voice_for_each_speaker_and_language(standby: Server) -> None:
    info = await describe(standby.uri)
    (program,) = info.tts
    assert program.name == "qwen3-tts"
    assert program.installed
    assert program.supports_synthesize_streaming
    names = [voice.name for voice in program.voices]
    assert len(names) == len(set(names)) == 90
    assert names[:9] == [
        *("vivian-zh", "serena-zh", "uncle_fu-zh", "dylan-zh", "eric-zh"),
        *("ryan-zh", "aiden-zh", "ono_anna-zh", "sohee-zh"),
    ]
    assert next(name for name in names if name.endswith("-ja")) == "ono_anna-ja"
    assert all(voice.languages == [voice.name[-2:]] and voice.installed for voice in program.voices)
    shown = {voice.name: voice.description for voice in program.voices}
    assert shown["uncle_fu-zh"] == "Uncle Fu (man, native)"
    assert shown["ono_anna-de"] == "Ono Anna (woman, native Japanese)"


async def test_other_languages_are_told_what_is_missing(standby: Server) -> None:
    for text, voice in [("Hallo.", "ryan-de"), ("Die Haustür ist offen.", None)]:
        answer = await synthesize(standby.uri, text, voice)
        assert answer.types == ["error"]
        assert "Qwen3-TTS-12Hz-0.6B-CustomVoice" in answer.events[0].data["text"]
        assert answer.events[0].data["code"] in ("model_missing", "model_loading", "download_failed")


@pytest.mark.parametrize("text", ["", "  \n", "🎉", "...", "**", "\0"])
async def test_unspeakable_text_is_a_short_silence(standby: Server, text: str) -> None:
    for answer in (await synthesize(standby.uri, text), await ask_streaming(standby.uri, text)):
        assert answer.types[:3] == ["audio-start", "audio-chunk", "audio-stop"]
        assert answer.seconds == pytest.approx(0.2)
        assert level(answer.audio) == 0


async def test_pauses_are_silence(standby: Server) -> None:
    plain = await synthesize(standby.uri, "One. Two.")
    paused = await synthesize(standby.uri, "One. [pause:1.5s] Two.")
    assert paused.seconds - plain.seconds > 1.0
    ssml = Synthesize(text='<speak>One.<break time="1500ms"/>Two.</speak>', text_format="ssml").event()
    async with AsyncClient.from_uri(standby.uri) as client:
        await client.write_event(ssml)
        assert (await collect(client)).seconds == pytest.approx(paused.seconds, abs=0.3)


async def test_streamed_text_is_spoken_once(standby: Server) -> None:
    """The compatibility synthesize inside a stream is ignored, and the stream ends with synthesize-stopped."""
    streamed = await ask_streaming(standby.uri, "The front ", "door is", " open.")
    assert streamed.types == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
    whole = await synthesize(standby.uri, SENTENCE)
    assert streamed.seconds == pytest.approx(whole.seconds, abs=0.5)


async def test_requests_on_one_connection_are_answered_in_turn(standby: Server) -> None:
    async with AsyncClient.from_uri(standby.uri) as client:
        for text in ("One.", "Two."):
            await client.write_event(Synthesize(text=text).event())
        first, second = await collect(client), await collect(client)
    assert first.types == second.types == ["audio-start", "audio-chunk", "audio-stop"]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b"5\n",
        b'{"type": "synthesize"}\n',
        b'{"type": "synthesize", "data": {"text": 5}}\n',
        b'{"type": "synthesize", "data": {"text": "Hi", "voice": {"name": 5}}}\n',
        b'{"type": "synthesize-chunk", "data": {"text": "Hi"}}\n',
        b'{"type": "synthesize", "data": {"text": "Hi", "text_format": "html"}}\n',
        b'{"type": "synthesize-start", "data": 5}\n',
        b'{"type": 5}\n',
        b"\xff\xfe\n",
    ],
)
async def test_malformed_events_get_an_error_and_a_closed_connection(standby: Server, line: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", standby.port)
    writer.write(line)
    received = await asyncio.wait_for(reader.read(), HANG_SECONDS)
    writer.close()
    assert json.loads(received.splitlines()[0])["type"] == "error"
    await synthesize(standby.uri, "Still here.")
    assert "Traceback" not in standby.log


async def test_an_event_of_another_kind_is_ignored(standby: Server) -> None:
    async with AsyncClient.from_uri(standby.uri) as client:
        await client.write_event(Event("transcribe"))
        await client.write_event(Event("ping", {"text": "x"}))
        event = await client.read_event()
    assert event is not None
    assert (event.type, event.data) == ("pong", {"text": "x"})


async def test_sigterm_stops_everything_soon(start_server: StartServer) -> None:
    standby = start_server()
    await synthesize(standby.uri, SENTENCE)
    children = psutil.Process(standby.process.pid).children()
    assert children
    assert standby.stop() == 0
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in standby.log


async def test_sigterm_in_the_middle_of_speech_is_an_error(start_server: StartServer, models_dir: Path) -> None:
    """A truncated answer that ends well would be kept by Home Assistant."""
    server = start_server("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--no-download")
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(Synthesize(text=SENTENCE * 100).event())
        await collect(client, "audio-chunk")
        server.process.send_signal(signal.SIGTERM)
        answer = await collect(client)
    assert answer.events[-1].type == "error"
    assert answer.events[-1].data["code"] == "unavailable"
    assert await asyncio.to_thread(server.process.wait, HANG_SECONDS) == 0


async def test_the_port_taken_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port := free_port()))
        taken.listen()
        command = [sys.executable, "-m", "wyoming_qwen3", "--uri", f"tcp://127.0.0.1:{port}", "--standby", "off"]
        command += ["--data-dir", str(tmp_path), "--preload", "none", "--no-http"]
        result = subprocess.run(
            command, capture_output=True, text=True, env=environment(), timeout=HANG_SECONDS, check=False
        )
    assert result.returncode == 1
    assert "Can't serve at" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


async def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    path = tmp_path / "s"
    command = [
        sys.executable,
        "-m",
        "wyoming_qwen3",
        "--uri",
        f"unix://{path}",
        "--data-dir",
        str(tmp_path),
        "--no-http",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment())
    try:
        async with asyncio.timeout(HANG_SECONDS):
            while not path.exists():
                await asyncio.sleep(0.05)
        assert (await synthesize(f"unix://{path}", SENTENCE)).seconds > 1
        process.terminate()
        assert await asyncio.to_thread(process.wait, HANG_SECONDS) == 0
    finally:
        process.kill()


def test_standard_input_is_answered_to_its_end(tmp_path: Path) -> None:
    """Over stdio:// the answer is whole although the input ends before it, and stdout holds events alone."""
    command = [sys.executable, "-m", "wyoming_qwen3", "--uri", "stdio://", "--data-dir", str(tmp_path)]
    event = json.dumps({"type": "synthesize", "data": {"text": SENTENCE}}).encode() + b"\n"
    result = subprocess.run(
        command, input=event, capture_output=True, env=environment(), timeout=HANG_SECONDS, check=True
    )
    assert result.stdout.startswith(b'{"type": "audio-start"')
    assert b'{"type": "audio-stop"' in result.stdout


# With a checkpoint


async def test_the_sound_is_upstreams(qwen3: Server, models_dir: Path) -> None:
    """Greedy speech over TCP equals what qwen-tts makes of the same text, within 2 steps of int16."""
    import torch

    from wyoming_qwen3.engine.upstream import import_qwen_tts

    import_qwen_tts()
    from qwen_tts import Qwen3TTSModel

    answer = await synthesize(qwen3.uri, SENTENCE, "ryan-en")
    upstream = Qwen3TTSModel.from_pretrained(models_dir / CUSTOM_VOICE.name, dtype=torch.float32)
    (expected,), rate = upstream.generate_custom_voice(
        SENTENCE, "ryan", "english", do_sample=False, subtalker_dosample=False
    )
    assert rate == 24_000
    heard = np.frombuffer(answer.audio, "<i2").astype(int)
    assert heard.size == expected.size
    assert np.abs(heard - np.rint(expected * 32767)).max() <= 2
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop"]


async def heard_before_the_last(
    client: AsyncClient, words: list[str], meanwhile: Callable[[], Awaitable[object]]
) -> Answer:
    """The answer to a stream of words, of which the last is sent when the first audio has come."""
    begun, left = Answer(), len(words)
    async for _ in stream(client, words, 0.05):
        if left == 0:
            begun = await collect(client, "audio-chunk", "error")
        left -= 1
        await meanwhile()
    rest = await collect(client, "synthesize-stopped", "error")
    return Answer(begun.events + rest.events)


async def test_audio_starts_while_words_are_still_coming(qwen3: Server) -> None:
    """The first audio comes before the last word is sent, and describe answers meanwhile."""
    await synthesize(qwen3.uri, "Warm.")
    text = "The front door is open, and the light in the kitchen is still on. Shall I turn it off, or not?"
    words = text.split()
    async with AsyncClient.from_uri(qwen3.uri) as client:
        answer = await heard_before_the_last(client, [word + " " for word in words], lambda: describe(qwen3.uri))
    assert answer.types == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]


async def test_words_are_spoken_as_they_come_on_the_text_track(
    start_server: StartServer, models_dir: Path, tmp_path: Path
) -> None:
    """With --text-streaming token speech starts in the middle of the first clause, and is that of the whole text."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--temperature", "0")
    # On a busy machine words may be seconds apart, and a pause of one ends the stretch.
    (tmp_path / "sitecustomize.py").write_text(
        "from wyoming_qwen3.speech import text_feed\ntext_feed._PAUSE_SECONDS = text_feed._MAX_PAUSE_SECONDS = 3600.0\n"
    )
    variables = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    server = start_server(*options, "--no-download", "--text-streaming", "token", **variables)
    await synthesize(server.uri, "Warm.")
    words = [word + " " for word in "the door at the front of our house is still wide open".split()]
    async with AsyncClient.from_uri(server.uri) as client:
        slow = await heard_before_the_last(client, words, lambda: asyncio.sleep(0.05))
    fast = await ask_streaming(server.uri, *words, pause=0.02)
    assert slow.types == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
    assert len(slow.audio) == len(fast.audio)
    difference = np.frombuffer(slow.audio, "<i2").astype(int) - np.frombuffer(fast.audio, "<i2")
    assert np.abs(difference).max() <= 2


async def test_the_first_chunk_leaves_before_the_last_frame_is_made(qwen3: Server) -> None:
    """The engine is stopped after the first chunk: what is left does not come."""
    await synthesize(qwen3.uri, "Warm.")
    async with AsyncClient.from_uri(qwen3.uri) as client:
        await client.write_event(Synthesize(text=SENTENCE * 12).event())
        answer = await collect(client, "audio-chunk")
        (engine,) = qwen3.children("engine.host.process")
        os.kill(engine, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await collect(client, seconds=1.0)
        finally:
            os.kill(engine, signal.SIGCONT)  # other tests speak with it too
        rest = await collect(client)
    assert answer.types[-1] == "audio-chunk"
    assert rest.types[-1] == "audio-stop"


async def test_a_client_that_leaves_stops_the_engine(qwen3: Server) -> None:
    """The engine's processor time stands still soon after a disconnect in the middle of a long text."""
    await synthesize(qwen3.uri, "Warm.")
    (engine,) = (psutil.Process(pid) for pid in qwen3.children("engine.host.process"))
    used = processor_seconds(engine)
    spoken = await synthesize(qwen3.uri, SENTENCE)
    each = (processor_seconds(engine) - used) / spoken.seconds
    async with AsyncClient.from_uri(qwen3.uri) as client:
        await client.write_event(Synthesize(text=SENTENCE * 200).event())
        await collect(client, "audio-chunk")
    assert await at_rest(engine) < 10 * each, "It went on to the 20 seconds that it may be ahead of a listener."


async def test_many_disconnects_leak_nothing(qwen3: Server) -> None:
    """Threads, files and processes are as many after 200 clients that left in the middle as after 20."""

    async def leave() -> None:
        async with AsyncClient.from_uri(qwen3.uri) as client:
            await client.write_event(Synthesize(text=SENTENCE * 50).event())
            await collect(client, "audio-chunk")

    def held() -> list[tuple[int, int]]:
        server = psutil.Process(qwen3.process.pid)
        return [(process.num_threads(), process.num_fds()) for process in (server, *server.children())]

    def memory() -> int:
        server = psutil.Process(qwen3.process.pid)
        return sum(process.memory_info().rss for process in (server, *server.children()))

    for _ in range(20):
        await leave()
    await asyncio.sleep(0.3)
    before, rss = held(), memory()
    for _ in range(200):
        await leave()
    await until(lambda: all(now <= then for now, then in zip(chain(*held()), chain(*before), strict=True)))
    assert memory() - rss < 20 << 20
    assert (await synthesize(qwen3.uri, SENTENCE)).types[-1] == "audio-stop"


async def test_a_new_stream_stops_the_old_answer(qwen3: Server) -> None:
    async with AsyncClient.from_uri(qwen3.uri) as client:
        await client.write_event(Synthesize(text=SENTENCE * 200).event())
        await collect(client, "audio-chunk")
        async for _ in stream(client, ["No."]):
            pass
        answer = await collect(client, "synthesize-stopped", "error")
    assert answer.types[-3:] == ["audio-chunk", "audio-stop", "synthesize-stopped"]
    assert answer.types.count("audio-stop") == 1


async def test_a_slow_reader_costs_bounded_memory_and_holds_nobody_up(qwen3: Server) -> None:
    """A client that stops reading is generated ahead of only so far, while another is answered."""
    await synthesize(qwen3.uri, "Warm.")
    (engine,) = (psutil.Process(pid) for pid in qwen3.children("engine.host.process"))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the kernel holds minutes of audio
        slow.connect(("127.0.0.1", qwen3.port))
        slow.sendall(json.dumps({"type": "synthesize", "data": {"text": SENTENCE * 800}}).encode() + b"\n")
        await asyncio.to_thread(slow.recv, 1)
        assert (await synthesize(qwen3.uri, SENTENCE)).types[-1] == "audio-stop"
        await at_rest(engine)  # it has run out of credit
        assert psutil.Process(qwen3.process.pid).memory_info().rss < 300 << 20


async def test_two_clients_are_answered_alike(qwen3: Server) -> None:
    alone = await synthesize(qwen3.uri, SENTENCE, "vivian-en")
    both = await asyncio.gather(*(synthesize(qwen3.uri, SENTENCE, "vivian-en") for _ in range(2)))
    assert [answer.audio for answer in both] == [alone.audio] * 2


async def test_a_killed_engine_costs_one_answer(start_server: StartServer, models_dir: Path) -> None:
    """kill -9 in the middle of speech: an error and a closed connection, and the next request is answered."""
    server = start_server("--models-dir", str(models_dir), "--model", "0.6B", "--no-download")
    await server.wait_for("is ready")
    async with AsyncClient.from_uri(server.uri) as client:
        await client.write_event(Synthesize(text=SENTENCE * 100).event())
        await collect(client, "audio-chunk")
        for pid in server.children("engine.host.process"):
            if b"native" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        answer = await collect(client)
        assert answer.events[-1].type == "error"
        assert answer.events[-1].data["code"] == "engine_failed"
        assert await client.read_event() is None
    meanwhile = await synthesize(server.uri, SENTENCE)
    assert meanwhile.types[-1] == "audio-stop"
    async with asyncio.timeout(HANG_SECONDS):
        while server.log.count("is ready") < 2:
            await asyncio.sleep(0.05)
    await synthesize(server.uri, SENTENCE, "ryan-de")
    await server.wait_for("model=standby(.|\n)*model=Qwen3-TTS-12Hz-0.6B-CustomVoice")


async def test_idle_unload_ends_the_engine_and_the_next_request_starts_it(
    start_server: StartServer, models_dir: Path
) -> None:
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--idle-unload", "1")
    server = start_server(*options, "--no-download")
    await synthesize(server.uri, "Warm.")
    assert server.children("engine.host.process")
    await server.wait_for("was unloaded after 1 s without use")
    async with asyncio.timeout(HANG_SECONDS):
        while server.children("engine.host.process"):
            await asyncio.sleep(0.05)
    assert (await synthesize(server.uri, SENTENCE)).types[-1] == "audio-stop"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 20_000,
        "The quick brown fox. " * 950,
        "مرحبا بالعالم",
        "Hello\0world",
        "**never closed [link](http://",
        "```\ncode",
        "é" * 50 + "\ud83d",
        "1",
    ],
    ids=["one long word", "long", "right to left", "null byte", "open markdown", "open fence", "surrogate", "digit"],
)
async def test_odd_texts_are_spoken_or_refused_but_never_hang(qwen3: Server, text: str) -> None:
    payload = json.dumps({"type": "synthesize", "data": {"text": text}}).encode() + b"\n"
    header = json.dumps({"type": "synthesize", "data_length": len(json.dumps({"text": text}))}).encode() + b"\n"
    body = header + json.dumps({"text": text}).encode() if len(payload) > 60_000 else payload
    async with AsyncClient.from_uri(qwen3.uri) as client:
        assert client._writer is not None
        client._writer.write(body)
        answer = await collect(client, *(("audio-chunk", "error") if len(text) > 1000 else ()))
    assert answer.types[-1] in ("audio-stop", "error", "audio-chunk")
    assert answer.types[-1] != "error" or answer.events[-1].data["text"]
    assert "Traceback" not in qwen3.log
