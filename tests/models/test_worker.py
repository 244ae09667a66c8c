"""The engine process seen from the server, with tiny checkpoints: rows and jobs over the pipe, and its death."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from tests.parts import busy
from tests.tiny import CODES
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import EngineFailed, InvalidRequest
from wyoming_qwen3.core.request import CodeArray, FloatArray, Reference, Sampling, SpeechRequest
from wyoming_qwen3.core.speakers import SPEAKERS
from wyoming_qwen3.models import child_process
from wyoming_qwen3.models.worker import CREDIT, EngineRow, Worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

CUSTOM = Checkpoint("custom_voice", "0.6B")
BASE = Checkpoint("base", "0.6B")
REQUEST = SpeechRequest(SPEAKERS[5], sampling=Sampling(temperature=0.0))
TEXT = "The front door is open."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(models_dir: Path) -> AsyncIterator[Worker]:
    worker = Worker("native", ["--device", "cpu", "--log-level", "WARNING"])
    for checkpoint in (CUSTOM, BASE):
        await worker.load(checkpoint, models_dir / checkpoint.name)
    yield worker
    await worker.stop()


def noise(seconds: float, rate: int = 24_000) -> FloatArray:
    return np.random.default_rng(3).normal(0, 0.1, int(seconds * rate)).astype(np.float32)


def random_codes(frames: int) -> CodeArray:
    return np.random.default_rng(frames).integers(0, CODES, (frames, 16))


async def listen(row: EngineRow) -> FloatArray:
    with row:
        return np.concatenate([chunk async for chunk in row])


async def test_hello_is_there_while_the_process_is_up(worker: Worker) -> None:
    assert Worker("native").hello is None
    assert worker.hello is not None
    assert worker.hello == await worker.start()
    assert worker.hello.selection.device == "cpu"


@pytest.mark.parametrize("text", [None, "What the clip says."])
async def test_a_clone_prompt_is_the_one_that_is_extracted_here(
    worker: Worker, models_dir: Path, text: str | None
) -> None:
    import torch

    from wyoming_qwen3.engine.checkpoint.published import open_checkpoint, open_codec
    from wyoming_qwen3.engine.codec.encoder import clone_prompt

    reference = Reference(noise(1.0, 16_000), 16_000, text)
    folder = models_dir / BASE.name
    codec = open_codec(folder / "speech_tokenizer")
    expected = clone_prompt(open_checkpoint(folder), codec, reference, "cpu", torch.float32)
    prompt = await worker.clone(BASE, reference)
    np.testing.assert_array_equal(prompt.speaker_embedding, expected.speaker_embedding, strict=True)
    assert prompt.text == text
    if text is None:
        assert prompt.codes is None
    else:
        np.testing.assert_array_equal(prompt.codes, expected.codes, strict=True)
    assert (await listen(worker.submit(BASE, SpeechRequest(prompt), TEXT))).size


async def test_codes_are_upstreams_and_sound_again(worker: Worker, models_dir: Path) -> None:
    """Also those of more samples than the pipe takes at once."""
    import torch

    from tests.engine.golden import load_codec

    samples = noise(12.0, 48_000)
    tokenizer = load_codec(models_dir / CUSTOM.name)
    codes = await worker.encode(CUSTOM, samples, 48_000)
    np.testing.assert_array_equal(codes, tokenizer.encode(samples, sr=48_000).audio_codes[0].numpy(), strict=True)
    with torch.inference_mode():
        expected = tokenizer.model.decoder(torch.from_numpy(codes.copy()).t()[None])[0, 0].numpy()
    np.testing.assert_allclose(await listen(worker.decode(CUSTOM, codes)), expected, atol=5e-5)


async def test_a_row_tells_at_its_end_what_was_spent(worker: Worker) -> None:
    with worker.submit(CUSTOM, REQUEST, TEXT) as speech, worker.decode(CUSTOM, random_codes(9)) as playback:
        assert (speech.text_tokens, speech.frames) == (0, 0)
        spoken, played = await asyncio.gather(listen(speech), listen(playback))
    assert speech.text_tokens > 5
    assert speech.frames == spoken.size // 1920
    assert (playback.text_tokens, playback.frames) == (0, played.size // 1920) == (0, 9)


async def test_playing_waits_for_its_listener_and_speech_does_not_wait_for_it(worker: Worker) -> None:
    """What is played is longer than a row may be ahead; others speak meanwhile, and the rest comes when it is asked."""
    frames = CREDIT // 1920 + 20
    with worker.decode(CUSTOM, random_codes(frames)) as row:
        await anext(row)
        assert (await listen(worker.submit(CUSTOM, REQUEST, TEXT))).size
        chunks = [chunk async for chunk in row]
    assert sum(chunk.size for chunk in chunks) == (frames - 1) * 1920


async def test_a_closed_playback_is_let_go_by_the_engine(worker: Worker) -> None:
    with worker.decode(CUSTOM, random_codes(5_000)) as row:
        await anext(row)
        assert busy(worker)
    async with asyncio.timeout(HANG_SECONDS):
        while busy(worker):
            await asyncio.sleep(0.005)


async def test_codes_out_of_range_end_their_row_alone(worker: Worker) -> None:
    pid = worker.pid
    with pytest.raises(InvalidRequest, match=f"between 0 and {CODES - 1}"):
        await listen(worker.decode(CUSTOM, np.full((3, 16), CODES)))
    assert (await listen(worker.submit(CUSTOM, REQUEST, TEXT))).size
    assert worker.pid == pid


async def test_what_is_wrong_with_a_clip_is_said(worker: Worker) -> None:
    with pytest.raises(InvalidRequest, match=r"at least 0\.5 seconds"):
        await worker.clone(BASE, Reference(noise(0.2), 24_000))
    with pytest.raises(InvalidRequest, match="Only a Base"):
        await worker.clone(CUSTOM, Reference(noise(1.0), 24_000))
    with pytest.raises(InvalidRequest, match="has no samples"):
        await worker.encode(CUSTOM, noise(0), 24_000)


async def test_callers_that_leave_hold_up_nobody(worker: Worker) -> None:
    """Some jobs run and some wait when their callers leave; rows are spoken beside them, and later jobs answered."""
    leaving = [asyncio.create_task(worker.encode(CUSTOM, noise(20.0), 24_000)) for _ in range(9)]
    await asyncio.sleep(0)
    with worker.submit(CUSTOM, REQUEST, TEXT) as row:
        await anext(row)
        for task in leaving:
            task.cancel()
        ends = await asyncio.gather(*leaving, return_exceptions=True)
        assert isinstance(ends[-1], asyncio.CancelledError)
        assert np.concatenate([chunk async for chunk in row]).size
    assert len(await worker.encode(CUSTOM, noise(0.2), 24_000)) == 3


async def test_a_checkpoint_is_dropped_when_the_job_that_uses_it_is_done(worker: Worker, models_dir: Path) -> None:
    job = asyncio.create_task(worker.encode(BASE, noise(5.0), 24_000))
    await asyncio.sleep(0)
    job.cancel()
    left = asyncio.create_task(worker.encode(BASE, noise(5.0), 24_000))
    await asyncio.sleep(0)
    await worker.unload(BASE)
    assert left.done()
    assert len(await left) == 63
    with pytest.raises(EngineFailed, match="not loaded"):
        await worker.encode(BASE, noise(1.0), 24_000)
    await worker.load(BASE, models_dir / BASE.name)


async def test_the_process_dying_fails_jobs_and_rows(worker: Worker) -> None:
    """The last test of this process."""
    deaths: list[None] = []
    worker.on_death = lambda: deaths.append(None)
    jobs = [asyncio.create_task(worker.encode(CUSTOM, noise(20.0), 24_000)) for _ in range(2)]
    row = worker.decode(CUSTOM, random_codes(5_000))
    await anext(row)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    for job in jobs:
        with pytest.raises(EngineFailed, match="stopped unexpectedly"):
            await job
    with pytest.raises(EngineFailed, match="stopped unexpectedly"):
        await listen(row)
    assert deaths == [None]
    assert worker.hello is None
    with pytest.raises(EngineFailed, match="stopped unexpectedly"):
        await worker.encode(CUSTOM, noise(1.0), 24_000)


async def test_a_text_that_cant_be_spoken_costs_one_row_of_the_standby_voice() -> None:
    """A number for which there is no name is spoken; who speaks beside it is not disturbed."""
    worker = Worker("standby")
    await worker.start()
    pid, text = worker.pid, "The front door is open. The light is on in the kitchen."
    golden = await listen(worker.submit(None, REQUEST, text))
    rows = [worker.submit(None, REQUEST, each) for each in (text, f"It is {'9' * 40}.", "你好，世界。", text)]
    first, number, refused, last = await asyncio.gather(*map(listen, rows), return_exceptions=True)
    for heard in (first, last):
        assert isinstance(heard, np.ndarray)
        np.testing.assert_array_equal(heard, golden)
    assert isinstance(number, np.ndarray)
    assert number.size > golden.size
    assert isinstance(refused, EngineFailed)
    assert "can't pronounce" in str(refused)
    assert worker.pid == pid
    await worker.stop()


async def test_who_leaves_while_an_engine_is_killed_that_did_not_end_leaves_a_worker_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child_process, "_STOP_SECONDS", 0.0)
    worker = Worker("standby")
    await worker.start()
    child, killing = worker._child, asyncio.Event()
    assert child is not None
    monkeypatch.setattr(child, "_signal", lambda _: None)
    monkeypatch.setattr(child, "kill", killing.set)
    stopping = asyncio.create_task(worker.stop())
    await killing.wait()
    stopping.cancel()
    await asyncio.wait([stopping])
    child.process.kill()
    await asyncio.wait([child._reading])
    assert worker.pid is None


async def test_an_engine_that_is_stuck_is_ended_and_started_again() -> None:
    """Its rows fail, and so does who waits for a load; one that merely has nothing to say is left alone."""
    worker = Worker("standby", timeout=1.0)
    deaths: list[None] = []
    worker.on_death = lambda: deaths.append(None)
    await worker.start()
    pid = worker.pid
    assert pid is not None
    await asyncio.sleep(2.0)
    assert worker.pid == pid
    os.kill(pid, signal.SIGSTOP)
    with worker.submit(None, REQUEST, TEXT) as row, pytest.raises(EngineFailed, match="stopped unexpectedly"):
        await asyncio.wait_for(listen(row), HANG_SECONDS)
    assert deaths == [None]
    await worker.start()
    assert worker.pid != pid
    assert (await listen(worker.submit(None, REQUEST, TEXT))).size
    await worker.stop()
