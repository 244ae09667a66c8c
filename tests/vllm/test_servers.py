"""Speech through servers that behave, and through servers that don't."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vllm.conftest import over, patience, serving, speaking
from tests.vllm.server import Manner, VllmServer, tone, vllm
from tests.waiting import until
from wyoming_qwen3.audio import pcm
from wyoming_qwen3.core.errors import (
    BackendUnavailable,
    EngineFailed,
    InvalidRequest,
    QueueFull,
    RunawaySpeech,
    SpeechError,
)
from wyoming_qwen3.core.request import Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import find_language, find_voice
from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.vllm.row import AHEAD

RYAN = find_voice("ryan")[0]
ENGLISH = find_language("en")
REQUEST = SpeechRequest(RYAN, ENGLISH, sampling=Sampling(seed=7))
TEXT = "The front door is open."


async def say(services: Services, text: str = TEXT, request: SpeechRequest = REQUEST) -> bytes:
    async with services.synthesizer.open(request, "test") as session:
        session.add_text(text)
        session.end_text()
        return b"".join([pcm.to_int16(chunk) async for chunk in session])


@pytest.mark.parametrize(
    "manner",
    [
        Manner(),
        Manner(pieces=1001),
        Manner(pieces=7),
        Manner(sse=True),
        Manner(sse=True, pieces=333),
        Manner(content_type="audio/x-pcm"),
    ],
)
async def test_what_is_spoken_is_what_the_server_sent(tmp_path: Path, manner: Manner) -> None:
    server = serving(manner=manner)
    async with speaking(tmp_path, server) as services:
        assert await say(services) == tone(TEXT, 7)
    assert server.unknown == set()
    (heard,) = server.heard
    assert (heard.voice, heard.language, heard.seed) == ("ryan", "English", 7)
    assert (heard.response_format, heard.is_raw_audio_stream(), heard.model) == ("pcm", True, server.model)


async def test_sound_comes_while_more_is_made(tmp_path: Path) -> None:
    more = asyncio.Event()
    async with speaking(tmp_path, serving(manner=Manner(after=1, hold=more))) as services:
        async with services.synthesizer.open(REQUEST, "test") as session:
            session.add_text(TEXT)
            session.end_text()
            first = await anext(session.__aiter__())
            assert pcm.to_int16(first) == tone(TEXT, 7)[: 2 * first.size]
            more.set()
            assert [chunk async for chunk in session]
        assert session.report.model == "Qwen3-TTS-12Hz-1.7B-CustomVoice"
        assert (session.report.outcome, session.report.frames) == ("whole", len(TEXT))


@pytest.mark.parametrize(
    "manner",
    [
        Manner(status=500),
        Manner(status=503),
        Manner(status=429),
        Manner(status=400, message="Speech generation failed: the engine is dead"),
        Manner(content_type="text/html"),
        Manner(after=0, then="cut"),
        Manner(after=0, then="stall"),
        Manner(after=0, then="end"),
        Manner(hold=asyncio.Event()),
        Manner(sse=True, after=0, then="error"),
        Manner(sse=True, after=0, then="end"),
    ],
    ids=lambda manner: f"{manner.status} {manner.content_type} {manner.then} {manner.sse}",
)
async def test_what_fails_before_its_first_sound_is_spoken_by_another(tmp_path: Path, manner: Manner) -> None:
    first, second = serving(), serving()
    first.manners.append(manner)
    async with speaking(tmp_path, first, second, timeouts=patience(manner)) as services:
        assert await say(services) == tone(TEXT, 7)
    assert len(first.heard) == len(second.heard) == 1


@pytest.mark.parametrize(
    ("manner", "times", "error", "said"),
    [
        (Manner(status=500), 2, EngineFailed, "failed (500: told to fail)"),
        (Manner(after=0, then="cut"), 2, EngineFailed, "broke off the connection"),
        (Manner(after=0, then="stall"), 2, EngineFailed, "has sent nothing for too long"),
        (Manner(after=0, then="end"), 2, EngineFailed, "sent no audio"),
        (Manner(content_type="text/html"), 2, EngineFailed, "text/html instead of PCM"),
        (Manner(sse=True, after=0, then="error"), 2, EngineFailed, "the engine died"),
        (Manner(status=429), 1, QueueFull, "accepts no more"),
        (Manner(status=503), 1, BackendUnavailable, "not ready (503"),
        (Manner(status=400, message="Instructions too long"), 1, InvalidRequest, "refused this request: Instructions"),
        (Manner(status=404), 1, BackendUnavailable, "no longer serves what it reported"),
        (Manner(status=401), 1, BackendUnavailable, "API key"),
        (Manner(after=1, then="cut"), 1, EngineFailed, "broke off the connection"),
        (Manner(after=1, then="stall"), 1, EngineFailed, "has sent nothing for too long"),
        (Manner(after=1, then="error", sse=True), 1, EngineFailed, "the engine died"),
        (Manner(after=1, then="end", sse=True), 1, EngineFailed, "broke off its stream"),
        (Manner(after=1, pieces=1001, then="end"), 1, EngineFailed, "within a sample"),
        (Manner(frames=192), 1, RunawaySpeech, "did not end within the 192 frames"),
    ],
)
async def test_what_one_server_alone_does_wrong_is_an_error(
    tmp_path: Path, manner: Manner, times: int, error: type[SpeechError], said: str
) -> None:
    """It is asked again, once, for what it has broken off before its first sound."""
    server = serving(manner=manner)
    async with speaking(tmp_path, server, timeouts=patience(manner)) as services:
        with pytest.raises(error) as raised:
            await say(services)
        assert said in str(raised.value)
        assert f"127.0.0.1:{server.port}" in str(raised.value) or error is RunawaySpeech
    assert len(server.heard) == times


async def test_a_client_that_leaves_closes_the_request(tmp_path: Path) -> None:
    server = serving(manner=Manner(after=1, hold=asyncio.Event()))
    async with speaking(tmp_path, server) as services:
        async with services.synthesizer.open(REQUEST, "test") as session:
            session.add_text(TEXT)
            session.end_text()
            await anext(session.__aiter__())
            assert server.speaking == 1
        await until(lambda: server.left == 1)
        assert services.servers
        assert [status.active for status in services.servers.statuses()] == [0]


async def test_the_next_piece_is_asked_for_while_the_present_one_plays(tmp_path: Path) -> None:
    server = serving()
    async with speaking(tmp_path, server) as services, services.synthesizer.open(REQUEST, "test") as session:
        session.add_text("One sentence. " + "Another that is longer, so that it is a piece of its own. " * 6)
        session.end_text()
        await anext(session.__aiter__())
        await until(lambda: len(server.heard) == 2)
        assert [chunk async for chunk in session]
    assert session.report.outcome == "whole"
    assert {heard.seed for heard in server.heard} == {7}


async def test_a_listener_that_does_not_listen_holds_the_server_up(tmp_path: Path) -> None:
    """What is read ahead is bounded, and then TCP is full."""
    frames = 2800
    server = serving()
    server.manners.append(Manner(frames=frames))
    async with speaking(tmp_path, server) as services, services.synthesizer.open(REQUEST, "test") as session:
        session.add_text("9" * 300)  # digits may take long, so that so many frames are no runaway
        session.end_text()
        chunks = session.__aiter__()
        samples = (await anext(chunks)).size
        sent = -1
        while sent < server.sent:  # until it can't send any more
            sent = server.sent
            await asyncio.sleep(0.3)
        assert 2 * AHEAD < sent < 2 * 1920 * frames
        samples += sum([chunk.size async for chunk in chunks])
    assert samples == frames * 1920


async def test_connections_are_used_again(tmp_path: Path) -> None:
    server = serving()
    async with speaking(tmp_path, server) as services:
        for _ in range(5):
            await say(services)
        assert len(server.connections) == 1


async def test_requests_go_to_the_server_that_has_least_to_do(tmp_path: Path) -> None:
    held = asyncio.Event()
    servers = [serving(manner=Manner(after=1, hold=held)) for _ in range(3)]
    async with speaking(tmp_path, *servers) as services:
        tasks = [asyncio.create_task(say(services)) for _ in range(6)]
        await until(lambda: sum(server.speaking for server in servers) == 6)
        assert [server.speaking for server in servers] == [2, 2, 2]
        held.set()
        await asyncio.gather(*tasks)


async def test_a_server_that_is_killed_among_200_requests(tmp_path: Path) -> None:
    """Those not yet speaking all succeed, those speaking end in an error; it is avoided, and comes back by itself."""
    servers = [serving(manner=Manner(pace=40.0)) for _ in range(3)]
    victim = servers[0]
    begun: set[int] = set()
    failed: set[int] = set()
    whole: set[int] = set()

    async def ask(number: int) -> None:
        text = f"Number {number} of two hundred is spoken here."
        request = replace(REQUEST, sampling=Sampling(seed=number))
        audio = b""
        try:
            async with services.synthesizer.open(request, "test") as session:
                session.add_text(text)
                session.end_text()
                async for chunk in session:
                    audio += pcm.to_int16(chunk)
                    begun.add(number)
        except EngineFailed:
            failed.add(number)
        else:
            assert audio == tone(text, number)
            whole.add(number)

    async with speaking(tmp_path, *servers) as services:
        watched = services.servers
        assert watched
        places = asyncio.Semaphore(30)

        async def take_turns(number: int) -> None:
            async with places:
                await ask(number)

        tasks = [asyncio.create_task(take_turns(number)) for number in range(200)]
        await until(lambda: len(whole) >= 40)
        victim.manners.extend(Manner(after=1, hold=asyncio.Event()) for _ in range(3))  # three begin and do not end
        before = len(victim.heard)
        await until(lambda: not victim.manners and begun >= {heard.seed for heard in victim.heard[before : before + 3]})
        await victim.stop()
        asked = len(victim.heard)
        await asyncio.gather(*tasks)
        assert len(whole) + len(failed) == 200
        assert failed >= {heard.seed for heard in victim.heard[before : before + 3]}
        assert failed <= begun & {heard.seed for heard in victim.heard}
        assert len(victim.heard) == asked
        assert [status.up for status in watched.statuses()] == [False, True, True]
        await victim.start()
        await until(lambda: watched.statuses()[0].up)
        await asyncio.gather(*(say(services) for _ in range(6)))
        assert len(victim.heard) > asked


async def test_half_of_the_servers_may_be_dead(tmp_path: Path) -> None:
    servers = [serving() for _ in range(4)]
    async with speaking(tmp_path, *servers) as services:
        for server in servers[::2]:
            await server.stop()
        assert {len(await say(services)) for _ in range(8)} == {len(tone(TEXT, 7))}


async def test_the_key_is_sent(tmp_path: Path) -> None:
    server = serving(api_key="secret")
    async with vllm(server):
        async with over(tmp_path, server.url, api_key="secret") as services:
            assert await say(services) == tone(TEXT, 7)
        async with over(tmp_path, server.url, api_key="wrong") as services:
            with pytest.raises(BackendUnavailable, match="does not accept the API key"):
                await say(services)


async def test_a_server_may_start_later(tmp_path: Path) -> None:
    server = serving()
    async with over(tmp_path, server.url) as services:
        with pytest.raises(BackendUnavailable, match="can't be reached"):
            await say(services)
        async with vllm(server):
            await until(lambda: services.servers is not None and services.servers.statuses()[0].up)
            assert await say(services) == tone(TEXT, 7)


async def test_a_server_that_says_it_is_not_well_is_not_asked(tmp_path: Path) -> None:
    ill, well = serving(healthy=False), serving()
    async with speaking(tmp_path, ill, well) as services:
        for _ in range(3):
            await say(services)
    assert not ill.heard


async def test_what_no_server_serves_is_refused(tmp_path: Path) -> None:
    async with speaking(tmp_path, serving("base", "0.6B")) as services:
        with pytest.raises(SpeechError, match="None of the vLLM servers serves CustomVoice"):
            await say(services)


async def test_the_standby_voice_stands_in_for_all(tmp_path: Path) -> None:
    """And leaves again, without a restart."""
    server: VllmServer = serving()
    async with over(tmp_path, server.url, standby="auto") as services:
        await services.standby.warm()
        async with services.synthesizer.open(REQUEST, "test") as session:
            session.add_text(TEXT)
            session.end_text()
            assert [chunk async for chunk in session]
        assert session.report.model == "standby"
        with pytest.raises(BackendUnavailable):
            await say(services, "Die Tür ist offen.", replace(REQUEST, language=find_language("de")))
        async with vllm(server):
            await until(lambda: services.servers is not None and services.servers.statuses()[0].up)
            assert await say(services) == tone(TEXT, 7)
